"""The command that trains and measures without notebooks: what it accepts, what it needs, what it leaves behind."""

import signal
import subprocess
import sys
import tomllib
from dataclasses import replace

import pytest

from lib.__main__ import changed_settings, main, plan, train_profile
from lib.evaluation.evaluate import evaluate
from lib.files import ROOT
from lib.refusal import Refusal
from lib.runs.profiles import load_profile

SMALL = ["steps=20", "batch_size=8", "snapshots=2", "position_stride=16", "snapshot_position_stride=16"]


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr("lib.runs.profiles.RESULTS", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("assignment", "sentence"),
    [
        ("step=3", "There is no setting 'step' to --set; the settings are data, steps"),
        ("seed=3", "There is no setting 'seed' to --set"),
        ("steps=many", "steps is 'many'; give an integer"),
        ("ki=", "ki is ''; give a number"),
    ],
)
def test_what_is_no_setting_is_refused(assignment, sentence):
    with pytest.raises(ValueError, match=sentence):
        changed_settings([assignment])


def test_settings_take_their_types():
    assert changed_settings(["steps=1_000", "ki=1", "precision=tf32"]) == {
        "steps": 1000,
        "ki": 1.0,
        "precision": "tf32",
    }


def test_a_plan_follows_the_profile_unless_told_otherwise(results):
    configs, runs, evaluation = plan("smoke", None, None, {})
    assert [(config.arm, config.seed) for config in configs] == [("linear", 1), ("adaptive", 1), ("vae", 1)]
    smoke = load_profile("smoke")
    assert [run.path for run in runs] == [run.path for run in (*smoke.runs(), *smoke.once())]
    assert evaluation == load_profile("smoke").evaluation_config()
    configs, runs, _ = plan("smoke", ["linear_full"], [2, 3], {"steps": 20})
    assert [run.name for run in runs] == ["linear_full-seed2-steps=20", "linear_full-seed3-steps=20"]
    for arms, seeds, planned in (
        (None, [1], [("linear", 1), ("adaptive", 1)]),
        (["vae", "linear"], None, [("vae", 1), ("linear", 1)]),
        (["vae"], [2], [("vae", 2)]),
    ):
        assert [(config.arm, config.seed) for config in plan("smoke", arms, seeds, {})[0]] == planned
    several = replace(load_profile("smoke"), seeds=(3, 4))
    assert several.planned(["vae", "linear"]) == [("vae", 3), ("linear", 3), ("linear", 4)]
    assert several.planned()[-1] == ("vae", 3) and len(several.planned()) == 5
    with pytest.raises(ValueError, match="steps is 0"):
        plan("smoke", None, None, {"steps": 0})


def test_runs_are_trained_measured_and_found_again(results, few_images, monkeypatch, capsys):
    planned = plan("smoke", None, None, changed_settings(SMALL))
    assert not any(run.complete for run in train_profile(*planned, minutes=0))
    assert train_profile(*planned, minutes=1) == []
    assert "adaptive-seed1-" in capsys.readouterr().out
    for run in planned[1]:
        assert {path.name for path in run.path.iterdir()} >= {"run.json", "evaluation.json", "snapshots.csv"}
        monkeypatch.setattr("lib.evaluation.evaluate.encode_images", None)  # measuring again would fail
        evaluate(run, replace(few_images, sha256=run.record()["provenance"]["data_sha256"]), planned[2])


def test_unfinished_runs_are_measured_when_that_is_asked_for(results, few_images, monkeypatch):
    """Past the deadline, with one run complete: neither it nor one without snapshots is taken for unfinished."""
    measured = []
    monkeypatch.setattr("lib.__main__.measure_snapshots_so_far", lambda run, *_: measured.append(run.name))
    planned = plan("smoke", ["linear", "adaptive"], None, changed_settings(SMALL))
    train_profile(*plan("smoke", ["linear"], None, changed_settings(SMALL)), minutes=1)
    unfinished = planned[1][1]
    train_profile(*planned, minutes=0, so_far=True)
    assert unfinished.checkpoint.exists() and measured == []
    (unfinished.path / "snapshots").mkdir()
    (unfinished.path / "snapshots" / "step_0000001.safetensors").touch()
    train_profile(*planned, minutes=0)
    assert measured == []
    train_profile(*planned, minutes=0, so_far=True)
    assert measured == [unfinished.name]


def test_measuring_so_far_needs_a_time_at_which(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["lib", "smoke", "--so-far"])
    with pytest.raises(SystemExit, match="give --minutes, too"):
        main()


def test_nothing_of_the_notebook_stack_is_needed():
    """Of the packages that pyproject.toml requires, six suffice: the others cannot be imported here."""
    required = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {requirement.split("==")[0].strip() for requirement in required}
    needed = {"torch", "numpy", "h5py", "pandas", "safetensors", "tqdm"}
    assert needed <= names
    modules = {"scikit-learn": "sklearn"}
    blocked = [modules.get(name, name) for name in sorted(names - needed)]
    code = f"import sys; sys.modules.update(dict.fromkeys({blocked})); import lib.__main__"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_hides_no_error(number, results, few_images, monkeypatch, capsys):
    """The checkpoint that a signal asks for meets a full disk; where signals are obeyed is in training/test_kill.py."""

    def full(*_):
        raise Refusal("No space.")

    monkeypatch.setattr("lib.data.dataset.ensure", lambda _: None)
    monkeypatch.setattr("lib.data.dataset.load", lambda _: few_images)
    monkeypatch.setattr("lib.training.train.LOOK", {"cpu": 5})
    monkeypatch.setattr("lib.training.train.Training.checkpoint", full)
    monkeypatch.setattr("lib.training.train.Training.progress_line", lambda _: signal.raise_signal(number) or "")
    monkeypatch.setattr("sys.argv", ["lib", "smoke", "--arms", "linear", "--set", *SMALL])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 128 + number
    assert capsys.readouterr().err.endswith(f"No space.\nEnded by {number.name}. The same command continues.\n")
