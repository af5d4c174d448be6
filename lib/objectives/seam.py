"""What an arm adds to the reconstruction loss: the seam between the networks and the rules that press on them.

An objective is a pure function of tensors in two parts, so that a step can be compiled, and captured as a graph.
`control` decides, without gradient, how strong the pressure is at a step and what is carried to the next one;
`penalty` is the differentiable term that the loss gets. Losses are in nats per image.

Letters: B images of a batch, J latents, S numbers carried.
"""

from typing import NamedTuple, Protocol, runtime_checkable

from torch import Generator, Tensor, nn
from torch.optim import Optimizer

# What objectives record at every step, in the order of a trace. One that lacks some leaves them out: there they are
# missing, and not zero. The last three are true or false.
COLUMNS = ("beta", "set_point", "capacity", "integral", "frozen", "advanced", "locked")
FLAGS = COLUMNS[-3:]
# One more, of those that estimate it; the traces of others do not have it at all.
INFORMATION = "information"


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
    latents: int
    learning_rate: float
    c_start: float
    c_max: float
    kp: float
    ki: float
    kd: float
    beta_min: float
    anti_windup: str


class Objective(Protocol):
    """What is added to the reconstruction loss, what is carried from step to step, and what is recorded.

    `rests_on`, where an objective has it, are the functions that its own rest on: a notebook shows them.
    """

    columns: tuple[str, ...]  # those of COLUMNS that it fills, in their order, and INFORMATION

    def initial_state(self) -> Tensor:
        """What is carried into the first step: float64 [S]."""
        ...

    def control(self, t: Tensor, state: Tensor, kl: Tensor) -> tuple[Tensor, Tensor]:
        """At step t = 1, 2, ..., from the KL []: the values of `columns`, float64, and the state [S] after the step."""
        ...

    def penalty(self, state: Tensor, encoded: Encoded) -> Tensor:
        """The term of the loss, [] in nats per image, given the state that `control` returned."""
        ...


@runtime_checkable
class Adversarial(Objective, Protocol):
    """An objective with a network of its own, which learns against the encoder (lib/training/adversary.py).

    The two never share a gradient: `penalty` gives none to the adversary, `adversary_loss` none to the encoder.
    """

    adversary: nn.Module

    def initialise_adversary(self, generator: Generator) -> None:
        """The adversary's first weights, in place."""
        ...

    def adversary_optimizer(self, capturable: bool) -> Optimizer:
        """The adversary's optimiser, made when its weights lie on their device."""
        ...

    def adversary_loss(self, latents: Tensor, others: Tensor, keys: Tensor) -> Tensor:
        """What the adversary minimises, []: z of the step's batch, z' of a second one, uniform numbers; all [B, J]."""
        ...


@runtime_checkable
class Informed(Objective, Protocol):
    """An objective that steers by an estimate of I_q(x; z) over all images (lib/training/posterior_table.py)."""

    query_every: int  # steps between two estimates

    def estimated(self, state: Tensor) -> Tensor:
        """I_q(x; z) [] as the state [S] has it, nats."""
        ...

    def informed(self, state: Tensor, estimate: Tensor) -> Tensor:
        """The state [S] with a new estimate [] in it, nats."""
        ...
