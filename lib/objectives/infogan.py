"""InfoGAN: a generator that a discriminator cannot tell from the data, and codes that can be read off its samples."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from lib.model import PLAIN, Layers
from lib.objectives.seam import ObjectiveSettings
from lib.schedules import Schedule

LAMBDA = 0.05
SLOWER = 5.0  # than the other arms' networks learn
SLOPE, DEVIATION = 0.2, 0.02  # leaky ReLU's slope; of the discriminator's first weights
HALF_WIDTH = math.sqrt(3)  # of a code's uniform distribution: its variance is 1


class Discriminator(nn.Sequential):
    """images [B, 1, 64, 64] -> logits [B, 1] of "from the data"; every layer's matrix has spectral norm 1."""

    def __init__(self, layers: Layers = PLAIN) -> None:
        channels = (1, 32, 32, 64, 64)
        convolutions = [layers.convolution(*channels[i : i + 2], 4, 2, 1) for i in range(4)]  # [B, 64, 4, 4]
        matrices = [*convolutions, nn.Linear(64 * 4 * 4, 128), nn.Linear(128, 1)]
        for module in matrices:
            nn.init.normal_(module.weight, std=DEVIATION)
            nn.init.zeros_(module.bias)
        *hidden, last = [spectral_norm(module) for module in matrices]
        steps = [(module, nn.LeakyReLU(SLOPE)) for module in hidden]
        super().__init__(*sum(steps[:4], ()), nn.Flatten(), *steps[4], last)


@dataclass(frozen=True)
class InfoGAN:
    """min over G and Q, max over D of V(D, G) - lambda L_I(G, Q), with the non-saturating loss of G:

        L_D = -E log D(x) - E log(1 - D(G(z))),    L_GQ = -E log D(G(z)) - lambda L_I.

    The first `codes` latents are the codes c, whose posterior Q(c|x) learns the mean and the width of; the others are
    noise, of which Q says nothing: its posterior is their prior. Recorded, in nats: L_D and -E log D(G(z)), per
    sample, and L_I, the lower bound of I(c; G(z)).

    No likelihood takes part. The reconstruction loss and the KL that the trace has as well are those of a VAE of
    encoder Q and decoder G on the step's images: measured, not minimised. A code is not normal under its prior,
    though of mean 0 and variance 1; the KL against N(0, 1) keeps the name and the meaning it has in the other arms.

    Source: Chen et al., InfoGAN, NIPS 2016 (arXiv 1606.03657), eq. 5 and 6.
    """

    codes: int
    weight: float  # lambda
    learning_rate: float  # of all three networks

    columns = ("discriminator_loss", "generator_loss", "code_information")

    def initial_state(self) -> Tensor:
        """Nothing is carried, float64 [0]."""
        return torch.zeros(0, dtype=torch.float64)

    def prior(self, noise: Tensor) -> Tensor:
        """Standard normal noise [B, J] -> z [B, J]: the codes ~ U(-sqrt 3, sqrt 3), the rest ~ N(0, 1)."""
        codes, rest = noise[:, : self.codes], noise[:, self.codes :]
        return torch.cat([HALF_WIDTH * torch.erf(codes / math.sqrt(2)), rest], 1)

    def code_information(self, mean: Tensor, logvar: Tensor, latents: Tensor) -> Tensor:
        """L_I [] = H(c) + E log Q(c|x), nats: mean and logvar of a sample x = G(z), its latents z, all [B, J]."""
        mean, logvar, codes = (each[:, : self.codes] for each in (mean, logvar, latents))
        minus_log_q = 0.5 * ((codes - mean).square() * (-logvar).exp() + logvar + math.log(2 * math.pi))
        return self.codes * math.log(2 * HALF_WIDTH) - minus_log_q.sum(1).mean()

    @staticmethod
    def discriminator_loss(real: Tensor, drawn: Tensor) -> Tensor:
        """L_D [] from D's logits of images and of samples, [B, 1] each."""
        return F.softplus(-real).mean() + F.softplus(drawn).mean()

    @staticmethod
    def generator_loss(drawn: Tensor) -> Tensor:
        """-E log D(G(z)) [] from D's logits of samples [B, 1]."""
        return F.softplus(-drawn).mean()

    rests_on = (prior, discriminator_loss, generator_loss, code_information)


def info_gan(settings: ObjectiveSettings, schedule: Callable[..., Schedule] | None) -> InfoGAN:
    """Half of the latents are codes, lambda = 0.05, spectral normalisation: "InfoGAN (modified)" of InfoGAN-CR.

    That is the baseline on dSprites of fjxmlzn/InfoGAN-CR (5 codes, 5 noise variables; the original has digits only),
    whose discriminator this is, its slope read as 0.2. Departures: G and Q are the decoder and the encoder of all
    arms, with their initial weights, so that G has no batch normalisation, and Q a trunk of its own, which gives D no
    term; Q learns its widths, where theirs are fixed;
    codes and noise have variance 1, and the noise is normal. Per step theirs learn once at 2e-3 (D, Q) and twice at
    1e-3 (G), here all once at one rate, a fifth of the settings': in a trial at their rates G, without batch
    normalisation, soon drew black alone and stopped learning. No published setting fits these networks.
    """
    return InfoGAN(settings.latents // 2, LAMBDA, settings.learning_rate / SLOWER)
