"""What several seeds say together: means and spreads per arm, and effects with confidence intervals.

The arms of one seed share initial weights, batches and noise, so that differences between arms are taken seed by seed.
"""

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd
from scipy import stats

from lib.arms import ARMS

COMPARED = ("linear", "adaptive")  # by the report; every profile has both, and pictures are of these two

DIFFERENCE = {"adaptive": 1.0, "linear": -1.0}  # the primary contrast: written down before the runs
LATE_DIFFERENCE = {"adaptive": 1.0, "linear_full": -1.0}  # of the two rules, both arriving at C_max at the end
ARRIVAL = {"linear_full": 1.0, "linear": -1.0}  # late against early, both by the clock
SEEING = {"adaptive": 1.0, "random_hold": -1.0}  # the rule against one that advances as often, blind to beta
SLOWNESS = {"slow_then_hold": 1.0, "linear": -1.0}  # both by the clock, with as many steps at C_max
# Everything else is exploratory; a comparison is made where its arms are among the runs.
EXPLORATORY = {
    "the rule, both late: adaptive − linear full-length": LATE_DIFFERENCE,
    "the rule, both early: adaptive then held − linear": {"adaptive_hold": 1.0, "linear": -1.0},
    "lateness, by the clock: linear full-length − linear": ARRIVAL,
    "lateness, at random: random hold − linear": {"random_hold": 1.0, "linear": -1.0},
    "lateness, by β: adaptive − adaptive then held": {"adaptive": 1.0, "adaptive_hold": -1.0},
    "interaction of rule and lateness": {"adaptive": 1.0, "linear_full": -1.0, "adaptive_hold": -1.0, "linear": 1.0},
    "what seeing β adds: adaptive − random hold": SEEING,
    "no feedback, another seed's C(t): adaptive − matched curve": {"adaptive": 1.0, "matched_curve": -1.0},
    "a slower ramp and longer training, same time at the last C: slow then held − linear": SLOWNESS,
}


def exploratory(arms: Iterable[str]) -> dict[str, dict[str, float]]:
    """The exploratory comparisons that these arms allow, by what they are called."""
    return {name: weights for name, weights in EXPLORATORY.items() if set(weights) <= set(arms)}


def by_seed(table: pd.DataFrame, column: str, weights: dict[str, float]) -> pd.Series:
    """The weighted sum of the arms' values, seed by seed, of the seeds for which all arms of it have a value.

    table: one row per run, with columns arm, seed and `column` (`lib.report.tables.run_table`).
    """
    values = table.pivot(index="seed", columns="arm", values=column)
    return sum(weight * values[arm] for arm, weight in weights.items()).astype(float).dropna()


def effect(
    table: pd.DataFrame, column: str, weights: dict[str, float], confidence: float = 0.95
) -> tuple[float, float]:
    """The mean of `by_seed`, and half its confidence interval, that of Student's t.

    With one seed the interval is not a number, with none the mean is not one either.
    """
    sums = by_seed(table, column, weights)
    return float(sums.mean()), half_width(sums.std(), len(sums), confidence)


def half_width(deviation: float, n: int, confidence: float = 0.95) -> float:
    """Half the confidence interval of a mean of n values with this standard deviation; not a number below two."""
    return float(stats.t.ppf((1 + confidence) / 2, n - 1) * deviation / np.sqrt(n)) if n > 1 else np.nan


def effect_text(table: pd.DataFrame, column: str, weights: dict[str, float], form: str) -> str:
    """ "+0.12 [+0.05, +0.19]": the effect and, where there are several seeds, its 95% confidence interval."""
    estimate, half = effect(table, column, weights)
    if np.isnan(estimate):
        return "not measured"
    write = number(f"+{form}")
    interval = f" [{write(estimate - half)}, {write(estimate + half)}]"
    return f"{write(estimate)}{'' if np.isnan(half) else interval}"


def told_from_chance(estimate: float, half: float) -> bool:
    """Whether the interval leaves out zero; never with one seed."""
    return abs(estimate) > half


def how_sure(table: pd.DataFrame, column: str, weights: dict[str, float] = DIFFERENCE) -> str:
    """How sure an effect is, in a few words; empty for one seed, of which the paper says once that it tells nothing."""
    estimate, half = effect(table, column, weights)
    if np.isnan(half):
        return ""
    return "chance alone hardly explains it" if told_from_chance(estimate, half) else "chance may explain it"


def number(form: str) -> Callable[[float], str]:
    """How to write a number, with a true minus sign, and none before a zero; one that is missing stays blank."""
    form = f"+z{form[1:]}" if form.startswith("+") else f"z{form}"
    return lambda value: "" if pd.isna(value) else format(float(value), form).replace("-", "−")


def step_or_never(step: float) -> str:
    """How to write a step at which something happened: infinite where it never did, blank where it could not."""
    return "never" if step == np.inf else number(",.0f")(step)


def with_spread(values: pd.Series, write: Callable[[float], str]) -> str:
    """ "0.46 ± 0.03": mean and standard deviation over seeds; one value where all seeds have the same.

    Where a value is missing or infinite, a spread would be that of other seeds: what is written stands side by side.
    """
    if values.nunique(dropna=False) == 1:
        return write(values.iloc[0])
    if not np.isfinite(values.astype(float)).all():
        return ", ".join(text for text in map(write, values) if text)
    return f"{write(values.mean())} ± {write(values.std()).lstrip('+')}"


def side_by_side(
    frame: pd.DataFrame, arms: pd.Series, rows: dict[str, tuple[str, Callable[[float], str]]]
) -> pd.DataFrame:
    """Values as text for a reader: a column per run or, where arms have several seeds, one per arm.

    frame: one row per run; arms: each run's arm, by the frame's index; rows: what to call a column of the frame, its
    name there, and how to write a value. An arm's column holds what `with_spread` writes of its seeds.
    """
    if not arms.duplicated().any():
        written = {name: frame[column].map(write) for name, (column, write) in rows.items()}
        return pd.DataFrame(written).T.rename_axis(columns=None)
    return pd.DataFrame(
        {
            ARMS[arm].label: {
                name: with_spread(frame.loc[arms == arm, column], write) for name, (column, write) in rows.items()
            }
            for arm in arms.unique()
        }
    )


def per_arm(table: pd.DataFrame, column: str, form: str) -> str:
    """ "linear 1.00 ± 0.10, adaptive 2.00": a column of the runs' table, arm by arm; arms without a value are left out.

    table: one row per run, with columns arm and `column`.
    """
    written = {arm: with_spread(table.loc[table["arm"] == arm, column], number(form)) for arm in table["arm"].unique()}
    return ", ".join(f"{ARMS[arm].label} {text}" for arm, text in written.items() if text)
