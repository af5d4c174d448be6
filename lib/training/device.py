"""Where a training takes place, and how it computes there: device, threads, determinism, memory."""

import ctypes
import os
import platform
from contextlib import contextmanager

import torch

from lib.refusal import Refusal
from lib.runs.settings import TrainingConfig

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # parameters of mallopt(3), glibc's malloc.h
_MEBIBYTE = 2**20


def choose_device(name: str) -> torch.device:
    """ "auto", "cpu" or "cuda" -> device; raises ValueError where "cuda" is asked for and not there."""
    if name == "cuda" and not torch.cuda.is_available():
        raise Refusal("device is 'cuda', but PyTorch finds no CUDA device; choose device 'auto' or 'cpu'.")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def device_of(config: TrainingConfig) -> torch.device:
    """Where a training takes place; raises ValueError where its device is not there, or cannot do its precision."""
    device = choose_device(config.device)
    if config.precision == "tf32" and device.type != "cuda":
        raise Refusal("precision is 'tf32', a mode of CUDA devices; choose float32 or bfloat16 on the CPU.")
    return device


@contextmanager
def reproducible(threads: int, tf32: bool = False):
    """Compute with this many CPU threads and, on CUDA, with deterministic convolutions, in true float32 unless `tf32`.

    The thread count is restored. Freed memory is kept for reuse. Meanwhile a CPU that can takes denormal numbers
    (float32 below 1.2e-38) as zero: Adam's moments of a weight that gets no gradient any more decay into them and stay,
    and many CPUs are slow with them (lib/benchmarks/denormals.py). OpenMP's threads do so if they start within.
    """
    keep_freed_memory()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS repeats its bits only with this
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False  # a search by time may find another algorithm, and other bits
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cuda.matmul.allow_tf32 = tf32
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
        torch.set_num_threads(before)


def keep_freed_memory() -> None:
    """Let glibc reuse freed blocks of up to 64 MiB instead of returning them to the system; elsewhere, do nothing.

    By default every activation is mapped afresh at each step and its pages are cleared on first touch: 15,000 page
    faults per float32 step of the `conv` network at batch 64. Larger blocks are returned as before, and the process
    keeps at most 1 GiB. It holds for the whole process and changes no result.
    """
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, 64 * _MEBIBYTE)
        mallopt(_TRIM_THRESHOLD, 1024 * _MEBIBYTE)
        mallopt(_TOP_PAD, 64 * _MEBIBYTE)
