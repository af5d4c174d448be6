"""What bfloat16 does to training at the report's own size: the start of both arms, once in each precision.

    python -m lib.benchmarks.full_size_precision results/runs/paper/*seed1*

The four runs start from the same weights, batches and noise, and need not be finished: their first STEPS are compared.
Writes results/benchmarks/full_size_precision.csv and .json.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from lib.benchmarks.results import last, origin, save
from lib.refusal import Parser, Refusal
from lib.report.effects import COMPARED, number
from lib.runs.run import Run, segments_of
from lib.training.progress import checkpoint_and_trace

STEPS, WINDOW = 50_000, 500
VALUES = ("reconstruction", "kl", "beta", "capacity")
PRECISIONS = ("float32", "bfloat16")
FREE = ("arm", "precision", "snapshots", "checkpoint_every")  # settings in which the runs may differ


def recorded(run: Run) -> tuple[pd.DataFrame, np.ndarray, list[dict[str, Any]]]:
    """Trace, when C advanced (bool [steps]) and segments of a run, finished or not."""
    if run.complete:
        return run.trace(), run.advanced(), run.segments()
    checkpoint, trace = checkpoint_and_trace(run)
    return trace.frame(), np.concatenate(trace.advanced), segments_of(checkpoint)


def windows(trace: pd.DataFrame, steps: int, window: int) -> pd.DataFrame:
    """Means of VALUES over each window of the first steps of a trace, by the window's last step."""
    means = trace.set_index("step").loc[:steps, [f"{name}_mean" for name in VALUES]].set_axis(VALUES, axis=1)
    means = means.groupby((means.index - 1) // window).mean()
    return means.set_axis((means.index + 1) * window).rename_axis("step")


def compare(runs: list[Run], steps: int = STEPS, window: int = WINDOW) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The table of full_size_precision.csv, and the record beside it, of what was trained where.

    Raises Refusal unless there is one run of each of the two arms in each precision, with so many steps and the same
    settings but for FREE.
    """
    configs = {(run.config().arm, run.config().precision): run.config() for run in runs}
    wanted = [(arm, precision) for arm in COMPARED for precision in PRECISIONS]
    alike = {tuple((n, v) for n, v in each.as_mapping().items() if n not in FREE) for each in configs.values()}
    if len(runs) != len(wanted) or set(configs) != set(wanted) or len(alike) != 1:
        raise Refusal(
            f"Give one run of each of {' and '.join(COMPARED)} in each of {' and '.join(PRECISIONS)}, with the same "
            "settings."
        )
    config = configs[wanted[0]]
    if window % config.trace_every:
        raise Refusal(f"trace_every is {config.trace_every}; give runs whose traces have rows every {window} steps.")
    tables, decided, segments = {}, {}, {}
    for run in runs:
        key = run.config().arm, run.config().precision
        trace, decided[key], of_run = recorded(run)
        if trace["step"].max() < steps:
            raise Refusal(f"{run.path} has done {trace['step'].max():,} steps; train it for {steps:,}.")
        tables[key] = windows(trace, steps, window)
        segments[run.name] = [part for part in of_run if part["first_step"] <= steps]
    first = {}
    for arm in COMPARED:
        other = np.flatnonzero(decided[arm, "float32"][:steps] != decided[arm, "bfloat16"][:steps])
        first[arm] = int(other[0]) + 1 if len(other) else None
    table = pd.concat({key: tables[key] for key in wanted}, names=["arm", "precision"]).reset_index()
    sizes = {"steps": steps, "window": window, "of_steps": config.steps, "batch_size": config.batch_size}
    return table, sizes | {"first_other_decision": first, "segments": segments}


def differences(table: pd.DataFrame) -> pd.DataFrame:
    """What the trainings differ by, a column per value: bfloat16 from float32 in each arm, mean absolute difference of
    the windows; and adaptive less linear in each precision, mean over the last tenth of the windows.
    """
    means = table.pivot(index="step", columns=["precision", "arm"], values=list(VALUES)).swaplevel(0, 1, axis=1)
    exact, rounded = (means[precision] for precision in PRECISIONS)
    rows = {f"bfloat16 − float32, {arm}": (rounded - exact).abs().mean().xs(arm, level="arm") for arm in COMPARED}
    late = means.tail(len(means) // 10).mean()
    for precision in PRECISIONS:
        linear, adaptive = (late[precision].xs(arm, level="arm") for arm in COMPARED)
        rows[f"adaptive − linear, {precision}"] = adaptive - linear
    return pd.DataFrame(rows).T[list(VALUES)]


def trained_by(record: dict[str, Any]) -> str:
    """What trained the runs, in words: products, processor and commit, as far as they are known."""
    parts = [part for segments in record["segments"].values() for part in segments if "commit" in part]
    words = (
        f"{part.get('products', part['precision'])} on {part['hardware']['processor']} (commit {part['commit'][:7]})"
        for part in parts
    )
    return "; ".join(sorted(set(words)))


def finding() -> str:
    """Whether the arms differ in bfloat16 as they do in float32, in sentences."""
    table, record, _ = last("full_size_precision")
    exact, rounded = (differences(table).loc[f"adaptive − linear, {precision}"] for precision in PRECISIONS)
    changes = ((rounded - exact) / exact).abs()
    alike = changes.max() < 0.1
    verdict = "so that they differ alike in both. " if alike else "so that bfloat16 alters how they differ. "
    first = [
        f"In the {arm} arm C first advances in one precision and not in the other at step {step:,}. "
        for arm, step in record["first_other_decision"].items()
        if step
    ]
    return (
        f"Over the last tenth of these steps adaptive − linear is {number('+.3f')(exact['kl'])} nats of KL in float32 "
        f"and {number('+.3f')(rounded['kl'])} in bfloat16; of all four values it changes by {changes.max():.1%} at "
        f"most ({changes.idxmax()}), "
        + verdict
        + ("".join(first) or "C advances at the same steps in both. ")
        + "No second seed was run, so what chance does is not known here."
    )


def main() -> None:
    parser = Parser(prog="python -m lib.benchmarks.full_size_precision", description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, help="directories of the four runs, finished or not")
    try:
        table, record = compare([Run(path.resolve()) for path in parser.parse_args().runs])
    except ValueError as error:
        sys.exit(str(error))
    save("full_size_precision", table, origin(torch.device("cpu")) | record, digits="%.5g")
    print(differences(table).to_string(float_format="%.4g"))


if __name__ == "__main__":
    main()
