"""The published dSprites files: where they are, and their images as a stream.

Two files with the same content are published, .npz and .hdf5. Unpacked, the images take 3 GB, so neither is read whole.
Axis letters: N images, B images of a block.
"""

import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import h5py
import numpy as np

from lib.dsprites import N_IMAGES, SIDE, indices_to_factors
from lib.files import of_the_disk, reading, writing
from lib.refusal import Refusal

OFFICIAL_NAME = "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.hdf5"
OFFICIAL_URL = f"https://github.com/google-deepmind/dsprites-dataset/raw/master/{OFFICIAL_NAME}"
# As stated in the checksums of TensorFlow Datasets.
OFFICIAL_SHA256 = "729fa22e884c9c500e1f17415d580746b4c5894fbbb780a1319bbcfa39a745bb"
# Of the .npz, as stated in several public loaders of the data set, none of which states a SHA-256.
OFFICIAL_NPZ_MD5 = "7da33b31b13a06f4b04a70402ce90c2e"


def download(directory: Path, progress: bool = True) -> None:
    """Fetch the published HDF5 file into `directory`, under its own name, unless it is there.

    It gets its name once it is complete and has the known SHA-256. Raises ValueError where it cannot be had.
    """
    import pooch  # needed for nothing else

    with writing(directory):
        directory.mkdir(parents=True, exist_ok=True)
    try:
        pooch.retrieve(OFFICIAL_URL, f"sha256:{OFFICIAL_SHA256}", OFFICIAL_NAME, directory, progressbar=progress)
    except OSError as error:
        if of_the_disk(error):
            with writing(directory / OFFICIAL_NAME):
                raise
        reason = "could not be downloaded"
        raise Refusal(f"{OFFICIAL_URL} {reason}; fetch the file yourself and give its path.") from error
    except ValueError as error:  # pooch's word for another SHA-256
        reason = "gave something else than the published file (another SHA-256)"
        raise Refusal(f"{OFFICIAL_URL} {reason}; fetch the file yourself and give its path.") from error


def is_published(path: Path, digest: str) -> bool:
    """Whether a file of this SHA-256 is one of the two published ones, byte for byte."""
    with path.open("rb") as file:
        md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))  # else refused by strict systems
    return digest == OFFICIAL_SHA256 or md5.hexdigest() == OFFICIAL_NPZ_MD5


def official_blocks(path: Path, rows: int) -> Iterator[np.ndarray]:
    """Images of a published file in order, uint8 [B, 64, 64] of 0 and 1, B = `rows`, which divides N.

    Raises ValueError for a file that is damaged or has not their form: shapes, types, values 0 and 1, and a factor
    table in the published order. Whether its bytes are theirs says `is_published`.
    """
    with reading(path, "give a published file"):
        if zipfile.is_zipfile(path):
            blocks = _npz_blocks(path, rows)
        elif h5py.is_hdf5(path):
            blocks = _hdf5_blocks(path, rows)
        else:
            raise ValueError("it is neither .npz nor .hdf5")
        for block in blocks:
            if block.max() > 1:
                raise ValueError("its images have values other than 0 and 1")
            yield block


def _hdf5_blocks(path: Path, rows: int) -> Iterator[np.ndarray]:
    with h5py.File(path) as file:
        if "imgs" not in file or "latents/classes" not in file:
            raise ValueError("it lacks /imgs or /latents/classes")
        images, classes = file["imgs"], file["latents/classes"]
        _check_images(images.shape, images.dtype)
        _check_classes_shape(classes.shape, classes.dtype)
        _check_classes(classes[:])
        for start in range(0, N_IMAGES, rows):
            yield images[start : start + rows]


def _npz_blocks(path: Path, rows: int) -> Iterator[np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        if not {"imgs.npy", "latents_classes.npy"} <= set(archive.namelist()):
            raise ValueError("it lacks imgs or latents_classes")
        with archive.open("latents_classes.npy") as member:
            shape, _, dtype = _npy_header(member)
            _check_classes_shape(shape, dtype)
        with archive.open("latents_classes.npy") as member:
            _check_classes(np.lib.format.read_array(member, allow_pickle=False))
        with archive.open("imgs.npy") as member:
            shape, fortran_order, dtype = _npy_header(member)
            _check_images(shape[::-1] if fortran_order else shape, dtype)
            for _ in range(0, N_IMAGES, rows):
                data = member.read(rows * SIDE * SIDE)
                if len(data) < rows * SIDE * SIDE:
                    raise ValueError("it holds fewer images than it states")
                yield np.frombuffer(data, dtype=np.uint8).reshape(rows, SIDE, SIDE)


def _npy_header(member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, order and type of an array, from the head of its .npy file; nothing in it is executed."""
    version = np.lib.format.read_magic(member)
    read = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}.get(version[0])
    if read is None:
        raise ValueError(f"its .npy files have version {version[0]}")
    return read(member)


def _check_images(shape: tuple[int, ...], dtype: np.dtype) -> None:
    if shape != (N_IMAGES, SIDE, SIDE) or dtype != np.uint8:
        raise ValueError(f"its images are {dtype} {list(shape)}, not uint8 [{N_IMAGES}, 64, 64]")


def _check_classes_shape(shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Before the table is read: a foreign file may state any size."""
    if shape != (N_IMAGES, 6) or dtype.kind not in "iu":
        raise ValueError(f"its factor table is {dtype} {list(shape)}, not integers [{N_IMAGES}, 6]")


def _check_classes(classes: np.ndarray) -> None:
    """classes [N, 6]: a constant colour, then the five factors, in the published order."""
    if (classes[:, 1:] != indices_to_factors(np.arange(N_IMAGES))).any() or (classes[:, 0] != 0).any():
        raise ValueError("its factor table is not in the published order")
