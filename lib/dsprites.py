"""dSprites as geometry: the factors, their order, and every one of the 737,280 binary 64 x 64 images drawn from them.

The data set (Matthey, Higgins, Lerchner, Hassabis, 2017, https://github.com/google-deepmind/dsprites-dataset) was
drawn as vectors on a graphics card. The same drawing is done here exactly, in integers: an outline is scaled, turned
and moved; its vertices are rounded to 1/256 pixel, the grid on which graphics cards rasterise; a pixel is on where
its centre lies inside the outline, and a centre on an edge counts for a left or a top edge only.

Array letters: n images, V vertices of an outline.
"""

import numpy as np

FACTOR_NAMES = ("shape", "scale", "orientation", "position_x", "position_y")
FACTOR_SIZES = (3, 6, 40, 32, 32)
SHAPE_NAMES = ("square", "ellipse", "heart")
N_IMAGES = 737_280
SIDE = 64
PACKED_BYTES = SIDE * SIDE // 8

# Values of each factor's classes, as in the published data set (shape is numbered 1, 2, 3 there).
# Orientation holds both ends, so its first and last class are the same angle.
FACTOR_VALUES = {
    "shape": np.array([1.0, 2.0, 3.0]),
    "scale": np.linspace(0.5, 1.0, 6),
    "orientation": np.linspace(0.0, 2.0 * np.pi, 40),
    "position_x": np.linspace(0.0, 1.0, 32),
    "position_y": np.linspace(0.0, 1.0, 32),
}

_SUBPIXELS = 256
_IMAGES_AT_ONCE = 4096  # keeps the work arrays near 30 MB
# Outlines are in units of the image side at scale 1; v points down. The constants are the round ones that reproduce
# every pixel of the data set's demonstration animation (320 frames). It does not settle them fully: others within its
# tolerance (stretch 1.3297, heart height 1.1038 for 16 / 14.5) differ by a pixel in about 5% of ellipses and hearts.
# No vertex is within 2e-7 grid steps of a rounding tie, so every machine draws the same.
_RADIUS = 0.15
_ELLIPSE_STRETCH = 1.33
_ELLIPSE_VERTICES = 100
_HEART_VERTICES = 150


def factors_to_indices(factors) -> np.ndarray:
    """Flat indices, int64 [n], of images given by their factor classes, integers [n, 5] in `FACTOR_NAMES` order.

    The order is the published one: position_y varies fastest. Raises ValueError for anything but classes in range.
    """
    factors = _integers(factors, "factors")
    if factors.ndim != 2 or factors.shape[1] != len(FACTOR_SIZES):
        raise ValueError(f"factors must have shape [n, 5], one column per factor, not {list(factors.shape)}.")
    if ((factors < 0) | (factors >= np.array(FACTOR_SIZES))).any():
        raise ValueError(f"factors must be classes from 0 to below {FACTOR_SIZES}, in the order {FACTOR_NAMES}.")
    return np.ravel_multi_index(tuple(factors.T), FACTOR_SIZES).astype(np.int64)


def indices_to_factors(indices) -> np.ndarray:
    """Factor classes, int64 [n, 5] in `FACTOR_NAMES` order, of flat indices, integers [n] below `N_IMAGES`.

    Raises ValueError for anything else.
    """
    indices = _integers(indices, "indices")
    if indices.ndim != 1 or ((indices < 0) | (indices >= N_IMAGES)).any():
        raise ValueError(f"indices must be a list or one-dimensional array of integers from 0 to {N_IMAGES - 1}.")
    return np.stack(np.unravel_index(indices, FACTOR_SIZES), axis=1).astype(np.int64)


def factor_values(factors) -> np.ndarray:
    """Values, float64 [n, 5], of factor classes [n, 5]: scale, radians, position in [0, 1]; shape as 1, 2, 3."""
    factors = np.asarray(factors)
    return np.stack([FACTOR_VALUES[name][factors[:, k]] for k, name in enumerate(FACTOR_NAMES)], axis=1)


def outline(shape: int) -> np.ndarray:
    """The closed outline of a shape (0 square, 1 ellipse, 2 heart) at scale 1, upright, float64 [V, 2] as (u, v)."""
    if shape == 0:
        return _RADIUS * np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    if shape == 1:
        t = np.arange(_ELLIPSE_VERTICES) * (2 * np.pi / _ELLIPSE_VERTICES)
        return _RADIUS * np.stack([_ELLIPSE_STRETCH * np.cos(t), np.sin(t) / _ELLIPSE_STRETCH], axis=1)
    t = np.arange(_HEART_VERTICES) * (2 * np.pi / _HEART_VERTICES)
    height = (13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)) / 14.5
    return _RADIUS * np.stack([np.sin(t) ** 3, -height - 0.15], axis=1)


