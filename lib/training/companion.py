"""What an objective keeps beside the VAE while it trains, if it keeps anything: the seam, and which one is whose."""

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer

from lib.objectives import Adversarial, Encoded, Informed, Objective
from lib.runs.settings import TrainingConfig
from lib.training.adversary import AdversaryTraining
from lib.training.posterior_table import PosteriorTable


class Companion(Protocol):
    """Tensors that keep their place: a step changes them on the device, `prepare` may do more between two steps."""

    def prepare(self, step: int, carried: Tensor) -> int:
        """After `step` steps: make what the next ones need, change what is carried; for how many steps it suffices."""
        ...

    def after_step(
        self, row: Tensor, indices: Tensor, encoded: Encoded, encode: Callable[[Tensor, Tensor], Tensor]
    ) -> None:
        """After the VAE's step on the images of `indices` [B], the row-th (int64 [1]) of its 1,000.

        encode: images' indices [B] and standard normal noise [B, J] -> z [B, J] by the encoder as it now is.
        """
        ...

    def optimizers(self) -> list[Optimizer]:
        """Of the parameters of its own that a step trains, and whose gradients must be finite."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs of it."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`'s result; its tensors may lie on any device."""
        ...


def companion_of(objective: Objective, config: TrainingConfig, n_images: int, device: torch.device) -> Companion | None:
    """The objective's own, with its first state."""
    if isinstance(objective, Adversarial):
        return AdversaryTraining(objective, config, n_images, device)
    if isinstance(objective, Informed):
        return PosteriorTable(objective, config, n_images, device)
    return None
