"""The mutual information gap between latents and factors (Chen et al. 2018, arXiv 1802.04942, section 4), by
three estimators.

`mutual_information` is exact up to quadrature; `mutual_information_monte_carlo` is Chen et al.'s published
sampler; `mutual_information_histogram` is disentanglement_lib's. Their values are not interchangeable: name
the estimator beside each.

The N images form a full grid of factor values: `factor_sizes` holds the number of values of each factor, and
row n of `mean` and `logvar` [N, J] belongs to the n-th combination in data-set order (the last factor varies
fastest). All information is in nats, in tensors [K factors, J latents].
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lib.mixtures import LARGEST_LOGVAR, mixture_densities
from lib.progress import Progress
from lib.refusal import Refusal

# On dSprites: scale, orientation, x, y. Chen et al.'s headline value leaves the shape out.
FOUR_FACTORS = (1, 2, 3, 4)
FIVE_FACTORS = (0, 1, 2, 3, 4)
# Sample-image pairs at one time: what a processor's cache or an accelerator's memory holds with ease.
BLOCK = {"cpu": 2**20, "cuda": 2**26}
# Exponents below count as this one: no term so small matters, and exp is ten times slower where it underflows.
NEGLIGIBLE = -80.0


def factor_entropies(factor_sizes: tuple[int, ...]) -> Tensor:
    """H(v_k) in nats, [K]: every factor is uniform over its values."""
    return torch.tensor(factor_sizes, dtype=torch.float64).log()


def factor_gaps(information: Tensor, factor_sizes: tuple[int, ...]) -> Tensor:
    """(largest - second largest of I(z_j; v_k) over j) / H(v_k), one per factor, [K]; negative estimates
    count as 0, as in Chen et al.'s code."""
    if information.dim() != 2 or len(information) != len(factor_sizes) or information.shape[1] < 2:
        raise Refusal(
            f"information has shape {list(information.shape)}; "
            f"the gap needs [{len(factor_sizes)} factors, at least 2 latents]."
        )
    if min(factor_sizes) < 2:
        raise Refusal(f"factor_sizes is {factor_sizes}; a factor with a single value has no entropy to divide by.")
    largest = information.double().cpu().clamp(min=0).topk(2, dim=1).values
    return (largest[:, 0] - largest[:, 1]) / factor_entropies(factor_sizes)


def mutual_information_gap(
    information: Tensor, factor_sizes: tuple[int, ...], factors: tuple[int, ...] = FOUR_FACTORS
) -> float:
    """Chen et al. 2018, equation 6: the gaps averaged over `factors` (rows of `information`)."""
    return factor_gaps(information, factor_sizes)[list(factors)].mean().item()


def _check(mean: Tensor, logvar: Tensor, factor_sizes: tuple[int, ...]) -> None:
    if mean.dim() != 2 or mean.shape != logvar.shape or len(mean) != math.prod(factor_sizes):
        raise Refusal(
            f"mean and logvar have shapes {list(mean.shape)} and {list(logvar.shape)}; "
            f"factor sizes {factor_sizes} need [{math.prod(factor_sizes)}, J] for both."
        )
    if not (mean.isfinite().all() and logvar.isfinite().all()):
        raise Refusal("mean or logvar holds values that are not finite; check the encoder's output.")


def _check_precision(mean: Tensor, logvar: Tensor) -> None:
    """Raises ValueError where z - mean, in the precision of `mean`, cannot tell a hundredth of a standard deviation."""
    narrowest, largest = logvar.amin().div(2).exp().item(), mean.abs().amax().item()
    if narrowest < 100 * torch.finfo(mean.dtype).eps * largest or logvar.abs().amax() > LARGEST_LOGVAR:
        raise Refusal(
            f"The smallest standard deviation, {narrowest:.1e}, beside means up to {largest:.1e}, or a logvar outside "
            f"±{LARGEST_LOGVAR:.0f}, is beyond {mean.dtype}; give double precision, or bound logvar."
        )


def _by_value(column: Tensor, factor: int, factor_sizes: tuple[int, ...]) -> Tensor:
    """Rows [N, ...] in data-set order, grouped by one factor's value: [values, N / values, ...]."""
    before, values = math.prod(factor_sizes[:factor]), factor_sizes[factor]
    return column.unflatten(0, (before, values, -1)).transpose(0, 1).flatten(1, 2)


