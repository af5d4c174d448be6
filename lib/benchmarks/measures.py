"""Seconds, memory and values of every measure on the posteriors of an evaluated run.

    python -m lib.benchmarks.measures results/runs/...

Each measure runs in a process of its own, one after the other. Writes results/benchmarks/measures.csv and .json.
"""

import dataclasses
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat

import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from lib import disentanglement, information, mig
from lib.benchmarks.results import origin, save
from lib.evaluation.posteriors import read_posterior
from lib.refusal import Parser
from lib.runs.run import Run

PUBLISHED_SAMPLES = 10_000
Sizes = tuple[int, ...]
Measure = Callable[[Tensor, Tensor, Sizes, torch.Generator], dict[str, float]]


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
    "histogram": lambda mean, _, sizes, g: _gaps(mig.mutual_information_histogram(mean, sizes, g), sizes),
    "decomposition, 2000 samples": _decomposition,
    "SAP": lambda mean, _, sizes, g: {"sap": disentanglement.sap_score(mean, sizes, g)},
    "FactorVAE": lambda mean, _, sizes, g: {"factor_vae": disentanglement.factor_vae_score(mean, sizes, g)},
    "DCI": _dci,
}


def _megabytes() -> float:
    """The most memory this process has held; the system counts it in KiB on Linux and in bytes on macOS."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e6 / 1024)


def measure(name: str, run: Run, threads: int) -> dict[str, float | str]:
    """One row of measures.csv."""
    torch.set_num_threads(threads)
    mean, logvar, sizes = read_posterior(run)
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
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Run, help="directory of an evaluated run")
    run, threads = parser.parse_args().run, torch.get_num_threads()
    try:
        read_posterior(run)  # before any work
    except ValueError as error:
        sys.exit(str(error))
    record = origin(torch.device("cpu")) | {"run": str(run.path), "threads": threads}
    context = torch.multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, max_tasks_per_child=1) as own:  # a new one each: the peak is the measure's own
        rows = list(tqdm(own.map(measure, MEASURES, repeat(run), repeat(threads)), total=len(MEASURES)))
    save("measures", pd.DataFrame(rows), record, digits="%.8g")
    print(pd.DataFrame(rows).to_string(index=False, float_format="%.5g"))


if __name__ == "__main__":
    main()
