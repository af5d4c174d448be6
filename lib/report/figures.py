"""The report's figures: data in, Figure out; one palette, the same colour for the same arm everywhere."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import Image, Markdown, display
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lib.arms import ARMS
from lib.files import write_bytes

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

    runs: arm -> traces (`lib.runs.run.read_trace`), one per seed. Lines but that of C are means over about 1/200 of the
    training, as single batches scatter and a fast controller swings; beta at every step lies pale behind its mean.
    """
    panels = [
        ("reconstruction_mean", "reconstruction loss\n(nats per image)"),
        ("kl_mean", "KL (nats per image)"),
        ("beta_mean", r"$\beta(t)$"),
        ("capacity", "capacity C(t)\n(nats per image)"),
    ]
    figure, axes = plt.subplots(2, 2, figsize=(7.2, 4.6), sharex=True)
    for axis, (column, label) in zip(axes.flat, panels, strict=True):
        for arm, frames in runs.items():
            for number, frame in enumerate(frames):
                if column == "beta_mean":
                    axis.plot(
                        frame["step"], frame["beta"], color=ARMS[arm].colour, linewidth=0.3, alpha=0.25, rasterized=True
                    )
                values = frame[column]
                if column != "capacity":
                    values = values.rolling(max(1, len(frame) // 200), min_periods=1, center=True).mean()
                axis.plot(
                    frame["step"], values, color=ARMS[arm].colour, linestyle=ARMS[arm].line,
                    linewidth=1.3 if number == 0 else 0.7, alpha=1 if number == 0 else 0.6,
                    label=ARMS[arm].label if number == 0 else None,
                )  # fmt: skip
        axis.set_ylabel(label)
        axis.margins(x=0.01)
    for axis, (column, _) in zip(axes[:, 0], panels[::2], strict=True):
        if any((frame[column] > 0).any() for frames in runs.values() for frame in frames):  # some arms have no beta
            axis.set_yscale("log")
        axis.grid(True, which="minor", linewidth=0.3)
    axes[0, 0].legend(frameon=True)
    for axis in axes[1]:
        axis.set_xlabel("training step")
        axis.xaxis.set_major_locator(MaxNLocator(4))
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    return figure


def reconstructions(inputs: np.ndarray, outputs: dict[str, np.ndarray]) -> Figure:
    """Figure 2 of the report: inputs in the upper row, outputs below, one panel per arm.

    inputs [n, 64, 64] in {0, 1}; outputs: arm -> pixel probabilities [n, 64, 64].
    """
    figure, axes = plt.subplots(1, len(outputs), figsize=(7.2, 1.75), squeeze=False)
    for axis, (arm, images) in zip(axes[0], outputs.items(), strict=True):
        axis.imshow(_montage(np.concatenate([inputs, images]), len(inputs)), cmap="gray", vmin=0, vmax=1)
        _blank_axes(axis)
        axis.set_title(ARMS[arm].label, color=ARMS[arm].colour)
        axis.set_yticks([32, 98], ["input", "output"])
    return figure


def traversals(pictures: dict[str, np.ndarray], values: np.ndarray, labels: dict[str, list[str]]) -> Figure:
    """Figure 3 of the report: each latent moved alone from first to last value, one row per latent, a panel per arm.

    pictures: arm -> pixel probabilities [J, S, 64, 64]; values [S]; labels: arm -> what stands left of each row [J].
    """
    latents = next(iter(pictures.values())).shape[0]
    figure, axes = plt.subplots(1, len(pictures), figsize=(7.2, 0.42 * latents + 0.7), squeeze=False)
    for axis, (arm, images) in zip(axes[0], pictures.items(), strict=True):
        axis.imshow(_montage(images.reshape(-1, 64, 64), len(values)), cmap="gray", vmin=0, vmax=1)
        _blank_axes(axis)
        axis.set_title(ARMS[arm].label, color=ARMS[arm].colour)
        axis.set_yticks(np.arange(latents) * 66 + 32, labels[arm], fontsize=7)
        ends = [0, len(values) // 2, len(values) - 1]
        axis.set_xticks([i * 66 + 32 for i in ends], [f"{values[i]:+g}".replace("+0", "0") for i in ends])
        axis.set_xlabel("value of the latent (prior standard deviations)")
    return figure


def information_matrices(matrices: dict[str, np.ndarray], kl_latents: dict[str, np.ndarray]) -> Figure:
    """Mutual information of each factor with each latent (nats), one panel per arm, latents in order of their KL.

    matrices: arm -> [K, J] nats; kl_latents: arm -> [J] nats.
    """
    figure, axes = plt.subplots(1, len(matrices), figsize=(7.2, 2.3), sharey=True, squeeze=False)
    top = max(matrix.max() for matrix in matrices.values())
    for number, (axis, (arm, matrix)) in enumerate(zip(axes[0], matrices.items(), strict=True)):
        order = np.argsort(-kl_latents[arm], kind="stable")
        sns.heatmap(
            matrix[:, order], ax=axis, vmin=0, vmax=top, cmap="Greys", annot=True, fmt=".2f",
            annot_kws={"fontsize": 6}, linewidths=0.5, linecolor="#dddddd",
            cbar=number == len(matrices) - 1, cbar_kws={"label": "I(z; v) (nats)"},
            xticklabels=[str(j) for j in order], yticklabels=FACTOR_LABELS,
        )  # fmt: skip
        axis.set_title(ARMS[arm].label, color=ARMS[arm].colour)
        axis.set_xlabel("latent (largest KL first)")
        axis.tick_params(axis="y", rotation=0)
    return figure


def scores(table: pd.DataFrame, reported: pd.DataFrame) -> Figure:
    """MIG and reconstruction loss of every run beside the report's own figures.

    table: one row per run, columns arm, mig, reconstruction; reported: the same, one row per arm of the report.
    """
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 2.5))
    for axis, column, label in (
        (axes[0], "mig", "MIG, four factors"),
        (axes[1], "reconstruction", "reconstruction loss (nats per image)"),
    ):
        arms = list(dict.fromkeys([*table["arm"], *reported["arm"]]))
        for position, arm in enumerate(arms):
            ours, theirs = (frame.loc[frame["arm"] == arm, column] for frame in (table, reported))
            axis.plot(ours, [position] * len(ours), "o", color=ARMS[arm].colour, label="this run")
            axis.plot(theirs, [position] * len(theirs), "D", mfc="none", color=ARMS[arm].colour, label="the report")
        axis.set_yticks(range(len(arms)), [ARMS[arm].label for arm in arms])
        axis.set_ylim(len(arms) - 0.5, -0.5)
        axis.set_xlim(left=0)
        axis.set_xlabel(label)
    handles = [
        plt.Line2D([], [], marker="o", linestyle="", color=REFERENCE_COLOUR, label="our runs"),
        plt.Line2D(
            [], [], marker="D", linestyle="", mfc="none", color=REFERENCE_COLOUR, label="the report (1.5 M steps)"
        ),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=2)  # inside, it would cover runs
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
    axes[1].set_yscale("log")
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
