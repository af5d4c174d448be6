"""Whether the engine is as fast as an earlier commit's: `python -m lib.benchmarks.earlier COMMIT` (minutes, a CPU's).

Both states of the code train the same arms, each arm, precision and state in a process of its own, and take turns. The
report's own two arms are compared with commit 9e3072f, the last one before the other methods came.
Writes results/benchmarks/earlier.csv and earlier.json.
"""

import io
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pandas as pd
import torch
from tqdm import tqdm

from lib.benchmarks.results import DIRECTORY, origin, save
from lib.files import ROOT
from lib.refusal import Parser, Refusal

ARMS, PRECISIONS = ("linear", "adaptive"), ("float32", "bfloat16")
STEPS, ROUNDS, WARM_UP = 50, 15, 5

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
def worker(tree: Path, arm: str, precision: str, batch: int) -> Iterator[subprocess.Popen]:
    """A process that trains with the code in `tree`; it ends with the context."""
    command = [sys.executable, "-c", _WORKER, arm, precision, str(batch)]
    process = subprocess.Popen(command, cwd=tree, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
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


def check_out(commit: str, folder: Path) -> str:
    """Write a commit's lib and profiles into `folder`; returns its full name. Raises Refusal where there is none."""
    git = ["git", "-C", str(ROOT)]
    named = subprocess.run([*git, "rev-parse", "--verify", f"{commit}^{{commit}}"], capture_output=True, text=True)
    if named.returncode:
        raise Refusal(f"There is no commit {commit} here; name one that git log shows.")
    packed = subprocess.run([*git, "archive", commit, "lib", "profiles.toml"], capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    return named.stdout.strip()


def compare(earlier: Path, steps: int, rounds: int, batch: int = 64) -> pd.DataFrame:
    """One row per arm and precision: medians over rounds in which both states of the code took turns, and their ratio.

    earlier: a folder with the other state of the code.
    """
    rows = []
    for precision in PRECISIONS:
        for arm in ARMS:
            with ExitStack() as stack:
                now, before = (stack.enter_context(worker(tree, arm, precision, batch)) for tree in (ROOT, earlier))
                for each in (now, before):
                    seconds(each, WARM_UP)
                turns = []
                for count in tqdm(range(rounds), desc=f"{arm}, {precision}"):
                    order = (now, before) if count % 2 else (before, now)
                    took = {each: seconds(each, steps) / steps for each in order}
                    turns.append({"now": took[now], "before": took[before]})
            table = 1e3 * pd.DataFrame(turns)
            ratios = table["now"] / table["before"]
            rows.append({
                "arm": arm, "precision": precision, "ms_per_step": table["now"].median(),
                "ms_per_step_before": table["before"].median(),
                "ratio": table["now"].median() / table["before"].median(),
                "lower_quartile": ratios.quantile(0.25), "upper_quartile": ratios.quantile(0.75),
            })  # fmt: skip
    return pd.DataFrame(rows)


def main() -> None:
    parser = Parser(prog="python -m lib.benchmarks.earlier", description="Time two states of the code.")
    parser.add_argument("commit")
    commit = parser.parse_args().commit
    with tempfile.TemporaryDirectory() as folder:
        try:
            name = check_out(commit, Path(folder))
        except Refusal as error:
            sys.exit(str(error))
        record = origin(torch.device("cpu")) | {"before": name, "batch_size": 64, "steps": STEPS, "rounds": ROUNDS}
        table = compare(Path(folder), STEPS, ROUNDS)
    save("earlier", table, record, DIRECTORY)
    print(table.to_string(index=False, float_format="%.4g"))


if __name__ == "__main__":
    main()
