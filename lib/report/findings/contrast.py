"""The primary contrast, adaptive - linear over the seeds, and the five sentences that answer the report's question."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from lib.arms import ARMS
from lib.report.effects import (
    ARRIVAL,
    COMPARED,
    DIFFERENCE,
    LATE_DIFFERENCE,
    SEEING,
    SLOWNESS,
    by_seed,
    effect,
    effect_text,
    exploratory,
    half_width,
    number,
    told_from_chance,
    with_spread,
)
from lib.report.findings.wording import joined, sentences
from lib.report.tables import REPORTED
from lib.runs.profiles import Profile, load_profile

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
            needed.append(f"{f'more than {MOST_SEEDS:,}' if seeds is None else seeds} seeds for the {what.label}")
    more = f"; at this spread an interval as narrow as the margin would take {joined(needed)}" if needed else ""
    return f"How sure: in brackets 95% intervals over {n} paired seeds, against margins of {margins}{more}."


def same_arrival(table: pd.DataFrame) -> str:
    """What is left of the difference where both arms arrive at C_max at the same time; empty where that was not run."""
    if not set(LATE_DIFFERENCE) <= set(table["arm"]):
        return ""
    return (
        r"When C reaches $C_{\max}$ only at the last step in both arms (adaptive − linear full-length, exploratory): "
        f"{_effects(table, LATE_DIFFERENCE)}; {_smaller(table)}."
    )


def _effects(table: pd.DataFrame, weights: dict[str, float]) -> str:
    return joined(f"{what.label} {effect_text(table, what.column, weights, what.form)}{what.unit}" for what in PRIMARY)


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
        f"When C advances as often, but at random (adaptive − random hold, exploratory): {_effects(table, SEEING)}; "
        f"that seeing β {'adds something is told from chance' if told else 'adds anything is not shown'}."
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
        f"exploratory, {steps:,} steps): {_effects(table, SLOWNESS)}; {shown}."
    )


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
        f"{_effects(table, DIFFERENCE)}; the report has {mig} and {loss} nats.",
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
    return f"Ours minus the report's: {'; '.join(parts)}."


def controls(table: pd.DataFrame) -> str:
    """What the controls leave of the difference in MIG, in one sentence."""
    known = {
        "against a C that arrives as late by the clock": LATE_DIFFERENCE,
        "against a C that advances as often at random": SEEING,
    }
    parts = []
    for name, weights in known.items():
        if set(weights) <= set(table["arm"]):
            sure = told_from_chance(*effect(table, MIG.column, weights))
            left = effect_text(table, MIG.column, weights, MIG.form)
            parts.append(f"{left} {name} ({'told' if sure else 'not told'} from chance)")
    if not parts:
        return r"What is left when C reaches $C_{\max}$ at the same time in both arms was not run in this profile."
    return f"Left of the difference in MIG, exploratory: {joined(parts)}."


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


def untested(profile: Profile, beside_own_size: bool = False) -> str:
    """What these runs do not test; beside_own_size: whether runs of the report's own size, of fewer seeds, stand by."""
    training, paper = profile.training, load_profile("paper").training
    if training["steps"] >= paper["steps"]:
        without = "controls of this size, " if len(profile.arms) == len(COMPARED) else ""
        return f"Not tested: {without}other networks, data sets and seeds than these."
    seen, whole = (each["steps"] * each["batch_size"] for each in (training, paper))
    c_max = training["c_max"]
    several, this = " (see `paper`)", "this is a **reduced run**"
    if beside_own_size:
        several, this = " over several seeds", f"those of `{profile.name}` are **reduced runs**"
    return (
        f"Not tested: the report's own size{several}; {this} of {training['steps']:,} steps instead of "
        f"{paper['steps']:,} ({seen:,} images instead of {whole:,}) with a faster controller"
        + (f" and $C_{{\\max}}$ = {c_max:g} instead of {paper['c_max']:g} nats." if c_max != paper["c_max"] else ".")
    )


def when_others_ended(table: pd.DataFrame, snapshots: Mapping[str, pd.DataFrame], steps: int) -> str:
    """What arms that train longer had reached after `steps` steps, the others' number; empty where none does.

    snapshots: run's name -> its table; a run without a snapshot of that step is left out.
    """
    parts = []
    for arm, runs in table[table["steps"] > steps].groupby("arm", sort=False):
        rows = pd.concat([snapshots[name][snapshots[name]["step"] == steps] for name in runs.index])
        if len(rows):
            mig, loss, kl = (
                with_spread(rows[column], number(form))
                for column, form in (("mig_four", ".3f"), ("reconstruction", ".1f"), ("kl", ".2f"))
            )
            parts.append(
                f"After {steps:,} steps, when the others ended, {ARMS[arm].label} had MIG {mig}, reconstruction {loss} "
                f"and KL {kl} nats (on {rows['images'].iloc[0]:,} images)."
            )
    return " ".join(parts)


def answer(table: pd.DataFrame, profile: Profile) -> dict[str, str]:
    """The five sentences, in the order in which they are read."""
    return {
        "asked": "Asked: do the factors separate better when the capacity C grows only while the controller's weight β "
        "does not rise (adaptive) than when it grows by the clock (linear)?",
        **evidence(table),
        "untested": untested(profile),
    }


def evidence(table: pd.DataFrame) -> dict[str, str]:
    """Those of the five that the runs' table alone decides; README.md takes them too."""
    return {
        "differences": sentences(found(table), beside_the_report(table)),
        "brackets": how_sure_overall(table),
        "controls": controls(table),
    }
