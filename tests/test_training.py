"""The engine against a plain loop; determinism, checkpoints and the run directory."""

import dataclasses
import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from lib.engine import Engine, trace_columns
from lib.model import VAE
from lib.runs import Run, read_advanced, read_trace
from lib.schedules import replay, schedule_for
from lib.training import Trace, reproducible, snapshot_steps, train


def weights(model: VAE) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def plain_loop(engine: Engine, steps: int) -> list[list[float]]:
    """ControlVAE's step written out plainly: Python numbers for the controller, the loss formulas spelt out."""
    config, model = engine.config, engine.model
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate, betas=(0.9, 0.999), eps=1e-8)
    integral, unclipped, beta, capacity, rows = 0.0, 1.0, 1.0, config.c_start, []
    for t in range(1, steps + 1):
        x = engine.data.images(engine.batch_indices(t - 1), engine.dtype)
        mean, logvar = model.encode(x)
        z = mean + torch.sqrt(torch.exp(logvar)) * engine.batch_noise(t - 1)
        p = torch.sigmoid(model.decode(z))
        reconstruction = -(x * torch.log(p) + (1 - x) * torch.log(1 - p)).sum() / len(x)
        kl = -0.5 * (1 + logvar - mean**2 - torch.exp(logvar)).sum() / len(x)

        if config.arm == "linear":
            capacity = min(config.c_max, config.c_start + 0.15 * (300 * t // config.steps))
        set_point, beta_before = capacity, beta
        error = set_point - kl.item()
        if not (unclipped < 1 and error > 0):  # conditional anti-windup
            integral -= config.ki * error
        unclipped = config.kp / (1 + math.exp(error)) + integral + 1
        beta = max(1.0, unclipped)
        if config.arm == "adaptive" and not beta > beta_before:
            capacity += (config.c_max - capacity) / (config.steps - (t - 1))
        optimizer.zero_grad()
        (reconstruction + beta * kl).backward()
        optimizer.step()
        rows.append([reconstruction.item(), kl.item(), beta, set_point, capacity])
    return rows


@pytest.mark.parametrize("arm", ["linear", "adaptive"])
def test_engine_agrees_with_a_plain_loop_in_double_precision(arm, tiny_config, few_images):
    config = tiny_config(arm, precision="float64", steps=40)
    engine, columns = Engine(config, few_images), trace_columns(config.latents)
    wanted = ["reconstruction", "kl", "beta", "set_point", "capacity"]
    values = engine.run(40)[:, [columns.index(name) for name in wanted]]
    other = Engine(config, few_images)
    expected = torch.tensor(plain_loop(other, 40), dtype=torch.float64)
    assert values[-1, 4] != config.c_start  # C has moved
    assert torch.allclose(values, expected, rtol=1e-9, atol=1e-9)
    assert torch.allclose(weights(engine.model), weights(other.model), rtol=1e-9, atol=1e-9)


def test_arms_share_initial_weights_batches_and_noise(tiny_config, few_images):
    engines = [Engine(tiny_config(arm), few_images) for arm in ("linear", "adaptive", "linear_full", "adaptive_hold")]
    first = engines[0]
    for engine in engines[1:]:
        assert torch.equal(weights(engine.model), weights(first.model))
        for step in (0, 61, 999, 1_000):
            assert torch.equal(engine.batch_indices(step), first.batch_indices(step))
            assert torch.equal(engine.batch_noise(step), first.batch_noise(step))
    other = Engine(tiny_config(seed=2), few_images)
    assert not torch.equal(other.batch_indices(0), first.batch_indices(0))
    assert not torch.equal(other.batch_noise(0), first.batch_noise(0))
    assert not torch.equal(first.batch_noise(0), first.batch_noise(1))


def test_an_epoch_is_a_permutation_without_replacement(tiny_config, few_images):
    engine = Engine(tiny_config(batch_size=50), few_images)
    epochs = [torch.cat([engine.batch_indices(20 * epoch + i) for i in range(20)]) for epoch in range(2)]
    for epoch in epochs:
        assert torch.equal(epoch.sort().values, torch.arange(1_000))
    assert not torch.equal(*epochs)


def files(run: Run) -> dict[str, object]:
    """What a run computed, for comparison bit by bit."""
    record = run.record()["summary"]
    return {
        "weights": (run.path / "weights.safetensors").read_bytes(),
        "snapshots": {step: path.read_bytes() for step, path in run.snapshots().items()},
        "trace": read_trace(run.path / "trace.h5").to_csv(float_format="%.17g"),
        "advanced": read_advanced(run.path / "trace.h5").tolist(),
        "summary": json.dumps(record),
    }


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("at", [17, 20, 40, 59])
def test_an_interrupted_run_resumes_with_the_same_bits(
    at, precision, tiny_config, few_images, tmp_path, monkeypatch, capsys
):
    config = tiny_config(trace_every=4, precision=precision, steps=60)
    monkeypatch.setattr("lib.training.BLOCK", 10)
    whole = train(config, Run(tmp_path / "whole"), few_images, progress=False)

    step = Engine._train_step

    def interrupted(engine: Engine):
        if engine.step == at:
            raise KeyboardInterrupt
        return step(engine)

    run = Run(tmp_path / "interrupted")
    with monkeypatch.context() as patch:
        patch.setattr(Engine, "_train_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(config, run, few_images, progress=False)
    assert not run.complete
    assert run.checkpoint.exists() == (at >= 20)
    train(config, run, few_images, progress=False)
    assert files(run) == files(whole)
    assert sorted(path.name for path in run.path.rglob("*")) == sorted(path.name for path in whole.path.rglob("*"))


def test_the_seed_decides_the_bits(tiny_config, few_images, tmp_path):
    runs = [
        train(tiny_config(seed=seed, steps=12), Run(tmp_path / str(number)), few_images, progress=False)
        for number, seed in enumerate((1, 1, 2))
    ]
    assert files(runs[0]) == files(runs[1])
    assert files(runs[0])["weights"] != files(runs[2])["weights"]


def test_a_complete_run_is_loaded_and_another_configuration_refused(tiny_config, few_images, tmp_path, monkeypatch):
    config, run = tiny_config(steps=8), Run(tmp_path / "run")
    train(config, run, few_images, progress=False)
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    monkeypatch.setattr(Engine, "run", None)  # training again would fail
    train(config, run, few_images, progress=False)
    with pytest.raises(ValueError, match=r"holds a run with ki 0\.3 instead of 0\.2; remove that directory"):
        train(dataclasses.replace(config, ki=0.2), run, few_images, progress=False)
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*")} == before


def test_divergence_stops_with_a_sentence_and_leaves_no_result(tiny_config, few_images, tmp_path):
    run = Run(tmp_path / "run")
    with pytest.raises(FloatingPointError, match="diverged at step"):
        train(tiny_config(learning_rate=1e6, steps=200), run, few_images, progress=False)
    assert not run.complete


def test_thinned_trace_is_the_full_one_at_its_steps_with_window_means(tiny_config, few_images, tmp_path):
    full, thin = (
        read_trace(
            train(tiny_config(trace_every=k), Run(tmp_path / f"{k}"), few_images, progress=False).path / "trace.h5"
        )
        for k in (1, 12)
    )
    assert thin["step"].tolist() == [12, 24, 36, 48, 60]
    columns = trace_columns(10)
    picked = full[full["step"].isin(thin["step"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(picked[columns], thin[columns])
    means = full[columns].astype(float).groupby((full["step"] - 1) // 12).mean()
    assert np.allclose(thin[[f"{name}_mean" for name in columns]], means, rtol=1e-12)
    assert full["frozen"].dtype == bool


@pytest.mark.parametrize("arm", ["linear", "adaptive", "linear_full", "adaptive_hold"])
def test_the_advance_bits_reproduce_the_capacity_exactly(arm, tiny_config, few_images, tmp_path):
    config = tiny_config(arm, trace_every=30)
    path = train(config, Run(tmp_path / "run"), few_images, progress=False).path / "trace.h5"
    schedule = schedule_for(config.arm, config.c_start, config.c_max, config.steps)
    capacity = replay(schedule, read_advanced(path))
    assert capacity[[29, 59]].tolist() == read_trace(path)["capacity"].tolist()


def test_summary_counts_every_step_and_finds_the_lock(tiny_config):
    config = tiny_config(trace_every=2, latents=2, steps=6)
    table = pd.DataFrame(0.0, index=range(6), columns=trace_columns(2))
    table["kl"], table["set_point"] = [1.0, 2, 3, 4, 5, 6], 2.0
    table["beta"] = [1.0, 1.5, 1.0, 1.0, 2.0, 2.0]
    table["locked"] = [0, 0, 0, 1, 1, 1]
    table["advanced"] = [1, 0, 0, 0, 0, 1]
    trace = Trace(config)
    for part in np.split(table.to_numpy(), [1, 4]):  # blocks need not end where windows do
        trace.add(part)
    summary = trace.summary()
    assert trace.frame()["step"].tolist() == [2, 4, 6]
    assert summary["share_at_beta_min"] == 0.5
    assert summary["mean_kl_to_set_point"] == pytest.approx((1 + 0 + 1 + 2 + 3 + 4) / 6)
    assert summary["mean_beta"] == pytest.approx(8.5 / 6)
    assert summary["share_advanced"] == pytest.approx(2 / 6)
    assert summary["locked_at"] == 4
    assert summary["kl_last_percent"] == 5.5  # the mean over the last window


def test_snapshots_are_log_spaced_and_end_with_the_last_step(tiny_config):
    assert snapshot_steps(tiny_config(steps=10_000, snapshots=3)) == [100, 1_000, 10_000]
    assert snapshot_steps(tiny_config(steps=60, snapshots=3)) == [60]
    assert snapshot_steps(tiny_config(snapshots=0)) == []


def test_saved_weights_are_the_networks(tiny_config, few_images, tmp_path):
    config = tiny_config(steps=8, snapshots=1)
    run = train(config, Run(tmp_path / "run"), few_images, progress=False)
    engine = Engine(config, few_images)
    with torch.no_grad():
        before = F.mse_loss(weights(run.load_model()), weights(engine.model))
    with reproducible(config.threads):  # the bits depend on it
        engine.run(8)
    assert before > 0
    assert torch.equal(weights(run.load_model()), weights(engine.model))
    assert torch.equal(weights(run.load_model(run.snapshots()[8])), weights(engine.model))
