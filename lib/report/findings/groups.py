"""Which factors make the MIGs differ: those of the two arms, and, where the runs fall into two groups, those."""

from itertools import product

import numpy as np
import pandas as pd

from lib.dsprites import FACTOR_NAMES
from lib.mig import FOUR_FACTORS
from lib.report.effects import DIFFERENCE, by_seed, number
from lib.report.findings.contrast import MIG
from lib.report.findings.encoding import NAMES
from lib.report.findings.wording import counts, joined

APART = 2 * MIG.margin  # least gap between two groups
FOUR = [FACTOR_NAMES[k] for k in FOUR_FACTORS]
PARTS = 0.2  # difference of the mean gaps from which on a factor parts the groups
LEAST = 6  # runs below which no groups are looked for


def by_factor(table: pd.DataFrame, gaps: pd.DataFrame) -> str:
    """What every factor brings to the difference in MIG, the mean of four gaps, so that these add up to it.

    table: one row per run (`lib.report.tables.run_table`); gaps: a column per factor, by the same names.
    """
    runs, write = table[["arm", "seed"]].join(gaps), number(f"+{MIG.form}")
    brought = {factor: by_seed(runs, factor, DIFFERENCE).mean() / len(FOUR) for factor in FOUR}
    parts = joined(f"{NAMES[factor]} {write(value)}" for factor, value in brought.items())
    return f"By factor, the difference in MIG is made of {parts}."


def two_groups(table: pd.DataFrame, gaps: pd.DataFrame) -> str:
    """The widest gap between the runs' MIGs, which runs are above, and by which factors; empty without groups.

    table, gaps: as in `by_factor`.
    """
    values = np.sort(table[MIG.column])
    if len(values) < LEAST:
        return ""
    i = int(np.diff(values).argmax())
    low, high, above = values[i], values[i + 1], len(values) - i - 1
    if high - low < APART or min(above, i + 1) < 2:
        return ""
    write, differences, upper = number(MIG.form), by_seed(table, MIG.column, DIFFERENCE), table[MIG.column] > low
    means = gaps[FOUR].astype(float).groupby(upper).mean()
    parting = joined(
        (
            f"{NAMES[name]} ({means.loc[True, name]:.2f} above, {means.loc[False, name]:.2f} below)"
            for name in FOUR
            if means.loc[True, name] - means.loc[False, name] > PARTS
        ),
        "no factor alone",
    )
    return (
        f"The MIGs fall into two groups, none of {len(values)} between {write(low)} and {write(high)}; above are "
        f"{counts(upper, table['arm'])}. They are parted by the mean gaps of {parting}. t intervals are rough then; an "
        f"exact sign-flip test gives the {len(differences)} primary differences p = {sign_flip(differences):.3g} (at "
        f"best {2 / 2 ** len(differences):.3g})."
    )


def sign_flip(differences: pd.Series) -> float:
    """Two-sided p of paired differences by the exact sign-flip test: how many of all 2^n flips have as large a sum."""
    values = differences.to_numpy()
    sums = np.array(list(product((-1, 1), repeat=len(values)))) @ values
    return float((np.abs(sums) >= abs(values.sum()) - 1e-12).mean())
