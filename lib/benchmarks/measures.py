"""Seconds, memory and values of every measure on posteriors of all of dSprites.

    python -m lib.benchmarks.measures [--posterior results/runs/.../posterior.h5] [--measures NAME ...]
    [--threads 2]

Each measure runs in a process of its own, one after the other, and writes a row of
results/benchmarks/measures.csv (columns: see results/README.md); measures.json beside it holds the hardware,
the versions and the posteriors. Without a file, the posteriors are made up to look like a trained model's at
a KL of 16: sharp ones, entangled ones, and some that carry nothing.
"""

import argparse
import dataclasses
import math
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import h5py
import pandas as pd
import torch
from torch import Tensor

from lib import disentanglement, information, mig
from lib.dsprites import FACTOR_SIZES
from lib.files import ROOT, write_atomically, write_json
from lib.runs.provenance import provenance

PUBLISHED_SAMPLES = 10_000
LITERAL_SAMPLES = 100  # of the literal version, which would take hours otherwise; its time is linear in them
Sizes = tuple[int, ...]
Measure = Callable[[Tensor, Tensor, Sizes, torch.Generator], dict[str, float]]


def made_up_posteriors(sizes: Sizes = FACTOR_SIZES, seed: int = 0) -> tuple[Tensor, Tensor]:
    """mean, logvar [N, 10] in single precision: latents 0 and 1 hold x and y with standard deviations about
    0.03, 2 the scale and a little shape, 3 to 5 mixtures of shape and angle, wider and of mixed widths; 6 to
    9 equal the prior but for noise."""
    generator = torch.Generator().manual_seed(seed)
    images = math.prod(sizes)
    shape, scale, orientation, x, y = (
        values.double() / (size - 1) - 0.5
        for values, size in zip(torch.unravel_index(torch.arange(images), sizes), sizes, strict=True)
    )
    angle = 2 * math.pi * orientation
    latents = [  # mean, its noise, standard deviation, spread of its logarithm
        (3.4 * x, 0.03, 0.03, 0.3),
        (3.4 * y, 0.03, 0.03, 0.3),
        (3 * scale + 0.4 * shape, 0.05, 0.08, 0.3),
        (1.5 * angle.sin() + 0.5 * shape, 0.1, 0.1, 0.4),
        (1.5 * (2 * angle).cos(), 0.1, 0.1, 0.4),
        (2 * shape + 0.5 * (4 * angle).sin(), 0.2, 0.2, 0.5),
        *[(torch.zeros(images), 0.01, 1.0, 0.005)] * 4,
    ]
    mean, logvar = torch.empty(images, len(latents)), torch.empty(images, len(latents))
    for j, (centre, noise, width, spread) in enumerate(latents):
        mean[:, j] = centre + noise * torch.randn(images, generator=generator, dtype=torch.float64)
        logvar[:, j] = 2 * (math.log(width) + spread * torch.randn(images, generator=generator, dtype=torch.float64))
    return mean, logvar


def literal_monte_carlo(mean: Tensor, logvar: Tensor, sizes: Sizes, samples: int, generator: torch.Generator) -> Tensor:
    """Chen et al.'s procedure step by step, with nothing shared with lib/mig.py, as a check of it: one z per
    image; for each mixture a subset of the samples, ten at a time, the log densities of all latents under all
    its images, and a log-sum-exp over them. Returns I(z_j; v_k), [K, J]."""
    z = mean + (0.5 * logvar).exp() * torch.randn(mean.shape, generator=generator)

    def entropies(images: Tensor) -> Tensor:
        chosen = images[torch.randperm(len(images), generator=generator)[:samples]]
        m, v = mean[images], logvar[images]
        total = torch.zeros(mean.shape[1])
        for ten in chosen.split(10):
            squares = (z[ten].T[None] - m[:, :, None]) ** 2 / v.exp()[:, :, None]
            log_densities = -0.5 * (squares + v[:, :, None] + math.log(2 * math.pi))  # [R, J, ten]
            total -= (log_densities.logsumexp(0) - math.log(len(images))).sum(1)
        return total / len(chosen)

    factors = torch.stack(torch.unravel_index(torch.arange(len(mean)), sizes), 1)
    marginal = entropies(torch.arange(len(mean)))
    conditional = [
        torch.stack([entropies((factors[:, k] == value).nonzero()[:, 0]) for value in range(size)]).mean(0)
        for k, size in enumerate(sizes)
    ]
    return marginal - torch.stack(conditional)


def _gaps(matrix: Tensor, sizes: Sizes) -> dict[str, float]:
    return {
        "mig_four": mig.mutual_information_gap(matrix, sizes),
        "mig_five": mig.mutual_information_gap(matrix, sizes, mig.FIVE_FACTORS),
    }


