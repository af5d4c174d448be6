"""DynamicVAE: the later controller of ControlVAE's authors, which starts from a large beta and counts in changes."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lib.objectives.seam import Encoded, ObjectiveSettings
from lib.schedules import Schedule

QUEUE = 5  # KLs in the moving average, past_T


@dataclass(frozen=True)
class Dynamic:
    """beta(t) KL, with beta(t) from an incremental PI controller that sees a moving average of the KL.

    With KLbar(t) the mean of the last 5 KLs, 0 standing for those before the first, and e(t) = C(t) - KLbar(t),

        dP(t)   = kp (s(-e(t)) - s(-e(t-1)))        s(x) = 1 / (1 + exp(-x)), e(0) = 0
        dI(t)   = -ki e(t), or 0 while W(t-1) < W_min: frozen
        W(t)    = W(t-1) + dP(t) + dI(t)            W(0) = 50, never clipped
        beta(t) = max(W(t), W_min)

    It has a trap. Where W falls below W_min only dP is left to lift it, and all dP together stay below kp (1 - s(-e)):
    once W is further below than that, beta is W_min for ever, `locked`. A step down at e > kp / ki = 2 nats can do it.

    Source: Shao et al., DynamicVAE, CVPR 2022, with the constants of its public code for dSprites, which are no
    settings: kp, ki, beta_min and anti_windup of the settings are ControlVAE's.
    """

    schedule: Schedule
    kp: float = 0.01
    ki: float = 0.005
    start: float = 50.0  # W(0)
    least: float = 0.1  # W_min

    columns = ("beta", "set_point", "capacity", "frozen", "advanced", "locked")

    def initial_state(self) -> Tensor:
        """The last 4 KLs, W(0), e(0), C(0), beta(0): float64 [8]."""
        state = [0.0] * (QUEUE - 1) + [self.start, 0.0, self.schedule.c_start, self.start]
        return torch.tensor(state, dtype=torch.float64)

    def control(self, t: Tensor, state: Tensor, kl: Tensor) -> tuple[Tensor, Tensor]:
        kls = torch.cat([state[: QUEUE - 1], kl.double().view(1)])  # [5], the oldest first
        unclipped, error_before, capacity_before = state[QUEUE - 1 : QUEUE + 2]
        capacity = self.schedule.set_point(t, capacity_before)
        error = capacity - kls.mean()
        frozen = unclipped < self.least
        pressure = torch.sigmoid(-error)
        change = self.kp * (pressure - torch.sigmoid(-error_before))
        unclipped = unclipped + change - (self.ki * error).masked_fill(frozen, 0.0)
        beta = unclipped.clamp(min=self.least)
        locked = (unclipped < self.least) & (unclipped + self.kp * (1 - pressure) <= self.least)
        flags = frozen.double(), (capacity != capacity_before).double(), locked.double()
        values = torch.stack([beta, capacity, capacity, *flags])
        return values, torch.cat([kls[1:], torch.stack([unclipped, error, capacity, beta])])

    def penalty(self, state: Tensor, encoded: Encoded) -> Tensor:
        return state[-1].to(encoded.kl.dtype) * encoded.kl


def dynamic_vae(settings: ObjectiveSettings, schedule: Callable[..., Schedule]) -> Dynamic:
    """`Dynamic` with the settings' capacities; raises ValueError for impossible ones."""
    return Dynamic(schedule(settings.c_start, settings.c_max, settings.steps))
