"""A run's pictures: what the network draws, in 16 greys, and the same from the file kept beside the run."""

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt

from lib.evaluation.samples import draw
from lib.model import VAE
from lib.report.figures.montages import first_latents
from lib.report.figures.pictures import middle_heart, traverse
from lib.report.kept_pictures import SAMPLES, TRAVERSALS, VALUES, kept_samples, kept_traversals
from lib.report.latents import IN_USE
from lib.runs.run import Run


@pytest.fixture
def run(tiny_config, tmp_path) -> Run:
    """Untrained, with weights large enough for pictures of many greys."""
    torch.manual_seed(0)
    run = Run(tmp_path / "linear-seed1")
    run.claim(tiny_config("linear"))
    model = VAE("conv", 10)
    with torch.no_grad():
        model.decoder[-1].weight *= 300
    run.save_weights(model)
    return run


def test_they_are_drawn_once_and_read_after_that(run, all_images):
    exact = traverse(run.load_model(), middle_heart(all_images), VALUES)
    drawn = kept_traversals(run, all_images)
    assert drawn.shape == (10, 7, 64, 64) and set(np.unique(drawn)) <= set(np.arange(16) / 15) and drawn.std() > 0.1
    assert np.abs(drawn - exact).max() <= 0.5 / 15 + 1e-6
    (run.path / "weights.safetensors").unlink()
    assert np.array_equal(kept_traversals(run, all_images), drawn)
    (run.path / TRAVERSALS).write_bytes((run.path / TRAVERSALS).read_bytes()[:200])
    with pytest.raises(ValueError, match=rf"{TRAVERSALS} cannot be read .*; delete it\."):
        kept_traversals(run, all_images)
    (run.path / TRAVERSALS).unlink()
    assert kept_traversals(run, all_images) is None


def test_samples_are_those_that_were_measured(tiny_config, tmp_path, all_images):
    run = Run(tmp_path / "info_gan-seed1")
    run.claim(tiny_config("info_gan"))
    torch.manual_seed(0)
    run.save_weights(VAE("conv", 10))
    exact = draw(run, 7)
    kept = kept_samples(run, 7)
    assert kept.shape == (2, 10, 64, 64)
    assert np.abs(kept.reshape(20, 64, 64) - exact[:20, 0].numpy()).max() <= 0.5 / 15 + 1e-6
    (run.path / "weights.safetensors").unlink()
    assert np.array_equal(kept_samples(run, 7), kept)
    (run.path / SAMPLES).unlink()
    assert kept_samples(run, 7) is None


def test_nothing_is_written_among_published_results(run, all_images):
    (run.path / "trace.csv.gz").touch()
    assert kept_traversals(run, all_images) is not None
    assert not (run.path / TRAVERSALS).exists()


def test_a_panel_shows_the_first_latents_of_its_arm():
    pictures = {
        "linear": np.zeros((6, 7, 64, 64)),
        "vae": np.ones((2, 7, 64, 64)),
        "capacity": np.zeros((1, 7, 64, 64)),
    }
    pictures |= {"beta_vae": np.zeros((3, 7, 64, 64))}
    labels = {arm: [f"{j}: {IN_USE}" for j in range(len(each))] for arm, each in pictures.items()}
    figure = first_latents(pictures, labels, 5)
    figure.canvas.draw()
    panels = [axis for axis in figure.axes if axis.images]
    assert [axis.get_title() for axis in panels] == [
        "linear (5 of 6)",
        "VAE (2)",
        "capacity (linear rule) (1)",
        "beta-VAE (3)",
    ]
    assert [len(axis.get_yticklabels()) for axis in panels] == [5, 2, 1, 3]
    assert {axis.get_ylim() for axis in panels} == {(328.0, 0.0)}
    plt.close(figure)
