"""Where a result comes from: code, versions, hardware."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from lib.files import ROOT

PACKAGES = ("torch", "numpy", "pandas", "h5py", "safetensors", "scikit-learn")


def _git(*arguments: str) -> str | None:
    """git's answer about the repository, or None where there is no git or no repository."""
    try:
        answer = subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()


def _package_version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def processor() -> str:
    """The processor's name as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def provenance(device: torch.device) -> dict[str, Any]:
    """Commit, whether the tree had uncommitted changes, versions and hardware, as plain data for JSON."""
    changes = _git("status", "--porcelain", "--untracked-files=no")
    return {
        "commit": _git("rev-parse", "HEAD"),
        "dirty": None if changes is None else bool(changes),
        "versions": {"python": platform.python_version(), **{name: _package_version(name) for name in PACKAGES}},
        "hardware": {
            "device": device.type,
            "accelerator": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
            "processor": processor(),
            "cores": torch.multiprocessing.cpu_count(),
            "system": f"{platform.system()} {platform.machine()}",
        },
    }
