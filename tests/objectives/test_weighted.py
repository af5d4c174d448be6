"""Weights of the KL that the clock alone decides: closed forms, ends, and the training that they give."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from plain_arm import engine_training, plain_training

from lib.arms import objective_of, schedule_of


def betas(arm, config):
    objective = objective_of(arm, config)
    nothing = objective.initial_state(), torch.tensor(7.0)
    return np.array([objective.control(torch.tensor(t), *nothing)[0].item() for t in range(1, config.steps + 1)])


def cyclical_by_fractions(t, steps):
    """Fu et al.'s eq. 6 and 7 in exact arithmetic."""
    cycle = Fraction(steps, 4)
    tau = ((t - 1) % cycle) / cycle
    return min(tau / Fraction(1, 2), Fraction(1))


@pytest.mark.parametrize("steps", [800, 1_001, 60, 3])
def test_cyclical_annealing_is_its_closed_form(steps, tiny_config):
    found = betas("cyclical", tiny_config(steps=steps, trace_every=1))
    expected = [float(cyclical_by_fractions(t, steps)) for t in range(1, steps + 1)]
    assert np.abs(found - expected).max() < 1e-12


def test_cyclical_annealing_is_the_published_loop(tiny_config):
    """Their way to write it: within each cycle a number that grows by a fixed step, then 1."""
    steps, cycles, ratio = 800, 4, 0.5
    expected, cycle = np.ones(steps), steps // cycles
    for start in range(0, steps, cycle):
        expected[start : start + cycle // 2] = np.arange(cycle // 2) / (cycle * ratio)
    found = betas("cyclical", tiny_config(steps=steps))
    assert np.abs(found - expected).max() < 1e-12
    assert found[0] == found[200] == 0 and found[100] == found[199] == found[-1] == 1


def test_annealing_rises_in_a_straight_line_and_stays(tiny_config):
    found = betas("kl_annealing", tiny_config(steps=400))
    assert found[0] == 0 and found[50] == 0.5 and found[99] == 0.99
    assert (found[100:] == 1).all() and (np.diff(found) >= 0).all()


@pytest.mark.parametrize(("arm", "beta"), [("vae", 1.0), ("beta_vae", 4.0)])
def test_constant_weights(arm, beta, tiny_config):
    assert (betas(arm, tiny_config()) == beta).all()
    with pytest.raises(ValueError, match=f"The arm {arm} has no capacity C"):
        schedule_of(arm, 0.5, 16.0, 100)


@pytest.mark.parametrize("arm", ["vae", "beta_vae", "kl_annealing", "cyclical"])
def test_the_engine_trains_with_the_weight(arm, tiny_config, few_images):
    config = tiny_config(arm, precision="float64", steps=16, trace_every=1)
    weights = {
        "vae": lambda t: 1.0,
        "beta_vae": lambda t: 4.0,
        "kl_annealing": lambda t: min((t - 1) / 4, 1.0),
        "cyclical": lambda t: (0.0, 0.5, 1.0, 1.0)[(t - 1) % 4],
    }

    def pressure(t, mean, logvar, z, kl):
        return weights[arm](t) * kl, (weights[arm](t),)

    expected = plain_training(config, few_images, 7, pressure)
    assert np.allclose(engine_training(config, few_images, 7), expected, rtol=1e-9)
