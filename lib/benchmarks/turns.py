"""Two ways to train timed side by side: each in a process of its own, taking turns."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pandas as pd
from tqdm import tqdm

WARM_UP = 5  # steps

# Trains as many steps as each line of its input says, and answers with the seconds that they took. It uses only what
# every commit to compare with has.
_WORKER = """
import dataclasses, sys, time
import numpy as np, torch
from lib.data.dataset import Dataset
from lib.dsprites import render_packed
from lib.runs.profiles import load_profile
from lib.training.device import reproducible
from lib.training.engine import Engine
from lib.training.lockstep import Lockstep
arm, precision, batch = sys.argv[1], sys.argv[2], int(sys.argv[3])
packed = torch.from_numpy(render_packed(np.arange(6_400)))
data = Dataset(packed, *[""] * (len(dataclasses.fields(Dataset)) - 1))  # whatever else a commit wants to know of it
config = load_profile("paper").training_config(arm, 1, precision=precision, device="cpu", batch_size=batch)
lockstep = Lockstep([Engine(config, data)])
with reproducible(1, False):
    for line in sys.stdin:
        started = time.perf_counter()
        lockstep.run(int(line))
        print(time.perf_counter() - started, flush=True)
"""


@contextmanager
def worker(
    tree: Path, arm: str, precision: str, batch: int, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen]:
    """A process that trains with the code in `tree`; it ends with the context.

    environment: variables beside those of this process, or in their place.
    """
    command = [sys.executable, "-c", _WORKER, arm, precision, str(batch)]
    process = subprocess.Popen(
        command, cwd=tree, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=os.environ | (environment or {}),
    )  # fmt: skip
    try:
        yield process
    finally:
        with suppress(BrokenPipeError):
            process.stdin.close()
        process.wait()


def seconds(process: subprocess.Popen, steps: int) -> float:
    """What the worker needs for so many steps; raises RuntimeError where it ended."""
    with suppress(BrokenPipeError):
        print(steps, file=process.stdin, flush=True)
    answer = process.stdout.readline()
    if not answer:
        raise RuntimeError("A worker ended; its error stands above.")
    return float(answer)


def in_turns(
    first: subprocess.Popen, second: subprocess.Popen, steps: int, rounds: int, description: str, suffix: str
) -> dict[str, float]:
    """`medians` of the milliseconds per step of two workers that took turns; suffix: of the second."""
    for each in (first, second):
        seconds(each, WARM_UP)
    turns = []
    for count in tqdm(range(rounds), desc=description):
        order = (first, second) if count % 2 else (second, first)
        took = {each: 1e3 * seconds(each, steps) / steps for each in order}
        turns.append((took[first], took[second]))
    return medians(*(pd.Series(each) for each in zip(*turns, strict=True)), suffix)


def medians(first: pd.Series, second: pd.Series, suffix: str) -> dict[str, float]:
    """The columns of a benchmark of two, from the milliseconds per step in each round: medians, their ratio, quartiles.

    suffix: what follows `ms_per_step_` in the name of the second's.
    """
    ratios = first / second
    return {
        "ms_per_step": first.median(),
        f"ms_per_step_{suffix}": second.median(),
        "ratio": first.median() / second.median(),
        "lower_quartile": ratios.quantile(0.25),
        "upper_quartile": ratios.quantile(0.75),
    }
