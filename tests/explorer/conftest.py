"""What the tests of both explorers share: invented runs, a report that holds the explorer."""

import json
import shutil
from pathlib import Path

import nbformat
import pytest
from invented_runs import invented_run
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from lib.explorer.page import explorer
from lib.report.page.build import build
from lib.runs.run import Run


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp("runs")
    return {arm: invented_run(folder / arm, arm, "conv", seed) for seed, arm in enumerate(("linear", "adaptive"))}


@pytest.fixture
def visit(browser):
    """A function that opens a file; afterwards the page must have loaded nothing else and kept the console silent."""
    opened = []

    def open_page(path: Path, width: int = 1280, **context):
        context = browser.new_context(viewport={"width": width, "height": 900}, **context)
        page = context.new_page()
        requests, messages = [], []
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: messages.append(message.text))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.goto(path.as_uri())
        opened.append((context, path.as_uri(), requests, messages))
        return page

    yield open_page
    for context, address, requests, messages in opened:
        context.close()
        assert [url for url in requests if not url.startswith("data:")] == [address]
        assert messages == []


@pytest.fixture(scope="module")
def report(runs, tmp_path_factory) -> Path:
    """The explorer as a figure of the rendered report."""
    outputs = [
        new_output("display_data", data={"text/html": explorer(runs)}),
        new_output("display_data", data={"text/markdown": "**Figure 1.** Move the latents."}),
    ]
    cells = [new_markdown_cell("# Title\n\n## Section"), new_code_cell("show()", outputs=outputs, execution_count=1)]
    folder = tmp_path_factory.mktemp("report")
    nbformat.write(new_notebook(cells=cells), folder / "paper.ipynb")
    return build(folder / "report.html", folder / "paper.ipynb")


@pytest.fixture
def odd_pair(runs, tmp_path) -> dict[str, Run]:
    odd = Run(shutil.copytree(runs["linear"].path, tmp_path / "odd"))
    measured = {"kl_latents": [1.0] * 4, "information": [[0.1] * 4] * 5}
    (odd.path / "evaluation.json").write_text(json.dumps(measured))
    return {"linear": runs["linear"], "adaptive": odd}
