"""What memory in large pages saves: `python -m lib.benchmarks.large_pages` (minutes; Linux with glibc 2.35 or newer).

The same training once with the variable that the Makefile sets, by which glibc asks for pages of 2 MiB, and once
without it, in processes that take turns. Writes results/benchmarks/large_pages.csv and large_pages.json.
"""

import platform
import sys
from pathlib import Path

import pandas as pd
import torch

from lib.benchmarks.results import DIRECTORY, last, origin, save
from lib.benchmarks.turns import in_turns, worker
from lib.files import ROOT
from lib.refusal import Parser, Refusal
from lib.report.effects import COMPARED

VARIABLE, LARGE = "GLIBC_TUNABLES", "glibc.malloc.hugetlb=1"
KERNEL = Path("/sys/kernel/mm/transparent_hugepage/enabled")
PRECISION, BATCH, STEPS, ROUNDS = "bfloat16", 64, 25, 15


def check() -> None:
    """Raises Refusal where both workers would get the same pages, as where the kernel gives large ones unasked."""
    found = KERNEL.read_text().strip() if KERNEL.exists() else "nothing"
    library, version = platform.libc_ver()
    if "[madvise]" not in found or library != "glibc" or tuple(map(int, version.split(".")[:2])) < (2, 35):
        raise Refusal(
            f"This machine has {found} in {KERNEL} and {library or 'no glibc'} {version}; large pages are timed on "
            "Linux with [madvise] there and glibc 2.35 or newer."
        )


def compare(steps: int = STEPS, rounds: int = ROUNDS, batch: int = BATCH) -> pd.DataFrame:
    """One row per arm: medians over rounds in which both took turns, and their ratio."""
    rows = []
    for arm in COMPARED:
        with (
            worker(ROOT, arm, PRECISION, batch, {VARIABLE: LARGE}) as large,
            worker(ROOT, arm, PRECISION, batch, {VARIABLE: ""}) as small,
        ):
            rows.append({"arm": arm} | in_turns(large, small, steps, rounds, arm, "small_pages"))
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
