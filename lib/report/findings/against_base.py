"""How far every arm ended from one of them, in runs of the same seeds: a table of differences, and a sentence."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lib.arms import ARMS
from lib.report.effects import number
from lib.report.findings.contrast import MIG, PRIMARY, RECONSTRUCTION, Primary
from lib.report.findings.wording import labels

BASE = "linear"  # the arm that the others are compared with


def against_base(results: pd.DataFrame, of_seed: pd.DataFrame) -> pd.DataFrame:
    """What each arm has more than `BASE`: a row per arm but it, n (pairs) and the columns of PRIMARY.

    nan where a quantity is not compared, no row without `BASE`. results: `lib.report.other_arms.results` of all runs,
    where arms with as many runs as `BASE` have its seeds; of_seed: the same of one seed, which the others are compared
    in, for initial weights, batches and noise are the same there.
    """
    rows = {}
    for arm in results.index.drop(BASE) if BASE in results.index else []:
        of = results if results.loc[arm, "n"] == results.loc[BASE, "n"] else of_seed
        rows[arm] = {"n": of.loc[arm, "n"]} | {
            what.column: of.loc[arm, what.column] - of.loc[BASE, what.column]
            for what in PRIMARY
            if not (ARMS[arm].sampler and what is RECONSTRUCTION)  # which it never minimised
        }
    return pd.DataFrame.from_dict(rows, "index").reindex(columns=["n", *(what.column for what in PRIMARY)])


def what_each_does(arms: Sequence[str], differences: pd.DataFrame) -> pd.DataFrame:
    """What each arm does to the bottleneck, and `against_base`, as text; starred beyond the margins."""

    def cell(what: Primary, arm: str) -> str:
        value = differences[what.column].get(arm, np.nan)
        if np.isnan(value):
            return "–"
        return number(f"+{what.form}")(value) + ("*" if abs(value) > what.margin else "")

    return pd.DataFrame(
        {
            "what it does to the bottleneck": [ARMS[arm].bottleneck for arm in arms],
            "pairs": [number(".0f")(differences["n"].get(arm, np.nan)) for arm in arms],
            f"MIG less {BASE}'s": [cell(MIG, arm) for arm in arms],
            f"loss less {BASE}'s": [cell(RECONSTRUCTION, arm) for arm in arms],
        },
        labels(arms),
    )


def beyond_margin(differences: pd.DataFrame) -> str:
    """In how many arms the MIG is further than the margin from `BASE`'s; differences: `against_base`."""
    if differences.empty:
        return f"No arm can be compared with {BASE} here."
    above, below = (differences[sign * differences[MIG.column] > MIG.margin] for sign in (1, -1))
    once = int((pd.concat([above, below])["n"] == 1).sum())
    rest = f", {once} of them on one pair" if once else ""
    return (
        f"By more than the margin the MIG is above that of {BASE} in {len(above)} of {len(differences)} arms, below it "
        f"in {len(below)}{rest}: a margin says nothing of chance."
    )
