"""The report's own size, of which a part was trained with an earlier engine: its runs are resumed, measured and drawn.

full_size/ holds config and checkpoint of the linear arm (seed 1, bfloat16) at step 160,000 of 1,500,000 as commit
87cda7f wrote them, but for its size: weights rounded to 16 bits, the trace to 32, and Adam's moments left out.
"""

import json
import shutil

import pandas as pd
import pytest
import torch
from matplotlib import pyplot as plt

from lib.evaluation.evaluate import evaluate
from lib.files import ROOT, write_json
from lib.report.figures.runs import traces
from lib.runs.profiles import load_profile
from lib.runs.run import Run, segments_of
from lib.training.progress import add_progress, progress, progress_at
from lib.training.train import train, train_together

STORED, STEP = ROOT / "tests" / "training" / "full_size", 160_000


@pytest.fixture
def run(tmp_path):
    """The run's directory as the first engine left it."""
    run = Run(tmp_path / "linear-seed1")
    run.path.mkdir()
    shutil.copy2(STORED / "config.json", run.path)
    state = torch.load(STORED / "checkpoint.pt", weights_only=True)
    engine, trace = state["engine"], state["trace"]
    engine["model"] = {name: value.float() for name, value in engine["model"].items()}
    step = torch.tensor(float(STEP))
    engine["optimizer"]["state"] = {
        number: {"step": step.clone(), "exp_avg": torch.zeros_like(value), "exp_avg_sq": torch.zeros_like(value)}
        for number, value in enumerate(engine["model"].values())
    }
    trace["rows"] = trace["rows"].double()
    torch.save(state, run.checkpoint)
    return run


def test_its_settings_are_those_of_the_profile_today(run):
    profile = load_profile("paper")
    config = profile.training_config("linear", 1)
    assert run.config() == config
    assert profile.run(config).name == run.path.name


def test_a_segment_without_a_step_is_none(run):
    segments = [{"first_step": 1, "last_step": 5}, {"first_step": 6, "last_step": 5}, {"first_step": 6, "last_step": 9}]
    assert segments_of({"engine": {"step": 9}, "seconds": 1.0, "segments": segments}) == [segments[0], segments[2]]


def test_it_continues_where_it_stood_with_what_it_knew(run, few_images):
    before = torch.load(run.checkpoint, weights_only=True)
    train_together([run.config()], [run], few_images, progress=False, time_limit=0)
    after = torch.load(run.checkpoint, weights_only=True)
    assert after["engine"]["step"] == STEP
    assert torch.equal(after["engine"]["controlled"], before["engine"]["controlled"])
    assert torch.equal(after["trace"]["rows"], before["trace"]["rows"])
    assert after["segments"] == [{"first_step": 1, "last_step": STEP, "seconds": before["seconds"]}]  # no step was made


def test_its_progress_is_noted_once_per_checkpoint(run, tmp_path):
    row = progress(run)
    state = torch.load(run.checkpoint, weights_only=True)
    assert (row["step"], row["steps"], row["locked_at"], row["share_frozen"]) == (STEP, 1_500_000, None, 0)
    assert row["capacity"] == pytest.approx(0.5 + 0.15 * (STEP // 5_000 - 1), abs=0.01)  # it moved at the last step
    assert row["beta"] == pytest.approx(state["engine"]["controlled"][4].item(), abs=0.5)
    assert row["hours_left"] == pytest.approx(row["hours"] * (1_500_000 - STEP) / STEP)
    path = tmp_path / "progress.csv"
    add_progress(path, [row, row | {"step": 200_000}])
    table = add_progress(path, [row | {"kl": 8.0}], replace=False)
    assert table["kl"].tolist() == [pytest.approx(row["kl"], rel=1e-5)] * 2
    table = add_progress(path, [row | {"kl": 7.0}])
    assert table["step"].tolist() == [STEP, 200_000]
    assert pd.read_csv(path)["kl"].tolist() == [7.0, pytest.approx(row["kl"], rel=1e-5)]
    run.checkpoint.unlink()
    with pytest.raises(ValueError, match="holds no checkpoint with a trace; give the directory"):
        progress(run)


@pytest.mark.parametrize("arm", ["linear", "adaptive"])
def test_its_progress_afterwards_is_what_was_noted_on_the_way(arm, run):
    """A row of the complete run at a step, against the one that its checkpoint of that step gave."""
    whole, noted = Run(ROOT / "results" / "published" / "paper" / f"{arm}-seed1"), pd.read_csv(
        ROOT / "results" / "published" / "paper" / "progress.csv"
    ).set_index(["run", "step"])  # fmt: skip
    row, seen = progress_at(whole, 400_000), noted.loc[(whole.name, 400_000)]
    for name in ("reconstruction", "kl", "beta", "capacity", "share_frozen"):
        assert row[name] == pytest.approx(seen[name], rel=1e-5)
    assert row["hours"] == pytest.approx(seen["hours"], rel=0.05)  # the speed changed within a segment
    assert progress_at(whole, 1_500_000)["hours"] == pytest.approx(whole.record()["provenance"]["seconds"] / 3600)
    assert row["locked_at"] is row["hours_left"] is None
    for step in (50, 150, 1_500_100):
        with pytest.raises(ValueError, match=f"has no step {step}; give a multiple of 100 up to 1500000"):
            progress_at(whole, step)
    with pytest.raises(ValueError, match="holds no complete run; leave --at away"):
        progress_at(run, 100)


def test_it_is_completed_measured_and_drawn(run, few_images, all_images, tmp_path):
    """Cut short after 100 more steps, on few images."""
    config = run.config()
    shorter = json.loads((run.path / "config.json").read_text()) | {"steps": STEP + 100}
    write_json(run.path / "config.json", shorter)
    train(run.config(), run, few_images, progress=False)

    trace = run.trace()
    assert trace["step"].tolist() == [*range(100, STEP + 101, 100)]
    past, new = trace.iloc[-50:-1], trace.iloc[-1]
    assert abs(new["kl_mean"] - past["kl_mean"].mean()) < 0.5
    # With fewer steps the clock is further on: C = C_max, and the controller sums up 100 errors of about 11 nats.
    assert new["capacity"] == config.c_max
    expected = past["beta"].iloc[-1] - 100 * config.ki * (new["set_point_mean"] - new["kl_mean"])
    assert new["beta"] == pytest.approx(expected, abs=config.kp)
    assert [(each["first_step"], each["last_step"]) for each in run.segments()] == [(1, STEP), (STEP + 1, STEP + 100)]

    profile = load_profile("smoke")
    settings = profile.evaluation_config(position_stride=16, monte_carlo_samples=10, decomposition_samples=100)
    measured = evaluate(run, all_images, settings, progress=False)
    assert measured["images"] == 3 * 6 * 40 * 4
    assert 2 < measured["kl"] < 8 and 50 < measured["reconstruction"] < 300

    figure = traces({"linear": [trace]})
    assert [len(axis.lines) > 0 for axis in figure.axes] == [True] * 4
    plt.close(figure)
