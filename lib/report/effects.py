"""What several seeds say together: means and spreads per arm, and effects with confidence intervals.

The arms of one seed share initial weights, batches and noise, so that differences between arms are taken seed by seed.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy import stats

from lib.arms import ARMS

# Weights of the arms in each comparison. The four arms are a 2 x 2 design: the rule by which C grows, and whether C
# arrives at C_max at the end or, as in `linear`, earlier and then stays there.
DIFFERENCE = {"adaptive": 1.0, "linear": -1.0}
LATE_DIFFERENCE = {"adaptive": 1.0, "linear_full": -1.0}  # of the two that arrive at the end
RULE = {"adaptive": 0.5, "adaptive_hold": 0.5, "linear": -0.5, "linear_full": -0.5}  # adaptive against linear
ARRIVAL = {"adaptive": 0.5, "linear_full": 0.5, "linear": -0.5, "adaptive_hold": -0.5}  # late against early


def effect(
    table: pd.DataFrame, column: str, weights: dict[str, float], confidence: float = 0.95
) -> tuple[float, float]:
    """The weighted sum of the arms' values: its mean over seeds, and half its confidence interval.

    table: one row per run, with columns arm, seed and `column` (`lib.report.tables.run_table`). The interval is that of
    Student's t for the seeds' sums; with one seed it is not a number.
    """
    by_seed = table.pivot(index="seed", columns="arm", values=column)
    sums = sum(weight * by_seed[arm] for arm, weight in weights.items())
    n = len(sums)
    if n == 1:
        return float(sums.iloc[0]), np.nan
    half = stats.t.ppf((1 + confidence) / 2, n - 1) * sums.std() / np.sqrt(n)
    return float(sums.mean()), float(half)


def effect_text(table: pd.DataFrame, column: str, weights: dict[str, float], form: str) -> str:
    """ "+0.12 [+0.05, +0.19]": the effect and, where there are several seeds, its 95% confidence interval."""
    estimate, half = effect(table, column, weights)
    interval = f" [{estimate - half:+{form}}, {estimate + half:+{form}}]"
    return f"{estimate:+{form}}{'' if np.isnan(half) else interval}"


def told_from_chance(estimate: float, half: float) -> bool:
    """Whether the interval leaves out zero; never with one seed."""
    return abs(estimate) > half


def side_by_side(
    frame: pd.DataFrame, arms: pd.Series, rows: dict[str, tuple[str, Callable[[float], str]]]
) -> pd.DataFrame:
    """Values as text for a reader: a column per run or, where arms have several seeds, one per arm.

    frame: one row per run; arms: each run's arm, by the frame's index; rows: what to call a column of the frame, its
    name there, and how to write a value. An arm's column holds mean ± standard deviation
    over seeds, or, where a value is missing, all values.
    """
    if not arms.duplicated().any():
        return pd.DataFrame({name: frame[column].map(write) for name, (column, write) in rows.items()}).T.rename_axis(
            columns=None
        )

    def cell(values: pd.Series, write: Callable[[float], str]) -> str:
        written = [write(value) for value in values]
        if len(set(written)) == 1:
            return written[0]
        return ", ".join(written) if values.isna().any() else f"{write(values.mean())} ± {write(values.std())}"

    return pd.DataFrame(
        {
            ARMS[arm].label: {
                name: cell(frame.loc[arms == arm, column], write) for name, (column, write) in rows.items()
            }
            for arm in arms.unique()
        }
    )
