"""Large pages: they are asked for, timed beside small ones, and change no bit of a training."""

import os
import subprocess
import sys

import pandas as pd
import pytest
import torch

from lib.benchmarks import large_pages, results
from lib.files import ROOT

# Says that a step takes 3 seconds where the variable is set, 4 where it is not.
CLOCK = """
import os, sys
rate = 3 if os.environ.get("GLIBC_TUNABLES") else 4
for line in sys.stdin:
    print(rate * int(line), flush=True)
"""

TRAINED = """
import hashlib, sys
from pathlib import Path
import numpy as np, torch
from lib.data.dataset import Dataset
from lib.dsprites import render_packed
from lib.runs.profiles import load_profile
from lib.runs.run import Run
from lib.training.train import train
data = Dataset(torch.from_numpy(render_packed(np.arange(64))), "0" * 64, "few")
config = load_profile("paper").training_config("adaptive", 1, steps=4, trace_every=1, snapshots=0)
run = train(config, Run(Path(sys.argv[1])), data, progress=False)
print(hashlib.sha256((run.path / "weights.safetensors").read_bytes()).hexdigest())
"""


def test_both_take_turns(monkeypatch):
    monkeypatch.setenv(large_pages.VARIABLE, large_pages.LARGE)  # as under make: small pages are small all the same
    monkeypatch.setattr(large_pages, "_WORKER", CLOCK)
    table = large_pages.compare(steps=2, rounds=3)
    assert table["arm"].tolist() == ["linear", "adaptive"]
    assert table["ms_per_step"].tolist() == [3_000] * 2 and table["ms_per_step_small_pages"].tolist() == [4_000] * 2
    assert table["ratio"].tolist() == table["lower_quartile"].tolist() == [0.75] * 2


def test_a_worker_trains_and_one_that_ended_is_noticed():
    with large_pages.worker("adaptive", 4, "") as process:
        assert 0 < large_pages.seconds(process, 2) < float("inf")
    with pytest.raises(RuntimeError, match="A worker ended"), large_pages.worker("none", 4, "") as process:
        large_pages.seconds(process, 1)


@pytest.mark.parametrize(
    ("kernel", "library", "said"),
    [
        ("always [madvise] never", ("glibc", "2.35"), ""),
        ("always [madvise] never", ("glibc", "2.4"), "and glibc 2.4; large pages are timed on Linux"),
        ("[always] madvise never", ("glibc", "2.36"), r"has \[always\] madvise never in"),
        (None, ("", ""), "has nothing in .* and no glibc"),
    ],
)
def test_a_machine_on_which_pages_do_not_differ_is_refused(kernel, library, said, tmp_path, monkeypatch):
    monkeypatch.setattr(large_pages, "KERNEL", tmp_path / "enabled")
    monkeypatch.setattr("platform.libc_ver", lambda: library)
    monkeypatch.setattr(large_pages, "compare", lambda: pytest.fail("work began") if said else pytest.skip)
    if kernel is not None:
        (tmp_path / "enabled").write_text(f"{kernel}\n")
    if not said:
        return large_pages.check()
    monkeypatch.setattr("sys.argv", ["large_pages"])
    with pytest.raises(SystemExit, match=said):
        large_pages.main()


def test_they_change_no_bit(tmp_path):
    hashes = []
    for value in (large_pages.LARGE, ""):
        environment = os.environ | {large_pages.VARIABLE: value, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", TRAINED, str(tmp_path / f"run{len(hashes)}")]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        hashes.append(done.stdout.splitlines()[-1])
    assert len(set(hashes)) == 1 and len(hashes[0]) == 64


def test_the_makefile_asks_for_them():
    assert f"export {large_pages.VARIABLE} ?= {large_pages.LARGE}\n" in (ROOT / "Makefile").read_text()


def test_the_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "DIRECTORY", tmp_path)
    table = pd.DataFrame({"arm": ["linear", "adaptive"], "ratio": [0.9, 0.85]})
    results.save("large_pages", table, results.origin(torch.device("cpu")) | {"precision": "bfloat16"}, tmp_path)
    assert "a step in bfloat16 took 0.85 to 0.90 of the time that it takes with small ones" in large_pages.finding()
