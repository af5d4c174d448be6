"""The evaluation against its parts, on a network of known behaviour and few images."""

import json

import numpy as np
import pytest
import torch

from lib import mig
from lib.data.dataset import Dataset
from lib.dsprites import FACTOR_SIZES, N_IMAGES, indices_to_factors
from lib.evaluation.evaluate import evaluate
from lib.evaluation.posteriors import decode_posteriors, encode_images, evaluation_grid, read_posterior
from lib.model import VAE, initialise
from lib.progress import Progress
from lib.report.tables import run_table
from lib.runs.profiles import load_profile
from lib.runs.run import Run
from lib.training.train import train


def test_the_full_grid_is_every_image_in_order():
    indices, sizes = evaluation_grid(1)
    assert sizes == FACTOR_SIZES
    assert torch.equal(indices, torch.arange(N_IMAGES))


@pytest.mark.parametrize("stride", [2, 8])
def test_a_strided_grid_keeps_the_order_and_thins_positions_only(stride):
    indices, sizes = evaluation_grid(stride)
    factors = indices_to_factors(np.arange(N_IMAGES))
    expected = np.flatnonzero((factors[:, 3] % stride == 0) & (factors[:, 4] % stride == 0))
    assert indices.tolist() == expected.tolist()
    assert sizes == (3, 6, 40, 32 // stride, 32 // stride)


def test_measured_values_do_not_depend_on_the_batch_and_agree_with_a_plain_loop(few_images):
    model = VAE()
    initialise(model, 0)
    indices = torch.arange(50)

    def measured(batch):
        with Progress(total=2 * len(indices), disable=True) as bar:
            posteriors = encode_images(model, few_images, indices, batch, bar)
            return *posteriors, decode_posteriors(model, few_images, indices, *posteriors, batch, 5, bar)

    mean, logvar, loss = measured(50)
    for values, again in zip((mean, logvar, loss), measured(7), strict=True):
        assert torch.allclose(values, again, rtol=1e-4, atol=1e-5)
    noise = torch.randn(50, 10, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        for i in (0, 31, 49):
            x = few_images.images(indices[i : i + 1])
            mu, lv = model.encode(x)
            p = torch.sigmoid(model.decode(mu + torch.exp(lv / 2) * noise[i])).double()
            x = x.double()
            expected = -(x * p.log() + (1 - x) * (1 - p).log()).sum()
            assert loss[i].item() == pytest.approx(expected.item(), rel=1e-4)
            assert torch.allclose(mean[i], mu[0], atol=1e-5)


def test_a_run_is_measured_once_and_reported(all_images, tmp_path, capsys):
    profile = load_profile("smoke")
    config = profile.training_config("linear", 1, steps=4, snapshots=0, precision="float32", threads=2)
    evaluation = profile.evaluation_config(position_stride=16)
    run = Run(tmp_path / "linear-seed1")
    with pytest.raises(ValueError, match="holds no complete run; train it first"):
        evaluate(run, all_images, evaluation, progress=False)
    train(config, run, all_images, progress=False)
    measured = evaluate(run, all_images, evaluation, progress=False)

    mean, logvar, sizes = read_posterior(run)
    assert measured["images"] == len(mean) == 720 * 4
    information = mig.mutual_information(mean, logvar, sizes)
    assert measured["information"] == information.tolist()
    assert measured["mig_four"]["quadrature"] == mig.mutual_information_gap(information, sizes)
    assert measured["mig_five"]["quadrature"] == pytest.approx(np.mean(list(measured["factor_gaps"].values())))
    variance = logvar.double().exp()
    kl = 0.5 * (mean.double() ** 2 + variance - variance.log() - 1).mean(0)
    assert measured["kl_latents"] == pytest.approx(kl.tolist(), abs=1e-6)
    assert measured["kl"] == pytest.approx(measured["decomposition"]["kl"], rel=1e-5)
    sampled = measured["mig_four"]["monte_carlo"] - measured["mig_four"]["quadrature"]
    assert abs(sampled) < 3 * measured["mig_four"]["monte_carlo_standard_error"]

    stamp = (run.path / "posterior.h5").stat().st_mtime_ns
    assert evaluate(run, all_images, evaluation, progress=False) == json.loads(json.dumps(measured))
    assert (run.path / "posterior.h5").stat().st_mtime_ns == stamp  # read, not measured again
    others = profile.evaluation_config(position_stride=16, snapshots_measured=1, dci_samples=100)
    evaluate(run, all_images, others, progress=False)
    assert (run.path / "posterior.h5").stat().st_mtime_ns == stamp  # these settings are of other measures
    dci = {"disentanglement": 0.4, "completeness": 0.3, "informativeness_test": 0.2}
    (run.path / "scores.json").write_text(json.dumps({"dci": dci, "sap": 0.1, "factor_vae": 0.5}))
    table = run_table([run])
    shown = table.loc["linear-seed1"]
    names = ("dci_disentanglement", "dci_completeness", "dci_informativeness", "sap", "factor_vae")
    assert [shown[name] for name in names] == [0.4, 0.3, 0.2, 0.1, 0.5]
    assert table.loc["linear-seed1", "mig_four"] == measured["mig_four"]["quadrature"]
    assert table.loc["linear-seed1", "reconstruction"] == measured["reconstruction"]
    other = Dataset(all_images.packed, "1" * 64, "rendered")
    with pytest.raises(ValueError, match="was trained on other data"):
        evaluate(run, other, evaluation, progress=False)
