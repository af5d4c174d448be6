"""What `make status` says of runs that wait, train, stopped, failed, or stand."""

import time

import pytest
import torch

from lib.refusal import Refusal
from lib.runs.profiles import load_profile
from lib.runs.run import Run
from lib.runs.status import described, main, status_of
from lib.training.progress import progress
from lib.training.train import train


@pytest.fixture
def config(tiny_config):
    return tiny_config(steps=1_000, checkpoint_every=100)


@pytest.fixture
def run(config, tmp_path) -> Run:
    """A run with a checkpoint at step 250, after 25 seconds of training, written just now."""
    run = Run(tmp_path / "adaptive-seed1")
    run.claim(config)
    torch.save({"engine": {"step": 250}, "seconds": 25.0}, run.checkpoint)
    return run


def test_a_run_trains_while_its_files_are_young(run, config):
    now = time.time()
    status = status_of(run, config, now + 5)
    assert (status.state, status.step) == ("training", 250)
    assert status.left == pytest.approx(75 - 5, abs=1)
    assert status_of(run, config, now + 78).state == "training"  # 2 x 10 seconds to a checkpoint, and a minute
    late = status_of(run, config, now + 82)
    assert (late.state, late.left) == ("stopped", 75)


def test_a_run_without_a_checkpoint_starts_or_has_stopped(config, tmp_path):
    run = Run(tmp_path / "run")
    assert status_of(run, config, time.time()).state == "waiting"
    run.claim(config)
    assert status_of(run, config, time.time()).state == "starting"
    (run.path / "snapshots").mkdir()
    (run.path / "snapshots" / "step_0000100.safetensors").write_bytes(b"")
    status = status_of(run, config, time.time())
    assert (status.state, status.step, status.left) == ("training", 100, None)
    assert status_of(run, config, time.time() + 301).state == "stopped"


def test_a_run_that_diverges_says_so_until_it_is_tried_again(tiny_config, few_images, tmp_path, monkeypatch):
    config, run = tiny_config(learning_rate=1e6, steps=200, snapshots=0), Run(tmp_path / "run")
    with pytest.raises(FloatingPointError):
        train(config, run, few_images, progress=False)
    status = status_of(run, config, time.time())
    assert status.state == "failed"
    assert "lower learning_rate or ki" in described([status])[0]

    def interrupted(engine):
        raise KeyboardInterrupt

    monkeypatch.setattr("lib.training.engine.Engine.train_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(config, run, few_images, progress=False)
    assert status_of(run, config, time.time()).state == "starting"


def test_a_complete_run_is_measured_or_not_and_other_settings_are_refused(tiny_config, few_images, tmp_path):
    config, run = tiny_config(), Run(tmp_path / "run")
    train(config, run, few_images, progress=False)
    assert status_of(run, config, time.time()).state == "complete"
    for name in ("evaluation.json", "snapshots.csv", "scores.json"):
        (run.path / name).write_text("")
    assert status_of(run, config, time.time()).state == "measured"
    (run.path / "run.json").write_text('{"provenance": {}, "summary": {}}')
    with pytest.raises(ValueError, match=r"run\.json cannot be read \('seconds'\)"):
        status_of(run, config, time.time())
    assert status_of(run, tiny_config(ki=0.5), time.time()).state == "refused"


def test_time_left_counts_the_runs_that_wait(run, config, tmp_path):
    statuses = [status_of(each, config, time.time()) for each in (run, Run(tmp_path / "adaptive-seed2"))]
    lines = described(statuses)
    assert lines[0].startswith("adaptive-seed1  training: step 250 of 1,000 (25%), about 75 seconds left")
    assert lines[1] == "adaptive-seed2  waiting"
    assert lines[2].startswith("Training left: about 3 minutes, 1 at a time")  # 75 and 100 seconds


def test_the_command_lists_every_run_of_a_profile(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("lib.runs.profiles.RESULTS", tmp_path)
    monkeypatch.setattr("sys.argv", ["status", "seeds"])
    main()
    lines = capsys.readouterr().out.splitlines()
    seeds = load_profile("seeds")
    assert seeds.once() and [line.split() for line in lines] == [
        [run.name, "waiting"] for run in (*seeds.runs(), *seeds.once())
    ]
    monkeypatch.setattr("sys.argv", ["status", "nothing"])
    with pytest.raises(SystemExit, match="profile is 'nothing'; choose one of"):
        main()


def test_every_run_is_counted_by_its_own_steps(monkeypatch, tmp_path):
    monkeypatch.setattr("lib.runs.profiles.RESULTS", tmp_path)
    config = load_profile("seeds").training_config("slow_then_hold", 1)
    run = Run(tmp_path / config.arm)
    run.claim(config)
    run.save_checkpoint({"engine": {"step": 18_000}, "seconds": 1_800.0})
    status = status_of(run, config, time.time())
    assert config.steps > 18_000 and status.steps == config.steps
    assert f"step 18,000 of {config.steps:,} ({18_000 / config.steps:.0%})" in described([status])[0]


def test_a_foreign_checkpoint_is_one_sentence(config, tmp_path):
    run = Run(tmp_path / "run")
    run.claim(config)
    run.save_checkpoint({"engine": [1, 2], "seconds": 1.0})
    for read in (lambda: status_of(run, config, time.time()), lambda: progress(run)):
        with pytest.raises(Refusal, match=r"checkpoint\.pt cannot be read .*; delete it, and the run trains again"):
            read()
