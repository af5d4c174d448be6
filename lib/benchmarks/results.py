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
