"""What the KL of the posteriors to the prior consists of (Hoffman and Johnson 2016; Chen et al. 2018,
equation 2).

With the aggregate posterior q(z) = (1/N) sum over n of q(z|x_n) of all N images,

    E KL(q(z|x) || p(z)) = I_q(x; z) + KL(q(z) || prod_j q(z_j)) + sum_j KL(q(z_j) || p(z_j)):

what z tells which image it came from, the dependence between the latents (total correlation), and the
mismatch of each latent alone (dimension-wise KL). The prior is a standard Gaussian. All in nats per image.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lib.mixtures import Densities, mixture_densities
from lib.progress import Progress

LOG_2PI = math.log(2 * math.pi)
# Samples and images of one block of log densities, in double precision: what a cache or an accelerator's memory holds.
BLOCK = {"cpu": (256, 4096), "cuda": (2048, 2**15)}
NEGLIGIBLE = -80.0  # exponents below count as this one: exp is several times slower where it underflows
FEWEST_SAMPLES = 100


@dataclass(frozen=True)
class Decomposition:
    """The KL and its three parts, in nats per image; they add up to `kl`.

    `kl` is exact, `dimension_wise_kl` (and its parts per latent) exact up to quadrature. Only the entropy of
    q(z) is sampled: it enters `mutual_information` and `total_correlation` with opposite signs, so that both
    have the one `standard_error`. `sampled_kl` is the sum of the three parts as the samples alone give them,
    without anything known exactly; that it agrees with `kl` within `sampled_kl_standard_error` checks the
    sampling. The bound of the mutual information is log `images`.
    """

    images: int
    samples: int
    kl: float
    mutual_information: float
    total_correlation: float
    dimension_wise_kl: float
    dimension_wise_kl_latents: tuple[float, ...]
    standard_error: float
    sampled_kl: float
    sampled_kl_standard_error: float


def decompose(
    mean: Tensor, logvar: Tensor, samples: int, generator: torch.Generator, progress: bool = False
) -> Decomposition:
    """Split the mean KL of N posteriors into its parts, from `samples` (at least 100) draws z ~ q(z).

    `mean`, `logvar`: [N, J], in any order. The draws are images with replacement and one z ~ q(z|x) each.

    H(z) = -E log q(z) is the only part without a closed form or a one-dimensional integral. log q(z) is
    regressed on quantities whose means are known exactly: the log q(z_j), log q(z|x) and log p(z) of the same
    samples (control variates). What is left over makes the standard error; where every posterior stands
    apart, log q(z) = log q(z|x) - log N and nothing is.

    Raises ValueError for other shapes, too few samples, or values that are not finite.
    """
    if mean.dim() != 2 or mean.shape != logvar.shape:
        raise ValueError(f"mean and logvar must both have shape [N, J], not {list(mean.shape)}, {list(logvar.shape)}.")
    if samples < FEWEST_SAMPLES:
        raise ValueError(f"samples is {samples}; the regression needs at least {FEWEST_SAMPLES}.")
    mean, logvar = mean.double(), logvar.double()
    latents = mean.shape[1]
    marginals = [mixture_densities(mean[:, j][None], logvar[:, j][None], resolution=8) for j in range(latents)]
    entropies = torch.stack([marginal.entropies()[0] for marginal in marginals])  # H(z_j), [J]
    conditional_entropy = 0.5 * (LOG_2PI + 1 + logvar).sum(1).mean()  # H(z|x)
    cross_entropies = 0.5 * (LOG_2PI + (mean.square() + logvar.exp()).mean(0))  # -E log p(z_j), [J]

    rows = torch.randint(len(mean), (samples,), generator=generator, device=generator.device).to(mean.device)
    noise = torch.randn(samples, latents, generator=generator, device=generator.device, dtype=torch.float64)
    noise = noise.to(mean.device)
    z = mean[rows] + (logvar[rows] / 2).exp() * noise  # [S, J]
    log_own = -0.5 * (noise.square() + logvar[rows] + LOG_2PI).sum(1)  # log q(z|x), [S]
    log_prior = -0.5 * (z.square() + LOG_2PI).sum(1)
    log_marginals = torch.stack([_log_density_at(z[:, j], marginals[j]) for j in range(latents)], 1)  # [S, J]
    # Far out, where rounding on the grid leaves nothing, a draw's own image is all that there is.
    own_share = -0.5 * (noise.square() + logvar[rows] + LOG_2PI) - math.log(len(mean))
    log_marginals = torch.where(log_marginals.isneginf(), own_share, log_marginals)
    log_joint = log_aggregate_posterior(z, log_own, mean, logvar, progress)  # log q(z), [S]

    controls = torch.cat([log_marginals, log_own[:, None], log_prior[:, None]], 1)
    expected = -torch.cat([entropies, conditional_entropy[None], cross_entropies.sum()[None]])
    expected_log_joint, standard_error = _controlled_mean(log_joint.cpu(), controls.cpu(), expected.cpu())
    sampled_kl = log_own - log_prior
    dimension_wise = cross_entropies - entropies
    return Decomposition(
        images=len(mean),
        samples=samples,
        kl=(cross_entropies.sum() - conditional_entropy).item(),
        mutual_information=-expected_log_joint - conditional_entropy.item(),
        total_correlation=entropies.sum().item() + expected_log_joint,
        dimension_wise_kl=dimension_wise.sum().item(),
        dimension_wise_kl_latents=tuple(dimension_wise.tolist()),
        standard_error=standard_error,
        sampled_kl=sampled_kl.mean().item(),
        sampled_kl_standard_error=(sampled_kl.std() / math.sqrt(samples)).item(),
    )


def log_aggregate_posterior(z: Tensor, log_own: Tensor, mean: Tensor, logvar: Tensor, progress: bool = False) -> Tensor:
    """log q(z) = log of (1/N) sum over n of prod_j N(z_j; mean[n, j], exp(logvar[n, j])), [S], in double
    precision.

    `z` [S, J] are draws from the posteriors themselves and `log_own` [S] each one's log q(z|x) under its own
    image.

    The quadratic in z is expanded, so that S x N log densities are one matrix product per block. They are
    taken relative to log_own in place of the largest, which a log-sum-exp would have to find first: the own
    image's term is then 1, so that the sum cannot vanish, and it could overflow only where another image's
    density is e^700 times higher.
    """
    precision = (-logvar).exp()
    constant = -0.5 * (mean.square() * precision + logvar + LOG_2PI).sum(1)
    left = torch.cat([z.square(), z, torch.ones_like(z[:, :1]), -log_own[:, None]], 1)  # [S, 2 J + 2]
    right = torch.cat([-0.5 * precision, mean * precision, constant[:, None], torch.ones_like(mean[:, :1])], 1)
    right = right.T.contiguous()  # [2 J + 2, N]
    sums = torch.zeros_like(log_own)
    some, part = BLOCK[z.device.type]
    with Progress(
        total=len(z) * len(mean), disable=not progress, unit="density", unit_scale=True, desc="log q(z)"
    ) as bar:
        for start in range(0, len(mean), part):
            columns = right[:, start : start + part].contiguous()
            for first in range(0, len(z), some):
                relative = left[first : first + some] @ columns
                sums[first : first + some] += relative.clamp_(min=NEGLIGIBLE).exp_().sum(1)
            bar.update(len(z) * columns.shape[1])
    return log_own + sums.log_() - math.log(len(mean))


def _log_density_at(z: Tensor, density: Densities) -> Tensor:
    """Log of a density [1, G] at points [S] by linear interpolation of the density itself: its error, of the
    second order in the spacing, averages to nothing over draws from the density."""
    position = (z - density.origin) / density.spacing
    below = position.long()
    weight = position - below
    values = density.values[0]
    return torch.log((1 - weight) * values[below] + weight * values[below + 1])


def _controlled_mean(values: Tensor, controls: Tensor, expected: Tensor) -> tuple[float, float]:
    """Mean of `values` [S] and its standard error, corrected by least squares for how far the means of
    `controls` [S, P] lie from those `expected` [P]."""
    centred = controls - controls.mean(0)
    # Controls of latents that carry nothing nearly coincide with one another: a driver that finds the rank.
    fit = torch.linalg.lstsq(centred, (values - values.mean())[:, None], driver="gelsd")
    residual = values - values.mean() - centred @ fit.solution[:, 0]
    corrected = values.mean() + (expected - controls.mean(0)) @ fit.solution[:, 0]
    variance = residual.square().sum() / (len(values) - 1 - fit.rank) / len(values)
    return corrected.item(), variance.sqrt().item()
