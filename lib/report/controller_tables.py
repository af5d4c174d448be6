"""How C stood against the KL and its information over training."""

import numpy as np
import pandas as pd

APART = 0.5  # nats from which on two quantities are said to differ


def information_gaps(snapshots: pd.DataFrame, apart: float = APART) -> pd.Series:
    """How far C and KL stand from I_q(x; z) over the snapshots of a run, in nats.

    snapshots: `lib.evaluation.snapshots.measure_snapshots`. `mean_distance`: mean of |C - I_q| over the steps from the
    first snapshot to the last, by the trapezoidal rule, as the snapshots are not evenly spaced; `largest_gap` of
    C - I_q, at step `largest_at`; at the last snapshot `last_gap` of C - I_q and its two parts, `last_lag` of C - KL
    and `last_mismatch` of KL - I_q; `apart_from`: the step of the snapshot from which on KL - I_q stays above `apart`
    until the end, infinite where it ends below; `over_bound`: the step of the first snapshot at which C exceeds log N,
    likewise. Where the run has no C, what needs it is missing.
    """
    step, information = snapshots["step"], snapshots["mutual_information"]
    gap, mismatch = snapshots["capacity"] - information, snapshots["kl"] - information
    beyond = snapshots["capacity"] > np.log(snapshots["images"])
    has_capacity = gap.notna().any()
    return pd.Series(
        {
            "mean_distance": _mean_over_steps(gap.abs(), step),
            "largest_gap": gap.max(),
            "largest_at": step[gap.idxmax()] if has_capacity else np.nan,
            "last_gap": gap.iloc[-1],
            "last_lag": gap.iloc[-1] - mismatch.iloc[-1],
            "last_mismatch": mismatch.iloc[-1],
            "apart_from": _first(step[step > step[mismatch <= apart].max()] if (mismatch <= apart).any() else step),
            "over_bound": _first(step[beyond]) if has_capacity else np.nan,
        }
    )


def _first(steps: pd.Series) -> float:
    return steps.min() if len(steps) else np.inf


def _mean_over_steps(values: pd.Series, step: pd.Series) -> float:
    """Mean over the steps between the first and the last value, joined by straight lines."""
    if len(values) == 1:
        return values.iloc[0]
    return np.trapezoid(values, step) / (step.iloc[-1] - step.iloc[0])
