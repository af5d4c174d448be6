"""DynamicVAE's controller against a plain one on Python's numbers; its trap."""

import math

import pytest
import torch

from lib.arms import objective_of


class Plain:
    """The controller as one would first write it."""

    def __init__(self):
        self.kls, self.w, self.before = [0.0] * 4, 50.0, 0.0

    def step(self, capacity: float, kl: float) -> tuple[float, bool]:
        self.kls = [*self.kls[-4:], kl]
        error = capacity - sum(self.kls) / 5
        change = 0.01 / (1 + math.exp(error)) - 0.01 / (1 + math.exp(self.before))
        frozen = self.w < 0.1
        if not frozen:
            change += -0.005 * error
        self.w, self.before = self.w + change, error
        return max(self.w, 0.1), frozen


def staircase(t: int, config) -> float:
    done = t * 2_000_000 // config.steps
    climbs = 0.0 if done < 6_000 else done // 6_000 - 1 + min(1.0, (done % 6_000 + 1) / 1_000)
    return min(config.c_max, config.c_start + 0.15 * climbs)


@pytest.fixture
def run(tiny_config):
    """A function: the objective's values, step by step, for KLs [T] that do not depend on beta, at a fixed C."""

    def values(kls: list[float], c: float, start: float = 50.0) -> list[dict[str, float]]:
        objective = objective_of("dynamic_vae", tiny_config("dynamic_vae", c_start=c, c_max=c))
        state, rows = objective.initial_state(), []
        state[4] = start  # W(0)
        for t, kl in enumerate(kls, start=1):
            recorded, state = objective.control(torch.tensor(t), state, torch.tensor(kl))
            rows.append(dict(zip(objective.columns, recorded.tolist(), strict=True)) | {"w": state[4].item()})
        return rows

    return values


def test_beta_starts_at_50_and_falls_with_the_error(run):
    first, second = run([0.0, 0.0], c=10.0)
    s = 1 / (1 + math.exp(10.0))
    assert first["beta"] == pytest.approx(50 + 0.01 * (s - 0.5) - 0.05, abs=1e-12)
    assert second["beta"] == pytest.approx(first["beta"] - 0.05, abs=1e-12)


def test_the_error_is_that_of_a_mean_over_five_kls_which_starts_from_zeros(run):
    rows = run([10.0] * 6, c=4.0)
    changes = [after["w"] - before["w"] for before, after in zip([{"w": 50.0}, *rows], rows, strict=False)]
    errors = [4 - 10 * n / 5 for n in (1, 2, 3, 4, 5, 5)]
    expected = [
        0.01 / (1 + math.exp(e)) - 0.01 / (1 + math.exp(b)) - 0.005 * e
        for b, e in zip([0.0, *errors], errors, strict=False)
    ]
    assert changes == pytest.approx(expected, abs=1e-12)


def test_a_large_error_at_the_least_beta_locks_it_for_ever(run):
    """One step down at e = 5 leaves W further below W_min than all proportional terms can lift it."""
    rows = run([0.0] + [1_000.0] * 2_000, c=5.0, start=0.11)
    assert rows[0]["beta"] == 0.1 and rows[0]["w"] == pytest.approx(0.11 + 0.01 * (1 / (1 + math.exp(5)) - 0.5) - 0.025)
    assert all(row["locked"] and row["beta"] == 0.1 for row in rows)  # the KL is 200 times C, and nothing happens
    assert all(row["frozen"] for row in rows[1:])


def test_a_small_error_does_not_lock_it(run):
    rows = run([0.0] + [1_000.0] * 30, c=1.0, start=0.104)
    assert rows[0]["beta"] == 0.1 and rows[0]["w"] < 0.1 and not rows[0]["locked"]
    assert rows[-1]["beta"] > 10 and not any(row["locked"] for row in rows)


@pytest.mark.parametrize("start", [0.0895, 0.0905, 0.0945, 0.0995])
def test_locked_tells_whether_any_kl_can_free_it(start, run):
    """e stays what it was while W(0) is set below W_min: s(-e) = 1/2, so that at most 0.005 is to come."""
    rows = run([0.0] + [1e6] * 20, c=0.0, start=start)  # e(1) = 0: dP = 0
    assert rows[0]["frozen"] and rows[0]["w"] == pytest.approx(start, abs=1e-15)
    assert rows[0]["locked"] == (start < 0.095)
    assert (rows[-1]["beta"] == 0.1) == rows[0]["locked"]


def test_training_follows_the_plain_loop(follows):
    def plain(config):
        controller = Plain()

        def step(t, kl, *_):
            capacity, before = staircase(t, config), staircase(t - 1, config)
            beta, frozen = controller.step(capacity, kl.item())
            locked = controller.w < 0.1 and controller.w + 0.01 / (1 + math.exp(-controller.before)) <= 0.1
            return beta * kl, [beta, capacity, capacity, float(frozen), float(capacity != before), float(locked)]

        return step

    rows = follows("dynamic_vae", plain)
    assert rows[-1][2] != rows[0][2] and rows[-1][3] > rows[0][3]  # beta and C have moved
