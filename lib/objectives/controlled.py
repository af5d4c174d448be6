"""ControlVAE's objective: the KL, weighted by a controller that holds it at a set point."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lib.objectives.seam import COLUMNS, Encoded, ObjectiveSettings
from lib.pid import PIDController, PIDState
from lib.schedules import Schedule


@dataclass(frozen=True)
class Controlled:
    """ControlVAE: beta(t) KL, with beta(t) from the controller that holds the KL at a set point C(t).

    Source: Shao et al., ControlVAE, ICML 2020, eq. 6, in the order of its public code: the set point moves (where the
    clock moves it), then beta, then the loss; a rule that looks at beta moves C after it.
    """

    controller: PIDController
    schedule: Schedule

    columns = COLUMNS

    @property
    def least_beta(self) -> float:
        return self.controller.beta_min

    def initial_state(self) -> Tensor:
        """A PIDState's four numbers, beta(0) = 1 and C(0): float64 [6]."""
        state = [float(value) for value in self.controller.initial_state()]
        return torch.tensor([*state, 1.0, self.schedule.c_start], dtype=torch.float64)

    def control(self, t: Tensor, state: Tensor, kl: Tensor) -> tuple[Tensor, Tensor]:
        integral, unclipped, error, frozen, beta_before, capacity_before = state
        set_point = self.schedule.set_point(t, capacity_before)
        beta, pid = self.controller.step(PIDState(integral, unclipped, error, frozen != 0), set_point, kl)
        capacity = self.schedule.advance(t, set_point, beta, beta_before)
        values = torch.stack([
            beta, set_point, capacity, pid.integral, pid.frozen.double(),
            (capacity != capacity_before).double(), self.controller.locked(pid).double(),
        ])  # fmt: skip
        return values, torch.stack([*(value.double() for value in pid), beta, capacity])

    def penalty(self, state: Tensor, encoded: Encoded) -> Tensor:
        beta = state[-2]
        return beta.to(encoded.kl.dtype) * encoded.kl


def controlled(settings: ObjectiveSettings, schedule: Callable[..., Schedule]) -> Controlled:
    """`Controlled` with the settings' controller and capacities; raises ValueError for impossible ones."""
    gains = settings.kp, settings.ki, settings.kd
    controller = PIDController(*gains, settings.beta_min, settings.anti_windup)
    return Controlled(controller, schedule(settings.c_start, settings.c_max, settings.steps))


def controlled_as_published(settings: ObjectiveSettings, schedule: Callable[..., Schedule]) -> Controlled:
    """`controlled` with ControlVAE's own anti-windup whatever the settings say: one error of kp / ki nats locks it."""
    return _with_anti_windup("published", settings, schedule)


def controlled_without_lock(settings: ObjectiveSettings, schedule: Callable[..., Schedule]) -> Controlled:
    """`controlled` with the anti-windup that cannot lock, whatever the settings say."""
    return _with_anti_windup("conditional", settings, schedule)


def _with_anti_windup(rule: str, settings: ObjectiveSettings, schedule: Callable[..., Schedule]) -> Controlled:
    made = controlled(settings, schedule)
    return replace(made, controller=replace(made.controller, anti_windup=rule))
