"""Both capacity rules at their ends, against the published numbers and slow versions."""

import math

import numpy as np
import pytest
import torch

from lib.arms import schedule_of
from lib.schedules import AdaptiveCapacity, LinearCapacity, linear_reaches_maximum, steps_with_hold

PAPER_STEPS = 1_500_000


def path(schedule, steps, betas=None):
    """C(1..steps) with the given beta(1..steps), beta(0) = 1."""
    capacity, before, result = torch.tensor(schedule.c_start, dtype=torch.float64), torch.tensor(1.0), []
    for t in range(1, steps + 1):
        beta = torch.tensor(1.0 if betas is None else betas[t - 1], dtype=torch.float64)
        step = torch.tensor(t)
        capacity = schedule.advance(step, schedule.set_point(step, capacity), beta, before)
        result.append(capacity.item())
        before = beta
    return result


def linear_at(schedule, *steps):
    nothing = torch.tensor(0.0)
    return [schedule.set_point(torch.tensor(t), nothing).item() for t in steps]


def test_linear_is_the_published_rule():
    schedule = schedule_of("linear", 0.5, 16.0, PAPER_STEPS)
    capacity, expected, steps = (
        0.5,
        [],
        [1, 4_999, 5_000, 5_001, 515_000, 519_999, 520_000, PAPER_STEPS, PAPER_STEPS + 1],
    )
    for t in range(1, PAPER_STEPS + 2):  # ControlVAE's loop: add 0.15 every 5,000 steps, up to C_max
        if t % 5_000 == 0:
            capacity = min(16.0, capacity + 0.15)
        if t in steps:
            expected.append(capacity)
    assert linear_at(schedule, *steps) == pytest.approx(expected, abs=1e-9)
    assert linear_at(schedule, 0) == [0.5]
    assert linear_reaches_maximum(0.5, 16.0, PAPER_STEPS) == 520_000


