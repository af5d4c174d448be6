"""What an arm adds to the reconstruction loss: the seam between the networks and the rules that press on them.

An objective is a pure function of tensors in two parts, so that a step can be compiled, and captured as a graph.
`control` decides, without gradient, how strong the pressure is at a step and what is carried to the next one;
`penalty` is the differentiable term that the loss gets. Losses are in nats per image.

Letters: B images of a batch, J latents, S numbers carried.
"""

from typing import NamedTuple, Protocol

from torch import Tensor

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
