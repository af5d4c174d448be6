"""What a rule that looks at beta did with C, step by step."""

import numpy as np
import pandas as pd

LEFT = 0.01  # of the way from C(0) to C_max, from which on C has left its start


def rule_counts(trace: pd.DataFrame, c_max: float, beta_min: float) -> pd.Series:
    """What a rule that looks at beta did at the steps before it had C_max.

    trace: of one run, whole (a row per step) or thinned (a row every so many, with means over the steps between).
    `advanced`: share of these steps at which C rose, exact in both, as it comes from the means. The others are shares
    of the rows: `below`, of those that advanced, KL < C; `above`, of those that held, KL > C; `at_minimum`, of those
    that advanced, beta at its least value, where a tie advances. Sampled, not counted, where the trace is thinned:
    `rows` of them, one every `every` steps. `longest`: most steps in a row without an advance, by whole rows, after C
    has made LEFT of its way; `longest_at_start`: before.
    """
    free = trace[trace["set_point"] < c_max]
    rose, every = free["advanced"].astype(bool), trace["step"].iloc[-1] / len(trace)
    up, held = free[rose], free[~rose]
    still, start = free["advanced_mean"] == 0, trace["set_point"].iloc[0]
    left = free["set_point"] >= start + LEFT * (c_max - start)
    longest, at_start = (still[where].groupby((~still).cumsum()).sum().max() for where in (left, ~left))
    return pd.Series(
        {
            "advanced": free["advanced_mean"].mean(),
            "below": (up["kl"] < up["set_point"]).mean(),
            "above": (held["kl"] > held["set_point"]).mean(),
            "at_minimum": (up["beta"] <= beta_min).mean(),
            "rows": len(free),
            "every": every,
            "longest": np.nan_to_num(longest) * every,
            "longest_at_start": np.nan_to_num(at_start) * every,
        },
        dtype=float,
    )
