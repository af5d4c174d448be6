"""What rounding does to a network, against passes written out, and the sentence that says so."""

import pandas as pd
import torch

from lib.benchmarks import results, rounding
from lib.model import VAE, initialise
from lib.runs.run import Run
from lib.training.train import train


def test_the_same_images_and_noise_pass_in_both_precisions(few_images, monkeypatch):
    monkeypatch.setattr(rounding, "IMAGES", 96)
    model = VAE("conv", 10).eval()
    initialise(model, 0)
    mean, logvar, z, loss = rounding.passes(model, few_images, torch.float32)
    assert mean.shape == z.shape == (96, 10)
    noise = (z - mean) / (logvar / 2).exp()
    images = few_images.images(
        torch.randperm(len(few_images), generator=torch.Generator().manual_seed(rounding.SEED))[:96]
    )
    with torch.inference_mode():
        logits = model.decode(z)
        expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, images, reduction="none").sum((1, 2, 3))
    assert torch.allclose(loss, expected, rtol=1e-5)
    rounded_mean, rounded_logvar, rounded_z, _ = rounding.passes(model, few_images, torch.bfloat16)
    assert 0 < (rounded_mean - mean).abs().max() < 0.05
    assert torch.allclose((rounded_z - rounded_mean) / (rounded_logvar / 2).exp(), noise, atol=1e-3)


def test_a_row_and_its_sentence(few_images, tiny_config, tmp_path, monkeypatch):
    monkeypatch.setattr(rounding, "IMAGES", 96)
    run = train(tiny_config(steps=12), Run(tmp_path / "tiny" / "adaptive-seed1"), few_images, progress=False)
    row = rounding.rounding(run, few_images)
    assert row["run"] == "tiny/adaptive-seed1" and row["images"] == 96
    assert 0 < row["z_moved"] < 0.5 and abs(row["reconstruction_difference"]) < 5

    monkeypatch.setattr(results, "DIRECTORY", tmp_path)
    record = results.origin(torch.device("cpu"))
    table = pd.DataFrame([row | {"z_moved": 0.061, "reconstruction_difference": -0.0849}])
    results.save("rounding", table, record, tmp_path)
    assert "moves z by at most 0.06 of its posterior's width" in rounding.finding()
    assert "the reconstruction loss by 0.08 nats" in rounding.finding()
