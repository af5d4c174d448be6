"""The data file: drawn once at full size, then loaded, checked, damaged, compared, counted; official files as fakes."""

import hashlib
import http.server
import json
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import ClassVar

import h5py
import numpy as np
import pytest
import torch
from official_files import FILLED, write_hdf5, write_npz

from lib import dsprites
from lib.data import counts, dataset, official
from lib.data.official import OFFICIAL_NAME, OFFICIAL_SHA256, OFFICIAL_URL

N = dsprites.N_IMAGES
# The drawing has no tie or rounding that depends on the machine, so its bytes are known.
SHA256 = "a633ec1c60535b2cb0ddce1eff200fe7d64356ac276023214a64274c9db8e6ee"


def measured(code: str) -> dict:
    """Runs code in a fresh process; it prints one line of JSON with what it measured."""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1]) | {"stdout": result.stdout, "stderr": result.stderr}


@pytest.fixture(scope="module")
def drawing(tmp_path_factory) -> dict:
    """Draws the data set in a process of its own, which says where it is and how much memory it took at most."""
    directory = tmp_path_factory.mktemp("data")
    code = f"""
import json, pathlib, re
from lib.data import dataset
path = dataset.ensure("rendered", {str(directory)!r})
status = pathlib.Path("/proc/self/status")
peak = re.search(r"VmHWM:\\s+(\\d+)", status.read_text())[1] if status.exists() else 0
print(json.dumps(dict(path=str(path), peak_kib=int(peak))))
"""
    return measured(code)


@pytest.fixture(scope="module")
def path(drawing) -> Path:
    return Path(drawing["path"])


@pytest.fixture(scope="module")
def data(path) -> dataset.Dataset:
    return dataset.load(path)


@pytest.fixture
def copy(path, tmp_path) -> Path:
    return Path(shutil.copy(path, tmp_path / "copy.h5"))


def test_drawing_is_announced_shows_progress_and_leaves_one_file(drawing, path):
    assert drawing["stdout"].count("Drawing the data set") == 1
    assert "100%" in drawing["stderr"]
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the memory in use from /proc, which Linux has")
def test_drawing_takes_less_than_2_gb(drawing):
    assert 0 < drawing["peak_kib"] * 1024 < 2e9


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the memory in use from /proc, which Linux has")
def test_loading_adds_at_most_400_mb(path):
    code = f"""
import json, pathlib, re
from lib.data import dataset
def kibibytes(name):
    return int(re.search(name + r":\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1])
used = kibibytes("VmRSS")
data = dataset.load({str(path)!r})
print(json.dumps(dict(added=(kibibytes("VmHWM") - used) * 1024)))
"""
    assert 377_487_360 < measured(code)["added"] <= 400e6


def test_images_are_those_of_the_renderer_in_the_order_asked(data):
    assert len(data) == N and data.packed.shape == (N, 512) and data.packed.dtype == torch.uint8
    indices = torch.tensor([N - 1, 0, *np.random.default_rng(0).integers(0, N, 300), N - 1])
    expected = torch.from_numpy(dsprites.render(indices.numpy()))[:, None]
    for dtype in (torch.float32, torch.bfloat16, torch.float64):
        images = data.images(indices, dtype)
        assert images.shape == (303, 1, 64, 64) and images.dtype == dtype
        assert (images == expected.to(dtype)).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_images_are_unpacked_on_the_device_without_waiting_for_it(data):
    moved = data.to("cuda")
    indices = torch.randint(0, N, (64,), device="cuda")
    torch.cuda.set_sync_debug_mode("error")
    try:
        images = moved.images(indices)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert (images.cpu() == data.images(indices.cpu())).all()


def test_the_hash_is_of_the_packed_bytes_and_known(data):
    assert data.source == "rendered"
    assert hashlib.sha256(data.packed.numpy()).hexdigest() == data.sha256 == SHA256


def test_the_file_holds_the_factor_table(path):
    with h5py.File(path) as file:
        classes, values = file["factors/classes"][:], file["factors/values"][:]
        assert tuple(file.attrs["factor_names"]) == dsprites.FACTOR_NAMES
        assert tuple(file.attrs["factor_sizes"]) == dsprites.FACTOR_SIZES
        assert tuple(file.attrs["shape_names"]) == dsprites.SHAPE_NAMES
    assert (dsprites.factors_to_indices(classes) == np.arange(N)).all()
    assert values[-1] == pytest.approx([3, 1, 2 * np.pi, 1, 1]) and values[32].tolist() == [1, 0.5, 0, 1 / 31, 0]


