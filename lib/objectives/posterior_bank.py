"""I_q(x; z) while a network trains, from a bank of posteriors: what no single batch can see.

From a batch of B images no estimator sees more than log B nats, and one that adds log N sees log N whatever there is.
An objective that steers by I_q(x; z) needs many more posteriors than that: `sufficient`.
"""

import math

import torch
from torch import Tensor

LOG_2PI = math.log(2 * math.pi)
LEAST = 2**12  # posteriors of a bank
ENOUGH = 8.0  # M exp(-I): simulated, the bias is 0.2 nats at most
PART = 2**15  # posteriors of one block of log densities
RANGE = 80.0  # of log ratios of densities: less does not count, and exp is slow where it underflows


def sufficient(information: float) -> int:
    """How many posteriors an estimate of about so many nats needs, M. More would be older while a network trains.

    LEAST where the information is not a number: that a training has diverged is for its trace to say.
    """
    return LEAST if math.isnan(information) else max(LEAST, math.ceil(ENOUGH * math.exp(information)))


def mutual_information(mean: Tensor, logvar: Tensor, own: Tensor, noise: Tensor, images: int) -> Tensor:
    """I_q(x; z) [], nats, from a bank of M of N images' posteriors [M, J] and S draws z ~ q(z|x) of its rows.

    own: rows of the draws' images, int64 [S]; noise: standard normal [S, J]; images: N. In

        q(z) = q(z|x*) / N + (N - 1)/N mean over the bank's other rows of q(z|x_m),    I = mean log q(z|x*) - log q(z)

    the own image counts as one of N, and so is neither left out nor counted as one of M. Biased up where M is small
    (Jensen); clipped to what it can be, [0, min(KL, log N)].
    """
    z = mean[own] + (logvar[own] / 2).exp() * noise  # [S, J]
    log_own = -0.5 * (noise.square() + logvar[own] + LOG_2PI).sum(1)  # [S]
    features = torch.cat([z.square(), z, torch.ones_like(z[:, :1])], 1)  # [S, 2 J + 1]
    others = torch.zeros_like(log_own)  # sum over the other rows of q(z|x_m) / q(z|x*)
    for start in range(0, len(mean), PART):
        m, v = mean[start : start + PART], logvar[start : start + PART]
        precision = (-v).exp()
        constant = -0.5 * (m.square() * precision + v + LOG_2PI).sum(1, keepdim=True)
        densities = features @ torch.cat([-0.5 * precision, m * precision, constant], 1).T  # [S, part]
        ratios = (densities - log_own[:, None]).clamp_(-RANGE, RANGE).exp_()
        others += ratios.masked_fill_(torch.arange(start, start + len(m), device=z.device) == own[:, None], 0.0).sum(1)
    log_ratio = torch.log(1 / images + (images - 1) / images * others / (len(mean) - 1))  # log q(z) / q(z|x*)
    kl = 0.5 * (mean.square() + logvar.exp() - logvar - 1).sum(1).mean()
    return (-log_ratio).mean().clamp(min=0.0).minimum(kl).clamp(max=math.log(images))
