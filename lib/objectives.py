"""What an arm adds to the reconstruction loss: the seam between the networks and the rules that press on them.

An objective is a pure function of tensors in two parts, so that a step can be compiled, and captured as a graph.
`control` decides, without gradient, how strong the pressure is at a step and what is carried to the next one;
`penalty` is the differentiable term that the loss gets. Losses are in nats per image.

Letters: B images of a batch, J latents, S numbers carried.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from lib.pid import PIDController, PIDState
from lib.schedules import Schedule

# What objectives record at every step, in the order of a trace. One that lacks some leaves them out: there they are
# missing, and not zero. The last three are true or false.
COLUMNS = ("beta", "set_point", "capacity", "integral", "frozen", "advanced", "locked")
FLAGS = COLUMNS[-3:]


class Encoded(NamedTuple):
    """What the encoder made of a batch."""

    mean: Tensor  # [B, J]
    logvar: Tensor  # [B, J]
    latents: Tensor  # [B, J], z ~ q(z|x)
    kl_latents: Tensor  # [J], nats per image
    kl: Tensor  # [], their sum


class ObjectiveSettings(Protocol):
    """The settings that objectives are made from (`lib.runs.settings.TrainingConfig` has them)."""

    arm: str
    steps: int
    c_start: float
    c_max: float
    kp: float
    ki: float
    kd: float
    beta_min: float
    anti_windup: str


class Objective(Protocol):
    """What is added to the reconstruction loss, what is carried from step to step, and what is recorded."""

    columns: tuple[str, ...]  # those of COLUMNS that it fills, in their order

    def initial_state(self) -> Tensor:
        """What is carried into the first step: float64 [S]."""
        ...

    def control(self, t: Tensor, state: Tensor, kl: Tensor) -> tuple[Tensor, Tensor]:
        """At step t = 1, 2, ..., from the KL []: the values of `columns`, float64, and the state [S] after the step."""
        ...

    def penalty(self, state: Tensor, encoded: Encoded) -> Tensor:
        """The term of the loss, [] in nats per image, given the state that `control` returned."""
        ...


@dataclass(frozen=True)
class Controlled:
    """ControlVAE: beta(t) KL, with beta(t) from the controller that holds the KL at a set point C(t).

    Source: Shao et al., ControlVAE, ICML 2020, eq. 6, in the order of its public code: the set point moves (where the
    clock moves it), then beta, then the loss; a rule that looks at beta moves C after it.
    """

    controller: PIDController
    schedule: Schedule

    columns = COLUMNS

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
