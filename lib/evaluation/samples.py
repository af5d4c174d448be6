"""What an arm that is trained as a sampler draws: how far its samples are from the images of the data set.

Codes can be read off the samples of a generator that draws one image, or none of the data set: scores alone don't tell.
"""

import time
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from lib.arms import objective_of
from lib.data.dataset import Dataset
from lib.evaluation.posteriors import check_measurable
from lib.evaluation.records import kept
from lib.files import write_sealed
from lib.locks import only_one
from lib.progress import Progress
from lib.runs.provenance import provenance
from lib.runs.run import Run
from lib.runs.settings import EvaluationConfig
from lib.training.device import choose_device, reproducible

SAMPLES = 100
TOLERANCE = 0.1  # a sample is a sprite where so many of the nearest image's own pixels, at most, are wrong or missing
SETTINGS = ("evaluation_seed",)  # what samples.json depends on
ENTRIES = ("config", "pixels_off", "nearest", "sprites", "distinct")
_IMAGES_AT_ONCE = 4096  # 64 MiB as float32


@torch.inference_mode()
def draw(run: Run, seed: int) -> Tensor:
    """SAMPLES samples of the run's final weights, pixel values in [0, 1] [S, 1, 64, 64], on the CPU."""
    config = run.config()
    noise = torch.randn(SAMPLES, config.latents, generator=Generator().manual_seed(seed))
    return torch.sigmoid(run.load_model().decode(objective_of(config.arm, config).prior(noise)))


def nearest_images(samples: Tensor, data: Dataset, progress: bool = True) -> tuple[Tensor, Tensor]:
    """In how many pixels the nearest image differs from each sample (0 or 1, [S, 1, 64, 64]), and its index: int64 [S].

    Exact: every image is compared, |s - x| = |s| + |x| - 2 s x being sums of at most 4,096 ones. Among images as near
    the first is named.
    """
    device = data.packed.device
    samples = samples.to(device).flatten(1).float()
    least = torch.full((len(samples),), samples.shape[1] + 1.0, device=device)
    index = torch.zeros(len(samples), dtype=torch.int64, device=device)
    with Progress(total=len(data), desc="samples", unit="image", unit_scale=True, disable=not progress) as bar:
        for rows in torch.arange(len(data), device=device).split(_IMAGES_AT_ONCE):
            images = data.images(rows).flatten(1)
            off, place = (samples.sum(1) + (images.sum(1)[:, None] - 2 * images @ samples.T)).min(0)  # [S]
            nearer = off < least
            least, index = torch.where(nearer, off, least), torch.where(nearer, rows[place], index)
            bar.update(len(rows))
    return least.long().cpu(), index.cpu()


def measure_samples(run: Run, data: Dataset, config: EvaluationConfig, progress: bool = True) -> dict[str, Any]:
    """Measure a complete run's samples, thresholded at 0.5, or read what was measured; returns samples.json.

    Raises ValueError where the run is not complete or was trained on other data.
    """
    check_measurable(run, data)
    path, settings = run.path / "samples.json", config.only(SETTINGS)
    if (found := kept(path, settings, ENTRIES)) is not None:
        return found
    with only_one(run.path / ".lock"):  # another process may have been faster
        return kept(path, settings, ENTRIES) or _measure(run, data, config, path, progress)


def _measure(run: Run, data: Dataset, config: EvaluationConfig, path: Path, progress: bool) -> dict[str, Any]:
    training = run.config()
    started = time.perf_counter()
    device = choose_device(training.device)
    with reproducible(training.threads):
        off, index = nearest_images(draw(run, config.evaluation_seed) > 0.5, data.to(device), progress)
    own = data.images(index).flatten(1).sum(1).long().cpu()
    content = {
        "config": config.only(SETTINGS),
        "images": len(data),
        "pixels_off": off.tolist(),
        "nearest": index.tolist(),
        "nearest_pixels": own.tolist(),
        "sprites": (off <= TOLERANCE * own).float().mean().item(),
        "distinct": len(index.unique()),
        "weights_sha256": run.weights_sha256,
        "seconds": time.perf_counter() - started,
        "provenance": provenance(device),
    }
    write_sealed(path, content)
    return content
