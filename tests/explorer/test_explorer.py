"""The explorers: the page's decoders against torch in a real browser, the notebook's sliders with and without one."""

import base64
import importlib.util
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from chromium import CHROMIUM, FLAGS
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from lib.dsprites import FACTOR_SIZES, factors_to_indices, render
from lib.explorer.page import _start_means, explorer
from lib.explorer.sliders import Explorer, runs_to_explore
from lib.files import ROOT
from lib.model import VAE, initialise
from lib.report.latents import latent_table
from lib.report.page.build import build
from lib.report.readme import README
from lib.runs.profiles import load_profile
from lib.runs.run import Run

STEPS = (1, 1, 4, 4, 4)  # between the classes of each factor that a start image can have


def images_of(factors: list) -> torch.Tensor:
    """Images [n, 1, 64, 64] by their classes [n, 5]."""
    return torch.from_numpy(render(factors_to_indices(factors))).float()[:, None]


@torch.no_grad()
def invented_run(path: Path, arm: str, architecture: str, seed: int) -> Run:
    """A network of random weights whose pictures have contrast, with the files that the explorers read."""
    run = Run(path)
    run.claim(load_profile("smoke").training_config(arm, 1, architecture=architecture))
    model = VAE(architecture)
    initialise(model, seed)
    last = [module for module in model.decoder if hasattr(module, "weight")][-1]
    logits = model.decode(torch.randn(100, 10, generator=torch.Generator().manual_seed(0)))
    last.weight *= 3 / logits.std()
    last.bias.copy_((last.bias - logits.mean()) * 3 / logits.std())
    model.to_posterior.weight *= 0.1  # posterior means as small as a trained network's
    run.save_weights(model)
    generator = np.random.default_rng(seed)
    measured = {"kl_latents": generator.uniform(0, 4, 10).tolist(), "information": generator.random((5, 10)).tolist()}
    (path / "evaluation.json").write_text(json.dumps(measured))
    return run


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp("runs")
    return {arm: invented_run(folder / arm, arm, "conv", seed) for seed, arm in enumerate(("linear", "adaptive"))}


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


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


def move(page, kind: str, values: list[float]) -> None:
    """Set the sliders of a kind (factors or latents) as a drag would, and wait for the pictures."""
    page.evaluate(
        """async ([kind, values]) => {
          document.querySelectorAll(`.${kind} input`).forEach((slider, i) => {
            slider.value = values[i];
            slider.dispatchEvent(new Event("input", { bubbles: true }));
          });
          await new Promise(requestAnimationFrame);
        }""",
        [kind, values],
    )


def canvases(page, kind: str) -> np.ndarray:
    """What the canvases of a kind (start or decoded) show, in [0, 1]: [n, 64, 64]."""
    urls = page.eval_on_selector_all(f"canvas.{kind}", "canvases => canvases.map(canvas => canvas.toDataURL())")
    pictures = [Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("L") for url in urls]
    return np.array(pictures) / 255


def wait_until(page, condition: str) -> None:
    """Asks again and again from outside: playwright's own waiting evaluates in the page, whose policy forbids it."""
    for _ in range(200):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never came true: {condition}")


def latents(page) -> list[float]:
    return page.eval_on_selector_all(".latents input", "sliders => sliders.map(slider => slider.valueAsNumber)")


@torch.no_grad()
def decoded(runs: dict[str, Run], factors: list[int], offsets: list[float]) -> np.ndarray:
    """The same by torch: pixel probabilities [arms, 64, 64]; offset r is of the latent with the r-th largest KL."""
    pictures = []
    for run in runs.values():
        model = run.load_model()
        z, _ = model.encode(images_of([factors]))
        kl = json.loads((run.path / "evaluation.json").read_text())["kl_latents"]
        for rank, j in enumerate(sorted(range(len(kl)), key=lambda j: -kl[j])):
            z[0, j] += offsets[rank]
        pictures.append(torch.sigmoid(model.decode(z))[0, 0].numpy())
    return np.array(pictures)


def test_latent_table_is_ordered_by_kl_and_names_the_best_known_factor(tmp_path):
    information = np.full((5, 3), 0.1)
    information[2, 0], information[3, 2] = 0.4, 0.7
    (tmp_path / "evaluation.json").write_text(
        json.dumps({"kl_latents": [1.0, 0.0, 2.0], "information": information.tolist()})
    )
    table = latent_table(Run(tmp_path))
    assert table["latent"].tolist() == [2, 0, 1]
    assert table["factor"].tolist()[:2] == ["position x", "orientation"]
    assert table["information"].tolist() == [0.7, 0.4, 0.1]


