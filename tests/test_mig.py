"""The mutual information gap against closed forms, known codes, and slow independent versions."""

import itertools
import math

import numpy as np
import pytest
import torch
from sklearn.metrics import mutual_info_score
from tqdm.auto import tqdm

from lib import mig
from lib.mig import (
    FIVE_FACTORS,
    FOUR_FACTORS,
    factor_entropies,
    factor_gaps,
    mutual_information,
    mutual_information_gap,
    mutual_information_histogram,
    mutual_information_monte_carlo,
)
from lib.mixtures import mixture_densities

DSPRITES = (3, 6, 40, 32, 32)
SHARP = 2 * math.log(1e-2)  # log variance of a standard deviation of 0.01


def factor_values(sizes):
    """[N, K] values in data-set order, the last factor fastest, counted by hand rather than by a reshape."""
    rows = [[]]
    for size in sizes:
        rows = [[*row, value] for row in rows for value in range(size)]
    return torch.tensor(rows)


def gaussian_entropy(std):
    return 0.5 * math.log(2 * math.pi * math.e * std**2)


def slow_entropy(mean, std, points_per_std=40):
    """Entropy of a mixture of Gaussians: every component at every point of a fine grid, in NumPy."""
    grid = np.arange(mean.min() - 10 * std.max(), mean.max() + 10 * std.max(), std.min() / points_per_std)
    total = 0.0
    for x in np.array_split(grid, 1 + len(grid) * len(mean) // 10**6):
        t = (x[:, None] - mean) / std
        p = (np.exp(-0.5 * t**2) / (std * math.sqrt(2 * math.pi))).mean(1)
        total -= np.sum(p * np.log(np.where(p > 0, p, 1.0)))
    return total * (grid[1] - grid[0])


def slow_information(mean, logvar, sizes, points_per_std=10):
    mean, std = mean.double().numpy(), np.exp(logvar.double().numpy() / 2)
    values = factor_values(sizes).numpy()
    information = np.zeros((len(sizes), mean.shape[1]))
    for j in range(mean.shape[1]):
        whole = slow_entropy(mean[:, j], std[:, j], points_per_std)
        for k, size in enumerate(sizes):
            parts = [values[:, k] == v for v in range(size)]
            conditional = [slow_entropy(mean[part, j], std[part, j], points_per_std) for part in parts]
            information[k, j] = whole - np.mean(conditional)
    return torch.from_numpy(information)


def mixed_posteriors(sizes=(3, 4, 5, 2), latents=7, seed=0):
    """Latents of all kinds: informative, mixed widths from 0.01 to 1, means out to 8, and two that carry
    nothing."""
    generator = torch.Generator().manual_seed(seed)
    values = factor_values(sizes).double()
    count = len(values)
    mean = values @ torch.randn(len(sizes), latents, generator=generator, dtype=torch.float64)
    mean = mean / mean.abs().amax(0)
    logvar = 2 * torch.empty(count, latents, dtype=torch.float64).uniform_(-4.6, 0, generator=generator)
    mean[:, 0] *= 8
    logvar[:, 1] = SHARP
    for idle in (2, 3):
        mean[:, idle] = 0.01 * torch.randn(count, generator=generator, dtype=torch.float64)
        logvar[:, idle] = 0.02 * torch.randn(count, generator=generator, dtype=torch.float64)
    return mean, logvar


# Densities of mixtures


@pytest.mark.parametrize("std", [1e-4, 1e-2, 0.1, 1.0])
@pytest.mark.parametrize("mean", [0.0, 0.1234567, -8.0])
def test_entropy_of_a_single_gaussian(mean, std):
    logvar = torch.full((1, 1), 2 * math.log(std), dtype=torch.float64)
    density = mixture_densities(torch.full((1, 1), mean, dtype=torch.float64), logvar)
    assert density.entropies().item() == pytest.approx(gaussian_entropy(std), abs=1e-5)


def test_entropy_of_separated_gaussians_of_all_widths():
    std = torch.logspace(-2, 0, 9, dtype=torch.float64)
    mean = 40.0 * torch.arange(9, dtype=torch.float64) + torch.rand(9, dtype=torch.float64)
    density = mixture_densities(mean[None], 2 * std.log()[None])
    expected = math.log(9) + np.mean([gaussian_entropy(s) for s in std.tolist()])
    assert density.entropies().item() == pytest.approx(expected, abs=1e-4)


def test_entropy_of_two_unequal_groups_uses_one_grid():
    mean = torch.tensor([[0.0, 0.0], [3.0, 100.0]], dtype=torch.float64)
    logvar = torch.tensor([[SHARP, SHARP], [0.0, 0.0]], dtype=torch.float64)
    entropies = mixture_densities(mean, logvar).entropies()
    expected = [gaussian_entropy(1e-2), gaussian_entropy(1.0) + math.log(2)]
    assert entropies.tolist() == pytest.approx(expected, abs=1e-4)


def test_densities_agree_with_direct_sums_point_by_point():
    mean, logvar = (column.T.contiguous() for column in mixed_posteriors())
    for resolution, tolerance in ((4, 6e-3), (16, 4e-4)):
        for j in range(len(mean)):
            density = mixture_densities(mean[j : j + 1], logvar[j : j + 1], resolution)
            x = density.origin + density.spacing * torch.arange(density.values.shape[1])
            std = (logvar[j] / 2).exp()
            direct = torch.exp(-0.5 * ((x[:, None] - mean[j]) / std) ** 2) / (std * math.sqrt(2 * math.pi))
            assert (density.values[0] - direct.mean(1)).abs().max() < tolerance * direct.mean(1).max()
            assert density.values.sum().item() * density.spacing == pytest.approx(1, abs=1e-9)


def test_groups_are_counted_in_parts_without_a_difference(monkeypatch):
    mean, logvar = (column[:, 0].view(12, 10) for column in mixed_posteriors())
    whole = mixture_densities(mean, logvar)
    monkeypatch.setattr("lib.mixtures.MAX_CELLS", 1)
    parts = mixture_densities(mean, logvar)
    torch.testing.assert_close(parts.values, whole.values, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("mean", "logvar", "message"),
    [
        ([[0.0, math.nan]], [[0.0, 0.0]], "not finite"),
        ([[0.0, 0.0]], [[0.0, -math.inf]], "not finite"),
        ([[0.0, 8.0]], [[0.0, -60.0]], "bound logvar from below"),
        ([[0.0, 8.0]], [[0.0]], "shape"),
    ],
)
def test_bad_posteriors_are_refused(mean, logvar, message):
    with pytest.raises(ValueError, match=message):
        mixture_densities(torch.tensor(mean), torch.tensor(logvar))


def test_too_coarse_a_grid_is_refused():
    with pytest.raises(ValueError, match="at least 2"):
        mixture_densities(torch.zeros(1, 1), torch.zeros(1, 1), resolution=1)


# Quadrature


def test_quadrature_agrees_with_the_slow_version():
    sizes = (3, 4, 5, 2)  # four factors, seven latents: a reshape in place of a transpose cannot pass
    mean, logvar = mixed_posteriors(sizes)
    exact = slow_information(mean, logvar, sizes)
    information = mutual_information(mean, logvar, sizes)
    assert information.shape == (4, 7)
    assert (information - exact).abs().max() < 3e-4
    gap, exact_gap = (mutual_information_gap(i, sizes, (0, 1, 2, 3)) for i in (information, exact))
    assert abs(gap - exact_gap) < 1e-4
    assert information[:, 2:4].max() < 1e-3  # the two latents that carry nothing


def test_quadrature_converges_with_the_square_of_the_grid_size():
    sizes = (3, 4, 5, 2)
    mean, logvar = mixed_posteriors(sizes)
    finest = mutual_information(mean, logvar, sizes, resolution=16)
    errors = [
        (mutual_information(mean, logvar, sizes, resolution) - finest).abs().max().item() for resolution in (2, 4, 8)
    ]
    for coarse, fine in itertools.pairwise(errors):
        assert fine < coarse / 3
    assert errors[1] < 3e-4


def test_quadrature_is_deterministic_and_takes_single_precision():
    sizes = (3, 4, 5, 2)
    mean, logvar = mixed_posteriors(sizes)
    first = mutual_information(mean, logvar, sizes)
    assert torch.equal(first, mutual_information(mean, logvar, sizes))
    torch.testing.assert_close(mutual_information(mean.float(), logvar.float(), sizes), first, rtol=0, atol=1e-5)


def codes(columns):
    """Means from columns of codes, with sharp posteriors."""
    mean = torch.stack([column.double() for column in columns], 1)
    return mean, torch.full_like(mean, SHARP)


def test_a_perfect_code_of_all_of_dsprites_has_gap_one():
    index = torch.arange(math.prod(DSPRITES))
    _, scale, orientation, x, y = torch.unravel_index(index, DSPRITES)
    mean, logvar = codes([y / 8, x / 8, torch.zeros(len(index)), orientation / 8, scale])
    information = mutual_information(mean, logvar, DSPRITES)
    expected = torch.zeros(5, 5, dtype=torch.float64)
    for factor, latent in ((1, 4), (2, 3), (3, 1), (4, 0)):
        expected[factor, latent] = math.log(DSPRITES[factor])
    torch.testing.assert_close(information, expected, rtol=0, atol=1e-4)
    assert mutual_information_gap(information, DSPRITES) == pytest.approx(1, abs=1e-4)
    assert mutual_information_gap(information, DSPRITES, FIVE_FACTORS) == pytest.approx(0.8, abs=1e-4)


def test_constant_and_random_codes_have_no_gap():
    sizes = (3, 4, 5)
    generator = torch.Generator().manual_seed(0)
    constant = torch.zeros(60, 4)
    assert mutual_information(constant, constant, sizes).max() == pytest.approx(0, abs=1e-12)
    many = (30, 40, 20)
    noise = torch.randn(24_000, 2, generator=generator)
    assert mutual_information_gap(mutual_information(noise, torch.zeros_like(noise), many), many, (0, 1, 2)) < 0.01


def test_duplicated_codes_have_no_gap():
    a, b = factor_values((4, 5)).T
    information = mutual_information(*codes([a, b, a, b]), (4, 5))
    torch.testing.assert_close(information[:, :2], information[:, 2:])
    assert information[0, 0].item() == pytest.approx(math.log(4), abs=1e-4)
    assert mutual_information_gap(information, (4, 5), (0, 1)) == pytest.approx(0, abs=1e-9)


def test_permuted_codes_permute_the_columns():
    sizes = (3, 4, 5, 2)
    mean, logvar = mixed_posteriors(sizes)
    order = torch.tensor([4, 2, 6, 0, 5, 1, 3])
    information = mutual_information(mean, logvar, sizes)
    permuted = mutual_information(mean[:, order], logvar[:, order], sizes)
    torch.testing.assert_close(permuted, information[:, order])
    assert mutual_information_gap(permuted, sizes, (0, 1, 2, 3)) == pytest.approx(
        mutual_information_gap(information, sizes, (0, 1, 2, 3))
    )


def test_permuted_factors_permute_the_rows():
    sizes, order = (3, 4, 5, 2), (2, 0, 3, 1)
    mean, logvar = mixed_posteriors(sizes)
    values = factor_values(sizes)
    new_sizes = tuple(sizes[k] for k in order)
    position = torch.zeros(len(values), dtype=torch.long)  # of each old row in the new data-set order
    for k in order:
        position = position * sizes[k] + values[:, k]
    old = position.argsort()
    permuted = mutual_information(mean[old], logvar[old], new_sizes)
    torch.testing.assert_close(permuted, mutual_information(mean, logvar, sizes)[list(order)])


def test_rotated_codes_have_no_gap():
    a, b = (factor - 3.5 for factor in factor_values((8, 8)).T)
    straight = mutual_information(*codes([a, b]), (8, 8))
    rotated = mutual_information(*codes([(a + b) / math.sqrt(2), (a - b) / math.sqrt(2)]), (8, 8))
    assert mutual_information_gap(straight, (8, 8), (0, 1)) == pytest.approx(1, abs=1e-4)
    assert mutual_information_gap(rotated, (8, 8), (0, 1)) == pytest.approx(0, abs=1e-4)
    assert rotated.min() > 0.4  # each rotated latent knows something about both


# The gap


def test_gap_of_a_matrix_by_hand():
    information = torch.tensor([[0.2, 0.5, -0.1], [0.0, 1.0, 0.25]])
    gaps = factor_gaps(information, (2, 8))
    assert gaps.tolist() == pytest.approx([0.3 / math.log(2), 0.75 / math.log(8)])
    assert mutual_information_gap(information, (2, 8), (0, 1)) == pytest.approx(gaps.mean().item())
    assert mutual_information_gap(information, (2, 8), (1,)) == pytest.approx(gaps[1].item())
    assert factor_entropies((2, 8)).tolist() == pytest.approx([math.log(2), math.log(8)])


def test_the_headline_leaves_the_shape_out():
    information = torch.zeros(5, 10)
    information[0, 0] = math.log(3)
    assert mutual_information_gap(information, DSPRITES) == 0
    assert mutual_information_gap(information, DSPRITES, FIVE_FACTORS) == pytest.approx(0.2)
    assert FOUR_FACTORS == (1, 2, 3, 4)


@pytest.mark.parametrize("shape", [(3, 5), (2, 1), (2,)])
def test_a_matrix_of_the_wrong_shape_is_refused(shape):
    with pytest.raises(ValueError, match="the gap needs"):
        factor_gaps(torch.zeros(shape), (2, 2))


def test_a_factor_with_one_value_is_refused():
    with pytest.raises(ValueError, match="single value"):
        factor_gaps(torch.zeros(2, 3), (4, 1))


@pytest.mark.parametrize("estimate", ["quadrature", "sampler", "histogram"])
def test_the_wrong_number_of_rows_is_refused(estimate):
    mean, generator = torch.zeros(7, 3), torch.Generator()
    call = {
        "quadrature": lambda: mutual_information(mean, mean, (2, 4)),
        "sampler": lambda: mutual_information_monte_carlo(mean, mean, (2, 4), 5, generator),
        "histogram": lambda: mutual_information_histogram(mean, (2, 4), generator),
    }[estimate]
    with pytest.raises(ValueError, match=r"need \[8, J\]"):
        call()


# Chen et al.'s sampler


def test_sampler_agrees_within_three_standard_errors():
    sizes = (6, 8, 10, 4)
    mean, logvar = mixed_posteriors(sizes)
    exact = mutual_information(mean, logvar, sizes, resolution=8)
    estimate = mutual_information_monte_carlo(mean, logvar, sizes, 400, torch.Generator().manual_seed(0))
    within = (estimate.information - exact).abs() <= 3 * estimate.standard_error + 1e-4
    assert within.all()
    gap, exact_gap = (mutual_information_gap(i, sizes, (0, 1, 2, 3)) for i in (estimate.information, exact))
    error = estimate.gap_standard_error(sizes, (0, 1, 2, 3))
    assert abs(gap - exact_gap) <= 3 * error
    assert error < 0.03


def test_sampler_standard_errors_match_the_spread_over_seeds():
    sizes = (6, 10)
    generator = torch.Generator().manual_seed(1)
    mean, logvar = mixed_posteriors(sizes, latents=4)
    mean, logvar = (
        mean.repeat_interleave(40, 0),
        logvar.repeat_interleave(40, 0),
    )  # far more images than samples
    sizes = (6, 400)
    runs = [mutual_information_monte_carlo(mean, logvar, sizes, 50, generator) for _ in range(60)]
    spread = torch.stack([run.information[0] for run in runs]).std(0)
    stated = torch.stack([run.standard_error[0] for run in runs]).mean(0)
    assert ((spread / stated - 1).abs() < 0.35).all()
    gaps = torch.tensor([mutual_information_gap(run.information, sizes, (0, 1)) for run in runs])
    errors = torch.tensor([run.gap_standard_error(sizes, (0, 1)) for run in runs])
    assert 0.65 < gaps.std() / errors.mean() < 1.35


def test_sampler_agrees_with_a_slow_double_precision_version(monkeypatch):
    """The same samples, the densities summed by log-sum-exp over all pairs; blocks cut the rows
    unevenly."""
    sizes = (6, 10, 100)
    mean, logvar = mixed_posteriors(sizes)
    seen = []
    shipped = mig._log_mixture

    def compare(z, component_mean, component_logvar):
        value = shipped(z, component_mean, component_logvar)
        z, m, v = (t.double() for t in (z, component_mean, component_logvar))
        pairs = -0.5 * ((z[:, None] - m) ** 2 / v.exp() + v + math.log(2 * math.pi))
        seen.append((value - (pairs.logsumexp(1) - math.log(len(m)))).abs().max().item())
        return value

    monkeypatch.setattr("lib.mig._log_mixture", compare)
    monkeypatch.setattr("lib.mig.BLOCK", {"cpu": 4096 * 7})
    mutual_information_monte_carlo(mean.float(), logvar.float(), sizes, 50, torch.Generator().manual_seed(0))
    assert len(seen) == 7 * (1 + sum(sizes))
    assert max(seen) < 1e-4  # single precision inside
    seen.clear()
    mutual_information_monte_carlo(mean, logvar, sizes, 50, torch.Generator().manual_seed(0))
    assert max(seen) < 1e-11


def test_sampled_entropies_agree_with_quadrature():
    """Entropies, not their differences: a wrong width of the samples would cancel in the information."""
    mean, logvar = mixed_posteriors((6, 8, 10, 4))
    entropies, covariance = mig._sampled_entropies(
        mean, logvar, 1500, torch.Generator().manual_seed(0), tqdm(disable=True)
    )
    exact = mixture_densities(mean.T.contiguous(), logvar.T.contiguous(), 8).entropies()
    error = covariance.diagonal().sqrt()
    assert error.max() < 0.05
    assert ((entropies - exact).abs() < 3 * error).all()


def literal_monte_carlo(mean, logvar, sizes, samples, generator):
    """Chen et al.'s procedure step by step, with nothing shared with lib/mig.py: one z per image; for each mixture a
    subset of the samples, ten at a time, the log densities of all latents under all its images, and a log-sum-exp over
    them. Returns I(z_j; v_k), [K, J]."""
    z = mean + (0.5 * logvar).exp() * torch.randn(mean.shape, generator=generator)

    def entropies(images):
        chosen = images[torch.randperm(len(images), generator=generator)[:samples]]
        m, v = mean[images], logvar[images]
        total = torch.zeros(mean.shape[1])
        for ten in chosen.split(10):
            squares = (z[ten].T[None] - m[:, :, None]) ** 2 / v.exp()[:, :, None]
            log_densities = -0.5 * (squares + v[:, :, None] + math.log(2 * math.pi))  # [R, J, ten]
            total -= (log_densities.logsumexp(0) - math.log(len(images))).sum(1)
        return total / len(chosen)

    factors = factor_values(sizes)
    marginal = entropies(torch.arange(len(mean)))
    conditional = [
        torch.stack([entropies((factors[:, k] == value).nonzero()[:, 0]) for value in range(size)]).mean(0)
        for k, size in enumerate(sizes)
    ]
    return marginal - torch.stack(conditional)


def test_sampler_agrees_with_the_literal_procedure():
    sizes = (6, 8, 10, 4)
    mean, logvar = mixed_posteriors(sizes)
    ours = mutual_information_monte_carlo(mean, logvar, sizes, 192, torch.Generator().manual_seed(0))
    literal = literal_monte_carlo(mean, logvar, sizes, 192, torch.Generator().manual_seed(1))
    # One z per image is shared there, so its error is only about as large as ours: sqrt(2) in quadrature.
    assert ((ours.information - literal).abs() < 4 * math.sqrt(2) * ours.standard_error + 1e-9).all()


def test_sampler_repeats_with_its_seed():
    mean, logvar = mixed_posteriors((3, 4))
    first, again = (
        mutual_information_monte_carlo(mean, logvar, (3, 4), 6, torch.Generator().manual_seed(3)) for _ in range(2)
    )
    assert torch.equal(first.information, again.information)


# disentanglement_lib's histograms


def test_histogram_agrees_with_numpy_and_scikit_learn():
    sizes = (3, 4, 5, 2)
    mean, _ = mixed_posteriors(sizes)
    information = mutual_information_histogram(mean, sizes, torch.Generator().manual_seed(5), samples=700, bins=20)
    rows = torch.randint(len(mean), (700,), generator=torch.Generator().manual_seed(5))
    values = factor_values(sizes)[rows].numpy()
    for j in range(mean.shape[1]):
        code = mean[rows, j].numpy()
        cells = np.digitize(code, np.histogram(code, 20)[1][:-1])
        for k in range(len(sizes)):
            assert information[k, j].item() == pytest.approx(mutual_info_score(values[:, k], cells), abs=1e-9)


def test_histogram_of_perfect_and_constant_codes():
    a, b = factor_values((4, 5)).T
    mean, _ = codes([b, torch.ones(20), a])
    information = mutual_information_histogram(mean, (4, 5), torch.Generator().manual_seed(0))
    assert information[0, 2].item() == pytest.approx(math.log(4), abs=1e-2)
    assert information[1, 0].item() == pytest.approx(math.log(5), abs=1e-2)
    assert information[:, 1].abs().max() == 0
    assert mutual_information_gap(information, (4, 5), (0, 1)) == pytest.approx(1, abs=1e-2)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_estimators_agree_on_an_accelerator():
    sizes = (3, 4, 5, 2)
    mean, logvar = mixed_posteriors(sizes)
    on_device = mutual_information(mean.cuda(), logvar.cuda(), sizes)
    torch.testing.assert_close(on_device, mutual_information(mean, logvar, sizes), rtol=0, atol=1e-9)
    here, there = (
        mutual_information_monte_carlo(*pair, sizes, 50, torch.Generator().manual_seed(0)).information
        for pair in ((mean, logvar), (mean.cuda(), logvar.cuda()))
    )
    torch.testing.assert_close(here, there, rtol=0, atol=1e-9)
    here, there = (
        mutual_information_histogram(m, sizes, torch.Generator().manual_seed(0)) for m in (mean, mean.cuda())
    )
    torch.testing.assert_close(here, there)
