"""The explorer of notebook 07: which runs it shows, its sliders against torch, and served to a real browser."""

import base64
import importlib.util
import io
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from invented_runs import decoded, images_of, invented_run
from PIL import Image

from lib.explorer.sliders import Explorer, described, profile_to_explore, runs_to_explore
from lib.files import ROOT
from lib.report.latents import latent_table
from lib.report.publishing.readme import README
from lib.runs.profiles import load_profile


def shown(explorer: Explorer) -> np.ndarray:
    """The arms' pictures in [0, 1], [arms, 64, 64]."""
    return np.array([picture(widget) for widget in explorer.pictures.values()])


def picture(widget) -> np.ndarray:
    source = re.search(r'src="data:image/png;base64,([^"]+)"', widget.value)[1]
    return np.array(Image.open(io.BytesIO(base64.b64decode(source)))) / 255


def test_notebook_sliders_move_both_pictures_as_torch_would(runs):
    explorer = Explorer(runs)
    for slider, position in zip(explorer.factors, (1, 3, 7, 30, 2), strict=True):
        slider.value = position
    assert np.abs(shown(explorer) - decoded(runs, [1, 3, 7, 30, 2], [0] * 10)).max() < 3e-3
    assert (picture(explorer.start) == images_of([[1, 3, 7, 30, 2]])[0, 0].numpy()).all()

    offsets = [1.5, -3, 0, 0, 0.7, 0, 0, 0, 0, 3]
    for slider, offset in zip(explorer.latents, offsets, strict=True):
        before = shown(explorer)
        slider.value = offset
        assert (shown(explorer) != before).any(axis=(1, 2)).tolist() == [offset != 0] * 2
    assert np.abs(shown(explorer) - decoded(runs, [1, 3, 7, 30, 2], offsets)).max() < 3e-3


def test_notebook_reset_returns_to_the_posterior_mean(runs):
    explorer = Explorer(runs)
    before = shown(explorer)
    explorer.latents[0].value = 2
    explorer.sweeps[4].value = 7
    explorer.sweeps[4].playing = True
    assert (shown(explorer) != before).any()
    explorer.reset.click()
    assert [slider.value for slider in explorer.latents] == [0] * 10
    assert not explorer.sweeps[4].playing
    assert (shown(explorer) == before).all()


def test_notebook_sweep_goes_to_both_ends_and_comes_back(runs):
    explorer = Explorer(runs)
    before, visited = shown(explorer), []
    for step in range(explorer.sweeps[3].max + 1):
        explorer.sweeps[3].value = step
        visited.append(explorer.latents[3].value)
    assert (min(visited), max(visited), visited[0], visited[-1]) == (-3, 3, 0, 0)
    assert np.abs(np.diff(visited)).max() < 0.6  # no jumps
    assert (shown(explorer) == before).all()
    assert [slider.value for slider in explorer.latents] == [0] * 10


def test_notebook_names_each_latent_and_folds_those_without_information(runs):
    explorer = Explorer(runs)
    *_, used, fold, _ = explorer.widget.children
    assert fold.selected_index is None
    assert fold.get_title(0) == "Latents without information: KL of at most 0.1 nats in every arm (3)"
    rows = [*used.children, *fold.children[0].children]
    assert (len(used.children), len(rows)) == (7, 10)
    tables = [latent_table(run) for run in runs.values()]
    for rank, row in enumerate(rows):
        assert row.children[1] is explorer.latents[rank]
        notes = re.sub("<.*?>", "", row.children[0].value.replace("<br>", "\n")).splitlines()
        for note, table, arm in zip(notes, tables, runs, strict=True):
            latent = table.iloc[rank]
            known = f", {latent.factor} {latent.information:.2f}" if latent.kl > 0.1 else ""
            assert note == f"■ {arm} {latent.latent}: KL {latent.kl:.2f}{known}"


