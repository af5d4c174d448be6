"""The PI(D) controller that turns the distance between the set point C and the KL into beta (ControlVAE)."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

ANTI_WINDUP = ("published", "conditional")


class PIDState(NamedTuple):
    """What the controller carries from step to step; double precision, scalars or one batch shape."""

    integral: Tensor  # I(t-1)
    unclipped: Tensor  # W(t-1), the output before it was clipped at beta_min
    error: Tensor  # e(t-1), NaN before the first step
    frozen: Tensor  # bool: I was held by the anti-windup rule at the step that made this state


@dataclass(frozen=True)
class PIDController:
    """ControlVAE's controller, with its published anti-windup rule or one that cannot lock.

    With e(t) = C - KL(t) in nats per image,

        I(t)    = I(t-1) - ki e(t)             unless the anti-windup rule freezes it
        D(t)    = -kd (e(t) - e(t-1))          0 at the first step
        W(t)    = kp / (1 + exp(e(t))) + I(t) + D(t) + beta_min
        beta(t) = max(W(t), beta_min)

    `anti_windup` says when I is held:

    - "published": while W(t-1) < beta_min. Once I <= -kp no error can lift W to beta_min again (when kd = 0),
      so that beta stays at beta_min for ever: the controller is locked. From I = 0, one step with e >= kp / ki does it.
    - "conditional": while W(t-1) < beta_min *and* e(t) > 0 would push it further down. It cannot lock.

    Source: Shao et al., ControlVAE, ICML 2020, eq. 8-9, with the conventions of its public code (PI only, no
    upper limit; I(0) = 0, W(0) = 1, and freezing decided by the unclipped W, where the paper's algorithm 1
    tests beta). kp, ki and kd are >= 0; beta is dimensionless.

    Raises ValueError for a negative gain or an unknown anti-windup rule.
    """

    kp: float = 0.01
    ki: float = 0.001
    kd: float = 0.0
    beta_min: float = 1.0
    anti_windup: str = "published"

    def __post_init__(self) -> None:
        for name in ("kp", "ki", "kd", "beta_min"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; give a number >= 0.")
        if self.anti_windup not in ANTI_WINDUP:
            raise ValueError(f"anti_windup is {self.anti_windup!r}; choose one of {', '.join(ANTI_WINDUP)}.")

    def initial_state(self, shape: tuple[int, ...] = (), device: str | torch.device = "cpu") -> PIDState:
        """State before the first step, for one controller (shape ()) or a batch of independent ones."""
        zeros = torch.zeros(shape, dtype=torch.float64, device=device)
        return PIDState(
            integral=zeros,
            unclipped=torch.ones_like(zeros),
            error=torch.full_like(zeros, torch.nan),
            frozen=torch.zeros_like(zeros, dtype=torch.bool),
        )

    def step(self, state: PIDState, set_point: Tensor, kl: Tensor) -> tuple[Tensor, PIDState]:
        """One step: (state, C, KL) -> (beta, state).

        set_point, kl: nats per image, any shape that broadcasts with the state. Everything is computed in
        float64 on the state's device; nothing is read back by the host, so the step can be captured in a graph.
        """
        error = set_point.double() - kl.double()
        frozen = state.unclipped < self.beta_min
        if self.anti_windup == "conditional":
            frozen = frozen & (error > 0)
        integral = torch.where(frozen, state.integral, state.integral - self.ki * error)
        unclipped = self.kp / (1 + torch.exp(error)) + integral + self.beta_min
        if self.kd:
            change = (error - state.error).masked_fill(torch.isnan(state.error), 0.0)
            unclipped = unclipped - self.kd * change
        beta = unclipped.clamp(min=self.beta_min)
        return beta, PIDState(integral, unclipped, error, frozen)

    def locked(self, state: PIDState) -> Tensor:
        """Whether beta can never again leave beta_min (bool, the state's shape): see the class docstring."""
        if self.anti_windup == "conditional" or self.kd:
            return torch.zeros_like(state.frozen)
        return (state.integral <= -self.kp) & (state.unclipped < self.beta_min)
