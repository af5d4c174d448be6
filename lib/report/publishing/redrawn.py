"""The paper drawn once more from what is published of a profile, and what the published notebook shows otherwise."""

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
from scipy.ndimage import uniform_filter

from lib.files import RESULTS, ROOT
from lib.refusal import Refusal
from lib.report.page.origin import ORIGIN
from lib.report.publishing.documents import slim_notebook
from lib.runs.profiles import Profile

NOTEBOOK = Path("notebooks/04_analysis.ipynb")
BLOCK, APART = 16, 8.0  # pixels; mean difference of a block of so many squared, of 255: rounding stays below


def check_paper(profile: Profile) -> Iterator[str]:
    """One sentence for every cell of the published notebook that shows other words, numbers or pictures than today's
    code makes of the published files, in a folder of its own.

    Where the notebook was drawn from runs of which less was published (thinned traces, weights of two arms), that too
    is a difference.
    """
    path = profile.published / "report.ipynb"
    if not path.exists():
        raise Refusal(f"{path} is not there; run make publish PROFILE={profile.name}.")
    published = nbformat.read(path, as_version=4)
    if _code(published) != _code(nbformat.read(ROOT / NOTEBOOK, as_version=4)):
        yield f"{path} was made by another {NOTEBOOK}; make render and make publish make it anew."
        return
    with tempfile.TemporaryDirectory() as folder:
        again = Path(folder) / "again.ipynb"
        slim_notebook(_executed(profile, Path(folder)), again)
        for said in differing(published, nbformat.read(again, as_version=4)):
            yield f"{path}: {said}"


def differing(published: NotebookNode, again: NotebookNode) -> Iterator[str]:
    """What two executed notebooks of the same cells show otherwise: of each cell the first that differs."""
    for shown, drawn in zip(published.cells, again.cells, strict=True):
        outputs = (filter(_follows, cell.get("outputs", ())) for cell in (shown, drawn))
        for one, other in zip_longest(*(map(_content, kept) for kept in outputs)):
            if differs := _differs(one, other):
                yield f"[{shown.execution_count}] {differs}."
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
        why = (ran.stderr.strip() or "it was killed").splitlines()[-1]
        raise Refusal(f"{NOTEBOOK} failed on what is published of {profile.name}: {why}")
    return target


def _code(notebook: NotebookNode) -> list[str]:
    """The cells' code, but for papermill's own cell."""
    cells = (cell for cell in notebook.cells if cell.cell_type == "code")
    return [cell.source for cell in cells if "injected-parameters" not in cell.metadata.get("tags", ())]


def _follows(output: NotebookNode) -> bool:
    """Not what is printed on the way, nor when and by what state of the code a notebook ran."""
    return output.output_type != "stream" and ORIGIN not in output.get("metadata", {})


def _content(output: NotebookNode) -> str | bytes:
    """A picture, or a text in the richest of its forms."""
    if "image/png" in output.data:
        return b64decode(output.data["image/png"])
    return next(output.data[form] for form in ("text/html", "text/markdown", "text/plain") if form in output.data)


def _differs(one: str | bytes | None, other: str | bytes | None) -> str | None:
    """In what way, if in any; None for one is an output that is not there."""
    if type(one) is not type(other):
        return "does not show as many texts and pictures as the published files give"
    if isinstance(one, bytes):
        return "shows another picture than the published files give" if _apart(one, other) else None
    words, others = one.split(), other.split()
    if words == others:
        return None
    at = next((n for n, pair in enumerate(zip(words, others, strict=False)) if len(set(pair)) > 1), len(words))
    here, there = (" ".join(text[max(0, at - 3) : at + 4]) for text in (words, others))
    return f"shows {here!r}, but the published files give {there!r}"


def _apart(*pictures: bytes) -> bool:
    """Whether two PNG files differ somewhere by more than rounding does."""
    one, other = (np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), dtype=float) for png in pictures)
    if one.shape != other.shape:
        return True
    return bool(uniform_filter(np.abs(one - other).mean(2), BLOCK).max() > APART)
