"""DCI, SAP and the FactorVAE score on codes whose scores are known."""

import numpy as np
import pytest
import torch
from scipy.stats import entropy

from lib.disentanglement import concentration, dci, factor_vae_score, sap_score

SIZES = (3, 4, 5)
ORDER = [2, 0, 3]  # the perfect code's latents; with latent 1 there is one more than factors


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def factor_values(sizes):
    """[N, K] in data-set order, each factor with mean 0 and variance 1."""
    values = torch.cartesian_prod(*(torch.arange(float(size)) for size in sizes))
    return (values - values.mean(0)) / values.std(0)


def perfect(sizes):
    """Latents 2, 0, 3 hold factors 0, 1, 2; latent 1 is constant."""
    values = factor_values(sizes)
    mean = torch.zeros(len(values), 4)
    mean[:, ORDER] = values
    return mean


def rotated(sizes):
    """Each latent is made of all three factors in equal parts."""
    return factor_values(sizes) @ torch.tensor([[1.0, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1]]) / 2


def independent(sizes):
    return torch.randn(np.prod(sizes), 4, generator=generator(7))


# DCI


def test_dci_of_a_perfect_code():
    scores = dci(perfect(SIZES), SIZES, generator(), 500, 300)
    assert scores.disentanglement == pytest.approx(1, abs=1e-3)
    assert scores.completeness == pytest.approx(1, abs=1e-3)
    assert scores.informativeness_train == scores.informativeness_test == 1
    assert scores.importance.shape == (3, 4)
    assert scores.importance.argmax(1).tolist() == ORDER
    assert scores.importance.sum(1) == pytest.approx(1)


def test_dci_of_a_rotated_code():
    scores = dci(rotated(SIZES), SIZES, generator(), 500, 300)
    assert scores.disentanglement < 0.5
    assert scores.completeness < 0.5
    assert scores.informativeness_test > 0.9  # all is there, only not in single latents


def test_dci_of_a_code_independent_of_the_factors():
    scores = dci(independent((6, 8, 10)), (6, 8, 10), generator(), 300, 300)
    assert scores.disentanglement < 0.2
    assert scores.completeness < 0.2


def test_dci_where_one_latent_holds_two_factors():
    """Complete, as each factor needs one latent, but not disentangled."""
    values = torch.cartesian_prod(torch.arange(3.0), torch.arange(4.0))
    mean = torch.stack([torch.zeros(12), 4 * values[:, 0] + values[:, 1], torch.zeros(12)], 1)
    scores = dci(mean, (3, 4), generator(), 300, 100)
    assert scores.completeness == pytest.approx(1, abs=1e-6)
    assert scores.disentanglement == pytest.approx(0, abs=1e-6)


def test_concentration_agrees_with_scipy():
    importance = np.random.default_rng(0).random((5, 3)) ** 4
    rows = 1 - entropy(importance.T, base=3)
    assert concentration(importance) == pytest.approx(np.average(rows, weights=importance.sum(1)))
    idle = np.vstack([importance, np.zeros(3)])
    assert concentration(idle) == pytest.approx(concentration(importance))
    assert concentration(np.zeros((3, 4))) == 0
    assert concentration(np.ones((3, 4))) == pytest.approx(0)
    assert concentration(np.eye(3)) == pytest.approx(1)


# SAP


def test_sap_of_a_perfect_binary_code_is_one_less_chance():
    sizes = (2, 2, 2)
    assert sap_score(perfect(sizes), sizes, generator(), 2000, 4000) == pytest.approx(0.5, abs=0.03)


def test_sap_of_a_perfect_code_of_three_values():
    mean = torch.stack([torch.zeros(3), torch.arange(3.0)], 1)
    assert sap_score(mean, (3,), generator(), 3000, 9000) == pytest.approx(1 - 1 / 3, abs=0.03)


@pytest.mark.parametrize("make", [rotated, independent])
def test_sap_of_other_codes_is_small(make):
    sizes = (8, 10, 12)
    assert sap_score(make(sizes), sizes, generator(), 2000, 2000) < 0.03