def test_a_drawn_file_is_used_again_unless_the_drawing_changed(path, copy, monkeypatch, capsys):
    written = []
    monkeypatch.setattr(dataset, "_write", lambda *arguments, **_: written.append(arguments[0]))
    assert dataset.ensure("rendered", path.parent) == path
    assert not written and capsys.readouterr().out == ""

    changed = copy.rename(copy.with_name(path.name))
    with h5py.File(changed, "r+") as file:
        file.attrs["sample_sha256"] = "0" * 64
    assert dataset.ensure("rendered", changed.parent) == changed == written[0]


def test_an_interrupted_drawing_leaves_nothing(tmp_path, monkeypatch):
    def stops(indices):
        if indices[0] >= 8192:
            raise KeyboardInterrupt
        return dsprites.render_packed(indices)

    monkeypatch.setattr(dataset, "_sample_sha256", lambda: "")
    monkeypatch.setattr(dataset, "render_packed", stops)
    with pytest.raises(KeyboardInterrupt):
        dataset.ensure("rendered", tmp_path, progress=False)
    assert list(tmp_path.iterdir()) == []


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:5_000_000])


def rename_a_factor(file: Path) -> None:
    with h5py.File(file, "r+") as h5:
        h5.attrs["factor_names"] = ("shape", "scale", "orientation", "position_y", "position_x")


def no_source(file: Path) -> None:
    with h5py.File(file, "r+") as h5:
        del h5.attrs["source"]


def drop_the_images(file: Path) -> None:
    with h5py.File(file, "r+") as h5:
        del h5["images"]


def shorten_the_images(file: Path) -> None:
    with h5py.File(file, "r+") as h5:
        del h5["images"]
        h5["images"] = np.zeros((10, 512), dtype=np.uint8)


@pytest.mark.parametrize(
    "damage, message",
    [
        (Path.unlink, "There is no data set at .*copy.h5"),
        (cut, r"copy.h5 cannot be read \(.+\); delete it and make the data set again"),
        (rename_a_factor, r"copy.h5 cannot be read \(it is not a complete data set of this project\); delete it"),
        (drop_the_images, r"copy.h5 cannot be read \(it is not a complete data set of this project\); delete it"),
        (no_source, r"copy.h5 cannot be read \(it is not a complete data set of this project\); delete it"),
        (shorten_the_images, r"copy.h5 cannot be read \(it is not a complete data set of this project\); delete it"),
    ],
)
def test_loading_refuses_a_file_that_is_not_the_data_set(copy, damage, message):
    damage(copy)
    with pytest.raises(ValueError, match=message):
        dataset.load(copy)


def flip(file: Path, image: int, bits: list[int]) -> None:
    with h5py.File(file, "r+") as h5:
        row = np.unpackbits(h5["images"][image])
        row[bits] ^= 1
        h5["images"][image] = np.packbits(row)


def test_a_changed_pixel_is_counted_and_fails_the_verification(path, copy):
    assert (counts.pixel_differences(path, path)[["images_differ", "pixels_differ"]] == 0).all(axis=None)
    flip(copy, 245_760, [0, 77, 4095])
    flip(copy, N - 1, [5])
    flip(copy, N - 2, [5, 6])
    refused = r"do not have the SHA-256 that the file states; delete it and make the data"
    for read in (dataset.load, lambda damaged: counts.pixel_differences(path, damaged)):
        with pytest.raises(ValueError, match=refused):
            read(copy)
    with h5py.File(copy, "r+") as h5:
        h5.attrs["sha256"] = hashlib.sha256(h5["images"][...]).hexdigest()
    table = counts.pixel_differences(path, copy)
    assert table.index.tolist() == list(dsprites.SHAPE_NAMES) and (table["images"] == 245_760).all()
    assert table["images_differ"].tolist() == [0, 1, 2] and table["pixels_differ"].tolist() == [0, 3, 3]


def test_distinct_images_of_a_small_case_by_hand():
    a, b, c = (np.full(512, value, dtype=np.uint8) for value in (1, 2, 3))
    found = counts.distinct_images(torch.from_numpy(np.stack([a, b, a, c, c, a])))
    assert found.first.tolist() == [0, 1, 0, 3, 3, 0]
    assert found.total == 3 and found.per_shape == {"square": 2, "ellipse": 2, "heart": 2}
    p = np.array([3, 1, 2]) / 6
    assert found.entropy == pytest.approx(-(p * np.log(p)).sum(), abs=1e-12)


