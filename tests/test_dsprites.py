"""The drawing against the published animation's frames, and against an independent slow version.

`dsprites_frames.csv` holds facts about the 320 frames of the data set's demonstration animation, one line per frame in
their order: factor classes, area, bounding box (first and last row and column, inclusive) and the CRC-32 of the frame's
packed bits. It was taken from the frames, not from the renderer.
"""

import csv
import os
import zlib
from pathlib import Path

import numpy as np
import pytest

from lib import dsprites

FRAMES = Path(__file__).with_name("dsprites_frames.csv")


@pytest.fixture(scope="module")
def frames() -> list[dict]:
    with FRAMES.open() as file:
        return list(csv.DictReader(file))


def frame_factors(frames) -> np.ndarray:
    return np.array([[int(frame[name]) for name in dsprites.FACTOR_NAMES] for frame in frames])


def test_frames_of_the_animation_have_the_stated_area_box_and_pixels(frames):
    assert len(frames) == 320
    images = dsprites.render(dsprites.factors_to_indices(frame_factors(frames)))
    for frame, image in zip(frames, images, strict=True):
        rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
        drawn = [image.sum(), rows[0], rows[-1], columns[0], columns[-1]]
        assert drawn == [int(frame[k]) for k in ("area", "top", "bottom", "left", "right")], frame
        assert zlib.crc32(np.packbits(image).tobytes()) == int(frame["crc32"], 16), frame


def test_no_pixel_differs_from_the_animation(frames):
    path = os.environ.get("DSPRITES_GIF")
    if not path:
        pytest.skip("DSPRITES_GIF is not set: set it to the path of the data set's animation dsprites.gif")
    from PIL import Image

    factors = frame_factors(frames)
    wrong = np.zeros(3, dtype=int)
    with Image.open(path) as animation:
        assert animation.n_frames == len(factors)
        drawn = dsprites.render(dsprites.factors_to_indices(factors))
        for k in range(animation.n_frames):
            animation.seek(k)  # Pillow composes the frame from its predecessors; RGB undoes the palette
            wrong[factors[k, 0]] += ((np.asarray(animation.convert("RGB"))[..., 0] > 127) != drawn[k]).sum()
    assert dict(zip(dsprites.SHAPE_NAMES, wrong.tolist(), strict=True)) == {"square": 0, "ellipse": 0, "heart": 0}


def slow_image(shape: int, scale: int, orientation: int, x: int, y: int) -> np.ndarray:
    """One image by winding numbers, summed from angles at each pixel centre, from the geometry written anew."""
    if shape == 0:
        z = 0.15 * np.array([-1 - 1j, 1 - 1j, 1 + 1j, -1 + 1j])
    elif shape == 1:
        t = np.linspace(0, 2 * np.pi, 101)[:-1]
        z = 0.15 * 1.33 * np.cos(t) + 1j * 0.15 / 1.33 * np.sin(t)
    else:
        t = np.linspace(0, 2 * np.pi, 151)[:-1]
        y_up = (13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)) / 14.5
        z = 0.15 * (np.sin(t) ** 3 - 1j * (y_up + 0.15))
    z = z * 64 * (0.5 + 0.1 * scale) * np.exp(-2j * np.pi * orientation / 39) + 16 + 16j + 32 * (x + 1j * y) / 31
    z = (np.floor(z.real * 256 + 0.5) + 1j * np.floor(z.imag * 256 + 0.5)) / 256
    # A centre on a left or a top edge counts: moving it a little right, and much less down, decides the ties alike,
    # as no other centre is within 5e-7 pixel of an edge between vertices on the grid.
    centres = np.arange(64)[None, :] + np.arange(64)[:, None] * 1j + (0.5 + 1e-7) + (0.5 + 1e-12) * 1j
    ahead = z - centres[..., None]
    turns = np.angle(np.roll(ahead, -1, axis=-1) / ahead).sum(axis=-1) / (2 * np.pi)
    return (np.abs(turns) > 0.5).astype(np.uint8)


def test_drawing_agrees_with_the_slow_version():
    indices = np.random.default_rng(0).integers(0, dsprites.N_IMAGES, 90)
    for index, image in zip(indices, dsprites.render(indices), strict=True):
        factors = dsprites.indices_to_factors([index])[0]
        assert (image == slow_image(*factors)).all(), factors


@pytest.mark.parametrize("x, columns", [(8, (18, 29)), (23, (34, 44))])
def test_centres_on_an_edge_count_on_the_left_and_top_only(x, columns):
    # At this scale the square's left edge at x = 8, and its right edge at x = 23, passes through pixel centres.
    for y in (8, 23):
        factors = np.array([[0, 1, 0, x, y]])
        points = dsprites.vertices(factors)[0]
        assert (points[:, 0] % 256 == 128).any() and (points[:, 1] % 256 == 128).any()
        image = dsprites.render(dsprites.factors_to_indices(factors))[0]
        assert (image == slow_image(0, 1, 0, x, y)).all()
        assert tuple(np.flatnonzero(image.any(axis=0))[[0, -1]]) == columns


def test_order_is_the_published_one_and_conversion_round_trips():
    assert np.prod(dsprites.FACTOR_SIZES) == dsprites.N_IMAGES
    expected = np.stack(np.meshgrid(*map(np.arange, dsprites.FACTOR_SIZES), indexing="ij"), axis=-1).reshape(-1, 5)
    indices = np.arange(dsprites.N_IMAGES)
    factors = dsprites.indices_to_factors(indices)
    assert factors.dtype == np.int64 and (factors == expected).all()
    back = dsprites.factors_to_indices(factors)
    assert back.dtype == np.int64 and (back == indices).all()
    assert dsprites.factors_to_indices([[2, 5, 39, 31, 30]]).tolist() == [dsprites.N_IMAGES - 2]


def test_factor_values_are_the_published_ones():
    first, last = dsprites.factor_values(np.array([[0, 0, 0, 0, 0], [2, 5, 39, 31, 31]]))
    assert first.tolist() == [1, 0.5, 0, 0, 0]
    assert last == pytest.approx([3, 1, 2 * np.pi, 1, 1], abs=1e-15)


def test_a_batch_is_its_images_in_any_order():
    indices = np.random.default_rng(1).integers(0, dsprites.N_IMAGES, 50)
    images = dsprites.render(indices)
    assert images.shape == (50, 64, 64) and images.dtype == np.uint8 and set(np.unique(images)) == {0, 1}
    assert all((dsprites.render([i])[0] == image).all() for i, image in zip(indices, images, strict=True))
    assert (np.packbits(images.reshape(50, -1), axis=1) == dsprites.render_packed(indices)).all()


def test_first_and_last_orientation_are_the_same_angle():
    factors = dsprites.indices_to_factors(np.random.default_rng(2).integers(0, dsprites.N_IMAGES, 200))
    first, last = factors.copy(), factors.copy()
    first[:, 2], last[:, 2] = 0, 39
    to_index = dsprites.factors_to_indices
    assert (dsprites.render(to_index(first)) == dsprites.render(to_index(last))).all()


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: dsprites.render([dsprites.N_IMAGES]), "from 0 to 737279"),
        (lambda: dsprites.render([-1]), "from 0 to 737279"),
        (lambda: dsprites.render(3), "one-dimensional"),
        (lambda: dsprites.render([0.5]), "must be integers"),
        (lambda: dsprites.factors_to_indices([[0, 0, 0, 0]]), r"shape \[n, 5\]"),
        (lambda: dsprites.factors_to_indices([[3, 0, 0, 0, 0]]), "classes from 0"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
