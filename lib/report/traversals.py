"""A run's latents moved one by one, kept as a picture beside the run, to be seen where its weights are not."""

import io

import numpy as np
from PIL import Image

from lib.data.dataset import Dataset
from lib.files import reading, write_bytes
from lib.report.figures.pictures import middle_heart, traverse
from lib.runs.run import Run

FILE = "traversals.png"
VALUES = np.linspace(-2, 2, 7, dtype=np.float32)  # in standard deviations of the prior
_GREYS, _STEP, _SIDE = 16, 17, 64  # greys and the steps between them, of 255; pixels of a side


def kept_traversals(run: Run, images: Dataset) -> np.ndarray | None:
    """[J, S, 64, 64] in 16 greys from 0 to 1: latent j takes VALUES [S], the others stay where `middle_heart` is coded.

    Read from FILE; else drawn from the weights, and kept there. None where there is neither. Raises Refusal for a
    damaged file.
    """
    path = run.path / FILE
    if not path.exists():
        if not (run.path / "weights.safetensors").exists():
            return None
        levels = np.rint((_GREYS - 1) * traverse(run.load_model(), middle_heart(images), VALUES)).astype(np.uint8)
        if not run.is_published:
            write_bytes(path, _png(levels))
        return levels * _STEP / 255
    with reading(path, "delete it"):
        greys = np.asarray(Image.open(path).convert("L"))
        rows = greys.reshape(run.config().latents, _SIDE, len(VALUES), _SIDE)
    return rows.transpose(0, 2, 1, 3) / 255


def _png(levels: np.ndarray) -> bytes:
    """Grey levels uint8 [J, S, 64, 64] as one picture: a row per latent, its number from above, a column per value."""
    latents, steps = levels.shape[:2]
    picture = Image.fromarray(levels.transpose(0, 2, 1, 3).reshape(latents * _SIDE, steps * _SIDE)).convert("P")
    picture.putpalette([level * _STEP for level in range(_GREYS) for _ in "RGB"])
    content = io.BytesIO()
    picture.save(content, "png", bits=4, optimize=True)
    return content.getvalue()
