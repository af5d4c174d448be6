"""gamma |KL - C|: its pull from both sides, and the training that it gives."""

import pytest
import torch

from lib.arms import objective_of
from lib.objectives import Encoded


@pytest.mark.parametrize(("kl", "penalty", "pull"), [(2.5, 50.0, 100.0), (1.0, 100.0, -100.0), (2.0, 0.0, 0.0)])
def test_it_pulls_from_both_sides_with_one_force(kl, penalty, pull, tiny_config):
    objective = objective_of("capacity", tiny_config("capacity", c_start=2.0, c_max=2.0))
    kl = torch.tensor(kl, requires_grad=True)
    values, state = objective.control(torch.tensor(1), objective.initial_state(), kl.detach())
    assert dict(zip(objective.columns, values.tolist(), strict=True)) == {
        "set_point": 2.0, "capacity": 2.0, "advanced": 0.0,
    }  # fmt: skip
    found = objective.penalty(state, Encoded(None, None, None, None, kl))
    assert found.item() == penalty
    assert torch.autograd.grad(found, kl)[0].item() == pull


def linear(t, config):
    return min(config.c_max, config.c_start + 0.15 * (300 * t // config.steps))


def ramp(t, config):
    return config.c_start + (config.c_max - config.c_start) * min(1.0, 15 * t / config.steps)


@pytest.mark.parametrize(("arm", "rule", "c_max"), [("capacity", linear, 40.0), ("capacity_ramp", ramp, 5.0)])
def test_training_follows_the_plain_loop(arm, rule, c_max, follows):
    """C starts below the KL in one, above it in the other, and both meet the KL on the way."""

    def plain(config):
        def step(t, kl, *_):
            capacity, before = rule(t, config), rule(t - 1, config)
            return 100.0 * abs(kl - capacity), [capacity, capacity, float(capacity != before)]

        return step

    rows = follows(arm, plain, c_max=c_max)
    assert len({row[1] > row[2] for row in rows}) == 2  # KL above C, and below
