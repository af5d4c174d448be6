"""The notebooks in a real JupyterLab: they run, sliders move pictures, and what saving leaves is stripped again."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lib.files import ROOT
from lib.runs.profiles import published_profiles

pytest.importorskip("jupyterlab", reason="jupyterlab is not installed")
PUBLISHED = published_profiles()[:1]  # the longest


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """What the notebooks need of the repository, 02 set to a profile that is quick here."""
    copy = tmp_path_factory.mktemp("lab") / "repository"
    for folder in ("lib", "notebooks"):
        shutil.copytree(
            ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
        )
    for name in ("profiles.toml", "pyproject.toml", "Makefile"):
        shutil.copy(ROOT / name, copy)
    for profile in PUBLISHED:
        shutil.copytree(profile.published, copy / "results" / "published" / profile.name)
    drawn = ROOT / "results" / "data" / "dsprites_rendered.h5"
    if drawn.exists():
        (copy / "results" / "data").mkdir(parents=True, exist_ok=True)
        shutil.copy(drawn, copy / "results" / "data")  # else it is drawn, in under a minute
    source = copy / "notebooks" / "02_linear_training.py"
    text, changed = re.subn(r'^profile: str = "\w+"', 'profile: str = "smoke"', source.read_text(), flags=re.M)
    assert changed == 1
    source.write_text(text)
    make_notebooks(copy)
    return copy


def make_notebooks(checkout: Path) -> None:
    """make notebooks, with the commands of the environment that runs the tests."""
    programs = Path(sys.executable).parent
    command = ["make", "notebooks", f"BIN={programs}", f"--old-file={programs}/.installed"]
    subprocess.run(command, cwd=checkout, check=True, capture_output=True)


@pytest.fixture(scope="module")
def lab(checkout, tmp_path_factory) -> str:
    """The address of a JupyterLab in the checkout, with settings of its own."""
    home = tmp_path_factory.mktemp("home")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {name: str(home / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "HOME")}
    server = subprocess.Popen(
        [
            sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}",
            "--IdentityProvider.token=", "--LabApp.extension_manager=readonly",
        ],
        cwd=checkout, env=os.environ | own | {"PYTHONPATH": str(checkout)}, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        for _ in range(120):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/lab"
    finally:
        server.terminate()
        server.wait()


@pytest.fixture
def run_all(browser, lab):
    """A function that opens a notebook and runs all its cells; afterwards there must have been no error in the page."""
    page = browser.new_page(viewport={"width": 1400, "height": 3000})
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))

    def run(name: str):
        # A workspace of its own: else the notebook opened before comes back, and may be the one that is run.
        page.goto(f"{lab}/workspaces/{name}/tree/notebooks/{name}.ipynb", timeout=60_000)
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=60_000)
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        return page

    yield run
    page.close()
    assert errors == []


@pytest.mark.skipif(not PUBLISHED, reason="nothing is published here")
def test_explore_moves_pictures_and_leaves_a_clean_checkout(checkout, run_all):
    files = sorted((checkout / "notebooks").glob("*.*"))
    before = {path: path.read_bytes() for path in files}
    page = run_all("07_explore")
    page.locator(".widget-play").first.wait_for(timeout=60_000)
    pictures = page.locator("img.widget-image")
    shown = [pictures.nth(i).get_attribute("src") for i in range(3)]
    handle = page.get_by_role("slider", name="linear", exact=False).first  # the first latent, by its name
    handle.focus()
    for _ in range(10):
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(50)
    page.wait_for_timeout(1000)
    moved = [pictures.nth(i).get_attribute("src") for i in range(3)]
    assert [now != then for now, then in zip(moved, shown, strict=True)] == [False, True, True]

    page.keyboard.press("Control+s")
    for _ in range(100):
        if b"widget-view" in (checkout / "notebooks" / "07_explore.ipynb").read_bytes():
            break
        page.wait_for_timeout(100)
    assert {path.name for path in files if path.read_bytes() != before[path]} == {"07_explore.ipynb"}
    make_notebooks(checkout)
    assert {path.name for path in files if path.read_bytes() != before[path]} == set()


def test_a_notebook_trains_and_shows_the_training(checkout, run_all):
    page = run_all("02_linear_training")
    page.get_by_text("Training of the linear arm").wait_for(timeout=300_000)  # a busy machine
    assert page.locator(".jp-RenderedImage img").count() >= 2  # the toy plant, and the training
    assert page.locator("[data-mime-type='application/vnd.jupyter.error']").count() == 0
    assert (checkout / "results" / "runs" / "smoke" / "linear-seed1" / "run.json").exists()
