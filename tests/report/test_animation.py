"""The animation of traversals: its pictures are those it was given, forwards and back, in a file for a README."""

import numpy as np
from PIL import Image

from lib.report.figures.animation import save_traversals


def test_every_frame_shows_its_step_of_every_traversal(tmp_path):
    generator = np.random.default_rng(0)
    pictures = {arm: generator.random((3, 4, 64, 64)) for arm in ("linear", "adaptive")}
    labels = {arm: ["0: 1.0", "1: 0.5", "2: 0.0"] for arm in pictures}
    path = tmp_path / "traversal.gif"
    save_traversals(pictures, labels, path)
    with Image.open(path) as animation:
        assert animation.info["loop"] == 0  # endless
        assert animation.n_frames == 6
        for frame, step in enumerate([0, 1, 2, 3, 2, 1]):
            animation.seek(frame)
            shown = np.array(animation.convert("L")) / 255
            for arm, top in (("linear", 22), ("adaptive", 22 + 108)):
                for j, left in enumerate((4, 72, 140)):
                    picture = shown[top : top + 64, left : left + 64]
                    assert np.abs(picture - pictures[arm][j, step]).max() < 0.03  # 64 greys


def test_the_names_of_the_arms_have_their_colours_and_pictures_stay_small(tmp_path):
    """Ten latents and 13 steps of soft blobs, as a network draws them: far below 1 MB."""
    y, x = np.mgrid[:64, :64]
    shifts = np.linspace(-15, 15, 13)
    blobs = np.stack([1 / (1 + np.exp(((x - 32 - s) ** 2 + (y - 32) ** 2 - 60) / 10)) for s in shifts])
    pictures = {arm: np.broadcast_to(blobs, (10, 13, 64, 64)) for arm in ("linear", "adaptive")}
    save_traversals(pictures, {arm: ["0"] * 10 for arm in pictures}, tmp_path / "traversal.gif")
    assert (tmp_path / "traversal.gif").stat().st_size < 1_000_000
    with Image.open(tmp_path / "traversal.gif") as animation:
        colours = {colour for _, colour in animation.convert("RGB").getcolors(10_000)}
    assert {(0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)} <= colours
