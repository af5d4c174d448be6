"""The figures of what was reached at a given KL: pressure, MIG and reconstruction, all arms in one."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.arms import ARMS
from lib.report.figures.style import MARKERS, REFERENCE_COLOUR, arm_legend, at_the_edge, legend_height, logarithmic
from lib.report.tradeoff import AT

MEASURES = {"mig_four": "MIG, four factors", "reconstruction": "reconstruction loss\n(nats per image)"}


def beta_against_kl(windows: Mapping[str, list[pd.DataFrame]], pressures: pd.DataFrame) -> Figure:
    """Left beta against KL, one line per run; right beta against the measured slope -dD/dKL, one point per run and KL.

    windows: arm -> `settled_windows` of its runs; pressures: `lib.report.tradeoff.pressures`. Both betas are on a
    logarithmic scale; on the right the diagonal is where beta is the slope.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.0), width_ratios=[1.4, 1])
    for arm, frames in windows.items():
        for frame in frames:
            _by_kl(left, frame, "beta", arm)
        of_arm = pressures[pressures["arm"] == arm]
        for kl, marker in zip(AT, "o^s", strict=True):
            right.plot(
                of_arm[f"slope_{kl:g}"], of_arm[f"beta_{kl:g}"], marker, color=ARMS[arm].colour, markersize=4, alpha=0.8
            )
    for kl in AT:
        left.axvline(kl, color=REFERENCE_COLOUR, linestyle=":", linewidth=0.8)
    left.set_xlabel("KL (nats per image)")
    left.set_ylabel("β")
    known = pressures[[f"{name}_{kl:g}" for name in ("beta", "slope") for kl in AT]].to_numpy(dtype=float)
    if np.isfinite(known).any():
        ends = np.nanmin(known) / 1.2, np.nanmax(known) * 1.2
        right.plot(ends, ends, color=REFERENCE_COLOUR, linestyle="--", linewidth=1)
    right.set_xlabel("measured slope −dD/dKL")
    right.set_ylabel("β")
    handles = [
        plt.Line2D([], [], marker=marker, linestyle="", color=REFERENCE_COLOUR, markersize=4, label=f"{kl:g} nats")
        for kl, marker in zip(AT, "o^s", strict=True)
    ]
    right.legend(handles=handles, loc="upper left", title="at a KL of")
    logarithmic(left.yaxis, right.xaxis, right.yaxis)
    arm_legend(figure, windows)
    return figure


def at_kl(
    snapshots: Mapping[str, list[pd.DataFrame]],
    windows: Mapping[str, list[pd.DataFrame]],
    stacked: bool = False,
) -> Figure:
    """MIG and reconstruction loss against the KL, a panel each: points are weight snapshots, larger the last one.

    snapshots: arm -> tables `with_reconstruction`, one per seed; windows: arm -> `settled_windows`, the lines of the
    reconstruction loss; stacked: one panel below the other, for many arms. Snapshots from before training settled are
    left out. Of a sampler, whose loss nothing made small, the last one's is written at the upper edge.
    """
    rows, columns, height = (2, 1, 6.0) if stacked else (1, 2, 3.0)
    figure, axes = plt.subplots(rows, columns, sharex=stacked, figsize=(7.2, height + legend_height(snapshots)))
    for axis, column in zip(axes, MEASURES, strict=True):
        for arm, frames in snapshots.items():
            if ARMS[arm].sampler and column == "reconstruction":
                for frame in frames:
                    at_the_edge(axis, frame["kl"].iloc[-1], frame[column].iloc[-1], arm)
                continue
            for every, settled in zip(frames, windows[arm], strict=True):
                frame = every[every["step"] >= settled["step"].min()] if len(settled) else every
                _by_kl(axis, settled if column in settled else frame, column, arm)
                marker = MARKERS[ARMS[arm].line]
                axis.plot(frame["kl"], frame[column], marker, color=ARMS[arm].colour, markersize=2.5)
                axis.plot(
                    frame["kl"].iloc[-1], frame[column].iloc[-1], marker, color=ARMS[arm].colour, markersize=6,
                    markeredgecolor="white",
                )  # fmt: skip
        axis.set_ylabel(MEASURES[column])
        if column == "reconstruction":
            logarithmic(axis.yaxis)
        else:
            axis.set_ylim(bottom=0)
    for axis in axes[-1:] if stacked else axes:
        axis.set_xlabel("KL (nats per image)")
    arm_legend(figure, snapshots, points=True)
    return figure


def _by_kl(axis: Axes, frame: pd.DataFrame, column: str, arm: str) -> None:
    style = {"color": ARMS[arm].colour, "linestyle": ARMS[arm].line}
    axis.plot(frame["kl"], frame[column], linewidth=0.9, alpha=0.8, **style)
