"""Figures of the benchmark notebook."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from lib.figures import REFERENCE_COLOUR

# Trainings are told apart by colours that no arm has, and by their lines.
STYLES = {
    "float32": {"color": "black", "linestyle": "-", "linewidth": 1.2},
    "tf32": {"color": "#009E73", "linestyle": "-.", "linewidth": 1.1},
    "bfloat16": {"color": "#CC79A7", "linestyle": "-", "linewidth": 1.1},
    "float32, seed 2": {"color": REFERENCE_COLOUR, "linestyle": ":", "linewidth": 1.1},
}


def precision_traces(table: pd.DataFrame) -> Figure:
    """Reconstruction loss, KL, beta and C over the steps, one line per training (results/benchmarks/precision.csv)."""
    panels = {
        "reconstruction": "reconstruction loss\n(nats per image)",
        "kl": "KL (nats per image)",
        "beta": r"$\beta(t)$",
        "capacity": "capacity C(t)\n(nats per image)",
    }
    figure, axes = plt.subplots(2, 2, figsize=(7.2, 4.6), sharex=True)
    for axis, (column, label) in zip(axes.flat, panels.items(), strict=True):
        for training, frame in table.groupby("training", sort=False):
            axis.plot(frame["step"], frame[column], label=training, **STYLES[training])
        axis.set_ylabel(label)
        axis.margins(x=0.01)
    axes[0, 0].set_yscale("log")
    axes[0, 0].legend(frameon=True)
    for axis in axes[1]:
        axis.set_xlabel("training step")
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    return figure
