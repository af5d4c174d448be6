"""The toy plant's equilibrium against the optimum found numerically."""

import pytest
import torch

from lib.arms import schedule_of
from lib.pid import PIDController
from lib.schedules import LinearCapacity
from lib.toy_plant import VARIANCES, rate, simulate


@pytest.mark.parametrize("beta", [0.5, 1.0, 4.0, 100.0, 2_000.0])
def test_rate_minimises_the_linear_gaussian_objective(beta):
    """Per source, distortion D = e^(-2R) variance; the VAE minimises D-dependent loss 1/2 D + beta R, R >= 0."""
    rates = torch.linspace(0, 6, 60_001, dtype=torch.float64)
    loss = 0.5 * VARIANCES[:, None] * torch.exp(-2 * rates) + beta * rates
    expected = rates[loss.argmin(1)].sum()
    assert rate(torch.tensor(beta)).item() == pytest.approx(expected.item(), abs=1e-3)


def test_the_controller_holds_the_plant_at_the_set_point():
    schedule = LinearCapacity(10.0, 10.0, 4_000)
    frame = simulate(PIDController(ki=0.01, anti_windup="conditional"), schedule, 4_000, lag=20)
    assert frame["kl"].iloc[-1] == pytest.approx(10.0, abs=1e-3)
    assert rate(torch.tensor(frame["beta"].iloc[-1])).item() == pytest.approx(10.0, abs=1e-3)
    assert list(frame["step"]) == list(range(1, 4_001))


@pytest.mark.parametrize("arm", ["linear", "adaptive", "linear_full", "adaptive_hold"])
def test_in_the_notebooks_setting_every_rule_ends_at_the_maximum_with_the_plant_in_tow(arm):
    controller = PIDController(ki=1.0, anti_windup="conditional")
    frame = simulate(controller, schedule_of(arm, 0.5, 16.0, 6_000), 6_000, lag=100)
    assert frame["capacity"].iloc[-1] == pytest.approx(16.0, abs=1e-6)
    assert frame["kl"].iloc[-1] == pytest.approx(16.0, abs=0.05)
    assert frame["beta"].max() > 100
