"""Measure a trained run on the data set: the posteriors of all images, reconstruction loss, KL, MIG.

Everything is measured once, in float32, written into the run's directory and only read afterwards.
"""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lib import mig
from lib.data.dataset import Dataset
from lib.dsprites import FACTOR_NAMES
from lib.evaluation.posteriors import (
    check_measurable,
    decode_posteriors,
    encode_images,
    evaluation_grid,
    write_posterior,
)
from lib.evaluation.records import kept
from lib.files import sha256, write_sealed
from lib.information import decompose
from lib.locks import only_one
from lib.model import kl_per_image, kl_per_latent
from lib.progress import Progress
from lib.runs.provenance import provenance
from lib.runs.run import Run
from lib.runs.settings import EvaluationConfig
from lib.training.device import choose_device, reproducible
from lib.training.layers import FORWARD

# What evaluation.json depends on.
SETTINGS = (
    "position_stride",
    "monte_carlo_samples",
    "decomposition_samples",
    "evaluation_seed",
    "evaluation_batch",
)
# What every evaluation.json has, whichever version of this file wrote it.
ENTRIES = (
    "config", "images", "factor_sizes", "reconstruction", "reconstruction_standard_error", "kl", "kl_latents",
    "information", "factor_gaps", "mig_four", "mig_five", "decomposition",
)  # fmt: skip


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


def evaluate(run: Run, data: Dataset, config: EvaluationConfig, progress: bool = True) -> dict[str, Any]:
    """Measure a complete run, or read what was measured with the same SETTINGS; returns evaluation.json.

    Raises ValueError where the run is not complete or was trained on other data.
    """
    check_measurable(run, data)
    path, settings = run.path / "evaluation.json", config.only(SETTINGS)
    if (found := kept(path, settings, ENTRIES)) is not None:
        return found
    with only_one(run.path / ".lock"):  # another process may have been faster
        return kept(path, settings, ENTRIES) or _evaluate(run, data, config, path, progress)


def _evaluate(run: Run, data: Dataset, config: EvaluationConfig, path: Path, progress: bool) -> dict[str, Any]:
    training = run.config()
    started = time.perf_counter()
    device = choose_device(training.device)
    with reproducible(training.threads):
        indices, sizes = evaluation_grid(config.position_stride)
        model, data = run.load_model(layers=FORWARD), data.to(device)
        batch, seed = config.evaluation_batch, config.evaluation_seed
        with Progress(total=2 * len(indices), desc="evaluation", unit="pass", unit_scale=True, mininterval=2,
                      disable=not progress, dynamic_ncols=True) as bar:  # fmt: skip
            mean, logvar = encode_images(model, data, indices, batch, bar)
            loss = decode_posteriors(model, data, indices, mean, logvar, batch, seed, bar)
        on_device = mean.to(device), logvar.to(device)
        measures = measure_information(*on_device, sizes, config, progress)
        generator = torch.Generator().manual_seed(seed)
        decomposition = decompose(*on_device, config.decomposition_samples, generator, progress)
    write_posterior(run, indices, mean, logvar, loss, sizes)
    content = {
        "config": config.only(SETTINGS),
        "images": len(indices),
        "factor_sizes": list(sizes),
        "reconstruction": loss.double().mean().item(),
        "reconstruction_standard_error": (loss.double().std() / len(loss) ** 0.5).item(),
        "kl_latents": kl_per_latent(mean.double(), logvar.double()).tolist(),
        "kl": kl_per_latent(mean.double(), logvar.double()).sum().item(),
        "kl_standard_deviation": kl_per_image(mean.double(), logvar.double()).std().item(),
        **measures,
        "decomposition": asdict(decomposition),
        "posterior_sha256": sha256(run.path / "posterior.h5"),
        "weights_sha256": run.weights_sha256,
        "seconds": time.perf_counter() - started,
        "provenance": provenance(device),
    }
    write_sealed(path, content)
    return content
