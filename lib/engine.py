"""One training step of ControlVAE, on any device, with nothing read back by the host between steps.

The engine owns the network, the optimiser, the controller and the capacity. Batches and noise are functions of
(seed, step) alone: every arm sees the same ones, and a resumed run continues with the same bits.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from lib.config import TrainingConfig
from lib.dataset import Dataset
from lib.model import VAE, initialise, kl_per_latent, reconstruction_loss, reparameterise
from lib.pid import PIDController, PIDState
from lib.schedules import schedule_for

NOISE_BLOCK = 1000  # steps whose noise is drawn at once; part of what a seed means, so not a setting
WEIGHTS, BATCHES, NOISE = range(3)  # the seed's independent random streams


def stream_seed(seed: int, stream: int, index: int = 0) -> int:
    """Seed of the index-th draw from one of a run's random streams."""
    return int(np.random.SeedSequence([seed, stream, index]).generate_state(1, np.uint64)[0] >> 1)


def choose_device(name: str) -> torch.device:
    """ "auto", "cpu" or "cuda" -> device; raises ValueError where "cuda" is asked for and not there."""
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("device is 'cuda', but PyTorch finds no CUDA device; choose device 'auto' or 'cpu'.")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def trace_columns(latents: int) -> list[str]:
    """Names of the values recorded at every step, in the order of `Engine.run`'s columns."""
    return [
        "reconstruction", "kl", *(f"kl_{j}" for j in range(latents)),
        "beta", "set_point", "capacity", "integral", "frozen", "advanced", "locked",
    ]  # fmt: skip


class Engine:
    """The state of one run between two steps, and the step itself."""

    def __init__(self, config: TrainingConfig, data: Dataset) -> None:
        """data must lie on the device that config.device stands for."""
        self.config = config
        self.data = data
        self.device = choose_device(config.device)
        self.n_images = data.packed.shape[0]
        self.dtype = torch.float64 if config.precision == "float64" else torch.float32
        if config.batch_size > self.n_images:
            raise ValueError(f"batch_size is {config.batch_size}; the data set has {self.n_images} images.")

        model = VAE(config.architecture, config.latents)
        initialise(model, stream_seed(config.seed, WEIGHTS))
        self.model = model.to(self.device, self.dtype, memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(self.model.parameters(), config.learning_rate, fused=True)
        self.controller = PIDController(config.kp, config.ki, config.kd, config.beta_min, config.anti_windup)
        self.schedule = schedule_for(config.arm, config.c_start, config.c_max, config.steps)

        self.step = 0  # steps done, on the host
        self.t = torch.zeros((), dtype=torch.int64, device=self.device)  # the same, on the device
        self.pid = self.controller.initial_state(device=self.device)
        self.beta = torch.ones((), dtype=torch.float64, device=self.device)  # beta(0) = 1
        self.capacity = torch.full((), config.c_start, dtype=torch.float64, device=self.device)
        self._epoch, self._permutation = -1, torch.empty(0)
        self._block, self._noise = -1, torch.empty(0)

    def run(self, steps: int) -> Tensor:
        """Train for `steps` steps; returns the trace [steps, columns] (float64, on the device).

        Values are those at the step itself: the losses before the update, the set point that the controller's
        error used, and the capacity after the step.
        """
        return torch.stack([self._train_step() for _ in range(steps)])

    def _train_step(self) -> Tensor:
        config = self.config
        images = self.data.images(self.batch_indices(self.step), self.dtype)  # [B, 1, 64, 64]
        noise = self.batch_noise(self.step)  # [B, J]
        self.step += 1

        with torch.autocast(self.device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
            mean, logvar = self.model.encode(images)
            latents = reparameterise(mean.to(self.dtype), logvar.to(self.dtype), noise)
            logits = self.model.decode(latents)
        reconstruction = reconstruction_loss(logits.to(self.dtype), images).mean()
        kl_latents = kl_per_latent(mean.to(self.dtype), logvar.to(self.dtype))  # [J]
        kl = kl_latents.sum()

        # ControlVAE's order: the set point moves (linear rule), then beta, then the loss and the update.
        self.t = self.t + 1
        set_point = self.schedule.set_point(self.t, self.capacity)
        beta, self.pid = self.controller.step(self.pid, set_point, kl.detach())
        loss = reconstruction + beta.to(self.dtype) * kl
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        capacity = self.schedule.advance(self.t, set_point, beta, self.beta)

        row = torch.cat([
            reconstruction.detach().double().view(1), kl.detach().double().view(1), kl_latents.detach().double(),
            torch.stack([
                beta, set_point, capacity, self.pid.integral, self.pid.frozen.double(),
                (capacity != self.capacity).double(), self.controller.locked(self.pid).double(),
            ]),
        ])  # fmt: skip
        self.beta, self.capacity = beta, capacity
        return row

    def batch_indices(self, step: int) -> Tensor:
        """Images of the batch after `step` steps [B]: epochs are permutations, drawn without replacement."""
        batches = self.n_images // self.config.batch_size  # a last, incomplete batch is left out
        epoch, position = divmod(step, batches)
        if epoch != self._epoch:
            generator = self._generator(BATCHES, epoch)
            self._permutation = torch.randperm(self.n_images, generator=generator, device=self.device)
            self._epoch = epoch
        start = position * self.config.batch_size
        return self._permutation[start : start + self.config.batch_size]

    def batch_noise(self, step: int) -> Tensor:
        """Standard normal noise of the batch after `step` steps [B, J]."""
        block, position = divmod(step, NOISE_BLOCK)
        if block != self._block:
            shape = (NOISE_BLOCK, self.config.batch_size, self.config.latents)
            # Drawn in float32 in every precision, so that precisions can be compared from the same seed.
            self._noise = torch.randn(shape, generator=self._generator(NOISE, block), device=self.device)
            self._block = block
        return self._noise[position].to(self.dtype)

    def _generator(self, stream: int, index: int) -> torch.Generator:
        return torch.Generator(self.device).manual_seed(stream_seed(self.config.seed, stream, index))

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to continue with the same bits."""
        return {
            "step": self.step,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "pid": tuple(self.pid),
            "beta": self.beta,
            "capacity": self.capacity,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`'s result; its tensors may lie on any device."""
        self.step = state["step"]
        self.t = torch.full_like(self.t, self.step)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.pid = PIDState(*(value.to(self.device) for value in state["pid"]))
        self.beta = state["beta"].to(self.device)
        self.capacity = state["capacity"].to(self.device)
