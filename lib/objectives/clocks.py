"""Set points of other methods, which the clock alone moves; the report's own rules stand in lib/schedules.py."""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil

import torch
from torch import Tensor

from lib.schedules import Clock, LinearCapacity, check_capacities

RAMPS = 15  # of the capacity objective that would fit into training
# DynamicVAE's staircase: steps of its published training, of a period and of the slope in it, and nats per slope.
PUBLISHED_STEPS, PERIOD, SLOPE, RISE = 2_000_000, 6_000, 1_000, 0.15


@dataclass(frozen=True)
class EarlyRamp(Clock):
    """C(t) = C(0) + (C_max - C(0)) min(15 t / t_max, 1): all the way in the first fifteenth of training.

    Source: 1Konny/Beta-VAE, the public code that ControlVAE's baseline shares its ramp with: 100,000 of 1.5 million
    steps, which a shorter training divides alike. There C(0) is 0 and C_max 20 (ControlVAE's baseline: 15) nats; here
    they are the settings', so that arms end at the same C_max.
    """

    c_start: float
    c_max: float
    t_max: int

    def __post_init__(self) -> None:
        check_capacities(self.c_start, self.c_max, self.t_max)

    @property
    def arrival(self) -> int:
        return ceil(Fraction(self.t_max, RAMPS))

    def set_point(self, t: Tensor, capacity: Tensor) -> Tensor:
        share = ((RAMPS * t).double() / self.t_max).clamp(max=1.0)
        return self.c_max - (self.c_max - self.c_start) * (1 - share)


@dataclass(frozen=True)
class Staircase(Clock):
    """DynamicVAE's set point: C rises by 0.15 / 1,000 nats in each of the first 1,000 steps of every period of 6,000.

    The first period has no slope. In closed form, with n steps done and k = floor(n / 6,000) >= 1,

        C = min(C_max, C(0) + 0.15 / 1,000 (1,000 (k - 1) + min(n mod 6,000 + 1, 1,000))),    else C(0),

    so that C(6,000) = 0.50015 from C(0) = 0.5. n = floor(2,000,000 t / t_max) takes the published path through fewer
    steps. Source: shj1987/DynamicVAE-CVPR2022, the script for 2D sprites (C(0) 0.5, C_max 20; here the settings').
    """

    c_start: float
    c_max: float
    t_max: int

    def __post_init__(self) -> None:
        check_capacities(self.c_start, self.c_max, self.t_max)

    @property
    def arrival(self) -> int:
        slopes = round((self.c_max - self.c_start) / RISE, 9)
        before = max(0, ceil(slopes) - 1)  # whole slopes below the last one
        n = (before + 1) * PERIOD + ceil(round((slopes - before) * SLOPE, 6)) - 1
        return ceil(Fraction(n * self.t_max, PUBLISHED_STEPS)) if slopes else 0

    def set_point(self, t: Tensor, capacity: Tensor) -> Tensor:
        n = torch.div(PUBLISHED_STEPS * t, self.t_max, rounding_mode="floor")
        period = torch.div(n, PERIOD, rounding_mode="floor")
        on_slopes = SLOPE * (period - 1) + (n % PERIOD + 1).clamp(max=SLOPE)
        risen = on_slopes.masked_fill(period < 1, 0).double() * RISE / SLOPE
        return (self.c_start + risen).clamp(max=self.c_max)


def always_at_maximum(c_start: float, c_max: float, steps: int) -> LinearCapacity:
    """A control: C = C_max from the first step on, whatever `c_start` is. The linear rule has nothing to climb then."""
    check_capacities(c_start, c_max, steps)
    return LinearCapacity(c_max, c_max, steps)
