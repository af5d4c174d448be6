"""The report's figures: data in, Figure out; one palette, the same colour for the same arm everywhere."""

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import Image, Markdown, display
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from lib.arms import ARMS
from lib.files import write_bytes
from lib.report.effects import half_width

REFERENCE_COLOUR = "#595959"  # what is not an arm: set points, bounds
FACTOR_LABELS = ("shape", "scale", "orientation", "position x", "position y")
DOTS_PER_INCH = 160

sns.set_theme(context="paper", style="whitegrid", rc={
    "font.size": 9, "axes.titlesize": 9.5, "axes.labelsize": 9, "xtick.labelsize": 8, "ytick.labelsize": 8,
    "legend.fontsize": 8, "axes.edgecolor": "#333333", "grid.color": "#e3e3e3", "grid.linewidth": 0.6,
    "figure.constrained_layout.use": True,
})  # fmt: skip


def show(figure: Figure, path: Path, caption: str) -> None:
    """Save a figure as path.png, display that in the notebook, then the caption, and close the figure."""
    width = round(figure.get_size_inches()[0] * 96)
    write_bytes(path.with_suffix(".png"), png(figure))
    display(Image(filename=path.with_suffix(".png"), width=width))
    display(Markdown(caption))


def png(figure: Figure, dots_per_inch: int = DOTS_PER_INCH) -> bytes:
    """The figure as PNG, the same bytes for the same figure; closes it."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=dots_per_inch, metadata={"Software": None})
    plt.close(figure)
    return file.getvalue()


def logarithmic(*axes: Axis) -> None:
    """Give axes a logarithmic scale with numbers as 5, 10, 20; one without anything above 0 stays as it is."""
    for axis in axes:
        if not np.isfinite(axis.get_minpos()):
            continue
        getattr(axis.axes, f"set_{axis.axis_name}scale")("log")
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.set_minor_formatter(NullFormatter())


def arm_legend(figure: Figure, arms: Iterable[str]) -> None:
    """One legend of the arms, above all panels."""
    handles = [
        plt.Line2D([], [], color=ARMS[arm].colour, linestyle=ARMS[arm].line, label=ARMS[arm].label) for arm in arms
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=min(6 if len(handles) < 5 else 3, len(handles)))


def _blank_axes(axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
    sns.despine(ax=axes, left=True, bottom=True)


def _montage(images: np.ndarray, columns: int, gap: int = 2, edge: float = 0.55) -> np.ndarray:
    """images [n, 64, 64] in [0, 1] -> one picture, row by row, with a grey gap between them."""
    n, height, width = images.shape
    rows = -(-n // columns)
    canvas = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap), edge)
    for i, image in enumerate(images):
        top, left = (i // columns) * (height + gap), (i % columns) * (width + gap)
        canvas[top : top + height, left : left + width] = image
    return canvas


def traces(runs: dict[str, list[pd.DataFrame]]) -> Figure:
    """Figure 1 of the report: reconstruction loss, KL, beta and C over the steps, one line per run, per arm a colour.

    runs: arm -> traces (`lib.runs.run.read_trace`), one per seed, the first with the thicker line. Lines but that of C
    are means over about 1/200 of the training, as single batches scatter; beside the KL the first run's C is dashed.
    """
    panels = [
        ("reconstruction_mean", "reconstruction loss\n(nats per image)"),
        ("kl_mean", "KL, and C dashed\n(nats per image)"),
        ("beta_mean", "β(t)"),
        ("capacity", "capacity C(t)\n(nats per image)"),
    ]
    figure, axes = plt.subplots(2, 2, figsize=(7.2, 4.8), sharex=True)
    for axis, (column, label) in zip(axes.flat, panels, strict=True):
        for arm, frames in runs.items():
            for number, frame in enumerate(frames):
                values = frame[column]
                if column != "capacity":
                    values = values.rolling(max(1, len(frame) // 200), min_periods=1, center=True).mean()
                axis.plot(
                    frame["step"], values, color=ARMS[arm].colour,
                    linewidth=1.3 if number == 0 else 0.6, alpha=1 if number == 0 else 0.5,
                )  # fmt: skip
            if column == "kl_mean":
                axis.plot(
                    frames[0]["step"], frames[0]["capacity"], color=ARMS[arm].colour, linestyle="--", linewidth=0.8
                )
        axis.set_ylabel(label)
        axis.margins(x=0.01)
    for axis in (axes[0, 0], axes[1, 0]):
        logarithmic(axis.yaxis)
    for axis in axes[1]:
        steps_axis(axis)
    arm_legend(figure, runs)
    return figure


def steps_axis(axis: Axes) -> None:
    """The horizontal axis as one of training steps."""
    axis.set_xlabel("training step")
    axis.xaxis.set_major_locator(MaxNLocator(4))
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def reconstructions(inputs: np.ndarray, outputs: dict[str, np.ndarray]) -> Figure:
    """Figure 2 of the report: inputs in the upper row, outputs below, one panel per arm, two to a row.

    inputs [n, 64, 64] in {0, 1}; outputs: arm -> pixel probabilities [n, 64, 64].
    """
    rows = -(-len(outputs) // 2)
    figure, axes = plt.subplots(rows, 2, figsize=(7.2, 1.1 * rows + 0.1), squeeze=False)
    for axis in axes.flat:
        _blank_axes(axis)
    for axis, (arm, images) in zip(axes.flat, outputs.items(), strict=False):
        axis.imshow(_montage(np.concatenate([inputs, images]), len(inputs)), cmap="gray", vmin=0, vmax=1)
        axis.set_title(ARMS[arm].label, color=ARMS[arm].colour)
        axis.set_yticks([32, 98], ["input", "output"])
    return figure


def traversals(
    pictures: dict[str, np.ndarray], values: np.ndarray, labels: dict[str, list[str]], start: np.ndarray | None = None
) -> Figure:
    """Figure 3 of the report: each latent moved alone from first to last value, one row per latent, a panel per arm.

    pictures: arm -> pixel probabilities [J, S, 64, 64]; values [S]; labels: arm -> what stands left of each row [J];
    start: the image [64, 64] whose posterior mean the other latents keep, shown above where it is given.
    """
    latents = next(iter(pictures.values())).shape[0]
    figure, axes = plt.subplots(
        1, len(pictures), figsize=(7.2, 0.42 * latents + 0.7 + (0.5 if start is not None else 0)), squeeze=False
    )
    for axis, (arm, images) in zip(axes[0], pictures.items(), strict=True):
        axis.imshow(_montage(images.reshape(-1, 64, 64), len(values)), cmap="gray", vmin=0, vmax=1)
        _blank_axes(axis)
        axis.set_title(ARMS[arm].label, color=ARMS[arm].colour, pad=46 if start is not None else None)
        axis.set_yticks(np.arange(latents) * 66 + 32, labels[arm], fontsize=7)
        ends = [0, len(values) // 2, len(values) - 1]
        axis.set_xticks([i * 66 + 32 for i in ends], [f"{values[i]:+g}".replace("+0", "0") for i in ends])
        axis.set_xlabel("value of the latent (prior standard deviations)")
        if start is not None:
            above = axis.inset_axes((66 * ends[1], -76, 64, 64), transform=axis.transData)
            above.imshow(start, cmap="gray", vmin=0, vmax=1)
            _blank_axes(above)
            above.set_ylabel("start", rotation=0, ha="right", va="center", fontsize=7)
    return figure


def scores(table: pd.DataFrame, reported: pd.DataFrame) -> Figure:
    """MIG and reconstruction loss of every run, means with 95% intervals, and the report's own figures.

    table: one row per run, columns arm, mig, reconstruction; reported: the same, one row per arm of the report.
    """
    arms = list(dict.fromkeys([*table["arm"], *reported["arm"]]))
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 1.0 + 0.36 * len(arms)), sharey=True)
    for axis, column, label in (
        (axes[0], "mig", "MIG, four factors"),
        (axes[1], "reconstruction", "reconstruction loss (nats per image)"),
    ):
        for position, arm in enumerate(arms):
            ours, theirs = (frame.loc[frame["arm"] == arm, column] for frame in (table, reported))
            spread = position + 0.25 + np.linspace(0, 0.2, len(ours)) - 0.1 * (len(ours) > 1)
            axis.plot(ours, spread, "o", color=ARMS[arm].colour, markersize=3.5, alpha=0.8)
            half = half_width(ours.std(), len(ours))
            if np.isfinite(half):
                axis.errorbar(ours.mean(), position - 0.1, xerr=half, fmt="|", color=ARMS[arm].colour, capsize=3)
            axis.plot(theirs, [position] * len(theirs), "D", mfc="none", color=ARMS[arm].colour, markersize=5)
        axis.set_yticks(range(len(arms)), [ARMS[arm].label for arm in arms])
        axis.set_ylim(len(arms) - 0.5, -0.5)
        axis.set_xlim(left=0)
        axis.set_xlabel(label)
    kinds = {
        "a run": ("o", REFERENCE_COLOUR),
        "mean, 95% interval": ("|", REFERENCE_COLOUR),
        "the report": ("D", "none"),
    }
    handles = [
        plt.Line2D([], [], marker=marker, linestyle="", mfc=face, color=REFERENCE_COLOUR, label=name)
        for name, (marker, face) in kinds.items()
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=3)  # inside, it would cover runs
    return figure


def toy_plant(frame: pd.DataFrame, arm: str) -> Figure:
    """Controller and capacity rule on the toy plant (`lib.toy_plant.simulate`): KL and C, and beta, over the steps."""
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 2.4))
    axes[0].plot(frame["step"], frame["kl"], color=ARMS[arm].colour, linewidth=1, label="KL")
    axes[0].plot(frame["step"], frame["capacity"], color=REFERENCE_COLOUR, linestyle="--", linewidth=1.2, label="C(t)")
    axes[0].set_ylabel("nats")
    axes[0].legend()
    axes[1].plot(frame["step"], frame["beta"], color=ARMS[arm].colour, linewidth=1)
    axes[1].set_ylabel(r"$\beta(t)$")
    logarithmic(axes[1].yaxis)
    for axis in axes:
        axis.set_xlabel("step of the simulation")
        axis.margins(x=0.01)
    return figure


def montage(images: np.ndarray, columns: int, row_labels: list[str] | None = None) -> Figure:
    """Images [n, 64, 64] in [0, 1], row by row, `columns` to a row, each row labelled where labels are given."""
    rows = -(-len(images) // columns)
    figure, axis = plt.subplots(figsize=(7.2, 6.6 * rows / columns + 0.1))
    axis.imshow(_montage(images, columns), cmap="gray", vmin=0, vmax=1)
    _blank_axes(axis)
    if row_labels:
        axis.set_yticks([66 * row + 32 for row in range(rows)], row_labels)
    return figure


def pixel_density(density: dict[str, np.ndarray]) -> Figure:
    """Share of images in which each pixel is on: name -> [64, 64], one panel each, one colour scale."""
    figure, axes = plt.subplots(1, len(density), figsize=(7.2, 2.1), squeeze=False)
    top = max(values.max() for values in density.values())
    for axis, (name, values) in zip(axes[0], density.items(), strict=True):
        picture = axis.imshow(values, cmap="viridis", vmin=0, vmax=top)
        axis.set_title(name)
        _blank_axes(axis)
    figure.colorbar(picture, ax=axes, label="share of images", shrink=0.85)
    return figure
