"""What several seeds say together: means and spreads per arm, and effects with confidence intervals.

The arms of one seed share initial weights, batches and noise, so that differences between arms are taken seed by seed.
"""

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd
from scipy import stats

from lib.arms import ARMS

COMPARED = ("linear", "adaptive")  # by the report; every profile has both, and pictures are of these two

# Weights of the arms in each comparison. Four arms are a 2 x 2 design: the rule by which C grows, and whether C
# arrives at C_max at the end or, as in `linear`, earlier and then stays there.
DIFFERENCE = {"adaptive": 1.0, "linear": -1.0}
LATE_DIFFERENCE = {"adaptive": 1.0, "linear_full": -1.0}  # of the two that arrive at the end
RULE = {"adaptive": 0.5, "adaptive_hold": 0.5, "linear": -0.5, "linear_full": -0.5}  # adaptive against linear
ARRIVAL = {"adaptive": 0.5, "linear_full": 0.5, "linear": -0.5, "adaptive_hold": -0.5}  # late against early


def has_design(arms: Iterable[str]) -> bool:
    """Whether the four arms of the 2 x 2 design are among these."""
    return set(RULE) <= set(arms)


def effect(
    table: pd.DataFrame, column: str, weights: dict[str, float], confidence: float = 0.95
) -> tuple[float, float]:
    """The weighted sum of the arms' values: its mean over seeds, and half its confidence interval.

    table: one row per run, with columns arm, seed and `column` (`lib.report.tables.run_table`). A seed counts where all
    arms of the comparison have a value. The interval is that of Student's t for the seeds' sums; with one seed it is
    not a number, with none the mean is not one either.
    """
    by_seed = table.pivot(index="seed", columns="arm", values=column)
    sums = sum(weight * by_seed[arm] for arm, weight in weights.items()).astype(float).dropna()
    n = len(sums)
    half = stats.t.ppf((1 + confidence) / 2, n - 1) * sums.std() / np.sqrt(n) if n > 1 else np.nan
    return float(sums.mean()), float(half)


def effect_text(table: pd.DataFrame, column: str, weights: dict[str, float], form: str) -> str:
    """ "+0.12 [+0.05, +0.19]": the effect and, where there are several seeds, its 95% confidence interval."""
    estimate, half = effect(table, column, weights)
    if np.isnan(estimate):
        return "not measured"
    interval = f" [{estimate - half:+{form}}, {estimate + half:+{form}}]"
    return f"{estimate:+{form}}{'' if np.isnan(half) else interval}"


def told_from_chance(estimate: float, half: float) -> bool:
    """Whether the interval leaves out zero; never with one seed."""
    return abs(estimate) > half


def how_sure(table: pd.DataFrame, column: str, weights: dict[str, float] = DIFFERENCE) -> str:
    """How sure an effect is, in one sentence."""
    estimate, half = effect(table, column, weights)
    if np.isnan(half):
        return "With one seed per arm, chance cannot be told from effect."
    if told_from_chance(estimate, half):
        return "The confidence interval leaves out zero: chance alone hardly explains the difference."
    return "The confidence interval contains zero: chance may explain the difference."


def number(form: str) -> Callable[[float], str]:
    """How to write a number; one that is missing stays blank."""
    return lambda value: "" if pd.isna(value) else format(value, form)


def step_or_never(step: float) -> str:
    """How to write a step at which something happened: infinite where it never did, blank where it could not."""
    return "never" if step == np.inf else number(",.0f")(step)


def with_spread(values: pd.Series, write: Callable[[float], str]) -> str:
    """ "0.46 ± 0.03": mean and standard deviation over seeds; one value where all are written alike.

    Where a value is missing or infinite, a spread would be that of other seeds: what is written stands side by side.
    """
    written = [write(value) for value in values]
    if len(set(written)) == 1:
        return written[0]
    if not np.isfinite(values.astype(float)).all():
        return ", ".join(text for text in written if text)
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
