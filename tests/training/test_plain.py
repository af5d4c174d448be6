"""The reference is PyTorch's own layers with the engine's weights."""

import pytest
import torch

from lib.model import ARCHITECTURES, VAE, initialise
from lib.training.engine import Engine
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
