"""beta-TCVAE: of the KL's parts, only the total correlation is weighed."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from lib.dsprites import N_IMAGES
from lib.objectives.seam import Encoded, ObjectiveSettings
from lib.objectives.total_correlation import minibatch_weights, parts, stratified_weights, total_correlation
from lib.objectives.weighted import LOWER_BOUND
from lib.schedules import Schedule

BETA = 6.0


@dataclass(frozen=True)
class WeightedTotalCorrelation:
    """L = D + KL + (beta - 1) TC, with TC estimated from the batch; recorded is the weight of the KL, 1.

    Source: Chen et al. 2018, eq. 4 with alpha = gamma = 1: I + beta TC + the dimension-wise KL. The three add up to
    the KL, whose closed form has less noise than the sampled parts, so that only the rest of the TC is sampled.
    """

    beta: float
    images: int  # N, whose aggregate posterior is meant
    sampling: Callable[..., Tensor]  # minibatch_weights or stratified_weights

    columns = ("beta",)

    @property
    def rests_on(self) -> tuple[Callable, ...]:
        return total_correlation, parts, self.sampling

    def initial_state(self) -> Tensor:
        return LOWER_BOUND.initial_state()

    def control(self, t: Tensor, state: Tensor, kl: Tensor) -> tuple[Tensor, Tensor]:
        return LOWER_BOUND.control(t, state, kl)

    def penalty(self, state: Tensor, encoded: Encoded) -> Tensor:
        mean, logvar, latents = encoded.mean, encoded.logvar, encoded.latents
        weights = self.sampling(len(latents), self.images, latents.device)
        correlation = total_correlation(latents, mean, logvar, weights)
        return LOWER_BOUND.penalty(state, encoded) + (self.beta - 1) * correlation


def beta_tcvae(settings: ObjectiveSettings, schedule: Callable[..., Schedule] | None) -> WeightedTotalCorrelation:
    """beta = 6, the authors', by stratified sampling.

    They train an MLP in batches of 2,048 at learning rate 1e-3; here all of that is the settings'.
    """
    return WeightedTotalCorrelation(BETA, N_IMAGES, stratified_weights)


def beta_tcvae_weighted(
    settings: ObjectiveSettings, schedule: Callable[..., Schedule] | None
) -> WeightedTotalCorrelation:
    """beta = 6 by minibatch-weighted sampling, as the authors; else as `beta_tcvae`."""
    return WeightedTotalCorrelation(BETA, N_IMAGES, minibatch_weights)
