"""gamma |KL - C|: its gradient lifts and lowers the KL; set points at their ends; the training that it gives."""

import numpy as np
import pytest
import torch
from plain_arm import engine_training, plain_training

from lib.arms import objective_of, schedule_of
from lib.objectives import Encoded
from lib.objectives.clocks import EarlyRamp
from lib.schedules import LinearCapacity
from lib.training.plain import COLUMNS, reference_loop


def test_the_set_point_of_the_other_row_is_the_linear_rules():
    assert schedule_of("capacity", 0.5, 16.0, 777) == LinearCapacity(0.5, 16.0, 777)
    assert isinstance(schedule_of("capacity_ramp", 0.5, 16.0, 777), EarlyRamp)


@pytest.mark.parametrize(("kl", "slope"), [(0.2, -100.0), (0.8, 100.0)])
def test_a_kl_below_c_is_lifted_and_one_above_it_pressed_down(kl, slope, tiny_config):
    objective = objective_of("capacity", tiny_config(c_start=0.5, c_max=0.5))
    _, state = objective.control(torch.tensor(1), objective.initial_state(), torch.tensor(kl))
    kl = torch.tensor(kl, requires_grad=True)
    penalty = objective.penalty(state, Encoded(None, None, None, None, kl))
    penalty.backward()
    assert penalty.item() == pytest.approx(30.0, abs=1e-4) and kl.grad == slope


@pytest.mark.parametrize("arm", ["capacity", "capacity_ramp"])
def test_the_engine_trains_with_the_capacity(arm, tiny_config, few_images):
    config = tiny_config(arm, precision="float64", steps=60, c_start=0.5, c_max=10.0)
    before = config.c_start

    def pressure(t, mean, logvar, z, kl):
        nonlocal before
        linear = min(10.0, 0.5 + 0.15 * (300 * t // 60))
        c = linear if arm == "capacity" else 0.5 + 9.5 * min(t / 4, 1)
        moved, before = c != before, c
        return 100 * abs(kl - c), (c, c, moved)

    expected = plain_training(config, few_images, 6, pressure)
    assert np.allclose(engine_training(config, few_images, 6), expected, rtol=1e-9)
    assert {0.0, 1.0} == set(expected[:, -1]) or arm == "capacity"


def test_c_is_at_its_maximum_from_the_start_and_only_the_published_anti_windup_locks(tiny_config):
    """Whatever anti-windup the settings name: the first error, of 7 nats, is beyond kp / ki."""
    for arm, locks in (("fixed_set_point", False), ("locked", True)):
        for rule in ("published", "conditional"):
            objective = objective_of(arm, tiny_config(anti_windup=rule, c_max=10.0))
            values, _ = objective.control(torch.tensor(1), objective.initial_state(), torch.tensor(3.0))
            row = dict(zip(objective.columns, values.tolist(), strict=True))
            assert row["set_point"] == row["capacity"] == 10.0 and not row["advanced"]
            assert row["locked"] == locks


def test_the_engine_trains_with_c_at_its_maximum(tiny_config, few_images):
    """A linear run whose C starts at C_max, by the anti-windup that cannot lock, in the reference loop."""
    given = {"precision": "float64", "c_max": 5.0, "ki": 0.3}
    config = tiny_config("fixed_set_point", **given)
    plain = tiny_config("linear", **given | {"c_start": 5.0, "anti_windup": "conditional"})
    expected = reference_loop(plain, few_images.packed.numpy())(30)
    columns = ["reconstruction", "kl", *objective_of("fixed_set_point", config).columns]
    found = engine_training(config, few_images, 30)[:, [columns.index(name) for name in COLUMNS]]
    assert np.allclose(found, expected, rtol=1e-9) and (found[:, 4] == 5).all() and len(set(found[:, 2])) > 2


def test_what_locks_is_a_vae_bit_for_bit(tiny_config, few_images):
    """Whatever anti-windup the settings name: the first error, C_max less a nat, locks it at the least beta."""
    common = {"c_max": 13.0, "kp": 1.0, "ki": 0.1, "anti_windup": "conditional", "steps": 40}
    locked, vae = (engine_training(tiny_config(arm, **common), few_images, 40) for arm in ("locked", "vae"))
    assert np.array_equal(locked[:, :3], vae[:, :3]) and locked[:, -1].all()
