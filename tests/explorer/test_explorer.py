"""The explorer of the page: its decoders against torch in a real browser, its sliders by mouse, key and ear."""

import base64
import io
import json
import re

import numpy as np
import pytest
import torch
from invented_runs import decoded, images_of, invented_run
from PIL import Image

from lib.dsprites import FACTOR_SIZES
from lib.explorer.page import _start_means, explorer
from lib.report.latents import latent_table
from lib.runs.run import Run

STEPS = (1, 1, 4, 4, 4)  # between the classes of each factor that a start image can have


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


def test_latents_without_information_in_every_arm_are_folded(visit, report):
    """Of ten, linear lacks information in three and adaptive in four: the last three sliders lack it in both."""
    page = visit(report, 360)
    sliders, fold = page.locator(".latents input"), page.locator(".latents details")
    assert [slider.is_visible() for slider in sliders.all()] == [True] * 7 + [False] * 3
    fold.locator("summary").click()
    assert fold.locator("input").count() == 3
    before = canvases(page, "decoded")
    sliders.last.focus()
    page.keyboard.press("End")
    wait_until(page, "[...document.querySelectorAll('.latents output')].pop().value === '3.0'")
    assert (canvases(page, "decoded") != before).any(axis=(1, 2)).all()


def test_a_screen_reader_is_told_value_and_meaning_once(visit, report, runs):
    page = visit(report)
    tables = [latent_table(run) for run in runs.values()]
    for rank in (0, 6, 9):
        linear, adaptive = (table.iloc[rank] for table in tables)
        slider = page.get_by_role(
            "slider", name=f"Slider {rank + 1}, linear latent {linear.latent}: KL", include_hidden=True
        )
        assert f"; adaptive latent {adaptive.latent}: KL {adaptive.kl:.2f}" in slider.get_attribute("aria-label")
        meanings = [latent.factor if latent.kl > 0.1 else "nothing" for latent in (linear, adaptive)]
        told = meanings[0] if len(set(meanings)) == 1 else f"linear {meanings[0]}, adaptive {meanings[1]}"
        assert slider.get_attribute("aria-valuetext") == f"0.0, {told}"
    assert (
        page.locator(".explorer output:not([aria-hidden='true'])").count() == 0
    )  # an output is read out as it changes
    assert page.locator(".explorer [aria-live], .explorer [role=status]").count() == 0


def test_the_pictures_say_what_they_show(visit, report, runs):
    page = visit(report)
    move(page, "factors", [1, 0, 2, 7, 0])
    text = "Start image: shape ellipse, scale 0.50, orientation 74°, position x 0.90, position y 0.00"
    assert page.locator("canvas.start").get_attribute("aria-label") == text
    for picture, values, arm in zip(page.locator("canvas.decoded").all(), canvases(page, "decoded"), runs, strict=True):
        centred = r"centre (\d+)% from the left, (\d+)% from the top"
        told = rf"Decoded by the {arm} arm: white over (\d+) of 4096 pixels, {centred}"
        words = re.fullmatch(told, picture.get_attribute("aria-label"))
        middles = (np.arange(64) + 0.5) / 64
        centre = [100 * (values.sum(axis) @ middles) / values.sum() for axis in (0, 1)]
        assert [float(word) for word in words.groups()] == pytest.approx([values.sum(), *centre], abs=8)


def test_the_first_key_offers_to_skip_the_contents(visit, report):
    page = visit(report, 360)
    link = page.get_by_role("link", name="Skip to the text")
    assert link.bounding_box()["x"] < 0
    page.keyboard.press("Tab")
    assert link.bounding_box()["x"] > 0
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('main').contains(document.activeElement)")


def test_paper_shows_the_pictures_without_sliders(visit, report):
    page = visit(report)
    page.locator(".latents summary").click()
    page.emulate_media(media="print")
    assert all(canvas.is_visible() for canvas in page.locator("canvas").all())
    assert not any(dead.is_visible() for dead in page.locator(".explorer :is(input, button, summary, legend)").all())


def test_without_javascript_pictures_stand_in_its_place(visit, report):
    page = visit(report, 360, java_script_enabled=False)
    assert not page.locator("canvas").first.is_visible()
    for image in page.locator("figure img").all():
        assert image.bounding_box()["width"] > 250
    assert page.locator("figure img").count() == 2
