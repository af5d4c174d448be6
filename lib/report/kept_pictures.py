"""What a run's network draws, kept as pictures beside the run, to be seen where its weights are not."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from lib.data.dataset import Dataset
from lib.evaluation.samples import draw
from lib.files import reading, write_bytes
from lib.report.figures.pictures import middle_heart, traverse
from lib.runs.run import Run

TRAVERSALS, SAMPLES = "traversals.png", "samples.png"
VALUES = np.linspace(-2, 2, 7, dtype=np.float32)  # that a latent takes, in standard deviations of the prior
SHOWN = (2, 10)  # rows and columns of samples
_GREYS, _STEP, _SIDE = 16, 17, 64  # greys and the steps between them, of 255; pixels of a side


def kept_traversals(run: Run, images: Dataset) -> np.ndarray | None:
    """[J, S, 64, 64] from 0 to 1: latent j takes VALUES [S], the others stay where `middle_heart` is coded."""
    return _kept(
        run, TRAVERSALS, (run.config().latents, len(VALUES)),
        lambda: traverse(run.load_model(), middle_heart(images), VALUES),
    )  # fmt: skip


def kept_samples(run: Run, seed: int) -> np.ndarray | None:
    """The first of the samples that were measured, drawn from `seed`: [*SHOWN, 64, 64] from 0 to 1."""
    count = SHOWN[0] * SHOWN[1]
    return _kept(run, SAMPLES, SHOWN, lambda: draw(run, seed)[:count, 0].numpy().reshape(*SHOWN, _SIDE, _SIDE))


def _kept(run: Run, name: str, shape: tuple[int, int], drawn: Callable[[], np.ndarray]) -> np.ndarray | None:
    """Pictures [*shape, 64, 64] in 16 greys: read from the file `name`; else drawn from the weights, and kept there.

    None where there is neither. Raises Refusal for a damaged file.
    """
    path = run.path / name
    if not path.exists():
        if not (run.path / "weights.safetensors").exists():
            return None
        levels = np.rint((_GREYS - 1) * drawn()).astype(np.uint8)
        if not run.is_published:
            write_bytes(path, _png(levels))
        return levels * _STEP / 255
    return _read(path, shape)


def _read(path: Path, shape: tuple[int, int]) -> np.ndarray:
    with reading(path, "delete it"):
        greys = np.asarray(Image.open(path).convert("L"))
        rows = greys.reshape(shape[0], _SIDE, shape[1], _SIDE)
    return rows.transpose(0, 2, 1, 3) / 255


def _png(levels: np.ndarray) -> bytes:
    """Grey levels uint8 [R, C, 64, 64] as one picture of R rows and C columns, from above and from the left."""
    rows, columns = levels.shape[:2]
    picture = Image.fromarray(levels.transpose(0, 2, 1, 3).reshape(rows * _SIDE, columns * _SIDE)).convert("P")
    picture.putpalette([level * _STEP for level in range(_GREYS) for _ in "RGB"])
    content = io.BytesIO()
    picture.save(content, "png", bits=4, optimize=True)
    return content.getvalue()
