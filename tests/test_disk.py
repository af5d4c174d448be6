"""A full disk and a read-only folder: one sentence, the last good state, and a run that goes on later."""

import ctypes
import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lib.data import dataset
from lib.data.dataset import Dataset
from lib.dsprites import PACKED_BYTES
from lib.files import ROOT, read_json, write_bytes, write_hdf5, write_json
from lib.refusal import Refusal
from lib.runs.run import Run
from lib.runs.settings import TrainingConfig
from lib.training.trace import Trace
from lib.training.train import train, train_together


def mount(folder: Path, options: str, flags: int = 0) -> bool:
    """Mount a small file system in memory; False where that is not allowed."""
    libc = ctypes.CDLL(None, use_errno=True)
    return not libc.mount(b"tmpfs", bytes(folder), b"tmpfs", ctypes.c_ulong(flags), options.encode())


@pytest.fixture
def small(tmp_path):
    """A folder on a disk of 256 KiB of its own; skipped where nothing may be mounted."""
    folder = tmp_path / "small"
    folder.mkdir()
    if not sys.platform.startswith("linux") or not mount(folder, "size=256k"):
        pytest.skip("mounting is not allowed here; the file-size limit below is tested everywhere")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


FULL = (
    r"could not be written \(No space left on device\); make space there and try again, what stood there before is left"
)


def test_a_full_disk_leaves_what_stood_there(small):
    path = small / "a.json"
    write_json(path, {"good": 1})
    (small / "ballast").write_bytes(bytes(200 * 1024))
    for write in (
        lambda: write_json(path, {"other": "x" * 100_000}),
        lambda: write_bytes(path, bytes(100_000)),
        lambda: write_hdf5(path, lambda file: file.create_dataset("x", data=np.arange(50_000))),
    ):
        with pytest.raises(Refusal, match=rf"a\.json {FULL}"):
            write()
        assert read_json(path) == {"good": 1}
        assert sorted(os.listdir(small)) == ["a.json", "ballast"]
    (small / "ballast").unlink()
    write_json(path, {"other": "x" * 100_000})


def test_a_training_on_a_full_disk_goes_on_when_there_is_space(small, tiny_config, few_images, tmp_path):
    config = tiny_config(steps=40, snapshots=0, architecture="conv")
    whole, run = (Run(folder / "run") for folder in (tmp_path, small))
    train(config, whole, few_images, progress=False)
    with pytest.raises(Refusal, match=rf"checkpoint\.pt {FULL}"):  # of 8 MB
        train_together([config], [run], few_images, progress=False, time_limit=0)
    assert not run.complete and run.config() == config
    assert sorted(os.listdir(run.path)) == ["config.json"]
    subprocess.run(["mount", "-o", "remount,size=32m", str(small)], check=True)
    train_together([config], [run], few_images, progress=False, time_limit=0)
    assert run.checkpoint.exists()
    train(config, run, few_images, progress=False)
    assert (run.path / "weights.safetensors").read_bytes() == (whole.path / "weights.safetensors").read_bytes()


def at_the_end(happens: Callable[[], None]) -> Callable[[Run, Trace], None]:
    """An observer: at the last look but one, a checkpoint of which stands there, `happens`."""

    def observe(run: Run, trace: Trace) -> None:
        if trace.steps == 30:
            assert run.checkpoint.exists()
            happens()

    return observe


@pytest.fixture
def often(monkeypatch):
    """A look and a checkpoint every 10 steps."""
    monkeypatch.setattr("lib.training.train.LOOK", {"cpu": 10})
    monkeypatch.setattr("lib.training.train.LEAST_SECONDS", 0)


def assert_goes_on(config: TrainingConfig, run: Run, data: Dataset, whole: Run) -> None:
    """The run stands at its last checkpoint, and ends with the bits of one that nothing happened to."""
    assert not run.complete and run.load_checkpoint()["engine"]["step"] == 30
    assert set(os.listdir(run.path)) - {".lock"} == {"checkpoint.pt", "config.json"}
    for each in (run, whole):
        train(config, each, data, progress=False)
    for name in ("weights.safetensors", "trace.h5"):
        assert (run.path / name).read_bytes() == (whole.path / name).read_bytes()


