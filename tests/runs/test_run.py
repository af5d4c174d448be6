"""A run's files: truncated, altered or foreign ones are refused with name, reason and what to do; none runs code."""

import ast
import os
import pickle
import shutil

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from lib.data.dataset import Dataset
from lib.dsprites import N_IMAGES, PACKED_BYTES
from lib.evaluation.evaluate import evaluate
from lib.evaluation.posteriors import read_posterior
from lib.evaluation.scores import measure_scores
from lib.evaluation.snapshots import measure_snapshots, measured_rows
from lib.files import ROOT, read_json, write_json
from lib.locks import only_one
from lib.refusal import Refusal
from lib.runs.profiles import load_profile, published_profiles
from lib.runs.run import Run
from lib.training.train import train, train_together

EVALUATION = load_profile("smoke").evaluation_config(position_stride=16, snapshot_position_stride=16)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, few_images) -> Run:
    """A short run with its evaluation; the images of its grid are stand-ins."""
    config = load_profile("smoke").training_config("adaptive", 1, steps=8, batch_size=8, snapshots=2, device="cpu")
    return train(config, Run(tmp_path_factory.mktemp("run") / "adaptive-seed1"), few_images, progress=False)


@pytest.fixture
def run(trained, tmp_path) -> Run:
    return Run(shutil.copytree(trained.path, tmp_path / "copy"))


