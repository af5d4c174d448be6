"""The search for the settings of a miniature: trial runs held against a rule that was written before any MIG was seen.

    python -m lib.evaluation.trials results/runs/trials/*

Adds one row per complete run to results/trials.csv: the settings that differ from the profile `paper`, the precision,
what the rule looks at, and whether the run passes. Nothing here measures disentanglement.

The rule. Settings are the same for all arms, and fit a miniature if in the linear and in the adaptive arm
1. the run is damped at its end (`lib.evaluation.stability`),
2. C has left its start: it is more than 1 nat above C(0) after half of training,
3. beta is above beta_min in at least half of the steps,
4. the KL is within 0.3 nats of C on average: |mean of KL - C| over windows of 1% of training, averaged over windows
   (single batches are 0.2 nats off by the choice of images alone).
Of settings that fit, those with the largest C_max are taken, then those that depart least from the report's.
"""

import sys
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from lib.data import dataset
from lib.data.dataset import Dataset
from lib.evaluation.posteriors import check_measurable, encode_images, evaluation_grid
from lib.evaluation.stability import stability
from lib.files import RESULTS
from lib.model import kl_per_image
from lib.progress import Progress
from lib.recorded_tables import read_recorded, write_recorded
from lib.refusal import Parser
from lib.runs.profiles import load_profile
from lib.runs.run import Run
from lib.training.layers import FORWARD

LEFT_START, LEAST_SHARE, MOST_LAG = 1.0, 0.5, 0.3  # of points 2, 3 and 4
UNRELATED = ("trace_every", "snapshots", "checkpoint_every")  # settings that no result depends on
TABLE = RESULTS / "trials.csv"


def kl_of_images(run: Run, data: Dataset) -> Tensor:
    """KL of every image under the run's final weights [N], nats.

    Raises ValueError where the run is not complete, or was trained on other data.
    """
    check_measurable(run, data)
    indices, _ = evaluation_grid(1)
    with Progress(total=len(indices), desc=run.name, unit="image", unit_scale=True) as bar:
        mean, logvar = encode_images(run.load_model(layers=FORWARD), data, indices, 64, bar)
    return kl_per_image(mean.double(), logvar.double())


def trial(run: Run, kl: Tensor) -> dict[str, Any]:
    """A complete run's row; kl: of every image [N], nats."""
    config, trace, summary = run.config(), run.trace(), run.record()["summary"]
    found = stability(summary, kl.mean().item(), kl.std().item(), config.batch_size)
    windows = (trace["kl_mean"] - trace["capacity_mean"]).groupby((trace["step"] - 1) * 100 // config.steps).mean()
    halfway = trace.loc[trace["step"] <= config.steps / 2, "capacity"].iloc[-1]
    lag, share = windows.abs().mean(), 1 - summary["share_at_beta_min"]
    paper = load_profile("paper").training
    settings = {
        name: value for name, value in config.as_mapping().items()
        if name == "precision" or paper.get(name, value) != value
    }  # fmt: skip
    return {
        "run": run.name,
        "arm": config.arm,
        "seed": config.seed,
        "settings": ", ".join(f"{name} = {value}" for name, value in settings.items() if name not in UNRELATED),
        "kl_off": found.kl_off,
        "kl_spread": found.kl_spread,
        "kl_spread_at_rest": found.kl_spread_at_rest,
        "capacity_halfway": halfway,
        "share_above_beta_min": share,
        "kl_to_capacity": lag,
        "final_kl": summary["kl_last_percent"],
        "passes": bool(
            found.damped and halfway > config.c_start + LEFT_START and share >= LEAST_SHARE and lag <= MOST_LAG
        ),
    }


def main() -> None:
    parser = Parser(prog="python -m lib.evaluation.trials", description="Hold trial runs against the rule.")
    parser.add_argument("runs", nargs="+", type=Path, help="directories of complete runs")
    runs = [Run(path) for path in parser.parse_args().runs]
    try:
        for run in runs:
            run.record()  # before any work
        before = read_recorded(TABLE)[0] if TABLE.exists() else None
        data = dataset.load(dataset.ensure("rendered"))
        rows = pd.DataFrame([trial(run, kl_of_images(run, data)) for run in runs])
    except ValueError as error:
        sys.exit(str(error))
    if before is not None:
        rows = pd.concat([before, rows]).drop_duplicates("run", keep="last")
    write_recorded(TABLE, rows.sort_values("run", ignore_index=True), {}, "%.6g")
    print(rows.drop(columns="settings").to_string(index=False))


if __name__ == "__main__":
    main()