def vertices(factors) -> np.ndarray:
    """Vertices in the image, int64 [n, V, 2] as (x, y) in 1/256 pixel from the top left corner, y down.

    `factors` are classes [n, 5] of images that share one shape.
    """
    shape, scale, turn, x, y = factor_values(factors).T
    size = SIDE * scale
    cos, sin = (size * np.cos(turn))[:, None], (size * np.sin(turn))[:, None]
    u, v = outline(int(shape[0]) - 1).T
    # The centre runs over the middle half of the image, and a growing angle turns anticlockwise as seen.
    points = np.stack([cos * u + sin * v + (16 + 32 * x)[:, None], cos * v - sin * u + (16 + 32 * y)[:, None]], axis=2)
    return np.floor(points * _SUBPIXELS + 0.5).astype(np.int64)


def render_packed(indices) -> np.ndarray:
    """Images of flat indices [n], one bit per pixel: uint8 [n, 512], rows first, as numpy.packbits orders bits."""
    factors = indices_to_factors(indices)
    rows = np.zeros((len(factors), SIDE), dtype=">u8")  # a word per row, of which the first byte comes first
    for shape in range(len(SHAPE_NAMES)):
        members = np.flatnonzero(factors[:, 0] == shape)
        for start in range(0, len(members), _IMAGES_AT_ONCE):
            chosen = members[start : start + _IMAGES_AT_ONCE]
            rows[chosen] = _fill(vertices(factors[chosen]))
    return rows.view(np.uint8)


def render(indices) -> np.ndarray:
    """Images of flat indices [n], in any order and number: uint8 [n, 64, 64] of 0 and 1, rows grow downwards.

    Raises ValueError unless `indices` are integers from 0 to below `N_IMAGES`.
    """
    packed = render_packed(indices)
    return np.unpackbits(packed, axis=1).reshape(len(packed), SIDE, SIDE)


# _RIGHT_OF[c] has the bits of columns c .. 63 set; c = 64 sets none.
_RIGHT_OF = np.array([(1 << (SIDE - c)) - 1 for c in range(SIDE + 1)], dtype=np.uint64)


def _fill(points: np.ndarray) -> np.ndarray:
    """Even-odd fill of closed polygons [n, V, 2] in 1/256 pixel, all inside the image: uint64 [n, 64], a word per row
    whose highest bit is column 0.

    Along a row of pixel centres each edge crossed flips all pixels to its right, so a row is the XOR of such masks.
    All arithmetic is exact: the numbers are integers below 2^53.
    """
    n, count, _ = points.shape
    half = _SUBPIXELS // 2
    start = (points - half).reshape(-1, 2)  # now the centre of pixel (c, r) is the grid point 256 (c, r)
    end = (np.roll(points, -1, axis=1) - half).reshape(-1, 2)
    # An edge crosses the rows r with min(y) <= 256 r < max(y): a centre on a top edge is in, on a bottom edge out.
    first, last = -(-start[:, 1] // _SUBPIXELS), -(-end[:, 1] // _SUBPIXELS)
    lowest, crossed = np.minimum(first, last), np.abs(last - first)

    edge = np.repeat(np.arange(n * count), crossed)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(crossed) - crossed, crossed) + lowest[edge]
    (x, y), (dx, dy) = start[edge].T, (end - start)[edge].T
    # First column at or right of the crossing, rounded up exactly: a centre on a left edge is in, on a right edge out.
    # Correctly rounded division cannot cross an integer, as the quotient's distance from one is at least 1 / (256 dy).
    column = np.ceil((x * dy + (_SUBPIXELS * row - y) * dx) / (_SUBPIXELS * dy)).astype(np.int64)

    rows = np.zeros(n * SIDE, dtype=np.uint64)
    np.bitwise_xor.at(rows, edge // count * SIDE + row, _RIGHT_OF[column])
    return rows.reshape(n, SIDE)


def _integers(values, name: str) -> np.ndarray:
    values = np.asarray(values)
    if values.dtype.kind not in "iu":
        raise ValueError(f"{name} must be integers, not {values.dtype}.")
    return values.astype(np.int64)
