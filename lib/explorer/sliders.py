"""The explorer for a live notebook: sliders (ipywidgets) that move the latents of trained networks."""

import base64
import io
import math

import ipywidgets as widgets
import numpy as np
import torch
from IPython.display import Javascript, display
from PIL import Image

from lib.arms import ARMS
from lib.dsprites import FACTOR_NAMES, FACTOR_SIZES, factors_to_indices, render
from lib.explorer.rows import FOLDED, Row, slider_rows
from lib.files import read_csv, reading
from lib.refusal import Refusal
from lib.report.figures.pictures import MIDDLE_HEART
from lib.report.figures.style import FACTOR_LABELS
from lib.report.latents import class_labels
from lib.runs.profiles import Profile, load_profile, published_profiles
from lib.runs.published import HASHES, check_published
from lib.runs.run import Run

_SWEEP = [round(3 * math.sin(2 * math.pi * i / 40), 1) for i in range(41)]  # from the mean to 3, to -3 and back
_FULL = widgets.Layout(width="100%")
# ipywidgets gives sliders and sweeps no names for a screen reader: here the sliders' tooltips become those.
_NAME_SLIDERS = """
const name = () => document.querySelectorAll(".widget-slider").forEach((slider) => {
  const words = slider.querySelector(".widget-label").title;
  const set = (each, text) => each.setAttribute("aria-label", text);
  slider.querySelectorAll(".noUi-handle, .widget-readout").forEach((each) => set(each, words));
  slider.parentElement.querySelectorAll(":scope > .widget-play > button").forEach((each, place) =>
    set(each, `${["sweep or pause", "stop", "repeat"][place]}: ${words}`));
});
new MutationObserver(name).observe(document.body, {subtree: true, childList: true, attributeFilter: ["title"]});
name();
"""


def profile_to_explore(name: str | None) -> Profile:
    """The profile `name`; for None the published one whose runs have the lowest mean reconstruction loss.

    Raises ValueError for an unknown name, and for None where nothing is published.
    """
    if name is not None:
        return load_profile(name)
    published = published_profiles()
    if not published:
        raise Refusal("Nothing is published in results/published; name the profile whose runs are to be explored.")
    return min(published, key=_reconstruction)


def _reconstruction(profile: Profile) -> float:
    """Mean over the published runs, nats per image."""
    table = profile.published / "table.csv"
    with reading(table):
        return read_csv(table)["reconstruction"].mean()


def runs_to_explore(profile: Profile, seed: int) -> dict[str, Run]:
    """Arm -> run of one seed: those trained here, or else published ones, of this profile or one that trains alike.

    A control arm that is not there is left out. Raises Refusal where linear and adaptive are nowhere.
    """
    runs = [profile.run(profile.training_config(arm, seed)) for arm in profile.arms]
    alike = [other.published for other in published_profiles() if other.training == profile.training]
    for folder in (profile.directory, profile.published, *alike):
        there = {
            arm: Run(folder / run.name)
            for arm, run in zip(profile.arms, runs, strict=True)
            if all((folder / run.name / name).exists() for name in ("evaluation.json", "weights.safetensors"))
        }
        if {"linear", "adaptive"} <= set(there):
            if (folder / HASHES).exists():
                check_published(folder)
            return there
    raise Refusal(
        f"The runs {', '.join(run.name for run in runs)} are not trained and evaluated yet; "
        f"run make report PROFILE={profile.name}."
    )


