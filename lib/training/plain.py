"""ControlVAE's training as one would first write it: what the engine is compared with, in benchmark and tests.

A data loader, PyTorch's own layers, Python numbers for the controller, a value read back at every step, plain Adam.
From the same seed it takes the engine's initial weights, batches and noise, so that both must compute the same.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset, Sampler

from lib.model import VAE, initialise
from lib.runs.settings import TrainingConfig
from lib.training.device import choose_device
from lib.training.streams import WEIGHTS, epoch_permutation, noise_block, stream_seed

COLUMNS = ("reconstruction", "kl", "beta", "set_point", "capacity")  # of a step, as in the engine's trace


class UnpackedImages(Dataset):
    """Single images as float32 [1, 64, 64], unpacked one by one."""

    def __init__(self, packed: np.ndarray) -> None:
        self.packed = packed

    def __len__(self) -> int:
        return len(self.packed)

    def __getitem__(self, index: int) -> np.ndarray:
        return np.unpackbits(self.packed[index]).reshape(1, 64, 64).astype(np.float32)


class Epochs(Sampler):
    """The images' indices in the engine's order, epoch by epoch, at each pass one."""

    def __init__(self, config: TrainingConfig, n_images: int) -> None:
        self.config, self.n_images, self.epoch = config, n_images, 0

    def __iter__(self) -> Iterator[int]:
        device = choose_device(self.config.device)
        order = epoch_permutation(self.config.seed, self.epoch, self.n_images, device)
        self.epoch += 1
        return iter(order.tolist())


def reference_loop(config: TrainingConfig, packed: np.ndarray) -> Callable[[int], np.ndarray]:
    """A function that trains the `linear` or the `adaptive` arm for so many steps and returns their COLUMNS [steps, 5].

    packed: the images, uint8 [N, 512].
    """
    device, dtype = choose_device(config.device), torch.float64 if config.precision == "float64" else torch.float32
    model = VAE(config.architecture, config.latents)
    initialise(model, stream_seed(config.seed, WEIGHTS))
    model.to(device, dtype)
    optimizer = torch.optim.Adam(model.parameters(), config.learning_rate)
    loader = DataLoader(UnpackedImages(packed), config.batch_size, sampler=Epochs(config, len(packed)), drop_last=True)
    integral, unclipped, beta, capacity, t = 0.0, 1.0, 1.0, config.c_start, 0

    def batches() -> Iterator[torch.Tensor]:
        while True:
            yield from loader

    def noises() -> Iterator[torch.Tensor]:
        block = 0
        while True:
            yield from noise_block(config.seed, block, config.batch_size, config.latents, device)
            block += 1

    def step(images: torch.Tensor, noise: torch.Tensor) -> tuple[float, ...]:
        nonlocal integral, unclipped, beta, capacity, t
        images, noise = images.to(device, dtype), noise.to(dtype)
        t += 1
        with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
            mean, logvar = model.encode(images)
            mean, logvar = mean.to(dtype), logvar.to(dtype)
            latents = mean + torch.sqrt(torch.exp(logvar)) * noise
            logits = model.decode(latents).to(dtype)
        reconstruction = F.binary_cross_entropy_with_logits(logits, images, reduction="sum") / len(images)
        kl = -0.5 * (1 + logvar - mean**2 - logvar.exp()).sum() / len(images)
        if config.arm == "linear":
            capacity = min(config.c_max, config.c_start + 0.15 * (300 * t // config.steps))
        set_point, beta_before = capacity, beta
        error = set_point - kl.item()
        if not (unclipped < config.beta_min and (config.anti_windup == "published" or error > 0)):
            integral -= config.ki * error
        unclipped = config.kp / (1 + math.exp(error)) + integral + config.beta_min
        beta = max(config.beta_min, unclipped)
        if config.arm == "adaptive" and not beta > beta_before:
            capacity += (config.c_max - capacity) / (config.steps - (t - 1))
        loss = reconstruction + beta * kl
        if config.cooldown:
            left = (config.steps - t + 1) / round(config.cooldown * config.steps)
            optimizer.param_groups[0]["lr"] = config.learning_rate * min(1.0, left)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return reconstruction.item(), kl.item(), beta, set_point, capacity

    pairs = zip(batches(), noises(), strict=True)
    return lambda steps: np.array([step(*next(pairs)) for _ in range(steps)])
