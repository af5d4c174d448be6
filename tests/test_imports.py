"""Imports point one way: who opens lib/ finds the equations first, and what applies them above, room by room."""

import ast

import pytest

from lib.files import ROOT

# Each room may import itself and the rooms named here; lib/*.py are the room "lib".
ROOMS = {
    "lib": (),
    "data": ("lib",),
    "runs": ("lib",),
    "training": ("lib", "data", "runs"),
    "evaluation": ("lib", "data", "runs", "training"),
    "report": ("lib", "data", "runs", "training", "evaluation"),
    "explorer": ("lib", "data", "runs", "training", "evaluation", "report"),
    "benchmarks": ("lib", "data", "runs", "training", "evaluation", "report"),
}
PLOTTING = {"matplotlib", "seaborn", "IPython", "ipywidgets", "PIL"}
FILES = [path for path in sorted((ROOT / "lib").rglob("*.py")) if path.name not in ("__main__.py", "__init__.py")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path):
    room = path.relative_to(ROOT / "lib").parts[0]
    room = room if room in ROOMS else "lib"
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    for module in names:
        top, _, rest = module.partition(".")
        if top == "lib":
            other = rest.split(".")[0]
            assert (other if other in ROOMS else "lib") in (room, *ROOMS[room]), f"{path.name} imports {module}"
        assert top != "notebooks"
        assert room in ("report", "explorer", "benchmarks") or top not in PLOTTING, f"{path.name} imports {module}"