@pytest.mark.parametrize("steps", [300, 6_000, 1_001])
def test_linear_is_the_same_path_in_fewer_steps(steps):
    schedule = schedule_of("linear", 0.5, 16.0, steps)
    expected = [min(16.0, 0.5 + 0.15 * math.floor(300 * t / steps)) for t in range(1, steps + 2)]
    assert linear_at(schedule, *range(1, steps + 2)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("steps", [6_000, 1_001, PAPER_STEPS])
def test_linear_full_reaches_the_maximum_at_the_last_step(steps):
    schedule = schedule_of("linear_full", 0.5, 16.0, steps)
    before, at, after = linear_at(schedule, steps - 1, steps, steps + 1)
    assert before == pytest.approx(0.5 + 0.15 * 103)
    assert at == after == 16.0


def test_adaptive_advances_linearly_where_beta_never_rises():
    capacities = path(AdaptiveCapacity(0.5, 16.0, 1_000), 1_002)
    expected = [0.5 + 15.5 * t / 1_000 for t in range(1, 1_001)] + [16.0, 16.0]
    assert capacities == pytest.approx(expected, abs=1e-9)
    assert capacities[999] == 16.0  # the last step takes all that is left


def test_adaptive_holds_while_beta_rises_and_a_tie_advances():
    schedule = AdaptiveCapacity(0.5, 16.0, 100)
    capacities = path(schedule, 4, betas=[2.0, 2.0, 1.5, 1.6])
    assert capacities[0] == 0.5  # beta(1) = 2 > beta(0) = 1: held
    assert capacities[1] == 0.5 + 15.5 / 99  # a tie at t = 2: 99 steps are left, this one included
    assert capacities[2] == capacities[1] + (16.0 - capacities[1]) / 98
    assert capacities[3] == capacities[2]


def test_adaptive_held_at_its_last_step_jumps_one_past_it():
    capacities = path(AdaptiveCapacity(0.5, 16.0, 10), 12, betas=[1.0 + t for t in range(1, 13)])
    assert capacities == [0.5] * 10 + [16.0, 16.0]


def test_adaptive_agrees_with_the_rule_in_plain_python():
    generator = np.random.default_rng(0)
    betas = np.exp(generator.normal(size=500)).tolist()
    capacity, before, expected = 0.5, 1.0, []
    for t, beta in enumerate(betas, start=1):
        if t > 400:
            capacity = 16.0
        elif not beta > before:
            capacity = capacity + (16.0 - capacity) / (400 - (t - 1))
        expected.append(capacity)
        before = beta
    schedule = AdaptiveCapacity(0.5, 16.0, 400)
    assert path(schedule, 500, betas) == expected
    advanced = np.diff([0.5, *expected]) != 0
    assert schedule.curve(advanced).tolist() == expected


def test_share_of_advancing_steps_gives_the_reference_curve():
    """If a share p of steps advances, C_max - C(t) = (C_max - C(0)) (1 - t / t_max)^p."""
    steps, p = 20_000, 0.3
    advances = np.random.default_rng(1).random(steps) < p
    capacity = AdaptiveCapacity(0.5, 16.0, steps).curve(advances)
    t = np.arange(1, steps + 1)[: steps // 2]
    expected = 16.0 - 15.5 * (1 - t / steps) ** p
    assert np.abs(capacity[: len(t)] - expected).max() < 0.1


def test_the_curve_of_the_linear_rule_ignores_the_bits():
    schedule = LinearCapacity(0.5, 16.0, 600)
    assert schedule.curve(np.zeros(600, bool)).tolist() == linear_at(schedule, *range(1, 601))


def test_adaptive_hold_ends_where_the_linear_rule_reaches_the_maximum():
    schedule = schedule_of("adaptive_hold", 0.5, 16.0, PAPER_STEPS)
    assert schedule == AdaptiveCapacity(0.5, 16.0, 520_000)
    assert schedule_of("adaptive", 0.5, 16.0, 77) == AdaptiveCapacity(0.5, 16.0, 77)


@pytest.mark.parametrize("steps", [6_000, 1_001, 60_000, PAPER_STEPS])
def test_slow_then_hold_arrives_when_the_others_end_and_holds_as_long_as_the_linear_arm(steps):
    total = steps_with_hold(0.5, 16.0, steps)
    assert total - steps == steps - linear_reaches_maximum(0.5, 16.0, steps)
    schedule, slow = schedule_of("slow_then_hold", 0.5, 16.0, total), schedule_of("linear_full", 0.5, 16.0, steps)
    some = [1, steps // 3, steps - steps // 50, total - 1]
    assert linear_at(schedule, *some) == linear_at(slow, *some)
    assert abs(schedule.arrival - steps) <= 1  # the ramp is taken back from the total in whole steps


def test_arrivals():
    arrivals = {"linear": 2_080, "adaptive": 6_000, "linear_full": 6_000, "adaptive_hold": 2_080}
    for arm, step in arrivals.items():
        schedule = schedule_of(arm, 0.5, 16.0, 6_000)
        assert schedule.arrival == step
        if isinstance(schedule, LinearCapacity):
            before, at = linear_at(schedule, step - 1, step)
            assert before < at == 16.0


def test_a_drawn_rule_is_the_adaptive_one_with_advances_of_its_own():
    bits = np.random.default_rng(0).random(500) < 0.4
    drawn = schedule_of("random_hold", 0.5, 16.0, 500, torch.from_numpy(bits))
    betas = np.random.default_rng(1).random(501)  # it must not look at them
    expected = AdaptiveCapacity(0.5, 16.0, 500).curve(bits)
    assert path(drawn, 500, betas) == expected.tolist() == drawn.curve(bits).tolist()
    assert path(drawn, 501, betas)[-1] == 16.0  # after the last drawn step


def test_refuses_impossible_schedules():
    with pytest.raises(ValueError, match="arm is 'cyclic'"):
        schedule_of("cyclic", 0.5, 16.0, 10)
    with pytest.raises(ValueError, match="c_start"):
        LinearCapacity(17.0, 16.0, 10)
    with pytest.raises(ValueError, match="t_max"):
        AdaptiveCapacity(0.5, 16.0, 0)
