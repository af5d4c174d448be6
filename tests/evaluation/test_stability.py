"""A run that swings at its end is told from one that has come to rest, on traces with known spreads."""

import numpy as np
import pandas as pd
import pytest
import torch

from lib.evaluation import trials
from lib.evaluation.stability import capacity_rise, stability
from lib.runs.run import Run
from lib.training.trace import kl_spread_last_tenth
from lib.training.train import train

IMAGE_SPREAD, BATCH = 2.4, 64  # of the KL over images: 0.3 nats between batches


def trace_with(noise: float, swing: float = 0.0, drift: float = 0.0, every: int = 1, steps: int = 20_000):
    """KL of every `every`-th step: batches' noise, a sine of 50 steps, and a drift over all of training."""
    step = np.arange(1, steps + 1)
    kl = 16 + np.random.default_rng(0).normal(0, noise, steps) + swing * np.sin(step * 2 * np.pi / 50)
    kl += drift * step / steps
    means = kl.reshape(-1, every).mean(1)
    return pd.DataFrame({"step": step[every - 1 :: every], "kl": kl[every - 1 :: every], "kl_mean": means})


def summary_of(trace: pd.DataFrame, last: float = 16.0) -> dict[str, float | None]:
    return {"kl_last_percent": last, "kl_spread_last_tenth": kl_spread_last_tenth(trace)}


@pytest.mark.parametrize("every", [1, 5])
def test_at_rest_the_kl_moves_as_batches_do(every):
    trace = trace_with(0.3, every=every, drift=3.0)  # a drift is no swing
    last = trace.loc[trace["step"] > 19_800, "kl_mean"].mean()
    found = stability(summary_of(trace, last), last + 0.05, IMAGE_SPREAD, BATCH)
    assert found.kl_spread_at_rest == pytest.approx(0.3)
    assert found.swing == pytest.approx(1, abs=0.1)
    assert found.kl_off == pytest.approx(0.05)
    assert found.damped


def test_a_swing_and_a_distance_are_seen():
    swinging = stability(summary_of(trace_with(0.3, swing=0.6)), 16.0, IMAGE_SPREAD, BATCH)
    assert swinging.kl_spread == pytest.approx((0.3**2 + 0.6**2 / 2) ** 0.5, rel=0.05)
    assert not swinging.damped
    summary = summary_of(trace_with(0.3))
    assert not stability(summary, 16.2, IMAGE_SPREAD, BATCH).damped
    assert not stability(summary, 16.0, np.nan, BATCH).damped  # what was not measured is not damped
    del summary["kl_spread_last_tenth"]
    assert not stability(summary, 16.0, IMAGE_SPREAD, BATCH).damped
    assert kl_spread_last_tenth(trace_with(0.3, steps=5)) is None  # one row


def test_a_trial_is_held_against_the_rule(tiny_config, few_images, tmp_path, monkeypatch):
    """Every point of the rule from a real run, and each alone fails it."""
    run = train(tiny_config("linear", steps=100, c_max=16.0), Run(tmp_path / "t-linear-seed1"), few_images, False)
    kl = torch.full((1_000,), 3.0).index_fill_(0, torch.arange(500), 1.0)
    row = trials.trial(run, kl)
    trace = run.trace()
    window = (trace["kl"] - trace["capacity"]).abs()  # 100 steps: windows of one step
    assert row["kl_to_capacity"] == pytest.approx(window.mean())
    assert row["capacity_halfway"] == trace["capacity"].iloc[49]
    assert row["kl_off"] == pytest.approx(2 - run.record()["summary"]["kl_last_percent"])
    assert row["kl_spread_at_rest"] == pytest.approx(1 / 16**0.5, rel=1e-3)  # batches of 16
    assert row["share_above_beta_min"] == pytest.approx((trace["beta"] > 1).mean())
    assert "c_max" not in row["settings"]  # 16 nats are the report's own
    assert "steps = 100" in row["settings"] and "precision = " in row["settings"]
    assert not row["passes"] and not any("mig" in name for name in row)
    for name, value in {"LEFT_START": -9.0, "LEAST_SHARE": 0.0, "MOST_LAG": 1e9}.items():
        monkeypatch.setattr(trials, name, value)
    monkeypatch.setattr("lib.evaluation.stability.MOST_OFF", 1e9)
    monkeypatch.setattr("lib.evaluation.stability.MOST_SWING", 1e9)
    assert trials.trial(run, kl)["passes"]
    for name, value in {"LEFT_START": 99.0, "LEAST_SHARE": 1.1, "MOST_LAG": 0.0}.items():
        with monkeypatch.context() as patch:
            patch.setattr(trials, name, value)
            assert not trials.trial(run, kl)["passes"]


def test_the_rise_of_c_at_the_end_is_that_of_the_trace(tiny_config, few_images, tmp_path):
    for arm in ("linear", "adaptive", "random_hold"):
        run = train(tiny_config(arm, steps=300, c_max=16.0), Run(tmp_path / f"{arm}-seed1"), few_images, False)
        last = run.trace()["capacity"].iloc[-3:]
        assert capacity_rise(run) == pytest.approx(last.iloc[-1] - last.mean(), abs=1e-12), arm
    assert capacity_rise(Run(tmp_path / "adaptive-seed1")) > 0
    vae = train(tiny_config("vae", steps=20), Run(tmp_path / "vae-seed1"), few_images, progress=False)
    assert np.isnan(capacity_rise(vae))
