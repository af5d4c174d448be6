"""Thousands of damaged files and values: every reader gives a result or a Refusal, and nothing else.

Each test stands here twice: as it runs always, and marked `long`, for make test-long, with ten times the examples.
"""

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from campaign import EXAMPLES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lib.__main__ import changed_settings
from lib.data import dataset, official
from lib.dsprites import PACKED_BYTES, indices_to_factors
from lib.evaluation import evaluate, samples, scores
from lib.evaluation.posteriors import read_posterior, write_posterior
from lib.evaluation.records import kept
from lib.evaluation.snapshots import BEST, PARTS, measured_rows
from lib.evaluation.snapshots import SETTINGS as SNAPSHOT_SETTINGS
from lib.files import read_json, write_csv, write_json, write_sealed
from lib.model import VAE
from lib.refusal import Refusal
from lib.report.latents import latent_table
from lib.runs import profiles
from lib.runs.profiles import load_profile
from lib.runs.published import HASHES, altered
from lib.runs.run import Run
from lib.runs.status import status_of
from lib.runs.trace_file import write_trace
from lib.training.progress import progress

SMOKE = load_profile("smoke")
CONFIG, MEASURING = SMOKE.training_config("adaptive", 1), SMOKE.evaluation_config()


TIMES = {"examples": 1}


@pytest.fixture(autouse=True, params=[1, pytest.param(10, marks=pytest.mark.long)], ids=["short", "long"])
def times(request, monkeypatch) -> None:
    """How many times the examples that a test asks for it gets."""
    monkeypatch.setitem(TIMES, "examples", request.param)


def examples(count: int):
    """The same examples every time; files of a folder that all share."""
    return settings(
        max_examples=count * TIMES["examples"], deadline=None, derandomize=True, database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )  # fmt: skip


changes = st.lists(
    st.tuples(
        st.sampled_from(["flip", "set", "cut", "remove", "insert", "repeat"]),
        st.floats(0, 1, exclude_max=True),
        st.binary(min_size=1, max_size=8),
    ),
    min_size=1,
    max_size=6,
)


def changed(content: bytes, made: list[tuple[str, float, bytes]]) -> bytes:
    """The content after changes of a kind at a place, a share of its length."""
    result = bytearray(content)
    for kind, share, new in made:
        at, some = int(share * len(result)), len(new)
        if kind == "flip" and result:
            result[at] ^= 1 << (new[0] % 8)
        elif kind == "set":
            result[at : at + some] = new
        elif kind == "cut":
            del result[at:]
        elif kind == "remove":
            del result[at : at + some]
        elif kind == "insert":
            result[at:at] = new
        elif kind == "repeat":
            result[at:at] = result[at : at + 8 * some]
    return bytes(result)


def survives(read) -> None:
    """A result, or a Refusal of one sentence."""
    EXAMPLES.update(tried=1)
    try:
        read()
    except Refusal as error:
        assert "\n" not in str(error) and str(error).endswith(".")


