"""The primary contrast, adaptive - linear over the seeds: what it is held to, and what it says."""

from dataclasses import dataclass

import pandas as pd

from lib.arms import ARMS
from lib.report.effects import (
    COMPARED,
    DIFFERENCE,
    by_seed,
    effect,
    effect_text,
    exploratory,
    half_width,
    number,
    told_from_chance,
)
from lib.report.findings.wording import joined, sentences
from lib.report.tables import REPORTED
from lib.runs.profiles import load_profile

NO_DIFFERENCE, A_DIFFERENCE, UNINFORMATIVE = "no difference that matters", "a difference", "uninformative"
ONE_PAIR = "one seed per arm cannot tell effect from chance"
MOST_SEEDS = 1_000  # beyond which the number of seeds that would be needed is not worth a number


@dataclass(frozen=True)
class Primary:
    """A quantity of the primary contrast: below `margin`, written down before the runs, no difference matters."""

    column: str  # of `lib.report.tables.run_table`
    label: str
    margin: float
    form: str
    unit: str = ""


MIG = Primary("mig_four", "MIG", 0.05, ".3f")
RECONSTRUCTION = Primary("reconstruction", "reconstruction loss", 2.0, ".1f", " nats")
PRIMARY = (MIG, RECONSTRUCTION)


def verdict(estimate: float, half: float, margin: float) -> str:
    """What an interval, estimate ± half, allows to say.

    "no difference that matters" only where the whole interval lies within ± margin, whether or not it contains zero;
    else "a difference" where it leaves out zero; else, and without an interval, "uninformative".
    """
    if abs(estimate) + half < margin:
        return NO_DIFFERENCE
    return A_DIFFERENCE if abs(estimate) > half else UNINFORMATIVE


def seeds_needed(deviation: float, margin: float) -> int | None:
    """The least number of seeds whose 95% interval, at this standard deviation, is narrower than ± margin.

    None where it is beyond MOST_SEEDS, or the deviation is not known.
    """
    return next((n for n in range(2, MOST_SEEDS + 1) if half_width(deviation, n) < margin), None)


def judged(table: pd.DataFrame, what: Primary) -> tuple[str, pd.Series]:
    """The verdict of the primary contrast on one quantity, and the differences that it rests on, by seed."""
    differences = by_seed(table, what.column, DIFFERENCE)
    return verdict(differences.mean(), half_width(differences.std(), len(differences)), what.margin), differences


def found(table: pd.DataFrame) -> str:
    """What was found for MIG and reconstruction."""
    parts = [
        f"{what.label} {effect_text(table, what.column, DIFFERENCE, what.form)}{what.unit} "
        f"({_in_words(table, what)})" for what in PRIMARY
    ]  # fmt: skip
    return f"Found, adaptive − linear: {joined(parts)}."


def _in_words(table: pd.DataFrame, what: Primary) -> str:
    """The verdict; of a difference on which side it lies, and whether its interval reaches into the margin."""
    decided, differences = judged(table, what)
    if decided != A_DIFFERENCE:
        return decided
    mean, half = differences.mean(), half_width(differences.std(), len(differences))
    little = ", perhaps by less than the margin" if abs(mean) - half < what.margin else ""
    return f"{'higher' if mean > 0 else 'lower'}{little}"


def how_sure_overall(table: pd.DataFrame) -> str:
    """What the intervals are, what margin was set, and how many seeds one that reaches into the margin would need."""
    n = len(by_seed(table, MIG.column, DIFFERENCE))
    margins = joined(f"{what.margin:g}{what.unit} for the {what.label}" for what in PRIMARY)
    if n < 2:
        several = len(load_profile("seeds").seeds)
        return f"How sure: not at all: {ONE_PAIR}. The profile `seeds` has {several} pairs, of reduced runs."
    needed = []
    for what in PRIMARY:
        differences = by_seed(table, what.column, DIFFERENCE)
        half = half_width(differences.std(), len(differences))
        if half >= what.margin > abs(differences.mean()) - half:  # it does not tell whether the difference matters
            seeds = seeds_needed(differences.std(), what.margin)
            many = f"more than {MOST_SEEDS:,}" if seeds is None else seeds
            needed.append(f"±{what.margin:g}{what.unit} would take {many} seeds for the {what.label}")
    more = f"; at this spread {joined(needed)}" if needed else ""
    return (
        f"How sure: in brackets 95% t intervals over {n} paired seeds (told from chance: without 0), against margins "
        f"of {margins}{more}."
    )


