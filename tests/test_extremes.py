"""Posterior variances that under- or overflow: the right number, or one sentence, but never a wrong or missing one."""

import math

import pytest
import torch

from lib.information import decompose
from lib.mig import (
    factor_gaps,
    mutual_information,
    mutual_information_gap,
    mutual_information_histogram,
    mutual_information_monte_carlo,
)

SIZES = (2, 3, 4, 2, 2)
N = math.prod(SIZES)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


ESTIMATORS = {
    "quadrature": lambda mean, logvar: mutual_information(mean, logvar, SIZES),
    "sampler": lambda mean, logvar: mutual_information_monte_carlo(mean, logvar, SIZES, 50, generator()).information,
    "decomposition": lambda mean, logvar: torch.tensor(
        [decompose(mean, logvar, 200, generator()).mutual_information] * 2
    ),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "logvar", [-2000.0, -745.0, -200.0, -104.0, -61.0, 61.0, 89.0, 710.0, 2000.0, math.inf, math.nan]
)
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_variances_that_leave_the_numbers_are_refused(estimator, logvar, dtype):
    mean = torch.randn(N, 3, generator=generator(), dtype=dtype)
    spread = torch.zeros(N, 3, dtype=dtype)
    spread[5, 1] = logvar  # a single image's
    with pytest.raises(ValueError, match=r"(logvar|standard deviation).*(;|must lie within|check the encoder)"):
        ESTIMATORS[estimator](mean, spread)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("which", [0, 1])
def test_means_that_are_not_finite_are_refused(estimator, which):
    pair = [torch.zeros(N, 3), torch.zeros(N, 3)]
    pair[which][7, 2] = math.nan
    with pytest.raises(ValueError, match="not finite; check the encoder's output"):
        ESTIMATORS[estimator](*pair)
    if which == 0:
        with pytest.raises(ValueError, match="not finite; check the encoder's output"):
            mutual_information_histogram(pair[0], SIZES, generator())


@pytest.mark.parametrize("logvar", [-16.0, -12.0, -8.0, 0.0])
def test_narrow_posteriors_far_apart_tell_everything(logvar):
    """z_0 is the third factor's value, z_1 nothing: H(v) and 0, however narrow the posteriors are."""
    values = torch.arange(N) // 4 % 4
    mean = torch.stack([values.double(), torch.zeros(N).double()], 1)
    mean[:, 0] *= 30 if logvar == 0 else 1
    spread = torch.full((N, 2), logvar, dtype=torch.float64)
    spread[:, 1] = 0
    information = mutual_information(mean, spread, SIZES)
    assert information[2, 0] == pytest.approx(math.log(4), abs=1e-4)
    assert information[:, 1].abs().max() < 1e-9
    sampled = ESTIMATORS["sampler"](mean, spread)
    assert sampled[2, 0] == pytest.approx(math.log(4), abs=0.4)
    assert factor_gaps(information, SIZES).isfinite().all()


def test_a_precision_that_cannot_resolve_the_posteriors_is_refused_and_double_precision_can():
    mean = torch.linspace(-30, 30, N)[:, None].repeat(1, 2)
    logvar = torch.full((N, 2), -16.0)
    with pytest.raises(ValueError, match=r"beyond torch\.float32; give double precision, or bound logvar"):
        ESTIMATORS["sampler"](mean, logvar)
    assert ESTIMATORS["sampler"](mean.double(), logvar.double()).isfinite().all()


def test_a_draw_where_the_grid_holds_nothing_keeps_the_decomposition_finite(monkeypatch):
    """One wide posterior among narrow ones: its draws lie where rounding leaves a density of zero."""
    mean = torch.zeros(N, 2, dtype=torch.float64)
    logvar = torch.full((N, 2), -10.0, dtype=torch.float64)
    logvar[3] = 4.0
    monkeypatch.setattr("lib.information._log_density_at", lambda z, density: torch.full_like(z, -math.inf))
    result = decompose(mean, logvar, 300, generator())
    assert math.isfinite(result.mutual_information) and math.isfinite(result.standard_error)


def test_posteriors_equal_to_the_prior_have_no_information_in_any_estimator():
    zeros = torch.zeros(N, 4)
    information = mutual_information(zeros, zeros, SIZES)
    assert information.max() < 1e-9 and mutual_information_gap(information, SIZES) == pytest.approx(0, abs=1e-9)
    assert ESTIMATORS["sampler"](zeros, zeros).abs().max() < 0.5
    parts = decompose(zeros, zeros, 200, generator())
    assert parts.kl == pytest.approx(0, abs=1e-12) and parts.mutual_information == pytest.approx(0, abs=1e-6)
