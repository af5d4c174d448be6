"""The figures of the information bottleneck: distortion against rate, and the estimate of the rate that steered."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from lib.arms import ARMS
from lib.objectives.seam import INFORMATION
from lib.report.figures.style import MARKERS, REFERENCE_COLOUR, arm_legend, legend_height, logarithmic, steps_axis

RATES = {"kl": "R = KL (nats per image)", "mutual_information": r"R = $I_q(x; z)$ (nats)"}


def rate_distortion(snapshots: Mapping[str, pd.DataFrame], entropy: float) -> Figure:
    """D against R of every snapshot, R the KL (left) and I_q(x; z) (right); the last snapshot's point is larger.

    snapshots: arm -> rows of snapshots.csv; entropy: H(x) in nats of the images that they were measured on. Nothing can
    lie in the grey area below D + R = H(x). D is on a logarithmic scale; R ends a tenth beyond the largest last one.
    """
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.4 + legend_height(snapshots)), sharey=True)
    lowest = min(frame["reconstruction"].min() for frame in snapshots.values())
    bottom = min(lowest, entropy) / 2
    for axis, (column, label) in zip(axes, RATES.items(), strict=True):
        for arm, frame in snapshots.items():
            style, marker = {"color": ARMS[arm].colour, "alpha": 0.8}, MARKERS[ARMS[arm].line]
            axis.plot(
                frame[column], frame["reconstruction"], linestyle=ARMS[arm].line, marker=marker, markersize=2.5,
                linewidth=0.9, **style,
            )  # fmt: skip
            axis.plot(
                frame[column].iloc[-1], frame["reconstruction"].iloc[-1], marker, markersize=6,
                markeredgecolor="white",
                **style,
            )  # fmt: skip
        rate = np.linspace(0, entropy, 200)
        axis.plot(rate, entropy - rate, color=REFERENCE_COLOUR, linestyle="--", linewidth=1.2)
        axis.fill_between(rate, entropy - rate, bottom / 10, color=REFERENCE_COLOUR, alpha=0.15, linewidth=0)
        axis.set_xlabel(label)
        axis.set_xlim(0, 1.1 * max(frame[column].iloc[-1] for frame in snapshots.values()))
    axes[0].annotate(
        "D + R = H(x)", (0, entropy), xytext=(4, 4), textcoords="offset points", color=REFERENCE_COLOUR, fontsize=8
    )
    axes[0].set_ylabel("D = reconstruction loss\n(nats per image)")
    logarithmic(axes[0].yaxis)
    axes[0].set_ylim(bottom=bottom)
    arm_legend(figure, snapshots, points=True)
    return figure


def estimated_information(
    traces: Mapping[str, pd.DataFrame], estimates: Mapping[str, pd.DataFrame], images: int
) -> Figure:
    """The estimate that steered (line) and the exact I_q(x; z) (points), and their difference below, a column per arm.

    traces: arm -> trace; estimates: arm -> `lib.report.other_arms.estimates`; dotted, log N of the N = `images` images
    of the exact values.
    """
    figure, axes = plt.subplots(
        2, len(estimates), figsize=(7.2 if len(estimates) > 1 else 5.0, 4.0), sharex=True, sharey="row", squeeze=False,
        gridspec_kw={"height_ratios": [3, 2]},
    )  # fmt: skip
    for (upper, lower), (arm, pairs) in zip(axes.T, estimates.items(), strict=True):
        style = {"color": ARMS[arm].colour, "linestyle": ARMS[arm].line, "linewidth": 1.0}
        upper.plot(traces[arm]["step"], traces[arm][INFORMATION], label="estimate", **style)
        upper.plot(
            pairs["step"], pairs["exact"], "o", color=ARMS[arm].colour, markersize=4, markeredgecolor="white",
            label="exact",
        )  # fmt: skip
        upper.axhline(np.log(images), color=REFERENCE_COLOUR, linestyle=":", linewidth=1.2, label="log N")
        upper.set_title(ARMS[arm].label, color=ARMS[arm].colour)
        lower.axhline(0, color=REFERENCE_COLOUR, linewidth=0.8)
        lower.plot(pairs["step"], pairs["bias"], marker="o", markersize=3, **style)
        steps_axis(lower)
    axes[0, 0].set_ylabel(r"$I_q(x; z)$ (nats)")
    axes[0, 0].set_ylim(bottom=0)
    axes[1, 0].set_ylabel("bias: estimate\n− exact (nats)")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, handlelength=2.6)
    return figure
