"""Measure a trained run on the data set: the posteriors of all images, reconstruction loss, KL, MIG.

Everything is measured once, in float32, written into the run's directory and only read afterwards.
"""

import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import h5py
import torch
from torch import Tensor
from tqdm import tqdm

from lib import mig
from lib.config import EvaluationConfig
from lib.dataset import Dataset
from lib.dsprites import FACTOR_NAMES, FACTOR_SIZES, factors_to_indices
from lib.engine import choose_device
from lib.information import decompose
from lib.model import VAE, kl_per_latent, reconstruction_loss, reparameterise
from lib.provenance import provenance
from lib.runs import Run, read_json, write_atomically, write_json
from lib.training import reproducible

# What evaluation.json depends on.
SETTINGS = (
    "position_stride",
    "monte_carlo_samples",
    "decomposition_samples",
    "evaluation_seed",
    "evaluation_batch",
)


def evaluation_grid(position_stride: int) -> tuple[Tensor, tuple[int, ...]]:
    """Flat indices [N] of every k-th position_x and position_y, in data-set order, and the grid's factor sizes."""
    sizes = FACTOR_SIZES[:3] + tuple(len(range(0, size, position_stride)) for size in FACTOR_SIZES[3:])
    factors = torch.cartesian_prod(*(torch.arange(size) for size in sizes))
    factors[:, 3:] *= position_stride
    return torch.from_numpy(factors_to_indices(factors.numpy())), sizes


