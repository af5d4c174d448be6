"""The figures of information: over training, and of each factor with each latent."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from lib.arms import ARMS
from lib.report.figures.style import FACTOR_LABELS, REFERENCE_COLOUR, steps_axis
from lib.report.latents import IN_USE

# Column, label, colour (of Tol's muted scheme, which colour-blind readers can tell apart), line, marker.
PARTS = (
    ("capacity", "C", REFERENCE_COLOUR, "--", ""),
    ("kl", "KL", "#000000", "-", ""),
    ("mutual_information", r"$I_q(x; z)$", "#332288", "-", "o"),
    ("total_correlation", "total correlation", "#CC6677", "-", "^"),
    ("dimension_wise_kl", "dimension-wise KL", "#117733", "-", "s"),
)
FIRST = {"markersize": 3.2, "linewidth": 1.3, "alpha": 1.0}  # seed
FURTHER = {"markersize": 2.0, "linewidth": 0.6, "alpha": 0.6}


def over_training(snapshots: dict[str, list[pd.DataFrame]]) -> Figure:
    """KL, its parts and C in nats over the training steps, and the MIG below, a panel of each per arm, three to a row.

    snapshots: arm -> tables of `lib.evaluation.snapshots.measure_snapshots`, one per seed; the first seed's lines are
    thicker. A dotted line marks log N, the bound of I_q(x; z) on the N images that were measured.
    """
    columns = min(3 if len(snapshots) != 4 else 2, len(snapshots))
    rows = -(-len(snapshots) // columns)
    figure, axes = plt.subplots(
        2 * rows, columns, figsize=(7.2 if columns > 1 else 5.0, 0.6 + 3.4 * rows), sharex=True, squeeze=False,
        gridspec_kw={"height_ratios": [2, 1] * rows},
    )  # fmt: skip
    nats_axes, score_axes = axes[0::2].flatten(), axes[1::2].flatten()
    for axis in (*nats_axes[len(snapshots) :], *score_axes[len(snapshots) :]):
        axis.set_visible(False)
    for nats, score, (arm, frames) in zip(nats_axes, score_axes, snapshots.items(), strict=False):
        for number, frame in enumerate(frames):
            style = FIRST if number == 0 else FURTHER
            for column, label, colour, line, marker in PARTS:
                nats.plot(
                    frame["step"], frame[column], color=colour, linestyle=line, marker=marker,
                    label=label if number == 0 else None, **style,
                )  # fmt: skip
            score.plot(frame["step"], frame["mig_four"], color=ARMS[arm].colour, marker="o", **style)
        bound = np.log(frames[0]["images"].iloc[0])
        nats.axhline(bound, color=REFERENCE_COLOUR, linestyle=":", linewidth=1.2, label="log N")
        nats.set_title(ARMS[arm].label, color=ARMS[arm].colour)
    top = max(frame["mig_four"].max() for frames in snapshots.values() for frame in frames)
    for nats, score in zip(axes[0::2].flat, axes[1::2].flat, strict=True):
        nats.set_ylim(0, 1.05 * max(axis.dataLim.y1 for axis in nats_axes))
        score.set_ylim(0, 1.1 * top)
    for nats, score in zip(axes[0::2, 0], axes[1::2, 0], strict=True):
        nats.set_ylabel("nats per image")
        score.set_ylabel("MIG")
    for score in axes[-1]:
        steps_axis(score)
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=6 if columns > 1 else 3,
        handlelength=2.6,
    )  # fmt: skip
    return figure


def information_matrices(matrices: dict[str, np.ndarray], kl_latents: dict[str, np.ndarray]) -> Figure:
    """Mutual information of each factor with each latent in use (nats), a panel per arm, latents in order of their KL.

    matrices: arm -> [K, J] nats; kl_latents: arm -> [J] nats. Cells below 0.005 nats stay without a
    number; where no latent is in use, the one with the largest KL stands for all.
    """
    columns = 2 if len(matrices) in (2, 4) else 3
    rows = -(-len(matrices) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(7.2, 0.5 + 1.75 * rows), sharey=True, squeeze=False
    )  # fmt: skip
    top = max(matrix.max() for matrix in matrices.values())
    for axis in axes.flat[len(matrices) :]:
        axis.set_visible(False)
    for axis, (arm, matrix) in zip(axes.flat, matrices.items(), strict=False):
        ranked = np.argsort(-kl_latents[arm], kind="stable")
        order = [j for j in ranked if kl_latents[arm][j] > IN_USE] or [ranked[0]]
        shown = matrix[:, order]
        sns.heatmap(
            shown, ax=axis, vmin=0, vmax=top, cmap="Greys", cbar=False, linewidths=0.5, linecolor="#dddddd",
            annot=np.where(shown < 0.005, "", np.vectorize("{:.2f}".format)(shown)), fmt="",
            annot_kws={"fontsize": 6.5}, xticklabels=[str(j) for j in order], yticklabels=FACTOR_LABELS,
        )  # fmt: skip
        axis.set_title(ARMS[arm].label, color=ARMS[arm].colour)
        axis.tick_params(axis="y", rotation=0)
    figure.supxlabel("latent, largest KL first", fontsize=8.5)
    return figure
