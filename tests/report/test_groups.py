"""Two groups of MIGs, and the sign-flip test, on values whose answer is known."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lib.report.findings.groups import sign_flip, two_groups


def table(linear: list[float], adaptive: list[float]) -> pd.DataFrame:
    seeds = [*range(len(linear)), *range(len(adaptive))]
    arms = ["linear"] * len(linear) + ["adaptive"] * len(adaptive)
    return pd.DataFrame({"arm": arms, "seed": seeds, "mig_four": [*linear, *adaptive]})


def test_two_groups_are_told_by_the_widest_gap():
    text = two_groups(table([0.05, 0.1, 0.12], [0.44, 0.13, 0.46]))
    assert text.startswith(
        "The MIGs fall into two groups, none of 6 between 0.130 and 0.440; above are linear 0 of 3 runs"
    )
    assert "adaptive 2 of 3 runs. t intervals" in text and text.endswith("primary differences p = 0.25 (at best 0.25).")
    mixed = two_groups(table([0.05, 0.44, 0.12], [0.44, 0.13, 0.46]))
    assert "linear 1 of 3 runs, adaptive 2 of 3 runs" in mixed and "p = 0.5 (at best 0.25)" in mixed


def test_one_outlier_small_gaps_or_few_runs_make_no_groups():
    assert two_groups(table([0.05, 0.1, 0.12], [0.12, 0.13, 0.46])) == ""
    assert two_groups(table([0.05, 0.1, 0.15], [0.2, 0.25, 0.3])) == ""
    assert two_groups(table([0.05, 0.1], [0.44, 0.46])) == ""


@pytest.mark.parametrize("values", [[0.3, 0.2, 0.4, 0.1, 0.5], [0.3, -0.2, 0.4, 0.1, -0.5, 0.05, 0.6, -0.15]])
def test_the_sign_flip_test_is_scipys(values):
    exact = stats.permutation_test((values,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip(pd.Series(values)) == pytest.approx(exact.pvalue)
