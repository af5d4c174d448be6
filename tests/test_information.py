"""The decomposition of the KL against closed forms, integrals on a plane, and a slow version in extended
precision."""

import math

import numpy as np
import pytest
import torch

from lib.information import decompose, log_aggregate_posterior


def random_posteriors(images=40, latents=2, seed=0, sharpest=0.05):
    generator = torch.Generator().manual_seed(seed)
    mean = torch.randn(images, latents, generator=generator, dtype=torch.float64)
    std = torch.empty_like(mean).uniform_(math.log(sharpest), 0, generator=generator).exp()
    mean[:, 1] = 0.8 * mean[:, 0] + 0.3 * mean[:, 1]  # dependent latents
    return mean, 2 * std.log()


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def parts(result):
    return result.mutual_information, result.total_correlation, result.dimension_wise_kl


def decompose_on_a_plane(mean, logvar, points=900):
    """I_q(x;z), total correlation, dimension-wise KL of two latents, by sums over a grid in NumPy."""
    mean, std = mean.numpy(), np.exp(logvar.numpy() / 2)
    axis = np.linspace(mean.min() - 7 * std.max(), mean.max() + 7 * std.max(), points)
    step = axis[1] - axis[0]
    first, second = (
        np.exp(-0.5 * ((axis[:, None] - mean[:, j]) / std[:, j]) ** 2) / (std[:, j] * math.sqrt(2 * math.pi))
        for j in (0, 1)
    )
    joint = first @ second.T / len(mean)
    marginals = first.mean(1), second.mean(1)
    prior = np.exp(-0.5 * axis**2) / math.sqrt(2 * math.pi)

    def integral(weight, ratio, dimensions):
        return np.sum(np.where(weight > 0, weight * np.log(np.where(weight > 0, ratio, 1)), 0)) * step**dimensions

    entropy = -integral(joint, joint, 2)
    conditional = 0.5 * np.log(2 * math.pi * math.e * std**2).sum(1).mean()
    product = np.maximum(np.outer(*marginals), 1e-300)
    correlation = integral(joint, joint / product, 2)
    return entropy - conditional, correlation, sum(integral(p, p / prior, 1) for p in marginals)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_parts_agree_with_integrals_on_a_plane(seed):
    mean, logvar = random_posteriors(seed=seed)
    result = decompose(mean, logvar, 4000, generator(seed))
    information, correlation, mismatch = decompose_on_a_plane(mean, logvar)
    assert 0 < result.standard_error < 0.02
    assert abs(result.mutual_information - information) < 3 * result.standard_error
    assert abs(result.total_correlation - correlation) < 3 * result.standard_error
    assert result.dimension_wise_kl == pytest.approx(mismatch, abs=1e-4)
    assert correlation > 0.3  # there is something to be found
    assert information + correlation + mismatch == pytest.approx(result.kl, abs=1e-4)


def test_parts_sum_to_the_analytic_kl_and_so_do_the_samples_within_their_error():
    for seed in range(5):
        mean, logvar = random_posteriors(images=300, latents=6, seed=seed)
        result = decompose(mean.float(), logvar.float(), 2000, generator(seed))
        analytic = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).sum(1).mean().item()
        assert result.kl == pytest.approx(analytic, abs=1e-5)
        assert sum(parts(result)) == pytest.approx(result.kl, abs=1e-9)
        assert sum(result.dimension_wise_kl_latents) == pytest.approx(result.dimension_wise_kl)
        assert abs(result.sampled_kl - result.kl) < 3 * result.sampled_kl_standard_error
        assert (result.images, result.samples) == (300, 2000)


def test_standard_error_matches_the_spread_over_seeds():
    mean, logvar = random_posteriors(images=200, latents=3)
    runs = [decompose(mean, logvar, 500, generator(seed)) for seed in range(200)]
    for name, error in (("mutual_information", "standard_error"), ("sampled_kl", "sampled_kl_standard_error")):
        spread = np.std([getattr(run, name) for run in runs], ddof=1)
        ratio = spread / np.mean([getattr(run, error) for run in runs])
        assert 0.85 < ratio < 1.2


def test_posteriors_equal_to_the_prior_have_no_information():
    zeros = torch.zeros(50, 4)
    result = decompose(zeros, zeros, 200, generator())
    assert result.kl == pytest.approx(0, abs=1e-12)
    assert parts(result) == pytest.approx((0, 0, 0), abs=1e-5)
    assert result.standard_error < 1e-9


def test_posteriors_on_a_grid_are_independent_and_know_everything():
    """Twelve images on a 3 x 4 grid, standard deviation 0.001: I = log 12, no correlation, whatever is left
    is mismatch."""
    mean = torch.cartesian_prod(torch.arange(3.0), torch.arange(4.0)).double()
    result = decompose(mean, torch.full_like(mean, 2 * math.log(1e-3)), 500, generator())
    assert result.mutual_information == pytest.approx(math.log(12), abs=1e-9)
    assert result.mutual_information <= math.log(12) + 1e-9
    assert result.total_correlation == pytest.approx(0, abs=1e-4)
    assert result.standard_error < 1e-9
    entropy = 0.5 * math.log(2 * math.pi * math.e * 1e-6)
    cross = [0.5 * math.log(2 * math.pi) + 0.5 * (mean[:, j].square().mean().item() + 1e-6) for j in (0, 1)]
    expected = (cross[0] - entropy - math.log(3), cross[1] - entropy - math.log(4))
    assert result.dimension_wise_kl_latents == pytest.approx(expected, abs=1e-4)