def test_notebook_pictures_say_what_they_show(runs):
    explorer = Explorer(runs)
    explorer.factors[0].value = 0
    text = "Start image: shape square, scale 1.00, orientation 0°, position x 0.52, position y 0.52"
    assert f'alt="{text}"' in explorer.start.value
    for arm, widget in explorer.pictures.items():
        assert f'alt="Decoded by the {arm} arm: white over ' in widget.value


def test_a_picture_in_words():
    values = np.zeros((64, 64))
    assert described(values) == "all black"
    values[:16, 32:] = 1.0  # the upper quarter of the right half
    assert described(values) == "white over 512 of 4096 pixels, centre 75% from the left, 12% from the top"


def test_without_a_name_the_best_decoders_are_explored(tmp_path, monkeypatch):
    monkeypatch.setattr("lib.runs.profiles.RESULTS", tmp_path)
    with pytest.raises(ValueError, match="Nothing is published in results/published; name the profile"):
        profile_to_explore(None)
    for name, losses in (("laptop", (90, 110)), ("seeds", (60, 130)), ("smoke", (500, 400))):
        folder = tmp_path / "published" / name
        folder.mkdir(parents=True)
        (folder / "table.csv").write_text("run,reconstruction\n" + "".join(f"x,{loss}\n" for loss in losses))
    assert profile_to_explore(None).name == "seeds"
    assert profile_to_explore("laptop").name == "laptop"
    with pytest.raises(ValueError, match="profile is ''; choose one of"):
        profile_to_explore("")
    (tmp_path / "published" / "smoke" / "table.csv").write_text("run\nx\n")
    with pytest.raises(ValueError, match=r"cannot be read .*reconstruction"):
        profile_to_explore(None)


def test_notebook_refuses_runs_that_differ_in_latents(odd_pair):
    with pytest.raises(ValueError, match="different numbers of latents"):
        Explorer(odd_pair)


def test_runs_trained_here_are_explored_before_published_ones(tmp_path, monkeypatch):
    monkeypatch.setattr("lib.runs.profiles.RESULTS", tmp_path)
    smoke = load_profile("smoke")
    with pytest.raises(
        ValueError, match="linear-seed1, adaptive-seed1 are not trained and evaluated yet; run make report"
    ):
        runs_to_explore(smoke, 1)
    for folder in ("published", "runs"):
        for arm in ("linear", "adaptive"):
            path = tmp_path / folder / "smoke" / f"{arm}-seed1"
            path.mkdir(parents=True)
            (path / "evaluation.json").write_text("{}")
            if arm == "adaptive" and folder == "runs":  # until both arms are there, the published pair is shown
                assert runs_to_explore(smoke, 1)["linear"].path.parts[-3] == "published"
            (path / "weights.safetensors").write_bytes(b"")
        found = runs_to_explore(smoke, 1)
        assert {arm: run.path for arm, run in found.items()} == {
            arm: tmp_path / folder / "smoke" / f"{arm}-seed1" for arm in ("linear", "adaptive")
        }
    with pytest.raises(ValueError, match="linear-seed2"):
        runs_to_explore(smoke, 2)


