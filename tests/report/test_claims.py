"""The verdict on each claim, on tables made for one side of it and for the other."""

import numpy as np
import pandas as pd
import pytest

from lib.dsprites import FACTOR_NAMES
from lib.report.findings import claims
from lib.report.findings.claims import NOT_REPRODUCED, NOT_TESTABLE, REPRODUCED


def runs(linear: list[float], adaptive: list[float], column: str) -> pd.DataFrame:
    rows = [
        (arm, seed, v) for arm, values in (("linear", linear), ("adaptive", adaptive)) for seed, v in enumerate(values)
    ]
    return pd.DataFrame(rows, columns=["arm", "seed", column])


@pytest.mark.parametrize(
    ("adaptive", "verdict"),
    [([0.50, 0.51, 0.52], REPRODUCED), ([0.7, 0.71, 0.72], NOT_REPRODUCED), ([0.3, 0.9, 0.6], NOT_TESTABLE)],
)
def test_the_mig(adaptive, verdict):
    assert claims.same_mig(runs([0.50, 0.515, 0.52], adaptive, "mig_four")).verdict == verdict


@pytest.mark.parametrize(
    ("adaptive", "verdict"),
    [([40.0, 41, 42], REPRODUCED), ([10.0, 11, 12], NOT_REPRODUCED), ([20.0, 21.1, 22], NOT_REPRODUCED),
     ([10.0, 60, 20], NOT_TESTABLE), ([40.0], NOT_TESTABLE)],
)  # fmt: skip
def test_what_is_larger_in_the_adaptive_arm(adaptive, verdict):
    linear = [20.0, 21.2, 22][: len(adaptive)]
    assert claims.worse_reconstruction(runs(linear, adaptive, "reconstruction")).verdict == verdict
    if adaptive[0] != 20:  # where the difference is within a margin of 2, which mean β has not
        assert claims.more_pressure(runs(linear, adaptive, "mean_beta")).verdict == verdict


@pytest.mark.parametrize(
    ("adaptive", "steps", "verdict"),
    [(0.54, 1_500_000, REPRODUCED), (0.6, 1_500_000, NOT_REPRODUCED), (0.54, 12_000, NOT_TESTABLE)],
)
def test_the_level_of_the_mig_is_held_against_the_reports(adaptive, steps, verdict):
    claim = claims.mig_level(runs([0.5], [adaptive], "mig_four").assign(steps=steps))
    assert (claim.verdict, claim.ours) == (verdict, f"linear 0.500, adaptive {adaptive:.3f}")
    assert ("reduced" in claim.why) == (steps == 12_000)


def test_of_one_pair_is_said_whether_it_alone_agrees():
    for adaptive, word in ((0.52, "agrees"), (0.7, "disagrees"), (0.3, "disagrees")):
        claim = claims.same_mig(runs([0.5], [adaptive], "mig_four"))
        assert (claim.verdict, claim.why) == (NOT_TESTABLE, f"one seed per arm; this pair taken for itself {word}")
    for adaptive, word in ((40.0, "agrees"), (10.0, "disagrees")):
        why = f"one seed per arm; this pair taken for itself {word}"
        assert claims.worse_reconstruction(runs([20.0], [adaptive], "reconstruction")).why == why
        assert claims.compensation(runs([adaptive], [20.0], "mean_distance")).why.startswith(why)
    assert "contains zero" in claims.same_mig(runs([0.5, 0.5, 0.5], [0.3, 0.9, 0.6], "mig_four")).why
    assert "no seed has a value" in claims.same_mig(runs([np.nan], [0.5], "mig_four")).why


def test_distance_to_the_information_is_to_be_smaller():
    near, far = [0.1, 0.2, 0.3], [1.1, 1.21, 1.3]
    assert claims.compensation(runs(far, near, "mean_distance")).verdict == REPRODUCED
    assert claims.compensation(runs(near, far, "mean_distance")).verdict == NOT_REPRODUCED


def test_levels_and_order():
    assert claims.levels(0.02, 0.0).verdict == REPRODUCED and claims.levels(0.001, 0.5).verdict == NOT_REPRODUCED
    assert claims.pixel_order(-0.9, -1.0, 3).verdict == REPRODUCED
    assert claims.pixel_order(-0.1, 0.3, 3).verdict == NOT_REPRODUCED
    either = claims.pixel_order(0.36, -0.72, 3)
    assert either.verdict == NOT_TESTABLE and "depends on what effect on pixels is taken to mean" in either.why
    assert claims.pixel_order(np.nan, np.nan, 0).verdict == NOT_TESTABLE


def test_what_is_separated_and_what_is_not():
    gaps = pd.DataFrame(0.8, ["a", "b"], FACTOR_NAMES).assign(arm=["linear", "adaptive"], shared=True)
    information = pd.DataFrame(1.0, ["a", "b"], FACTOR_NAMES).assign(arm=["linear", "adaptive"])
    assert claims.separated(gaps).verdict == REPRODUCED
    assert claims.entangled(gaps, information).verdict == NOT_REPRODUCED
    gaps.loc["a", "scale"], gaps[["shape", "orientation"]] = 0.3, 0.1
    assert claims.separated(gaps).verdict == NOT_REPRODUCED
    assert claims.entangled(gaps, information).verdict == REPRODUCED
    apart = claims.entangled(gaps.assign(shared=[True, False]), information)
    assert apart.verdict == NOT_REPRODUCED and "both in 1 of 2 runs" in apart.ours
    information.loc["b", "orientation"] = 0.05  # not encoded at all
    assert claims.entangled(gaps, information).verdict == NOT_TESTABLE


def test_pressure_is_tested_only_where_it_differs():
    table = runs([0.50, 0.51, 0.52], [0.7, 0.71, 0.72], "mig_four")
    assert claims.not_pressure(table, pd.Series([1.1, 0.9, 1.0])).verdict == NOT_TESTABLE
    assert "presses no harder" in claims.not_pressure(table, pd.Series([0.4, 0.9, np.nan])).why
    assert "presses no harder" in claims.not_pressure(table, pd.Series([1.0, 0.9, 1.55])).why
    assert claims.not_pressure(table, pd.Series([np.nan])).why == "no KL was held by both arms"
    assert claims.not_pressure(table, pd.Series([2.0, 2.0, 2.0])).verdict == NOT_REPRODUCED


def test_the_weakest_factor():
    information = pd.DataFrame(1.0, ["a", "b"], FACTOR_NAMES).assign(arm=["linear", "adaptive"], orientation=0.1)
    assert claims.weak_signal(information).verdict == REPRODUCED
    information.loc["a", "scale"] = 0.04  # less of its own entropy, which is smaller
    assert claims.weak_signal(information).verdict == NOT_REPRODUCED
