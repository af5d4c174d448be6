"""The figures of whole runs: their traces, their scores beside the report's, and the toy plant's answer."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from lib.arms import ARMS
from lib.report.effects import half_width
from lib.report.figures.style import REFERENCE_COLOUR, arm_legend, logarithmic, steps_axis

# Panels of `traces`: a column of the trace, what its axis says, and what else is dashed in it, with what that adds.
_PANELS = (
    ("reconstruction_mean", "reconstruction loss", "\n(nats per image)", None, ""),
    ("kl_mean", "KL", "\n(nats per image)", "capacity", ", and C dashed"),
    ("beta_mean", "β(t)", "", None, ""),
    ("capacity", "capacity C(t)", "\n(nats per image)", None, ""),
    ("generator_loss_mean", "loss of G", "\n(nats per sample)", "discriminator_loss_mean", ", and of D dashed"),
    ("code_information_mean", "bound of I(c; G(z))", "\n(nats)", None, ""),
)
_LOGARITHMIC = ("reconstruction_mean", "beta_mean")


def traces(runs: dict[str, list[pd.DataFrame]]) -> Figure:
    """Figure 1 of the report: reconstruction loss, KL, beta and C over the steps, one line per run, per arm a colour.

    runs: arm -> traces (`lib.runs.run.Run.trace`), one per seed, the first with the thicker line. Lines but that of C
    are means over about 1/200 of the training, as single batches scatter. Panels that no run fills are left out;
    those of a sampler show its own losses. What is dashed is of the first run.
    """

    def filled(name: str | None) -> bool:
        return any(name in frame and frame[name].notna().any() for frames in runs.values() for frame in frames)

    panels = [panel for panel in _PANELS if filled(panel[0])]
    rows = -(-len(panels) // 2)
    figure, axes = plt.subplots(rows, 2, figsize=(7.2, 0.4 + 2.2 * rows), sharex=True, squeeze=False)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    for place, (axis, (column, label, unit, dashed, beside)) in enumerate(zip(axes.flat, panels, strict=False)):
        for arm, frames in runs.items():
            for number, frame in enumerate(frames):
                style = {"linewidth": 1.3, "alpha": 1.0} if number == 0 else {"linewidth": 0.6, "alpha": 0.5}
                axis.plot(frame["step"], _smooth(frame, column), color=ARMS[arm].colour, **style)
            if filled(dashed):
                style = {"linestyle": "--", "linewidth": 0.8}
                axis.plot(frames[0]["step"], _smooth(frames[0], dashed), color=ARMS[arm].colour, **style)
        axis.set_ylabel(f"{label}{beside if filled(dashed) else ''}{unit}")
        axis.margins(x=0.01)
        if column in _LOGARITHMIC:
            logarithmic(axis.yaxis)
        if place + 2 >= len(panels):  # nothing stands below
            steps_axis(axis)
            axis.tick_params(labelbottom=True)
    arm_legend(figure, runs, solid=True)
    return figure


def _smooth(frame: pd.DataFrame, column: str) -> pd.Series:
    """The column, of means its own means over 1/200 of the rows; missing values where there is no such column."""
    values = frame[column] if column in frame else pd.Series(np.nan, frame.index)
    return values.rolling(max(1, len(frame) // 200), min_periods=1, center=True).mean() if "_mean" in column else values


def controls(runs: dict[str, list[pd.DataFrame]]) -> Figure:
    """C(t) of every control over that of the arm it controls for (`Arm.beside`), a panel each, one line per run.

    A panel is as wide as its control is long.

    runs: arm -> traces, one per seed. Raises ValueError where no control is among them beside its arm.
    """
    pairs = [(name, ARMS[name].beside) for name in runs if ARMS[name].beside in runs]
    if not pairs:
        raise ValueError("There is no control among these arms; draw the figure for a profile that has one.")
    columns = min(2, len(pairs))
    rows = -(-len(pairs) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(3.6 * columns, 0.5 + 2.0 * rows), sharey=True, squeeze=False)
    for axis in axes.flat[len(pairs) :]:
        axis.set_visible(False)
    for axis, (control, other) in zip(axes.flat, pairs, strict=False):
        for arm, width in ((other, 3.0), (control, 1.0)):
            for number, frame in enumerate(runs[arm]):
                style = {"linewidth": width, "alpha": 1.0} if number == 0 else {"linewidth": width / 2, "alpha": 0.5}
                axis.plot(frame["step"], frame["capacity"], color=ARMS[arm].colour, **style)
        axis.set_title(f"{ARMS[control].label} over {ARMS[other].label}")
        steps_axis(axis)
    for axis in axes[:, 0]:
        axis.set_ylabel("C(t) (nats per image)")
    arm_legend(figure, dict.fromkeys(arm for pair in pairs for arm in reversed(pair)), solid=True)
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
            moving = (table.loc[ours.index, "at_rest"] == False).to_numpy()  # noqa: E712  missing is neither
            axis.plot(ours[moving], spread[moving], "o", color=ARMS[arm].colour, mfc="white", markersize=3.5)
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
        "not at rest": ("o", "white"),
        **({"mean, 95% interval": ("|", REFERENCE_COLOUR)} if table["arm"].duplicated().any() else {}),
        "the report": ("D", "none"),
    }
    handles = [
        plt.Line2D([], [], marker=marker, linestyle="", mfc=face, color=REFERENCE_COLOUR, label=name)
        for name, (marker, face) in kinds.items()
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=4)  # inside, it would cover runs
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
