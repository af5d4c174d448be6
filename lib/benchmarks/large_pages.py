"""What memory in large pages saves: `python -m lib.benchmarks.large_pages` (minutes; Linux with glibc 2.35 or newer).

The same training once with the variable that the Makefile sets, by which glibc asks for pages of 2 MiB, and once
without it, in processes that take turns. Writes results/benchmarks/large_pages.csv and large_pages.json.
"""

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pandas as pd
import torch
from tqdm import tqdm

from lib.benchmarks.results import DIRECTORY, last, medians, origin, save
from lib.files import ROOT
from lib.refusal import Parser, Refusal
from lib.report.effects import COMPARED

VARIABLE, LARGE = "GLIBC_TUNABLES", "glibc.malloc.hugetlb=1"
KERNEL = Path("/sys/kernel/mm/transparent_hugepage/enabled")
PRECISION, BATCH, STEPS, ROUNDS, WARM_UP = "bfloat16", 64, 25, 15, 5

# Trains as many steps as each line of its input says, and answers with the seconds that they took.
_WORKER = """
import sys, time
import numpy as np, torch
from lib.data.dataset import Dataset
from lib.dsprites import render_packed
from lib.runs.profiles import load_profile
from lib.training.device import reproducible
from lib.training.engine import Engine
from lib.training.lockstep import Lockstep
arm, precision, batch = sys.argv[1], sys.argv[2], int(sys.argv[3])
data = Dataset(torch.from_numpy(render_packed(np.arange(6_400))), "", "rendered")
config = load_profile("paper").training_config(arm, 1, precision=precision, device="cpu", batch_size=batch)
lockstep = Lockstep([Engine(config, data)])
with reproducible(1, False):
    for line in sys.stdin:
        started = time.perf_counter()
        lockstep.run(int(line))
        print(time.perf_counter() - started, flush=True)
"""


def check() -> None:
    """Raises Refusal where both workers would get the same pages, as where the kernel gives large ones unasked."""
    found = KERNEL.read_text().strip() if KERNEL.exists() else "nothing"
    library, version = platform.libc_ver()
    if "[madvise]" not in found or library != "glibc" or tuple(map(int, version.split(".")[:2])) < (2, 35):
        raise Refusal(
            f"This machine has {found} in {KERNEL} and {library or 'no glibc'} {version}; large pages are timed on "
            "Linux with [madvise] there and glibc 2.35 or newer."
        )


@contextmanager
def worker(arm: str, batch: int, variable: str) -> Iterator[subprocess.Popen]:
    """A process that trains, with this value of VARIABLE; it ends with the context."""
    process = subprocess.Popen(
        [sys.executable, "-c", _WORKER, arm, PRECISION, str(batch)], cwd=ROOT, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True, env=os.environ | {VARIABLE: variable},
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


def compare(steps: int = STEPS, rounds: int = ROUNDS, batch: int = BATCH) -> pd.DataFrame:
    """One row per arm: medians over rounds in which both took turns, and their ratio."""
    rows = []
    for arm in COMPARED:
        with worker(arm, batch, LARGE) as large, worker(arm, batch, "") as small:
            for each in (large, small):
                seconds(each, WARM_UP)
            turns = []
            for count in tqdm(range(rounds), desc=arm):
                order = (large, small) if count % 2 else (small, large)
                turns.append({each: 1e3 * seconds(each, steps) / steps for each in order})
        took = pd.DataFrame(turns)
        rows.append({"arm": arm} | medians(took[large], took[small], "small_pages"))
    return pd.DataFrame(rows)


def finding() -> str:
    """A sentence of what large_pages.csv holds."""
    table, record, where = last("large_pages")
    low, high = table["ratio"].min(), table["ratio"].max()
    return (
        f"With memory in pages of 2 MiB, for which the Makefile asks by `{VARIABLE}={LARGE}`, a step in "
        f"{record['precision']} took {low:.2f} to {high:.2f} of the time that it takes with small ones; {where}."
    )


def main() -> None:
    Parser(description=__doc__.splitlines()[0]).parse_args()
    try:
        check()
    except Refusal as error:
        sys.exit(str(error))
    record = origin(torch.device("cpu"))
    table = compare()
    settings = {"precision": PRECISION, "batch_size": BATCH, "steps": STEPS, "rounds": ROUNDS}
    save("large_pages", table, record | settings, DIRECTORY)
    print(table.to_string(index=False, float_format="%.4g"))


if __name__ == "__main__":
    main()
