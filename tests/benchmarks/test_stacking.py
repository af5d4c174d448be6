"""Several networks at once have the gradients of single ones, in every way of computing them."""

from functools import partial

import pytest
import torch
from torch import nn

from lib.benchmarks import stacking


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (partial(nn.Conv2d, 3, 5, 4, 2, 1), (2, 3, 8, 10)),
        (partial(nn.Conv2d, 3, 5, 4), (2, 3, 4, 4)),
        (partial(nn.ConvTranspose2d, 3, 5, 4, 2, 1), (2, 3, 4, 6)),
        (partial(nn.ConvTranspose2d, 3, 5, 4), (2, 3, 1, 1)),
    ],
)
def test_products_are_convolutions(layer, shape):
    own = {nn.Conv2d: stacking.ProductConv2d, nn.ConvTranspose2d: stacking.ProductConvTranspose2d}[layer.func]
    expected, product = layer(), own(*layer.args)
    product.load_state_dict(expected.state_dict())
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(product(x), expected(x), rtol=1e-5, atol=1e-6)
    with torch.autocast("cpu", torch.bfloat16):
        assert product(x).dtype == expected(x).dtype == torch.bfloat16


WAYS = ["branches", "branches, compiled", "stacked", "products", "products, compiled"]


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-4), ("bfloat16", 0.1)])
def test_every_way_gives_the_gradients_of_single_networks(precision, tolerance, tiny_config, few_images, monkeypatch):
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))  # needs no C++ compiler
    torch._dynamo.reset()
    configs = [tiny_config(seed=seed, precision=precision) for seed in (1, 2, 3)]
    images = few_images.images(torch.arange(12)).view(3, 4, 1, 64, 64)
    noise = torch.randn(3, 4, 10, generator=torch.Generator().manual_seed(0))
    expected = []
    for config, some, eps in zip(configs, images, noise, strict=True):
        loss = stacking.Loss(stacking.plain_model(config), precision)
        loss(some, eps).backward()
        expected.append({name: parameter.grad for name, parameter in loss.named_parameters()})
    found = stacking.ways(configs, torch.device("cpu"))
    assert list(found) == WAYS
    for name, compute in found.items():
        gradients = compute(images, noise)
        for i, single in enumerate(expected):
            for parameter, gradient in single.items():
                mine = gradients[parameter][i]
                assert not mine.requires_grad
                assert (mine - gradient).norm() <= tolerance * gradient.norm(), (name, parameter)
