"""What the controls leave of the difference between the arms; all of it is exploratory."""

import pandas as pd

from lib.report.effects import (
    ARRIVAL,
    DIFFERENCE,
    LATE_DIFFERENCE,
    SEEING,
    SLOWNESS,
    by_seed,
    effect,
    effect_text,
    told_from_chance,
)
from lib.report.findings.contrast import MIG, PRIMARY
from lib.report.findings.wording import joined


def same_arrival(table: pd.DataFrame) -> str:
    """What is left of the difference where both arms arrive at C_max at the same time; empty where that was not run."""
    if not set(LATE_DIFFERENCE) <= set(table["arm"]):
        return ""
    return (
        r"When C reaches $C_{\max}$ only at the last step in both arms (adaptive − linear full-length), "
        f"{_smaller(table)}."
    )


def _smaller(table: pd.DataFrame) -> str:
    late, early = (by_seed(table, MIG.column, weights).mean() for weights in (LATE_DIFFERENCE, DIFFERENCE))
    if abs(late) >= abs(early) / 2:
        return "by the means at least half of the difference in MIG stays"
    sure = told_from_chance(*effect(table, MIG.column, ARRIVAL))
    how = "which chance alone hardly explains" if sure else "which chance may explain"
    return f"by the means most of the difference in MIG comes with the late arrival, {how}"


def seeing_beta(table: pd.DataFrame) -> str:
    """What is left where C advances as often, but at random, blind to beta; empty where that was not run."""
    if not set(SEEING) <= set(table["arm"]):
        return ""
    told = any(told_from_chance(*effect(table, what.column, SEEING)) for what in PRIMARY)
    return (
        "When C advances as often, but at random (adaptive − random hold), that seeing β "
        f"{'adds something is told from chance' if told else 'adds anything is not shown'}."
    )


def slow_clock(table: pd.DataFrame) -> str:
    """What a slower ramp by the clock does that is then held as long; empty where that was not run."""
    if not set(SLOWNESS) <= set(table["arm"]):
        return ""
    steps = table.loc[table["arm"] == "slow_then_hold", "steps"].iloc[0]
    mean, half = effect(table, MIG.column, SLOWNESS)
    outcome = "gives a higher MIG" if mean > 0 else "gives a lower MIG"
    shown = f"without β a slow rise {outcome}" if told_from_chance(mean, half) else "what a slow rise does is uncertain"
    return (
        "When C rises by the clock, but slowly, and is then held as long as in linear (slow then held − linear, "
        f"{steps:,} steps), {shown}."
    )


def controls(table: pd.DataFrame) -> str:
    """What the controls leave of the difference in MIG, in one sentence."""
    known = {
        "against a C that arrives as late by the clock": LATE_DIFFERENCE,
        "against a C that advances as often at random": SEEING,
    }
    parts, sure = [], []
    for name, weights in known.items():
        if set(weights) <= set(table["arm"]):
            sure.append(told_from_chance(*effect(table, MIG.column, weights)))
            left = effect_text(table, MIG.column, weights, MIG.form)
            parts.append(f"{left} {name} ({'told' if sure[-1] else 'not told'} from chance)")
    if not parts:
        return r"What is left when C reaches $C_{\max}$ at the same time in both arms was not run in this profile."
    undecided = "" if any(sure) else ": whether pressure is critical, or a late C enough, these runs do not decide"
    return f"What remains of the difference in MIG, exploratory: {joined(parts)}{undecided}."
