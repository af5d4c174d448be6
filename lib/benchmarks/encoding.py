"""How fast images are encoded for evaluation: `python -m lib.benchmarks.encoding` (a minute on one core).

The encoder in float32 and in inference mode, with the project's layers and with PyTorch's own, by images per pass,
taking turns. Writes results/benchmarks/encoding.csv and encoding.json, from which `evaluation_batch` of laptop is set.
"""

import itertools
import time
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from lib.data.dataset import Dataset
from lib.dsprites import N_IMAGES, render_packed
from lib.evaluation.posteriors import encode_images
from lib.files import RESULTS, write_atomically, write_json
from lib.model import VAE
from lib.runs.profiles import load_profile
from lib.runs.provenance import provenance
from lib.training.device import choose_device, reproducible
from lib.training.plain import plain_model

BATCHES = {"cpu": (16, 32, 64, 128, 256, 1024), "cuda": (256, 1024, 4096, 16384)}
IMAGES, ROUNDS = {"cpu": 2_048, "cuda": 200_000}, 7


def measure(models: dict[str, VAE], data: Dataset, batches: tuple[int, ...], rounds: int) -> pd.DataFrame:
    """One row per kind of layers and batch: median images per second over rounds in which all took turns."""
    cases = list(itertools.product(models, batches))
    seconds: dict[tuple[str, int], list[float]] = {case: [] for case in cases}
    indices = torch.arange(len(data))
    for _ in tqdm(range(rounds + 1), desc="Benchmark"):
        for kind, batch in cases:
            started = time.perf_counter()
            encode_images(
                models[kind], data, indices, batch, tqdm(disable=True)
            )  # reads back: nothing is pending after
            seconds[kind, batch].append(time.perf_counter() - started)
    return pd.DataFrame([
        {"layers": kind, "batch": batch, "images_per_second": len(data) / np.median(seconds[kind, batch][1:])}
        for kind, batch in cases
    ])  # fmt: skip


def main() -> None:
    config = load_profile("paper").training_config("linear", 1)
    device = choose_device(config.device)
    packed = render_packed(np.random.default_rng(0).choice(N_IMAGES, IMAGES[device.type], replace=False))
    data = Dataset(torch.from_numpy(packed), "", "rendered", None).to(device)
    models = {"own": VAE(config.architecture, config.latents), "PyTorch's": plain_model(config)}
    with reproducible(config.threads):
        table = measure(models, data, BATCHES[device.type], ROUNDS)
    path = RESULTS / "benchmarks" / "encoding.csv"
    origin = provenance(device) | {"date": datetime.now(UTC).isoformat(timespec="seconds")}
    write_atomically(path, lambda temporary: table.to_csv(temporary, index=False, float_format="%.4g"))
    settings = {"architecture": config.architecture, "threads": config.threads, "images": len(data), "rounds": ROUNDS}
    write_json(path.with_suffix(".json"), origin | settings)
    print(table.to_string(index=False, float_format="%.4g"))


if __name__ == "__main__":
    main()
