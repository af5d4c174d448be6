"""What the runs say of C, KL and β over training, in sentences."""

from collections.abc import Mapping

import pandas as pd

from lib.arms import ARMS, arrival, schedule_of
from lib.evaluation.stability import MOST_OFF, MOST_SWING
from lib.report.controller_tables import APART
from lib.report.effects import DIFFERENCE, effect_text, how_sure
from lib.report.findings.wording import counts, sentences
from lib.runs.profiles import load_profile
from lib.runs.settings import TrainingConfig
from lib.schedules import INCREMENT, INCREMENTS, AdaptiveCapacity, linear_reaches_maximum

MOSTLY = 0.9  # share from which on a rule is said to do something
WAITS = "holds C while the KL is above it and raises C while the KL is below; nothing in it keeps C from running ahead"


def linear_arrival(c_start: float, c_max: float, steps: int) -> str:
    """When the linear rule has C = C_max with these settings, and for how long."""
    setting = f"From {c_start:g} to {c_max:g} nats in {steps:,} steps the linear rule"
    if c_max - c_start > INCREMENT * INCREMENTS:
        return f"{setting} does not reach $C_{{\\max}}$."
    share, whole = linear_reaches_maximum(c_start, c_max, steps) / steps, load_profile("paper").training
    of_report = linear_reaches_maximum(whole["c_start"], whole["c_max"], whole["steps"]) / whole["steps"]
    beside = f" (at the report's settings {1 - of_report:.0%})" if f"{share:.0%}" != f"{of_report:.0%}" else ""
    return (
        f"{setting} has $C_{{\\max}}$ after {share:.0%} of training, and holds it for the other {1 - share:.0%}"
        f"{beside}."
    )


def arm_arrival(config: TrainingConfig) -> str:
    """When C is at C_max in an arm with a controller, where the clock decides that."""
    reached = arrival(config)
    if reached is None:
        return "When C reaches $C_{\\max}$ in this arm, if it does, is not decided by the clock alone."
    schedule = schedule_of(config.arm, config.c_start, config.c_max, config.steps)
    if reached == config.steps and isinstance(schedule, AdaptiveCapacity):
        return f"In this arm C reaches $C_{{\\max}}$ at the last of {config.steps:,} steps, if that advances."
    if reached == config.steps:
        return f"In this arm C reaches $C_{{\\max}}$ at the last of {config.steps:,} steps."
    return (
        f"In this arm C has $C_{{\\max}}$ after {reached:,} of {config.steps:,} steps, {reached / config.steps:.0%} of "
        f"training, and holds it for the other {1 - reached / config.steps:.0%}."
    )


def kept_up(table: pd.DataFrame, traces: Mapping[str, pd.DataFrame]) -> str:
    """In how many runs the KL ended at C, and in which arms not; arms without a C are left out.

    traces: run's name -> its trace.
    """
    last = {name: trace["set_point_mean"].iloc[-max(1, len(trace) // 100) :].mean() for name, trace in traces.items()}
    known = table.assign(capacity_last_percent=pd.Series(last)).dropna(subset=["capacity_last_percent"])
    close = (known["kl_last_percent"] - known["capacity_last_percent"]).abs() <= APART
    lacking = ~close.groupby(known["arm"]).transform("all")
    others = f" ({counts(close[lacking], known['arm'])})" if lacking.any() else ""
    return (
        f"Over the last 1% of steps the mean KL was within {APART} nats of the mean C in {close.sum()} of {len(close)} "
        f"runs{others}."
    )


def at_rest(table: pd.DataFrame) -> str:
    """Which runs had come to rest when they ended, by lib/evaluation/stability.py; nothing where none is known."""
    known = table.dropna(subset=["at_rest"])
    if known.empty:
        return ""
    still = known["at_rest"].astype(bool)
    text = (
        f"At the end the KL was at rest in {still.sum()} of {len(still)} runs: within {MOST_OFF} nats of its mean over "
        f"the last 1%, and moving at most {MOST_SWING} times as much as batches alone do"
    )
    if still.all():
        return f"{text}."
    moving = known[~still]
    rise = moving["capacity_rise"].max()
    rising = f" (in part because C itself rose, by up to {rise:.2f})" if rise >= MOST_OFF else ""
    return (
        f"{text}. The others, hollow among the scores, were up to {moving['kl_off'].abs().max():.2f} nats off{rising}, "
        f"and moved up to {moving['kl_swing'].max():.1f} times as much as batches."
    )


def pressure(table: pd.DataFrame, anti_windup: str) -> str:
    """β on average, and, under an anti-windup with which it can, whether the controller locked."""
    locked = table["locked_at"].notna().astype(object).where(table["share_frozen"].notna())
    if anti_windup == "conditional":
        end = ""
    elif not locked.dropna().any():
        end = "The controller locked in no run."
    else:
        end = f"The controller locked, and could never again raise β, in: {counts(locked, table['arm'])}."
    sure = how_sure(table, "mean_beta")
    mean = effect_text(table, "mean_beta", DIFFERENCE, ".1f")
    return sentences(f"Mean β, adaptive − linear: {mean}{sure and f' ({sure})'}.", end)


def rule(done: pd.DataFrame) -> str:
    """What the adaptive rule did, against what it was meant to do, and what one does that draws its steps.

    done: `lib.report.analysis.Analysis.done`.
    """
    blind = done[_draws(done)]
    chance = (
        f" Where the steps are drawn, blind to β, these shares are {blind['below'].mean():.0%} and "
        f"{blind['above'].mean():.0%} on average."
        if len(blind)
        else ""
    )
    return f"{_seen(done[~_draws(done)])}{chance}"


def _draws(done: pd.DataFrame) -> pd.Series:
    return done["arm"].map(lambda arm: ARMS[arm].drawn_from is not None).astype(bool)


def _seen(done: pd.DataFrame) -> str:
    below, above, every = done["below"].min(), done["above"].min(), done["every"].round().max()
    counted = "every step counted" if every == 1 else f"a sample of one step in {every:.0f}"
    least = "at least " if len(done) > 1 else ""
    text = (
        f"Of the advances {least}{below:.1%} were made while KL < C, of the holds {least}{above:.1%} while KL > C "
        f"({counted}, n = {done['rows'].sum():,.0f}, {len(done)} run{'s' if len(done) > 1 else ''})"
    )
    if min(below, above) >= MOSTLY:
        return f"{text}: the rule nearly always {WAITS}."
    if min(below, above) > 0.5:
        return f"{text}: more often than not the rule {WAITS}."
    return f"{text}: it does not hold C by the sign of KL − C."


def ties(done: pd.DataFrame) -> str:
    """How often C advanced with beta at its least value, where the rule looks at it; done: as in `rule`."""
    most = done.loc[~_draws(done), "at_minimum"].max()
    if most == 0:
        return "No advance was made with β at its least value, where a tie advances."
    return (
        f"At most {most:.1%} of a run's advances were made with β at its least value, where ties advance, too: so C "
        "can run away from a KL that stands still."
    )
