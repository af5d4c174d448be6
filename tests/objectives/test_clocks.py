"""Where the other arms' clocks put C, against loops that add up increments and against closed forms."""

from fractions import Fraction

import pytest
import torch

from lib.arms import ARMS, schedule_of
from lib.objectives import controlled_without_lock
from lib.objectives.clocks import Staircase


def path(arm: str, c_start: float, c_max: float, steps: int, until: int | None = None) -> torch.Tensor:
    """C(1), C(2), ... [until or steps]."""
    return schedule_of(arm, c_start, c_max, steps).set_point(torch.arange(1, (until or steps) + 1), torch.tensor(0.0))


@pytest.mark.parametrize(("c_start", "steps"), [(0.0, 1_500), (0.5, 60), (0.5, 1_001)])
def test_the_ramp_is_one_line_over_the_first_fifteenth(c_start, steps):
    slope = (Fraction(16) - Fraction(c_start)) * 15 / steps
    expected = [float(min(Fraction(16), Fraction(c_start) + slope * t)) for t in range(1, steps + 1)]
    assert path("capacity_ramp", c_start, 16.0, steps).tolist() == pytest.approx(expected, abs=1e-12)


def test_the_ramp_is_the_published_one_at_the_reports_size():
    """1Konny/Beta-VAE: C_max / 100,000 per step from 0, clamped; the published C_max is 20 there."""
    steps = torch.tensor([1, 50_000, 99_999, 100_000, 100_001, 1_500_000])
    found = schedule_of("capacity_ramp", 0.0, 20.0, 1_500_000).set_point(steps, torch.tensor(0.0))
    assert found.tolist() == pytest.approx([0.0002, 10.0, 19.9998, 20.0, 20.0, 20.0], abs=1e-12)


def test_dynamic_vaes_clock_is_the_published_loop():
    capacity, expected = 0.5, []
    for t in range(1, 40_001):
        if t >= 6_000 and t % 6_000 < 1_000:
            capacity += 0.15 / 1_000
        expected.append(min(capacity, 1.2))
    found = path("dynamic_vae", 0.5, 1.2, 2_000_000, until=40_000)
    assert torch.allclose(found, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-11)
    assert found[[5_998, 5_999, 6_998, 11_998, 11_999]].tolist() == pytest.approx([0.5, 0.50015, 0.65, 0.65, 0.65015])
    assert found[-1] == 1.2


@pytest.mark.parametrize("steps", [2_000, 24_000, 1_500_000])
def test_in_another_length_dynamic_vaes_clock_takes_the_same_path(steps):
    full = Staircase(0.5, 16.0, 2_000_000)
    shorter = Staircase(0.5, 16.0, steps)
    t = torch.arange(1, steps + 1)
    nothing = torch.tensor(0.0)
    assert torch.equal(shorter.set_point(t, nothing), full.set_point(t * 2_000_000 // steps, nothing))
    assert shorter.set_point(torch.tensor(steps), nothing) == 16.0


def test_a_fixed_set_point_is_the_maximum_from_the_start():
    assert ARMS["fixed_set_point"].objective is controlled_without_lock
    assert schedule_of("fixed_set_point", 0.5, 16.0, 60).c_start == 16.0
    assert path("fixed_set_point", 0.5, 16.0, 60).tolist() == [16.0] * 60


@pytest.mark.parametrize("arm", ["capacity_ramp", "dynamic_vae", "fixed_set_point"])
def test_impossible_capacities_are_refused(arm):
    with pytest.raises(ValueError, match="give 0 <= c_start <= c_max"):
        schedule_of(arm, 2.0, 1.0, 60)


@pytest.mark.parametrize("c_max", [0.65, 1.2, 1.25, 2.0])
@pytest.mark.parametrize("arm", ["capacity_ramp", "dynamic_vae", "linear", "linear_full"])
def test_c_arrives_when_the_clock_says_so(arm, c_max):
    arrival = schedule_of(arm, 0.5, c_max, 20_000).arrival
    there = path(arm, 0.5, c_max, 20_000) >= c_max - 1e-9
    assert there[max(0, arrival - 1) :].all() and not there[: max(0, arrival - 1)].any()
