"""Runs of invented networks and measures for the explorers, and what torch says of their pictures."""

import json
from pathlib import Path

import numpy as np
import torch

from lib.dsprites import factors_to_indices, render
from lib.model import VAE, initialise
from lib.runs.profiles import load_profile
from lib.runs.run import Run


def images_of(factors: list) -> torch.Tensor:
    """Images [n, 1, 64, 64] by their classes [n, 5]."""
    return torch.from_numpy(render(factors_to_indices(factors))).float()[:, None]


@torch.no_grad()
def invented_run(path: Path, arm: str, architecture: str, seed: int) -> Run:
    """A network of random weights whose pictures have contrast, with the files that the explorers read."""
    run = Run(path)
    run.claim(load_profile("smoke").training_config(arm, 1, architecture=architecture))
    model = VAE(architecture)
    initialise(model, seed)
    last = [module for module in model.decoder if hasattr(module, "weight")][-1]
    logits = model.decode(torch.randn(100, 10, generator=torch.Generator().manual_seed(0)))
    last.weight *= 3 / logits.std()
    last.bias.copy_((last.bias - logits.mean()) * 3 / logits.std())
    model.to_posterior.weight *= 0.1  # posterior means as small as a trained network's
    run.save_weights(model)
    generator = np.random.default_rng(seed)
    kl = generator.uniform(0.2, 4, 10)
    kl[: 3 + seed] = 0.01  # latents without information, in the order of the seeds more and more
    measured = {"kl_latents": kl.tolist(), "information": generator.random((5, 10)).tolist()}
    (path / "evaluation.json").write_text(json.dumps(measured))
    return run


@torch.no_grad()
def decoded(runs: dict[str, Run], factors: list[int], offsets: list[float]) -> np.ndarray:
    """The same by torch: pixel probabilities [arms, 64, 64]; offset r is of the latent with the r-th largest KL."""
    pictures = []
    for run in runs.values():
        model = run.load_model()
        z, _ = model.encode(images_of([factors]))
        kl = json.loads((run.path / "evaluation.json").read_text())["kl_latents"]
        for rank, j in enumerate(sorted(range(len(kl)), key=lambda j: -kl[j])):
            z[0, j] += offsets[rank]
        pictures.append(torch.sigmoid(model.decode(z))[0, 0].numpy())
    return np.array(pictures)