def _encode_in_batches(
    model: VAE, data: Dataset, indices: Tensor, batch: int, bar: tqdm
) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Batch by batch: rows [B] of `indices`, images [B, 1, 64, 64], posterior mean and logvar [B, J]; moves `bar`."""
    model = model.to(data.packed.device).to(memory_format=torch.channels_last)
    for rows in torch.arange(len(indices)).split(batch):
        images = data.images(indices[rows].to(data.packed.device))
        yield rows, images, *model.encode(images)
        bar.update(len(rows))


@torch.inference_mode()
def encode_images(model: VAE, data: Dataset, indices: Tensor, batch: int, bar: tqdm) -> tuple[Tensor, Tensor]:
    """Posterior mean [N, J] and logvar [N, J] of the images, in float32; `bar` counts images."""
    mean, logvar = torch.empty(2, len(indices), model.from_latents.in_features)
    for rows, _, mu, lv in _encode_in_batches(model, data, indices, batch, bar):
        mean[rows], logvar[rows] = mu.cpu(), lv.cpu()
    return mean, logvar


@torch.inference_mode()
def measure_images(
    model: VAE, data: Dataset, indices: Tensor, batch: int, seed: int, progress: bool = True
) -> tuple[Tensor, Tensor, Tensor]:
    """Posterior mean [N, J], logvar [N, J] and reconstruction loss [N] (nats) of the images, in float32.

    z is sampled once per image, from `seed`, independent of the batch size and of the other images' values.
    """
    noise = torch.randn(len(indices), model.from_latents.in_features, generator=torch.Generator().manual_seed(seed))
    mean, logvar, loss = torch.empty_like(noise), torch.empty_like(noise), torch.empty(len(indices))
    with tqdm(total=len(indices), desc="evaluation", unit="image", unit_scale=True, mininterval=2,
              disable=not progress, dynamic_ncols=True) as bar:  # fmt: skip
        for rows, images, mu, lv in _encode_in_batches(model, data, indices, batch, bar):
            logits = model.decode(reparameterise(mu, lv, noise[rows].to(mu.device)))
            mean[rows], logvar[rows] = mu.cpu(), lv.cpu()
            loss[rows] = reconstruction_loss(logits, images).cpu()
    return mean, logvar, loss


def measure_information(
    mean: Tensor, logvar: Tensor, sizes: tuple[int, ...], config: EvaluationConfig, progress: bool = True
) -> dict[str, Any]:
    """MIG by the three estimators of lib/mig.py and the information matrix behind the exact one, as plain data.

    mean, logvar [N, J] in data-set order over a grid of factor `sizes`. Information in nats.
    """
    generator = torch.Generator().manual_seed(config.evaluation_seed)
    information = mig.mutual_information(mean, logvar, sizes)
    sampled = mig.mutual_information_monte_carlo(mean, logvar, sizes, config.monte_carlo_samples, generator, progress)
    histogram = mig.mutual_information_histogram(mean, sizes, generator)
    result: dict[str, Any] = {
        "information": information.tolist(),
        "factor_gaps": dict(zip(FACTOR_NAMES, mig.factor_gaps(information, sizes).tolist(), strict=True)),
    }
    for name, factors in (("four", mig.FOUR_FACTORS), ("five", mig.FIVE_FACTORS)):
        result[f"mig_{name}"] = {
            "quadrature": mig.mutual_information_gap(information, sizes, factors),
            "monte_carlo": mig.mutual_information_gap(sampled.information, sizes, factors),
            "monte_carlo_standard_error": sampled.gap_standard_error(sizes, factors),
            "histogram": mig.mutual_information_gap(histogram, sizes, factors),
        }
    return result


def check_measurable(run: Run, data: Dataset) -> None:
    """Raises ValueError where the run is not complete or was trained on other data."""
    if not run.complete:
        raise ValueError(f"{run.path} holds no complete run; train it first.")
    trained_on = run.record()["provenance"]["data_sha256"]
    if trained_on != data.sha256:
        raise ValueError(f"{run.path} was trained on other data (SHA-256 {trained_on}); evaluate it on those.")


def evaluate(run: Run, data: Dataset, config: EvaluationConfig, progress: bool = True) -> dict[str, Any]:
    """Measure a complete run, or read what was measured with the same SETTINGS; returns evaluation.json.

    Raises ValueError where the run is not complete or was trained on other data.
    """
    check_measurable(run, data)
    path, settings = run.path / "evaluation.json", config.only(SETTINGS)
    if path.exists() and read_json(path)["config"] == settings:
        return read_json(path)

    training = run.config()
    started = time.perf_counter()
    device = choose_device(training.device)
    with reproducible(training.threads):
        indices, sizes = evaluation_grid(config.position_stride)
        mean, logvar, loss = measure_images(
            run.load_model(), data.to(device), indices, config.evaluation_batch, config.evaluation_seed, progress
        )
        on_device = mean.to(device), logvar.to(device)
        measures = measure_information(*on_device, sizes, config, progress)
        generator = torch.Generator().manual_seed(config.evaluation_seed)
        decomposition = decompose(*on_device, config.decomposition_samples, generator, progress)
    _write_posterior(run, indices, mean, logvar, loss, sizes)
    content = {
        "config": settings,
        "images": len(indices),
        "factor_sizes": list(sizes),
        "reconstruction": loss.double().mean().item(),
        "reconstruction_standard_error": (loss.double().std() / len(loss) ** 0.5).item(),
        "kl_latents": kl_per_latent(mean.double(), logvar.double()).tolist(),
        "kl": kl_per_latent(mean.double(), logvar.double()).sum().item(),
        **measures,
        "decomposition": asdict(decomposition),
        "seconds": time.perf_counter() - started,
        "provenance": provenance(device),
    }
    write_json(path, content)
    return content


def _write_posterior(
    run: Run, indices: Tensor, mean: Tensor, logvar: Tensor, loss: Tensor, sizes: tuple[int, ...]
) -> None:
    def write(temporary) -> None:
        with h5py.File(temporary, "w") as file:
            file.attrs["factor_sizes"] = sizes
            for name, values in (("indices", indices), ("mean", mean), ("logvar", logvar), ("reconstruction", loss)):
                file[name] = values.numpy()

    write_atomically(run.path / "posterior.h5", write)


def read_posterior(run: Run) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    """mean [N, J], logvar [N, J] of a measured run in data-set order, and the factor sizes of its grid."""
    with h5py.File(run.path / "posterior.h5") as file:
        mean, logvar = (torch.from_numpy(file[name][...]) for name in ("mean", "logvar"))
        return mean, logvar, tuple(int(size) for size in file.attrs["factor_sizes"])
