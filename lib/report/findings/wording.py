"""Small words for findings: lists, counts, and templates filled with named values."""

import re
from collections.abc import Iterable, Mapping

import pandas as pd

from lib.arms import ARMS

_NAME = re.compile(r"\{([a-z][a-z0-9_]*)\}")


def fill(template: str, values: Mapping[str, str]) -> str:
    """The template with every {name} replaced by its value; braces around anything else, as in formulas, stay.

    Raises ValueError for a name that has no value.
    """
    unknown = [name for name in _NAME.findall(template) if name not in values]
    if unknown:
        raise ValueError(f"There is no value {unknown[0]!r} for this text; the values are {', '.join(values)}.")
    return _NAME.sub(lambda match: values[match[1]], template)


def joined(words: Iterable[str], none: str = "no arm") -> str:
    """ "a, b and c"; `none` where there are no words."""
    words = list(words)
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else (words or [none])[0]


def labels(arms: Iterable[str]) -> list[str]:
    return [ARMS[arm].label for arm in arms]


def sentences(*parts: str) -> str:
    """The parts that are not empty, one after the other."""
    return " ".join(part for part in parts if part)


def counts(yes: pd.Series, arms: pd.Series) -> str:
    """ "linear 3 of 3 runs, adaptive 0 of 3 runs": for how many of each arm's runs something holds.

    yes: bool, arms: each run's arm, both by run; a missing value, where it cannot be said, leaves the run out.
    """
    known = yes.dropna().astype(bool)
    groups = known.groupby(arms[known.index], sort=False)
    return ", ".join(
        f"{ARMS[arm].label} {values.sum()} of {len(values)} run{'s' if len(values) > 1 else ''}"
        for arm, values in groups
    )
