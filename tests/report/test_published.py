"""Published results are read where they lie: analysed, written about and explored without a run or an image."""

import re
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from lib.data.dataset import Dataset
from lib.evaluation.evaluate import evaluate
from lib.evaluation.snapshots import measure_snapshots
from lib.files import ROOT, read_json, write_json
from lib.refusal import Refusal
from lib.report.analysis import analyse, trained_runs
from lib.report.findings.claims import claims, claims_table
from lib.report.findings.encoding import encoding_table
from lib.report.findings.wording import fill
from lib.report.notebooks import paper_tables
from lib.report.notebooks.paper import Paper, write_paper
from lib.report.publishing.publish import _publish_run, publish, published_trace
from lib.report.publishing.readme import _answer, readme_results
from lib.runs.profiles import load_profile, published_profiles
from lib.runs.run import Run
from lib.runs.trace_file import write_trace
from lib.training.train import train

NOTEBOOK = ROOT / "notebooks" / "04_analysis.py"
NAMES = [profile.name for profile in published_profiles()]


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A fresh clone's results: published ones alone."""
    (tmp_path / "published").symlink_to(ROOT / "results" / "published")
    monkeypatch.setattr("lib.runs.profiles.RESULTS", tmp_path)
    return tmp_path


def data_of(profile) -> Dataset:
    """Stands in for the data set that the published runs were trained on; holds no image."""
    sha256 = read_json(profile.published / "dataset.json")["sha256"]
    return Dataset(torch.empty(0, 512, dtype=torch.uint8), sha256, "rendered")


@pytest.mark.parametrize("name", NAMES)
def test_published_results_are_analysed_as_they_are(name, results):
    profile = load_profile(name)
    a = analyse(profile, data_of(profile))
    assert a.published and len(a.runs) == len(profile.arms) * len(profile.seeds)
    published = pd.read_csv(profile.published / "table.csv", index_col="run")
    both = [column for column in published if column in a.table]
    pd.testing.assert_frame_equal(a.table[both], published[both], check_dtype=False)
    paper = write_paper(a)
    assert read_json(results / "runs" / name / "findings.json").items() <= paper.values.items()
    assert sorted(path.name for path in (results / "runs" / name).iterdir()) == ["findings.json", "table.csv"]
    assert all(len(frames) == len(profile.seeds) for frames in a.by_arm(a.traces).values())
    assert set(a.done["arm"]) == {arm for arm in profile.arms if arm in ("adaptive", "adaptive_hold", "random_hold")}
    assert a.done["advanced"].min() > 0.1 and a.done["advanced"].max() < 0.7
    for table in (
        paper_tables.headline(a.table, a.snapshots, profile.training["steps"]), paper_tables.settings(profile),
        paper_tables.controller(a.table, a.done), paper_tables.at_like_kl(a.like_kl), paper_tables.contrasts(a.table),
        paper_tables.estimators(a.table), paper_tables.measures(a.table),
        paper_tables.split(a.table, a.snapshots), paper_tables.gaps(a.gaps, a.table["arm"]),
        encoding_table(a.measured, a.table), claims_table(claims(a)),
    ):  # fmt: skip
        assert len(table) and not table.astype(str).isin(["nan", "inf", "None"]).any().any()
    long = {
        caption[:20]: len(words)
        for caption in re.findall(r'"""(\*\*(?:Figure|Table) \d+.*?)"""', NOTEBOOK.read_text(), re.DOTALL)
        if len(words := fill(caption, paper.values).split()) > 60
    }
    assert not long


