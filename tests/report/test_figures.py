"""The paper's figures on runs with little to show: nothing settled, no latent in use, one seed or several."""

import io

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from PIL import Image, ImageColor

from lib.arms import ARMS
from lib.report.figures import information, tradeoff
from lib.report.figures.montages import traversals
from lib.report.figures.runs import controls, traces
from lib.report.figures.style import COLOURS, png
from lib.report.tradeoff import pressures, settled_windows, with_reconstruction


@pytest.fixture
def trace() -> pd.DataFrame:
    steps = np.arange(1, 401)
    columns = {"kl": steps / 100, "reconstruction": 700 - steps, "beta": 1 + steps % 7, "capacity": 0.5 + steps / 400}
    return pd.DataFrame({"step": steps, **columns, **{f"{name}_mean": values for name, values in columns.items()}})


def drawn(figure: Figure) -> list[list[str]]:
    """What the titles of its panels say, of those that can be seen; draws it."""
    assert png(figure, 40).startswith(b"\x89PNG")
    return [axis.get_title() for axis in figure.axes if axis.get_visible()]


@pytest.mark.parametrize("kl", [0.0, 2.0])
def test_matrices_show_latents_in_use_only_where_there_are_some(kl):
    arms = ("linear", "adaptive", "linear_full", "adaptive_hold", "linear")[: 4 if kl else 1]
    figure = information.information_matrices(
        {arm: np.full((5, 10), 0.3) for arm in arms}, {arm: np.array([0.01] * 8 + [kl, kl]) for arm in arms}
    )
    labels = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    assert labels == (["8", "9"] if kl else ["0"])
    assert len(drawn(figure)) == len(arms)


def test_trade_offs_are_drawn_where_nothing_settled(trace):
    runs = pd.DataFrame({"arm": ["linear", "adaptive"], "seed": 1}, index=["l", "a"])
    far = settled_windows(trace.assign(capacity_mean=20.0))
    windows = {"l": far, "a": settled_windows(trace)}
    by_arm = {"linear": [windows["l"]], "adaptive": [windows["a"]]}
    drawn(tradeoff.beta_against_kl(by_arm, pressures(windows, runs)))
    snapshots = pd.DataFrame({"step": [1, 400], "kl": [0.1, 4.0], "mig_four": [0.0, 0.1]})
    along = [with_reconstruction(snapshots, trace)]
    drawn(tradeoff.at_kl({"linear": along, "adaptive": along}, by_arm))


def test_the_loss_of_a_sampler_is_written_at_the_edge_and_leaves_the_scale_alone():
    frames = {
        arm: pd.DataFrame({"step": [100, 200], "kl": [5.0, 8.0], "mig_four": [0.1, 0.2], "reconstruction": loss})
        for arm, loss in (("linear", [90.0, 80.0]), ("info_gan", [2_000.0, 12_754.9]))
    }
    windows = {arm: [frame[["step", "kl", "reconstruction"]]] for arm, frame in frames.items()}
    figure = tradeoff.at_kl({arm: [frame] for arm, frame in frames.items()}, windows)
    mig, loss = figure.axes
    assert len(mig.lines) == 6 and [text.get_text() for text in loss.texts] == ["↑ 12,755"]
    assert loss.get_ylim()[1] < 200
    drawn(figure)


def test_a_c_stands_beside_the_kl_and_single_steps_do_not(trace):
    figure = traces({"linear": [trace, trace]})
    lines = {axis.get_ylabel().split("\n")[0]: axis.get_lines() for axis in figure.axes}
    assert [line.get_linestyle() for line in lines["KL, and C dashed"]] == ["-", "-", "--"]
    assert len(lines["β(t)"]) == 2
    drawn(figure)


def test_the_start_image_stands_above_the_traversals():
    pictures = {arm: np.zeros((3, 7, 64, 64)) for arm in ("linear", "adaptive")}
    labels = {arm: ["0: 3.0\nscale", "", ""] for arm in pictures}
    figure = traversals(pictures, np.linspace(-2, 2, 7), labels, np.ones((64, 64)))
    assert [axis.child_axes[0].get_images()[0].get_array().max() for axis in figure.axes[:2]] == [1, 1]
    drawn(figure)


def test_every_control_is_drawn_over_its_arm():
    frame = pd.DataFrame({"step": [1, 2, 3], "capacity": [0.5, 1.0, 2.0]})
    runs = {"linear": [frame], "adaptive": [frame, frame], "adaptive_hold": [frame], "linear_full": [frame, frame]}
    figure = controls(runs)
    panels = {axis.get_title(): axis for axis in figure.axes if axis.get_visible()}
    assert list(panels) == ["adaptive then held over linear", "linear full-length over adaptive"]
    late = panels["linear full-length over adaptive"].get_lines()
    colours = [ARMS[arm].colour for arm in ("adaptive", "adaptive", "linear_full", "linear_full")]
    assert [line.get_color() for line in late] == colours
    assert late[0].get_linewidth() > late[2].get_linewidth()  # both are seen where they coincide
    drawn(figure)
    with pytest.raises(ValueError, match="no control among these arms"):
        controls({"linear": [frame], "linear_full": [frame]})


def test_an_arm_keeps_its_colour_where_grey_prevails():
    figure, axis = plt.subplots()
    axis.imshow(np.random.default_rng(0).random((200, 200)), cmap="gray")
    arms = {arm.colour for arm in ARMS.values()}
    for place, colour in enumerate(arms):
        figure.text(0.1 * place, 0.95, "X", color=colour, fontsize=14, weight="bold")
    with Image.open(io.BytesIO(png(figure))) as picture:
        colours = {colour for _, colour in picture.convert("RGB").getcolors()}
    assert colours >= {ImageColor.getrgb(colour) for colour in arms} | {(255, 255, 255)} and len(colours) <= COLOURS
