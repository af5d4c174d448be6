"""What a step costs at least is counted right."""

import pytest
import torch

from lib.benchmarks import floor
from lib.model import ARCHITECTURES

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
    assert floor.step_operations(tiny_config(architecture=architecture, batch_size=64)) == expected
    if architecture == "conv":
        assert expected == pytest.approx(6.18e9, rel=1e-3)


def test_bytes_of_a_step_are_those_counted_by_hand(tiny_config):
    weights = (
        4_915_200 + 1200 + 1_440_000 + 1200 + 24_000 + 20 + 12_000 + 1200 + 2 * (1_440_000 + 1200) + 4_915_200 + 4096
    )
    outputs = 4 * 1200 + 20 + 1200 + 5 * 1200 + 4096  # encoder, posterior, decoder
    config = tiny_config(architecture="fc", batch_size=1)
    assert floor.step_bytes(config) == 32 * weights + 16 * outputs


def test_views_launch_nothing():
    a = torch.ones(4, 6)
    with floor.Launches() as launches:
        (a + 1).view(6, 4).T[2:].sum().detach()
    assert launches.count == 2


def test_floors_are_counts_over_rates(tiny_config, few_images, monkeypatch):
    monkeypatch.setitem(floor.PRODUCT, "cpu", 64)
    monkeypatch.setattr(floor, "copy_rate", lambda device: 2e9)
    monkeypatch.setattr(floor, "launch_seconds", lambda device: 1e-6)
    found = floor.floors({name: tiny_config(precision=name) for name in ("float32", "bfloat16")}, few_images)
    assert list(found) == ["float32", "bfloat16"]
    for values in found.values():
        assert values["ms_by_bytes"] == pytest.approx(values["bytes"] / 2e9 * 1e3)
        assert values["ms_by_launches"] == pytest.approx(values["launches"] / 1e3)
        rate = values["tflop_per_second_of_a_large_product"] * 1e12
        assert values["ms_by_operations"] == pytest.approx(values["operations"] / rate * 1e3)
    assert found["bfloat16"]["bytes"] < found["float32"]["bytes"]
