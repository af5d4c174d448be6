"""What a rendered page and an executed notebook show in their tables, and what an analysis gives for the same rows."""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pandas as pd
from bs4 import BeautifulSoup

from lib.files import reading
from lib.report.analysis import Analysis
from lib.report.findings import other_arms
from lib.report.findings.encoding import encoding_table
from lib.report.notebooks import paper_tables

_NUMBER = re.compile(r"[-+−]?\d[\d,]*(?:\.\d+)?")


def tables_of(path: Path) -> str:
    """The HTML of a page, or that which the cells of a notebook displayed."""
    with reading(path):
        if path.suffix == ".html":
            return path.read_text(encoding="utf-8")
        cells = nbformat.read(path, as_version=4).cells
        outputs = (output for cell in cells for output in cell.get("outputs", []))
        return "\n".join(output.get("data", {}).get("text/html", "") for output in outputs)


def rows_shown(page: str) -> Iterator[tuple[str, list[str]]]:
    """The table rows of HTML: what stands in the first cell, and the cells after it that are not empty."""
    for row in BeautifulSoup(page, "html.parser").find_all("tr"):
        texts = [" ".join(cell.get_text().split()) for cell in row.find_all(["th", "td"])]
        if texts:
            yield texts[0], [text for text in texts[1:] if text]


def rows_derived(a: Analysis) -> dict[str, list[list[str]]]:
    """The rows of the paper's tables by their label, in the same form; a label may stand in several tables.

    Those that count single steps are left out where these are a sample of another one than was shown.
    """
    done = a.done.iloc[:0] if a.sampled else a.done
    of_first = {arm: a.measured[run.name] for arm, run in a.first.items()} | a.measured_once
    arms = list(of_first)
    tables = [
        paper_tables.headline(a.table, a.snapshots, a.profile.training["steps"]),
        paper_tables.controller(a.table, done), paper_tables.at_like_kl(a.like_kl), paper_tables.contrasts(a.table),
        paper_tables.estimators(a.table), paper_tables.measures(a.table), paper_tables.split(a.table, a.snapshots),
        paper_tables.gaps(a.gaps, a.table["arm"]), other_arms.table(a.every_arm),
        encoding_table(a.measured, a.table), encoding_table(of_first, pd.DataFrame({"arm": arms}, arms)).T,
    ]  # fmt: skip
    rows = defaultdict(list)
    for table in tables:
        for label, cells in table.iterrows():
            rows[" ".join(label.split())].append([cell for cell in cells if cell])
    return rows


def numbers(text: str) -> list[str]:
    """The numbers that a text names, as written, but with a hyphen for a minus sign."""
    return [number.replace("−", "-") for number in _NUMBER.findall(text)]


def comparable(shown: list[str], derived: list[str]) -> bool:
    """Whether two rows may be the same: as many cells, with as many numbers (a mean ± a spread has two) and brackets.

    Tables share labels: a factor's row stands in several.
    """
    forms = ([(len(numbers(cell)), cell.count("(")) for cell in row] for row in (shown, derived))
    return next(forms) == next(forms)


def agree(shown: str, derived: str) -> bool:
    """Whether two texts name the same numbers, each to the digits that both show."""
    pairs = numbers(shown), numbers(derived)
    return len(pairs[0]) == len(pairs[1]) and all(_close(*pair) for pair in zip(*pairs, strict=True))


def _close(first: str, second: str) -> bool:
    if first == second:
        return True
    values = [float(text.replace(",", "")) for text in (first, second)]
    digits = [len(text.partition(".")[2]) for text in (first, second)]
    return digits[0] != digits[1] and abs(values[0] - values[1]) <= 0.5 * sum(10.0**-n for n in digits) + 1e-12