def test_distinct_images_of_the_data_set(data):
    found = counts.distinct_images(data.packed)
    # Another way to count: distinct values of a 64-bit hash, whose chance of any collision is 2e-8. The shift brings
    # what the product keeps in its high bits down, before a second product and the sum drop them.
    first_keys, second_keys = np.random.default_rng(0).integers(0, 2**63, (2, 64), dtype=np.uint64) * 2 + 1
    words = data.packed.numpy().view(np.uint64) * first_keys
    words ^= words >> np.uint64(32)
    hashes = (words * second_keys).sum(axis=1, dtype=np.uint64)
    assert found.total == len(np.unique(hashes))
    assert list(found.per_shape.values()) == [len(np.unique(part)) for part in hashes.reshape(3, -1)]
    assert (hashes[found.first] == hashes).all() and (found.first <= np.arange(N)).all()
    _, times = np.unique(hashes, return_counts=True)
    assert found.entropy == pytest.approx(-(times / N * np.log(times / N)).sum(), abs=1e-9)
    # The bound that merging the first and last angle alone gives, and the one with every image distinct.
    assert found.entropy < np.log(N) - np.log(2) * 2 / 40 < np.log(N)

    repeats = np.flatnonzero(found.first != np.arange(N))
    assert (
        dsprites.indices_to_factors(repeats)[:, 3:] == dsprites.indices_to_factors(found.first[repeats])[:, 3:]
    ).all()
    table = found.coincidences()
    assert table["images"].sum() == N - found.total
    same_angle = table[table["orientation"] == 39]
    assert same_angle.groupby("shape")["images"].sum().to_dict() == dict.fromkeys(dsprites.SHAPE_NAMES, 6 * 1024)
    hearts = table[table["shape"] == "heart"]
    assert (hearts["first_orientation"] == 0).all() and (hearts["orientation"] == 39).all()


@pytest.fixture(scope="module")
def classes() -> np.ndarray:
    table = dsprites.indices_to_factors(np.arange(N))
    return np.concatenate([np.zeros((N, 1), dtype=np.int64), table], axis=1)


def packed_images_of_a_fake() -> torch.Tensor:
    packed = torch.zeros((N, 512), dtype=torch.uint8)
    for start in FILLED:
        packed[start : start + 1000] = torch.from_numpy(dsprites.render_packed(np.arange(start, start + 1000)))
    return packed


@pytest.mark.parametrize("write, suffix", [(write_hdf5, "hdf5"), (write_npz, "npz")])
def test_an_official_file_is_converted_once(write, suffix, classes, tmp_path, capsys, monkeypatch):
    published = write(tmp_path / f"official.{suffix}", classes)
    content = published.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    known = {
        "hdf5": ("OFFICIAL_SHA256", digest),
        "npz": ("OFFICIAL_NPZ_MD5", hashlib.md5(content, usedforsecurity=False).hexdigest()),
    }
    monkeypatch.setattr(official, *known[suffix])
    converted = dataset.ensure(str(published), tmp_path / "data", progress=False)
    said = capsys.readouterr().out
    assert said.count("Converting") == 1 and "byte for byte" not in said
    assert converted.name == f"dsprites_official_{digest[:12]}.h5"
    loaded = dataset.load(converted)
    assert torch.equal(loaded.packed, packed_images_of_a_fake())
    assert loaded.source == f"official.{suffix}, SHA-256 {digest}"
    assert dataset.ensure(published, tmp_path / "data") == converted and capsys.readouterr().out == ""
    converted.unlink()
    monkeypatch.undo()  # the file is another one than the published, as a file with altered pixels is
    sources = []
    monkeypatch.setattr(dataset, "_write", lambda *given: sources.append(given[2]))
    assert dataset.ensure(published, tmp_path / "data") == converted
    assert f"official.{suffix} is not a published file byte for byte" in capsys.readouterr().out
    assert sources == [f"official.{suffix}, SHA-256 {digest}, {dataset.OTHER_BYTES}"]


