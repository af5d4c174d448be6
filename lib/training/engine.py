"""One training step of ControlVAE, on any device, with nothing read back by the host between steps.

The engine owns the network, the optimiser and the arm's objective, with what that keeps beside the VAE
(companion.py). Batches and noise are functions of (seed, step) alone: every arm sees the same ones, and a resumed run
continues with the same bits. All that a step reads and changes lies in tensors that keep their place, so that a step
can be captured once as a CUDA graph and replayed (lockstep.py).
"""

from typing import Any

import torch
from torch import Tensor

from lib.arms import objective_of
from lib.data.dataset import Dataset
from lib.model import VAE, initialise, kl_per_latent, reconstruction_loss, reparameterise
from lib.objectives import COLUMNS, Encoded
from lib.runs.settings import TrainingConfig
from lib.training.companion import companion_of
from lib.training.device import device_of
from lib.training.layers import FAST
from lib.training.rate import hold_rate_in_tensor, set_rate, share_of_rate
from lib.training.streams import BLOCK, WEIGHTS, epoch_permutation, noise_block, stream_seed


def trace_columns(latents: int, objective: tuple[str, ...] = COLUMNS) -> list[str]:
    """Names of the values recorded at every step: the losses, then those of COLUMNS that the objective fills."""
    return ["reconstruction", "kl", *(f"kl_{j}" for j in range(latents)), *objective]