def mutual_information(mean: Tensor, logvar: Tensor, factor_sizes: tuple[int, ...], resolution: int = 4) -> Tensor:
    """I(z_j; v_k) = H(z_j) - mean over v of H(z_j|v_k = v), [K, J], deterministic.

    z_j ~ q(z_j|x_n), a Gaussian; q(z_j) and q(z_j|v_k) are exact mixtures over all images, respectively those
    that share the value. Their densities on one grid and the trapezoidal rule give the entropies; as q(z_j)
    is taken as the mean of the q(z_j|v_k) on that grid, no value is negative. `resolution` is the number of
    grid points per smallest standard deviation; the error falls with its square, and at 4 it is below 1e-4
    nats.
    """
    _check(mean, logvar, factor_sizes)
    information = torch.zeros(len(factor_sizes), mean.shape[1], dtype=torch.float64)
    for j in range(mean.shape[1]):
        for k in range(len(factor_sizes)):
            groups = (_by_value(column[:, j], k, factor_sizes) for column in (mean, logvar))
            densities = mixture_densities(*groups, resolution)
            information[k, j] = (densities.mixed().entropies() - densities.entropies().mean()).item()
    return information.clamp_(min=0)  # a latent without information leaves about -1e-16


@dataclass(frozen=True)
class MonteCarloInformation:
    """`information` [K, J] and its `standard_error` [K, J]. The entropies behind it have the covariances
    between latents `marginal_covariance` [J, J] and `conditional_covariance` [K, J, J]: all latents of a
    sample come from one image."""

    information: Tensor
    standard_error: Tensor
    marginal_covariance: Tensor
    conditional_covariance: Tensor

    def gap_standard_error(self, factor_sizes: tuple[int, ...], factors: tuple[int, ...] = FOUR_FACTORS) -> float:
        """Standard error of the mutual information gap, by the delta method: with each factor's two leading
        latents held fixed the gap is linear in the entropies; the marginal ones are common to all factors,
        the conditional ones independent."""
        leading = self.information.topk(2, dim=1).indices
        contrast = torch.zeros_like(self.information)
        contrast.scatter_(1, leading, torch.tensor([1.0, -1.0], dtype=torch.float64).expand(len(leading), 2))
        contrast = (contrast / factor_entropies(factor_sizes)[:, None])[list(factors)] / len(factors)
        total = contrast.sum(0)
        variance = total @ self.marginal_covariance @ total
        variance += torch.einsum("ki,kij,kj->", contrast, self.conditional_covariance[list(factors)], contrast)
        return math.sqrt(variance)