def test_published_runs_of_a_profile_that_trains_alike_are_explored(twin, tmp_path, monkeypatch):
    monkeypatch.setattr("lib.runs.profiles.RESULTS", tmp_path)
    laptop = load_profile("laptop")
    for arm in twin.arms:
        path = twin.published / f"{arm}-seed1"
        path.mkdir(parents=True)
        (path / "evaluation.json").write_text("{}")
        if arm in laptop.arms:
            (path / "weights.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match="run make report PROFILE=laptop"):
        runs_to_explore(laptop, 1)  # not wholly published yet
    (twin.published / "table.csv").write_text("")
    for profile in (laptop, twin):  # the control arms have no weights there
        found = runs_to_explore(profile, 1)
        assert {arm: run.path for arm, run in found.items()} == {
            arm: twin.published / f"{arm}-seed1" for arm in ("linear", "adaptive")
        }


@pytest.fixture
def served(tmp_path):
    """The address of notebooks/07_explore under the README's Voila command, beside invented published runs."""
    if importlib.util.find_spec("voila") is None:
        pytest.skip("voila is not installed (pip install voila)")
    for folder in ("lib", "notebooks"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "profiles.toml", tmp_path)
    for seed, arm in enumerate(("linear", "adaptive")):
        invented_run(tmp_path / "results" / "published" / "laptop" / f"{arm}-seed1", arm, "conv", seed)
    (tmp_path / "results" / "published" / "laptop" / "table.csv").write_text("run,reconstruction\nx,50\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    setting, program, *options = re.search(r"^JUPYTER_PATH=.*voila.*", README.read_text(), re.MULTILINE)[0].split()
    assert program == ".venv/bin/voila"
    server = subprocess.Popen(
        [sys.executable, "-m", "voila", *options, "--no-browser", f"--port={port}"], cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)} | dict([setting.split("=")]), stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        for _ in range(120):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.5)
        yield f"127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.wait()


def assert_named(page) -> None:
    """Sliders and their buttons have the names that a screen reader says, also once the folded ones are there."""
    page.locator(".jupyter-widget-Collapse-header").first.click()
    page.get_by_role("slider").nth(14).wait_for()
    names = page.get_by_role("slider").evaluate_all("all => all.map(each => each.getAttribute('aria-label'))")
    assert names[:5] == ["shape", "scale", "orientation", "position x", "position y"]
    assert all(re.fullmatch(r"linear \d: KL \d\.\d\d.*; adaptive \d: KL \d\.\d\d.*", name) for name in names[5:])
    assert len(set(names)) == len(names) == 15
    for button in ("sweep or pause", "stop"):
        assert page.get_by_role("button", name=f"{button}: {names[5]}", exact=True).count() == 1
    assert page.locator(".widget-play button:not([aria-label])").count() == 0
    page.locator(".jupyter-widget-Collapse-header").first.click()


def test_notebook_served_by_voila(browser, served):
    """A slider moved by keyboard changes both pictures; nothing is asked of another host, and there is no error."""
    page = browser.new_page(viewport={"width": 1280, "height": 1400})
    addresses, errors = [], []
    page.on("request", lambda request: addresses.append(request.url))
    page.on("websocket", lambda socket: addresses.append(socket.url))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"http://{served}", timeout=120_000)
    page.wait_for_selector(".widget-play", timeout=120_000)
    pictures = page.locator("img.widget-image")
    pictures.nth(2).wait_for()
    before = [pictures.nth(i).screenshot() for i in range(3)]
    handle = page.locator(".widget-slider .noUi-handle").nth(5)  # the first latent; five factors come before it
    handle.focus()
    for _ in range(10):
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(50)
    page.wait_for_timeout(1000)
    after = [pictures.nth(i).screenshot() for i in range(3)]
    assert after[0] == before[0]
    assert after[1] != before[1]
    assert after[2] != before[2]
    icons = "[...document.fonts].filter(font => font.family.includes('Awesome') && font.status === 'loaded').length"
    assert page.evaluate(icons) > 0  # of the buttons that sweep
    assert_named(page)
    page.set_viewport_size({"width": 360, "height": 900})
    page.wait_for_timeout(500)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    widths = page.evaluate("[...document.querySelectorAll('.noUi-target')].map(track => track.clientWidth)")
    assert min(widths[:5]) > 120 and min(widths[5:12]) > 220  # factors, latents; the last three are folded
    if os.environ.get("REPORT_SCREENSHOTS"):
        page.screenshot(path=Path(os.environ["REPORT_SCREENSHOTS"]) / "voila.png", full_page=True)
    page.close()
    local = (f"http://{served}", f"ws://{served}", f"blob:http://{served}", "data:")
    assert [address for address in addresses if not address.startswith(local)] == []
    assert errors == []
