"""Stand-ins for the published files at their full size, empty but for a few blocks so that they are written quickly."""

import zipfile
from pathlib import Path

import h5py
import numpy as np

from lib import dsprites
from lib.dsprites import N_IMAGES as N

FILLED = (0, 300_000, 736_000)  # 1,000 images from each


def write_hdf5(path: Path, classes: np.ndarray, shape=(N, 64, 64)) -> Path:
    with h5py.File(path, "w") as file:
        images = file.create_dataset("imgs", shape, "u1", chunks=(1000, 64, 64), compression="gzip")
        for start in FILLED:
            images[start : start + 1000] = dsprites.render(np.arange(start, start + 1000))
        file["latents/classes"] = classes
    return path


def write_npz(path: Path, classes: np.ndarray, images: int = N) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("latents_classes.npy", "w") as member:
            np.lib.format.write_array(member, classes)
        with archive.open("imgs.npy", "w", force_zip64=True) as member:
            header = {"descr": "|u1", "fortran_order": False, "shape": (N, 64, 64)}
            np.lib.format.write_array_header_1_0(member, header)
            for start in range(0, images, 1000):
                filled = start in FILLED
                count = min(1000, images - start)
                block = dsprites.render(np.arange(start, start + count)) if filled else np.zeros((count, 64, 64), "u1")
                member.write(block.tobytes())
    return path
