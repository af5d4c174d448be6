"""What all arms say beside one another, in sentences. With one run of most of them, those are not told from chance."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lib.arms import ARMS
from lib.report.effects import number
from lib.report.findings.against_base import BASE
from lib.report.findings.contrast import MIG, PRIMARY
from lib.report.findings.wording import joined, labels
from lib.report.other_arms import Ended
from lib.runs.run import Run

GOES_WITH = 0.5  # least rank correlation, in size, that is called one
ALIKE = 1.0  # nats of KL within which two arms ended at like KL
LEAST = 10  # arms of which it is computed


def off_target(ended: Mapping[str, Ended], seed: int) -> str:
    """In which arms what was to follow a C ended away from it; ended: `lib.report.other_arms.ended`, of this seed."""
    if not ended:
        return ""
    away = [
        f"{ARMS[arm].label} ({each.value:.1f} for {each.capacity:.1f})"
        for arm, each in ended.items()
        if abs(each.value - each.capacity) > ALIKE
    ]
    or_information = " or information" if any(each.what == "I" for each in ended.values()) else ""
    which = f"{len(ended)} arms whose KL{or_information} is to follow a C, with seed {seed}"
    if not away:
        return f"In all {which}, it ended within {ALIKE:g} nat of it."
    return f"Of {which}, it ended more than {ALIKE:g} nat from it in {joined(away)}."


def locked(locked_at: Mapping[str, int], measured: Mapping[str, Mapping[str, Any]]) -> str:
    """Which controllers locked, and whether the posteriors became those of VAE bit for bit; empty where none did.

    locked_at: arm -> step; measured: arm -> evaluation.json, whose posterior_sha256 is of all images' posteriors.
    """
    if not locked_at:
        return ""
    parts = []
    for arm, step in locked_at.items():
        hashes = {measured[each].get("posterior_sha256") for each in (arm, "vae") if each in measured}
        same = "vae" in measured and len(hashes) == 1 and None not in hashes  # older records have none
        parts.append(
            f"that of {ARMS[arm].label} from step {step:,} on"
            + (" (its posteriors are those of VAE, bit for bit)" if same else "")
        )
    return f"Controllers that locked, β at its least value whatever the KL does: {joined(parts)}."


def curve_alone(run: Run, results: pd.DataFrame, table: pd.DataFrame) -> str:
    """Whether a run that follows the C(t) of another seed, blind to β, ended where runs that found theirs did.

    Those are the one of its own seed, with which it shares initial weights, batches and noise, and the one whose curve
    it follows. results: `lib.report.other_arms.results`; table: one row per run (`lib.report.tables.run_table`).
    """
    arm, seed = ARMS[run.config().arm], run.config().seed
    same, curve_of = f"{arm.drawn_from}-seed{seed}", run.record()["provenance"]["curve_of"]
    own, seeds = results.loc[arm.name], table[table["arm"] == arm.drawn_from]
    less, within = [], True
    for name in (same, curve_of):
        differences = {what: own[what.column] - table.loc[name, what.column] for what in PRIMARY}
        within &= all(abs(difference) <= what.margin for what, difference in differences.items())
        written = (f"{what.label} {number('+' + what.form)(value)}{what.unit}" for what, value in differences.items())
        less.append(f"minus {name} {joined(written)}")
    apart = joined(f"{number(what.form)(np.ptp(seeds[what.column]))}{what.unit}" for what in PRIMARY)
    return (
        f"{arm.label.capitalize()}, with seed {seed}, follows the C(t) of {curve_of}, blind to β; "
        f"{'; '.join(less)}: {'' if within else 'not '}all within the margins"
        + (", so that the curve did without feedback what it does with it" if within else "")
        + f" (n = 1; those of {ARMS[arm.drawn_from].label} lie up to {apart} apart)."
    )


def with_more_pressure(results: pd.DataFrame) -> str:
    """Whether arms that press harder than the evidence lower bound have the higher MIG; empty without both kinds."""
    arms = [arm for arm in results.index if not ARMS[arm].sampler]
    harder = results.loc[[arm for arm in arms if ARMS[arm].beyond_bound]]
    bound = results.loc[[arm for arm in arms if ARMS[arm].beyond_bound is False]]
    both = [arm for arm in arms if ARMS[arm].beyond_bound is None]
    if harder.empty or bound.empty:
        return ""
    above = harder.index[harder["mig_four"] > bound["mig_four"].max() + MIG.margin]
    once = int((results.loc[arms, "n"] == 1).sum())
    return (
        f"Pressure no harder than the evidence lower bound's own ({joined(labels(bound.index))}) gave a MIG of "
        f"{_range(bound['mig_four'], '.3f')} at a KL of {_range(bound['kl'], '.1f')} nats. Of {len(harder)} arms that "
        f"press harder, {len(above)} had a MIG higher than that by more than the margin of {MIG.margin:g}"
        + (f": {joined(labels(above))}." if len(above) else ".")
        + (f" {joined(labels(both))}, which does both, is in neither count." if both else "")
        + (f" {once} of these {len(arms)} arms were run once: a hint, no proof." if once else "")
    )


def at_like_kl(results: pd.DataFrame) -> str:
    """How far apart arms are that ended at about `BASE`'s KL; empty where fewer than three did, it among them."""
    arms = results.loc[[arm for arm in results.index if not ARMS[arm].sampler]]
    if BASE not in arms.index:
        return ""
    alike = arms[(arms["kl"] - arms.loc[BASE, "kl"]).abs() <= ALIKE]
    if len(alike) < 3:
        return ""
    apart = alike["mig_four"].max() - alike["mig_four"].min() > MIG.margin
    verdict = "the KL alone does not decide the MIG" if apart else "their MIG differs by less than the margin"
    return (
        f"{len(alike) - 1} arms ended within {ALIKE:g} nat of the KL of {BASE}, {arms.loc[BASE, 'kl']:.2f} nats. With "
        f"it they have a MIG of {_range(alike['mig_four'], '.3f')} and a reconstruction loss of "
        f"{_range(alike['reconstruction'], '.1f')} nats: {verdict}."
    )


