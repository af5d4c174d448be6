"""Every image's posterior as a training batch last had it, and what it tells of the information in the latents."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from lib.objectives import Encoded, Informed
from lib.objectives.posterior_bank import mutual_information
from lib.runs.settings import TrainingConfig
from lib.training.streams import QUERIES, stream_seed

QUERIED = 64  # draws of an estimate


class PosteriorTable:
    """A table [N, 2 J] that costs no forward pass; its rows are an epoch old at most. float32, 59 MB for dSprites.

    Jitter of half a standard deviation since a row was written is negligible; a drift that all rows share adds up to a
    nat or so (both simulated), which is why the estimate is compared with the exact value wherever weights are kept.
    """

    def __init__(self, objective: Informed, config: TrainingConfig, n_images: int, device: torch.device) -> None:
        self.objective, self.seed, self.images = objective, config.seed, n_images
        self.table = torch.zeros(n_images, 2 * config.latents, device=device)
        self.filled = torch.zeros(n_images, dtype=torch.bool, device=device)
        self._queried = 0  # step of the last estimate

    def prepare(self, step: int, carried: Tensor) -> int:
        every = self.objective.query_every
        if step % every == 0 and step != self._queried:
            carried.copy_(self.objective.informed(carried, self.estimate(step)))
            self._queried = step
        return every - step % every

    def estimate(self, step: int) -> Tensor:
        """I_q(x; z) [] in nats, from draws that the seed and the step decide."""
        rows = self.table[self.filled]
        generator = Generator().manual_seed(stream_seed(self.seed, QUERIES, step))
        own = torch.randint(len(rows), (QUERIED,), generator=generator).to(rows.device)
        mean, logvar = rows.chunk(2, 1)
        noise = torch.randn(QUERIED, mean.shape[1], generator=generator).to(rows.device)
        return mutual_information(mean, logvar, own, noise, self.images)

    def after_step(
        self, row: Tensor, indices: Tensor, encoded: Encoded, encode: Callable[[Tensor, Tensor], Tensor]
    ) -> None:
        self.table.index_copy_(0, indices, torch.cat([encoded.mean, encoded.logvar], 1).detach().float())
        self.filled.index_fill_(0, indices, True)

    def trained(self) -> list[Tensor]:
        return []  # a posterior that is not finite shows in the KL

    def state_dict(self) -> dict[str, Any]:
        return {"table": self.table, "filled": self.filled, "queried": self._queried}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.table.copy_(state["table"])
        self.filled.copy_(state["filled"])
        self._queried = state["queried"]
