"""A run's random streams: weights, batches and noise as functions of (seed, step) alone, the same for every arm."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lib.runs.recorded import Recorded

BLOCK = 1000  # steps whose noise and trace the device holds; part of what a seed means, so not a setting
# The seed's independent random streams; the last three are of what an objective has beside the VAE.
WEIGHTS, BATCHES, NOISE, ADVANCES, ADVERSARY_WEIGHTS, ADVERSARY, QUERIES = range(7)


def stream_seed(seed: int, stream: int, index: int = 0) -> int:
    """Seed of the index-th draw from one of a run's random streams."""
    return int(np.random.SeedSequence([seed, stream, index]).generate_state(1, np.uint64)[0] >> 1)


def epoch_permutation(seed: int, epoch: int, n_images: int, device: torch.device) -> Tensor:
    """The order in which an epoch goes through the images, int64 [N]: without replacement, the same for every arm."""
    generator = torch.Generator(device).manual_seed(stream_seed(seed, BATCHES, epoch))
    return torch.randperm(n_images, generator=generator, device=device)


def noise_block(seed: int, block: int, batch_size: int, latents: int, device: torch.device) -> Tensor:
    """Standard normal noise of the block-th 1,000 steps, float32 [1000, B, J] in every precision."""
    generator = torch.Generator(device).manual_seed(stream_seed(seed, NOISE, block))
    return torch.randn(BLOCK, batch_size, latents, generator=generator, device=device)


def advances_of(seed: int, steps: int, taken: Recorded) -> Tensor:
    """Whether C advances at each step of a run that took that from another, bool [steps].

    At the other's steps, or at random ones: each with the probability that is the other's share.
    """
    if taken.advanced is not None:
        return torch.from_numpy(taken.advanced)
    return torch.from_numpy(np.random.default_rng(stream_seed(seed, ADVANCES)).random(steps) < taken.share)


class AdversaryBlock(NamedTuple):
    """What an objective's own network draws in 1,000 steps."""

    indices: Tensor  # images of a second batch, with replacement, int64 [1000, B]
    noise: Tensor  # standard normal, of their latents, float32 [1000, B, J]
    keys: Tensor  # uniform in [0, 1), by whose order latents are permuted, float32 [1000, B, J]


def adversary_block(
    seed: int, block: int, n_images: int, batch_size: int, latents: int, device: torch.device
) -> AdversaryBlock:
    """The draws of the block-th 1,000 steps."""
    generator = torch.Generator(device).manual_seed(stream_seed(seed, ADVERSARY, block))
    indices = torch.randint(n_images, (BLOCK, batch_size), generator=generator, device=device)
    noise = torch.randn(BLOCK, batch_size, latents, generator=generator, device=device)
    keys = torch.rand(BLOCK, batch_size, latents, generator=generator, device=device)
    return AdversaryBlock(indices, noise, keys)
