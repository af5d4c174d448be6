"""beta(t) KL with beta a function of the step alone: the VAE, the beta-VAE, and KL annealing, monotone and cyclical.

None of them has a C, and none looks at the KL.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lib.objectives.seam import Encoded, ObjectiveSettings
from lib.schedules import Schedule

BETA_VAE = 4.0  # of Higgins et al., as usual for dSprites
CYCLES, RISING = 4, 0.5  # M and R of Fu et al., section 3.2


@dataclass(frozen=True)
class WeightedKL:
    """beta(t) KL: the bound of Kingma and Welling, 2014, eq. 10, where beta is 1; Higgins et al., 2017, eq. 4."""

    weight: Callable[[Tensor], Tensor]  # beta, float64 [], at step t = 1, 2, ...

    columns = ("beta",)

    def initial_state(self) -> Tensor:
        """beta, float64 [1]; its value before the first step is never used."""
        return torch.zeros(1, dtype=torch.float64)

    def control(self, t: Tensor, state: Tensor, kl: Tensor) -> tuple[Tensor, Tensor]:
        beta = self.weight(t).view(1)
        return beta, beta

    def penalty(self, state: Tensor, encoded: Encoded) -> Tensor:
        return state[0].to(encoded.kl.dtype) * encoded.kl


@dataclass(frozen=True)
class Constant:
    """beta(t) = beta."""

    beta: float

    def __call__(self, t: Tensor) -> Tensor:
        return torch.full_like(t, self.beta, dtype=torch.float64)


@dataclass(frozen=True)
class Cyclical:
    """beta(t) = min(1, tau / R) with tau = ((t - 1) mod T/M) / (T/M): M cycles, each rising from 0 to 1, then held.

    Source: Fu et al., Cyclical annealing schedule, NAACL 2019, eq. 6-7. T/M is not rounded up to whole steps here, so
    that every cycle has the same length where M does not divide T, too.
    """

    cycles: int  # M
    rising: float  # R, the share of a cycle in which beta rises
    steps: int  # T

    def __call__(self, t: Tensor) -> Tensor:
        tau = ((t - 1) * self.cycles % self.steps).double() / self.steps  # whole numbers as far as they go: exact
        return (tau / self.rising).clamp(max=1.0)


def vae(settings: ObjectiveSettings, schedule: Callable[..., Schedule] | None) -> WeightedKL:
    """The plain evidence lower bound, beta = 1."""
    return WeightedKL(Constant(1.0))


def beta_vae(settings: ObjectiveSettings, schedule: Callable[..., Schedule] | None) -> WeightedKL:
    """A fixed beta of 4."""
    return WeightedKL(Constant(BETA_VAE))


def kl_annealing(settings: ObjectiveSettings, schedule: Callable[..., Schedule] | None) -> WeightedKL:
    """Monotone annealing of Bowman et al., 2016: beta from 0 to 1 in the first quarter of training, linearly.

    Bowman et al. give no length, and anneal text models by a sigmoid. Quarter and line are those of the monotone
    baseline of Fu et al., which is their cyclical rule with one cycle. Nothing is published for dSprites.
    """
    return WeightedKL(Cyclical(1, 0.25, settings.steps))


def cyclical(settings: ObjectiveSettings, schedule: Callable[..., Schedule] | None) -> WeightedKL:
    """Fu et al.'s four cycles, beta rising in the first half of each. Theirs are text models."""
    return WeightedKL(Cyclical(CYCLES, RISING, settings.steps))