def effects_text(table: pd.DataFrame, weights: dict[str, float]) -> str:
    """A contrast between arms, in MIG and in reconstruction, with their intervals."""
    return joined(f"{what.label} {effect_text(table, what.column, weights, what.form)}{what.unit}" for what in PRIMARY)


def own_size(table: pd.DataFrame) -> str:
    """What runs of the report's own size found, beside its figures.

    table: `lib.report.tables.run_table` of runs of as many steps as the report's.
    """
    n, steps = len(by_seed(table, MIG.column, DIFFERENCE)), table["steps"].iloc[0]
    linear, adaptive = REPORTED.set_index("arm").loc[["linear", "adaptive"]].itertuples()
    mig = number("+.4f")(adaptive.mig - linear.mig)
    loss = number("+.1f")(adaptive.reconstruction - linear.reconstruction)
    return sentences(
        f"At the report's own size ({steps:,} steps; {n} seed{'s' if n > 1 else ''} per arm), adaptive − linear: "
        f"{effects_text(table, DIFFERENCE)}; the report has {mig} and {loss} nats.",
        beside_the_report(table),
        f"{ONE_PAIR[:1].upper()}{ONE_PAIR[1:]}." if n == 1 else "",
    )


def beside_the_report(table: pd.DataFrame) -> str:
    """How far each arm ended from the report's own figures; empty for runs that are shorter than its own."""
    if (table["steps"] < load_profile("paper").training["steps"]).any():
        return ""
    means = table.groupby("arm")[[what.column for what in PRIMARY]].mean()
    parts = []
    for what, column in zip(PRIMARY, ("mig", "reconstruction"), strict=True):
        apart = (means[what.column] - REPORTED.set_index("arm")[column])[[*COMPARED]]
        met = "within" if (apart.abs() <= what.margin).all() else "not within"
        values = joined(
            f"{number(f'+{what.form}')(value)}{what.unit} in {ARMS[arm].label}" for arm, value in apart.items()
        )
        parts.append(f"{what.label} {values}, {met} the margin of {what.margin:g}{what.unit}")
    of_steps = table.groupby("arm")["reconstruction_last_percent"].mean() - REPORTED.set_index("arm")["reconstruction"]
    steps = joined(number("+.1f")(of_steps[arm]) for arm in COMPARED)
    return f"Ours minus the report's: {'; '.join(parts)} (last 1% of steps: {steps})."


def compared(table: pd.DataFrame) -> str:
    """What the differences of the table are, and what they cannot say."""
    if len(by_seed(table, MIG.column, DIFFERENCE)) < 2:
        return f"The difference of one pair, without an interval: {ONE_PAIR}."
    return (
        "Differences with 95% intervals, paired by seed. The first was fixed before the runs; the others are "
        "exploratory, and not corrected for their number. Where an interval contains zero, these runs do not decide."
    )


def told(table: pd.DataFrame) -> str:
    """Which exploratory comparisons are told from chance, each taken alone; empty where there are none."""
    compared = exploratory(table["arm"])
    if not compared or len(by_seed(table, MIG.column, DIFFERENCE)) < 2:
        return ""
    parts = []
    for what in PRIMARY:
        sure = [name for name, weights in compared.items() if told_from_chance(*effect(table, what.column, weights))]
        named = joined((f"“{name.split(':')[0]}”" for name in sure), "none")
        parts.append(f"{what.label}: {named}")
    return f"Exploratory comparisons that are told from chance, each taken alone: {'; '.join(parts)}."
