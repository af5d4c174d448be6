"""The figures of the information bottleneck: distortion and information against rate, and the estimate that steered."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from lib.arms import ARMS
from lib.objectives.seam import INFORMATION
from lib.report.figures.style import (
    MARKERS,
    REFERENCE_COLOUR,
    arm_legend,
    at_the_edge,
    legend_height,
    logarithmic,
    steps_axis,
)

RATES = {"kl": "R = KL (nats)", "mutual_information": r"R = $I_q(x; z)$ (nats)"}


def bottleneck(snapshots: Mapping[str, pd.DataFrame], entropy: float) -> Figure:
    """Of every snapshot D against R, R the KL (left) and I_q(x; z) (middle), and I_q(x; z) against the KL (right).

    snapshots: arm -> rows of snapshots.csv, the last one's point is larger; entropy: H(x) in nats of the images that
    they were measured on. Nothing can lie in the grey areas, below D + R = H(x) and above I = min(KL, H(x)). D is on a
    logarithmic scale; of a sampler, whose loss nothing made small, it is written at the edge. R ends a tenth beyond the
    largest last one.
    """
    figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.9 + legend_height(snapshots)))
    axes[1].sharey(axes[0])
    axes[1].tick_params(labelleft=False)
    panels = (("kl", "reconstruction"), ("mutual_information", "reconstruction"), ("kl", "mutual_information"))
    ends = {rate: 1.1 * max(frame[rate].iloc[-1] for frame in snapshots.values()) for rate in RATES}
    for axis, (rate, value) in zip(axes, panels, strict=True):
        for arm, frame in snapshots.items():
            if ARMS[arm].sampler and value == "reconstruction":
                at_the_edge(axis, frame[rate].iloc[-1], frame[value].iloc[-1], arm)
                continue
            style = {"color": ARMS[arm].colour, "marker": MARKERS[ARMS[arm].line], "alpha": 0.8}
            axis.plot(frame[rate], frame[value], ls=ARMS[arm].line, markersize=2.5, linewidth=0.9, **style)
            axis.plot(
                frame[rate].iloc[-1], frame[value].iloc[-1], ls="", markersize=6, markeredgecolor="white", **style
            )
        axis.set_xlabel(RATES[rate])
        axis.set_xlim(0, ends[rate])

    bound, grey = (
        {"color": REFERENCE_COLOUR, "linestyle": "--", "linewidth": 1.2},
        {"color": REFERENCE_COLOUR, "alpha": 0.15},
    )
    losses = [frame["reconstruction"].min() for arm, frame in snapshots.items() if not ARMS[arm].sampler]
    bottom = min([*losses, entropy]) / 2
    rates = np.linspace(0, entropy, 200)
    for axis in axes[:2]:
        axis.plot(rates, entropy - rates, **bound)
        axis.fill_between(rates, entropy - rates, bottom / 10, **grey)
    axes[0].annotate(
        "D + R = H(x)", (0, entropy), xytext=(4, 4), textcoords="offset points", color=REFERENCE_COLOUR, fontsize=8
    )
    axes[0].set_ylabel("D = reconstruction loss\n(nats per image)")
    logarithmic(axes[0].yaxis)
    axes[0].set_ylim(bottom=bottom)

    top = max(1.15 * entropy, ends["mutual_information"])
    rates = np.linspace(0, ends["kl"], 200)
    axes[2].plot(rates, np.minimum(rates, entropy), **bound)
    axes[2].fill_between(rates, np.minimum(rates, entropy), top, **grey)
    axes[2].annotate(
        "I = H(x)", (0, entropy), xytext=(4, 4), textcoords="offset points", color=REFERENCE_COLOUR, fontsize=8
    )
    axes[2].set_ylabel(r"I = $I_q(x; z)$ (nats)")
    axes[2].set_ylim(0, top)
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
