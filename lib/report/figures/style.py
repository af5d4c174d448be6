"""What all figures share: palette, fonts, axes, and how one is shown and saved; an arm has its colour everywhere."""

import io
from collections.abc import Collection
from pathlib import Path

import numpy as np
import PIL.Image
import seaborn as sns
from IPython.display import Image, Markdown, display
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from PIL import ImageColor

from lib.arms import ARMS
from lib.files import write_bytes

REFERENCE_COLOUR = "#595959"  # what is not an arm: set points, bounds
FACTOR_LABELS = ("shape", "scale", "orientation", "position x", "position y")
DOTS_PER_INCH = 160
ALMOST_WHITE = 248  # of 255: what is drawn as white
COLOURS = 64  # of a figure: edges of lines stay smooth, and a notebook of them below what code hosts show
MARKERS = {"-": "o", "--": "s", "-.": "^", ":": "D"}  # of an arm's points, by its line: a colour may have several

sns.set_theme(context="paper", style="whitegrid", rc={
    "font.size": 9, "axes.titlesize": 9.5, "axes.labelsize": 9, "xtick.labelsize": 8, "ytick.labelsize": 8,
    "legend.fontsize": 8, "axes.edgecolor": "#333333", "grid.color": "#e3e3e3", "grid.linewidth": 0.6,
    "figure.constrained_layout.use": True,
})  # fmt: skip


def show(figure: Figure, path: Path, caption: str) -> None:
    """Save a figure as path.png, display that in the notebook, then the caption, and close the figure."""
    width = round(figure.get_size_inches()[0] * 96)
    write_bytes(path.with_suffix(".png"), png(figure))
    display(Image(filename=path.with_suffix(".png"), width=width))
    display(Markdown(caption))


def png(figure: Figure, dots_per_inch: int = DOTS_PER_INCH) -> bytes:
    """The figure as PNG in few colours, a quarter of the bytes; the same bytes for the same figure; closes it."""
    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=dots_per_inch)
    plt.close(figure)
    picture = PIL.Image.open(drawn).convert("RGB")
    picture.quantize(palette=_palette(picture), dither=PIL.Image.Dither.NONE).save(small, "png", optimize=True)
    return small.getvalue()


def _palette(picture: PIL.Image.Image) -> PIL.Image.Image:
    """COLOURS that suit the picture, the arms' own among them: where grey prevails they would be mixed otherwise."""
    pure = np.array([ImageColor.getrgb(colour) for colour in dict.fromkeys(arm.colour for arm in ARMS.values())])
    own = np.concatenate([pure, (pure + 255) // 2])  # and halfway to white, for edges
    others = COLOURS - len(own)
    found = np.array(picture.quantize(others, kmeans=3, dither=PIL.Image.Dither.NONE).getpalette()[: 3 * others])
    found[(found.reshape(-1, 3) >= ALMOST_WHITE).all(1).repeat(3)] = 255
    palette = PIL.Image.new("P", (1, 1))
    palette.putpalette([*found.tolist(), *own.flatten().tolist()])
    return palette


def logarithmic(*axes: Axis) -> None:
    """Give axes a logarithmic scale with numbers as 5, 10, 20; one without anything above 0 stays as it is."""
    for axis in axes:
        if not np.isfinite(axis.get_minpos()):
            continue
        getattr(axis.axes, f"set_{axis.axis_name}scale")("log")
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.set_minor_formatter(NullFormatter())


def steps_axis(axis: Axes) -> None:
    """The horizontal axis as one of training steps."""
    axis.set_xlabel("training step")
    axis.xaxis.set_major_locator(MaxNLocator(4))
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def arm_legend(figure: Figure, arms: Collection[str], solid: bool = False, points: bool = False) -> None:
    """One legend of the arms, above all panels; `solid` where lines are told apart by their colour alone.

    points: whether the arms have points, of MARKERS, too.
    """
    handles = [
        plt.Line2D(
            [], [], color=ARMS[arm].colour, linestyle="-" if solid else ARMS[arm].line, label=ARMS[arm].label,
            marker=MARKERS[ARMS[arm].line] if points else "", markersize=4,
        )
        for arm in arms
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside upper center", ncols=_columns(arms), handlelength=2.6)


def legend_height(arms: Collection[str]) -> float:
    """Inches that the legend's rows beyond the first take."""
    return 0.17 * (-(-len(arms) // _columns(arms)) - 1)


def _columns(arms: Collection[str]) -> int:
    return min(6 if len(arms) < 5 else 3, len(arms))


def at_the_edge(axis: Axes, kl: float, value: float, arm: str) -> None:
    """The arm's marker at the upper edge, and beside it the value, which would compress the scale."""
    edge = axis.get_xaxis_transform()
    axis.plot(kl, 0.96, marker=MARKERS[ARMS[arm].line], color=ARMS[arm].colour, markersize=6, transform=edge)
    axis.annotate(f"↑ {value:,.0f}", (kl, 0.96), xycoords=edge, xytext=(6, -3), textcoords="offset points", fontsize=8)
