"""The total correlation of the latents, KL(q(z) || prod_j q(z_j)), estimated from one batch of posteriors.

q(z) = (1/N) sum over all N images of q(z|x), and a batch has B of them: with l_ijd = log q(z_id | x_j), [B, B, J], an
estimator says with which weight the batch's image j stands for the data set in the density at z_i,

    log q(z_i) = LSE_j (log W_ij + sum_d l_ijd),    log q(z_id) = LSE_j (log W_ij + l_ijd),
    TC = mean_i (log q(z_i) - sum_d log q(z_id)).

Note that W enters after the sum over latents: once in the joint density, and once in every marginal.

Source: Chen et al., Isolating Sources of Disentanglement in VAEs, NeurIPS 2018, section 4.1 and appendix C.
"""

import math

import torch
from torch import Tensor

LOG_2PI = math.log(2 * math.pi)


def log_densities(latents: Tensor, mean: Tensor, logvar: Tensor) -> Tensor:
    """l_ijd = log q(z_id | x_j), [B, B, J], of latents z [B, J] under posteriors [B, J]."""
    distance = latents[:, None] - mean[None]  # [B, B, J]
    return -0.5 * (distance.square() * (-logvar).exp() + logvar + LOG_2PI)


def minibatch_weights(batch: int, images: int, device: torch.device | str = "cpu") -> Tensor:
    """Minibatch-weighted sampling: W_ij = 1 / (N B), float64 [B, B].

    A lower bound of log q(z) in expectation, and far below it: rows sum to 1/N. Joint and marginals alike lack log N
    where posteriors overlap strongly, so that the total correlation comes out (J - 1) log N too high: exactly so where
    the batch is the data set. Where posteriors stand apart, but not in each latent, the joint lacks log B alone, and
    the error is J log N - log B. Only its gradient means anything.
    """
    return torch.full((batch, batch), 1 / (images * batch), dtype=torch.float64, device=device)


def stratified_weights(batch: int, images: int, device: torch.device | str = "cpu") -> Tensor:
    """Minibatch stratified sampling: W_ii = 1/N and W_ij = (N - 1) / (N (B - 1)) off the diagonal, float64 [B, B].

    z_i came from image i, which is one of N; the B - 1 others stand for the other N - 1. Rows sum to 1, the estimate of
    q(z) is unbiased, and exact where the batch is the data set.

    Chen et al. give one other image of a row the weight (N - M) / (N M), M = B - 1, and the rest 1/M. Which one is
    arbitrary: this is the mean over the choices, with the same expectation, less variance, and exact at B = N, where
    theirs all but leaves one image out. Needs B >= 2.
    """
    others = (images - 1) / (images * (batch - 1))
    weights = torch.full((batch, batch), others, dtype=torch.float64, device=device)
    return weights.fill_diagonal_(1 / images)


def parts(latents: Tensor, mean: Tensor, logvar: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """I_q(x; z) and TC, both [] in nats per image: z ~ q(z|x) and posteriors [B, J], an estimator's weights [B, B].

    I is mean_i (log q(z_i|x_i) - log q(z_i)). Its value says little where it is above log B; the training of no arm
    steers by it.
    """
    densities = log_densities(latents, mean, logvar)
    log_weights = weights.log().to(densities.dtype)
    own = densities.diagonal().sum(0)  # [B], of [J, B]
    joint = torch.logsumexp(log_weights + densities.sum(2), 1)  # [B]
    marginals = torch.logsumexp(log_weights[:, :, None] + densities, 1)  # [B, J]
    return (own - joint).mean(), (joint - marginals.sum(1)).mean()


def total_correlation(latents: Tensor, mean: Tensor, logvar: Tensor, weights: Tensor) -> Tensor:
    """TC [] in nats per image of a batch: z ~ q(z|x) and posteriors, all [B, J], and an estimator's weights [B, B]."""
    return parts(latents, mean, logvar, weights)[1]
