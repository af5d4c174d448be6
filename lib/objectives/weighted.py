"""The KL weighted by the clock alone: beta(t) KL, with neither a capacity nor a look at the KL.

beta = 1 is the VAE's evidence lower bound; a beta above 1 presses for ever, a beta that rises lets go at the start.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lib.objectives.seam import Encoded, ObjectiveSettings
from lib.schedules import Schedule

BETA = 4.0  # beta-VAE's usual one on dSprites
RISE = 4  # annealing rises in the first 1/RISE of training
CYCLES, RISING = 4, 0.5  # cyclical annealing: how many cycles, and in which share of each beta rises


@dataclass(frozen=True)
class WeightedKL:
    """L = D + beta(t) KL."""

    weight: Callable[[Tensor], Tensor]  # t = 1, 2, ... (int64 []) -> beta(t), float64 []

    columns = ("beta",)

    def initial_state(self) -> Tensor:
        """beta(0), float64 [1]: nothing reads it."""
        return torch.ones(1, dtype=torch.float64)

    def control(self, t: Tensor, state: Tensor, kl: Tensor) -> tuple[Tensor, Tensor]:
        beta = self.weight(t).view(1)
        return beta, beta

    def penalty(self, state: Tensor, encoded: Encoded) -> Tensor:
        return state[0].to(encoded.kl.dtype) * encoded.kl


LOWER_BOUND = WeightedKL(lambda t: torch.full_like(t, 1.0, dtype=torch.float64))  # beta = 1


def vae(settings: ObjectiveSettings, schedule: Callable[..., Schedule] | None) -> WeightedKL:
    """beta = 1: the negative evidence lower bound. Source: Kingma and Welling 2013, eq. 10."""
    return LOWER_BOUND


def beta_vae(settings: ObjectiveSettings, schedule: Callable[..., Schedule] | None) -> WeightedKL:
    """beta = 4 throughout. Source: Higgins et al., beta-VAE, ICLR 2017, eq. 4.

    Their network for dSprites, of fully connected layers (`architecture` fc), and Adagrad are here the settings'.
    """
    return WeightedKL(lambda t: torch.full_like(t, BETA, dtype=torch.float64))


def kl_annealing(settings: ObjectiveSettings, schedule: Callable[..., Schedule] | None) -> WeightedKL:
    """beta(t) = min(4 (t - 1) / T, 1): from 0 to 1 in a straight line over the first quarter of T steps, then 1.

    Source: Bowman et al. 2016, section 3.1, who raise the weight from 0 to 1 in a sigmoid of unstated length, on text.
    The straight line and the quarter are the monotone baseline of Fu et al. 2019: no length for dSprites is published.
    """
    return WeightedKL(lambda t: (RISE * (t - 1).double() / settings.steps).clamp(max=1.0))


def cyclical(settings: ObjectiveSettings, schedule: Callable[..., Schedule] | None) -> WeightedKL:
    """beta(t) = min(tau / R, 1), with tau = ((t - 1) mod T/M) / (T/M), M = 4 cycles and R = 0.5.

    Source: Fu et al., Cyclical annealing, NAACL 2019, eq. 6 and 7, on text. Their code counts steps from 0, so that a
    cycle starts with beta = 0 and the last step of training has beta = 1. A cycle need not be a whole number of steps
    here; where it is, nothing differs.
    """

    def weight(t: Tensor) -> Tensor:
        tau = torch.remainder(CYCLES * (t - 1), settings.steps).double() / settings.steps
        return (tau / RISING).clamp(max=1.0)

    return WeightedKL(weight)
