"""The paper drawn once more from what is published of a profile, and where the published one says something else."""

import io
import os
import shutil
import subprocess
import sys
import tempfile
from base64 import b64decode
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import nbformat
import numpy as np
from nbformat import NotebookNode
from PIL import Image

from lib.files import RESULTS, ROOT
from lib.refusal import Refusal
from lib.report.page.origin import ORIGIN
from lib.report.publishing.documents import slim_notebook
from lib.report.publishing.shown import numbers
from lib.runs.profiles import Profile

NOTEBOOK = "notebooks/04_analysis.ipynb"
APART = 1.0  # mean difference of pixels, of 255: fonts and rounding may be another machine's


def check_paper(profile: Profile) -> Iterator[str]:
    """One sentence for every cell of the published notebook that shows other numbers or pictures than its code gives.

    The code is today's, and reads the published files alone, in a folder of its own.
    """
    with tempfile.TemporaryDirectory() as folder:
        again = Path(folder) / "again.ipynb"
        slim_notebook(_executed(profile, Path(folder)), again)
        published = profile.published / "report.ipynb"
        yield from differing(published, *(nbformat.read(path, as_version=4) for path in (published, again)))


def differing(path: Path, published: NotebookNode, again: NotebookNode) -> Iterator[str]:
    """The cells of two executed notebooks that differ in their code, in a number or in a picture."""
    shown, drawn = ([cell for cell in one.cells if cell.cell_type == "code"] for one in (published, again))
    if [cell.source for cell in shown] != [cell.source for cell in drawn]:
        yield f"{path} was made by other code; make render and make publish make it anew."
        return
    for one, other in zip(shown, drawn, strict=True):
        said, derived = (list(map(_content, filter(_follows, cell.outputs))) for cell in (one, other))
        for a, b in zip_longest(said, derived, fillvalue=""):
            if not _alike(a, b):
                yield f"{path}: what follows {one.source.splitlines()[-1]!r} is not what the published files give."
                break


def _executed(profile: Profile, folder: Path) -> Path:
    for name in ("lib", "notebooks"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"))
    shutil.copy2(ROOT / "profiles.toml", folder)
    (folder / "results").mkdir()
    for name in ("published", "benchmarks", "data"):
        (RESULTS / name).mkdir(exist_ok=True)  # the images may not have been drawn yet
        (folder / "results" / name).symlink_to(RESULTS / name)
    target = folder / "out.ipynb"
    command = [sys.executable, "-m", "papermill", "--no-progress-bar", NOTEBOOK, target.name, "-p", "profile"]
    there = os.environ | {"PYTHONPATH": str(folder)}
    ran = subprocess.run([*command, profile.name], cwd=folder, env=there, capture_output=True, text=True)
    if ran.returncode:
        raise Refusal(
            f"{NOTEBOOK} failed on what is published of {profile.name}: {ran.stderr.strip().splitlines()[-1]}"
        )
    return target


def _follows(output: NotebookNode) -> bool:
    """Not when and by what state of the code a notebook ran."""
    return ORIGIN not in output.get("metadata", {})


def _content(output: NotebookNode) -> str | bytes:
    """A picture, or a text in the richest of its forms."""
    data = output.get("data", {})
    if "image/png" in data:
        return b64decode(data["image/png"])
    forms = ("text/html", "text/markdown", "text/plain")
    return next((data[form] for form in forms if form in data), output.get("text", ""))


def _alike(one: str | bytes, other: str | bytes) -> bool:
    if isinstance(one, bytes) and isinstance(other, bytes):
        pixels = [np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), dtype=float) for png in (one, other)]
        return pixels[0].shape == pixels[1].shape and np.abs(pixels[0] - pixels[1]).mean() <= APART
    return type(one) is type(other) and numbers(one) == numbers(other)
