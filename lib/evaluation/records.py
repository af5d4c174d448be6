"""The contract by which measures are kept: a JSON record holds the settings it depends on, and counts for those."""

from pathlib import Path
from typing import Any

from lib.files import read_json, reading
from lib.runs.run import Run


def kept(path: Path, settings: dict[str, Any], entries: tuple[str, ...] = ()) -> dict[str, Any] | None:
    """The record of a run at `path` where it was measured with these settings, else None: it is to be measured (again).

    Raises Refusal where it is damaged, lacks one of `entries`, or was measured on other weights than the run's.
    """
    if not path.exists():
        return None
    record = read_json(path, ("config", *entries))
    with reading(path, "remove it, and the run is measured again"):
        if not isinstance(record["config"], dict):
            raise ValueError("its config is no mapping")
        weights = {record.get("weights_sha256"), Run(path.parent).weights_sha256} - {None}  # older records have none
        if len(weights) > 1:
            raise ValueError("it was measured on the weights of another run")
    return record if all(record["config"].get(name) == value for name, value in settings.items()) else None
