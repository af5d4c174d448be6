"""The one door to disk: what is interrupted, killed, full or read-only leaves the last good file."""

import errno
import os
import stat
import subprocess
import sys

import h5py
import pandas as pd
import pytest

from lib import files
from lib.files import ROOT, read_json, replace_folder, write_bytes, write_csv, write_hdf5, write_json, write_text
from lib.refusal import Refusal


class Interrupted(BaseException):
    """Neither an error of the disk nor any other that code may catch."""


class Failing:
    """A file whose method `name` raises, after half of what it is given to write."""

    def __init__(self, file, name: str, error: BaseException) -> None:
        self.file, self.name, self.error = file, name, error

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def write(self, content: bytes) -> None:
        self.file.write(content[: len(content) // 2])
        if self.name == "write":
            raise self.error
        self.file.write(content[len(content) // 2 :])

    def flush(self) -> None:
        if self.name == "flush":
            raise self.error
        self.file.flush()


def inject(monkeypatch, place: str, error: BaseException) -> None:
    """Let the next write fail at `place`."""

    def fail(*_):
        raise error

    if place == "open":
        monkeypatch.setattr(files, "open", fail, raising=False)
    elif place in ("write", "flush"):
        opened = open
        monkeypatch.setattr(files, "open", lambda *given: Failing(opened(*given), place, error), raising=False)
    else:
        monkeypatch.setattr(files.os, {"fsync": "fsync", "rename": "replace"}[place], fail)


def test_a_folder_takes_anothers_name_when_all_of_it_is_on_the_disk(tmp_path, monkeypatch):
    fresh, target, synced = tmp_path / ".a.new", tmp_path / "a", []
    for folder, text in ((fresh, "new"), (target, "old")):
        write_text(folder / "below" / "b", text)
    monkeypatch.setattr(files, "_sync", lambda path: synced.append((path.name, target.joinpath("below/b").read_text())))
    replace_folder(fresh, target)
    assert set(synced[:-1]) == {(name, "old") for name in ("below", "b", ".a.new")}
    assert synced[-1] == (tmp_path.name, "new") and os.listdir(tmp_path) == ["a"]
    monkeypatch.undo()
    write_text(fresh / "c", "newer")  # what a kill between the two renames leaves: the same command again
    target.rename(tmp_path / ".a.before")
    replace_folder(fresh, target)
    assert os.listdir(tmp_path) == ["a"] and (target / "c").read_text() == "newer"


PLACES = ["open", "write", "flush", "fsync", "rename"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("error", [Interrupted(), KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left")], ids=str)
def test_an_interrupted_write_leaves_the_last_good_file_alone(place, error, tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    write_json(path, {"good": 1})
    with monkeypatch.context() as patch:
        inject(patch, place, error)
        with pytest.raises(Refusal if isinstance(error, OSError) else type(error)):
            write_json(path, {"other": 2})
    assert read_json(path) == {"good": 1}
    assert os.listdir(tmp_path) == ["a.json"]
    write_json(path, {"other": 2})  # nothing stands in the way of the next
    assert read_json(path) == {"other": 2}


@pytest.mark.parametrize(("number", "refused"), [(errno.EIO, True), (errno.EINVAL, False), (errno.ENOTSUP, False)])
def test_a_folder_whose_names_cannot_be_waited_for_has_the_new_file(number, refused, tmp_path, monkeypatch):
    """Some file systems of a network have no fsync of folders; an error of the disk is said as it is."""
    path, sync = tmp_path / "a.json", os.fsync
    write_json(path, {"good": 1})

    def fail_for_folders(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(number, os.strerror(number))
        sync(handle)

    monkeypatch.setattr(files.os, "fsync", fail_for_folders)
    if refused:
        with pytest.raises(Refusal, match=r"try again, it has been replaced, but a power cut may still undo that\.$"):
            write_json(path, {"other": 2})
    else:
        write_json(path, {"other": 2})
    assert read_json(path) == {"other": 2} and os.listdir(tmp_path) == ["a.json"]


def test_bytes_come_before_the_name_and_the_name_before_the_end(tmp_path, monkeypatch):
    done = []
    sync, replace = os.fsync, os.replace
    folder = os.stat(tmp_path).st_ino

    def note_sync(handle: int) -> None:
        done.append("folder" if os.fstat(handle).st_ino == folder else "file")
        sync(handle)

    monkeypatch.setattr(files.os, "fsync", note_sync)
    monkeypatch.setattr(files.os, "replace", lambda *given: (done.append("rename"), replace(*given)))
    write_text(tmp_path / "a.txt", "ä\n")
    assert done == ["file", "rename", "folder"]
    assert (tmp_path / "a.txt").read_bytes() == "ä\n".encode()


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path):
    path, dead = tmp_path / "a.csv", dead_process()
    stale = tmp_path / f".a.csv.{dead}.tmp"
    others = [f".a.csv.{os.getppid()}.tmp", f".b.csv.{dead}.tmp", "a.csv.tmp", ".a.csv.x.tmp"]  # alive, and not its own
    for name in (stale.name, f".a.csv.{os.getpid()}.tmp", *others):
        (tmp_path / name).write_bytes(b"half")
    write_csv(path, pd.DataFrame({"x": [1.0]}), float_format="%.2f")
    assert path.read_text() == "x\n1.00\n"
    assert sorted(os.listdir(tmp_path)) == sorted(["a.csv", *others])


def test_a_kill_in_the_middle_leaves_the_last_good_file(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"good": 1})
    code = (
        "import os, signal, pathlib; from lib.files import write_bytes\n"
        "os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"write_bytes(pathlib.Path({str(path)!r}), b'half')"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == -9
    assert len(os.listdir(tmp_path)) == 2 and read_json(path) == {"good": 1}
    write_json(path, {"good": 2})
    assert os.listdir(tmp_path) == ["a.json"]


def test_new_folders_are_made(tmp_path):
    write_bytes(tmp_path / "a" / "b" / "c", b"x")
    assert (tmp_path / "a" / "b" / "c").read_bytes() == b"x"


def test_hdf5_is_whole_or_not_there(tmp_path):
    path = tmp_path / "a.h5"
    write_hdf5(path, lambda file: file.create_dataset("x", data=range(5)))

    def breaks(file: h5py.File) -> None:
        file["y"] = [1]
        raise Interrupted

    with pytest.raises(Interrupted):
        write_hdf5(path, breaks)
    with h5py.File(path) as file:
        assert file["x"][...].tolist() == [0, 1, 2, 3, 4]
    assert os.listdir(tmp_path) == ["a.h5"]


def test_a_name_that_a_folder_has_is_refused(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(
        Refusal, match=r"/a could not be written \(Is a directory\); move away what stands in its place"
    ):
        write_bytes(tmp_path / "a", b"x")
    (tmp_path / "b").write_text("")
    with pytest.raises(Refusal, match=r"/b/c could not be written \(.*\); move away what stands in its place"):
        write_bytes(tmp_path / "b" / "c", b"x")


def test_nan_is_no_json(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b'{"a": NaN}', b"\xff\xfe", b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}", b'"x"']
)
def test_what_is_no_json_mapping_is_refused_with_its_name(content, tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(Refusal, match=r"/a\.json cannot be read \(.+\); restore it, or delete it and make it again\.$"):
        read_json(path)
    with pytest.raises(Refusal, match=r"/b\.json is missing; restore it"):
        read_json(tmp_path / "b.json")


def test_a_refusal_is_shown_without_a_traceback():
    assert Refusal("One sentence.")._render_traceback_() == ["One sentence."]
