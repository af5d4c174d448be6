"""The contract by which measures are kept: a JSON record holds the settings it depends on, and counts for those."""

from pathlib import Path
from typing import Any

from lib.files import read_json


def kept(path: Path, settings: dict[str, Any], entries: tuple[str, ...] = ()) -> dict[str, Any] | None:
    """The record at `path` where it was measured with these settings, else None: it is to be measured (again).

    Raises Refusal where it is damaged, or lacks one of `entries`.
    """
    record = read_json(path, ("config", *entries)) if path.exists() else {"config": {}}
    return record if all(record["config"].get(name) == value for name, value in settings.items()) else None