def test_sap_of_a_duplicated_code_is_zero():
    values = factor_values((2, 2))
    assert sap_score(torch.cat([values, values], 1), (2, 2), generator(), 500, 500) == 0


# FactorVAE score


def test_factor_vae_score_of_known_codes():
    assert factor_vae_score(perfect(SIZES), SIZES, generator()) == 1
    chance = 1 / 3
    for make in (rotated, independent):
        mean = make((8, 10, 12))
        assert chance - 0.05 < factor_vae_score(mean, (8, 10, 12), generator()) < chance + 0.25
    assert factor_vae_score(torch.zeros(60, 4), SIZES, generator()) == 0


def test_factor_vae_score_leaves_out_collapsed_latents():
    """A latent that moves by 0.01 follows a factor without counting for it."""
    mean = perfect(SIZES)
    mean[:, ORDER[0]] *= 0.01
    assert factor_vae_score(mean, SIZES, generator()) == pytest.approx(2 / 3, abs=0.05)
    mean[:, ORDER[0]] *= 10
    assert factor_vae_score(mean, SIZES, generator()) == 1


def test_factor_vae_score_does_not_depend_on_the_scale_of_the_latents():
    mean = rotated(SIZES) + 0.5 * perfect(SIZES)
    scaled = mean * torch.tensor([0.2, 3.0, 1.0, 7.0])
    assert factor_vae_score(mean, SIZES, generator()) == factor_vae_score(scaled, SIZES, generator())


def slow_factor_vae_score(mean, sizes, votes, random):
    """Vote by vote in NumPy, variances by hand."""
    mean = mean.double().numpy().reshape(*sizes, -1)
    everything = mean.reshape(-1, mean.shape[-1])
    spread = ((everything - everything.mean(0)) ** 2).mean(0)

    def vote():
        fixed = random.integers(len(sizes))
        factors = [random.integers(size, size=64) for size in sizes]
        factors[fixed][:] = factors[fixed][0]
        codes = mean[tuple(factors)]
        return fixed, np.argmin(((codes - codes.mean(0)) ** 2).mean(0) / spread)

    table = np.zeros((mean.shape[-1], len(sizes)))
    for _ in range(votes):
        fixed, latent = vote()
        table[latent, fixed] += 1
    majority = table.argmax(1)
    return np.mean([majority[latent] == fixed for fixed, latent in (vote() for _ in range(votes))])


def test_factor_vae_score_agrees_with_a_slow_version():
    values = factor_values(SIZES)
    mixing = torch.tensor([[1.0, 0.8, 0.0, 0.0], [0.0, 1.0, 0.9, 0.0], [0.3, 0.0, 1.0, 1.0]])
    mean = values @ mixing + 0.5 * torch.randn(60, 4, generator=generator(3))
    slow = slow_factor_vae_score(mean, SIZES, 3000, np.random.default_rng(0))
    assert 0.4 < slow < 0.95
    assert factor_vae_score(mean, SIZES, generator()) == pytest.approx(slow, abs=0.04)


# All three


def test_scores_do_not_depend_on_the_order_of_the_latents():
    sizes = (2, 3, 4)
    mean = rotated(sizes) + 0.5 * perfect(sizes)
    for score in (sap_score, factor_vae_score):
        first, permuted = (score(codes, sizes, generator(), 500, 500) for codes in (mean, mean[:, [3, 1, 0, 2]]))
        assert first == pytest.approx(permuted, abs=1e-9)


def test_the_wrong_number_of_rows_is_refused():
    for score in (dci, sap_score, factor_vae_score):
        with pytest.raises(ValueError, match=r"need \[60, J\]"):
            score(torch.zeros(61, 4), SIZES, generator())
    with pytest.raises(ValueError, match="best two"):
        sap_score(torch.zeros(60, 1), SIZES, generator(), 100, 100)
