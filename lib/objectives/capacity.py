"""gamma |KL - C|: the KL is pulled to a capacity from both sides, with one force however far away it is."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lib.objectives.seam import Encoded, ObjectiveSettings
from lib.schedules import Schedule

GAMMA = 100.0  # of 1Konny/Beta-VAE and of ControlVAE's baseline; disentanglement_lib has 1,000


@dataclass(frozen=True)
class Capacity:
    """gamma |KL - C(t)|, KL the batch's mean. Below C it raises the KL, which no beta >= 0 can.

    Source: Burgess et al., Understanding disentangling in beta-VAE, 2018, eq. 8. Its gradient is that of beta KL with
    beta = gamma where KL > C, and -gamma where KL < C.
    """

    gamma: float
    schedule: Schedule  # one that asks for nothing but the clock

    columns = ("set_point", "capacity", "advanced")

    def initial_state(self) -> Tensor:
        """C(0), nats per image: float64 [1]."""
        return torch.tensor([self.schedule.c_start], dtype=torch.float64)

    def control(self, t: Tensor, state: Tensor, kl: Tensor) -> tuple[Tensor, Tensor]:
        capacity = self.schedule.set_point(t, state[0])
        return torch.stack([capacity, capacity, (capacity != state[0]).double()]), capacity.view(1)

    def penalty(self, state: Tensor, encoded: Encoded) -> Tensor:
        return self.gamma * (encoded.kl - state[0].to(encoded.kl.dtype)).abs()


def capacity(settings: ObjectiveSettings, schedule: Callable[..., Schedule]) -> Capacity:
    """`Capacity` with the settings' capacities; raises ValueError for impossible ones."""
    return Capacity(GAMMA, schedule(settings.c_start, settings.c_max, settings.steps))
