"""The training of an objective's own network beside the VAE's: one step of it after each of theirs."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lib.objectives import Adversarial
from lib.runs.settings import TrainingConfig
from lib.training.streams import ADVERSARY_WEIGHTS, BLOCK, AdversaryBlock, adversary_block, stream_seed


class AdversaryTraining:
    """The state of an objective's network between two steps, and its step.

    Its weights and draws come from streams of their own, so that the VAE's stay those of all arms.
    """

    def __init__(self, objective: Adversarial, config: TrainingConfig, n_images: int, device: torch.device) -> None:
        dtype = torch.float64 if config.precision == "float64" else torch.float32
        objective.initialise_adversary(torch.Generator().manual_seed(stream_seed(config.seed, ADVERSARY_WEIGHTS)))
        self.objective, self.network = objective, objective.adversary.to(device, dtype)
        self.optimizer = objective.adversary_optimizer(capturable=device.type == "cuda")
        self._draw = (config.seed, n_images, config.batch_size, config.latents, device)
        shape = BLOCK, config.batch_size
        self._block = AdversaryBlock(
            torch.empty(shape, dtype=torch.int64, device=device),
            torch.empty(*shape, config.latents, device=device),
            torch.empty(*shape, config.latents, device=device),
        )

    def prepare(self, block: int) -> None:
        """Draw what the block-th 1,000 steps need, into tensors that keep their place."""
        seed, *rest = self._draw
        for held, drawn in zip(self._block, adversary_block(seed, block, *rest), strict=True):
            held.copy_(drawn)

    def train_step(self, row: Tensor, latents: Tensor, encode: Callable[[Tensor, Tensor], Tensor]) -> None:
        """One step, after the VAE's: row int64 [1] in the block, the batch's z [B, J].

        encode: images' indices [B] and noise [B, J] -> z' [B, J] by the encoder as it now is.
        """
        indices, noise, keys = (held.index_select(0, row)[0] for held in self._block)
        with torch.no_grad():
            others = encode(indices, noise)
        self.optimizer.zero_grad(set_to_none=True)
        self.objective.adversary_loss(latents, others, keys).backward()
        self.optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
