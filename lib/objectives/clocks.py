"""Rules by which C moves with the step alone, in arms that are not the report's: schedules as in lib/schedules.py."""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil

import torch
from torch import Tensor

from lib.schedules import INCREMENT, LinearCapacity, check_capacities

RAMP = Fraction(1, 15)  # 100,000 of 1.5 million steps
DYNAMIC_STEPS, PERIOD, CLIMB = 2_000_000, 6_000, 1_000  # DynamicVAE's training; C climbs for CLIMB steps of a PERIOD


class _Clock:
    """C is where the clock says before the controller runs, and stays there."""

    def advance(self, t: Tensor, set_point: Tensor, beta: Tensor, beta_before: Tensor) -> Tensor:
        return set_point


@dataclass(frozen=True)
class Ramp(_Clock):
    """C(t) = C(0) + (C_max - C(0)) min(1, t / t_max): one straight line, without the linear rule's stairs."""

    c_start: float
    c_max: float
    t_max: Fraction  # steps

    def __post_init__(self) -> None:
        check_capacities(self.c_start, self.c_max, 1)

    @property
    def arrival(self) -> int:
        return ceil(self.t_max)

    def set_point(self, t: Tensor, capacity: Tensor) -> Tensor:
        share = (t * self.t_max.denominator).double() / self.t_max.numerator
        return torch.lerp(*(torch.full_like(share, c) for c in (self.c_start, self.c_max)), share.clamp(max=1.0))


def burgess_ramp(c_start: float, c_max: float, steps: int) -> Ramp:
    """The ramp of public code for Burgess et al., 2018, scaled: 100,000 steps where training has 1.5 million.

    That is the length in 1Konny/Beta-VAE, in ControlVAE's baseline and in disentanglement_lib, in trainings of
    different lengths; as the linear rule's, it is a share of training here. They start from C(0) = 0, this from the
    settings' C(0).
    """
    return Ramp(c_start, c_max, steps * RAMP)


@dataclass(frozen=True)
class Staircase(_Clock):
    """DynamicVAE's C: it stands still, and climbs by 0.15 nats in the first sixth of every period but the first.

    With n = floor(2,000,000 t / T) steps of the published training done, k = floor(n / 6,000) and r = n mod 6,000,

        C(t) = min(C_max, C(0) + 0.15 (k - 1 + min(1, (r + 1) / 1,000)))    where k >= 1, else C(0).

    Source: the code of Shao et al., DynamicVAE, CVPR 2022, which adds 0.15 / 1,000 at each step of a climb; there T is
    2,000,000, and another T gives the same path in as many steps.
    """

    c_start: float
    c_max: float
    steps: int  # T

    def __post_init__(self) -> None:
        check_capacities(self.c_start, self.c_max, self.steps)

    @property
    def arrival(self) -> int:
        climbs = round((self.c_max - self.c_start) / INCREMENT, 9)
        whole = max(0, ceil(climbs) - 1)
        done = (whole + 1) * PERIOD + ceil(round((climbs - whole) * CLIMB, 6)) - 1
        return ceil(Fraction(done * self.steps, DYNAMIC_STEPS)) if climbs else 0

    def set_point(self, t: Tensor, capacity: Tensor) -> Tensor:
        done = t * DYNAMIC_STEPS // self.steps
        climbs = done // PERIOD - 1 + ((done % PERIOD + 1).double() / CLIMB).clamp(max=1.0)
        return (self.c_start + INCREMENT * climbs.masked_fill(done < PERIOD, 0.0)).clamp(max=self.c_max)


def fixed_at_maximum(c_start: float, c_max: float, steps: int) -> LinearCapacity:
    """A control: C is C_max from the first step."""
    check_capacities(c_start, c_max, steps)
    return LinearCapacity(c_max, c_max, steps)
