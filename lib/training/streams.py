"""A run's random streams: weights, batches and noise as functions of (seed, step) alone, the same for every arm."""

import numpy as np
import torch
from torch import Tensor

BLOCK = 1000  # steps whose noise and trace the device holds; part of what a seed means, so not a setting
WEIGHTS, BATCHES, NOISE, ADVANCES = range(4)  # the seed's independent random streams


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


def random_advances(seed: int, steps: int, share: float) -> Tensor:
    """Whether C advances at each step of a run whose arm draws that, bool [steps]: each with probability `share`."""
    return torch.from_numpy(np.random.default_rng(stream_seed(seed, ADVANCES)).random(steps) < share)
