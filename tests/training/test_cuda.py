"""What only a CUDA device can show: the captured step computes what the plain one does, and repeats its bits."""

import itertools

import numpy as np
import pandas as pd
import pytest
import torch

from lib.benchmarks import training as benchmark
from lib.files import read_json
from lib.runs.run import Run
from lib.training.device import reproducible
from lib.training.engine import Engine, trace_columns
from lib.training.lockstep import Lockstep
from lib.training.plain import COLUMNS, reference_loop
from lib.training.train import train, train_together

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.fixture
def images_there(few_images):
    return few_images.to("cuda")


@pytest.mark.parametrize("arm", ["linear", "adaptive"])
@pytest.mark.parametrize("cooldown", [0.0, 0.95])  # of 200 steps: it begins at the 11th
@pytest.mark.parametrize(("precision", "steps", "tolerance"), [("float64", 100, 1e-9), ("float32", 20, 1e-4)])
def test_captured_steps_reproduce_the_reference_loop(
    arm, precision, steps, tolerance, cooldown, tiny_config, few_images, images_there
):
    config = tiny_config(arm, precision=precision, steps=200, device="cuda", cooldown=cooldown)
    with reproducible(1):
        lockstep = Lockstep([Engine(config, images_there)])
        values = lockstep.run(steps)[0].cpu().numpy()
        expected = reference_loop(config, few_images.packed.numpy())(steps)
    assert set(lockstep._graphs) == {1, 10}
    columns = [trace_columns(config.latents).index(name) for name in COLUMNS]
    assert np.allclose(values[:, columns], expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("arm", ["linear", "information"])
@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16"])
def test_captured_steps_have_the_bits_of_launched_ones(arm, precision, tiny_config, images_there, monkeypatch):
    monkeypatch.setattr("lib.objectives.information.query_every", lambda steps: 20)
    config = tiny_config(arm, precision=precision, device="cuda")
    with reproducible(1, precision == "tf32"):
        capturing, launching = (Lockstep([Engine(config, images_there)]) for _ in range(2))
        captured = capturing.run(50)[0]
        monkeypatch.setattr("lib.training.lockstep.WARM_UP", 50)
        launched = launching.run(50)[0]
    assert (set(capturing._graphs), set(launching._graphs)) == ({1, 10}, set())
    assert torch.equal(captured, launched)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_runs_together_alone_and_resumed_have_the_same_bits(precision, tiny_config, few_images, tmp_path, monkeypatch):
    monkeypatch.setattr("lib.training.train.LOOK", {"cuda": 10})
    monkeypatch.setattr("lib.training.train.LEAST_SECONDS", 0)
    changes = {"precision": precision, "device": "cuda"}
    configs = [tiny_config(arm, seed, **changes) for seed in (1, 2) for arm in ("linear", "adaptive")]
    together = [Run(tmp_path / "together" / f"{config.arm}{config.seed}") for config in configs]
    train_together(configs, together, few_images, progress=False)
    for config, run in zip(configs, together, strict=True):
        alone = Run(tmp_path / "alone" / run.name)
        with monkeypatch.context() as patch:
            patch.setattr("lib.training.train.Training._finish", lambda self: self.checkpoint())
            train(config, alone, few_images, progress=False)  # ends without its last act, as if cut off there
        state = torch.load(alone.checkpoint, weights_only=True)
        assert state["engine"]["step"] == config.steps
        resumed = Run(tmp_path / "resumed" / run.name)
        clock = itertools.count()
        with monkeypatch.context() as patch:
            patch.setattr("lib.training.train.time.perf_counter", lambda clock=clock: float(next(clock)))
            train_together([config], [resumed], few_images, progress=False, time_limit=6)
        assert 0 < torch.load(resumed.checkpoint, weights_only=True)["engine"]["step"] < config.steps
        train(config, resumed, few_images, progress=False)
        assert resumed.trace().equals(run.trace())
        for name, value in run.load_model().state_dict().items():
            assert torch.equal(value, resumed.load_model().state_dict()[name])
            assert torch.equal(value, state["engine"]["model"][name].cpu())


@pytest.mark.parametrize("arm", ["linear", "adaptive"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_no_step_waits_for_the_host(arm, precision, tiny_config, images_there):
    engine = Engine(tiny_config(arm, device="cuda", precision=precision), images_there)
    engine.prepare()
    engine.train_step()  # the optimiser makes its state
    torch.cuda.set_sync_debug_mode("error")
    try:
        engine.train_step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_benchmark_measures_every_case(tiny_config, images_there, monkeypatch, tmp_path):
    monkeypatch.setitem(benchmark.TOGETHER, "cuda", (1, 2))
    benchmark.benchmark(tiny_config(device="cuda"), images_there, 30, 1, tmp_path)  # 30 steps meet both graphs
    table, record = pd.read_csv(tmp_path / "cuda.csv"), read_json(tmp_path / "cuda.json")
    assert set(record["floor"]) == {"float32", "tf32", "bfloat16"}
    assert len(table) == 3 * 5
    assert table.groupby("deterministic").size().to_dict() == {True: 9, False: 6}
    assert table["memory_held_mib"].notna().all()
