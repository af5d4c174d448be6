"""HTML from a template of this project, with the style and the script beside it."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup


def rendered(folder: Path, name: str, **values: Any) -> str:
    """name.html.j2 filled with the values, which are escaped unless they are Markup, and with name.css and name.js."""
    environment = Environment(loader=FileSystemLoader(folder), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    style, script = (Markup((folder / f"{name}{suffix}").read_text(encoding="utf-8")) for suffix in (".css", ".js"))
    return environment.get_template(f"{name}.html.j2").render(style=style, script=script, **values)