class Explorer:
    """Start image by factor sliders; each latent moved by up to 3 about its posterior mean, all arms side by side.

    The r-th of the sliders `latents` moves the latent with the r-th largest KL of every arm, and the r-th of
    `sweeps` sweeps it; those without information in every arm are folded. `show` displays `widget`; `pictures` holds
    each arm's picture.
    """

    def __init__(self, runs: dict[str, Run]) -> None:
        """runs: arm -> measured run. Raises ValueError where they have different numbers of latents."""
        rows = slider_rows(runs)
        self._orders = {arm: [row.latents[arm].latent for row in rows] for arm in runs}
        self._models = {arm: run.load_model() for arm, run in runs.items()}
        self._means: dict[str, torch.Tensor] = {}
        self._holding = False

        wide = {"description_width": "6rem"}
        self.factors = [
            widgets.SelectionSlider(
                options=list(zip(class_labels(name, range(size)), range(size), strict=True)),
                index=start, description=label, tooltip=label, style=wide, layout=_FULL,
            )
            for name, size, start, label in zip(FACTOR_NAMES, FACTOR_SIZES, MIDDLE_HEART, FACTOR_LABELS, strict=True)
        ]  # fmt: skip
        self.latents = [widgets.FloatSlider(min=-3, max=3, step=0.1, readout_format=".1f") for _ in rows]
        self.sweeps = [widgets.Play(max=len(_SWEEP) - 1, interval=100, show_repeat=False) for _ in self.latents]
        self.reset = widgets.Button(description="Reset the latents")
        self.start = widgets.HTML()
        self.pictures = {arm: widgets.HTML() for arm in runs}
        self.widget = self._arrange(rows)

        for slider in self.factors:
            slider.observe(self._encode, "value")
        for slider, sweep in zip(self.latents, self.sweeps, strict=True):
            slider.observe(self._decode, "value")
            sweep.observe(lambda change, slider=slider: setattr(slider, "value", _SWEEP[change.new]), "value")
        self.reset.on_click(self._reset)
        self._encode()

    def show(self) -> None:
        display(self.widget, Javascript(_NAME_SLIDERS))

    @torch.inference_mode()
    def _encode(self, _=None) -> None:
        image = render(factors_to_indices([[slider.value for slider in self.factors]]))  # [1, 64, 64]
        words = [f"{slider.description} {slider.label}" for slider in self.factors]
        self.start.value = _picture(image[0], f"Start image: {', '.join(words)}")
        batch = torch.from_numpy(image).float()[:, None]
        self._means = {arm: model.encode(batch)[0] for arm, model in self._models.items()}  # [1, J] each
        self._decode()

    @torch.inference_mode()
    def _decode(self, _=None) -> None:
        if self._holding:
            return
        offsets = torch.tensor([slider.value for slider in self.latents])
        for arm, model in self._models.items():
            z = self._means[arm].clone()
            z[0, self._orders[arm]] += offsets
            values = torch.sigmoid(model.decode(z))[0, 0].numpy()
            self.pictures[arm].value = _picture(values, f"Decoded by the {ARMS[arm].label} arm: {described(values)}")

    def _reset(self, _=None) -> None:
        self._holding = True  # one picture at the end, not one per slider
        for sweep in self.sweeps:
            sweep.playing, sweep.value = False, 0
        for slider in self.latents:
            slider.value = 0
        self._holding = False
        self._decode()

    def _arrange(self, rows: list[Row]) -> widgets.Widget:
        def picture(image: widgets.HTML, name: str, colour: str) -> widgets.Widget:
            caption = widgets.HTML(f'<b style="color: {colour}">{name}</b>')
            return widgets.VBox([image, caption], layout=widgets.Layout(flex="1 1 5.5rem", max_width="12rem"))

        def line(row: Row) -> widgets.Widget:
            slider, sweep = self.latents[row.rank - 1], self.sweeps[row.rank - 1]
            notes = [
                f'<span style="color: {ARMS[arm].colour}">■</span> {ARMS[arm].label} {note}'
                for arm, note in row.notes.items()
            ]
            note = widgets.HTML(f'<div style="line-height: 1.4">{"<br>".join(notes)}</div>')
            slider.tooltip = "; ".join(f"{ARMS[arm].label} {note}" for arm, note in row.notes.items())
            # Seen below the slider, and heard before it.
            slider.layout = widgets.Layout(order="0", width="100%")
            note.layout = widgets.Layout(order="1", flex="1 1 10rem")
            sweep.layout = widgets.Layout(order="2", width="5rem")
            return widgets.HBox([note, slider, sweep], layout=widgets.Layout(flex_flow="row wrap", margin=".4rem 0 0"))

        pictures = [picture(self.start, "start image", "black")]
        pictures += [picture(image, ARMS[arm].label, ARMS[arm].colour) for arm, image in self.pictures.items()]
        folded = [line(row) for row in rows if not row.in_use]
        fold = [widgets.Accordion([widgets.VBox(folded)], titles=[f"{FOLDED} ({len(folded)})"])] if folded else []
        parts = [
            widgets.HBox(pictures, layout=widgets.Layout(flex_flow="row wrap")),
            widgets.VBox(self.factors),
            widgets.VBox([line(row) for row in rows if row.in_use]),
            *fold,
            self.reset,
        ]
        return widgets.VBox(parts, layout=widgets.Layout(width="100%", max_width="44rem"))


def described(values: np.ndarray) -> str:
    """What a picture shows, in words, as in explorer.js: size and centre of what is white in values [64, 64]."""
    total = values.sum()
    if total < 1:
        return "all black"
    middles = (np.arange(64) + 0.5) / 64
    left, top = values.sum(axis=0) @ middles / total, values.sum(axis=1) @ middles / total
    return f"white over {total:.0f} of 4096 pixels, centre {left:.0%} from the left, {top:.0%} from the top"


def _picture(values: np.ndarray, text: str) -> str:
    """HTML of an image with values [64, 64] in [0, 1], black to white, and its alternative text."""
    file = io.BytesIO()
    Image.fromarray(np.round(255 * values).astype(np.uint8)).save(file, "png", compress_level=1)
    source = base64.b64encode(file.getvalue()).decode()
    return (
        f'<img class="widget-image" alt="{text}" src="data:image/png;base64,{source}" decoding="sync" '
        'style="width: 100%; aspect-ratio: 1; image-rendering: pixelated">'
    )
