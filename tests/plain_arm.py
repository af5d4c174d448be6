"""The training of any arm as one would first write it, a few steps in double precision: what the engine is held to."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from lib.model import VAE, initialise
from lib.training.engine import Engine
from lib.training.lockstep import Lockstep
from lib.training.streams import WEIGHTS, epoch_permutation, noise_block, stream_seed

CPU = torch.device("cpu")
Pressure = Callable[
    ..., tuple[torch.Tensor, tuple[float, ...]]
]  # (t, mean, logvar, z, kl) -> penalty, what is recorded


def share_of_rate(config, t: int) -> float:
    """What is left of the learning rate at step t = 1, 2, ...: over the last `cooldown` of the steps a line."""
    return min(1.0, (1 - (t - 1) / config.steps) / config.cooldown) if config.cooldown else 1.0


def plain_training(config, data, steps: int, pressure: Pressure, after=lambda t, model, z: None) -> np.ndarray:
    """Rows [steps, 2 + recorded]: reconstruction, KL and what `pressure` records; `after` runs at the end of a step."""
    model = VAE(config.architecture, config.latents)
    initialise(model, stream_seed(config.seed, WEIGHTS))
    model.double()
    optimizer = torch.optim.Adam(model.parameters(), config.learning_rate)
    order = epoch_permutation(config.seed, 0, len(data.packed), CPU)
    noise = noise_block(config.seed, 0, config.batch_size, config.latents, CPU).double()
    rows = []
    for t in range(1, steps + 1):
        images = data.images(order[(t - 1) * config.batch_size : t * config.batch_size], torch.float64)
        mean, logvar = model.encode(images)
        z = mean + torch.sqrt(torch.exp(logvar)) * noise[t - 1]
        reconstruction = F.binary_cross_entropy_with_logits(model.decode(z), images, reduction="sum") / len(images)
        kl = -0.5 * (1 + logvar - mean**2 - logvar.exp()).sum() / len(images)
        penalty, recorded = pressure(t, mean, logvar, z, kl)
        rows.append((reconstruction.item(), kl.item(), *recorded))
        optimizer.param_groups[0]["lr"] = config.learning_rate * share_of_rate(config, t)
        optimizer.zero_grad()
        (reconstruction + penalty).backward()
        optimizer.step()
        after(t, model, z)
    return np.array(rows)


def engine_training(config, data, steps: int) -> np.ndarray:
    """The same rows by the engine: reconstruction, KL, then the objective's columns."""
    engine = Engine(config, data)
    values = Lockstep([engine]).run(steps)[0].numpy()
    return values[:, [0, 1, *range(2 + config.latents, values.shape[1])]]
