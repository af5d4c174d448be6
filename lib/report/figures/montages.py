"""Figures made of small images: reconstructions, latent traversals, counts of pixels."""

import numpy as np
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from lib.arms import ARMS


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


def first_latents(pictures: dict[str, np.ndarray], labels: dict[str, list[str]], most: int) -> Figure:
    """Traversals of many arms, three panels to a row, with at most `most` latents each.

    pictures: arm -> pixel values [n, S, 64, 64], n >= 1 of its latents; labels: arm -> what stands left of each [n].
    """
    rows = -(-len(pictures) // 3)
    figure, axes = plt.subplots(rows, 3, figsize=(7.2, 0.3 * rows * (most + 1)), squeeze=False)
    for axis in axes.flat:
        _blank_axes(axis)
    for axis, (arm, images) in zip(axes.flat, pictures.items(), strict=False):
        shown = images[:most]
        picture = _montage(shown.reshape(-1, *shown.shape[2:]), shown.shape[1])
        axis.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="antialiased")
        axis.set_ylim(66 * most - 2, 0)  # all panels at one scale
        count = f"{len(shown)} of {len(images)}" if len(images) > most else f"{len(images)}"
        axis.set_title(f"{ARMS[arm].label} ({count})", color=ARMS[arm].colour, fontsize=8)
        axis.set_yticks(np.arange(len(shown)) * 66 + 32, labels[arm][:most], fontsize=6)
        axis.tick_params(left=False, pad=1)
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


def samples(drawn: np.ndarray, nearest: np.ndarray) -> Figure:
    """Samples, pixel values [R, C, 64, 64], and below each row the nearest images [R, C, 64, 64] in {0, 1}."""
    rows = np.stack([drawn, nearest], 1)  # [R, 2, C, 64, 64]
    return montage(rows.reshape(-1, *rows.shape[3:]), rows.shape[2], ["drawn", "nearest"] * len(drawn))


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
