"""Runs the command `python -m lib` many times, each in a process that is killed at a chosen moment; torch starts once.

    python tests/killed.py < jobs.json

A job is {"folder", "arm", "moments"}: the command is started once per moment, one after the other, on results in
`folder`. A moment is {"event", "counts", "signal", "share"}: when the process meets the event for the n-th time, n in
`counts`, it sends itself the signal; {"seconds"}: it gets SIGKILL from outside after that time; {}: it runs to its end.
Events are "batch", images read for training or measuring, and "open", "write", "sync", "rename" and "named" with a
file's name: before it is opened, after a `share` of its bytes, before fsync and rename, and after the rename. The
exit codes of every job are printed as JSON, that of a killed process negative.

The data set is a grid of 576 images, and a training looks, and saves, every 5 steps; every checkpoint saved is kept in
`folder`/checkpoints as well.
"""

import json
import os
import re
import signal
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch._dynamo  # else every process's first optimiser imports it, which takes most of its time

from lib import __main__ as command
from lib import files
from lib.data import dataset
from lib.data.dataset import Dataset
from lib.dsprites import FACTOR_SIZES, factors_to_indices, render_packed
from lib.evaluation import evaluate, snapshots
from lib.runs import profiles
from lib.runs.run import Run
from lib.training import train

STEPS = 60
GRID = tuple(zip(FACTOR_SIZES, (1, 1, 5, 16, 16), strict=True))  # values of each factor, and every how many are there
SETTINGS = {
    "steps": STEPS, "batch_size": 16, "precision": "float32", "device": "cpu", "trace_every": 4, "snapshots": 1,
    "checkpoint_every": 5, "snapshots_measured": 1,
}  # fmt: skip


def make_small(folder: Path) -> None:
    """Let this process train on few images, with results in `folder`, and save often."""
    factors = np.stack(np.meshgrid(*(np.arange(0, n, k) for n, k in GRID), indexing="ij"), -1).reshape(-1, len(GRID))
    sizes = tuple(len(range(0, n, k)) for n, k in GRID)
    images = render_packed(factors_to_indices(factors))
    data = Dataset(torch.from_numpy(images), "0" * 64, "rendered")
    dataset.ensure, dataset.load = (lambda *_: None), (lambda *_: data)
    for module in (evaluate, snapshots):
        module.evaluation_grid = lambda _: (torch.arange(len(data)), sizes)
    profiles.RESULTS = folder
    train.LOOK, train.LEAST_SECONDS = {"cpu": 5}, 0
    save, kept = Run.save_checkpoint, folder / "checkpoints"

    def save_and_keep(run: Run, state: dict[str, Any]) -> None:
        save(run, state)
        kept.mkdir(exist_ok=True)
        copy = kept / f"{state['engine']['step']}.pt"
        copy.unlink(missing_ok=True)
        os.link(run.checkpoint, copy)

    Run.save_checkpoint = save_and_keep


def end_at(event: str, counts: list[int], number: int = signal.SIGKILL, share: float = 0.5, process: int = 0) -> None:
    """Send the signal to this process, or to another, at the event; module docstring."""
    seen = Counter()

    def at(name: str) -> None:
        seen[name] += 1
        if name == event and seen[name] in counts:
            os.kill(process or os.getpid(), number)

    def name_of(temporary: Path) -> str:
        match = re.fullmatch(r"\.(.+)\.\d+\.tmp", Path(temporary).name)
        return match[1] if match else ""

    class Watched:
        def __init__(self, path: Path, mode: str) -> None:
            self.name = name_of(path)
            at(f"open {self.name}")
            self.file = open(path, mode)  # noqa: SIM115
            self.flush, self.close = self.file.flush, self.file.close

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.close()

        def write(self, content: bytes) -> None:
            part = int(share * len(content))
            self.file.write(content[:part])
            self.flush()
            at(f"write {self.name}")
            self.file.write(content[part:])

        def fileno(self) -> int:  # asked for by fsync alone
            at(f"sync {self.name}")
            return self.file.fileno()

    images, replace = Dataset.images, os.replace

    def watched_images(data: Dataset, *given: Any) -> torch.Tensor:
        at("batch")
        return images(data, *given)

    def watched_replace(source: Path, target: Path) -> None:
        at(f"rename {name_of(source)}")
        replace(source, target)
        at(f"named {name_of(source)}")

    Dataset.images, files.open, os.replace = watched_images, Watched, watched_replace


def attempt(arm: str, moment: dict[str, Any], log: Path) -> int:
    """Start the command in a process of its own; its exit code."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
            os.dup2(2, 1)
            if "event" in moment:
                end_at(moment["event"], moment["counts"], moment["signal"], moment.get("share", 0.5))
            assignments = [f"{name}={value}" for name, value in SETTINGS.items()]
            sys.argv = ["lib", "smoke", "--arms", arm, "--seeds", "1", "--set", *assignments]
            command.main()
            code = 0
        except SystemExit as end:
            code = end.code
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)
    if "seconds" in moment:
        time.sleep(moment["seconds"])
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    torch.set_num_threads(1)
    codes = []
    for job in json.load(sys.stdin):
        folder = Path(job["folder"])
        child = os.fork()  # what make_small changes is the job's alone
        if child == 0:
            make_small(folder)
            done = [
                attempt(job["arm"], moment, folder / f"{number:02}.log") for number, moment in enumerate(job["moments"])
            ]
            (folder / "codes.json").write_text(json.dumps(done))
            os._exit(0)
        os.waitpid(child, 0)
        codes.append(json.loads((folder / "codes.json").read_text()))
    print(json.dumps(codes))


if __name__ == "__main__":
    main()
