"""Networks and losses against torch.distributions, counted parameters and the initialisation's known spread."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence

from lib.model import ARCHITECTURES, VAE, initialise, kl_per_latent, reconstruction_loss, reparameterise

# Counted by hand from the layers' shapes: weights plus biases, encoder and decoder, at 10 latents.
PARAMETERS = {
    "conv": (544 + 16_416 + 32_832 + 65_600 + 262_400 + 5_140) + (2_816 + 262_208 + 65_600 + 32_800 + 16_416 + 513),
    "fc": (4_916_400 + 1_441_200 + 24_020) + (13_200 + 2 * 1_441_200 + 4_919_296),
    "burgess": (544 + 3 * 16_416 + 131_328 + 65_792 + 5_140) + (2_816 + 65_792 + 131_584 + 3 * 16_416 + 513),
}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_shapes_and_number_of_parameters(architecture):
    model = VAE(architecture, latents=10)
    mean, logvar = model.encode(torch.rand(3, 1, 64, 64))
    assert mean.shape == logvar.shape == (3, 10)
    assert model.decode(mean).shape == (3, 1, 64, 64)
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[architecture]


def test_unknown_architecture_is_refused():
    with pytest.raises(ValueError, match="architecture is 'resnet'; choose one of conv, fc, burgess"):
        VAE("resnet")


def test_reconstruction_loss_is_the_bernoulli_likelihood_per_image():
    generator = torch.Generator().manual_seed(0)
    logits = 4 * torch.randn(5, 1, 64, 64, generator=generator, dtype=torch.float64)
    images = (torch.rand(5, 1, 64, 64, generator=generator) < 0.3).double()
    expected = -Independent(Bernoulli(logits=logits), 3).log_prob(images)
    assert torch.allclose(reconstruction_loss(logits, images), expected, rtol=1e-12)


def test_kl_per_latent_is_the_closed_form_of_two_gaussians():
    generator = torch.Generator().manual_seed(0)
    mean, logvar = torch.randn(2, 7, 3, generator=generator, dtype=torch.float64)  # B = 7 images, J = 3 latents
    expected = kl_divergence(Normal(mean, (logvar / 2).exp()), Normal(0.0, 1.0)).mean(0)
    assert torch.allclose(kl_per_latent(mean, logvar), expected, rtol=1e-12)
    assert torch.equal(kl_per_latent(torch.zeros(7, 3), torch.zeros(7, 3)), torch.zeros(3))


def test_reparameterisation_takes_the_posterior_standard_deviation():
    z = reparameterise(torch.tensor([1.0]), torch.tensor([2 * math.log(3.0)]), torch.tensor([-2.0]))
    assert z.item() == pytest.approx(1 - 2 * 3)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_initialisation_is_he_normal_but_for_transposed_convolutions(architecture):
    model = VAE(architecture)
    initialise(model, seed=3)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            fan_in = module.weight[0].numel()
            assert (module.bias == 0).all()
            spread = (2 / fan_in) ** 0.5
            error = 5 * spread / (2 * module.weight.numel()) ** 0.5  # five standard errors of a standard deviation
            assert module.weight.std().item() == pytest.approx(spread, abs=error)
            assert module.weight.abs().max() > 2.5 * spread  # a uniform one would end at 1.73
        elif isinstance(module, nn.ConvTranspose2d):
            bound = module.weight[0].numel() ** -0.5  # the framework's default: uniform, fan-in of the second axis
            assert 0.9 * bound < module.weight.abs().max() <= bound
            assert 0 < module.bias.abs().max() <= bound


def test_initialisation_follows_the_seed():
    models = [VAE() for _ in range(3)]
    for model, seed in zip(models, (1, 1, 2), strict=True):
        initialise(model, seed)
    first, second, third = (torch.cat([p.flatten() for p in model.parameters()]) for model in models)
    assert torch.equal(first, second)
    assert (first != third).float().mean() > 0.9