def _range(values: pd.Series, form: str) -> str:
    return " to ".join(dict.fromkeys(number(form)(value) for value in (values.min(), values.max())))


def goes_with(results: pd.DataFrame) -> str:
    """With what the MIG goes, by rank, over all arms that have a likelihood; empty where they are fewer than LEAST."""
    arms = [arm for arm in results.index if not ARMS[arm].sampler]
    if len(arms) < LEAST:
        return ""
    apart = results.loc[arms].round(6).drop_duplicates()
    ranks, twins = apart.rank(), len(arms) - len(apart)
    names = {
        "kl": "KL", "total_correlation": "total correlation", "reconstruction": "reconstruction loss",
        "in_use": "number of latents in use",
    }  # fmt: skip
    found = {name: ranks["mig_four"].corr(ranks[column]) for column, name in names.items()}
    strong = [
        f"a {'larger' if rank > 0 else 'smaller'} {name}" for name, rank in found.items() if abs(rank) >= GOES_WITH
    ]
    written = joined(f"{name} {number('+.2f')(rank)}" for name, rank in found.items())
    verdict = f"a higher MIG goes with {joined(strong)}" if strong else "it goes with none of them"
    once = " (twins counted once)" if twins else ""
    return (
        f"Rank correlations of the MIG over {len(ranks)} arms{once}: {written}; {verdict} (from ±{GOES_WITH:g} on; "
        "exploratory: arms of one family are not independent)."
    )


def not_drawn(arms: Sequence[str]) -> str:
    """Of which arms no picture can be made; empty where there is one of each."""
    return f"Not drawn, as their weights were not kept: {joined(labels(arms))}." if arms else ""


def how_to_train(missing: Sequence[str], parameters: Mapping[str, object]) -> str:
    """The command that trains and measures the arms that are not there yet; empty where all are.

    parameters: of the notebooks, beside the arm, so that settings and seed are the same.
    """
    if not missing:
        return ""
    given = " ".join(f"-p {name} {value}" for name, value in parameters.items())
    notebooks = dict.fromkeys(ARMS[arm].notebook for arm in missing)
    names = [
        f"{joined(f'`{arm}`' for arm in missing if ARMS[arm].notebook == notebook)} (NOTEBOOK `{notebook}`)"
        for notebook in notebooks
    ]
    return (
        f"`papermill notebooks/NOTEBOOK.ipynb out.ipynb {given} -p arm ARM` trains and measures, with these settings, "
        f"an arm that is not there yet: {', '.join(names)}."
    )


def table(results: pd.DataFrame) -> pd.DataFrame:
    """The results as text for a reader, one row per arm."""
    rows = {
        "n": ("n", number(".0f")),
        "MIG, four factors": ("mig_four", number(".3f")),
        "histogram": ("mig_histogram", number(".3f")),
        "loss": ("reconstruction", number(".1f")),
        "KL": ("kl", number(".2f")),
        "I(x; z)": ("mutual_information", number(".2f")),
        "TC": ("total_correlation", number(".2f")),
        "dim.-wise KL": ("dimension_wise_kl", number(".2f")),
        "in use": ("in_use", number(".3g")),
    }
    arms = list(results.index)
    shown = pd.DataFrame({name: results[column].map(write) for name, (column, write) in rows.items()})
    shown.insert(0, "cited", [ARMS[arm].cited for arm in arms])
    return shown.set_axis(labels(arms))
