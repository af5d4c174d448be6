"""The training benchmark times what it says."""

import numpy as np
import pytest
import torch

from lib.benchmarks import training
from lib.benchmarks.floor import step_operations
from lib.training.engine import Engine


def test_every_loop_is_timed_in_processes_of_its_own(few_images, monkeypatch):
    monkeypatch.setattr(training, "PRECISIONS", ("float32",))
    monkeypatch.setattr(training, "BATCH", 4)
    monkeypatch.setattr(training, "ROUND_SECONDS", 0.01)
    monkeypatch.setattr(training, "product_rate", lambda precision, threads, device: 1e9 * threads)
    rows = training.measure("conv", 1, 2, few_images.packed.numpy())
    assert [row["loop"] for row in rows] == ["reference", "engine"]
    operations = step_operations(training.load_profile("laptop").training_config("linear", 1, batch_size=4))
    for row in rows:
        assert row["steps_per_second"] == pytest.approx(2 * 1e3 / row["ms_per_step"])
        assert row["gflop_per_second"] == pytest.approx(row["steps_per_second"] * operations / 1e9)
        assert row["share_of_product_rate"] == pytest.approx(row["gflop_per_second"] / 2)
        assert row["peak_memory_mib"] > 50
    assert rows[0]["ratio_to_reference"] == 1


def test_the_engines_loop_trains(tiny_config, few_images):
    values = training.engine_loop(tiny_config("linear", learning_rate=1e-3), few_images.packed.numpy())(40)
    assert isinstance(values, np.ndarray)
    assert values[-1, 0] < values[0, 0] / 2


def test_checkpoint_that_is_timed_is_a_full_one(tiny_config, few_images, tmp_path):
    config = tiny_config(steps=40, trace_every=4)
    assert training.checkpoint_seconds(config, few_images.packed.numpy(), tmp_path) > 0
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert len(state["trace"]["rows"]) == 9
    assert len(state["engine"]["optimizer"]["state"]) == len(list(Engine(config, few_images).model.parameters()))
