"""The paper to be read without a kernel or a script: the executed notebook made small, the page as a PDF."""

import shutil
from io import BytesIO
from pathlib import Path

import nbformat
from nbformat.v4 import new_output

from lib.files import write_bytes, write_text
from lib.refusal import Refusal

LARGEST = 1_000_000  # bytes of a notebook: what code hosts still show as one
_SLIDERS = "*The sliders are in `report.html` beside this notebook.*"


def slim_notebook(source: Path, target: Path) -> None:
    """Write an executed notebook with its outputs, a note in the explorer's place, and without what changes from run to
    run, times and the machine's paths.

    Raises Refusal where it is still larger than LARGEST.
    """
    notebook = nbformat.read(source, as_version=4)
    notebook.metadata.pop("papermill", None)
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({"tags": cell.metadata.get("tags", [])})
        if cell.cell_type == "code":
            cell.outputs = [_small(output) for output in cell.outputs]
    content = nbformat.writes(notebook) + "\n"
    if len(content.encode()) > LARGEST:
        raise Refusal(
            f"{source} holds {len(content.encode()) / 1e6:.1f} MB without its explorer, more than {LARGEST / 1e6:.0f}; "
            "draw smaller figures."
        )
    write_text(target, content)


def _small(output: nbformat.NotebookNode) -> nbformat.NotebookNode:
    data = output.get("data", {})
    if 'class="explorer"' in data.get("text/html", ""):
        return new_output("display_data", data={"text/markdown": _SLIDERS, "text/plain": _SLIDERS})
    return output


def print_page(page: Path, target: Path) -> str | None:
    """Print a rendered report to a PDF, A4, with Chromium; returns why not, in one line, where it cannot."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    try:
        import pikepdf  # both are of the tests' packages
        from playwright.sync_api import Error, sync_playwright
    except ImportError as error:
        return f"No PDF was made: {error.name} is not installed."
    if chromium is None:
        return "No PDF was made: there is no Chromium on this machine."
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium)
            opened = browser.new_page()
            opened.goto(page.absolute().as_uri(), wait_until="load")
            content = opened.pdf(format="A4", prefer_css_page_size=True, outline=True, tagged=True)
            browser.close()
        packed = BytesIO()  # Chromium writes the tags of tables as plain text: a third of the file
        with pikepdf.open(BytesIO(content)) as printed:
            printed.save(packed, object_stream_mode=pikepdf.ObjectStreamMode.generate)
    except (Error, pikepdf.PdfError) as error:
        return f"No PDF was made: {str(error).splitlines()[0]}"
    write_bytes(target, packed.getvalue())
    return None
