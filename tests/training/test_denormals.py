"""While a run trains or is measured, denormal numbers count as zero; no weight changes by more than its last bits."""

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


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_weights_are_the_same_but_for_their_last_bits_where_moments_of_dead_units_are_denormal(
    precision, tiny_config, few_images
):
    found = []
    for flush in (True, False):
        engine = Engine(tiny_config("adaptive", precision=precision), few_images)
        first = next(layer for layer in engine.model.encoder if hasattr(layer, "bias"))
        with reproducible(1):
            torch.set_flush_denormal(flush)
            first.bias.data[::2] = -100  # dead: no image reaches these units
            values = [Lockstep([engine]).run(1)[0]]
            for parameter, state in engine.optimizer.state.items():
                for moment in ("exp_avg", "exp_avg_sq"):
                    state[moment][parameter.grad == 0] = DENORMAL
            values.append(Lockstep([engine]).run(20)[0])
            moments = [
                state[moment] for state in engine.optimizer.state.values() for moment in ("exp_avg", "exp_avg_sq")
            ]
            denormals = sum(((each.abs() > 0) & (each.abs() < 1e-38)).sum().item() for each in moments)
        found.append((torch.cat([each.detach().flatten() for each in engine.model.parameters()]), values, denormals))
    (flushed, flushed_values, none), (kept, kept_values, some) = found
    assert none == 0 and some > 1000
    # Where a unit wakes, what is left of its moments decides how a square that lies halfway is rounded: the last bit.
    assert (flushed - kept).abs().max() < 2e-8
    assert all(torch.allclose(a, b, rtol=1e-6) for a, b in zip(flushed_values, kept_values, strict=True))
