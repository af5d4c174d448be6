"""Every image's posterior as a training batch last had it, and what it tells of the information in the latents."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from lib.objectives import Encoded, Informed
from lib.objectives.posterior_bank import mutual_information, sufficient
from lib.runs.settings import TrainingConfig
from lib.training.streams import QUERIES, stream_seed

QUERIED = 64  # draws of an estimate


class PosteriorTable:
    """A table [N, 2 J] that costs no forward pass, and of which the newest rows count. 65 MB for dSprites.

    A posterior that has jittered by half a standard deviation since it was written does little harm; a drift that all
    share adds up to a nat or so (both simulated), and rows of a code with less information take some away (seen). So
    the estimate counts no more rows than it needs, and is compared with the exact value wherever weights are kept.
    """

    def __init__(self, objective: Informed, config: TrainingConfig, n_images: int, device: torch.device) -> None:
        self.objective, self.seed, self.images = objective, config.seed, n_images
        self.table = torch.zeros(n_images, 2 * config.latents, device=device)
        self.written = torch.zeros(n_images, dtype=torch.int64, device=device)  # after which step; 0 = never
        self.steps = torch.zeros(1, dtype=torch.int64, device=device)
        self._batch = config.batch_size
        self._queried = 0  # step of the last estimate

    def prepare(self, step: int, carried: Tensor) -> int:
        every = self.objective.query_every
        if step % every == 0 and step != self._queried:
            carried.copy_(
                self.objective.informed(carried, self.estimate(step, self.objective.estimated(carried).item()))
            )
            self._queried = step
        return every - step % every

    def estimate(self, step: int, before: float) -> Tensor:
        """I_q(x; z) [] in nats, from draws that the seed and the step decide; before: what it was, about."""
        oldest = step - -(-sufficient(before) // self._batch)  # the last step whose rows do not count
        rows = self.table[self.written > max(0, oldest)]
        generator = Generator().manual_seed(stream_seed(self.seed, QUERIES, step))
        own = torch.randint(len(rows), (QUERIED,), generator=generator).to(rows.device)
        mean, logvar = rows.chunk(2, 1)
        noise = torch.randn(QUERIED, mean.shape[1], generator=generator).to(rows.device)
        return mutual_information(mean, logvar, own, noise, self.images)

    def after_step(
        self, row: Tensor, indices: Tensor, encoded: Encoded, encode: Callable[[Tensor, Tensor], Tensor]
    ) -> None:
        self.table.index_copy_(0, indices, torch.cat([encoded.mean, encoded.logvar], 1).detach().float())
        self.steps += 1
        self.written.index_copy_(0, indices, self.steps.expand(len(indices)))

    def optimizers(self) -> list[torch.optim.Optimizer]:
        return []

    def state_dict(self) -> dict[str, Any]:
        return {"table": self.table, "written": self.written, "steps": self.steps, "queried": self._queried}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.table.copy_(state["table"])
        self.written.copy_(state["written"])
        self.steps.copy_(state["steps"])
        self._queried = state["queried"]
