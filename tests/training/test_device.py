"""A step asks the host for nothing, shown without a GPU: on PyTorch's meta device, whose tensors hold no values.

Reading a number or branching on one raises an error there, and no operation may meet a tensor of the CPU. Autocast
knows no such device, so that bfloat16 is left to tests/training/test_cuda.py, which asks the same of a CUDA device.
"""

import contextlib
import sys

import pytest
import torch
from torch.optim import Optimizer
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lib.arms import ARMS
from lib.benchmarks.floor import step_launches
from lib.data.dataset import Dataset
from lib.model import ARCHITECTURES
from lib.schedules import AdaptiveCapacity
from lib.training import adversary, engine
from lib.training.engine import Engine
from lib.training.gan import engine_of
from lib.training.streams import BLOCK, AdversaryBlock

META = torch.device("meta")
CHANGES = [{}, {"precision": "float64"}, {"kd": 0.1}, {"anti_windup": "published"}, {"cooldown": 0.5}]


class NothingFromTheHost(TorchDispatchMode):
    """Raises RuntimeError where an operation meets a tensor that is not on the meta device."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        found = operation(*args, **(kwargs or {}))
        for value in tree_leaves((args, kwargs, found)):
            if isinstance(value, torch.Tensor) and value.device != META:
                raise RuntimeError(f"{operation} meets a tensor that is not on the meta device")
        return found


def no_draws(seed: int, block: int, n_images: int, batch: int, latents: int, device: torch.device) -> AdversaryBlock:
    """The shapes of what an objective's network draws."""
    tensors = torch.zeros(BLOCK, batch).long(), *torch.zeros(2, BLOCK, batch, latents)
    return AdversaryBlock(*(tensor.to(device) for tensor in tensors))


@pytest.fixture
def meta_engine(tiny_config, monkeypatch):
    """A function: an engine on the meta device; no batches and noise can be drawn there, so they are only shapes."""
    monkeypatch.setattr(engine, "device_of", lambda config: META)
    monkeypatch.setattr(engine, "epoch_permutation", lambda seed, epoch, n, device: torch.zeros(n).long().to(device))
    monkeypatch.setattr(engine, "noise_block", lambda seed, block, *shape: torch.zeros(BLOCK, *shape[:2]).to(shape[2]))
    monkeypatch.setattr(adversary, "adversary_block", no_draws)
    monkeypatch.setattr(torch, "autocast", lambda *args, **settings: contextlib.nullcontext())  # knows no such device
    fused = torch._fused_adam_  # PyTorch knows its shapes only where the learning rate is a number
    monkeypatch.setattr(torch, "_fused_adam_", lambda *args, lr, **settings: fused(*args, lr=1.0, **settings))
    monkeypatch.setattr(sys.modules[Optimizer.__module__], "_get_fused_kernels_supported_devices", lambda: ["meta"])

    def build(arm: str, **changes) -> Engine:
        data = Dataset(torch.zeros(1_000, 512, dtype=torch.uint8, device=META), "", "rendered")
        built = engine_of(
            tiny_config(arm, **changes), data, torch.zeros(1_000, dtype=torch.bool) if ARMS[arm].drawn_from else None
        )
        built.prepare()
        return built

    return build


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_a_step_asks_the_host_for_nothing(arm, changes, meta_engine):
    built = meta_engine(arm, **changes)
    built.train_step()  # the optimiser makes its state
    with NothingFromTheHost():
        built.train_step()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_no_network_asks_the_host_for_anything(architecture, meta_engine):
    built = meta_engine("adaptive", architecture=architecture)
    built.train_step()
    with NothingFromTheHost():
        built.train_step()


FAULTS = {
    "reading": lambda c, beta, before: c + beta.item(),
    "branching": lambda c, beta, before: c if beta > before else c + 1,
    "a number of the host": lambda c, beta, before: c + torch.tensor(1.0),
    "a copy from the host": lambda c, beta, before: c + torch.ones(()).to(c.device),
    "numbers of the host": lambda c, beta, before: c + torch.ones(2)[:1].sum(0),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_step_that_asks_would_be_found(fault, meta_engine, monkeypatch):
    built = meta_engine("adaptive")
    built.train_step()
    rule = FAULTS[fault]
    monkeypatch.setattr(AdaptiveCapacity, "advance", lambda self, t, c, beta, before: rule(c, beta, before))
    with NothingFromTheHost(), pytest.raises(RuntimeError, match="meta"):
        built.train_step()


@pytest.mark.parametrize(("arm", "of_control"), [("linear", 35), ("adaptive", 39)])
def test_a_step_launches_what_the_benchmark_notebook_says(arm, of_control, meta_engine):
    found = step_launches(meta_engine(arm))
    assert found[0] > 100
    assert found[1] == of_control > found[0] / 5
