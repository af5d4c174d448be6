"""DynamicVAE's staircase and controller against the published loop; its trap, shown and proved."""

import math

import numpy as np
import pytest
import torch
from plain_arm import engine_training, plain_training

from lib.arms import objective_of
from lib.objectives.clocks import Staircase
from lib.objectives.dynamic import DynamicKL


def published_staircase(steps, c_max=20.0):
    """Its loop: in the first 1,000 steps of every period but the first, add 0.15 / 1,000."""
    c, path = 0.5, []
    for it in range(1, steps + 1):
        if it >= 6_000 and it % 6_000 < 1_000:
            c += 0.15 / 1_000
        c = min(c, c_max)
        path.append(c)
    return path


class PublishedController:
    """Its loop, in plain numbers; `step` takes C and a KL."""

    def __init__(self, kp=0.01, ki=0.005, past=5):
        self.kp, self.ki, self.w, self.e, self.queue, self.past = kp, ki, 50.0, 0.0, [0.0] * (past - 1), past

    def step(self, c, kl):
        self.queue.append(kl)
        error = c - sum(self.queue[-self.past :]) / self.past
        p = self.kp * (1 / (1 + math.exp(error)) - 1 / (1 + math.exp(self.e)))
        i = 0.0 if self.w < 0.1 else -self.ki * error
        self.w, self.e = self.w + p + i, error
        return max(self.w, 0.1)


@pytest.fixture
def constant():
    """A set point that stays where it is, at 10 nats."""
    return Staircase(10.0, 10.0, 1_000)


def run(objective, kls):
    """The recorded values of a controller that sees these KLs, by column."""
    state, rows = objective.initial_state(), []
    for t, kl in enumerate(kls, start=1):
        values, state = objective.control(torch.tensor(t), state, torch.tensor(kl, dtype=torch.float64))
        rows.append(values)
    return dict(zip(objective.columns, torch.stack(rows).T.numpy(), strict=True))


def test_the_controller_is_the_published_loop(constant):
    kls = np.abs(np.random.default_rng(0).normal(10.5, 4, 600))
    kls[:90] = 0.3
    found, plain = run(DynamicKL(0.01, 0.05, constant), kls), PublishedController(ki=0.05)
    expected = [plain.step(10.0, kl) for kl in kls]
    assert np.allclose(found["beta"], expected, rtol=1e-12, atol=1e-12)
    assert 1 < min(expected) < expected[0] < 50 and expected[-1] > min(expected)


def test_a_step_too_far_below_the_least_beta_is_never_undone(constant):
    """The trap: e = 9.8 takes W 0.04 below 0.1; however high the KL is from then on, the kp term can give back 0.01."""
    objective = DynamicKL(0.01, 0.005, constant)
    kls = [0.2] * 1_030 + [1_000.0] * 500  # beta would have to rise for 500 steps
    found = run(objective, kls)
    crossed = int(found["frozen"].argmax())
    assert not found["frozen"][:crossed].any() and found["frozen"][crossed:].all()
    assert (found["beta"][crossed:] == 0.1).all()
    assert found["locked"].argmax() == crossed - 1  # said at the step that did it
    assert found["locked"][crossed:].all()


def test_a_small_step_below_the_least_beta_is_undone(constant):
    found = run(DynamicKL(0.01, 0.0005, constant), [0.0] * 9_990 + [9.7] * 1_000 + [15.0] * 3_000)
    assert found["frozen"].any() and not found["locked"].any()
    assert found["beta"][-1] > 1


@pytest.mark.parametrize(("steps", "gains"), [(2_000_000, (0.01, 0.005)), (20_000, (1.0, 0.5))])
def test_the_gains_are_the_published_ones_in_the_published_time(steps, gains, tiny_config):
    objective = objective_of("dynamic_vae", tiny_config("dynamic_vae", steps=steps))
    assert (objective.kp, objective.ki) == pytest.approx(gains)


def test_the_engine_trains_with_the_controller(tiny_config, few_images):
    config = tiny_config("dynamic_vae", precision="float64", steps=2_000)
    plain, before = PublishedController(kp=10.0, ki=5.0), config.c_start

    def pressure(t, mean, logvar, z, kl):
        nonlocal before
        n = 2_000_000 * t // 2_000
        c = min(config.c_max, published[n - 1])
        moved, before = c != before, c
        frozen = plain.w < 0.1
        beta = plain.step(c, kl.item())
        locked = plain.w < 0.1 and plain.w + 10 / (1 + math.exp(-plain.e)) <= 0.1
        return beta * kl, (beta, c, c, frozen, moved, locked)

    published = published_staircase(8_000)
    expected = plain_training(config, few_images, 8, pressure)
    assert np.allclose(engine_training(config, few_images, 8), expected, rtol=1e-9)
