"""The training of an objective's own network beside the VAE's: one step of it after each of theirs."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lib.objectives import Adversarial, Encoded
from lib.runs.settings import TrainingConfig
from lib.training.streams import ADVERSARY_WEIGHTS, BLOCK, AdversaryBlock, adversary_block, stream_seed


class SecondNetwork:
    """A network beside the VAE with an optimiser of its own: what is trained, and what a checkpoint needs."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    device: torch.device

    def optimizers(self) -> list[torch.optim.Optimizer]:
        return [self.optimizer]

    def state_dict(self) -> dict[str, Any]:
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        for group in self.optimizer.param_groups:
            group["capturable"] = self.device.type == "cuda"


class AdversaryTraining(SecondNetwork):
    """The state of an objective's network between two steps, and its step.

    Its weights and draws come from streams of their own, so that the VAE's stay those of all arms.
    """

    def __init__(self, objective: Adversarial, config: TrainingConfig, n_images: int, device: torch.device) -> None:
        dtype = torch.float64 if config.precision == "float64" else torch.float32
        objective.initialise_adversary(torch.Generator().manual_seed(stream_seed(config.seed, ADVERSARY_WEIGHTS)))
        self.device, self.objective, self.network = device, objective, objective.adversary.to(device, dtype)
        self.optimizer = objective.adversary_optimizer(capturable=device.type == "cuda")
        self._draw = (config.seed, n_images, config.batch_size, config.latents, device)
        self._drawn = -1  # which 1,000 steps' draws are held
        shape = BLOCK, config.batch_size
        self._block = AdversaryBlock(
            torch.empty(shape, dtype=torch.int64, device=device),
            torch.empty(*shape, config.latents, device=device),
            torch.empty(*shape, config.latents, device=device),
        )

    def prepare(self, step: int, carried: Tensor) -> int:
        if step // BLOCK != self._drawn:
            self._drawn = step // BLOCK
            seed, *rest = self._draw
            for held, drawn in zip(self._block, adversary_block(seed, self._drawn, *rest), strict=True):
                held.copy_(drawn)
        return BLOCK - step % BLOCK

    def after_step(
        self, row: Tensor, indices: Tensor, encoded: Encoded, encode: Callable[[Tensor, Tensor], Tensor]
    ) -> None:
        """The adversary's step, against a second batch as the encoder now sees it."""
        second, noise, keys = (held.index_select(0, row)[0] for held in self._block)
        with torch.no_grad():
            others = encode(second, noise)
        self.optimizer.zero_grad(set_to_none=True)
        self.objective.adversary_loss(encoded.latents, others, keys).backward()
        self.optimizer.step()
