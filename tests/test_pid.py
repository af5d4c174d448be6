"""The controller against a plain-Python version of the published rule, and its behaviour where the rule locks."""

import math

import pytest
import torch

from lib.pid import PIDController


class PublishedController:
    """ControlVAE's PI controller, written again in plain Python from the description of its public code."""

    def __init__(self, kp: float, ki: float) -> None:
        self.kp, self.ki = kp, ki
        self.integral, self.unclipped = 0.0, 1.0

    def step(self, error: float) -> tuple[float, bool]:
        frozen = self.unclipped < 1
        if not frozen:
            self.integral -= self.ki * error
        self.unclipped = self.kp / (1 + math.exp(error)) + self.integral + 1
        return max(1.0, self.unclipped), frozen


def scalar(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


def test_agrees_with_the_published_rule_over_100_000_random_errors():
    """100 controllers side by side, 1,000 steps each, with small and large errors: 1e-12, same decisions."""
    generator = torch.Generator().manual_seed(0)
    spread = torch.logspace(-1, 1, 100, dtype=torch.float64)
    errors = torch.randn(1_000, 100, generator=generator, dtype=torch.float64) * spread
    controller = PIDController()
    oracles = [PublishedController(0.01, 0.001) for _ in range(100)]
    state, betas, frozen = controller.initial_state((100,)), [], []
    for error in errors:
        beta, state = controller.step(state, error, torch.zeros(()))
        betas.append(beta)
        frozen.append(state.frozen)
    expected = [[oracle.step(e) for oracle, e in zip(oracles, row, strict=True)] for row in errors.tolist()]
    expected_beta, expected_frozen = torch.tensor(expected, dtype=torch.float64).unbind(-1)
    assert (torch.stack(betas) - expected_beta).abs().max() <= 1e-12
    assert torch.equal(torch.stack(frozen), expected_frozen.bool())
    assert 0.1 < expected_frozen.mean() < 0.9  # both decisions were compared, many times


def run(controller: PIDController, errors: list[float]):
    state, betas = controller.initial_state(), []
    for error in errors:
        beta, state = controller.step(state, scalar(error), scalar(0.0))
        betas.append(beta.item())
    return betas, state


LOCKING = [15.5] + [-5.0] * 5_000  # C = 16 from the start, then KL five nats above C for long


def test_published_anti_windup_locks_and_conditional_recovers():
    published, conditional = PIDController(), PIDController(anti_windup="conditional")
    betas, state = run(published, LOCKING)
    assert published.locked(state)
    assert set(betas) == {1.0}
    betas, state = run(conditional, LOCKING)
    assert not conditional.locked(state)
    assert betas[-1] > 20  # 5,000 steps of 5 nats at ki = 0.001, less what the first step took


def test_lock_begins_exactly_at_kp_over_ki():
    controller = PIDController()
    for error, locks in ((9.99, False), (10.01, True)):
        _, state = run(controller, [error])
        assert bool(controller.locked(state)) == locks
        betas, _ = run(controller, [error] + [-1000.0] * 10)  # the strongest push that there is
        assert (max(betas) == 1.0) == locks


def test_initial_state_and_sign():
    controller = PIDController()
    high, _ = run(controller, [-2.0])  # KL above C: more pressure
    low, _ = run(controller, [2.0])
    assert high[0] == pytest.approx(1 + 0.01 / (1 + math.exp(-2)) + 0.002, abs=1e-15)
    assert low[0] == 1.0  # 0.01 / (1 + e^2) = 0.0012 is less than the 0.002 that the integral lost


def test_derivative_acts_from_the_second_step_and_on_the_change_only():
    plain, derivative = PIDController(), PIDController(kd=0.1)
    errors = [-1.0, -3.0, -3.0]
    betas, expected = run(derivative, errors)[0], run(plain, errors)[0]
    assert betas[0] == expected[0]
    assert betas[1] == pytest.approx(expected[1] - 0.1 * (-2.0), abs=1e-15)
    assert betas[2] == expected[2]


def test_batched_controllers_are_independent_scalar_ones():
    controller = PIDController(anti_windup="conditional")
    errors = torch.randn(50, 2, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64) * 5
    state, betas = controller.initial_state((2, 3)), []
    for error in errors:
        beta, state = controller.step(state, error, torch.zeros(2, 3))
        betas.append(beta)
    batched = torch.stack(betas)
    for i in range(2):
        for j in range(3):
            single, _ = run(controller, errors[:, i, j].tolist())
            assert batched[:, i, j].tolist() == single


def test_beta_min_moves_the_floor():
    betas, _ = run(PIDController(beta_min=4.0), [9.0, 9.0, -9.0])
    assert min(betas) == 4.0


@pytest.mark.parametrize("setting", [{"kp": -1.0}, {"ki": -0.1}, {"kd": float("nan")}, {"anti_windup": "none"}])
def test_refuses_impossible_settings(setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        PIDController(**setting)
