"""The report's wish: pressure that the information in the latents does not feel. Two readings of it.

Both steer by an estimate I^ of I_q(x; z) over all images (posterior_bank.py), smoothed, which the training renews every
`query_every` steps.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lib.dsprites import N_IMAGES
from lib.objectives.controlled import Controlled, controlled
from lib.objectives.posterior_bank import mutual_information
from lib.objectives.seam import INFORMATION, Encoded, ObjectiveSettings
from lib.objectives.total_correlation import parts, stratified_weights
from lib.schedules import LinearCapacity, Schedule

SMOOTHING = 0.25  # of the last estimate in I^
GAMMA = 6.0  # weight of the total correlation, beta-TCVAE's beta
MOST = 13.0  # nats: the images' entropy is 13.47, and close below it the estimate says nothing


def query_every(steps: int) -> int:
    """Steps between two estimates: a hundredth of training, but 50 at least and 500 at most."""
    return min(max(steps // 100, 50), 500)


@dataclass(frozen=True)
class MarginCapacity:
    """C(t) = min(C_max, I^ + C(0) + s (C_max - I^ - C(0))), s = min(t / t_max, 1).

    The information as estimated, and a margin that grows linearly to all that is left of C_max. What the KL spends on
    information is free: the controller holds KL - I^, and so KL(q(z)||p(z)), at the margin. An I^ wrong by d nats moves
    C by (1 - s) d: too high, it leaves the prior's mismatch that much more room; too low, that much less, and where
    (1 - s) d is more than the margin it presses on the information itself. The fault fades as s grows, and at the end
    C is C_max whatever I^ is.
    """

    c_start: float
    c_max: float
    t_max: int
    information: Tensor  # I^, []

    def set_point(self, t: Tensor, capacity: Tensor) -> Tensor:
        share = (t.double() / self.t_max).clamp(max=1.0)
        free = self.information + self.c_start
        return (free + share * (self.c_max - free)).clamp(max=self.c_max)

    def advance(self, t: Tensor, set_point: Tensor, beta: Tensor, beta_before: Tensor) -> Tensor:
        return set_point


class Steered:
    """What both readings share: the state of ControlVAE's controller with I^ behind it, float64 [7]."""

    columns = (*Controlled.columns, INFORMATION)
    controlled: Controlled

    @property
    def least_beta(self) -> float:
        return self.controlled.least_beta

    def initial_state(self) -> Tensor:
        return torch.cat([self.controlled.initial_state(), torch.zeros(1, dtype=torch.float64)])

    def estimated(self, state: Tensor) -> Tensor:
        return state[-1]

    def informed(self, state: Tensor, estimate: Tensor) -> Tensor:
        return torch.cat([state[:-1], torch.lerp(state[-1], estimate.double(), SMOOTHING).view(1)])


@dataclass(frozen=True)
class InformedKL(Steered):
    """L = D + beta(t) KL, with ControlVAE's controller on the error C - KL and C by `MarginCapacity`."""

    controlled: Controlled
    c_max: float
    t_max: int
    query_every: int

    rests_on = (MarginCapacity.set_point, mutual_information)

    def control(self, t: Tensor, state: Tensor, kl: Tensor) -> tuple[Tensor, Tensor]:
        rule = MarginCapacity(self.controlled.schedule.c_start, self.c_max, self.t_max, state[-1])
        values, after = Controlled(self.controlled.controller, rule).control(t, state[:-1], kl)
        return torch.cat([values, state[-1:]]), torch.cat([after, state[-1:]])

    def penalty(self, state: Tensor, encoded: Encoded) -> Tensor:
        return self.controlled.penalty(state[:-1], encoded)


@dataclass(frozen=True)
class SteeredInformation(Steered):
    """L = D + beta(t) I + gamma TC + DW, with ControlVAE's controller on the error C - I^.

    I, the total correlation TC and the dimension-wise KL DW are the KL's parts. As the three add up to the KL, whose
    closed form has less noise, L = D + KL + (beta - 1) I + (gamma - 1) TC, with the gradients of I and TC by stratified
    sampling from the batch, which is never what the controller sees. I and TC alone would leave the scale of every
    latent free: DW, with weight 1, ties each to the prior. beta is recorded, the weight of I; it may fall to 0, so that
    nothing presses on I where that is below C (at 1 the loss would be beta-TCVAE's).

    The report's follow-up wish, which has no published rule; the parts are Chen et al.'s (arXiv:1802.04942, eq. 2).
    """

    controlled: Controlled
    gamma: float
    images: int  # N
    query_every: int

    rests_on = (parts, stratified_weights, mutual_information)

    def control(self, t: Tensor, state: Tensor, kl: Tensor) -> tuple[Tensor, Tensor]:
        values, after = self.controlled.control(t, state[:-1], state[-1])
        return torch.cat([values, state[-1:]]), torch.cat([after, state[-1:]])

    def penalty(self, state: Tensor, encoded: Encoded) -> Tensor:
        beta, latents = state[-3].to(encoded.kl.dtype), encoded.latents
        weights = stratified_weights(len(latents), self.images, latents.device)
        information, correlation = parts(latents, encoded.mean, encoded.logvar, weights)
        return encoded.kl + (beta - 1) * information + (self.gamma - 1) * correlation


def information(settings: ObjectiveSettings, schedule: Callable[..., Schedule] | None) -> InformedKL:
    """The wish by way of C: see `MarginCapacity`. The controller is the settings', as in the report's own arms."""
    return InformedKL(controlled(settings, LinearCapacity), settings.c_max, settings.steps, query_every(settings.steps))


def linear_to_most(c_start: float, c_max: float, steps: int) -> LinearCapacity:
    """The linear rule with both capacities 13 nats at most."""
    return LinearCapacity(min(c_start, MOST), min(c_max, MOST), steps)


def information_alone(settings: ObjectiveSettings, schedule: Callable[..., Schedule]) -> SteeredInformation:
    """The wish taken literally: see `SteeredInformation`; gamma = 6, and 0 in place of the settings' least beta.

    The error changes once in `query_every` steps, and so ki is divided by that: the integral moves per estimate as
    it does elsewhere per step.
    """
    every, steered = query_every(settings.steps), controlled(settings, schedule)
    controller = replace(steered.controller, ki=settings.ki / every, beta_min=0.0)
    return SteeredInformation(replace(steered, controller=controller), GAMMA, N_IMAGES, every)
