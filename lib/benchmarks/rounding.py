"""What bfloat16 does to a trained network's posteriors and reconstruction loss, beside float32.

    python -m lib.benchmarks.rounding results/published/paper/*-seed1

Writes results/benchmarks/rounding.csv and .json, a row per run.
"""

import sys

import pandas as pd
import torch
from torch import Tensor

from lib.benchmarks.results import last, origin, save
from lib.data import dataset
from lib.data.dataset import Dataset
from lib.model import VAE, kl_per_image, reconstruction_loss, reparameterise
from lib.refusal import Parser
from lib.runs.run import Run
from lib.training.layers import FAST

IMAGES, BATCH, SEED = 16_384, 64, 0


@torch.inference_mode()
def passes(model: VAE, data: Dataset, precision: torch.dtype) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mean, logvar and z [N, J] and reconstruction loss [N] of a sample of images, the same in every precision."""
    generator, parts = torch.Generator().manual_seed(SEED), []
    indices = torch.randperm(len(data), generator=generator)[:IMAGES]
    noise = torch.randn(len(indices), model.from_latents.in_features, generator=generator)
    for rows, draws in zip(indices.split(BATCH), noise.split(BATCH), strict=True):
        images = data.images(rows)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
            mean, logvar = (values.float() for values in model.encode(images))
            z = reparameterise(mean, logvar, draws)
            logits = model.decode(z)
        parts.append((mean, logvar, z, reconstruction_loss(logits.float(), images)))
    return tuple(torch.cat(part) for part in zip(*parts, strict=True))


def rounding(run: Run, data: Dataset) -> dict[str, float | int | str]:
    """One row of rounding.csv: root mean squares over images and latents, losses as means over images in nats."""
    model = run.load_model(layers=FAST).to(memory_format=torch.channels_last)
    mean, logvar, z, loss = passes(model, data, torch.float32)
    rounded_mean, rounded_logvar, rounded_z, rounded_loss = passes(model, data, torch.bfloat16)
    width = (logvar / 2).exp()

    def moved(exact: Tensor, rounded: Tensor) -> float:
        return ((rounded - exact) / width).square().mean().sqrt().item()

    return {
        "run": f"{run.path.parent.name}/{run.name}",
        "images": len(loss),
        "mean_moved": moved(mean, rounded_mean),
        "z_moved": moved(z, rounded_z),
        "kl_difference": (kl_per_image(rounded_mean, rounded_logvar) - kl_per_image(mean, logvar)).mean().item(),
        "reconstruction_difference": (rounded_loss - loss).mean().item(),
    }


def finding() -> str:
    """One sentence of what rounding.csv holds."""
    table, _, where = last("rounding")
    return (
        f"With the weights of {' and '.join(f'`{name}`' for name in table['run'])}, `bfloat16` moves z by at most "
        f"{table['z_moved'].max():.2f} of its posterior's width (rms, {table['images'].min():,} images) and "
        f"the reconstruction loss by {table['reconstruction_difference'].abs().max():.2f} nats; {where}."
    )


def main() -> None:
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Run, help="directories of complete runs")
    runs, record = parser.parse_args().runs, origin(torch.device("cpu"))
    try:
        for run in runs:
            run.record()  # before any work
        data = dataset.load(dataset.ensure("rendered"))
        table = pd.DataFrame([rounding(run, data) for run in runs])
    except ValueError as error:
        sys.exit(str(error))
    save("rounding", table, record | {"batch": BATCH, "seed": SEED})
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
