"""The one door to disk: where the results stand, and writing so that a file is whole or not there.

A file gets its name when its bytes, and then its name, are on the disk and not in a cache alone: a power cut or a kill
leaves the file as it was before, or the new one. What stops in between leaves a temporary file of the same folder,
which the next writer of that name removes. Every error of the disk becomes one sentence, a Refusal.
"""

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import pandas as pd

from lib.refusal import Refusal

ROOT = Path(__file__).resolve().parent.parent  # the repository
RESULTS = ROOT / "results"

# What to do about an error of the disk, by its number; another number asks for a look at the disk.
_REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "make space there"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "make the folder writable"),
    **dict.fromkeys((errno.ENOTDIR, errno.EISDIR, errno.EEXIST), "move away what stands in its place"),
}


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file's whole content; an interruption leaves no half-written file.

    Raises Refusal, with the file as it was before, where the disk does not take it.
    """
    with writing(path):
        _make_folder(path.parent)
        _remove_stale(path)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            with open(temporary, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
            with writing(path, "it has been replaced, but a power cut may still undo that"):
                _sync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def writing(path: Path, outcome: str = "what stood there before is left as it was") -> Iterator[None]:
    """An error of the disk while `path`, a file or a folder, is written becomes a Refusal of one sentence."""
    try:
        yield
    except OSError as error:
        remedy = _REMEDIES.get(error.errno, "check the disk")
        raise Refusal(
            f"{path} could not be written ({error.strerror or error}); {remedy} and try again, {outcome}."
        ) from error


def replace_folder(fresh: Path, target: Path) -> None:
    """Give the folder `fresh` the name of its neighbour `target`, once all below it is on the disk.

    Between the two renames neither has the name; what `target` was then stands beside it, as `.<name>.before`.
    """
    for path in (*fresh.rglob("*"), fresh):
        _sync(path)
    before = target.with_name(f".{target.name}.before")
    if target.exists():
        shutil.rmtree(before, ignore_errors=True)
        target.rename(before)
    try:
        fresh.rename(target)
    except OSError:
        restore_folder(target)
        raise
    _sync(target.parent)
    shutil.rmtree(before, ignore_errors=True)


def restore_folder(target: Path) -> None:
    """Where `replace_folder` was killed between its renames: give `target` its name back."""
    before = target.with_name(f".{target.name}.before")
    if before.exists() and not target.exists():
        before.rename(target)


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8, atomically, with the line ends that it has."""
    write_bytes(path, text.encode())


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a mapping as indented JSON, atomically; refuses NaN, which JSON does not have."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def write_csv(path: Path, table: pd.DataFrame, float_format: str | None = None) -> None:
    """Write a table without its index as CSV, atomically."""
    write_text(path, table.to_csv(index=False, float_format=float_format))


def write_hdf5(path: Path, fill: Callable[[h5py.File], None]) -> None:
    """Write the HDF5 file that `fill` fills, atomically.

    It is made in memory: a full disk then meets plain bytes, and not HDF5's caches, which it would leave half-closed.
    """
    with h5py.File(path.name, "w", driver="core", backing_store=False) as file:
        fill(file)
        file.flush()
        content = file.id.get_file_image()
    write_bytes(path, content)


def write_sealed(path: Path, content: dict[str, Any]) -> None:
    """`write_json` with a last entry `seal`, the SHA-256 of the others, so that `read_json` finds a changed number."""
    write_json(path, content | {"seal": _seal(content)})


def read_json(path: Path, entries: tuple[str, ...] = ()) -> dict[str, Any]:
    """A file's JSON mapping without its seal, where it has one (`write_sealed`).

    Raises Refusal where it is missing or damaged, was changed after it was sealed, or lacks one of `entries`.
    """
    with reading(path):
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
        if not isinstance(content, dict):
            raise ValueError("it holds no JSON mapping")
        missing = [entry for entry in entries if entry not in content]
        seal = content.pop("seal", None)
        if seal is not None and seal != _seal(content):
            raise ValueError("it was changed after it was written")
        if missing:
            raise ValueError(f"it lacks {missing[0]}")
    return content


def read_csv(path: Path, **options: Any) -> pd.DataFrame:
    """pandas.read_csv; raises Refusal where the file is missing or damaged."""
    with reading(path):
        return pd.read_csv(path, **options)


def of_the_disk(error: OSError) -> bool:
    """Whether an error is one of a disk that is full or may not be written to, and none of a network."""
    return error.errno in _REMEDIES


def _seal(content: dict[str, Any]) -> str:
    as_read = json.loads(json.dumps(content))  # with every key a string
    return hashlib.sha256(json.dumps(as_read, sort_keys=True).encode()).hexdigest()


def check_sizes(path: Path, stored: Iterable[h5py.Dataset]) -> None:
    """Raises ValueError where an HDF5 file states more numbers than its bytes can hold: reading would fill the memory.

    The most that gzip makes of a byte is 1,032.
    """
    if sum(values.nbytes for values in stored) > 1_032 * path.stat().st_size:
        raise ValueError("it states more numbers than it can hold")


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def reading(path: Path, remedy: str = "restore it, or delete it and make it again") -> Iterator[None]:
    """Whatever goes wrong while `path` is read becomes a Refusal of one sentence that ends in the `remedy`.

    A parser may meet bytes of any kind, and its library then raises errors of any kind.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise Refusal(f"{path} is missing; {remedy}.") from error
    except Exception as error:
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise Refusal(f"{path} cannot be read ({reason[:200]}); {remedy}.") from error


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no JSON number")


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing, each name on the disk before the next is made."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync(folder.parent)


def _sync(path: Path) -> None:
    """Wait until a file's bytes, or a folder's names, are on the disk; some file systems cannot wait for names."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP) or not path.is_dir():
            raise
    finally:
        os.close(handle)


def _remove_stale(path: Path) -> None:
    """Remove the temporary files of `path` that killed processes have left."""
    pattern = re.compile(rf"\.{re.escape(path.name)}\.(\d+)\.tmp")
    for name in os.listdir(path.parent):
        match = pattern.fullmatch(name)
        if match and not _alive(int(match[1])):
            path.with_name(name).unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):  # another user's process, or no process's number
        pass
    return True
