"""Two groups of MIGs, and the sign-flip test, on values whose answer is known."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lib.dsprites import FACTOR_NAMES
from lib.report.findings.groups import by_factor, sign_flip, two_groups


def table(linear: list[float], adaptive: list[float]) -> pd.DataFrame:
    seeds = [*range(len(linear)), *range(len(adaptive))]
    arms = ["linear"] * len(linear) + ["adaptive"] * len(adaptive)
    return pd.DataFrame({"arm": arms, "seed": seeds, "mig_four": [*linear, *adaptive]})


def gaps(of: pd.DataFrame) -> pd.DataFrame:
    """All of the MIG is in one factor's gap; the shape's counts for nothing."""
    rows = {"shape": 9.0, "scale": 0.0, "orientation": 0.0, "position_x": 4 * of["mig_four"], "position_y": 0.0}
    return pd.DataFrame(rows, index=of.index)[list(FACTOR_NAMES)]


def groups(*migs: list[float]) -> str:
    return two_groups(runs := table(*migs), gaps(runs))


def test_the_difference_is_told_by_factor():
    runs = table([0.05, 0.1], [0.25, 0.2])
    assert by_factor(runs, gaps(runs)) == (
        "By factor, the difference in MIG is made of scale +0.000, orientation +0.000, position x +0.150 and position "
        "y +0.000."
    )


def test_two_groups_are_told_by_the_widest_gap():
    text = groups([0.05, 0.1, 0.12], [0.44, 0.13, 0.46])
    assert text.startswith(
        "The MIGs fall into two groups, none of 6 between 0.130 and 0.440; above are linear 0 of 3 runs"
    )
    assert "adaptive 2 of 3 runs. They are parted by the mean gaps of position x (1.80 above, 0.40 below). t" in text
    assert text.endswith("primary differences p = 0.25 (at best 0.25).")
    mixed = groups([0.05, 0.44, 0.12], [0.44, 0.13, 0.46])
    assert "linear 1 of 3 runs, adaptive 2 of 3 runs" in mixed and "p = 0.5 (at best 0.25)" in mixed


def test_one_outlier_small_gaps_or_few_runs_make_no_groups():
    assert groups([0.05, 0.1, 0.12], [0.12, 0.13, 0.46]) == ""
    assert groups([0.05, 0.1, 0.15], [0.2, 0.25, 0.3]) == ""
    assert groups([0.05, 0.1], [0.44, 0.46]) == ""


@pytest.mark.parametrize("values", [[0.3, 0.2, 0.4, 0.1, 0.5], [0.3, -0.2, 0.4, 0.1, -0.5, 0.05, 0.6, -0.15]])
def test_the_sign_flip_test_is_scipys(values):
    exact = stats.permutation_test((values,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip(pd.Series(values)) == pytest.approx(exact.pvalue)
