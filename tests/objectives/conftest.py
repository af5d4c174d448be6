from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lib.data.dataset import Dataset
from lib.model import VAE, initialise, kl_per_latent, reconstruction_loss, reparameterise
from lib.runs.settings import TrainingConfig
from lib.training.engine import Engine
from lib.training.lockstep import Lockstep
from lib.training.streams import WEIGHTS, epoch_permutation, noise_block, stream_seed

# From t, the KL [], mean, logvar and z [B, J]: the term of the loss, and what the trace should hold of it.
Step = Callable[[int, Tensor, Tensor, Tensor, Tensor], tuple[Tensor, list[float]]]


def plain_steps(config: TrainingConfig, data: Dataset, steps: int, step: Step) -> list[list[float]]:
    """Reconstruction, KL and what `step` records, per step, in double precision: autograd and Adam written out.

    steps: within the first epoch and the first block of noise.
    """
    model = VAE(config.architecture, config.latents)
    initialise(model, stream_seed(config.seed, WEIGHTS))
    model = model.double()
    optimizer = torch.optim.Adam(model.parameters(), config.learning_rate)
    order = epoch_permutation(config.seed, 0, len(data), torch.device("cpu")).view(-1)
    noise = noise_block(config.seed, 0, config.batch_size, config.latents, torch.device("cpu")).double()
    rows = []
    for t in range(1, steps + 1):
        images = data.images(order[(t - 1) * config.batch_size : t * config.batch_size], torch.float64)
        mean, logvar = model.encode(images)
        latents = reparameterise(mean, logvar, noise[t - 1])
        reconstruction = reconstruction_loss(model.decode(latents), images).mean()
        kl = kl_per_latent(mean, logvar).sum()
        term, recorded = step(t, kl, mean, logvar, latents)
        optimizer.zero_grad()
        (reconstruction + term).backward()
        optimizer.step()
        rows.append([reconstruction.item(), kl.item(), *recorded])
    return rows


@pytest.fixture
def follows(tiny_config, few_images):
    """A function: asserts that the engine's trace of an arm's first steps is that of `plain_steps`."""

    def check(arm: str, step: Callable[[TrainingConfig], Step], steps: int = 20, **changes) -> list[list[float]]:
        config = tiny_config(arm, precision="float64", **{"steps": steps, "trace_every": 1, "batch_size": 8} | changes)
        engine = Engine(config, few_images)
        found = Lockstep([engine]).run(steps)[0]  # [steps, columns]
        found = torch.cat([found[:, :2], found[:, 2 + config.latents :]], 1)
        expected = plain_steps(config, few_images, steps, step(config))
        assert engine.columns[2 + config.latents :] == list(engine.objective.columns)
        assert torch.allclose(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-9)
        return expected

    return check