class Server(http.server.BaseHTTPRequestHandler):
    """Gives what `content` holds; /cut stops in the middle, /missing has nothing."""

    content = b""
    requests: ClassVar[list[str]] = []

    def do_GET(self):
        self.requests.append(self.path)
        if self.path == "/missing":
            return self.send_error(404)
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content[: len(self.content) // 2] if self.path == "/cut" else self.content)

    def log_message(self, *_):
        pass


@pytest.fixture
def address(classes, tmp_path_factory, monkeypatch):
    """The address of a local server in the place of the official one, the SHA-256 of its file being the known one."""
    content = write_hdf5(tmp_path_factory.mktemp("server") / "file", classes).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    monkeypatch.setattr(Server, "content", content)
    monkeypatch.setattr(Server, "requests", [])
    for module in (dataset, official):
        monkeypatch.setattr(module, "OFFICIAL_SHA256", digest)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever).start()
        monkeypatch.setattr(official, "OFFICIAL_URL", f"http://127.0.0.1:{server.server_port}/file")
        yield official.OFFICIAL_URL
        server.shutdown()


def test_a_file_is_downloaded_once_checked_and_converted(address, tmp_path):
    assert OFFICIAL_URL.endswith(OFFICIAL_NAME) and len(OFFICIAL_SHA256) == 64
    converted = dataset.ensure("download", tmp_path / "data", progress=False)
    assert converted.name == f"dsprites_official_{dataset.OFFICIAL_SHA256[:12]}.h5"
    assert torch.equal(dataset.load(converted).packed, packed_images_of_a_fake())
    assert dataset.ensure("download", tmp_path / "data") == converted
    converted.unlink()  # the downloaded file is kept as well
    assert dataset.ensure("download", tmp_path / "data", progress=False) == converted
    assert Server.requests == ["/file"]


NOT_HAD, ANOTHER = "could not be downloaded", "gave something else than the published file"


@pytest.mark.parametrize("path, reason", [("/missing", NOT_HAD), ("/cut", NOT_HAD), ("/file", ANOTHER)])
def test_a_failed_download_says_what_to_do_and_leaves_nothing(path, reason, address, tmp_path, monkeypatch):
    monkeypatch.setattr(official, "OFFICIAL_URL", address.replace("/file", path))
    if path == "/file":
        monkeypatch.setattr(official, "OFFICIAL_SHA256", OFFICIAL_SHA256)
    with pytest.raises(ValueError, match=rf"^http://[^ ]+{path} {reason}[^;.]*; fetch the file yourself and give its"):
        dataset.ensure("download", tmp_path, progress=False)
    assert Server.requests == [path]
    assert list(tmp_path.iterdir()) == []


def test_a_download_without_a_network_says_what_to_do(address, tmp_path, monkeypatch):
    with socket.socket() as closed:  # bound, but nobody listens
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setattr(official, "OFFICIAL_URL", f"http://127.0.0.1:{closed.getsockname()[1]}/file")
        with pytest.raises(ValueError, match="could not be downloaded; fetch the file yourself and give its path"):
            dataset.ensure("download", tmp_path, progress=False)
    assert list(tmp_path.iterdir()) == []


def wrong_files(directory: Path, classes: np.ndarray) -> dict[str, Path]:
    files = {message: directory / f"{k}" for k, message in enumerate(["neither", "lacks /imgs", "lacks imgs", "grey"])}
    files["neither"].write_text("no data")
    with h5py.File(files["lacks /imgs"], "w") as file:
        file["images"] = [1]
    np.savez(files["lacks imgs"].open("wb"), images=[1])
    with h5py.File(write_hdf5(files["grey"], classes), "r+") as file:
        file["imgs"][5, 5, 5] = 255
    files["values other than 0 and 1"] = files.pop("grey")
    files["are uint8"] = write_hdf5(directory / "short", classes, shape=(N + 1, 64, 64))
    swapped = classes[:, [0, 1, 2, 3, 5, 4]]
    files["factor table"] = write_hdf5(directory / "swapped", swapped)
    files["fewer images"] = write_npz(directory / "few", classes, images=5000)
    damaged = write_npz(directory / "damaged", classes, images=5000)
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 255
    damaged.write_bytes(content)
    files[r"cannot be read \((Error -3 while decompressing|Bad CRC-32)"] = damaged
    return files


def test_wrong_files_are_refused_in_a_sentence_and_leave_nothing(classes, tmp_path):
    for message, file in wrong_files(tmp_path, classes).items():
        with pytest.raises(ValueError, match=rf"^{file} .*{message}.*; give a published file.$"):
            dataset.ensure(file, tmp_path / "data", progress=False)
        assert not (tmp_path / "data").exists()
    with pytest.raises(ValueError, match="is not a file; give"):
        dataset.ensure(tmp_path / "nowhere.npz", tmp_path / "data")
