"""The posteriors of a grid of images under a trained network: computed once, written into the run's directory, read."""

import math

import h5py
import torch
from torch import Tensor

from lib.data.dataset import Dataset
from lib.dsprites import FACTOR_SIZES, factors_to_indices
from lib.files import check_sizes, read_json, reading, sha256, write_hdf5
from lib.model import VAE, reconstruction_loss, reparameterise
from lib.progress import Progress
from lib.refusal import Refusal
from lib.runs.run import Run


def evaluation_grid(position_stride: int) -> tuple[Tensor, tuple[int, ...]]:
    """Flat indices [N] of every k-th position_x and position_y, in data-set order, and the grid's factor sizes."""
    sizes = FACTOR_SIZES[:3] + tuple(len(range(0, size, position_stride)) for size in FACTOR_SIZES[3:])
    factors = torch.cartesian_prod(*(torch.arange(size) for size in sizes))
    factors[:, 3:] *= position_stride
    return torch.from_numpy(factors_to_indices(factors.numpy())), sizes


@torch.inference_mode()
def encode_images(model: VAE, data: Dataset, indices: Tensor, batch: int, bar: Progress) -> tuple[Tensor, Tensor]:
    """Posterior mean [N, J] and logvar [N, J] of the images, in float32; `bar` counts images."""
    device, mean_logvar = data.packed.device, torch.empty(2, len(indices), model.from_latents.in_features)
    model = model.to(device).to(memory_format=torch.channels_last)
    for rows in torch.arange(len(indices)).split(batch):
        mean_logvar[:, rows] = torch.stack(model.encode(data.images(indices[rows].to(device)))).cpu()
        bar.update(len(rows))
    return mean_logvar[0], mean_logvar[1]


@torch.inference_mode()
def decode_posteriors(
    model: VAE, data: Dataset, indices: Tensor, mean: Tensor, logvar: Tensor, batch: int, seed: int, bar: Progress
) -> Tensor:
    """Reconstruction loss [N] (nats) of the images from their posteriors [N, J], in float32; `bar` counts images.

    z is sampled once per image, from `seed`, independent of the batch size and of the other images' values.
    """
    z = reparameterise(mean, logvar, torch.randn(mean.shape, generator=torch.Generator().manual_seed(seed)))
    device, loss = data.packed.device, torch.empty(len(indices))
    model = model.to(device).to(memory_format=torch.channels_last)
    for rows in torch.arange(len(indices)).split(batch):
        images = data.images(indices[rows].to(device))
        loss[rows] = reconstruction_loss(model.decode(z[rows].to(device)), images).cpu()
        bar.update(len(rows))
    return loss


def check_measurable(run: Run, data: Dataset) -> None:
    """Raises ValueError where the run is not complete or was trained on other data."""
    if not run.complete:
        raise Refusal(f"{run.path} holds no complete run; train it first.")
    check_data(run, run.record()["provenance"]["data_sha256"], data)


def check_data(run: Run, trained_on: str | None, data: Dataset) -> None:
    """Raises Refusal where the SHA-256 of the run's data, if it is known, is another."""
    if trained_on not in (None, data.sha256):
        raise Refusal(f"{run.path} was trained on other data (SHA-256 {trained_on}); evaluate it on those.")


def write_posterior(
    run: Run, indices: Tensor, mean: Tensor, logvar: Tensor, loss: Tensor, sizes: tuple[int, ...]
) -> None:
    def fill(file: h5py.File) -> None:
        file.attrs["factor_sizes"] = sizes
        for name, values in (("indices", indices), ("mean", mean), ("logvar", logvar), ("reconstruction", loss)):
            file[name] = values.numpy()

    write_hdf5(run.path / "posterior.h5", fill)


def read_posterior(run: Run) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    """mean [N, J], logvar [N, J] of a measured run in data-set order, and the factor sizes of its grid.

    Raises Refusal for a file that is damaged, or is not the one that evaluation.json was written with.
    """
    path, record = run.path / "posterior.h5", read_json(run.path / "evaluation.json")
    remedy = "delete evaluation.json beside it, and the run is measured again"
    with reading(path, remedy):
        if "posterior_sha256" in record and sha256(path) != record["posterior_sha256"]:  # older records have none
            raise ValueError("evaluation.json states another SHA-256")
    with reading(path, remedy), h5py.File(path) as file:
        check_sizes(path, [file["mean"], file["logvar"]])
        mean, logvar = (torch.from_numpy(file[name][...]) for name in ("mean", "logvar"))
        sizes = tuple(int(size) for size in file.attrs["factor_sizes"])
        if mean.ndim != 2 or mean.shape != logvar.shape or len(mean) != math.prod(sizes):
            raise Refusal(f"its shapes {list(mean.shape)} and {list(logvar.shape)} do not fit its grid {list(sizes)}")
        return mean, logvar, sizes
