"""The layers against PyTorch's own in double precision, in bfloat16 and in inference mode, on odd shapes."""

import pytest
import torch
from torch import nn

from lib.training import layers
from lib.training.layers import Conv2d, ConvTranspose2d

# class, PyTorch's class, (C_in, C_out, kernel, stride, padding), (H, W)
CASES = {
    "strided": (Conv2d, nn.Conv2d, (3, 5, 4, 2, 1), (10, 6)),
    "strided, a border left over": (Conv2d, nn.Conv2d, (3, 5, 4, 2, 1), (11, 7)),
    "strided, odd kernel": (Conv2d, nn.Conv2d, (3, 5, 3, 2, 1), (9, 8)),
    "strided by 3": (Conv2d, nn.Conv2d, (2, 3, 6, 3, 2), (11, 8)),
    "one position": (Conv2d, nn.Conv2d, (3, 5, 4), (4, 4)),
    "one position, one channel": (Conv2d, nn.Conv2d, (1, 5, 3), (3, 3)),
    "one position and padding": (Conv2d, nn.Conv2d, (3, 5, 3, 1, 1), (3, 3)),
    "one channel": (Conv2d, nn.Conv2d, (1, 5, 4, 2, 1), (10, 6)),
    "one channel, a border left over": (Conv2d, nn.Conv2d, (1, 5, 3, 2, 2), (8, 11)),
    "one channel, no padding": (Conv2d, nn.Conv2d, (1, 2, 3, 3), (9, 7)),
    "transposed": (ConvTranspose2d, nn.ConvTranspose2d, (3, 5, 4, 2, 1), (5, 3)),
    "transposed, stride 3": (ConvTranspose2d, nn.ConvTranspose2d, (3, 5, 6, 3, 2), (5, 3)),
    "transposed, odd kernel": (ConvTranspose2d, nn.ConvTranspose2d, (3, 5, 3, 2, 1), (5, 3)),
    "transposed, stride 1": (ConvTranspose2d, nn.ConvTranspose2d, (3, 5, 3), (5, 3)),
    "transposed, one position": (ConvTranspose2d, nn.ConvTranspose2d, (3, 5, 4), (1, 1)),
    "transposed, one position and padding": (ConvTranspose2d, nn.ConvTranspose2d, (3, 5, 4, 2, 1), (1, 1)),
    "transposed, one channel": (ConvTranspose2d, nn.ConvTranspose2d, (3, 1, 4, 2, 1), (5, 3)),
    "transposed, one channel, stride 3": (ConvTranspose2d, nn.ConvTranspose2d, (3, 1, 3, 3), (2, 7)),
    "transposed, one channel from one": (ConvTranspose2d, nn.ConvTranspose2d, (1, 1, 4, 2, 1), (3, 2)),
}


def pair(name: str, dtype: torch.dtype, memory_format: torch.memory_format) -> tuple[nn.Module, nn.Module]:
    """The layer and PyTorch's, with the same weights."""
    ours, theirs, arguments, _ = CASES[name]
    torch.manual_seed(0)
    layer, reference = ours(*arguments), theirs(*arguments)
    reference.load_state_dict(layer.state_dict())  # fails where names or shapes differ
    return layer.to(dtype, memory_format=memory_format), reference.to(dtype)


def results(layer: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    """Output and the gradients of input, weight and bias, for a random output gradient."""
    x = x.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=x.dtype == torch.float32):
        y = layer(x)
    grad = torch.randn(y.shape, generator=torch.Generator().manual_seed(1), dtype=x.dtype)
    y.backward(grad.to(y.dtype))
    return [y.detach(), x.grad, layer.weight.grad, layer.bias.grad]


def images(name: str, dtype: torch.dtype, memory_format: torch.memory_format) -> torch.Tensor:
    _, _, arguments, size = CASES[name]
    x = torch.randn(7, arguments[0], *size, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    return x.to(dtype, memory_format=memory_format)


@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("name", CASES)
def test_output_and_all_gradients_are_those_of_pytorch(name, memory_format):
    layer, reference = pair(name, torch.float64, memory_format)
    x = images(name, torch.float64, memory_format)
    for value, expected in zip(results(layer, x), results(reference, x), strict=True):
        assert value.shape == expected.shape
        assert torch.allclose(value, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_under_autocast_results_are_as_near_to_the_truth_as_those_of_pytorch(name, native, monkeypatch):
    monkeypatch.setattr(layers, "BFLOAT16_PRODUCTS", native)
    layer, reference = pair(name, torch.float32, torch.channels_last)
    exact = pair(name, torch.float64, torch.channels_last)[1]
    x = images(name, torch.float32, torch.channels_last)
    truth = results(exact, x.double())
    for value, theirs, true in zip(results(layer, x), results(reference, x), truth, strict=True):
        assert value.dtype == theirs.dtype  # outputs in bfloat16, gradients of parameters in float32
        error, allowed = (value.double() - true).norm() / true.norm(), (theirs.double() - true).norm() / true.norm()
        assert error <= max(1.25 * allowed, 2**-8)  # bfloat16 rounds by 2 ** -9 at most


@pytest.mark.parametrize("name", CASES)
def test_inference_mode_gives_the_same_values_and_repetition_the_same_bits(name):
    layer, _ = pair(name, torch.float32, torch.channels_last)
    x = images(name, torch.float32, torch.channels_last)
    first = results(layer, x)
    layer.zero_grad(set_to_none=True)
    for value, again in zip(first, results(layer, x), strict=True):
        assert torch.equal(value, again)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(x), first[0])


@pytest.mark.parametrize("name", CASES)
def test_bfloat16_products_by_float32_instructions_are_those_of_bfloat16_instructions(name, monkeypatch):
    layer, _ = pair(name, torch.float32, torch.channels_last)
    x, found = images(name, torch.float32, torch.channels_last), []
    for native in (True, False):
        monkeypatch.setattr(layers, "BFLOAT16_PRODUCTS", native)
        layer.zero_grad(set_to_none=True)
        found.append(results(layer, x))
    for value, expected in zip(*found, strict=True):
        assert value.dtype == expected.dtype
        # A last bit of bfloat16, and sums of a handful of such: most values are the same.
        assert torch.allclose(value.float(), expected.float(), rtol=2**-7, atol=2**-7 * expected.float().abs().mean())
