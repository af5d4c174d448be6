"""What each latent of a measured run carries, read from its evaluation: the labels beside an explorer's sliders."""

import numpy as np
import pandas as pd

from lib.dsprites import FACTOR_NAMES
from lib.runs import Run, read_json


def latent_table(run: Run) -> pd.DataFrame:
    """One row per latent, largest KL first, so that the latents without information come last.

    Columns: latent (its number), kl (nats, mean over the images), factor (the one it knows most about), information
    (I(z; v) with that factor, nats).
    """
    measured = read_json(run.path / "evaluation.json")
    kl, information = np.array(measured["kl_latents"]), np.array(measured["information"])  # [J], [K, J]
    table = pd.DataFrame(
        {
            "latent": np.arange(len(kl)),
            "kl": kl,
            "factor": [FACTOR_NAMES[k].replace("_", " ") for k in information.argmax(0)],
            "information": information.max(0),
        }
    )
    return table.sort_values("kl", ascending=False, kind="stable", ignore_index=True)
