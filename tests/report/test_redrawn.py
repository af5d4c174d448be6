"""make verify PAPER=...: a paper drawn once more from what is published, and what differs in the published one."""

import shutil
from base64 import b64encode
from copy import deepcopy
from io import BytesIO

import nbformat
import pytest
from PIL import Image

from lib.files import ROOT
from lib.report.page.origin import origin_of
from lib.report.publishing import redrawn, verify
from lib.report.publishing.documents import slim_notebook
from lib.report.publishing.redrawn import check_paper, differing
from lib.runs.profiles import load_profile


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """Notebook 04 as today's code runs it on what is published of `hour`: a minute."""
    return redrawn._executed(load_profile("hour"), tmp_path_factory.mktemp("paper"))


@pytest.fixture
def published(executed, tmp_path, monkeypatch):
    """A profile whose published notebook is of today's code."""
    monkeypatch.setattr("lib.runs.profiles.RESULTS", tmp_path / "results")
    monkeypatch.setattr(redrawn, "_executed", lambda profile, folder: executed)
    folder = tmp_path / "results" / "published" / "hour"
    shutil.copytree(ROOT / "results" / "published" / "hour", folder)
    slim_notebook(executed, folder / "report.ipynb")
    return load_profile("hour")


def outputs(notebook, form):
    return [output for cell in notebook.cells for output in cell.get("outputs", ()) if form in output.get("data", {})]


def altered(profile, alter):
    """What is said of the published notebook once `alter` has changed it."""
    path = profile.published / "report.ipynb"
    notebook = nbformat.read(path, as_version=4)
    again = deepcopy(notebook)
    alter(notebook)
    return list(differing(path, notebook, again))


def test_a_paper_of_the_same_code_follows_whenever_it_was_run(published):
    assert list(check_paper(published)) == []
    origins = [output for output in outputs(*read(published), "text/plain") if "origin" in output.metadata]
    assert origins and origin_of(*read(published))["date"]

    def later(notebook):
        for output in outputs(notebook, "text/plain"):
            if "origin" in output.metadata:
                output.data["text/plain"] = "code 0; date 1999-01-01"

    assert altered(published, later) == []


def read(profile):
    return [nbformat.read(profile.published / "report.ipynb", as_version=4)]


@pytest.mark.parametrize("form", ["text/html", "text/markdown"])
def test_every_number_is_compared(published, form):
    with_numbers = [
        n for n, output in enumerate(outputs(*read(published), form)) if redrawn.numbers(output.data[form])
    ]  # fmt: skip
    assert len(with_numbers) > 8
    for n in with_numbers:

        def alter(notebook, n=n):
            data = outputs(notebook, form)[n].data
            number = redrawn.numbers(data[form])[-1].lstrip("-")
            before, _, after = data[form].rpartition(number)
            data[form] = f"{before}7{number}{after}"

        (sentence,) = altered(published, alter)
        assert "is not what the published files give" in sentence


def test_a_picture_may_differ_by_its_rounding_alone(published):
    def lighter(by):
        def alter(notebook):
            data = outputs(notebook, "image/png")[3].data
            image = Image.open(BytesIO(redrawn.b64decode(data["image/png"]))).convert("RGB")
            changed = BytesIO()
            image.point(lambda value: max(0, value - by)).save(changed, "png")
            data["image/png"] = b64encode(changed.getvalue()).decode()

        return alter

    assert altered(published, lighter(1)) == []
    assert len(altered(published, lighter(3))) == 1


def test_a_lost_output_and_other_code_are_found(published):
    def without(notebook):
        next(cell for cell in notebook.cells if len(cell.get("outputs", ())) > 1).outputs.pop()

    def other(notebook):
        next(cell for cell in notebook.cells if cell.cell_type == "code").source += "\n"

    assert "is not what the published files give" in altered(published, without)[0]
    assert "was made by other code; make render" in altered(published, other)[0]


def test_the_command_draws_the_paper_of_a_published_profile(published, monkeypatch, capsys):
    monkeypatch.setattr(verify, "check", lambda profile: [])
    monkeypatch.setattr(verify, "check_readme", lambda profiles: [])
    monkeypatch.setattr("sys.argv", ["verify", "--paper", "hour"])
    verify.main()
    assert "follows: hour" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["verify", "--paper", "laptop"])
    with pytest.raises(SystemExit, match=r"^laptop is not published; name one of hour\.$"):
        verify.main()


def test_a_notebook_that_fails_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(redrawn, "NOTEBOOK", "notebooks/none.ipynb")
    with pytest.raises(ValueError, match=r"^notebooks/none.ipynb failed on what is published of hour: .*none.ipynb"):
        redrawn._executed(load_profile("hour"), tmp_path)
