"""How a benchmark's results are kept: a table, and beside it hardware, versions, date and the benchmark's settings."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from lib.files import RESULTS, read_csv, read_json, write_csv, write_json
from lib.runs.provenance import provenance

DIRECTORY = RESULTS / "benchmarks"


def origin(device: torch.device) -> dict[str, Any]:
    """Commit, versions, hardware and date of what is about to be measured."""
    return provenance(device) | {"date": datetime.now(UTC).isoformat(timespec="seconds")}


def save(
    name: str, table: pd.DataFrame, record: dict[str, Any], directory: Path = DIRECTORY, digits: str = "%.4g"
) -> None:
    """Write name.csv and name.json; columns and entries are explained in results/README.md."""
    write_csv(directory / f"{name}.csv", table, digits)
    write_json(directory / f"{name}.json", record)


def last(name: str) -> tuple[pd.DataFrame, dict[str, Any], str]:
    """A benchmark's table, its record, and the words that say where it comes from."""
    record = read_json(DIRECTORY / f"{name}.json")
    hardware = record["hardware"]
    processor = hardware["accelerator"] or f"{hardware['processor']}, {hardware['cores']} cores"
    return read_csv(DIRECTORY / f"{name}.csv"), record, f"{processor}, {record['date'][:10]}"
