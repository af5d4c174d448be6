"""Where a result comes from: code, versions, hardware."""

import hashlib
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from lib.files import ROOT, sha256

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


@cache
def code_state() -> str:
    """SHA-256 of all that a notebook's output depends on here, as it stood when this was first asked in the process."""
    files = [path for folder in ("lib", "notebooks") for path in sorted((ROOT / folder).rglob("*"))]
    content = [path for path in files if path.suffix in (".py", ".j2", ".css", ".js")]
    names = (f"{path.relative_to(ROOT).as_posix()} {sha256(path)}" for path in content)
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


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
