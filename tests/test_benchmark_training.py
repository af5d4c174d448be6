"""The benchmark's reference is PyTorch's own layers with the engine's weights, and its operations are counted right."""

import pytest
import torch

from lib.benchmark_training import checkpoint_seconds, step_operations
from lib.engine import Engine
from lib.model import ARCHITECTURES
from lib.reference_loop import plain_model, reference_loop

# Multiplications per image and layer, positions x weights, in order; the first layer's input needs no gradient.
MULTIPLICATIONS = {
    "conv": [
        1024 * 512, 256 * 16_384, 64 * 32_768, 16 * 65_536, 262_144, 5_120,
        2_560, 262_144, 16 * 65_536, 64 * 32_768, 256 * 16_384, 1024 * 512,
    ],
    "fc": [4_915_200, 1_440_000, 24_000, 12_000, 1_440_000, 1_440_000, 4_915_200],
    "burgess": [
        1024 * 512, 256 * 16_384, 64 * 16_384, 16 * 16_384, 131_072, 65_536, 5_120,
        2_560, 65_536, 131_072, 16 * 16_384, 64 * 16_384, 256 * 16_384, 1024 * 512,
    ],
}  # fmt: skip


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_operations_are_those_counted_by_hand(architecture, tiny_config):
    layers = MULTIPLICATIONS[architecture]
    expected = 2 * 64 * (3 * sum(layers) - layers[0])
    assert step_operations(tiny_config(architecture=architecture, batch_size=64)) == expected
    if architecture == "conv":
        assert expected == pytest.approx(6.18e9, rel=1e-3)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_reference_network_is_pytorchs_own_and_computes_the_same(architecture, tiny_config, few_images):
    engine = Engine(tiny_config(architecture=architecture, precision="float64"), few_images)
    plain = plain_model(engine.config).double()
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


def test_checkpoint_that_is_timed_is_a_full_one(tiny_config, few_images, tmp_path):
    config = tiny_config(steps=40, trace_every=4)
    assert checkpoint_seconds(config, few_images.packed.numpy(), tmp_path) > 0
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert len(state["trace"]["rows"]) == 9
    assert len(state["engine"]["optimizer"]["state"]) == len(list(Engine(config, few_images).model.parameters()))