def test_a_table_of_the_paper_shows_its_sentences_whole(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr("lib.report.notebooks.paper.display", lambda what: shown.append(what._repr_html_()))
    monkeypatch.setattr(Paper, "text", lambda self, caption: None)
    sentence = "a sentence " * 20 + "to its end"
    Paper({}, tmp_path).table(pd.DataFrame({"why": [sentence]}), "")
    assert sentence in shown[0]


def test_only_what_is_said_is_listed(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr("lib.report.notebooks.paper.display", shown.append)
    paper = Paper({"a": "One.", "b": "", "c": "Three."}, tmp_path)
    paper.points({"a": "First", "b": "Second", "c": "Third"})
    paper.points({"b": "Second"})
    assert [text.data for text in shown] == ["- **First.** One.\n- **Third.** Three."]


def test_a_run_begun_here_comes_before_published_ones(results):
    longest = load_profile(NAMES[0])
    assert longest.only_published and {run.path.parent for run in longest.runs_to_read()} == {longest.published}
    longest.runs()[0].path.mkdir(parents=True)
    assert not longest.only_published and longest.runs_to_read() == longest.runs()
    with pytest.raises(ValueError, match="not trained and evaluated yet") as refusal:
        trained_runs(longest)
    assert str(refusal.value).endswith(f"read a published profile: {', '.join(NAMES)}.")


def test_published_results_of_other_data_are_refused_and_published_again_only_when_rendered(results):
    profile = load_profile(NAMES[0])
    with pytest.raises(ValueError, match="was trained on other data"):
        analyse(profile, Dataset(torch.empty(0, 512, dtype=torch.uint8), "0" * 64, "rendered"))
    with pytest.raises(ValueError, match=rf"report\.html is missing; run make render PROFILE={NAMES[0]} first"):
        publish(profile)


def test_a_published_trace_is_thinner_and_its_advances_are_whole(tiny_config, tmp_path):
    run, copy = Run(tmp_path / "run"), Run(tmp_path / "copy")
    steps = np.arange(1, 2501)
    trace = pd.DataFrame({"step": steps, "kl": steps / 7, "kl_mean": steps / 7, "frozen": steps % 2 == 0})
    trace = trace.assign(kl_0=0.0, kl_0_mean=steps / 7, integral=0.0, integral_mean=0.0)
    advanced = np.random.default_rng(0).random(2500) < 0.4
    write_trace(run.path / "trace.h5", trace, advanced, {})
    run.claim(tiny_config("adaptive", trace_every=1))
    for name in ("run", "evaluation", "scores", "snapshots"):
        write_json(run.path / f"{name}.json", {"provenance": {}, "summary": {}})
    (run.path / "snapshots.csv").write_text("step\n")
    _publish_run(run, copy.path, weights=False)
    assert copy.advanced().tolist() == advanced.tolist()
    thin = copy.trace()
    assert thin["step"].tolist() == steps[1::2].tolist()
    assert thin["kl_mean"].tolist() == pytest.approx((steps[1::2] - 0.5) / 7, rel=1e-5)
    assert thin["kl_0_mean"].tolist() == pytest.approx(thin["kl_mean"].tolist(), abs=5e-4) and "kl_0" not in thin
    assert thin["kl_0_mean"].tolist() == thin["kl_0_mean"].round(3).tolist() and thin["integral"].isna().all()
    assert thin["frozen"].all() and thin["beta"].isna().all()
    (copy.path / "advanced.h5").unlink()
    assert copy.advanced() is None
    for trace_every, rows in ((1, 1_250), (30, 1_250), (60, 2_500), (100, 2_500), (200, 2_500)):
        assert len(published_trace(trace, trace_every)) == rows
    assert len(published_trace(pd.concat([trace] * 6, ignore_index=True), 40)) == 7_500  # rows of 80 steps, not 600


def test_a_copy_of_a_published_run_is_shown_and_not_measured_anew(tmp_path):
    profile = load_profile("seeds")
    images, settings = data_of(profile), profile.evaluation_config()
    run = Run(tmp_path / "linear-seed2")
    shutil.copytree(profile.published / run.name, run.path)
    before = {path.name: path.stat().st_mtime_ns for path in run.path.iterdir()}
    assert train(run.config(), run, images) == run and len(run.trace()) <= 1000
    assert evaluate(run, images, settings) == read_json(run.path / "evaluation.json")
    pd.testing.assert_frame_equal(measure_snapshots(run, images, settings), pd.read_csv(run.path / "snapshots.csv"))
    with pytest.raises(Refusal, match="is a published run, measured with other settings"):
        measure_snapshots(run, images, replace(settings, snapshot_position_stride=4))
    assert {path.name: path.stat().st_mtime_ns for path in run.path.iterdir()} == before


def test_the_readme_takes_the_published_findings(tmp_path, monkeypatch):
    monkeypatch.setattr("lib.runs.profiles.RESULTS", tmp_path)
    profile = load_profile("smoke")
    found = {"asked": "A?", "differences": "One.", "controls": "Two.", "brackets": "Three.", "untested": "Four."}
    write_json(profile.published / "findings.json", found)
    five = ["- A?", "- One.", "- Two.", "- Three.", "- Four."]
    tables = {"smoke": pd.DataFrame({"arm": ["linear", "adaptive"], "steps": 200})}
    assert _answer(profile, tables, 1_500) == five
    pair = {
        "arm": ["linear", "adaptive"],
        "seed": 1,
        "steps": 1_500,
        "mig_four": [0.5, 0.4],
        "reconstruction": [18, 25],
    }
    asked, own, *others, untested = _answer(profile, {"paper": pd.DataFrame(pair)} | tables, 1_500)
    assert [asked, *others] == five[:-1]
    assert own == (
        "- At the report's own size (1,500 steps; 1 seed per arm), adaptive − linear: MIG −0.100 and reconstruction "
        "loss +7.0 nats; the report has −0.0006 and +18.9 nats. One seed per arm cannot tell effect from chance. The "
        "next three sentences are of the reduced runs of `smoke`."
    )
    assert "the report's own size over several seeds; those of `smoke` are **reduced runs** of 200 steps" in untested
    assert _answer(profile, {"smoke": pd.DataFrame(pair)}, 1_500) == five


def test_the_readme_has_runs_of_the_reports_own_size_first(tmp_path, monkeypatch):
    monkeypatch.setattr("lib.runs.profiles.RESULTS", tmp_path)
    monkeypatch.setattr("lib.report.publishing.readme.ROOT", tmp_path)
    profiles = [load_profile(name) for name in ("paper", "hour", "seeds")]
    for profile, seconds in zip(profiles, (150_000, 4_000, 700), strict=True):
        rows = [(arm, seed) for arm in ("linear", "adaptive") for seed in profile.seeds]
        table = pd.DataFrame(rows, columns=["arm", "seed"]).assign(
            steps=profile.training["steps"], mig_four=0.5, reconstruction=20.0, images=737_280, precision="bfloat16",
            processor="a machine", training_seconds=seconds, reconstruction_last_percent=20.0,
        )  # fmt: skip
        profile.published.mkdir(parents=True)
        table.index = pd.Index(table["arm"] + "-seed" + table["seed"].astype(str), name="run")
        table.to_csv(profile.published / "table.csv")
    lines = readme_results(profiles).splitlines()
    rows = [re.search(r"\(`(\w+)`\)", line)[1] for line in lines if line.startswith("| ") and "`" in line]
    assert rows == ["paper"] * 2 + ["seeds"] * 2 + ["hour"] * 2
    assert sum(line.startswith("- ") for line in lines) == 6 and lines[1].startswith("- At the report's own size")
    (conditions,) = [line for line in lines if line.startswith("Mean ± ")]
    assert "over seeds, those of fewer than 1,500,000 steps **reduced runs**; nats" in conditions
    assert conditions.endswith("on a machine, 12 minutes to 42 hours a run.")
    assert "a machine, 42 to 42 hours a run" in readme_results(profiles[:1])
    reduced = readme_results(profiles[1:])
    assert "all **reduced runs** but the report's" in reduced and "12 to 67 minutes" in reduced
    with pytest.raises(Refusal, match=r"^Nothing is published; run make publish"):
        readme_results([])


@pytest.mark.parametrize("name", ["dataset.json", "linear-seed1/trace.csv.gz", "adaptive-seed1/snapshots.csv"])
def test_an_altered_published_file_is_refused_before_it_is_read(name, tmp_path, monkeypatch):
    folder = tmp_path / "published" / NAMES[0]
    shutil.copytree(load_profile(NAMES[0]).published, folder)
    monkeypatch.setattr("lib.runs.profiles.RESULTS", tmp_path)
    profile = load_profile(NAMES[0])
    assert trained_runs(profile)
    (folder / name).write_bytes((folder / name).read_bytes() + b" ")
    with pytest.raises(Refusal, match=rf"{name} is not what was published .*; restore it\.$"):
        trained_runs(profile)