def mutual_information_monte_carlo(
    mean: Tensor,
    logvar: Tensor,
    factor_sizes: tuple[int, ...],
    samples: int,
    generator: torch.Generator,
    progress: bool = False,
) -> MonteCarloInformation:
    """I(z_j; v_k) by the sampler of Chen et al.'s published code, which takes `samples` = 10,000.

    An entropy -E log q(z_j) is the mean over S images drawn without replacement, one z ~ q(z|x) each, of the
    exact log density of the mixture over all images (of the factor value, for q(z_j|v_k)); where a value has
    fewer images than S, each is used once. Departure: z is drawn afresh for every mixture, so that all the
    entropies are independent; the published code draws one z per image and shares it. The standard error
    takes the samples as independent, which is a little too large where S is not small against the number of
    images.

    The cost is S N J (1 + K) Gaussian densities, for all of dSprites 4.4e11. They are computed in the
    precision of `mean` on its device, in blocks, and summed in double precision. No log-sum-exp is needed: in
    one dimension, and with the sample's own image among the terms, the sum neither overflows nor vanishes.
    """
    _check(mean, logvar, factor_sizes)
    _check_precision(mean, logvar)
    total = sum(min(samples, len(mean) // size) * len(mean) * mean.shape[1] for size in (1, *factor_sizes))
    with Progress(total=total, disable=not progress, unit="density", unit_scale=True, desc="Monte-Carlo MIG") as bar:
        marginal, marginal_covariance = _sampled_entropies(mean, logvar, samples, generator, bar)
        conditional, covariances = [], []
        for k, size in enumerate(factor_sizes):
            groups = zip(*(_by_value(rows, k, factor_sizes) for rows in (mean, logvar)), strict=True)
            entropies, covariance = zip(
                *(_sampled_entropies(*group, samples, generator, bar) for group in groups), strict=True
            )
            conditional.append(torch.stack(entropies).mean(0))
            covariances.append(torch.stack(covariance).sum(0) / size**2)
    conditional_covariance = torch.stack(covariances)
    variance = marginal_covariance.diagonal() + conditional_covariance.diagonal(dim1=1, dim2=2)
    return MonteCarloInformation(
        marginal - torch.stack(conditional), variance.sqrt(), marginal_covariance, conditional_covariance
    )


def _sampled_entropies(
    mean: Tensor, logvar: Tensor, samples: int, generator: torch.Generator, bar: Progress
) -> tuple[Tensor, Tensor]:
    """Entropies [J] of the mixture of R Gaussians per latent, estimated from S samples, and their covariance
    [J, J]."""
    rows = torch.randperm(len(mean), generator=generator, device=generator.device)[:samples].to(mean.device)
    noise = torch.randn(len(rows), mean.shape[1], generator=generator, device=generator.device, dtype=mean.dtype)
    z = mean[rows] + (logvar[rows] / 2).exp() * noise.to(mean.device)
    log_density = torch.empty_like(z, dtype=torch.float64)
    for j in range(mean.shape[1]):
        log_density[:, j] = _log_mixture(z[:, j], mean[:, j], logvar[:, j])
        bar.update(len(rows) * len(mean))
    log_density = log_density.cpu()
    return -log_density.mean(0), log_density.T.cov() / len(rows)


def _log_mixture(z: Tensor, mean: Tensor, logvar: Tensor) -> Tensor:
    """log of (1/R) sum over r of N(z; mean[r], exp(logvar[r])), [S] in double precision, for `z` [S] and R
    components."""
    mean, scale, log_height = mean.contiguous(), (-logvar / 2).exp() / math.sqrt(2), -logvar / 2
    total = torch.zeros_like(z, dtype=torch.float64)
    columns = min(len(mean), 4096)
    for some in _slices(len(z), BLOCK[z.device.type] // columns):
        for part in _slices(len(mean), columns):
            distance = (z[some, None] - mean[part]).mul_(scale[part])  # over sqrt(2) standard deviations
            exponent = torch.addcmul(log_height[part], distance, distance, value=-1, out=distance)
            total[some] += exponent.clamp_(min=NEGLIGIBLE).exp_().sum(1).double()
    return total.log_() - math.log(len(mean)) - 0.5 * math.log(2 * math.pi)


def _slices(length: int, step: int) -> Iterator[slice]:
    return (slice(start, start + step) for start in range(0, length, step))


def mutual_information_histogram(
    mean: Tensor,
    factor_sizes: tuple[int, ...],
    generator: torch.Generator,
    samples: int = 10_000,
    bins: int = 20,
) -> Tensor:
    """disentanglement_lib's estimator (Locatello et al. 2019, arXiv 1811.12359, appendix C), [K, J]:
    posterior means of images drawn with replacement, cut into bins of equal width between each latent's
    extremes, and the information of the table of counts.

    The widths of the posteriors play no part. It goes with FIVE_FACTORS. Departure: `mutual_information_gap`
    divides by the exact H(v_k), their code by that of the sample, about K / (2 samples) smaller.
    """
    _check(mean, mean, factor_sizes)
    rows = torch.randint(len(mean), (samples,), generator=generator, device=generator.device).cpu()
    codes = mean.cpu()[rows].double()  # [S, J]
    low, high = codes.amin(0), codes.amax(0)
    position = (codes - low) / torch.where(high > low, high - low, 1.0)
    cells = (position * bins).long().clamp_(max=bins - 1)
    information = torch.zeros(len(factor_sizes), mean.shape[1], dtype=torch.float64)
    for k, values in enumerate(torch.unravel_index(rows, factor_sizes)):
        for j in range(mean.shape[1]):
            counts = torch.bincount(values * bins + cells[:, j], minlength=factor_sizes[k] * bins)
            joint = counts.view(-1, bins).double() / samples
            entropies = (torch.special.entr(p).sum() for p in (joint.sum(0), joint.sum(1), joint))
            of_code, of_factor, of_both = entropies
            information[k, j] = of_code + of_factor - of_both
    return information.clamp_(min=0)
