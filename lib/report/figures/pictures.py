"""What a trained network draws: reconstructions and latent traversals, as arrays for lib/report/figures/runs.py."""

import numpy as np
import torch
from torch import Tensor

from lib.data.dataset import Dataset
from lib.dsprites import N_IMAGES, factors_to_indices
from lib.model import VAE


@torch.inference_mode()
def reconstruct(model: VAE, images: Tensor) -> np.ndarray:
    """Pixel probabilities [n, 64, 64] for images [n, 1, 64, 64], decoded from the posterior means."""
    mean, _ = model.encode(images)
    return torch.sigmoid(model.decode(mean))[:, 0].numpy()


@torch.inference_mode()
def traverse(model: VAE, image: Tensor, values: np.ndarray) -> np.ndarray:
    """Pixel probabilities [J, S, 64, 64]: latent j takes values [S], the others stay at the posterior
    mean of image [1, 64, 64]."""
    mean, _ = model.encode(image[None])  # [1, J]
    latents, steps = mean.shape[1], len(values)
    grid = mean.repeat(latents * steps, 1).view(latents, steps, latents)
    for j in range(latents):
        grid[j, :, j] = torch.from_numpy(values)
    return torch.sigmoid(model.decode(grid.flatten(0, 1))).view(latents, steps, 64, 64).numpy()


MIDDLE_HEART = (2, 5, 0, 16, 16)  # factor classes of a large upright heart in the middle


def some_images(images: Dataset, count: int = 9) -> Tensor:
    """Images [n, 1, 64, 64] picked at random, the same ones every time."""
    return images.images(torch.from_numpy(np.random.default_rng(0).choice(N_IMAGES, count, replace=False)))


def middle_heart(images: Dataset) -> Tensor:
    """[1, 64, 64]: a large upright heart in the middle, from which traversals start."""
    return images.images(torch.from_numpy(factors_to_indices([MIDDLE_HEART])))[0]
