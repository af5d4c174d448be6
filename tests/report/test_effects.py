"""Means, spreads and intervals over seeds, against numbers worked out by hand and against scipy's own test."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lib.report.effects import (
    DIFFERENCE,
    effect,
    effect_text,
    exploratory,
    number,
    per_arm,
    side_by_side,
    told_from_chance,
    with_spread,
)


def table(values: dict[str, list[float]]) -> pd.DataFrame:
    rows = [
        {"run": f"{arm}-seed{seed}", "arm": arm, "seed": seed, "mig": value}
        for arm, column in values.items()
        for seed, value in enumerate(column, start=1)
    ]
    return pd.DataFrame(rows).sample(frac=1, random_state=0).set_index("run")


def test_difference_is_that_of_the_paired_t_test():
    rng = np.random.default_rng(0)
    linear, adaptive = rng.normal(size=(2, 6))
    expected = stats.ttest_rel(adaptive, linear)
    low, high = expected.confidence_interval(0.9)
    estimate, half = effect(table({"linear": linear, "adaptive": adaptive}), "mig", DIFFERENCE, 0.9)
    assert (estimate - half, estimate + half) == pytest.approx((low, high))
    assert told_from_chance(estimate, half) == (expected.pvalue < 0.1)


def test_interval_by_hand():
    # differences 1, 2, 3: mean 2, standard deviation 1, t = 4.303 with two degrees of freedom
    estimate, half = effect(table({"linear": [5, 1, 0], "adaptive": [6, 3, 3]}), "mig", DIFFERENCE)
    assert estimate == 2
    assert half == pytest.approx(4.3027 / np.sqrt(3), rel=1e-4)
    assert not told_from_chance(estimate, half)


def test_simple_effects_and_interaction_are_told_apart():
    base, rule, late, both = np.array([0.1, 0.2, 0.4]), 0.3, -0.05, 0.07
    values = {"linear": base, "adaptive_hold": base + rule, "linear_full": base + late,
              "adaptive": base + rule + late + both}  # fmt: skip
    assert len(exploratory(values)) == 5 and exploratory(["linear", "adaptive"]) == {}
    found = {name: effect(table(values), "mig", weights) for name, weights in exploratory(values).items()}
    expected = [rule + both, rule, late, late + both, both]
    assert [estimate for estimate, _ in found.values()] == pytest.approx(expected)
    assert [half for _, half in found.values()] == pytest.approx([0] * 5, abs=1e-12)  # the seeds differ, and cancel


def test_one_seed_has_no_interval():
    estimate, half = effect(table({"linear": [0.2], "adaptive": [0.5]}), "mig", DIFFERENCE)
    assert estimate == pytest.approx(0.3)
    assert np.isnan(half)
    assert not told_from_chance(estimate, half)


def test_a_seed_without_a_value_is_not_counted():
    whole = table({"linear": [5, 1, 0], "adaptive": [6, 3, 3]})
    more = table({"linear": [5, 1, 0, 9], "adaptive": [6, 3, 3, np.nan]})
    assert effect(more, "mig", DIFFERENCE) == effect(whole, "mig", DIFFERENCE)
    lacking = table({"linear": [5, 1], "adaptive": [np.nan, 2]})
    assert effect_text(lacking, "mig", DIFFERENCE, ".1f") == "+1.0"  # one seed left, no interval
    assert effect_text(lacking[lacking["seed"] == 1], "mig", DIFFERENCE, ".1f") == "not measured"


def test_a_spread_is_written_where_there_is_one():
    write = number(".1f")
    assert with_spread(pd.Series([1.0, 2.0]), write) == "1.5 ± 0.7"
    assert with_spread(pd.Series([1.01, 1.02]), write) == "1.0 ± 0.0"  # that it is small is worth saying
    assert with_spread(pd.Series([2, 2]), write) == "2.0"
    assert with_spread(pd.Series([np.nan, np.nan]), write) == ""
    assert with_spread(pd.Series([np.nan, 2.0, 3.0]), write) == "2.0, 3.0"
    values = table({"linear": [1.0, 2.0], "adaptive": [3.0, 3.0], "linear_full": [np.nan, np.nan]})
    values = values.sort_values("arm", ascending=False)
    assert per_arm(values, "mig", ".1f") == "linear 1.5 ± 0.7, adaptive 3.0"


def test_runs_or_arms_stand_side_by_side():
    frame = pd.DataFrame(
        {"kl": [1.0, 2.0, 4.0, 4.0], "locked": [np.nan, 7, np.nan, np.nan]}, index=["a1", "a2", "b1", "b2"]
    )
    arms = pd.Series(["linear", "linear", "adaptive", "adaptive"], index=frame.index)
    rows = {
        "KL": ("kl", "{:.1f}".format),
        "locked": ("locked", lambda step: "never" if np.isnan(step) else f"{step:.0f}"),
    }
    assert side_by_side(frame, arms, rows).to_dict() == {
        "linear": {"KL": "1.5 ± 0.7", "locked": "never, 7"}, "adaptive": {"KL": "4.0", "locked": "never"},
    }  # fmt: skip
    one = ["a2", "b1"]
    assert side_by_side(frame.loc[one], arms[one], rows).to_dict() == {
        "a2": {"KL": "2.0", "locked": "7"}, "b1": {"KL": "4.0", "locked": "never"},
    }  # fmt: skip
