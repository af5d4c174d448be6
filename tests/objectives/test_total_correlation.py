"""The sampled total correlation against exact sums over a small set, where every batch can be counted."""

import itertools
import math

import pytest
import torch

from lib.arms import objective_of
from lib.objectives import total_correlation as tc


@pytest.fixture
def posteriors():
    """A function: mean, logvar and one z each [N, J] for N images, in double precision."""

    def draw(images: int, latents: int, spread: float = 1.0, seed: int = 0):
        generator = torch.Generator().manual_seed(seed)
        mean, logvar, noise = torch.randn(3, images, latents, dtype=torch.float64, generator=generator)
        mean, logvar = spread * mean, 0.5 * logvar * min(spread, 1.0)
        return mean, logvar, mean + (0.5 * logvar).exp() * noise

    return draw


def density(z: float, mean: float, logvar: float) -> float:
    return math.exp(-((z - mean) ** 2) / (2 * math.exp(logvar))) / math.sqrt(2 * math.pi * math.exp(logvar))


def exact(mean, logvar, latents) -> tuple[list[float], list[list[float]]]:
    """q(z_i) and q(z_ij), each over all images that are given, by loops over Python's numbers."""
    n, j = mean.shape
    each = [
        [[density(latents[i, d].item(), mean[x, d].item(), logvar[x, d].item()) for d in range(j)] for x in range(n)]
        for i in range(n)
    ]
    joint = [sum(math.prod(row) for row in rows) / n for rows in each]
    return joint, [[sum(row[d] for row in rows) / n for d in range(j)] for rows in each]


def exact_total_correlation(mean, logvar, latents) -> float:
    joint, marginals = exact(mean, logvar, latents)
    terms = [math.log(q) - sum(map(math.log, rest)) for q, rest in zip(joint, marginals, strict=True)]
    return sum(terms) / len(terms)


@pytest.mark.parametrize(("batch", "images"), [(2, 2), (2, 737_280), (5, 7), (64, 737_280), (64, 64)])
def test_stratified_weights_have_their_diagonal_and_rows_that_sum_to_one(batch, images):
    weights = tc.stratified_sampling(torch.zeros(batch, 3, dtype=torch.float64), images).exp()
    assert weights.shape == (batch, batch)
    assert torch.allclose(weights.diag(), torch.tensor(1 / images, dtype=torch.float64), rtol=1e-12)
    assert torch.allclose(weights.sum(1), torch.ones(batch, dtype=torch.float64), rtol=1e-12)
    assert (weights[~torch.eye(batch, dtype=bool)] > 0).all()


def test_stratified_weights_are_the_mean_of_the_published_ones():
    """Those have 1 / N on the diagonal, (N - M) / (N M) at one other place of a row, 1 / M at the rest."""
    batch, images = 4, 11
    others = batch - 1
    published = []
    for odd in itertools.product(range(others), repeat=batch):
        weights = torch.full((batch, batch), 1 / others, dtype=torch.float64)
        for row, place in enumerate(odd):
            weights[row, (row + 1 + place) % batch] = (images - others) / (images * others)
        weights.fill_diagonal_(1 / images)
        assert torch.allclose(weights.sum(1), torch.ones(batch, dtype=torch.float64))
        published.append(weights)
    found = tc.stratified_sampling(torch.zeros(batch, 1, dtype=torch.float64), images).exp()
    assert torch.allclose(found, torch.stack(published).mean(0), rtol=1e-12)


@pytest.mark.parametrize("spread", [0.1, 1.0, 5.0])
def test_a_batch_of_all_images_gives_the_exact_value(spread, posteriors):
    mean, logvar, latents = posteriors(7, 3, spread)
    log_q, expected = tc.log_densities(latents, mean, logvar), exact_total_correlation(mean, logvar, latents)
    assert tc.total_correlation(log_q, tc.stratified_sampling(mean, 7)).item() == pytest.approx(expected, abs=1e-10)
    weighted = tc.total_correlation(log_q, tc.weighted_sampling(mean, 7)).item()
    assert weighted == pytest.approx(expected + 2 * math.log(7), abs=1e-10)  # (J - 1) log N


def test_stratified_densities_are_unbiased_over_all_batches(posteriors):
    """Every batch of 3 out of 6 images that holds image i: the mean of q~(z_i), and of its marginals, is exact."""
    mean, logvar, latents = posteriors(6, 2)
    joint, marginals = exact(mean, logvar, latents)
    for i in range(6):
        batches = [[i, *rest] for rest in itertools.combinations([x for x in range(6) if x != i], 2)]
        found = []
        for batch in batches:
            log_q = tc.log_densities(latents[batch], mean[batch], logvar[batch])[0]  # z_i under 3 images [3, J]
            weights = tc.stratified_sampling(mean[batch], 6)[0]
            found.append([(weights + log_q.sum(1)).exp().sum(), *(weights[:, None] + log_q).exp().sum(0)])
        expected = torch.tensor([joint[i], *marginals[i]], dtype=torch.float64)
        assert torch.allclose(torch.tensor(found, dtype=torch.float64).mean(0), expected, rtol=1e-12)


def test_weighted_sampling_is_off_by_j_minus_1_times_log_n_where_posteriors_overlap(posteriors):
    mean, logvar, latents = posteriors(64, 10, spread=0.01)
    log_q = tc.log_densities(latents, mean, logvar)
    images = 737_280
    offset = 9 * math.log(images)
    assert offset == pytest.approx(121.6, abs=0.05)
    weighted = tc.total_correlation(log_q, tc.weighted_sampling(mean, images)).item()
    assert weighted == pytest.approx(offset, abs=0.02)
    assert abs(tc.total_correlation(log_q, tc.stratified_sampling(mean, images)).item()) < 0.02


def test_independent_posteriors_have_less_than_copied_ones(posteriors):
    """Two latents that hold the same: TC is what one of them says; an own z for each would only lower it."""
    mean, logvar, latents = posteriors(200, 1, spread=3.0)
    copied = [each.repeat(1, 2) for each in (mean, logvar, latents)]
    shuffled = [torch.cat([each, each.roll(1, 0)], 1) for each in (mean, logvar, latents)]

    def found(m, v, z):
        return tc.total_correlation(tc.log_densities(z, m, v), tc.stratified_sampling(m, 200)).item()

    assert found(*copied) > found(*shuffled) + 0.5
    assert found(mean, logvar, latents) == pytest.approx(0.0, abs=1e-12)  # one latent has nothing to correlate with


def test_a_batch_of_one_image_is_refused(tiny_config):
    with pytest.raises(ValueError, match="batch_size is 1; the arm beta_tcvae needs 2 or more"):
        objective_of("beta_tcvae", tiny_config("beta_tcvae", batch_size=1))


def plain(config):
    n, batch = 737_280, config.batch_size

    def step(t, kl, mean, logvar, latents):
        """KL + 5 TC, image by image and latent by latent."""
        terms = []
        for i in range(batch):
            weights = [1 / n if j == i else (1 - 1 / n) / (batch - 1) for j in range(batch)]
            log_q = torch.distributions.Normal(mean, (logvar / 2).exp()).log_prob(latents[i])  # [B, J]
            joint = torch.log(sum(w * q.sum().exp() for w, q in zip(weights, log_q, strict=True)))
            marginals = torch.log(sum(w * q.exp() for w, q in zip(weights, log_q, strict=True)))
            terms.append(joint - marginals.sum())
        return kl + 5 * sum(terms) / batch, []

    return step


def test_training_follows_the_plain_loop(follows):
    follows("beta_tcvae", plain, steps=10)
