"""The networks: a VAE with a Gaussian encoder and a Bernoulli decoder, three architectures by name.

Reductions, the same everywhere: the reconstruction loss is summed over pixels, the KL over latents, and both are
averaged over the batch, so that both are in nats per image and beta weighs like against like.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ARCHITECTURES = ("conv", "fc", "burgess")


class Layers(NamedTuple):
    """The classes that convolutions are made of: PyTorch's own, or others with their parameters and results."""

    convolution: type[nn.Conv2d]
    transposed: type[nn.ConvTranspose2d]


PLAIN = Layers(nn.Conv2d, nn.ConvTranspose2d)


def _conv(layers: Layers) -> tuple[nn.Module, nn.Module, int]:
    """ControlVAE's model H: four strided convolutions and a 256-unit bottleneck, mirrored."""
    relu, (convolution, transposed) = nn.ReLU, layers
    encoder = nn.Sequential(  # images [B, 1, 64, 64]
        convolution(1, 32, 4, 2, 1), relu(),  # [B, 32, 32, 32]
        convolution(32, 32, 4, 2, 1), relu(),  # [B, 32, 16, 16]
        convolution(32, 64, 4, 2, 1), relu(),  # [B, 64, 8, 8]
        convolution(64, 64, 4, 2, 1), relu(),  # [B, 64, 4, 4]
        convolution(64, 256, 4), relu(),  # [B, 256, 1, 1]
        nn.Flatten(),  # [B, 256]
    )  # fmt: skip
    decoder = nn.Sequential(  # hidden [B, 256] from the latents
        nn.Unflatten(1, (256, 1, 1)), relu(),
        transposed(256, 64, 4), relu(),  # [B, 64, 4, 4]
        transposed(64, 64, 4, 2, 1), relu(),  # [B, 64, 8, 8]
        transposed(64, 32, 4, 2, 1), relu(),  # [B, 32, 16, 16]
        transposed(32, 32, 4, 2, 1), relu(),  # [B, 32, 32, 32]
        transposed(32, 1, 4, 2, 1),  # logits [B, 1, 64, 64]
    )  # fmt: skip
    return encoder, decoder, 256


def _fc(_: Layers) -> tuple[nn.Module, nn.Module, int]:
    """The beta-VAE paper's network for 2D shapes (Higgins et al. 2017, table 1): ReLU encoder, tanh decoder.

    That paper trained it with Adagrad; here it is trained with Adam, as the report says of its own networks.
    """
    encoder = nn.Sequential(
        nn.Flatten(), nn.Linear(4096, 1200), nn.ReLU(), nn.Linear(1200, 1200), nn.ReLU(),
    )  # fmt: skip
    decoder = nn.Sequential(
        nn.Tanh(), nn.Linear(1200, 1200), nn.Tanh(), nn.Linear(1200, 1200), nn.Tanh(),
        nn.Linear(1200, 4096), nn.Unflatten(1, (1, 64, 64)),
    )  # fmt: skip
    return encoder, decoder, 1200


def _burgess(layers: Layers) -> tuple[nn.Module, nn.Module, int]:
    """Burgess et al. 2018, appendix A: four convolutions of 32 channels, two layers of 256 units, mirrored."""
    relu, (convolution, transposed) = nn.ReLU, layers
    encoder = nn.Sequential(  # images [B, 1, 64, 64]
        convolution(1, 32, 4, 2, 1), relu(),  # [B, 32, 32, 32]
        convolution(32, 32, 4, 2, 1), relu(),  # [B, 32, 16, 16]
        convolution(32, 32, 4, 2, 1), relu(),  # [B, 32, 8, 8]
        convolution(32, 32, 4, 2, 1), relu(),  # [B, 32, 4, 4]
        nn.Flatten(), nn.Linear(512, 256), relu(), nn.Linear(256, 256), relu(),
    )  # fmt: skip
    decoder = nn.Sequential(  # hidden [B, 256] from the latents
        relu(), nn.Linear(256, 256), relu(), nn.Linear(256, 512), relu(), nn.Unflatten(1, (32, 4, 4)),
        transposed(32, 32, 4, 2, 1), relu(),  # [B, 32, 8, 8]
        transposed(32, 32, 4, 2, 1), relu(),  # [B, 32, 16, 16]
        transposed(32, 32, 4, 2, 1), relu(),  # [B, 32, 32, 32]
        transposed(32, 1, 4, 2, 1),  # logits [B, 1, 64, 64]
    )  # fmt: skip
    return encoder, decoder, 256


