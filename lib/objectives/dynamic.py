"""DynamicVAE: an incremental controller on a smoothed KL, which lets beta down from far above."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lib.objectives.clocks import PUBLISHED_STEPS
from lib.objectives.seam import Encoded, ObjectiveSettings
from lib.schedules import Schedule

KP, KI = 0.01, 0.005
INITIAL_WEIGHT, LEAST, PAST = 50.0, 0.1, 5  # W(0); the least beta; KLs in a mean


@dataclass(frozen=True)
class DynamicKL:
    """L = D + beta(t) KL with, from the mean KLbar(t) of the last 5 KLs (zeros before the first) and e = C - KLbar,

        W(t)    = W(t-1) + kp (sigmoid(-e(t)) - sigmoid(-e(t-1))) - ki e(t)      no last term while W(t-1) < W_min
        beta(t) = max(W(t), W_min)

    e(0) = 0, W(0) = 50, W_min = 0.1; W is kept unclipped. C is moved by the clock alone, so that this is no feedback
    on C, and differs from the report's rule there.

    It has a trap: below W_min only the kp term acts, and summed over any number of steps it stays below kp. One step
    that takes W further than that below W_min, for which e >= (kp + its distance from W_min) / ki is enough, holds beta
    at W_min for ever: `locked`.

    Source: Shao et al., DynamicVAE (arXiv:2009.06795, CVPR 2022), its modified incremental PI controller and moving
    average, as its public code has them (shj1987/DynamicVAE-CVPR2022); the paper's equation number is unverified.
    """

    kp: float
    ki: float
    schedule: Schedule

    columns = ("beta", "set_point", "capacity", "frozen", "advanced", "locked")

    def initial_state(self) -> Tensor:
        """W(0), e(0), the last four KLs and C(0), float64 [7]."""
        past = [0.0] * (PAST - 1)
        return torch.tensor([INITIAL_WEIGHT, 0.0, *past, self.schedule.c_start], dtype=torch.float64)

    def control(self, t: Tensor, state: Tensor, kl: Tensor) -> tuple[Tensor, Tensor]:
        weight, error_before, past, capacity_before = state[0], state[1], state[2:-1], state[-1]
        set_point = self.schedule.set_point(t, capacity_before)
        recent = torch.cat([past, kl.double().view(1)])
        error = set_point - recent.mean()
        frozen = weight < LEAST
        proportional = self.kp * (torch.sigmoid(-error) - torch.sigmoid(-error_before))
        weight = weight + proportional - (self.ki * error).masked_fill(frozen, 0.0)
        locked = (weight < LEAST) & (weight + self.kp * torch.sigmoid(error) <= LEAST)
        values = torch.stack([
            weight.clamp(min=LEAST), set_point, set_point, frozen.double(),
            (set_point != capacity_before).double(), locked.double(),
        ])  # fmt: skip
        return values, torch.cat([torch.stack([weight, error]), recent[1:], set_point.view(1)])

    def penalty(self, state: Tensor, encoded: Encoded) -> Tensor:
        return state[0].clamp(min=LEAST).to(encoded.kl.dtype) * encoded.kl


def dynamic_vae(settings: ObjectiveSettings, schedule: Callable[..., Schedule]) -> DynamicKL:
    """The published gains, kp = 0.01 and ki = 0.005 in 2 million steps, times how much shorter this training is.

    So W comes down from 50 in the same share of training as there, and its trap opens at the same error of
    kp / ki = 2 nats. Their network, learning rate (1e-4) and batches (128) are here the settings'; of these, the
    controller's (kp, ki, kd, beta_min, anti_windup) are ControlVAE's alone.
    """
    speed = PUBLISHED_STEPS / settings.steps
    return DynamicKL(KP * speed, KI * speed, schedule(settings.c_start, settings.c_max, settings.steps))
