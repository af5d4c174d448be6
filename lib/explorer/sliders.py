"""The explorer for a live notebook: sliders (ipywidgets) that move the latents of trained networks."""

import io
import math

import ipywidgets as widgets
import numpy as np
import torch
from PIL import Image

from lib.arms import ARMS
from lib.dsprites import FACTOR_NAMES, FACTOR_SIZES, factors_to_indices, render
from lib.report.figures import FACTOR_LABELS
from lib.report.latents import class_labels, latent_table
from lib.runs.profiles import Profile, published_profiles
from lib.runs.run import Run

_START = (2, 5, 0, 16, 16)  # a large upright heart in the middle
_SWEEP = [round(3 * math.sin(2 * math.pi * i / 40), 1) for i in range(41)]  # from the mean to 3, to -3 and back
_WEIGHTS = "weights.safetensors"
_SIDE = 192  # of a picture on the screen, pixels


def runs_to_explore(profile: Profile, seed: int) -> dict[str, Run]:
    """Arm -> run of one seed: those trained here, or else published ones, of this profile or one that trains alike.

    A control arm that is not there is left out. Raises ValueError where linear and adaptive are nowhere.
    """
    runs = [profile.run(profile.training_config(arm, seed)) for arm in profile.arms]
    alike = [other.published for other in published_profiles() if other.training == profile.training]
    for folder in (profile.directory, profile.published, *alike):
        found = {arm: Run(folder / run.name) for arm, run in zip(profile.arms, runs, strict=True)}
        there = {
            arm: run
            for arm, run in found.items()
            if all((run.path / name).exists() for name in ("evaluation.json", _WEIGHTS))
        }
        if {"linear", "adaptive"} <= set(there):
            return there
    raise ValueError(
        f"The runs {', '.join(run.name for run in runs)} are not trained and evaluated yet; "
        f"run make report PROFILE={profile.name}."
    )


class Explorer:
    """Start image by factor sliders; each latent moved by up to 3 about its posterior mean, all arms side by side.

    The r-th of the sliders `latents` moves the latent with the r-th largest KL of every arm, and the r-th of
    `sweeps` sweeps it. Display `widget`; `pictures` holds each arm's picture.
    """

    def __init__(self, runs: dict[str, Run]) -> None:
        """runs: arm -> measured run. Raises ValueError where they have different numbers of latents."""
        tables = {arm: latent_table(run) for arm, run in runs.items()}
        counts = {len(table) for table in tables.values()}
        if len(counts) != 1:
            raise ValueError("The runs have different numbers of latents; explore runs with the same number.")
        self._orders = {arm: table["latent"].to_list() for arm, table in tables.items()}
        self._models = {arm: run.load_model() for arm, run in runs.items()}
        self._means: dict[str, torch.Tensor] = {}
        self._holding = False

        wide = {"description_width": "6rem"}
        self.factors = [
            widgets.SelectionSlider(
                options=list(zip(class_labels(name, range(size)), range(size), strict=True)),
                index=start, description=label, style=wide,
            )
            for name, size, start, label in zip(FACTOR_NAMES, FACTOR_SIZES, _START, FACTOR_LABELS, strict=True)
        ]  # fmt: skip
        self.latents = [widgets.FloatSlider(min=-3, max=3, step=0.1, readout_format=".1f") for _ in range(*counts)]
        self.sweeps = [widgets.Play(max=len(_SWEEP) - 1, interval=100, show_repeat=False) for _ in self.latents]
        self.reset = widgets.Button(description="Reset the latents")
        self.start = widgets.Image(width=_SIDE, height=_SIDE)
        self.pictures = {arm: widgets.Image(width=_SIDE, height=_SIDE) for arm in runs}
        self.widget = self._arrange(tables)

        for slider in self.factors:
            slider.observe(self._encode, "value")
        for slider, sweep in zip(self.latents, self.sweeps, strict=True):
            slider.observe(self._decode, "value")
            sweep.observe(lambda change, slider=slider: setattr(slider, "value", _SWEEP[change.new]), "value")
        self.reset.on_click(self._reset)
        self._encode()

    @torch.inference_mode()
    def _encode(self, _=None) -> None:
        image = render(factors_to_indices([[slider.value for slider in self.factors]]))  # [1, 64, 64]
        self.start.value = _png(image[0])
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
            self.pictures[arm].value = _png(torch.sigmoid(model.decode(z))[0, 0].numpy())

    def _reset(self, _=None) -> None:
        self._holding = True  # one picture at the end, not one per slider
        for sweep in self.sweeps:
            sweep.playing, sweep.value = False, 0
        for slider in self.latents:
            slider.value = 0
        self._holding = False
        self._decode()

    def _arrange(self, tables) -> widgets.Widget:
        def picture(image: widgets.Image, name: str, colour: str) -> widgets.Widget:
            image.layout.object_fit = "contain"
            return widgets.VBox([image, widgets.HTML(f'<b style="color: {colour}">{name}</b>')])

        pictures = [picture(self.start, "start image", "black")]
        pictures += [picture(image, ARMS[arm].label, ARMS[arm].colour) for arm, image in self.pictures.items()]
        rows = []
        for latents, slider, sweep in zip(
            zip(*(table.itertuples() for table in tables.values()), strict=True), self.latents, self.sweeps, strict=True
        ):
            notes = [
                f'<span style="color: {ARMS[arm].colour}">■</span> {ARMS[arm].label} {latent.latent}: '
                f"KL {latent.kl:.2f}, {latent.factor} {latent.information:.2f}"
                for arm, latent in zip(tables, latents, strict=True)
            ]
            note = widgets.HTML(f'<div style="line-height: 1.4">{"<br>".join(notes)}</div>')
            rows.append(widgets.HBox([slider, sweep, note], layout=widgets.Layout(align_items="center")))
        return widgets.VBox([widgets.HBox(pictures), widgets.VBox(self.factors), widgets.VBox(rows), self.reset])


def _png(values: np.ndarray) -> bytes:
    """PNG of values [64, 64] in [0, 1], black to white."""
    file = io.BytesIO()
    picture = Image.fromarray(np.round(255 * values).astype(np.uint8))
    picture.resize((_SIDE, _SIDE), Image.Resampling.NEAREST).save(file, "png", compress_level=1)
    return file.getvalue()
