"""DCI, SAP and the FactorVAE score of a run directory: a made-up perfect posterior, and what is repeated when."""

import json

import h5py
import pytest
import torch

from lib.disentanglement import sap_score
from lib.evaluation.scores import measure_scores
from lib.files import read_json, write_json
from lib.locks import only_one
from lib.refusal import Refusal
from lib.runs.profiles import load_profile
from lib.runs.run import Run

SIZES = (3, 4, 5)


def settings(**changes):
    return load_profile("smoke").evaluation_config(**({"dci_samples": 400} | changes))


@pytest.fixture
def perfect() -> torch.Tensor:
    """[60, 4]: latents 2, 0 and 3 hold one factor each, latent 1 none."""
    values = torch.cartesian_prod(*(torch.arange(float(size)) for size in SIZES))
    mean = torch.zeros(len(values), 4)
    mean[:, [2, 0, 3]] = (values - values.mean(0)) / values.std(0)
    return mean


@pytest.fixture
def run(perfect, tmp_path) -> Run:
    """A run directory with the files that the scores read."""
    run = Run(tmp_path / "linear-seed1")
    run.claim(load_profile("smoke").training_config("linear", 1))
    with h5py.File(run.path / "posterior.h5", "w") as file:
        file.attrs["factor_sizes"] = SIZES
        file["mean"], file["logvar"] = perfect.numpy(), torch.full_like(perfect, -8).numpy()
    names = ("position_stride", "monte_carlo_samples", "decomposition_samples", "evaluation_seed", "evaluation_batch")
    (run.path / "evaluation.json").write_text(json.dumps({"config": settings().only(names)}))
    return run


def test_a_perfect_code_has_perfect_scores(run, perfect):
    scores = measure_scores(run, settings(), progress=False)
    assert scores["dci"]["disentanglement"] == pytest.approx(1, abs=1e-3)
    assert scores["dci"]["completeness"] == pytest.approx(1, abs=1e-3)
    assert scores["dci"]["informativeness_test"] == 1
    assert torch.tensor(scores["dci"]["importance"]).argmax(1).tolist() == [2, 0, 3]
    assert scores["factor_vae"] == 1
    assert scores["sap"] == sap_score(perfect, SIZES, torch.Generator().manual_seed(0)) > 0.2
    assert scores["images"] == 60
    assert read_json(run.path / "scores.json") == scores


def test_scores_are_read_unless_what_they_depend_on_changed(run, monkeypatch):
    first = measure_scores(run, settings(), progress=False)
    drawn = []
    monkeypatch.setattr("lib.evaluation.scores.sap_score", lambda *arguments: drawn.append(1) or 0.5)
    unrelated = settings(monte_carlo_samples=99, snapshots_measured=1, snapshot_position_stride=1)
    assert measure_scores(run, unrelated, progress=False) == first
    assert not drawn
    changed = measure_scores(run, settings(dci_samples=300), progress=False)
    assert drawn == [1]
    assert changed["config"]["dci_samples"] == 300
    assert changed["factor_vae"] == first["factor_vae"]  # draws of its own


def test_dci_is_tested_on_half_as_many_images(run, monkeypatch):
    from lib.evaluation import scores

    asked, dci = [], scores.dci
    monkeypatch.setattr(scores, "dci", lambda *arguments: asked.append(arguments[3:5]) or dci(*arguments))
    measure_scores(run, settings(dci_samples=201), progress=False)
    assert asked == [(201, 100)]


def test_a_run_that_was_not_evaluated_or_otherwise_is_refused(run):
    with pytest.raises(ValueError, match="was not evaluated with these settings; evaluate it first"):
        measure_scores(run, settings(position_stride=1), progress=False)
    (run.path / "evaluation.json").unlink()
    with pytest.raises(ValueError, match="was not evaluated with these settings; evaluate it first"):
        measure_scores(run, settings(), progress=False)
    assert not (run.path / "scores.json").exists()


def test_measures_of_other_weights_and_of_two_processes_at_once_are_refused(run):
    record = {"provenance": {}, "summary": {}, "files": {"weights.safetensors": "1" * 64}}
    (run.path / "run.json").write_text(json.dumps(record))
    in_use = "is in use by process .*; wait until that has ended"
    with only_one(run.path / ".lock"), pytest.raises(Refusal, match=in_use):
        measure_scores(run, settings(), progress=False)
    scored = measure_scores(run, settings(), progress=False)
    assert scored["weights_sha256"] == "1" * 64
    record["files"]["weights.safetensors"] = "2" * 64
    (run.path / "run.json").write_text(json.dumps(record))
    sentence = (
        r"scores\.json cannot be read \(it was measured on the weights of another run\); remove it, and the run is"
    )
    with pytest.raises(Refusal, match=sentence):
        measure_scores(run, settings(), progress=False)
    write_json(run.path / "scores.json", {name: [] for name in ("config", "images", "dci", "sap", "factor_vae")})
    with pytest.raises(Refusal, match="its config is no mapping"):
        measure_scores(run, settings(), progress=False)
