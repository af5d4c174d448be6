"""By what code, when and with what versions the notebooks of a page ran, for its foot."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import nbformat

ORIGIN = "origin"  # of an output's metadata, as lib.report.notebooks.shared.show_origin displays it


def origin_of(notebook: nbformat.NotebookNode) -> dict[str, str]:
    """What an executed notebook says of its origin, by name; empty where it says nothing."""
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", ()))
    found: dict[str, str] = {}
    for output in outputs:
        found |= output.get("metadata", {}).get(ORIGIN, {})
    return found


def states_of_code(paths: Iterable[Path]) -> set[str]:
    """The states of the code by which these executed notebooks ran; older notebooks count as one more."""
    return {origin_of(nbformat.read(path, as_version=4)).get("code", "unknown") for path in paths}


def foot(origins: Iterable[Mapping[str, str]]) -> str:
    """A sentence of the origins of a page's notebooks; what they do not share is listed. Empty where none is known."""
    parts = []
    for name, written in WORDS.items():
        values = dict.fromkeys(origin[name] for origin in origins if name in origin)
        if values:
            parts.append(f"{written} {' and '.join(value[:12] if name == 'code' else value for value in values)}")
    return f"{'; '.join(parts)}." if parts else ""


WORDS = {
    "commit": "Commit", "code": "state of the code", "date": "run on", "versions": "with",
    "data": "data set SHA-256", "runs": "runs read from",
}  # fmt: skip