def test_the_page_carries_the_posterior_means_of_its_start_images(runs):
    """In the order in which explorer.js counts them: position_y fastest."""
    model = runs["linear"].load_model()
    means = _start_means(model).reshape(3, 6, 10, 8, 8, 10)
    with torch.no_grad():
        for place in ((0, 0, 0, 0, 0), (2, 1, 9, 0, 7), (1, 5, 3, 6, 2)):
            factors = [position * step for position, step in zip(place, STEPS, strict=True)]
            expected, _ = model.encode(images_of([factors]))
            assert means[place] == pytest.approx(expected[0].numpy(), abs=1e-5)


@pytest.fixture
def odd_pair(runs, tmp_path) -> dict[str, Run]:
    odd = Run(shutil.copytree(runs["linear"].path, tmp_path / "odd"))
    measured = {"kl_latents": [1.0] * 4, "information": [[0.1] * 4] * 5}
    (odd.path / "evaluation.json").write_text(json.dumps(measured))
    return {"linear": runs["linear"], "adaptive": odd}


def test_runs_with_different_numbers_of_latents_are_refused(odd_pair):
    with pytest.raises(ValueError, match="different numbers of latents"):
        explorer(odd_pair)


def test_every_decoder_agrees_with_torch(visit, tmp_path):
    """Random start images and latents, three architectures: pictures to 1e-2 in probability, start images exactly."""
    folder = tmp_path / "runs"
    chosen = {"linear": "conv", "adaptive": "burgess", "linear_full": "fc"}
    runs = {arm: invented_run(folder / arm, arm, network, 5) for arm, network in chosen.items()}
    (tmp_path / "page.html").write_text(f"<!DOCTYPE html><meta charset=utf-8>{explorer(runs)}")
    page = visit(tmp_path / "page.html")
    generator = np.random.default_rng(0)
    for _ in range(6):
        positions = [int(generator.integers(size // step)) for size, step in zip(FACTOR_SIZES, STEPS, strict=True)]
        offsets = generator.uniform(-3, 3, 10).round(1).tolist()
        move(page, "factors", positions)
        move(page, "latents", offsets)
        factors = [position * step for position, step in zip(positions, STEPS, strict=True)]
        expected = decoded(runs, factors, offsets)
        assert expected.std(axis=(1, 2)).min() > 0.1  # not grey all over, which would agree with anything
        assert np.abs(canvases(page, "decoded") - expected).max() < 1e-2
        assert (canvases(page, "start")[0] == images_of([factors])[0, 0].numpy()).all()


def test_a_slider_moves_both_pictures_by_keyboard_and_reset_returns(visit, report):
    page = visit(report)
    before = canvases(page, "decoded")
    first = page.locator(".latents input").first
    first.focus()
    for _ in range(15):
        page.keyboard.press("ArrowRight")
    wait_until(page, "document.querySelector('.latents output').value === '1.5'")
    assert first.get_attribute("aria-valuetext") == "1.5"
    assert np.abs(canvases(page, "decoded") - before).max(axis=(1, 2)).min() > 0.05
    page.click("text=Reset the latents")
    wait_until(page, "document.querySelector('.latents output').value === '0.0'")
    assert (canvases(page, "decoded") == before).all()


def test_a_factor_slider_changes_all_three_pictures(visit, report):
    page = visit(report)
    before = [canvases(page, kind) for kind in ("start", "decoded")]
    slider = page.get_by_role("slider", name="shape", exact=True)
    slider.focus()
    page.keyboard.press("Home")
    wait_until(page, "document.querySelector('.factors output').value === 'square'")
    for kind, pictures in zip(("start", "decoded"), before, strict=True):
        assert (canvases(page, kind) != pictures).any(axis=(1, 2)).all()


def test_a_sweep_moves_one_latent_until_it_is_stopped(visit, report):
    page = visit(report)
    button = page.locator(".sweep").nth(2)
    button.click()
    wait_until(page, "document.querySelectorAll('.latents input')[2].valueAsNumber > 1")
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    stopped = latents(page)
    page.wait_for_timeout(200)
    assert latents(page) == stopped
    assert [value for value in stopped if value] == [stopped[2]]


def test_a_sweep_ends_where_it_began(visit, report):
    page = visit(report)
    before = canvases(page, "decoded")
    page.locator(".sweep").first.click()
    wait_until(page, "document.querySelector('.latents input').valueAsNumber < -2")
    wait_until(page, "document.querySelector('.sweep').getAttribute('aria-pressed') === 'false'")
    assert latents(page) == [0] * 10
    assert (canvases(page, "decoded") == before).all()


def test_where_less_motion_is_asked_for_nothing_moves_by_itself(visit, report):
    page = visit(report, reduced_motion="reduce")
    button = page.locator(".sweep").first
    for value in (1, 2, 3, -3, -2):
        button.click()
        assert latents(page)[0] == value
        page.wait_for_timeout(100)
        assert latents(page)[0] == value


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_the_figure_fits_the_screen(visit, report, width):
    page = visit(report, width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for canvas in page.locator("canvas").all():
        box = canvas.bounding_box()
        assert box["width"] == pytest.approx(box["height"], abs=1)
        assert box["width"] > 90
    assert not page.locator("noscript img").first.is_visible()


@pytest.mark.parametrize("width", [360, 1280])
def test_on_paper_there_are_pictures_and_no_sliders(visit, report, width):
    page = visit(report, width)
    sliders, pictures = (page.locator(f".explorer {kind}:visible") for kind in ("input", "canvas"))
    assert sliders.count() > 5 and pictures.count() == 3
    page.emulate_media(media="print")
    assert sliders.count() == 0 and pictures.count() == 3


def test_without_javascript_pictures_stand_in_its_place(visit, report):
    page = visit(report, 360, java_script_enabled=False)
    assert not page.locator("canvas").first.is_visible()
    for image in page.locator("figure img").all():
        assert image.bounding_box()["width"] > 250
    assert page.locator("figure img").count() == 2


def shown(explorer: Explorer) -> np.ndarray:
    """The arms' pictures in [0, 1], [arms, 64, 64], from the middle of each magnified pixel."""
    pictures = [Image.open(io.BytesIO(widget.value)) for widget in explorer.pictures.values()]
    return np.array(pictures)[:, 1::3, 1::3] / 255


def test_notebook_sliders_move_both_pictures_as_torch_would(runs):
    explorer = Explorer(runs)
    for slider, position in zip(explorer.factors, (1, 3, 7, 30, 2), strict=True):
        slider.value = position
    assert np.abs(shown(explorer) - decoded(runs, [1, 3, 7, 30, 2], [0] * 10)).max() < 3e-3
    start = np.array(Image.open(io.BytesIO(explorer.start.value)))[1::3, 1::3] / 255
    assert (start == images_of([[1, 3, 7, 30, 2]])[0, 0].numpy()).all()

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


def test_notebook_names_each_latent_beside_its_slider(runs):
    rows = Explorer(runs).widget.children[2].children
    tables = [latent_table(run) for run in runs.values()]
    for rank, row in enumerate(rows):
        note = row.children[2].value
        for table in tables:
            latent = table.iloc[rank]
            assert f"{latent.latent}: KL {latent.kl:.2f}, {latent.factor} {latent.information:.2f}" in note


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


def test_published_runs_of_a_profile_that_trains_alike_are_explored(tmp_path, monkeypatch):
    monkeypatch.setattr("lib.runs.profiles.RESULTS", tmp_path)
    laptop, seeds = load_profile("laptop"), load_profile("seeds")
    assert laptop.training == seeds.training
    for arm in seeds.arms:
        path = seeds.published / f"{arm}-seed1"
        path.mkdir(parents=True)
        (path / "evaluation.json").write_text("{}")
        if arm in laptop.arms:
            (path / "weights.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match="run make report PROFILE=laptop"):
        runs_to_explore(laptop, 1)  # not wholly published yet
    (seeds.published / "table.csv").write_text("")
    for profile in (laptop, seeds):  # the control arms have no weights there
        found = runs_to_explore(profile, 1)
        assert {arm: run.path for arm, run in found.items()} == {
            arm: seeds.published / f"{arm}-seed1" for arm in ("linear", "adaptive")
        }


@pytest.fixture
def served(tmp_path):
    """The address of notebooks/07_explore under the README's Voila command, beside invented runs of its profile."""
    if importlib.util.find_spec("voila") is None:
        pytest.skip("voila is not installed (pip install voila)")
    for folder in ("lib", "notebooks"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "profiles.toml", tmp_path)
    for seed, arm in enumerate(("linear", "adaptive")):
        invented_run(tmp_path / "results" / "runs" / "laptop" / f"{arm}-seed1", arm, "conv", seed)
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
    if os.environ.get("REPORT_SCREENSHOTS"):
        page.screenshot(path=Path(os.environ["REPORT_SCREENSHOTS"]) / "voila.png", full_page=True)
    page.close()
    local = (f"http://{served}", f"ws://{served}", f"blob:http://{served}", "data:")
    assert [address for address in addresses if not address.startswith(local)] == []
    assert errors == []
