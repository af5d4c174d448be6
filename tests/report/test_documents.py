"""The paper as a notebook that code hosts show and as a PDF; published with everything else."""

import base64
import io
import re

import nbformat
import numpy as np
import pytest
from chromium import CHROMIUM
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from lib.report.publishing import documents
from lib.report.publishing.documents import LARGEST, print_page, slim_notebook
from lib.runs.profiles import published_profiles


def png(image: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "png")
    return base64.b64encode(file.getvalue()).decode()


def executed(path, image: np.ndarray) -> None:
    """A notebook as papermill leaves it: times, paths, a figure, a table and an explorer."""
    outputs = [
        new_output("display_data", data={"image/png": png(image)}, metadata={"image/png": {"width": 700}}),
        new_output("display_data", data={"text/html": "<table><tr><td>1</td></tr></table>"}),
        new_output("display_data", data={"text/html": f'<div class="explorer">{"x" * 2_000_000}</div>'}),
    ]
    metadata = {"tags": ["parameters"], "papermill": {"start_time": "2020"}}
    cells = [new_markdown_cell("# Title"), new_code_cell("1", outputs=outputs, execution_count=3, metadata=metadata)]
    nbformat.write(new_notebook(cells=cells, metadata={"papermill": {"output_path": "/home/a"}}), path)


def test_a_notebook_keeps_its_outputs_but_the_explorer(tmp_path):
    source, target = tmp_path / "a.ipynb", tmp_path / "b.ipynb"
    image = np.zeros((40, 60, 3), np.uint8)
    image[10:20, :, 0], image[:, 30:] = 200, (0, 90, 160)
    executed(source, image)
    slim_notebook(source, target)
    assert not re.search("/home|start_time|explorer", target.read_text())
    notebook = nbformat.read(target, as_version=4)
    nbformat.validate(notebook)
    cell = notebook.cells[1]
    assert cell.execution_count == 3 and cell.metadata == {"tags": ["parameters"]}
    figure, table, sliders = cell.outputs
    shown = Image.open(io.BytesIO(base64.b64decode(figure.data["image/png"]))).convert("RGB")
    assert np.array_equal(shown, image) and figure.metadata["image/png"]["width"] == 700
    assert table.data["text/html"].startswith("<table>")
    assert sliders.data["text/markdown"] == "*The sliders are in `report.html` beside this notebook.*"


def test_a_notebook_that_stays_too_large_is_refused(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (1000, 1000, 3), np.uint8)
    executed(tmp_path / "a.ipynb", noise)
    with pytest.raises(ValueError, match=r"more than 1; draw smaller figures\.$"):
        slim_notebook(tmp_path / "a.ipynb", tmp_path / "b.ipynb")
    assert not (tmp_path / "b.ipynb").exists()


@pytest.mark.parametrize("profile", published_profiles(), ids=lambda profile: profile.name)
def test_published_notebooks_are_small_and_executed(profile):
    path = profile.published / "report.ipynb"
    assert path.stat().st_size <= LARGEST
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in cells)
    assert sum("image/png" in output.get("data", {}) for cell in cells for output in cell.outputs) >= 6


def test_without_chromium_one_line_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(documents.shutil, "which", lambda name: None)
    assert print_page(tmp_path / "a.html", tmp_path / "a.pdf") == (
        "No PDF was made: there is no Chromium on this machine."
    )
    assert not (tmp_path / "a.pdf").exists()


def test_a_chromium_that_does_not_start_is_said_in_one_line(tmp_path, monkeypatch):
    pytest.importorskip("playwright")
    monkeypatch.setattr(documents.shutil, "which", lambda name: "/bin/false")
    said = print_page(tmp_path / "a.html", tmp_path / "a.pdf")
    assert said.startswith("No PDF was made: ") and "\n" not in said
    assert not (tmp_path / "a.pdf").exists()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (apt-get install chromium)")
def test_a_page_is_printed(tmp_path):
    pikepdf = pytest.importorskip("pikepdf")
    page = tmp_path / "a.html"
    style = "<style>@media print { p { break-after: page } }</style>"
    page.write_text(f"{style}<h1>Title</h1><h2>First</h2><p>One<p>Two<h2>Second</h2><p>Three")
    assert print_page(page, tmp_path / "a.pdf") is None
    assert b"/ObjStm" in (tmp_path / "a.pdf").read_bytes()  # its objects are packed
    with pikepdf.open(tmp_path / "a.pdf") as printed, printed.open_outline() as outline:
        assert len(printed.pages) == 3
        assert "/StructTreeRoot" in printed.Root  # its headings and tables, for screen readers
        assert [(item.title, [part.title for part in item.children]) for item in outline.root] == [
            ("Title", ["First", "Second"])
        ]
