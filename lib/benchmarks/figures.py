"""Figures and tables of the benchmark notebook."""

from typing import Any

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from lib.arms import ARMS
from lib.report.figures.style import steps_axis

PANELS = {
    "reconstruction": "reconstruction loss\n(nats per image)",
    "kl": "KL (nats per image)",
    "beta": r"$\beta(t)$",
    "capacity": "capacity C(t)\n(nats per image)",
}


def full_size_traces(table: pd.DataFrame) -> Figure:
    """Reconstruction loss, KL, beta and C of both arms over the steps: float32 wide and pale, bfloat16 thin on it.

    table: full_size_precision.csv.
    """
    figure, axes = plt.subplots(2, 2, figsize=(7.2, 4.6), sharex=True)
    looks = {"float32": {"linewidth": 3.5, "alpha": 0.35}, "bfloat16": {"linewidth": 0.9}}
    for axis, (column, label) in zip(axes.flat, PANELS.items(), strict=True):
        for (arm, precision), rows in table.groupby(["arm", "precision"], sort=False):
            name = f"{ARMS[arm].label}, {precision}"
            axis.plot(rows["step"], rows[column], color=ARMS[arm].colour, label=name, **looks[precision])
        axis.set(ylabel=label)
        axis.set_ylim(bottom=0)
    for axis in axes[1]:
        steps_axis(axis)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return figure


def floors_table(record: dict[str, Any]) -> pd.DataFrame:
    """What a step of one run costs at least, a column per precision (cuda.json or cpu.json)."""
    return _read(pd.DataFrame(record["floor"]))


def loops_table(table: pd.DataFrame) -> pd.DataFrame:
    """How fast each loop trains, a row per case (cuda.csv or cpu.csv)."""
    cases = table.set_index(["precision", "loop", "runs", "deterministic"])
    return _read(cases.dropna(axis="columns", how="all").T).T


def _read(numbers: pd.DataFrame) -> pd.DataFrame:
    """The table to be read: four digits of every number, and words between the rows' names."""
    return numbers.map("{:,.4g}".format).rename(index=lambda name: name.replace("_", " "))
