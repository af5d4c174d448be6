"""What the precision does to a training's trace: `python -m lib.benchmarks.precision` (4 minutes on two cores).

The adaptive arm of the profile `laptop`, whose decisions feed back on themselves, for its first steps: in each
precision from the same seed, and in float32 from another seed as a yardstick. Writes results/benchmarks/precision.csv
and precision.json.
"""

from concurrent.futures import ProcessPoolExecutor
from itertools import repeat

import numpy as np
import pandas as pd
import torch
from torch.multiprocessing import get_context

from lib.benchmarks.results import origin, save
from lib.data import dataset
from lib.runs.profiles import load_profile
from lib.runs.settings import TrainingConfig
from lib.training.device import choose_device, reproducible
from lib.training.engine import Engine, trace_columns
from lib.training.lockstep import Lockstep

STEPS, WINDOW = 4_000, 20  # steps of each training, and of the means that are kept
COLUMNS = ["reconstruction", "kl", "beta", "capacity"]


def configurations(device: torch.device) -> dict[str, TrainingConfig]:
    """Name -> training: float32 first, the same seed in the other precisions of the device, then another seed."""
    profile, others = load_profile("laptop"), ("tf32", "bfloat16") if device.type == "cuda" else ("bfloat16",)
    trainings = {precision: profile.training_config("adaptive", 1, precision=precision) for precision in others}
    first, second = (profile.training_config("adaptive", seed, precision="float32") for seed in (1, 2))
    return {"float32": first, **trainings, "float32, seed 2": second}


def trace_of(config: TrainingConfig, data: dataset.Dataset, steps: int) -> np.ndarray:
    """The trace [steps, columns] of a training's first steps."""
    with reproducible(config.threads, config.precision == "tf32"):
        return Lockstep([Engine(config, data.to(choose_device(config.device)))]).run(steps)[0].cpu().numpy()


def summarise(traces: dict[str, np.ndarray], columns: list[str], window: int) -> tuple[pd.DataFrame, dict[str, dict]]:
    """Window means of COLUMNS for every training, and how far each is from the first one.

    traces: name -> [steps, columns]. Of each but the first: `first_other_decision`, the first step at which C advanced
    in one training and not in the other (None where there is none), and the mean absolute difference of window means.
    """
    tables = {
        name: pd.DataFrame(trace, columns=columns)[COLUMNS].groupby(np.arange(len(trace)) // window).mean()
        for name, trace in traces.items()
    }
    (first, reference), *others = tables.items()
    advanced = columns.index("advanced")
    differences = {}
    for name, table in others:
        differs = traces[name][:, advanced] != traces[first][:, advanced]
        differences[name] = {
            "first_other_decision": int(differs.argmax()) + 1 if differs.any() else None,
            **(table - reference).abs().mean().to_dict(),
        }
    for table in tables.values():
        table.insert(0, "step", window * (table.index + 1))
    return pd.concat(tables, names=["training"]).reset_index(level=0).reset_index(drop=True), differences


def main() -> None:
    data = dataset.load(dataset.ensure())
    device = choose_device("auto")
    record = origin(device)
    trainings = configurations(device)
    workers = 1 if device.type == "cuda" else 2
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        traces = dict(zip(trainings, pool.map(trace_of, trainings.values(), repeat(data), repeat(STEPS)), strict=True))
    table, differences = summarise(traces, trace_columns(trainings["float32"].latents), WINDOW)
    settings = {"steps": STEPS, "window": WINDOW, "config": trainings["float32"].as_mapping()}
    save("precision", table, record | settings | {"differences_to_float32": differences}, digits="%.6g")
    print(pd.DataFrame(differences).T.to_string(float_format="%.3g"))


if __name__ == "__main__":
    main()
