"""How a benchmark's results are kept: a table, and beside it hardware, versions, date and the benchmark's settings."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from lib.files import RESULTS
from lib.recorded_tables import read_recorded, write_recorded
from lib.runs.provenance import provenance

DIRECTORY = RESULTS / "benchmarks"


def origin(device: torch.device) -> dict[str, Any]:
    """Commit, versions, hardware and date of what is about to be measured."""
    return provenance(device) | {"date": datetime.now(UTC).isoformat(timespec="seconds")}


def save(
    name: str, table: pd.DataFrame, record: dict[str, Any], directory: Path = DIRECTORY, digits: str = "%.4g"
) -> None:
    """Write name.csv and name.json; columns and entries are explained in results/README.md."""
    path = directory / f"{name}.csv"
    path.unlink(missing_ok=True)  # so that no kill leaves an older table under the new record
    write_recorded(path, table, record, digits)


def last(name: str) -> tuple[pd.DataFrame, dict[str, Any], str]:
    """A benchmark's table, its record, and the words that say where it comes from."""
    table, record = read_recorded(DIRECTORY / f"{name}.csv")
    hardware = record["hardware"]
    processor = hardware["accelerator"] or f"{hardware['processor']}, {hardware['cores']} cores"
    return table, record, f"{processor}, {record['date'][:10]}"


def medians(first: pd.Series, second: pd.Series, suffix: str) -> dict[str, float]:
    """The columns of a benchmark of two, from the milliseconds per step in each round: medians, their ratio, quartiles.

    suffix: what follows `ms_per_step_` in the name of the second's.
    """
    ratios = first / second
    return {
        "ms_per_step": first.median(),
        f"ms_per_step_{suffix}": second.median(),
        "ratio": first.median() / second.median(),
        "lower_quartile": ratios.quantile(0.25),
        "upper_quartile": ratios.quantile(0.75),
    }
