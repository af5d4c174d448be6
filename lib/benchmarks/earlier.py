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
from pathlib import Path

import pandas as pd
import torch

from lib.benchmarks.results import DIRECTORY, origin, save
from lib.benchmarks.turns import in_turns, worker
from lib.files import ROOT
from lib.refusal import Parser, Refusal

ARMS, PRECISIONS = ("linear", "adaptive"), ("float32", "bfloat16")
STEPS, ROUNDS = 50, 15


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
            with worker(ROOT, arm, precision, batch) as now, worker(earlier, arm, precision, batch) as before:
                timed = in_turns(now, before, steps, rounds, f"{arm}, {precision}", "before")
            rows.append({"arm": arm, "precision": precision} | timed)
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
