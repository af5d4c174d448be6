"""The rules by which the KL capacity C(t) grows, as state machines on double-precision tensors.

A schedule answers twice per step t = 1, 2, ...: `set_point` before the controller runs (what C the error uses)
and `advance` after it (C after the step, given beta(t) and beta(t-1)). It keeps no state but C itself.
All capacities are in nats per image. The linear rule ignores beta; the adaptive rule is feedback; the drawn one has the
adaptive rule's steps at times that nothing decides.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

INCREMENT = 0.15  # nats; ControlVAE adds this every 5,000 of 1.5 M steps
INCREMENTS = 300  # that is how many such periods fit into training


class Schedule(Protocol):
    """How C grows: the seam where another rule goes."""

    c_start: float

    @property
    def arrival(self) -> int:
        """The step from which C is at C_max whatever beta does; it may lie after the last."""
        ...

    def set_point(self, t: Tensor, capacity: Tensor) -> Tensor:
        """The C that the controller's error uses at step t; capacity is C(t-1)."""
        ...

    def advance(self, t: Tensor, set_point: Tensor, beta: Tensor, beta_before: Tensor) -> Tensor:
        """C(t), once beta(t) is known."""
        ...

    def curve(self, advanced: np.ndarray) -> np.ndarray:
        """C(1..T) [T] from whether C advanced at each step (bool [T]), the bits of stepping through it."""
        ...


def check_capacities(c_start: float, c_max: float, t_max: int | Fraction) -> None:
    """Raises ValueError unless 0 <= c_start <= c_max and t_max >= 1."""
    if not 0 <= c_start <= c_max:
        raise ValueError(f"c_start is {c_start} and c_max is {c_max} nats; give 0 <= c_start <= c_max.")
    if t_max < 1:
        raise ValueError(f"t_max is {t_max} steps; give at least 1.")


class Clock:
    """What schedules share that look at the clock alone: their `set_point` says all, of one step or of many."""

    def advance(self, t: Tensor, set_point: Tensor, beta: Tensor, beta_before: Tensor) -> Tensor:
        return set_point

    def curve(self, advanced: np.ndarray) -> np.ndarray:
        return self.set_point(torch.arange(1, len(advanced) + 1), torch.tensor(self.c_start)).numpy()


@dataclass(frozen=True)
class LinearCapacity(Clock):
    """C(t) = min(C_max, C(0) + 0.15 floor(300 t / t_max)), moved before the controller runs.

    With t_max = 1,500,000 this is ControlVAE's rule for dSprites (+0.15 nats every 5,000 steps); a smaller
    t_max gives the same path in fewer steps. t_max may be a fraction of steps: all arithmetic is exact.
    Source: Shao et al., ControlVAE, ICML 2020, section 5, and its public code.
    """

    c_start: float
    c_max: float
    t_max: int | Fraction

    def __post_init__(self) -> None:
        check_capacities(self.c_start, self.c_max, self.t_max)

    @property
    def arrival(self) -> int:
        return ceil(Fraction(_periods(self.c_start, self.c_max)) * self.t_max / INCREMENTS)

    def set_point(self, t: Tensor, capacity: Tensor) -> Tensor:
        numerator, denominator = self.t_max.as_integer_ratio()
        periods = torch.div(INCREMENTS * t * denominator, numerator, rounding_mode="floor")
        return (self.c_start + INCREMENT * periods.double()).clamp(max=self.c_max)


