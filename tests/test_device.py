"""A step asks the host for nothing, shown without a GPU: on PyTorch's meta device, whose tensors hold no values.

Reading a number, branching on one, or letting a tensor of the CPU into the step's arithmetic raises an error there.
(tests/test_cuda.py asks the same of a CUDA device, where there is one.)
"""

import contextlib
import sys

import pytest
import torch
from torch.optim import Optimizer

from lib import engine
from lib.dataset import Dataset
from lib.engine import BLOCK, Engine
from lib.floor import step_launches
from lib.model import ARCHITECTURES
from lib.schedules import ARMS, AdaptiveCapacity

META = torch.device("meta")


@pytest.fixture
def meta_engine(tiny_config, monkeypatch):
    """A function: an engine on the meta device; no batches and noise can be drawn there, so they are only shapes."""
    monkeypatch.setattr(engine, "device_of", lambda config: META)
    monkeypatch.setattr(engine, "epoch_permutation", lambda seed, epoch, n, device: torch.zeros(n).long().to(device))
    monkeypatch.setattr(engine, "noise_block", lambda seed, block, *shape: torch.zeros(BLOCK, *shape[:2]).to(shape[2]))
    monkeypatch.setattr(torch, "autocast", lambda *args, **settings: contextlib.nullcontext())  # knows no such device
    monkeypatch.setattr(sys.modules[Optimizer.__module__], "_get_fused_kernels_supported_devices", lambda: ["meta"])

    def build(arm: str, **changes) -> Engine:
        data = Dataset(torch.zeros(1_000, 512, dtype=torch.uint8, device=META), "", "rendered", None)
        built = Engine(tiny_config(arm, **changes), data)
        built.prepare()
        return built

    return build


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("changes", [{}, {"precision": "float64"}, {"kd": 0.1}, {"anti_windup": "published"}], ids=str)
def test_a_step_asks_the_host_for_nothing(arm, changes, meta_engine):
    built = meta_engine(arm, **changes)
    built.train_step()
    built.train_step()  # the second finds the optimiser's state


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_no_network_asks_the_host_for_anything(architecture, meta_engine):
    meta_engine("adaptive", architecture=architecture).train_step()


def asking(built: Engine, monkeypatch) -> None:
    advance = AdaptiveCapacity.advance
    monkeypatch.setattr(
        AdaptiveCapacity, "advance", lambda self, t, c, beta, before: advance(self, t, c, beta + beta.item(), before)
    )


def branching(built: Engine, monkeypatch) -> None:
    monkeypatch.setattr(AdaptiveCapacity, "advance", lambda self, t, c, beta, before: c if beta > before else c + 1)


def mixing(built: Engine, monkeypatch) -> None:
    built._within_batch = torch.arange(built.config.batch_size)


@pytest.mark.parametrize("fault", [asking, branching, mixing])
def test_a_step_that_asks_would_be_found(fault, meta_engine, monkeypatch):
    built = meta_engine("adaptive")
    fault(built, monkeypatch)
    with pytest.raises(RuntimeError, match="meta"):
        built.train_step()


def test_a_step_launches_what_the_benchmark_notebook_says(meta_engine):
    launches, of_control = step_launches(meta_engine("adaptive"))
    assert launches > 100
    assert of_control > launches / 4
    print(launches, of_control)
