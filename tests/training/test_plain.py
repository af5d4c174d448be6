"""The reference is PyTorch's own layers with the engine's weights; an engine that is compiled computes the same."""

from functools import partial

import pytest
import torch
from compiled_engine import compile_step

from lib.model import ARCHITECTURES, VAE, initialise
from lib.training.engine import Engine
from lib.training.lockstep import Lockstep
from lib.training.plain import reference_loop
from lib.training.streams import WEIGHTS, stream_seed


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_reference_network_is_pytorchs_own_and_computes_the_same(architecture, tiny_config, few_images):
    engine = Engine(tiny_config(architecture=architecture, precision="float64"), few_images)
    plain = VAE(architecture, engine.config.latents)
    initialise(plain, stream_seed(engine.config.seed, WEIGHTS))
    plain.double()
    assert {type(module).__module__.split(".")[0] for part in (plain.encoder, plain.decoder) for module in part} == {
        "torch"
    }
    images = engine.data.images(torch.arange(7), torch.float64)
    for model in (plain, engine.model):
        mean, logvar = model.encode(images)
        (model.decode(mean).square().sum() + (mean * logvar).sum()).backward()
    for parameter, expected in zip(engine.model.parameters(), plain.parameters(), strict=True):
        assert torch.equal(parameter, expected)
        assert torch.allclose(parameter.grad, expected.grad, rtol=1e-10, atol=1e-9 * expected.grad.abs().max())


def test_reference_loop_learns(tiny_config, few_images):
    config = tiny_config("linear", precision="bfloat16", learning_rate=1e-3)
    losses = reference_loop(config, few_images.packed.numpy())(40)[:, 0]
    assert losses[-1] < losses[0] / 2


def test_compiled_engines_compute_the_same_and_share_their_graphs(tiny_config, few_images, monkeypatch):
    # What is captured and how state passes through it is tested, not the kernels: they need a C++ compiler.
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    for seed in range(1, 6):
        for arm in ("linear", "adaptive"):
            changes = {"precision": "float64", "batch_size": 4}
            compiled, plain = (Engine(tiny_config(arm, seed, **changes), few_images) for _ in range(2))
            compile_step(compiled)
            values, expected = (Lockstep([engine]).run(10)[0] for engine in (compiled, plain))
            assert torch.allclose(values, expected, rtol=1e-9, atol=1e-9)
    # Encoder and decoder once, the control once per arm: ten engines do not reach the limit of recompilations.
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 4