def _quadrature(resolution: int) -> Measure:
    return lambda mean, logvar, sizes, _: _gaps(mig.mutual_information(mean, logvar, sizes, resolution), sizes)


def _sampler(mean: Tensor, logvar: Tensor, sizes: Sizes, generator: torch.Generator) -> dict[str, float]:
    estimate = mig.mutual_information_monte_carlo(mean, logvar, sizes, PUBLISHED_SAMPLES, generator, progress=True)
    return {**_gaps(estimate.information, sizes), "standard_error": estimate.gap_standard_error(sizes)}


def _literal(mean: Tensor, logvar: Tensor, sizes: Sizes, generator: torch.Generator) -> dict[str, float]:
    return _gaps(literal_monte_carlo(mean, logvar, sizes, LITERAL_SAMPLES, generator), sizes)


def _decomposition(mean: Tensor, logvar: Tensor, sizes: Sizes, generator: torch.Generator) -> dict[str, float]:
    result = dataclasses.asdict(information.decompose(mean, logvar, 2000, generator))
    names = ("kl", "mutual_information", "total_correlation", "dimension_wise_kl", "standard_error")
    return {name: result[name] for name in names}


def _dci(mean: Tensor, logvar: Tensor, sizes: Sizes, generator: torch.Generator) -> dict[str, float]:
    scores = disentanglement.dci(mean, sizes, generator)
    return {
        "dci_disentanglement": scores.disentanglement,
        "dci_completeness": scores.completeness,
        "dci_informativeness": scores.informativeness_test,
    }


MEASURES: dict[str, Measure] = {
    **{f"quadrature, resolution {r}": _quadrature(r) for r in (2, 4, 8, 16)},
    f"sampler, {PUBLISHED_SAMPLES} samples": _sampler,
    f"literal sampler, {LITERAL_SAMPLES} samples": _literal,
    "histogram": lambda mean, _, sizes, g: _gaps(mig.mutual_information_histogram(mean, sizes, g), sizes),
    "decomposition, 2000 samples": _decomposition,
    "SAP": lambda mean, _, sizes, g: {"sap": disentanglement.sap_score(mean, sizes, g)},
    "FactorVAE": lambda mean, _, sizes, g: {"factor_vae": disentanglement.factor_vae_score(mean, sizes, g)},
    "DCI": _dci,
}


def read_posteriors(path: Path | None) -> tuple[Tensor, Tensor, Sizes]:
    if path is None:
        return *made_up_posteriors(), FACTOR_SIZES
    with h5py.File(path) as file:
        mean, logvar = (torch.from_numpy(file[name][...]) for name in ("mean", "logvar"))
        return mean, logvar, tuple(int(size) for size in file.attrs["factor_sizes"])


def _megabytes() -> float:
    """The most memory this process has held; the system counts it in KiB on Linux and in bytes on macOS."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e6 / 1024)


def _measure(name: str, path: Path | None, threads: int) -> dict[str, float | str]:
    torch.set_num_threads(threads)
    mean, logvar, sizes = read_posteriors(path)
    before, started, processor = _megabytes(), time.perf_counter(), time.process_time()
    values = MEASURES[name](mean, logvar, sizes, torch.Generator().manual_seed(0))
    return {
        "measure": name,
        "seconds": time.perf_counter() - started,
        "processor_seconds": time.process_time() - processor,
        "peak_memory_mb": _megabytes(),
        "memory_before_mb": before,
        **values,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--posterior", type=Path, help="posterior.h5 of an evaluated run; made up if left out")
    parser.add_argument("--measures", nargs="+", choices=MEASURES, default=list(MEASURES), metavar="NAME")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--output", type=Path, default=ROOT / "results" / "benchmarks")
    arguments = parser.parse_args()
    context = torch.multiprocessing.get_context("spawn")
    rows = []
    for name in arguments.measures:
        with ProcessPoolExecutor(1, context) as own:  # so that the peak of memory is the measure's own
            rows.append(own.submit(_measure, name, arguments.posterior, arguments.threads).result())
        print(", ".join(f"{k} {v:.5g}" if isinstance(v, float) else v for k, v in rows[-1].items()), flush=True)
    table = pd.DataFrame(rows)
    write_atomically(
        arguments.output / "measures.csv", lambda path: table.to_csv(path, index=False, float_format="%.8g")
    )
    mean, _, sizes = read_posteriors(arguments.posterior)
    write_json(
        arguments.output / "measures.json",
        {
            "posterior": str(arguments.posterior) if arguments.posterior else "made up",
            "images": len(mean),
            "latents": mean.shape[1],
            "factor_sizes": list(sizes),
            "threads": arguments.threads,
            "provenance": provenance(torch.device("cpu")),
        },
    )


if __name__ == "__main__":
    main()
