"""The data set as one file, one bit per pixel: drawn or converted, loaded and verified.

The file is HDF5. `images` is uint8 [N, 512], N = 737,280 in the published order, each image's 4,096 pixels row by row,
eight to a byte, the highest bit first (numpy.packbits). `factors/classes` [N, 5] and `factors/values` [N, 5] are the
factor table. Attributes: format, factor_names, factor_sizes, shape_names, source, sample_sha256 (drawn files), and
sha256, the SHA-256 of the 377,487,360 bytes of `images` in order.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import h5py
import numpy as np
import torch

from lib.data.official import OFFICIAL_NAME, OFFICIAL_SHA256, download, is_published, official_blocks
from lib.dsprites import (
    FACTOR_NAMES,
    FACTOR_SIZES,
    N_IMAGES,
    PACKED_BYTES,
    SHAPE_NAMES,
    SIDE,
    factor_values,
    indices_to_factors,
    render_packed,
)
from lib.files import ROOT, reading, sha256, write_hdf5
from lib.progress import Progress
from lib.refusal import Refusal

DIRECTORY = ROOT / "results" / "data"
FORMAT = "dSprites, one bit per pixel, version 1"

OTHER_BYTES = "not a published file byte for byte"

_ROWS = 4096  # images in a chunk of the file, 2 MB; a divisor of N
_SAMPLE = range(0, N_IMAGES, 997)
_REMEDY = "delete it and make the data set again"


@dataclass(frozen=True)
class Dataset:
    """All images in memory, one bit per pixel."""

    packed: torch.Tensor  # uint8 [N, 512]
    sha256: str  # of the bytes of `packed`, as the file states it
    source: str  # "rendered", or the given file's name and SHA-256, and OTHER_BYTES unless it is a published one

    def __len__(self) -> int:
        return len(self.packed)

    def images(self, indices: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """Images of flat indices, int64 [B], as 0 and 1: [B, 1, 64, 64], on the device that holds the data.

        Nothing waits for an accelerator, provided the indices are already there.
        """
        octets = self.packed.index_select(0, indices.to(self.packed.device))  # [B, 512]
        shifts = torch.arange(7, -1, -1, dtype=torch.uint8, device=octets.device)
        bits = (octets[:, :, None] >> shifts) & 1  # [B, 512, 8]
        return bits.to(dtype).view(-1, 1, SIDE, SIDE)

    def to(self, device: torch.device | str) -> Self:
        """The same data on another device."""
        return replace(self, packed=self.packed.to(device))


def ensure(source: str = "rendered", directory: str | Path = DIRECTORY, progress: bool = True) -> Path:
    """Path of the data file for `source`, which is drawn, downloaded or converted if it is not in `directory` yet.

    `source` is "rendered" (drawn from the geometry), "download" (the published HDF5 file, checked against its known
    SHA-256) or the path of a published .npz or .hdf5 file (a relative one starts at the repository's root). Every
    source has a file of its own, official ones by their SHA-256; one with other bytes than the published files is taken
    as it is, which is said, also in the data file's `source`. A drawn file whose sample of images differs from
    today's drawing is drawn again. Raises ValueError where a file is not what it should be.
    """
    directory = Path(directory)
    if source == "rendered":
        path, sample = directory / "dsprites_rendered.h5", _sample_sha256()
        if not (path.exists() and read_header(path).get("sample_sha256") == sample):
            print(f"Drawing the data set into {path.name} (once, under a minute).")
            blocks = (render_packed(np.arange(start, start + _ROWS)) for start in range(0, N_IMAGES, _ROWS))
            _write(path, blocks, "rendered", progress, sample_sha256=sample)
        return path

    if source == "download":
        official, digest = directory / OFFICIAL_NAME, OFFICIAL_SHA256
    else:
        official = _official_file(source)
        with reading(official, "give a published file"):
            digest = sha256(official)
    path = directory / f"dsprites_official_{digest[:12]}.h5"
    if path.exists():
        read_header(path)  # refuses a file that is not a data set
        return path
    if source == "download":
        download(directory, progress)
    print(f"Converting {official.name} into {path.name} (once).")
    with reading(official, "give a published file"):
        other = "" if is_published(official, digest) else OTHER_BYTES
    blocks = (np.packbits(block.reshape(_ROWS, -1), axis=1) for block in official_blocks(official, _ROWS))
    _write(path, blocks, ", ".join(filter(None, (official.name, f"SHA-256 {digest}", other))), progress)
    if other:
        print(f"{official.name} is {other}; notebook 01 compares its images with the drawn ones.")
    return path


def check_source(source: str) -> None:
    """Raises ValueError unless `source` is one that `ensure` takes and, if it is a path, a file is there."""
    if source not in ("rendered", "download"):
        _official_file(source)


def _official_file(source: str) -> Path:
    path = ROOT / source
    try:
        path = ROOT / Path(source).expanduser()
        found = path.is_file()
    except (OSError, RuntimeError):  # a name too long, the home of nobody
        found = False
    if not found:
        shown = path if str(path).isprintable() else repr(str(path))
        raise Refusal(f'{shown} is not a file; give "rendered", "download" or the path of a published file.')
    return path


def load(path: str | Path) -> Dataset:
    """The data file at `path`, read chunk by chunk straight into one uint8 tensor [N, 512] (377 MB).

    Raises ValueError unless it is a complete data file whose pixels have the SHA-256 that it states.
    """
    path = Path(path)
    header, packed = read_header(path), torch.empty((N_IMAGES, PACKED_BYTES), dtype=torch.uint8)
    for start, block in stored_blocks(path):
        packed[start : start + len(block)] = torch.from_numpy(block)
    return Dataset(packed, header["sha256"], header["source"])


def _sample_sha256() -> str:
    """SHA-256 of a sample of images as drawn today: tells a file drawn by another version of the geometry."""
    return hashlib.sha256(render_packed(np.array(_SAMPLE))).hexdigest()


def read_header(path: Path) -> dict[str, str]:
    """Attributes of a data file. Raises ValueError unless it is there, complete and of this format."""
    if not path.is_file():
        raise Refusal(f"There is no data set at {path}; lib.data.dataset.ensure() makes one.")
    with reading(path, _REMEDY), h5py.File(path) as file:
        header = dict(file.attrs)
        form = (file["images"].shape, file["images"].dtype) if "images" in file else None
        names, sizes = header.get("factor_names", ()), header.get("factor_sizes", ())
        same = header.get("format") == FORMAT and tuple(names) == FACTOR_NAMES and tuple(sizes) == FACTOR_SIZES
        texts = all(isinstance(header.get(name), str) for name in ("sha256", "source"))
        if not same or not texts or form != ((N_IMAGES, PACKED_BYTES), np.uint8):
            raise ValueError("it is not a complete data set of this project")
    return header


def stored_blocks(path: Path) -> Iterator[tuple[int, np.ndarray]]:
    """Chunks of the packed images with the index of their first; each is valid until the next is taken.

    Raises ValueError unless it is a complete data file, and after the last one where they do not have its SHA-256.
    """
    header, digest = read_header(path), hashlib.sha256()
    block = np.empty((_ROWS, PACKED_BYTES), dtype=np.uint8)
    with reading(path, _REMEDY), h5py.File(path) as file:
        for start in range(0, N_IMAGES, _ROWS):
            file["images"].read_direct(block, np.s_[start : start + _ROWS])
            digest.update(block)
            yield start, block
    if digest.hexdigest() != header["sha256"]:
        raise Refusal(f"The pixels in {path} do not have the SHA-256 that the file states; {_REMEDY}.")


def _write(path: Path, blocks: Iterable[np.ndarray], source: str, progress: bool, **attributes: str) -> None:
    """Writes a data file from packed images, uint8 [4096, 512] at a time; it appears at `path` when complete."""
    digest = hashlib.sha256()
    bar = Progress(total=N_IMAGES, unit=" images", unit_scale=True, desc="Data set", disable=not progress)

    def fill(file: h5py.File) -> None:
        # Level 1 suffices: the images are nearly empty.
        compressed = {"compression": "gzip", "compression_opts": 1}
        shape = (N_IMAGES, PACKED_BYTES)
        images = file.create_dataset("images", shape, "u1", chunks=(_ROWS, PACKED_BYTES), **compressed)
        for start, block in zip(range(0, N_IMAGES, _ROWS), blocks, strict=True):
            images[start : start + _ROWS] = block
            digest.update(block)
            bar.update(len(block))
        classes = indices_to_factors(np.arange(N_IMAGES))
        file.create_dataset("factors/classes", data=classes.astype(np.uint8), **compressed)
        file.create_dataset("factors/values", data=factor_values(classes), shuffle=True, **compressed)
        file.attrs.update(
            format=FORMAT,
            factor_names=FACTOR_NAMES,
            factor_sizes=FACTOR_SIZES,
            shape_names=SHAPE_NAMES,
            source=source,
            sha256=digest.hexdigest(),
            **attributes,
        )

    with bar:
        write_hdf5(path, fill)
