"""Whether the MIGs of the runs fall into two groups, and what that makes of intervals that suppose a normal spread."""

from itertools import product

import numpy as np
import pandas as pd

from lib.report.effects import DIFFERENCE, by_seed, number
from lib.report.findings.contrast import MIG
from lib.report.findings.wording import counts

APART = 2 * MIG.margin  # least gap between two groups
LEAST = 6  # runs below which no groups are looked for


def two_groups(table: pd.DataFrame) -> str:
    """The widest gap between the runs' MIGs, and which runs are above; empty where it does not part two groups.

    table: one row per run (`lib.report.tables.run_table`).
    """
    values = np.sort(table[MIG.column])
    if len(values) < LEAST:
        return ""
    i = int(np.diff(values).argmax())
    low, high, above = values[i], values[i + 1], len(values) - i - 1
    if high - low < APART or min(above, i + 1) < 2:
        return ""
    write, differences = number(MIG.form), by_seed(table, MIG.column, DIFFERENCE)
    return (
        f"The MIGs fall into two groups, none of {len(values)} between {write(low)} and {write(high)}; above are "
        f"{counts(table[MIG.column] > low, table['arm'])}. t intervals are rough then; an exact sign-flip test gives "
        f"the {len(differences)} primary differences p = {sign_flip(differences):.3g} (at best "
        f"{2 / 2 ** len(differences):.3g})."
    )


def sign_flip(differences: pd.Series) -> float:
    """Two-sided p of paired differences by the exact sign-flip test: how many of all 2^n flips have as large a sum."""
    values = differences.to_numpy()
    sums = np.array(list(product((-1, 1), repeat=len(values)))) @ values
    return float((np.abs(sums) >= abs(values.sum()) - 1e-12).mean())
