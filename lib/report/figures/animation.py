"""The traversals of all arms as one animation, for the README."""

import io
from pathlib import Path

import numpy as np
from matplotlib import font_manager
from PIL import Image, ImageColor, ImageDraw, ImageFont

from lib.arms import ARMS
from lib.files import write_bytes

_GAP, _LABEL, _SIDE = 4, 22, 64  # pixels: between pictures, of a line of text, of a picture


def save_traversals(pictures: dict[str, np.ndarray], labels: dict[str, list[str]], path: Path) -> None:
    """Write a GIF in which every latent moves from its first value to its last and back, endlessly.

    pictures: arm -> pixel probabilities [J, S, 64, 64] (`lib.report.figures.pictures.traverse`), a row each; labels:
    arm -> what stands below each picture [J].
    """
    latents, steps = next(iter(pictures.values())).shape[:2]
    font = ImageFont.truetype(font_manager.findfont("DejaVu Sans"), 11)
    row = 2 * _LABEL + _SIDE
    page = Image.new("RGB", (latents * (_SIDE + _GAP) + _GAP, len(pictures) * row), "white")
    draw = ImageDraw.Draw(page)
    for number, arm in enumerate(pictures):
        draw.text((_GAP, number * row + 5), ARMS[arm].label, ARMS[arm].colour, font)
        for j, text in enumerate(labels[arm]):
            middle = _GAP + j * (_SIDE + _GAP) + _SIDE // 2
            draw.text((middle, number * row + _LABEL + _SIDE + 4), text, "black", font, anchor="ma")

    palette = Image.new("P", (1, 1))
    palette.putpalette(_colours(list(pictures)))
    frames = []
    for step in [*range(steps), *range(steps - 2, 0, -1)]:
        frame = page.copy()
        for number, images in enumerate(pictures.values()):
            for j in range(latents):
                image = Image.fromarray(np.round(255 * images[j, step]).astype(np.uint8))
                frame.paste(image, (_GAP + j * (_SIDE + _GAP), number * row + _LABEL))
        frames.append(frame.quantize(palette=palette, dither=Image.Dither.NONE))
    content = io.BytesIO()
    frames[0].save(content, "gif", save_all=True, append_images=frames[1:], duration=100, loop=0)
    write_bytes(path, content.getvalue())


def _colours(arms: list[str]) -> list[int]:
    """64 greys and, for the arms' names, each arm's colour in four steps to white; red, green and blue in turn."""
    greys = np.repeat(np.linspace(0, 255, 64)[:, None], 3, axis=1)
    pure = np.array([ImageColor.getrgb(ARMS[arm].colour) for arm in arms])
    shades = [255 - share * (255 - pure) for share in (0.25, 0.5, 0.75, 1)]
    return np.concatenate([greys, *shades]).round().astype(int).flatten().tolist()