class Engine:
    """The state of one run between two steps, and the step itself."""

    def __init__(self, config: TrainingConfig, data: Dataset, advances: Tensor | None = None) -> None:
        """data must lie on the device that config.device stands for.

        advances: bool [steps], when C advances, for an arm that takes that from another run.

        Raises ValueError for batches larger than the data set, and where the device cannot do what is asked.
        """
        self.config = config
        self.data = data
        self.device = device = device_of(config)
        self.cooldown = round(config.cooldown * config.steps)  # steps
        self.n_images = data.packed.shape[0]
        self.dtype = torch.float64 if config.precision == "float64" else torch.float32
        if config.batch_size > self.n_images:
            raise ValueError(f"batch_size is {config.batch_size}; the data set has {self.n_images} images.")

        model = VAE(config.architecture, config.latents, FAST)
        initialise(model, stream_seed(config.seed, WEIGHTS))
        self.model = model.to(device, self.dtype, memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(
            self.model.parameters(), config.learning_rate, fused=True, capturable=device.type == "cuda"
        )
        self.objective = objective_of(config.arm, config, None if advances is None else advances.to(device))
        self.companion = companion_of(self.objective, config, self.n_images, device)
        self.hold_rates()
        self.columns = trace_columns(config.latents, self.objective.columns)

        self.batches = self.n_images // config.batch_size  # of an epoch; a last, incomplete batch is left out
        self.step = 0  # steps done, on the host
        self.t = torch.zeros((), dtype=torch.int64, device=device)  # the same, on the device
        self.carried = self.objective.initial_state().to(device)  # [S], what the objective carries from step to step

        self._epoch, self._block = -1, -1  # what the next two hold
        self._permutation = torch.empty(self.n_images, dtype=torch.int64, device=device)
        self._noise = torch.empty(BLOCK, config.batch_size, config.latents, device=device)
        self._within_batch = torch.arange(config.batch_size, device=device)
        self._trace = torch.empty(BLOCK, len(self.columns), dtype=torch.float64, device=device)
        self._broken = torch.zeros((), dtype=torch.int64, device=device)  # `broken_gradient`, on the device

    def prepare(self) -> int:
        """Draw the permutation and the noise that the next steps need; returns for how many steps they suffice."""
        epoch, block = self.step // self.batches, self.step // BLOCK
        if epoch != self._epoch:
            self._permutation.copy_(epoch_permutation(self.config.seed, epoch, self.n_images, self.device))
            self._epoch = epoch
        if block != self._block:
            shape = self.config.batch_size, self.config.latents
            self._noise.copy_(noise_block(self.config.seed, block, *shape, self.device))
            self._block = block
        suffices = BLOCK if self.companion is None else self.companion.prepare(self.step, self.carried)
        return min(self.batches - self.step % self.batches, BLOCK - self.step % BLOCK, suffices)

    def trace(self, steps: int) -> Tensor:
        """The last `steps` rows of the trace [steps, columns]; none of them may be from before `prepare`."""
        end = (self.step - 1) % BLOCK + 1
        return self._trace[end - steps : end].clone()

    def train_step(self) -> None:
        """One step on the device; `prepare` has been called, and `step` is counted by the caller (lockstep.py).

        The trace's values are those at the step itself: the losses before the update, the set point that the
        controller's error used, and the capacity after the step.
        """
        config = self.config
        indices = self.batch_indices()
        images = self.data.images(indices, self.dtype)  # [B, 1, 64, 64]
        # The noise is drawn in float32 in every precision, so that precisions can be compared from the same seed.
        noise = self._noise.index_select(0, (self.t % BLOCK).view(1))[0].to(self.dtype)  # [B, J]

        with torch.autocast(self.device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
            mean, logvar = self.model.encode(images)
            latents = reparameterise(mean.to(self.dtype), logvar.to(self.dtype), noise)
            logits = self.model.decode(latents)
        reconstruction = reconstruction_loss(logits.to(self.dtype), images).mean()
        mean, logvar = mean.to(self.dtype), logvar.to(self.dtype)  # again: the two gradients are rounded one by one
        kl_latents = kl_per_latent(mean, logvar)  # [J]
        kl = kl_latents.sum()
        encoded = Encoded(mean, logvar, latents, kl_latents, kl)
        row = (self.t % BLOCK).view(1)
        self.t += 1
        losses = reconstruction.detach(), kl.detach(), kl_latents.detach()
        values, carried = self.control(self.t, self.carried, *losses)
        self._trace.index_copy_(0, row, values[None])
        self.carried.copy_(carried)

        self.set_rates()
        loss = reconstruction + self.objective.penalty(self.carried, encoded)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        if self.companion is not None:
            self.companion.after_step(row, indices, encoded, self.latents_of)
        self.note_gradients()

    def latents_of(self, indices: Tensor, noise: Tensor) -> Tensor:
        """z ~ q(z|x) [B, J] of the images with these indices [B], from standard normal noise [B, J]."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16"):
            mean, logvar = self.model.encode(self.data.images(indices, self.dtype))
        return reparameterise(mean.to(self.dtype), logvar.to(self.dtype), noise.to(self.dtype))

    def control(
        self, t: Tensor, carried: Tensor, reconstruction: Tensor, kl: Tensor, kl_latents: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The objective's part of step t without gradient: the step's row of the trace [columns], and `carried` [S].

        carried: before the step; reconstruction [], kl [], kl_latents [J]: the step's losses, nats per image. It
        takes and returns all that it depends on and changes, so that it can be compiled.
        """
        values, after = self.objective.control(t, carried, kl)
        losses = reconstruction.double().view(1), kl.double().view(1), kl_latents.double()
        return torch.cat([*losses, values]), after

    def batch_indices(self) -> Tensor:
        """Images of the next batch, int64 [B]."""
        first = (self.t % self.batches) * self.config.batch_size
        return self._permutation.index_select(0, first + self._within_batch)

    def optimizers(self) -> list[torch.optim.Optimizer]:
        """All that a step uses: of the network, and of what is trained beside it."""
        return [self.optimizer, *([] if self.companion is None else self.companion.optimizers())]

    def hold_rates(self) -> None:
        """After an optimiser was made or loaded: its learning rate as a step can change it, if any is to."""
        if self.cooldown:
            for optimizer in self.optimizers():
                hold_rate_in_tensor(optimizer, self.device)

    def set_rates(self) -> None:
        """In step t, before its updates: the learning rates that it has."""
        if self.cooldown:
            share = share_of_rate(self.t, self.config.steps, self.cooldown)
            for optimizer in self.optimizers():
                set_rate(optimizer, share)

    def note_gradients(self) -> None:
        """At the end of step t: remember the first step whose gradients, or their squares' sum, are not finite.

        Weights and Adam's moments are finite as long as none was.
        """
        groups = [group for optimizer in self.optimizers() for group in optimizer.param_groups]
        gradients = [each.grad for group in groups for each in group["params"] if each.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        self._broken.copy_(torch.where(norm.isfinite() | (self._broken > 0), self._broken, self.t))

    @property
    def broken_gradient(self) -> int | None:
        """The first step since this engine was made that had a gradient, or its square, that is not finite."""
        return self._broken.item() or None

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to continue with the same bits."""
        state = {
            "step": self.step,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "controlled": self.carried,  # named so in the first checkpoints
        }
        return state if self.companion is None else state | {"companion": self.companion.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`'s result; its tensors may lie on any device.

        The bits continue on the same kind of device only: others draw other noise and batches from a seed.
        """
        self.step = state["step"]
        self.t.fill_(self.step)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        for group in self.optimizer.param_groups:
            group["capturable"] = self.device.type == "cuda"
        self.carried.copy_(state["controlled"])
        if self.companion is not None:
            self.companion.load_state_dict(state["companion"])
        self.hold_rates()