def test_a_trace_on_a_full_disk_is_written_when_there_is_space(small, often, tiny_config, few_images, tmp_path):
    subprocess.run(["mount", "-o", "remount,size=32m", str(small)], check=True)
    config, run = tiny_config(steps=40, checkpoint_every=10, snapshots=0), Run(small / "run")

    def fill() -> None:
        with pytest.raises(OSError), open(small / "ballast", "wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass

    with pytest.raises(Refusal, match=rf"trace\.h5 {FULL}"):
        train(config, run, few_images, False, at_the_end(fill))
    (small / "ballast").unlink()
    assert_goes_on(config, run, few_images, Run(tmp_path / "whole"))


def test_a_trace_for_a_folder_that_cannot_be_written_to_is_written_later(often, tiny_config, few_images, tmp_path):
    config, run = tiny_config(steps=40, checkpoint_every=10, snapshots=0), Run(tmp_path / "run")

    def close() -> None:
        if os.geteuid() > 0:
            run.path.chmod(0o555)
        elif not mount(run.path, "size=4k", READ_ONLY_FLAG):  # over it, as files are open below it
            pytest.skip("root may write everywhere, and mounting is not allowed here")

    with pytest.raises(Refusal, match=rf"trace\.h5 {READ_ONLY}"):
        train(config, run, few_images, False, at_the_end(close))
    if os.geteuid() > 0:
        run.path.chmod(0o755)
    else:
        subprocess.run(["umount", str(run.path)], check=True)
    assert_goes_on(config, run, few_images, Run(tmp_path / "whole"))


def test_a_data_set_on_a_full_disk_is_not_there(small, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (4096, PACKED_BYTES), np.uint8)
    monkeypatch.setattr(dataset, "N_IMAGES", 8192)
    monkeypatch.setattr(dataset, "render_packed", lambda indices: noise[: len(indices)])
    with pytest.raises(Refusal, match=rf"dsprites_rendered\.h5 {FULL}"):
        dataset.ensure("rendered", small, progress=False)
    assert os.listdir(small) == []


READ_ONLY_FLAG = 1  # MS_RDONLY of mount(2)
READ_ONLY = r"could not be (written|made) \((Read-only file system|Permission denied)\); make the folder writable"


@pytest.fixture
def read_only(tmp_path):
    """A folder and a function: make it read-only until the test ends, by its permissions, or for root by a mount."""
    folder = tmp_path / "closed"
    folder.mkdir()
    mounted = os.geteuid() == 0 and mount(folder, "size=32m")
    if os.geteuid() == 0 and not mounted:
        pytest.skip("root may write everywhere, and mounting is not allowed here")

    def close() -> None:
        if mounted:
            subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        else:
            for path in [folder, *folder.rglob("*")]:
                path.chmod(0o555 if path.is_dir() else 0o444)

    yield folder, close
    if mounted:
        subprocess.run(["umount", str(folder)], check=True)
    else:
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o755)


def test_a_folder_that_cannot_be_written_to_is_refused(read_only, tiny_config, few_images):
    folder, close = read_only
    config, run = tiny_config(steps=40, snapshots=0), Run(folder / "run")
    write_json(folder / "a.json", {"good": 1})
    train_together([config], [run], few_images, progress=False, time_limit=0)
    before = run.checkpoint.read_bytes()
    close()
    with pytest.raises(Refusal, match=rf"a\.json {READ_ONLY}"):
        write_json(folder / "a.json", {"other": 2})
    with pytest.raises(Refusal, match=READ_ONLY):
        write_bytes(folder / "new" / "file", b"x")
    with pytest.raises(Refusal, match=READ_ONLY):
        train(config, run, few_images, progress=False)
    with pytest.raises(Refusal, match=READ_ONLY):
        train(config, Run(folder / "other"), few_images, progress=False)
    assert read_json(folder / "a.json") == {"good": 1}
    assert run.checkpoint.read_bytes() == before and not run.complete


def test_a_data_file_in_a_folder_that_cannot_be_written_to_is_read(read_only, monkeypatch):
    folder, close = read_only
    black = np.zeros((4096, PACKED_BYTES), np.uint8)
    monkeypatch.setattr(dataset, "N_IMAGES", 8192)
    monkeypatch.setattr(dataset, "render_packed", lambda indices: black[: len(indices)])
    path = dataset.ensure("rendered", folder, progress=False)
    close()
    assert len(dataset.load(path)) == 8192


def test_a_data_set_for_a_folder_that_cannot_be_written_to_is_refused(read_only, monkeypatch):
    folder, close = read_only
    monkeypatch.setattr(dataset, "N_IMAGES", 8192)
    close()
    with pytest.raises(Refusal, match=rf"dsprites_rendered\.h5 {READ_ONLY}"):
        dataset.ensure("rendered", folder, progress=False)
    assert os.listdir(folder) == []


def test_a_limit_on_the_size_of_files_is_a_sentence_too(tmp_path):
    code = f"""
import pathlib, resource
from lib.files import write_bytes
path = pathlib.Path({str(tmp_path)!r}) / "a"
write_bytes(path, b"good")
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_bytes(path, bytes(2000))
except ValueError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    reason = os.strerror(errno.EFBIG)
    assert done.stdout.startswith(f"{tmp_path}/a could not be written ({reason}); make space there and try again")
    assert (tmp_path / "a").read_bytes() == b"good" and os.listdir(tmp_path) == ["a"]