def fuzz(path: Path, read, count: int, head: int | None = None) -> None:
    """Read the file `count` times, each time changed in another way; in its first `head` bytes, where given."""
    content = path.read_bytes()

    @examples(count)
    @given(changes)
    def check(made):
        path.write_bytes(changed(content[:head], made) + (content[head:] if head else b""))
        survives(read)

    try:
        check()
    finally:
        path.write_bytes(content)
    read()  # the file itself is right


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    """A run's files as small as they can be, without hashes, so that every parser meets what is damaged."""
    run = Run(tmp_path_factory.mktemp("fuzz") / "run")
    run.claim(CONFIG)
    table = {"step": np.arange(1, 65), "kl": np.linspace(0, 3, 64), "frozen": np.arange(64) % 2 == 0}
    write_trace(run.path / "trace.h5", pd.DataFrame(table), np.arange(64) % 3 == 0, CONFIG.as_mapping())
    run.save_weights(VAE(CONFIG.architecture, CONFIG.latents))
    run.save_checkpoint({"engine": {"step": 3, "weights": torch.arange(50.0)}, "trace": [1, None], "seconds": 0.5})
    write_json(run.path / "run.json", {"provenance": {"seconds": 1.5}, "summary": {"steps": 64, "kl": 3.25}})
    write_json(run.path / "snapshots.json", {"config": MEASURING.only(SNAPSHOT_SETTINGS)})
    rows = pd.DataFrame({"step": [10, 200], "kl": [1.5, 3.5], "mig_four": [0.0, 0.5]})
    write_csv(run.path / "snapshots.csv", rows.assign(**dict.fromkeys((*PARTS, "reconstruction", *BEST.values()), 0.5)))
    coded = {"kl_latents": [3.25, 0.25], "information": [[0.5, 0.125]] * 5}
    write_json(run.path / "evaluation.json", {"config": MEASURING.only(evaluate.SETTINGS), "kl": 3.5} | coded)
    write_json(
        run.path / "samples.json", {"config": {"evaluation_seed": 0}} | {name: [1] for name in samples.ENTRIES[1:]}
    )
    write_json(run.failure, {"error": "Training diverged."})
    write_json(run.path / HASHES, {"run.json": "0" * 64})
    shutil.copytree(run.path, run.path.with_name("published"))  # has a thinned trace
    (run.path.with_name("published") / "trace.h5").unlink()
    pd.DataFrame(table).to_csv(run.path.with_name("published") / "trace.csv.gz", index=False)
    write_json(run.path / "scores.json", {"config": MEASURING.only(scores.SETTINGS), "dci": {"completeness": 0.5}})
    write_posterior(run, torch.arange(24), *torch.randn(2, 24, 4), torch.zeros(24), (2, 3, 4))
    return run


READERS = {
    "config.json": (Run.config, 700, None),
    "run.json": (lambda run: (run.record(), status_of(run, CONFIG, 2e9), run.weights_sha256), 700, None),
    "failed.json": (lambda run: read_json(run.failure, ("error",))["error"], 200, None),
    "hashes.json": (lambda run: altered(run.path), 200, None),
    "samples.json": (lambda run: kept(run.path / "samples.json", {}, samples.ENTRIES), 300, None),
    "trace.h5": (lambda run: (run.trace(), run.advanced()), 500, None),
    "weights.safetensors": (Run.load_model, 150, 3_000),
    "checkpoint.pt": (Run.load_checkpoint, 500, None),
    "evaluation.json": (lambda run: (kept(run.path / "evaluation.json", {}, ("kl",)), latent_table(run)), 700, None),
    "scores.json": (lambda run: kept(run.path / "scores.json", {}, ("dci",)), 400, None),
    "posterior.h5": (read_posterior, 400, None),
    "snapshots.json": (lambda run: measured_rows(run, MEASURING), 400, None),
    "snapshots.csv": (lambda run: measured_rows(run, MEASURING), 400, None),
}


@pytest.mark.parametrize("name", READERS)
def test_damaged_files_of_a_run(name, run):
    read, count, head = READERS[name]
    fuzz(run.path / name, lambda: read(run), count, head)


def test_damaged_published_traces(run):
    published = Run(run.path.with_name("published"))
    fuzz(published.path / "trace.csv.gz", published.trace, 300)


def test_the_status_of_a_run_with_a_foreign_checkpoint(tmp_path):
    """Whole checkpoints, but foreign ones."""
    unfinished = Run(tmp_path / "run")
    unfinished.claim(CONFIG)
    names = st.sampled_from(["engine", "seconds", "trace", "of", "segments"])
    values = st.none() | st.integers() | st.floats() | st.text(max_size=3) | st.lists(st.integers(), max_size=2)

    @examples(150)
    @given(st.dictionaries(names, values | st.fixed_dictionaries({"step": values})))
    def check(state):
        unfinished.save_checkpoint(state)
        survives(lambda: status_of(unfinished, CONFIG, 2e9))
        survives(lambda: progress(unfinished))

    check()