READERS = {
    "config.json": Run.config,
    "run.json": Run.record,
    "weights.safetensors": Run.load_model,
    "trace.h5": lambda run: (run.trace(), run.advanced()),
    "snapshots/step_0000008.safetensors": lambda run: run.load_model(run.snapshots()[8]),
}


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flip(content: bytes) -> bytes:
    """Another bit in the middle, which may still be a valid file."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


DAMAGES = {"truncated": cut, "altered": flip, "empty": lambda _: b"", "foreign": lambda _: b"\x89PNG\r\n\x1a\n" * 9}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_of_a_complete_run_is_refused(name, damage, run):
    READERS[name](run)
    path = run.path / name
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    sentence = (
        rf"{path} (cannot be read \(.+\); restore it, or|is not the file that the training wrote .*; restore it,)"
    )
    with pytest.raises(Refusal, match=f"^{sentence}"):
        READERS[name](run)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["config.json", "weights.safetensors", "trace.h5"])
def test_a_damaged_file_of_a_run_without_hashes_is_refused_where_that_can_be_told(name, damage, run):
    record = read_json(run.path / "run.json")
    del record["files"]
    write_json(run.path / "run.json", record)  # as the first runs have it
    READERS[name](run)
    if damage == "altered":
        return  # whether a changed bit is found depends on where it is: that is what the hashes are for
    path = run.path / name
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    with pytest.raises(Refusal, match=rf"^{path} cannot be read \(.+\); restore it, or delete it and make it again\.$"):
        READERS[name](run)


def test_no_parser_meets_a_file_that_is_not_the_runs(run, monkeypatch):
    path = run.path / "weights.safetensors"
    path.write_bytes(flip(path.read_bytes()))
    monkeypatch.setattr("lib.runs.run.load_file", None)  # opening it would fail in another way
    with pytest.raises(Refusal, match="not the file that the training wrote"):
        run.load_model()


def test_a_changed_number_in_a_sealed_file_is_refused(run):
    path = run.path / "run.json"
    path.write_text(path.read_text().replace('"steps": 8', '"steps": 9'))
    with pytest.raises(Refusal, match=rf"^{path} cannot be read \(it was changed after it was written\); restore it"):
        run.record()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"steps": "8"}, "steps is '8'; give an integer"),
        ({"kp": None}, "kp is None; give a number"),
        ({"momentum": 1}, "There is no setting 'momentum'"),
    ],
)
def test_a_config_that_cannot_be_is_refused(change, reason, run):
    record = read_json(run.path / "run.json")
    del record["files"]
    write_json(run.path / "run.json", record)
    write_json(run.path / "config.json", read_json(run.path / "config.json") | change)
    with pytest.raises(Refusal, match=rf"config\.json cannot be read \({reason}.*\); restore it"):
        run.config()


def test_another_networks_weights_are_refused(run, tmp_path):
    record = read_json(run.path / "run.json")
    write_json(run.path / "run.json", {name: record[name] for name in ("provenance", "summary")})
    weights = load_file(run.path / "weights.safetensors")
    weights.pop("to_posterior.bias")
    save_file(weights, run.path / "weights.safetensors")
    with pytest.raises(Refusal, match=r"weights\.safetensors cannot be read \(.*to_posterior\.bias"):
        run.load_model()


def test_published_runs_without_hashes_stay_readable():
    for profile in published_profiles():
        for path in sorted(profile.published.glob("*-seed*")):
            assert Run(path).config().arm in path.name and Run(path).record()["summary"]["steps"] > 0
        assert Run(profile.published / "linear-seed1").load_model() is not None


@pytest.fixture(scope="module")
def measured(trained, tmp_path_factory) -> tuple[Run, Dataset]:
    noise = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (N_IMAGES, PACKED_BYTES), np.uint8))
    data = Dataset(noise, "0" * 64, "noise")
    run = Run(shutil.copytree(trained.path, tmp_path_factory.mktemp("measured") / "run"))
    evaluate(run, data, EVALUATION, progress=False)
    measure_scores(run, EVALUATION, progress=False)
    measure_snapshots(run, data, EVALUATION, progress=False)
    return run, data


MEASURED = {
    "evaluation.json": lambda run, data: evaluate(run, data, EVALUATION, progress=False),
    "scores.json": lambda run, data: measure_scores(run, EVALUATION, progress=False),
    "snapshots.json": lambda run, data: measured_rows(run, EVALUATION),
    "snapshots.csv": lambda run, data: measured_rows(run, EVALUATION),
    "posterior.h5": lambda run, data: read_posterior(run),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", MEASURED)
def test_damaged_measurements_are_refused(name, damage, measured, tmp_path):
    run, data = Run(shutil.copytree(measured[0].path, tmp_path / "run")), measured[1]
    MEASURED[name](run, data)
    path = run.path / name
    content = path.read_bytes()
    path.write_bytes(content.replace(b"1", b"2") if damage == "altered" else DAMAGES[damage](content))
    if name == "snapshots.csv" and damage == "truncated":
        path.write_bytes(content[: content.index(b"\n") - 3])  # in the middle of the header
    with pytest.raises(Refusal, match=rf"^{path} cannot be read \(.+\); (restore it, or delete it|delete evaluation)"):
        MEASURED[name](run, data)


def test_a_json_file_of_another_kind_is_no_evaluation(measured, tmp_path):
    run, data = Run(shutil.copytree(measured[0].path, tmp_path / "run")), measured[1]
    for name in ("evaluation.json", "scores.json"):
        content = read_json(run.path / name)
        write_json(run.path / name, {"config": content["config"], "x": 1})
        with pytest.raises(Refusal, match=rf"{name} cannot be read \(it lacks images\)"):
            MEASURED[name](run, data)
        write_json(run.path / name, content)


def unfinished(tiny_config, few_images, folder) -> tuple:
    config, run = tiny_config(steps=40), Run(folder / "run")
    train_together([config], [run], few_images, progress=False, time_limit=0)
    return config, run


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_refused(damage, tiny_config, few_images, tmp_path):
    config, run = unfinished(tiny_config, few_images, tmp_path)
    run.checkpoint.write_bytes(DAMAGES[damage](run.checkpoint.read_bytes()))
    sentence = rf"^{run.checkpoint} cannot be read \(.+\); delete it, and the run trains again from its first step\.$"
    with pytest.raises(Refusal, match=sentence):
        train(config, run, few_images, progress=False)
    run.checkpoint.unlink()
    assert train(config, run, few_images, progress=False).complete


def test_a_checkpoint_continues_no_other_settings_or_data(tiny_config, few_images, tmp_path):
    config, run = unfinished(tiny_config, few_images, tmp_path)
    other = Dataset(few_images.packed, "1" * 64, "rendered")
    with pytest.raises(Refusal, match=r"checkpoint\.pt cannot be read \(it belongs to other settings or other data\)"):
        train(config, run, other, progress=False)
    state = run.load_checkpoint()
    state["engine"]["model"].pop("to_posterior.bias")
    run.save_checkpoint(state)
    with pytest.raises(Refusal, match=r"checkpoint\.pt cannot be read \(Error\(s\) in loading state_dict.*; delete it"):
        train(config, run, few_images, progress=False)


class Code:
    """Makes a folder when it is unpickled."""

    def __init__(self, path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_no_file_can_bring_code(run, tmp_path):
    harm = tmp_path / "harm"
    run.save_checkpoint({"engine": Code(harm)})
    with pytest.raises(Refusal, match=r"checkpoint\.pt cannot be read \(Weights only load failed"):
        run.load_checkpoint()
    record = read_json(run.path / "run.json")
    write_json(run.path / "run.json", {name: record[name] for name in ("provenance", "summary")})
    for name in ("weights.safetensors", "trace.h5", "config.json"):
        (run.path / name).write_bytes(pickle.dumps(Code(harm)))
        with pytest.raises(Refusal, match=rf"{name} cannot be read"):
            READERS[name](run)
    assert not harm.exists()


def test_lib_loads_with_nothing_that_executes():
    """No pickle, no eval, no numpy.load; torch.load with weights_only=True alone."""
    for path in (ROOT / "lib").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
                assert not names & {"pickle", "cloudpickle", "joblib", "marshal", "shelve"}, path
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in ("eval", "exec", "np.load", "numpy.load", "pd.read_pickle"), f"{path}: {called}"
                if called == "torch.load":
                    assert any(word.arg == "weights_only" and word.value.value is True for word in node.keywords), path


def test_a_trace_of_another_form_is_refused(run):
    record = read_json(run.path / "run.json")
    write_json(run.path / "run.json", {name: record[name] for name in ("provenance", "summary")})
    path = run.path / "trace.h5"
    for columns in ({"kl": [1.0]}, {"step": [1, 2], "kl": [1.0]}, {"step": [1], "kl": ["a"]}, None):
        with h5py.File(path, "w") as file:
            for name, values in (columns or {}).items():
                file[f"columns/{name}"] = values
        with pytest.raises(Refusal, match=r"trace\.h5 cannot be read"):
            run.trace()


def test_the_trace_that_a_run_should_have_is_named_where_it_is_missing(run):
    (run.path / "trace.h5").unlink()
    with pytest.raises(Refusal, match=r"trace\.h5 is missing"):
        run.trace()


def test_a_run_in_training_is_refused_to_another(tiny_config, few_images, tmp_path):
    config, run = tiny_config(steps=8), Run(tmp_path / "run")
    run.claim(config)
    with only_one(run.path / ".lock"), pytest.raises(Refusal, match=rf"/run is in use by process {os.getpid()}; wait"):
        train(config, run, few_images, progress=False)
    assert not run.complete
    assert train(config, run, few_images, progress=False).complete
    assert not (run.path / ".lock").exists()