@dataclass(frozen=True)
class AdaptiveCapacity:
    """The report's rule: hold C while the controller's beta rises, else take an equal share of what is left.

        C(t) = C(t-1)                                            if beta(t) > beta(t-1)
               C(t-1) + (C_max - C(t-1)) / (t_max - (t-1))       otherwise
        C(t) = C_max                                             for t > t_max

    beta(t) comes from the error C(t-1) - KL(t); beta is the clipped value, so that a tie advances C; t counts
    from 1 and beta(0) = 1. If every step advances, C grows linearly and reaches C_max at t_max.
    """

    c_start: float
    c_max: float
    t_max: int

    def __post_init__(self) -> None:
        check_capacities(self.c_start, self.c_max, self.t_max)

    @property
    def arrival(self) -> int:
        return self.t_max

    def set_point(self, t: Tensor, capacity: Tensor) -> Tensor:
        return capacity

    def advance(self, t: Tensor, set_point: Tensor, beta: Tensor, beta_before: Tensor) -> Tensor:
        remaining = (self.t_max - (t - 1)).clamp(min=1).double()
        advanced = set_point + (self.c_max - set_point) / remaining
        held = torch.where(beta > beta_before, set_point, advanced)
        return held.masked_fill(t > self.t_max, self.c_max)

    def curve(self, advanced: np.ndarray) -> np.ndarray:
        capacity, path = self.c_start, np.full(len(advanced), self.c_max)
        for t, advances in enumerate(advanced[: self.t_max].tolist(), start=1):  # `advance` in floats, for its speed
            if advances:
                capacity += (self.c_max - capacity) / (self.t_max - (t - 1))
            path[t - 1] = capacity
        return path


@dataclass(frozen=True, eq=False)
class DrawnCapacity(AdaptiveCapacity):
    """Controls, `random_hold` and `matched_curve`: the adaptive rule, blind to beta, at steps known beforehand.

    advances: bool [t_max], whether C advances at each step (`lib.training.streams.advances_of`).
    """

    advances: Tensor

    def advance(self, t: Tensor, set_point: Tensor, beta: Tensor, beta_before: Tensor) -> Tensor:
        here = (t - 1).clamp(max=len(self.advances) - 1).view(1)
        falls = self.advances.index_select(0, here)[0].double()
        return super().advance(t, set_point, 1 - falls, falls)  # as if beta had fallen at the drawn steps alone


def _periods(c_start: float, c_max: float) -> int:
    """How many increments the linear rule takes to C_max; rounded first: 15.45 / 0.15 is 103 of them, not 104."""
    return ceil(round((c_max - c_start) / INCREMENT, 9))


def linear_reaches_maximum(c_start: float, c_max: float, t_max: int) -> int:
    """First step at which the linear rule has C = C_max, or t_max where it never does within t_max."""
    return min(t_max, LinearCapacity(c_start, c_max, t_max).arrival)


def linear_full_length(c_start: float, c_max: float, steps: int | Fraction) -> LinearCapacity:
    """A control: the linear rule's ramp stretched so that C_max is reached at the last of `steps` steps."""
    return LinearCapacity(c_start, c_max, Fraction(steps) * INCREMENTS / max(1, _periods(c_start, c_max)))


def steps_with_hold(c_start: float, c_max: float, steps: int) -> int:
    """How long `slow_then_hold` trains where the others take `steps`: by as much as the linear arm is at C_max."""
    return 2 * steps - linear_reaches_maximum(c_start, c_max, steps)


def slow_then_hold(c_start: float, c_max: float, steps: int) -> LinearCapacity:
    """A control: `linear_full_length`'s slow ramp, then C_max for as long as the linear arm has it.

    steps: of ramp and hold together, see `steps_with_hold`, of which this takes the ramp back.
    """
    held = 1 - Fraction(min(INCREMENTS, _periods(c_start, c_max)), INCREMENTS)  # share of the ramp's length
    return linear_full_length(c_start, c_max, steps / (1 + held))


def adaptive_then_held(c_start: float, c_max: float, steps: int) -> AdaptiveCapacity:
    """A control: the adaptive rule with t_max where the linear rule reaches C_max, which is held from there."""
    check_capacities(c_start, c_max, steps)
    return AdaptiveCapacity(c_start, c_max, max(1, linear_reaches_maximum(c_start, c_max, steps)))
