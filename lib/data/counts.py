"""What notebook 01 counts: pixels in which two data files differ, and images that are equal."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from lib.data.dataset import stored_blocks
from lib.dsprites import FACTOR_NAMES, N_IMAGES, SHAPE_NAMES, indices_to_factors


def pixel_differences(a: str | Path, b: str | Path) -> pd.DataFrame:
    """How two data files differ, one row per shape: images, images that differ, pixels that differ.

    Raises ValueError unless both are complete data files whose pixels have the SHA-256 that they state.
    """
    pixels = np.empty(N_IMAGES, dtype=np.int64)
    for (start, block), (_, other) in zip(stored_blocks(Path(a)), stored_blocks(Path(b)), strict=True):
        pixels[start : start + len(block)] = np.bitwise_count(block ^ other).sum(axis=1)
    by_shape = pixels.reshape(len(SHAPE_NAMES), -1)
    columns = {"images": by_shape.shape[1], "images_differ": (by_shape > 0).sum(1), "pixels_differ": by_shape.sum(1)}
    return pd.DataFrame(columns, index=pd.Index(SHAPE_NAMES, name="shape"))


@dataclass(frozen=True)
class DistinctImages:
    """Which images are equal. `first` is int64 [N]: the lowest index of an image equal to image i."""

    first: np.ndarray
    total: int
    per_shape: dict[str, int]
    entropy: float

    def coincidences(self) -> pd.DataFrame:
        """Factor combinations with equal images: each image that repeats an earlier one is paired with the first such.

        One row per pair of (shape, scale, orientation) classes: the earlier one as `first_*`, how many images it
        concerns (of the 1,024 positions). Images at different positions are never equal.
        """
        repeats = np.flatnonzero(self.first != np.arange(len(self.first)))
        later, earlier = indices_to_factors(repeats), indices_to_factors(self.first[repeats])
        names = FACTOR_NAMES[:3]
        table = pd.DataFrame(earlier[:, :3], columns=[f"first_{name}" for name in names])
        table[list(names)] = later[:, :3]
        for column in ("first_shape", "shape"):
            table[column] = np.array(SHAPE_NAMES)[table[column]]
        return table.value_counts(sort=False).rename("images").reset_index()


def distinct_images(packed: torch.Tensor | np.ndarray) -> DistinctImages:
    """Which of the images, uint8 [N, 512] in data-set order, are equal, byte by byte (so exact; about 0.5 GB more).

    `entropy` is that of the image drawn with a uniformly drawn index, in nats: H(x) = log N - sum over distinct
    images of (c / N) log c, where c images are equal. It bounds I_q(x;z), as z depends on the image alone.
    """
    rows = np.asarray(packed.cpu() if isinstance(packed, torch.Tensor) else packed)
    seen: dict[bytes, int] = {}
    first = np.fromiter((seen.setdefault(row.tobytes(), i) for i, row in enumerate(rows)), np.int64, len(rows))
    counts = np.bincount(first)
    counts = counts[counts > 0]
    entropy = np.log(len(rows)) - (counts * np.log(counts)).sum() / len(rows)
    by_shape = first.reshape(len(SHAPE_NAMES), -1)
    per_shape = {name: len(np.unique(part)) for name, part in zip(SHAPE_NAMES, by_shape, strict=True)}
    return DistinctImages(first, len(counts), per_shape, float(entropy))
