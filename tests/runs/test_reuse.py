"""A run that another profile has complete is taken over: whole, verified, without a trace in where it came from."""

import shutil

import pytest

from lib.__main__ import plan, train_profile
from lib.files import write_json
from lib.locks import only_one
from lib.runs.profiles import load_profile
from lib.runs.reuse import MEASURES, take_over
from lib.runs.run import Run
from lib.training.train import train

SETTINGS = {"steps": 20, "batch_size": 8, "snapshots": 2, "position_stride": 16, "snapshot_position_stride": 16}


@pytest.fixture(scope="module")
def trained(few_images, tmp_path_factory):
    """A configuration, and its complete run with invented measures."""
    config = load_profile("smoke").training_config("adaptive", 1, steps=20, batch_size=8, snapshots=2, device="cpu")
    folder = tmp_path_factory.mktemp("runs")
    run = train(config, Run(folder / "first" / "adaptive-seed1-steps=20"), few_images, progress=False)
    for name in MEASURES:
        (run.path / name).write_bytes(name.encode())
    return config, run


@pytest.fixture
def there(trained, tmp_path):
    """A copy of the run, for one test to spoil, and the place of one of another profile beside it."""
    config, run = trained
    source = Run(shutil.copytree(run.path, tmp_path / "first" / run.name))
    return config, source, Run(tmp_path / "second" / "adaptive-seed1")


def contents(run: Run) -> dict[str, bytes]:
    return {str(path.relative_to(run.path)): path.read_bytes() for path in run.path.rglob("*") if path.is_file()}


def test_the_run_is_copied_with_its_measures_and_the_other_is_left_as_it_is(there, few_images, capsys):
    config, source, run = there
    before = states(source)
    take_over(config, run, few_images.sha256)
    assert capsys.readouterr().out == (
        "adaptive-seed1 is a copy of first/adaptive-seed1-steps=20, which was trained with the same settings.\n"
    )
    assert contents(run) == contents(source)
    assert set(contents(run)) >= {"run.json", "trace.h5", "snapshots/step_0000020.safetensors", *MEASURES}
    assert states(source) == before
    run.load_model()
    take_over(config, run, few_images.sha256)  # complete: nothing more to do
    assert capsys.readouterr().out == ""


def states(run: Run) -> dict:
    """What shows that a file or folder was written to, or linked."""
    stats = {path: path.stat() for path in run.path.rglob("*")}
    return {path: (stat.st_ino, stat.st_nlink, stat.st_mtime_ns, stat.st_ctime_ns) for path, stat in stats.items()}


@pytest.mark.parametrize("other", ["settings", "data", "unfinished", "damaged", "lost", "unreadable"])
def test_no_other_run_is_taken(other, there, few_images):
    config, source, run = there
    sha256 = "1" * 64 if other == "data" else few_images.sha256
    if other == "settings":
        config = load_profile("smoke").training_config("adaptive", 2, steps=20, batch_size=8, snapshots=2, device="cpu")
    elif other == "unfinished":
        (source.path / "run.json").unlink()
    elif other == "damaged":
        (source.path / "trace.h5").write_bytes(b"something else")
    elif other == "lost":
        (source.path / "weights.safetensors").unlink()
    elif other == "unreadable":
        (source.path / "config.json").write_text("{")
    take_over(config, run, sha256)
    assert not run.path.exists()


def test_a_run_with_a_checkpoint_is_continued_and_an_interrupted_copy_repeated(there, few_images):
    config, source, run = there
    run.claim(config)
    run.checkpoint.write_bytes(b"state")
    take_over(config, run, few_images.sha256)
    assert not run.complete
    run.checkpoint.unlink()
    write_json(run.failure, {"error": "diverged"})
    (run.path / "weights.safetensors").write_bytes(b"an interrupted copy's")
    take_over(config, run, few_images.sha256)
    assert contents(run) == contents(source)


def test_what_is_in_use_or_another_runs_is_not_touched(there, few_images):
    config, _, run = there
    with only_one(run.path / ".lock"), pytest.raises(ValueError, match="is in use by process"):
        take_over(config, run, few_images.sha256)
    assert not run.complete
    write_json(run.path / "config.json", config.as_mapping() | {"seed": 3})
    with pytest.raises(ValueError, match="holds a run with seed 3 instead of 1"):
        take_over(config, run, few_images.sha256)
    assert [path.name for path in run.path.iterdir()] == ["config.json"]


def test_a_profile_takes_its_runs_from_another_and_measures_what_it_measures_otherwise(
    twin, few_images, tmp_path, monkeypatch, capsys
):
    """By the command: laptop's run under another name, as its settings depart from its profile's."""
    monkeypatch.setattr("lib.runs.profiles.RESULTS", tmp_path)
    monkeypatch.setattr("lib.__main__.dataset.ensure", lambda source: None)
    monkeypatch.setattr("lib.__main__.dataset.load", lambda path: few_images)
    measured = []
    monkeypatch.setattr("lib.__main__.evaluate", lambda run, data, config: measured.append(run) or {
        "reconstruction": 0.0, "kl": 0.0, "mig_four": {"quadrature": 0.0}})  # fmt: skip
    monkeypatch.setattr("lib.__main__.measure_snapshots", lambda run, data, config: None)
    first = plan("laptop", ["linear"], [1], SETTINGS)
    second = plan(twin.name, ["linear"], [1], SETTINGS)
    assert train_profile(*first, minutes=1) == []
    monkeypatch.setattr("lib.training.train.Training", None)  # training again would fail
    assert train_profile(*second, minutes=1) == []
    assert measured == [*first[1], *second[1]]  # whether again, its record decides
    assert "is a copy of laptop/" in capsys.readouterr().out
    assert contents(second[1][0]) == contents(first[1][0])
