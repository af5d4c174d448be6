"""How far long trainings are, kept beside what is published: a row per checkpoint that was looked at.

    python -m lib.training.progress results/runs/paper/*seed1*
    python -m lib.training.progress results/runs/paper/*seed1* --at 200000 800000   of complete runs, at these steps

Adds to results/published/<profile>/progress.csv, with <profile> the name of the runs' folder.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lib.arms import objective_of
from lib.files import RESULTS, reading
from lib.recorded_tables import read_recorded, write_recorded
from lib.refusal import Parser, Refusal
from lib.runs.run import CHECKPOINT_REMEDY, Run, segments_of
from lib.training.engine import trace_columns
from lib.training.trace import Trace

MEANS = ("reconstruction", "kl", "beta", "capacity")


def checkpoint_and_trace(run: Run) -> tuple[dict[str, Any], Trace]:
    """An unfinished run's checkpoint and the trace in it; raises Refusal where there is none."""
    state, config = run.load_checkpoint() if run.checkpoint.exists() else None, run.config()
    trace = Trace(config, trace_columns(config.latents, objective_of(config.arm, config).columns))
    if state is not None:
        with reading(run.checkpoint, CHECKPOINT_REMEDY):
            trace.load_state_dict(state["trace"])
            int(state["engine"]["step"]), float(state["seconds"])
    if not len(trace.rows[0]):
        raise Refusal(
            f"{run.path} holds no checkpoint with a trace; give the directory of a run that is being trained."
        )
    return state, trace


def progress(run: Run) -> dict[str, Any]:
    """One row on an unfinished run, from its checkpoint: means over the last window of its trace, and hours.

    `hours_left` is for the speed of the last process that made a step. Raises Refusal where there is none.
    """
    (state, trace), config = checkpoint_and_trace(run), run.config()
    step = state["engine"]["step"]
    last = segments_of(state)[-1]
    per_step = last["seconds"] / (last["last_step"] - last["first_step"] + 1)
    return {
        "run": run.name,
        "step": step,
        "steps": config.steps,
        **means_of(trace.frame().iloc[-1]),
        "share_frozen": trace.sums.get("frozen", 0) / step,
        "locked_at": trace.locked_at,
        "hours": state["seconds"] / 3600,
        "hours_left": per_step * (config.steps - step) / 3600,
    }


def progress_at(run: Run, step: int) -> dict[str, Any]:
    """The same of a complete run as it was at a step, from its trace and its segments, and without a forecast.

    Raises Refusal where the run is not complete, or its trace has no such step.
    """
    if not run.complete:
        raise Refusal(f"{run.path} holds no complete run; leave --at away, and its checkpoint is looked at.")
    trace, segments, locked_at = run.trace(), run.segments(), run.record()["summary"].get("locked_at")
    past = trace[trace["step"] <= step]
    if past.empty or past["step"].iloc[-1] != step:
        every = trace["step"].iloc[0]
        raise Refusal(
            f"The trace of {run.path} has no step {step}; give a multiple of {every} up to {len(trace) * every}."
        )
    seconds = sum(
        each["seconds"] * np.clip((step - each["first_step"] + 1) / (each["last_step"] - each["first_step"] + 1), 0, 1)
        for each in segments
    )
    return {
        "run": run.name,
        "step": step,
        "steps": run.config().steps,
        **means_of(past.iloc[-1]),
        "share_frozen": past["frozen_mean"].mean(),
        "locked_at": locked_at if locked_at is not None and locked_at <= step else None,
        "hours": seconds / 3600,
        "hours_left": None,
    }


def means_of(window: pd.Series) -> dict[str, float | None]:
    """The means of a row of a trace that a row on progress holds; None for what the objective does not record."""
    return {name: window.get(f"{name}_mean") for name in MEANS}


def add_progress(path: Path, rows: list[dict[str, Any]], replace: bool = True) -> pd.DataFrame:
    """Add rows to the table at `path`, in place of those of the same run and step or, without `replace`, beside them.

    Returns the table.
    """
    table = pd.DataFrame(rows)
    if path.exists():
        keep = "last" if replace else "first"
        table = pd.concat([read_recorded(path)[0], table]).drop_duplicates(["run", "step"], keep=keep)
    table = table.sort_values(["step", "run"], ignore_index=True)
    write_recorded(path, table, {}, "%.6g")
    return table


def main() -> None:
    parser = Parser(prog="python -m lib.training.progress", description="Note how far trainings are.")
    parser.add_argument("runs", nargs="+", type=Path, help="directories of runs of one profile")
    parser.add_argument("--at", nargs="+", type=int, metavar="STEP", help="steps of complete runs")
    arguments = parser.parse_args()
    runs = [Run(path.resolve()) for path in arguments.runs]
    table = RESULTS / "published" / runs[0].path.parent.name / "progress.csv"
    try:
        if arguments.at:
            rows = [progress_at(run, step) for run in runs for step in arguments.at]
        else:
            rows = [progress(run) for run in runs]
    except ValueError as error:
        sys.exit(str(error))
    print(add_progress(table, rows, replace=not arguments.at).to_string(index=False))  # what was noted then stays


if __name__ == "__main__":
    main()
