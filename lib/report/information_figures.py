"""The figure of the measures of information over training."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from lib.arms import ARMS
from lib.report.figures import REFERENCE_COLOUR

# Column, label, colour (of Tol's muted scheme, which colour-blind readers can tell apart), line, marker.
PARTS = (
    ("capacity", "C", REFERENCE_COLOUR, "--", ""),
    ("kl", "KL", "#000000", "-", ""),
    ("mutual_information", r"$I_q(x; z)$", "#332288", "-", "o"),
    ("total_correlation", "total correlation", "#CC6677", "-", "^"),
    ("dimension_wise_kl", "dimension-wise KL", "#117733", "-", "s"),
)
SCORES = (("mig_four", "four factors", "-", "o"), ("mig_five", "five factors", ":", "D"))
FIRST = {"markersize": 3.2, "linewidth": 1.3, "alpha": 1.0}  # seed
FURTHER = {"markersize": 2.0, "linewidth": 0.6, "alpha": 0.6}


def over_training(snapshots: dict[str, list[pd.DataFrame]]) -> Figure:
    """KL, its parts and C in nats over the training steps, and the MIG below, one column of panels per arm.

    snapshots: arm -> tables of `lib.evaluation.snapshots.measure_snapshots`, one per seed; the first seed's lines are
    thicker. A dotted line marks log N, the bound of I_q(x; z) on the N images that were measured.
    """
    figure, axes = plt.subplots(
        2, len(snapshots), figsize=(7.2 if len(snapshots) > 1 else 5.0, 5.2), sharex=True, sharey="row",
        squeeze=False, gridspec_kw={"height_ratios": [2, 1]},
    )  # fmt: skip
    for (nats, score), (arm, frames) in zip(axes.T, snapshots.items(), strict=True):
        for number, frame in enumerate(frames):
            style = FIRST if number == 0 else FURTHER
            for column, label, colour, line, marker in PARTS:
                nats.plot(
                    frame["step"], frame[column], color=colour, linestyle=line, marker=marker,
                    label=label if number == 0 else None, **style,
                )  # fmt: skip
            for column, label, line, marker in SCORES:
                score.plot(
                    frame["step"], frame[column], color=ARMS[arm].colour, linestyle=line, marker=marker,
                    label=label if number == 0 else None, **style,
                )  # fmt: skip
        bound = np.log(frames[0]["images"].iloc[0])
        nats.axhline(bound, color=REFERENCE_COLOUR, linestyle=":", linewidth=1.2, label="log N")
        nats.set_title(ARMS[arm].label, color=ARMS[arm].colour)
        score.set_xlabel("training step")
        score.set_xscale("log")
        for axis in (nats, score):
            axis.grid(True, which="minor", axis="x", linewidth=0.3)
    axes[0, 0].set_ylabel("nats per image")
    axes[1, 0].set_ylabel("MIG")
    axes[1, 0].set_ylim(bottom=0)  # after all is drawn: it fixes the shared axis
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=6 if len(snapshots) > 1 else 3,
        handlelength=2.6,
    )
    axes[1, 0].legend(loc="best", frameon=True, handlelength=2.6)
    return figure