def test_duplicated_latents_show_as_total_correlation():
    mean = torch.arange(10.0).double()[:, None].repeat(1, 2)
    result = decompose(mean, torch.full_like(mean, 2 * math.log(1e-2)), 500, generator())
    assert result.total_correlation == pytest.approx(math.log(10), abs=1e-4)
    assert result.mutual_information == pytest.approx(math.log(10), abs=1e-9)


def test_a_gaussian_aggregate_has_the_closed_form():
    """Means drawn from a Gaussian, one common width: q(z) is close to a Gaussian of unit variances and
    correlation 0.6."""
    width, correlation, images = 0.6, 0.6, 40_000
    covariance = torch.tensor([[1 - width**2, correlation], [correlation, 1 - width**2]], dtype=torch.float64)
    draws = torch.randn(images, 2, generator=generator(3), dtype=torch.float64)
    mean = draws @ torch.linalg.cholesky(covariance).T
    result = decompose(mean, torch.full_like(mean, 2 * math.log(width)), 2000, generator(4))
    determinant = 1 - correlation**2
    assert result.total_correlation == pytest.approx(-0.5 * math.log(determinant), abs=0.02)
    assert result.mutual_information == pytest.approx(0.5 * math.log(determinant / width**4), abs=0.03)
    assert result.dimension_wise_kl == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("sharpest", [1.0, 0.3, 0.03, 0.003])
def test_information_is_bounded_by_the_log_of_the_number_of_images(sharpest):
    mean, logvar = random_posteriors(images=200, latents=5, sharpest=sharpest)
    result = decompose(mean, logvar, 1000, generator())
    assert result.mutual_information <= math.log(200) + 3 * result.standard_error + 1e-9
    rows = torch.arange(200).repeat(5)
    noise = torch.randn(1000, 5, generator=generator(), dtype=torch.float64)
    z = mean[rows] + (logvar[rows] / 2).exp() * noise
    log_own = -0.5 * (noise.square() + logvar[rows] + math.log(2 * math.pi)).sum(1)
    single = log_own - log_aggregate_posterior(z, log_own, mean, logvar)
    assert single.max() <= math.log(200) + 1e-6  # the bound holds for every draw


def test_the_bound_is_met_where_kl_exceeds_it():
    """1,000 images at standard deviation 1e-4: the KL is far above log N, the information is not."""
    mean, _ = random_posteriors(images=1000, latents=4)
    result = decompose(mean, torch.full_like(mean, 2 * math.log(1e-4)), 500, generator())
    assert result.kl > 5 * math.log(1000)
    assert result.mutual_information == pytest.approx(math.log(1000), abs=1e-6)


@pytest.mark.parametrize("block", [(256, 4096), (7, 64)])
def test_log_densities_of_sharp_posteriors_agree_with_extended_precision(block, monkeypatch):
    """All widths from 1e-4 to 1, means out to 8, summed one pair at a time in NumPy's extended precision."""
    monkeypatch.setattr("lib.information.BLOCK", {"cpu": block})
    mean, logvar = random_posteriors(images=500, latents=6, sharpest=1e-4)
    mean[:, 3] *= 8 / mean[:, 3].abs().max()
    rows = torch.arange(0, 500, 11)
    noise = torch.randn(len(rows), 6, generator=generator(), dtype=torch.float64)
    z = mean[rows] + (logvar[rows] / 2).exp() * noise
    log_own = -0.5 * (noise.square() + logvar[rows] + math.log(2 * math.pi)).sum(1)
    shipped = log_aggregate_posterior(z, log_own, mean, logvar)
    wide_z, wide_mean, wide_logvar = (t.numpy().astype(np.longdouble) for t in (z, mean, logvar))
    for s in range(len(rows)):
        pairs = -0.5 * (wide_logvar + (wide_z[s] - wide_mean) ** 2 / np.exp(wide_logvar) + math.log(2 * math.pi))
        pairs = pairs.sum(1)
        expected = pairs.max() + np.log(np.exp(pairs - pairs.max()).sum()) - math.log(500)
        assert shipped[s].item() == pytest.approx(float(expected), abs=1e-5)


def test_the_order_of_images_and_latents_does_not_matter():
    mean, logvar = random_posteriors(images=100, latents=3)
    images, latents = torch.randperm(100, generator=generator(9)), torch.tensor([2, 0, 1])
    first = decompose(mean, logvar, 2000, generator())
    second = decompose(mean[images][:, latents], logvar[images][:, latents], 2000, generator(1))
    assert second.dimension_wise_kl == pytest.approx(first.dimension_wise_kl, abs=1e-9)
    error = math.hypot(first.standard_error, second.standard_error)
    assert abs(first.total_correlation - second.total_correlation) < 3 * error


def test_bad_input_is_refused():
    zeros = torch.zeros(20, 2)
    with pytest.raises(ValueError, match="shape"):
        decompose(zeros, torch.zeros(20, 3), 200, generator())
    with pytest.raises(ValueError, match="at least 100"):
        decompose(zeros, zeros, 99, generator())
    with pytest.raises(ValueError, match="not finite"):
        decompose(zeros + math.nan, zeros, 200, generator())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_parts_agree_on_an_accelerator():
    mean, logvar = random_posteriors(images=300, latents=6)
    here = decompose(mean, logvar, 2000, generator())
    there = decompose(mean.cuda(), logvar.cuda(), 2000, generator())
    assert parts(there) == pytest.approx(parts(here), abs=1e-8)
