"""A table, and beside it a sealed record that states its SHA-256, so that a number changed in either is found."""

import hashlib
from pathlib import Path
from typing import Any

import pandas as pd

from lib.files import read_json, reading, sha256, write_sealed, write_text


def write_recorded(path: Path, table: pd.DataFrame, record: dict[str, Any], digits: str | None = None) -> None:
    """Write a table without its index as CSV, and its record under the same name as JSON; digits: of its numbers.

    While the table is replaced the record states it as it was and as it will be, so that no kill between loses a row.
    """
    text, sidecar = table.to_csv(index=False, float_format=digits), path.with_suffix(".json")
    before, after = [sha256(path)] if path.exists() else [], hashlib.sha256(text.encode()).hexdigest()
    write_sealed(sidecar, record | {"sha256": [*before, after]})
    write_text(path, text)
    if before:
        write_sealed(sidecar, record | {"sha256": [after]})


def read_recorded(path: Path, entries: tuple[str, ...] = ()) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The table at `path` and its record; raises Refusal where one is damaged, changed, or lacks one of `entries`."""
    record = read_json(path.with_suffix(".json"), entries)
    with reading(path):
        if "sha256" in record and sha256(path) not in record["sha256"]:  # older records have none
            raise ValueError(f"{path.stem}.json states another SHA-256")
        return pd.read_csv(path), record
