"""The KL held at a capacity by its distance from it: gamma |KL - C|."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lib.objectives.seam import Encoded, ObjectiveSettings
from lib.schedules import Schedule

GAMMA = 100.0


@dataclass(frozen=True)
class CapacityDistance:
    """L = D + gamma |KL - C(t)|: it presses a KL above C down, and lifts one below it, as no beta >= 0 can.

    Source: Burgess et al. 2018, eq. 8. KL is the mean over the batch, as in all public code, so that images may trade.
    """

    gamma: float
    schedule: Schedule  # one that the clock alone moves: there is no beta to look at

    columns = ("set_point", "capacity", "advanced")

    def initial_state(self) -> Tensor:
        """C(0), float64 [1]."""
        return torch.tensor([self.schedule.c_start], dtype=torch.float64)

    def control(self, t: Tensor, state: Tensor, kl: Tensor) -> tuple[Tensor, Tensor]:
        set_point = self.schedule.set_point(t, state[0])
        return torch.stack([set_point, set_point, (set_point != state[0]).double()]), set_point.view(1)

    def penalty(self, state: Tensor, encoded: Encoded) -> Tensor:
        return self.gamma * (encoded.kl - state[0].to(encoded.kl.dtype)).abs()


def capacity(settings: ObjectiveSettings, schedule: Callable[..., Schedule]) -> CapacityDistance:
    """gamma = 100, of 1Konny/Beta-VAE and of ControlVAE's baseline.

    They train it with learning rate 5e-4 and another network than ControlVAE's; here both are the settings', as in all
    arms. disentanglement_lib has gamma 1000.
    """
    return CapacityDistance(GAMMA, schedule(settings.c_start, settings.c_max, settings.steps))
