"""Both estimators against exact values and plain loops; the two defects that copies of them share would be found."""

import itertools
import math

import numpy as np
import pytest
import torch
from plain_arm import engine_training, plain_training

from lib.arms import objective_of
from lib.dsprites import N_IMAGES
from lib.objectives.total_correlation import minibatch_weights, stratified_weights, total_correlation


def normal(z, mean, logvar):
    return math.exp(-((z - mean) ** 2) / (2 * math.exp(logvar))) / math.sqrt(2 * math.pi * math.exp(logvar))


def loop(z, mean, logvar, weights):
    """The estimate in plain numbers, density by density."""
    total, (size, latents) = 0.0, z.shape
    for i in range(size):
        q = [[normal(z[i, d], mean[j, d], logvar[j, d]) for d in range(latents)] for j in range(size)]
        joint = sum(weights[i, j] * math.prod(q[j]) for j in range(size))
        marginals = [sum(weights[i, j] * q[j][d] for j in range(size)) for d in range(latents)]
        total += math.log(joint) - sum(map(math.log, marginals))
    return total / size


def published_weights(batch, images, odd):
    """Chen et al.'s, with the odd one of row i at column i + odd, around the corner, and 1/N where it belongs."""
    m = batch - 1
    weights = np.full((batch, batch), 1 / m)
    for i in range(batch):
        weights[i, i] = 1 / images
        weights[i, (i + odd) % batch] = (images - m) / (images * m)
    return weights


@pytest.fixture
def posteriors():
    """12 posteriors of 3 latents, the last two of which depend on one another, with a draw from each, float64."""
    generator = torch.Generator().manual_seed(0)
    mean, noise = torch.randn(2, 12, 3, generator=generator, dtype=torch.float64)
    mean[:, 2] = mean[:, 1] + 0.1 * mean[:, 2]
    logvar = torch.rand(12, 3, generator=generator, dtype=torch.float64) - 2
    return mean + (logvar / 2).exp() * noise, mean, logvar


@pytest.mark.parametrize("rule", [minibatch_weights, stratified_weights])
@pytest.mark.parametrize("images", [12, 737_280])
def test_the_estimate_is_the_plain_loops(rule, images, posteriors):
    weights = rule(12, images)
    found = total_correlation(*posteriors, weights).item()
    assert found == pytest.approx(loop(*(each.numpy() for each in (*posteriors, weights))), abs=1e-9)


@pytest.mark.parametrize(("batch", "images"), [(2, 2), (2, 50), (7, 7), (7, 50), (64, 737_280)])
def test_stratified_weights(batch, images):
    weights = stratified_weights(batch, images).numpy()
    assert (np.diag(weights) == 1 / images).all()
    assert np.abs(weights.sum(1) - 1).max() < 1e-12
    published = [published_weights(batch, images, odd) for odd in range(1, batch)]
    assert np.abs(np.array(published).sum(2) - 1).max() < 1e-12
    assert np.abs(np.mean(published, axis=0) - weights).max() < 1e-12
    if batch == images:
        assert np.abs(weights - 1 / images).max() < 1e-15


def exact(z, mean, logvar):
    """mean_i log q(z_i) - sum_d log q(z_id) with q the mean of all posteriors given."""
    return loop(z.numpy(), mean.numpy(), logvar.numpy(), np.full((len(z), len(z)), 1 / len(z)))


def test_where_the_batch_is_the_data_set_stratified_sampling_is_exact(posteriors):
    assert total_correlation(*posteriors, stratified_weights(12, 12)).item() == pytest.approx(exact(*posteriors))


def test_where_the_batch_is_the_data_set_weighted_sampling_is_off_by_its_constant(posteriors):
    found = total_correlation(*posteriors, minibatch_weights(12, 12)).item()
    assert found - exact(*posteriors) == pytest.approx(2 * math.log(12))


def test_stratified_sampling_estimates_the_density_without_bias():
    """Over every batch of 3 of 6 images with the draw's own image among them, the mean is q(z) itself."""
    generator = torch.Generator().manual_seed(1)
    mean = torch.randn(6, dtype=torch.float64, generator=generator)
    densities = torch.tensor([normal(0.3, m, -1.0) for m in mean.tolist()], dtype=torch.float64)
    weights = stratified_weights(3, 6)[0]
    batches = [torch.tensor([0, *others]) for others in itertools.combinations(range(1, 6), 2)]
    estimates = [(weights * densities[batch]).sum().item() for batch in batches]
    assert np.mean(estimates) == pytest.approx(densities.mean().item())


def test_weighted_sampling_nears_its_offset_as_posteriors_overlap():
    """A batch of 64 of N images of 10 latents, less the exact value from all N: (J - 1) log N once means gather."""
    images, generator = 2_000, torch.Generator().manual_seed(2)
    mean, noise = torch.randn(2, images, 10, generator=generator, dtype=torch.float64)
    logvar, few, errors = torch.zeros(images, 10, dtype=torch.float64), slice(64), {}
    for spread in (3.0, 0.3, 0.03):
        means = spread * mean
        z = means[few] + noise[few]
        q = torch.distributions.Normal(means[None], 1.0).log_prob(z[:, None])  # [64, N, J]
        log_joint, log_marginals = q.sum(2).logsumexp(1) - math.log(images), q.logsumexp(1) - math.log(images)
        exact_value = (log_joint - log_marginals.sum(1)).mean()
        for rule in (minibatch_weights, stratified_weights):
            found = total_correlation(z, means[few], logvar[few], rule(64, images))
            errors[rule, spread] = (found - exact_value).item()
    offset = 9 * math.log(images)
    apart = [errors[minibatch_weights, spread] - offset for spread in (3.0, 0.3, 0.03)]
    assert 1 < apart[0] < math.log(images) - math.log(64), apart  # up to J log N - log B where joint posteriors part
    assert abs(apart[1]) < 0.5 and abs(apart[2]) < 0.01, apart
    assert abs(errors[stratified_weights, 0.03]) < 0.01  # which has no such offset
    assert 9 * math.log(N_IMAGES) == pytest.approx(121.6, abs=0.05)  # on dSprites


@pytest.mark.parametrize(
    ("arm", "weights"),
    [
        ("beta_tcvae", np.mean([published_weights(8, N_IMAGES, odd) for odd in range(1, 8)], axis=0)),
        ("beta_tcvae_weighted", np.full((8, 8), 1 / (8 * N_IMAGES))),
    ],
)
def test_the_engine_trains_with_the_total_correlation(arm, weights, tiny_config, few_images):
    config = tiny_config(arm, precision="float64", batch_size=8)

    def pressure(t, mean, logvar, z, kl):
        q = torch.distributions.Normal(mean[None], (logvar / 2).exp()[None]).log_prob(z[:, None]).exp()  # [B, B, J]
        w = torch.from_numpy(weights)
        joint, marginals = (w * q.prod(2)).sum(1).log(), (w[:, :, None] * q).sum(1).log().sum(1)
        return kl + 5 * (joint - marginals).mean(), (1.0,)

    expected = plain_training(config, few_images, 5, pressure)
    assert np.allclose(engine_training(config, few_images, 5), expected, rtol=1e-8)
    assert objective_of(arm, config).beta == 6


def test_a_batch_of_one_is_refused(tiny_config):
    with pytest.raises(
        ValueError, match="batch_size is 1; the arm beta_tcvae compares the images of a batch: give 2 or"
    ):
        tiny_config("beta_tcvae", batch_size=1)
