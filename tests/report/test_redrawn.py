"""make verify PAPER=...: a paper drawn once more from what is published, and what differs in the published one."""

import shutil
from base64 import b64decode, b64encode
from copy import deepcopy
from io import BytesIO

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_output
from PIL import Image

from lib.files import ROOT
from lib.report.page.origin import origin_of
from lib.report.publishing import redrawn, verify
from lib.report.publishing.documents import slim_notebook
from lib.report.publishing.redrawn import check_paper, differing
from lib.runs.profiles import load_profile, published_profiles

if not published_profiles():
    pytest.skip("nothing is published here", allow_module_level=True)
LONGEST = published_profiles()[0].name  # of those that are published


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """Notebook 04 as today's code runs it on what is published of that profile: a minute."""
    return redrawn._executed(load_profile(LONGEST), tmp_path_factory.mktemp("paper"))


@pytest.fixture
def published(executed, tmp_path, monkeypatch):
    """A profile whose published notebook is of today's code."""
    monkeypatch.setattr("lib.runs.profiles.RESULTS", tmp_path / "results")
    monkeypatch.setattr(redrawn, "_executed", lambda profile, folder: executed)
    folder = tmp_path / "results" / "published" / LONGEST
    shutil.copytree(ROOT / "results" / "published" / LONGEST, folder)
    slim_notebook(executed, folder / "report.ipynb")
    return load_profile(LONGEST)


def outputs(notebook, form):
    return [output for cell in notebook.cells for output in cell.get("outputs", ()) if form in output.get("data", {})]


def read(profile):
    return nbformat.read(profile.published / "report.ipynb", as_version=4)


def altered(profile, alter):
    """What is said of the published notebook once `alter` has changed it."""
    notebook = read(profile)
    again = deepcopy(notebook)
    alter(notebook)
    return list(differing(notebook, again))


def test_a_second_run_shows_the_same_but_for_when_it_ran(published, tmp_path, monkeypatch):
    """The one execution of this module against another, with other dates and what is printed on the way."""
    first = read(published)
    monkeypatch.undo()
    profile = load_profile(LONGEST)
    (tmp_path / "again").mkdir()
    slim_notebook(redrawn._executed(profile, tmp_path / "again"), tmp_path / "slim.ipynb")
    second = nbformat.read(tmp_path / "slim.ipynb", as_version=4)
    origins = [output for output in outputs(second, "text/plain") if "origin" in output.metadata]
    assert origins and origin_of(second)["date"]
    for output in origins:
        output.data["text/plain"] = "code 0; date 1999-01-01"
    next(cell for cell in second.cells if cell.cell_type == "code").outputs.append(new_output("stream", text="5 done"))
    assert list(differing(first, second)) == []


@pytest.mark.parametrize("form", ["text/html", "text/markdown"])
def test_every_text_is_compared(published, form):
    count = len([output for output in outputs(read(published), form) if "image/png" not in output.data])
    assert count > 8
    for n in range(count):

        def alter(notebook, n=n):
            data = [output for output in outputs(notebook, form) if "image/png" not in output.data][n].data
            words = data[form].rstrip().rsplit(" ", 1)
            data[form] = " ".join([*words[:-1], "other", words[-1]])

        (sentence,) = altered(published, alter)
        assert sentence.startswith("[") and "other" in sentence and "but the published files give" in sentence


def picture(change):
    """What changes the fourth picture of a notebook by a function of its pixels [height, width, 3]."""

    def alter(notebook):
        data = outputs(notebook, "image/png")[3].data
        pixels = np.array(Image.open(BytesIO(b64decode(data["image/png"]))).convert("RGB"))
        changed = BytesIO()
        Image.fromarray(change(pixels)).save(changed, "png")
        data["image/png"] = b64encode(changed.getvalue()).decode()

    return alter


def without_its_colour(pixels):
    """A picture whose curves of one colour are gone."""
    strong = np.ptp(pixels.astype(int), axis=2) > 100
    colours, counts = np.unique(pixels[strong], axis=0, return_counts=True)
    erased = pixels.copy()
    erased[(pixels == colours[counts.argmax()]).all(2)] = 255
    return erased


def with_a_point(pixels):
    """A picture with one point more, 10 by 10 pixels of some 700,000."""
    changed = pixels.copy()
    changed[100:110, 200:210] = 255 - changed[100:110, 200:210]
    return changed


def test_a_picture_may_differ_by_its_rounding_alone(published):
    assert altered(published, picture(lambda pixels: pixels - np.minimum(pixels, 2))) == []
    for change in (without_its_colour, with_a_point, lambda pixels: pixels[1:]):
        (sentence,) = altered(published, picture(change))
        assert "shows another picture than the published files give" in sentence


def test_a_lost_output_is_found(published):
    def without(notebook):
        lost = outputs(notebook, "image/png")[3]
        next(cell for cell in notebook.cells if lost in cell.get("outputs", ())).outputs.remove(lost)

    (sentence,) = altered(published, without)
    assert "does not show as many texts and pictures" in sentence


def test_a_paper_of_another_notebook_or_none_is_said_before_any_work(published, monkeypatch):
    monkeypatch.setattr(redrawn, "_executed", None)
    path = published.published / "report.ipynb"
    notebook = read(published)
    next(cell for cell in notebook.cells if cell.cell_type == "code").source += "\n"
    nbformat.write(notebook, path)
    (sentence,) = check_paper(published)
    assert "was made by another notebooks/04_analysis.ipynb; make render" in sentence
    path.unlink()
    with pytest.raises(ValueError, match=f"report.ipynb is not there; run make publish PROFILE={LONGEST}"):
        list(check_paper(published))


def test_the_command_draws_the_paper_of_a_published_profile(published, monkeypatch, capsys):
    monkeypatch.setattr(verify, "check", lambda profile: [])
    monkeypatch.setattr(verify, "check_readme", lambda profiles: [])
    monkeypatch.setattr(verify, "check_beside", lambda: [])
    monkeypatch.setattr("sys.argv", ["verify", "--paper", LONGEST])
    verify.main()
    assert f"follows: {LONGEST}" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["verify", "--paper", "laptop"])
    monkeypatch.setattr(verify, "check", None)
    with pytest.raises(SystemExit, match=rf"^laptop is not published; name one of {LONGEST}\.$"):
        verify.main()


def test_a_notebook_that_fails_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(redrawn, "NOTEBOOK", "notebooks/none.ipynb")
    with pytest.raises(
        ValueError, match=rf"^notebooks/none.ipynb failed on what is published of {LONGEST}: .*none.ipynb"
    ):
        redrawn._executed(load_profile(LONGEST), tmp_path)
