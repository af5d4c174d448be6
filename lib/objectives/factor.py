"""FactorVAE: the total correlation by a discriminator, which learns to tell latents from latents that were permuted."""

from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from lib.objectives.seam import Encoded, ObjectiveSettings
from lib.objectives.weighted import LOWER_BOUND
from lib.schedules import Schedule

GAMMA = 35.0
WIDTH, HIDDEN, SLOPE = 1_000, 5, 0.2  # units of a hidden layer, hidden layers, leaky ReLU's slope


class Discriminator(nn.Sequential):
    """z [B, J] -> logits [B, 2]: class 0 of z ~ q(z), class 1 of z whose latents come from different images.

    "6 layers" is read as five hidden ones and the output, six matrices (as 1Konny, YannDubs and AntixK do;
    disentanglement_lib has six hidden ones).
    """

    def __init__(self, latents: int) -> None:
        widths = [latents, *[WIDTH] * HIDDEN]
        layers = [(nn.Linear(*pair), nn.LeakyReLU(SLOPE)) for pair in pairwise(widths)]
        super().__init__(*(module for layer in layers for module in layer), nn.Linear(WIDTH, 2))


def permuted(latents: Tensor, keys: Tensor) -> Tensor:
    """Each column of latents [B, J] in an order of its own, that of random keys [B, J] (FactorVAE, algorithm 1)."""
    return latents.gather(0, keys.argsort(0))


class FactorKL:
    """L = D + KL + gamma mean(l0 - l1), with the discriminator's logits (l0, l1) of z ~ q(z|x).

    l0 - l1 estimates log q(z) - log prod_j q(z_j), and its mean the total correlation. The discriminator learns from

        L_D = (CE(logits of z, 0) + CE(logits of permuted z', 1)) / 2,

    z' ~ q(z|x') of a second batch, after the VAE's step. The encoder's gradient of L_D is 0: in some public code z is
    not detached there, and the encoder learns to help the discriminator. Nor has L a gradient to the discriminator.
    Recorded is the weight of the KL, 1.

    Source: Kim and Mnih, Disentangling by Factorising, ICML 2018, eq. 2 and algorithm 2.
    """

    columns = ("beta",)

    def __init__(self, gamma: float, latents: int, learning_rate: float) -> None:
        self.gamma, self.learning_rate = gamma, learning_rate
        self.adversary = Discriminator(latents)

    def initial_state(self) -> Tensor:
        return LOWER_BOUND.initial_state()

    def control(self, t: Tensor, state: Tensor, kl: Tensor) -> tuple[Tensor, Tensor]:
        return LOWER_BOUND.control(t, state, kl)

    def penalty(self, state: Tensor, encoded: Encoded) -> Tensor:
        weights = {name: value.detach() for name, value in self.adversary.named_parameters()}
        logits = functional_call(self.adversary, weights, encoded.latents)  # [B, 2]
        return LOWER_BOUND.penalty(state, encoded) + self.gamma * (logits[:, 0] - logits[:, 1]).mean()

    def initialise_adversary(self, generator: torch.Generator) -> None:
        """He-normal weights and zero biases, as the VAE's."""
        for module in self.adversary:
            if isinstance(module, nn.Linear):
                nn.init.kaiming_normal_(module.weight, generator=generator)
                nn.init.zeros_(module.bias)

    def adversary_optimizer(self, capturable: bool) -> torch.optim.Optimizer:
        """Adam with the paper's betas, at the VAE's learning rate, as there, where both are 1e-4."""
        parameters = self.adversary.parameters()
        return torch.optim.Adam(parameters, self.learning_rate, (0.5, 0.9), fused=True, capturable=capturable)

    def adversary_loss(self, latents: Tensor, others: Tensor, keys: Tensor) -> Tensor:
        """L_D [], nats per image, from z and z' of different images and random keys, all [B, J]."""
        z = torch.cat([latents.detach(), permuted(others.detach(), keys)])
        l0, l1 = self.adversary(z).unbind(1)  # [2 B]
        half = len(latents)
        return (F.softplus((l1 - l0)[:half]).mean() + F.softplus((l0 - l1)[half:]).mean()) / 2

    rests_on = (adversary_loss, permuted)


def factor_vae(settings: ObjectiveSettings, schedule: Callable[..., Schedule] | None) -> FactorKL:
    """gamma = 35, as in paruby's public code (300,000 steps at learning rate 1e-4); others take 6.4 to 100.

    The discriminator sees z as it was before the VAE's update of the step, z' coded after it; its He-normal weights
    are a choice of this project.
    """
    return FactorKL(GAMMA, settings.latents, settings.learning_rate)
