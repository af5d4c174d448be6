"""Trainings that are killed, or asked to end, at moments drawn at random: the same command continues, bit for bit."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import torch
from killed import SETTINGS, STEPS

from lib.files import ROOT, read_json
from lib.runs.run import Run

STAGES = ("open", "write", "sync", "rename", "named")
MEASURED = ("posterior.h5", "evaluation.json", "snapshots.json", "snapshots.csv")
TESTS = ROOT / "tests"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def kills(seed: int) -> list[dict]:
    """SIGKILL while files of every kind are written and between them, in an order in which each moment comes."""
    rng = random.Random(seed)

    def batch(most: int, least: int = 1) -> dict:
        return {"event": "batch", "counts": [rng.randint(least, most)]}

    def file(name: str, count: int = 1) -> dict:
        return {"event": f"{rng.choice(STAGES)} {name}", "counts": [count], "share": rng.random()}

    early = [*(batch(9) for _ in range(4)), *(file("checkpoint.pt", rng.randint(1, 2)) for _ in range(3))]
    rng.shuffle(early)
    written = [file(f"step_{STEPS:07d}.safetensors"), file("trace.h5"), file("weights.safetensors"), file("run.json")]
    measuring = [file("posterior.h5"), file("evaluation.json"), batch(18), *map(file, MEASURED[2:])]
    moments = [file("config.json"), *early, *written, *measuring]
    return [moment | {"signal": signal.SIGKILL} for moment in moments]


def asked(number: int, *counts: int) -> dict:
    """A signal while these batches are at hand."""
    return {"event": "batch", "counts": counts, "signal": number}


def run_of(folder: Path) -> Run:
    (path,) = (folder / "runs" / "smoke").iterdir()
    return Run(path)


def plain(path: Path) -> object:
    """A JSON record without what depends on the time and on the number of processes."""

    def stripped(value: object) -> object:
        if isinstance(value, dict):
            return {
                name: stripped(each) for name, each in value.items() if name not in ("seconds", "provenance", "sha256")
            }
        return value

    return stripped(read_json(path))


def bits(run: Run) -> dict[str, object]:
    """What the training and the measuring computed."""
    names = ("weights.safetensors", f"snapshots/step_{STEPS:07d}.safetensors", "posterior.h5")
    return {
        **{name: (run.path / name).read_bytes() for name in names},
        "trace": run.trace().to_csv(float_format="%.17g"),
        "advanced": run.advanced().tolist(),
        "summary": run.record()["summary"],
        "evaluation": plain(run.path / "evaluation.json"),
        "snapshots": plain(run.path / "snapshots.json"),
        "rows": [line.rsplit(",", 1)[0] for line in (run.path / "snapshots.csv").read_text().splitlines()],  # seconds
    }


def visible(run: Run) -> list[str]:
    names = [path.relative_to(run.path).as_posix() for path in run.path.rglob("*")]
    return sorted(name for name in names if not Path(name).name.startswith("."))


def states(folder: Path) -> dict[int, dict]:
    """Step -> network, optimiser, controller and trace of every checkpoint that was saved."""
    found = {int(path.stem): torch.load(path, weights_only=True) for path in (folder / "checkpoints").iterdir()}
    return {step: {name: state[name] for name in ("engine", "trace")} for step, state in found.items()}


def same(one: object, other: object) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


def assert_same(folder: Path, whole: Path) -> None:
    run, other = run_of(folder), run_of(whole)
    mine, expected = bits(run), bits(other)
    assert [name for name in expected if mine[name] != expected[name]] == []
    assert visible(run) == visible(other)
    mine, expected = states(folder), states(whole)
    assert expected.keys() == set(range(5, STEPS, 5)) and mine.keys() <= expected.keys()
    assert [step for step in mine if not same(mine[step], expected[step])] == []


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    """Where each job of `codes` has its results."""
    folder = tmp_path_factory.mktemp("killed")
    return {name: folder / name for name in ("linear", "adaptive", "linear killed", "adaptive killed", "any", "asked")}


@pytest.fixture(scope="module")
def codes(folders) -> dict[str, list[int]]:
    """Name -> exit codes of the commands of each job: two uninterrupted ones, and those to compare with them."""
    rng = random.Random(3)
    moments = {
        "linear killed": kills(1),
        "adaptive killed": kills(2),
        "any": [{"seconds": rng.uniform(0, 0.6)} for _ in range(8)],
        "asked": [
            asked(signal.SIGTERM, 7),  # saved at step 10
            asked(signal.SIGINT, 3),  # at 15
            asked(signal.SIGTERM, 6, 8),  # at 20: the second signal comes in step 23
            asked(signal.SIGINT, STEPS - 20 + 3),  # while the run is measured
        ],
    }
    jobs = []
    for name, folder in folders.items():
        folder.mkdir()
        arm = "linear" if "linear" in name else "adaptive"
        jobs.append({"folder": str(folder), "arm": arm, "moments": [*moments.get(name, []), {}]})
    done = subprocess.run(
        [sys.executable, TESTS / "killed.py"],
        cwd=ROOT, env=ENVIRONMENT, input=json.dumps(jobs), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    ended = dict(zip(folders, json.loads(done.stdout), strict=True))
    assert ended["linear"] == ended["adaptive"] == [0]
    return ended


@pytest.mark.parametrize("arm", ["linear", "adaptive"])
def test_a_run_killed_while_it_trains_writes_and_measures_has_the_same_bits(arm, codes, folders):
    assert codes[f"{arm} killed"] == [-signal.SIGKILL] * 17 + [0]
    assert_same(folders[f"{arm} killed"], folders[arm])


def test_a_run_killed_from_outside_at_any_time_has_the_same_bits(codes, folders):
    assert codes["any"][0] == -signal.SIGKILL and codes["any"][-1] == 0
    assert_same(folders["any"], folders["adaptive"])


def test_a_signal_waits_for_a_checkpoint_and_a_second_does_not(codes, folders):
    assert codes["asked"] == [143, 130, 143, 130, 0]
    logs = [(folders["asked"] / f"{number:02}.log").read_text() for number in range(5)]
    for log, name in zip(logs, ("SIGTERM", "SIGINT", "SIGTERM", "SIGINT"), strict=False):
        assert log.endswith(f"Ended by {name}. The same command continues.\n") and "Traceback" not in log
    assert "The same command" not in logs[-1]
    for log, step in zip(logs, (10, 15, 20), strict=False):
        assert f" {step} of {STEPS}," in log and f" {step + 5} of {STEPS}," not in log
    assert_same(folders["asked"], folders["adaptive"])


def test_a_notebook_continues_where_its_kernel_or_what_runs_it_was_killed_at_random_moments(codes, folders, tmp_path):
    def papermill(ending: str, module: str = "papermill") -> subprocess.CompletedProcess:
        """Run notebook 03 after a cell that makes it small, and lets it end."""
        small = f"files.ROOT = pathlib.Path({str(tmp_path)!r})\nkilled.make_small(files.ROOT)\n"
        small += "from lib.report.figures import pictures\npictures.MIDDLE_HEART = (0, 0, 0, 0, 0)"  # one of the few
        first = f"import os, pathlib, sys\nsys.path.insert(0, {str(TESTS)!r})\nimport killed\nfrom lib import files\n"
        notebook = nbformat.read(ROOT / "notebooks" / "03_adaptive_training.ipynb", as_version=4)
        notebook.cells.insert(0, nbformat.v4.new_code_cell(f"{first}{small}\n{ending}"))
        nbformat.write(notebook, tmp_path / "small.ipynb")
        parameters = [word for name, value in SETTINGS.items() for word in ("-p", name, str(value))]
        return subprocess.run(
            [sys.executable, "-m", module, "--no-progress-bar", tmp_path / "small.ipynb", tmp_path / "out.ipynb",
             "-p", "profile", "smoke", *parameters],
            cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True,
        )  # fmt: skip

    rng = random.Random(5)
    moments = [f"'batch', [{rng.randint(2, 6)}]" for _ in range(2)]
    moments.append(f"'{rng.choice(STAGES)} checkpoint.pt', [1]")
    rng.shuffle(moments)
    at = "import psutil, signal\nkilled.end_at('batch', [{}], signal.{}, process=psutil.Process().parents()[1].pid)"
    for moment, name in zip(moments, ("SIGTERM", "SIGINT", None), strict=True):
        done = papermill(f"killed.end_at({moment})")
        assert done.returncode > 0 and "DeadKernelError" in done.stderr
        if name is None:
            break
        run, count = run_of(tmp_path), rng.randint(6, 9)
        before = run.load_checkpoint()["engine"]["step"] if run.checkpoint.exists() else 0
        done = papermill(at.format(count, name), "lib.report.notebooks.execute")  # as the workflow does
        assert done.returncode == 128 + signal.Signals[name]
        assert "Traceback" not in done.stderr and "Kernel is running over TCP" not in done.stderr
        assert done.stderr.endswith(f"Ended by {name}. The same command continues.\n")
        assert before + count <= run.load_checkpoint()["engine"]["step"] < STEPS
    # What runs it killed: its kernel trains on for up to a second.
    done = papermill(f"killed.end_at('batch', [{rng.randint(2, 12)}], process=os.getppid())")
    assert done.returncode == -signal.SIGKILL
    done = papermill("")
    assert done.returncode == 0, done.stderr
    assert bits(run) == bits(run_of(folders["adaptive"]))
