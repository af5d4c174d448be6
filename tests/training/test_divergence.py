"""Numbers that are not finite stop a run, and nothing kept of it holds them; extremes that are allowed work."""

import dataclasses

import pytest
import torch

from lib.arms import ARMS, objective_of
from lib.runs.run import Run
from lib.training.engine import Engine
from lib.training.train import Training, train


@pytest.fixture
def often(monkeypatch):
    """Checkpoints every 10 steps."""
    monkeypatch.setattr("lib.training.train.LOOK", {"cpu": 10})
    monkeypatch.setattr("lib.training.train.LEAST_SECONDS", 0)


def break_gradient(monkeypatch, step: int, value: float) -> None:
    """One gradient of step `step` becomes `value`."""
    advance = torch.optim.Adam.step
    count = iter(range(1, 10**6))

    def broken(optimizer, *given):
        if next(count) == step:
            optimizer.param_groups[0]["params"][0].grad.view(-1)[0] = value
        return advance(optimizer, *given)

    monkeypatch.setattr(torch.optim.Adam, "step", broken)


@pytest.mark.parametrize(("step", "checkpoint"), [(5, None), (15, 10), (20, 10), (37, 30), (40, 30)])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_stops_the_run(
    value, step, checkpoint, tiny_config, few_images, tmp_path, monkeypatch, often
):
    config = tiny_config(steps=40, checkpoint_every=10, snapshots=0)
    run = Run(tmp_path / "run")
    break_gradient(monkeypatch, step, value)
    kept = "its last checkpoint is kept" if checkpoint else "it had no checkpoint yet"
    with pytest.raises(
        FloatingPointError, match=rf"^run: Training diverged at step {step}: a gradient is not .*\({kept}\)\.$"
    ):
        train(config, run, few_images, progress=False)
    assert not run.complete and not (run.path / "weights.safetensors").exists()
    if checkpoint:
        engine = run.load_checkpoint()["engine"]
        assert engine["step"] == checkpoint
        assert all(value.isfinite().all() for value in engine["model"].values())
    else:
        assert not run.checkpoint.exists()


def test_a_gradient_whose_square_overflows_is_found_though_losses_stay_finite(
    tiny_config, few_images, tmp_path, monkeypatch, often
):
    break_gradient(monkeypatch, 12, 1e30)  # Adam's second moment becomes infinite, and the weight never moves again
    run = Run(tmp_path / "run")
    with pytest.raises(
        FloatingPointError, match=r"diverged at step 12: a gradient is not finite.*\(its last checkpoint"
    ):
        train(tiny_config(steps=40, checkpoint_every=10, snapshots=0), run, few_images, progress=False)
    assert run.load_checkpoint()["engine"]["step"] == 10


@pytest.mark.parametrize("column", ["reconstruction", "kl", "kl_3", "beta"])
def test_the_first_value_that_is_not_finite_is_named(column, tiny_config, few_images, tmp_path):
    training = Training(tiny_config(steps=40), Run(tmp_path / "run"), few_images)
    values = torch.ones(10, len(training.engine.columns)).double().numpy()
    values[6, training.engine.columns.index(column)] = float("nan")
    values[7:] = float("inf")
    with pytest.raises(FloatingPointError, match=rf"diverged at step 7: {column} is not finite"):
        training.record(values, 1.0)
    with pytest.raises(FloatingPointError, match=rf"diverged at step 7: {column} is not finite"):
        training.trace.add(values, broken_gradient=7)  # which follows from it


@pytest.mark.parametrize("arm", [arm for arm, row in ARMS.items() if row.drawn_from is None])
@pytest.mark.parametrize("capacity", [0.0, 0.5])
def test_a_capacity_that_stays_where_it_starts_works(arm, capacity, tiny_config, few_images, tmp_path):
    config = tiny_config(arm, steps=12, c_start=capacity, c_max=capacity)
    trace = train(config, Run(tmp_path / "run"), few_images, progress=False).trace()
    recorded = objective_of(arm, config).columns
    assert trace[["kl", *recorded]].notna().all(axis=None)
    if "capacity" in recorded:
        assert (trace["capacity"] == capacity).all() and (trace["set_point"] == capacity).all()
        assert not trace["advanced"].any()


@pytest.mark.parametrize("arm", [arm for arm, row in ARMS.items() if row.drawn_from is None])
def test_a_kl_of_zero_works(arm, tiny_config, few_images, tmp_path, monkeypatch):
    config = dataclasses.replace(tiny_config(arm, steps=12), beta_min=0.0)
    initialised = Engine.__init__

    def without_code(engine, *given):  # every posterior is the prior
        initialised(engine, *given)
        for parameter in engine.model.to_posterior.parameters():
            torch.nn.init.zeros_(parameter)

    monkeypatch.setattr(Engine, "__init__", without_code)
    trace = train(config, Run(tmp_path / "run"), few_images, progress=False).trace()
    assert trace["kl"].iloc[0] == 0.0
    assert trace[["kl", *objective_of(arm, config).columns]].notna().all(axis=None)
