"""beta-TCVAE: the total correlation of the latents, estimated from a batch, gets a weight of its own.

Letters: B images of a batch, M = B - 1, N images of the data set, J latents. The batch is drawn without replacement,
z_i ~ q(z|x_i), and both estimators are weighted sums of the batch's posteriors, q~(z_i) = sum_j W_ij q(z_i|x_j).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lib.dsprites import N_IMAGES
from lib.objectives.seam import Encoded, ObjectiveSettings
from lib.refusal import Refusal
from lib.schedules import Schedule

BETA = 6.0  # of Chen et al.'s own runs on dSprites


def log_densities(latents: Tensor, mean: Tensor, logvar: Tensor) -> Tensor:
    """log q(z_ij' | x_j) [B, B, J], for z_i of row i and the Gaussian posterior of image j; all three are [B, J]."""
    distance = latents[:, None] - mean  # [B, B, J]
    return -0.5 * (distance.square() * torch.exp(-logvar) + logvar + math.log(2 * math.pi))


def weighted_sampling(like: Tensor, images: int) -> Tensor:
    """Minibatch-weighted sampling: log W [B, B] with W_ij = 1 / (N B), dtype and device those of `like` [B, ...].

    The rows sum to 1 / N: a biased estimator. Its log q~ is about log N too small where posteriors overlap, for the
    joint and for every marginal, so that the total correlation is (J - 1) log N too large (exactly, where B = N): only
    its gradient means anything. Source: Chen et al., NeurIPS 2018, section 4.1.
    """
    batch = len(like)
    return torch.full((batch, batch), -math.log(images * batch), dtype=like.dtype, device=like.device)


def stratified_sampling(like: Tensor, images: int) -> Tensor:
    """Minibatch stratified sampling: log W [B, B] with W_ii = 1 / N, and the rest of 1 shared evenly by the others.

    The rows sum to 1, q~ is unbiased, and it is exact where B = N. Source: Chen et al., NeurIPS 2018, appendix C.2,
    which gives one of the others (N - M) / (N M) and the rest 1 / M. The even share, (N - 1) / (N M), is the mean over
    which one that is: the same expectation, without that draw, and for N >> M the same to a part in N. Needs B >= 2.
    """
    others = len(like) - 1
    weights = torch.full(
        (others + 1, others + 1), math.log((images - 1) / (images * others)), dtype=like.dtype, device=like.device
    )
    return weights.fill_diagonal_(-math.log(images))


def total_correlation(log_q: Tensor, log_weights: Tensor) -> Tensor:
    """KL(q(z) || prod_j q(z_j)), nats [], the mean over the batch of log q~(z_i) - sum_j log q~(z_ij).

    log_q [B, B, J] from `log_densities`, log_weights [B, B] from one of the samplings. Biased also where q~ is not, as
    the logarithm of a mean; the aggregate posterior of 64 images cannot show a joint much denser than log 64 apart.
    """
    joint = torch.logsumexp(log_weights + log_q.sum(2), 1)  # [B]
    marginals = torch.logsumexp(log_weights[:, :, None] + log_q, 1)  # [B, J]
    return (joint - marginals.sum(1)).mean()


@dataclass(frozen=True)
class TotalCorrelation:
    """KL + (beta - 1) TC, TC by stratified sampling.

    Source: Chen et al., Isolating sources of disentanglement, NeurIPS 2018, eq. 4 with alpha = gamma = 1. As there
    I + beta TC + the KL of each latent alone is meant, but the analytic KL stands for the sum of the three, and only
    beta - 1 of the TC is sampled: less noise, the same expectation. Their runs weight minibatches; this does not, see
    `weighted_sampling`. beta is no weight of the KL, so that no column holds it.
    """

    beta: float
    images: int  # N

    columns = ()

    def initial_state(self) -> Tensor:
        return torch.zeros(0, dtype=torch.float64)

    def control(self, t: Tensor, state: Tensor, kl: Tensor) -> tuple[Tensor, Tensor]:
        return state, state

    def penalty(self, state: Tensor, encoded: Encoded) -> Tensor:
        log_q = log_densities(encoded.latents, encoded.mean, encoded.logvar)
        sampled = total_correlation(log_q, stratified_sampling(encoded.mean, self.images))
        return encoded.kl + (self.beta - 1) * sampled


def beta_tcvae(settings: ObjectiveSettings, schedule: Callable[..., Schedule] | None) -> TotalCorrelation:
    """beta = 6 on dSprites; raises ValueError for batches of one image, in which nothing correlates."""
    if settings.batch_size < 2:
        raise Refusal(f"batch_size is {settings.batch_size}; the arm beta_tcvae needs 2 or more images in a batch.")
    return TotalCorrelation(BETA, N_IMAGES)
