"""Figures and tables of the benchmark notebook."""

from typing import Any

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from lib.report.figures import REFERENCE_COLOUR

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


def floors_table(record: dict[str, Any]) -> pd.DataFrame:
    """What a step of one run costs at least, a column per precision (cuda.json or cpu.json), as text."""
    floors = pd.DataFrame(record["floor"]).T
    return pd.DataFrame({
        "operations of the products (GFLOP)": (floors["operations"] / 1e9).map("{:.2f}".format),
        "rate of a large product (TFLOP/s)": floors["tflop_per_second_of_a_large_product"].map("{:.3g}".format),
        "→ ms": floors["ms_by_operations"].map("{:.3f}".format),
        "bytes (MB)": (floors["bytes"] / 1e6).map("{:.0f}".format),
        "rate of a large copy (GB/s)": floors["gigabyte_per_second_of_a_large_copy"].map("{:.3g}".format),
        "→ ms ": floors["ms_by_bytes"].map("{:.3f}".format),
        "launches": floors["launches"].map("{:.0f}".format),
        "of them controller and capacity": floors["launches_of_the_control"].map("{:.0f}".format),
        "the smallest kernel (µs)": floors["microseconds_of_the_smallest_kernel"].map("{:.2f}".format),
        "→ ms  ": floors["ms_by_launches"].map("{:.3f}".format),
    }).T  # fmt: skip


def loops_table(table: pd.DataFrame) -> pd.DataFrame:
    """How fast each loop trains, a row per case (cuda.csv or cpu.csv), as text."""
    return pd.DataFrame({
        "precision": table["precision"],
        "loop": table["loop"],
        "runs": table["runs"],
        "deterministic": table["deterministic"].map({True: "yes", False: "no"}),
        "ms per step of all runs": table["ms_per_step"].map("{:.3f}".format),
        "steps per second, summed": table["steps_per_second"].map("{:,.0f}".format),
        "speed ÷ reference": table["ratio_to_reference"].map("{:.2f}".format),
        "× floor of a run": table["times_floor"].map("{:.2f}".format),
        "TFLOP/s": table["tflop_per_second"].map("{:.2f}".format),
        "share of matrix-product rate": table["share_of_product_rate"].map("{:.1%}".format),
        "memory held (MiB)": table["memory_held_mib"].map("{:.0f}".format, na_action="ignore").fillna(""),
    }).set_index(["precision", "loop", "runs", "deterministic"])  # fmt: skip
