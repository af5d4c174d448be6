"""Weights of the KL that are functions of the step alone: closed forms, and the training that they give."""

import math
from fractions import Fraction

import pytest
import torch

from lib.arms import objective_of


def betas(arm: str, steps: int, tiny_config) -> list[float]:
    """beta(1), ..., beta(T)."""
    weight = objective_of(arm, tiny_config(arm, steps=steps, trace_every=1)).weight
    return weight(torch.arange(1, steps + 1)).tolist()


@pytest.mark.parametrize(("arm", "beta"), [("vae", 1.0), ("beta_vae", 4.0)])
def test_a_fixed_beta_is_fixed(arm, beta, tiny_config):
    assert betas(arm, 7, tiny_config) == [beta] * 7


@pytest.mark.parametrize("steps", [4, 7, 60, 1_001, 40_000])
@pytest.mark.parametrize(
    ("arm", "cycles", "rising"), [("cyclical", 4, Fraction(1, 2)), ("kl_annealing", 1, Fraction(1, 4))]
)
def test_annealing_has_its_closed_form(arm, cycles, rising, steps, tiny_config):
    period = Fraction(steps, cycles)
    expected = [min(Fraction(1), (t - 1) % period / period / rising) for t in range(1, steps + 1)]
    assert max(abs(a - b) for a, b in zip(betas(arm, steps, tiny_config), expected, strict=True)) < 1e-12


def test_cyclical_annealing_is_the_published_code_where_cycles_are_whole(tiny_config):
    """That code fills an array by adding up steps of beta, cycle by cycle."""
    steps, cycles, rising = 80, 4, 0.5
    expected = [1.0] * steps
    for cycle in range(cycles):
        beta = 0.0
        for i in range(steps // cycles):
            expected[cycle * steps // cycles + i] = min(beta, 1.0)
            beta += cycles / (steps * rising)
    assert betas("cyclical", steps, tiny_config) == pytest.approx(expected, abs=1e-12)


def test_annealing_begins_at_zero_and_ends_at_one(tiny_config):
    monotone, cyclical = betas("kl_annealing", 80, tiny_config), betas("cyclical", 80, tiny_config)
    assert monotone[0] == 0 and monotone[20:] == [1.0] * 60
    assert monotone == sorted(monotone) and monotone[19] < 1
    assert [t for t, beta in enumerate(cyclical) if beta == 0] == [0, 20, 40, 60]
    assert cyclical[10:20] == [1.0] * 10 and cyclical[-1] == 1


def test_the_last_step_of_the_longest_training_is_exact(tiny_config):
    steps = 10**9
    weight = objective_of("cyclical", tiny_config("cyclical", steps=steps, trace_every=1)).weight
    assert weight(torch.tensor(steps // 4 + 2)).item() == pytest.approx(8 / steps, abs=1e-18)


@pytest.mark.parametrize(
    ("arm", "beta"),
    [
        ("vae", lambda t, steps: 1.0),
        ("beta_vae", lambda t, steps: 4.0),
        ("kl_annealing", lambda t, steps: min(1.0, 4 * (t - 1) / steps)),
        ("cyclical", lambda t, steps: min(1.0, 2 * math.modf(4 * (t - 1) / steps)[0])),
    ],
)
def test_training_follows_the_plain_loop(arm, beta, follows):
    follows(arm, lambda config: lambda t, kl, *_: (beta(t, config.steps) * kl, [beta(t, config.steps)]))
