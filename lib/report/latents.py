"""What stands beside an explorer's sliders: what each latent of a measured run carries, factor values as text."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lib.dsprites import FACTOR_NAMES, FACTOR_VALUES, SHAPE_NAMES
from lib.files import read_json, reading
from lib.runs.run import Run

IN_USE = 0.1  # nats of KL above which a latent is said to be in use


def latent_table(run: Run) -> pd.DataFrame:
    """One row per latent, largest KL first, so that the latents without information come last.

    Columns: latent (its number), kl (nats, mean over the images), factor (the one it knows most about), information
    (I(z; v) with that factor, nats).
    """
    path = run.path / "evaluation.json"
    measured = read_json(path, ("kl_latents", "information"))
    with reading(path):
        kl, information = (np.array(measured[name], dtype=float) for name in ("kl_latents", "information"))
        if kl.ndim != 1 or information.shape != (len(FACTOR_NAMES), len(kl)):  # [J], [K, J]
            raise ValueError("its information is not that of a run's latents")
    table = pd.DataFrame(
        {
            "latent": np.arange(len(kl)),
            "kl": kl,
            "factor": [FACTOR_NAMES[k].replace("_", " ") for k in information.argmax(0)],
            "information": information.max(0),
        }
    )
    return table.sort_values("kl", ascending=False, kind="stable", ignore_index=True)


def latent_labels(table: pd.DataFrame) -> list[str]:
    """What stands beside each row of traversals, in the table's order; nothing beside a latent that is not in use.

    table: `latent_table`.
    """
    return [f"{row.latent}: {row.kl:.1f}\n{row.factor}" if row.kl > IN_USE else "" for row in table.itertuples()]


def class_labels(factor: str, classes: Sequence[int]) -> list[str]:
    """A factor's classes by their values: heart, 0.52 or 37°."""
    if factor == "shape":
        return [SHAPE_NAMES[c] for c in classes]
    values = FACTOR_VALUES[factor][list(classes)]
    return [f"{v:.0f}°" for v in np.degrees(values)] if factor == "orientation" else [f"{v:.2f}" for v in values]
