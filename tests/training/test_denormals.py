"""While a run trains or is measured, denormal numbers count as zero."""

import pytest
import torch

from lib.training.device import reproducible
from lib.training.engine import Engine
from lib.training.lockstep import Lockstep

DENORMAL = 1e-40  # the smallest normal float32 is 1.2e-38

pytestmark = pytest.mark.skipif(not torch.set_flush_denormal(False), reason="this processor cannot flush denormals")


def half_a_denormal() -> float:
    return (torch.full((64,), DENORMAL) * 0.5).max().item()


def test_denormals_are_zero_within_and_count_again_after_an_error_too():
    with pytest.raises(KeyError), reproducible(1):
        assert half_a_denormal() == 0
        raise KeyError
    assert half_a_denormal() > 0


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 4e-8), ("bfloat16", 1e-5)])
def test_weights_hardly_differ_where_moments_of_dead_units_are_denormal(precision, tolerance, tiny_config, few_images):
    """Where a unit wakes, what is left of its moments decides how a square that lies halfway is rounded."""
    found, left = [], []
    for flush in (True, False):
        engine = Engine(tiny_config("adaptive", precision=precision), few_images)
        first = next(layer for layer in engine.model.encoder if hasattr(layer, "bias"))
        first.bias.data[::2] = -100  # dead: no image reaches these units
        with reproducible(1):
            Lockstep([engine]).run(1)
        for parameter, state in engine.optimizer.state.items():
            for name in ("exp_avg", "exp_avg_sq"):
                state[name][parameter.grad == 0] = DENORMAL
        before = denormals(engine)
        with reproducible(1):
            torch.set_flush_denormal(flush)
            values = Lockstep([engine]).run(20)[0]
        found.append((torch.cat([each.detach().flatten() for each in engine.model.parameters()]), values))
        left.append((before, denormals(engine)))
    (flushed, flushed_values), (kept, kept_values) = found
    assert left[0][0] == left[1][0] > 1000 and left[0][1] == 0 and left[1][1] > 1000
    assert (flushed - kept).abs().mean() < tolerance / 10 and (flushed - kept).abs().max() < tolerance
    assert torch.allclose(flushed_values, kept_values, rtol=100 * tolerance)


def denormals(engine: Engine) -> int:
    """How many of Adam's moments are denormal; to be asked where such numbers count."""
    moments = [state[name].abs() for state in engine.optimizer.state.values() for name in ("exp_avg", "exp_avg_sq")]
    return sum(((each > 0) & (each < 1e-38)).sum().item() for each in moments)
