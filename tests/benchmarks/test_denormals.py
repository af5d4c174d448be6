"""Denormal numbers timed with and without: the row, and the sentence that it gives."""

import pandas as pd
import pytest
import torch

from lib.benchmarks import denormals, results
from lib.refusal import Refusal
from lib.runs.run import Run
from lib.training.train import train_together


@pytest.fixture
def run(few_images, tiny_config, tmp_path):
    """A run that has only begun; an eighth of one moment of its first parameter is denormal in its checkpoint."""
    run = Run(tmp_path / "adaptive-seed1")
    config = tiny_config(steps=400)
    train_together([config], [run], few_images, progress=False, time_limit=0)
    state = run.load_checkpoint()
    model = state["engine"]["model"]
    state["engine"]["optimizer"]["state"] = {
        number: {"step": torch.tensor(1.0), **{name: torch.ones_like(value) for name in ("exp_avg", "exp_avg_sq")}}
        for number, value in enumerate(model.values())
    }
    state["engine"]["optimizer"]["state"][0]["exp_avg"].view(-1)[::8] = -1e-40
    run.save_checkpoint(state)
    return run


def test_both_go_on_from_the_same_step_apart(run, few_images, monkeypatch):
    flush, asked = torch.set_flush_denormal, []
    monkeypatch.setattr(torch, "set_flush_denormal", lambda value: asked.append(value) or flush(value))
    row = denormals.compare(run, few_images, steps=2, rounds=2)
    assert asked == [each for chosen in (True, False, False, True, True, False) for each in (True, chosen, False)]
    assert row["run"] == "adaptive-seed1" and row["step"] == 0 and row["steps_trained"] == denormals.WARM_UP + 4
    sizes = [value.numel() for value in run.load_checkpoint()["engine"]["model"].values()]
    assert row["denormal_share"] == pytest.approx(sizes[0] / 8 / (2 * sum(sizes)))
    assert row["weights_that_differ"] <= 0.001 * sum(sizes)
    assert row["lower_quartile"] <= row["upper_quartile"] and row["ratio"] > 0


def test_a_checkpoint_without_denormals_is_refused(few_images, tiny_config, tmp_path):
    run = Run(tmp_path / "linear-seed1")
    train_together([tiny_config("linear", steps=400)], [run], few_images, progress=False, time_limit=0)
    with pytest.raises(Refusal, match="give a checkpoint from before commit 2df616f"):
        denormals.compare(run, few_images)


def test_a_run_without_a_checkpoint_is_refused_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["denormals", str(tmp_path)])
    monkeypatch.setattr(denormals.dataset, "ensure", lambda source: pytest.fail("work began"))
    with pytest.raises(SystemExit, match="holds no checkpoint"):
        denormals.main()


def test_the_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "DIRECTORY", tmp_path)
    rows = [(425_900, 0.28, 0.75, 755, 0), (435_500, 0.51, 0.7, 755, 3)]
    table = pd.DataFrame(rows, columns=["step", "denormal_share", "ratio", "steps_trained", "weights_that_differ"])
    results.save("denormals", table, results.origin(torch.device("cpu")) | {"precision": "bfloat16"}, tmp_path)
    sentence = denormals.finding()
    assert (
        "checkpoints of steps 425,900 and 435,500 from before, 28% to 51% of Adam's moments were denormal" in sentence
    )
    assert "a step in bfloat16 takes 0.70 to 0.75 of the time" in sentence
    assert "after 755 steps 3 weights differed" in sentence