def test_a_sealed_number_that_was_changed_is_never_returned(tmp_path):
    path = tmp_path / "a.json"
    right = {"mig": 0.25, "information": [[1.5, 0.125]], "steps": 24_000}
    write_sealed(path, right)
    content = path.read_bytes()

    @examples(700)
    @given(changes)
    def check(made):
        path.write_bytes(changed(content, made))
        survives(lambda: found.append(read_json(path)))
        if found and b'"seal"' in path.read_bytes():  # without its seal it is an old file
            assert found[-1] == right
        found.clear()

    found: list[dict] = []
    check()


@pytest.fixture
def few(monkeypatch):
    """A data set of so many images that its files are read in a millisecond."""
    for module, count in ((dataset, 4096), (official, 64)):
        monkeypatch.setattr(module, "N_IMAGES", count)


def test_damaged_data_files(few, tmp_path):
    path = tmp_path / "data.h5"
    images = np.random.default_rng(0).integers(0, 2, (4096, PACKED_BYTES), np.uint8)
    dataset._write(path, [images], "noise", False)

    def read() -> None:
        dataset.read_header(path)
        for _ in dataset.stored_blocks(path):
            pass

    fuzz(path, read, 300, 6_000)


@pytest.mark.parametrize("suffix", ["npz", "hdf5"])
def test_damaged_official_files(suffix, few, tmp_path):
    path = tmp_path / f"official.{suffix}"
    images = np.random.default_rng(0).integers(0, 2, (64, 64, 64), np.uint8)
    classes = np.concatenate([np.zeros((64, 1), np.int64), indices_to_factors(np.arange(64))], axis=1)
    if suffix == "npz":
        np.savez_compressed(path, imgs=images, latents_classes=classes)
    else:
        with h5py.File(path, "w") as file:
            file.create_dataset("imgs", data=images, chunks=(16, 64, 64), compression="gzip")
            file["latents/classes"] = classes

    def read() -> None:
        for _ in official.official_blocks(path, 64):
            pass

    fuzz(path, read, 400)


def test_damaged_profiles(tmp_path, monkeypatch):
    monkeypatch.setattr(profiles, "PROFILES", tmp_path / "profiles.toml")
    profiles.PROFILES.write_bytes(TOML)
    fuzz(profiles.PROFILES, lambda: [load_profile(name) for name in ("paper", "seeds", "smoke")], 400)


TOML = profiles.PROFILES.read_bytes()
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)


@pytest.mark.parametrize("kind", [CONFIG, MEASURING], ids=lambda kind: type(kind).__name__)
def test_settings_of_any_kind(kind):
    right = kind.as_mapping()

    @examples(1_500)
    @given(st.dictionaries(st.sampled_from([*right, "momentum", ""]), values, min_size=1, max_size=3))
    def check(some):
        survives(lambda: type(kind).from_mapping(right | some))

    check()


def test_profiles_by_any_name_and_configurations_by_any_arm_and_seed():
    @examples(700)
    @given(values, values, st.lists(values, max_size=3) | values)
    def check(name, arm, seed):
        survives(lambda: load_profile(name))
        survives(lambda: SMOKE.training_config(arm, seed))

    check()


def test_assignments_of_any_text():
    names = st.sampled_from([*CONFIG.as_mapping(), *MEASURING.as_mapping(), "x"])

    @examples(700)
    @given(st.lists(st.tuples(names, st.text(max_size=9))))
    def check(pairs):
        survives(lambda: changed_settings([f"{name}={value}" for name, value in pairs]))

    check()


def test_data_sources_of_any_text():
    @examples(300)
    @given(st.text(max_size=40))
    def check(source):
        survives(lambda: dataset.check_source(source))

    check()


def test_json_of_any_value(tmp_path):
    path = tmp_path / "any.json"

    @examples(500)
    @given(values)
    def check(value):
        path.write_text(json.dumps(value, default=str))
        survives(lambda: read_json(path, ("config",)))

    check()
