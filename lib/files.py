"""The one door to disk: where the results stand, and writing so that a file is whole or not there."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

ROOT = Path(__file__).resolve().parent.parent  # the repository
RESULTS = ROOT / "results"


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Call write(temporary path), then give the file its name; an interruption leaves no half-written file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a mapping as indented JSON, atomically; refuses NaN, which JSON does not have."""
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text))


def read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def write_csv(path: Path, table: pd.DataFrame, float_format: str | None = None) -> None:
    """Write a table without its index as CSV, atomically."""
    write_atomically(path, lambda temporary: table.to_csv(temporary, index=False, float_format=float_format))