class VAE(nn.Module):
    """A VAE for 64x64 binary images: q(z|x) = N(mean(x), diag exp logvar(x)), p(x|z) Bernoulli per pixel.

    architecture: "conv" (ControlVAE's model H, 0.7 M parameters), "fc" (the beta-VAE paper's network for 2D
    shapes) or "burgess". The report says that its network is "the same as [4]"; ControlVAE's code labels the
    convolutional model so, while [4]'s own network for 2D shapes is the fully connected one: "conv" is our
    reading, "fc" the literal one.

    layers: the classes of its convolutions; they change how fast it computes, not what (lib/training/layers.py).

    Sampling is explicit: `encode` returns the posterior's parameters and `decode` takes latents as data.
    Raises ValueError for an unknown architecture.
    """

    def __init__(self, architecture: str = "conv", latents: int = 10, layers: Layers = PLAIN) -> None:
        super().__init__()
        builders = {"conv": _conv, "fc": _fc, "burgess": _burgess}
        if architecture not in builders:
            raise ValueError(f"architecture is {architecture!r}; choose one of {', '.join(ARCHITECTURES)}.")
        self.encoder, self.decoder, width = builders[architecture](layers)
        self.to_posterior = nn.Linear(width, 2 * latents)
        self.from_latents = nn.Linear(latents, width)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """images [B, 1, 64, 64] -> mean [B, J], logvar [B, J] of q(z|x)."""
        mean, logvar = self.to_posterior(self.encoder(images)).chunk(2, dim=1)
        return mean, logvar

    def decode(self, latents: Tensor) -> Tensor:
        """latents [B, J] -> logits [B, 1, 64, 64] of p(x|z)."""
        return self.decoder(self.from_latents(latents))


def initialise(model: VAE, seed: int) -> None:
    """ControlVAE's initialisation, in place, the same on every device for the same seed.

    He-normal weights and zero biases for Conv2d and Linear; ConvTranspose2d keeps the framework's default
    (uniform), as in ControlVAE's public code, but drawn from the seed as well.
    """
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, generator=generator)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.ConvTranspose2d):
            nn.init.kaiming_uniform_(module.weight, a=5**0.5, generator=generator)
            fan_in, _ = nn.init._calculate_fan_in_and_fan_out(module.weight)
            nn.init.uniform_(module.bias, -(fan_in**-0.5), fan_in**-0.5, generator=generator)


def reparameterise(mean: Tensor, logvar: Tensor, noise: Tensor) -> Tensor:
    """z = mean + exp(logvar / 2) * noise, all [B, J] (Kingma & Welling 2013, eq. 4)."""
    return mean + torch.exp(0.5 * logvar) * noise


def reconstruction_loss(logits: Tensor, images: Tensor) -> Tensor:
    """-log p(x|z) per image [B], nats: the cross-entropy summed over the 4096 pixels."""
    return F.binary_cross_entropy_with_logits(logits, images, reduction="none").flatten(1).sum(1)


def kl_per_latent(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL(q(z_j|x) || N(0, 1)) per latent [J], nats: the mean over the batch (Kingma & Welling 2013, app. B)."""
    return 0.5 * (mean.square() + logvar.exp() - logvar - 1).mean(0)


def kl_per_image(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL(q(z|x) || N(0, I)) of each image [B], nats: the sum over latents of `kl_per_latent`'s terms."""
    return 0.5 * (mean.square() + logvar.exp() - logvar - 1).sum(1)
