"""The notebooks as papermill users meet them: pairing, parameters, refusals, and the whole report end to end."""

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jupytext
import nbformat
import pandas as pd
import papermill
import pytest

from lib.benchmarks import floor
from lib.benchmarks import training as benchmark
from lib.files import ROOT, read_json, write_json
from lib.refusal import Refusal
from lib.report.analysis import dataset_entropy
from lib.report.effects import number
from lib.report.notebooks.shared import EVALUATION, TRAINING
from lib.report.publishing import verify
from lib.report.publishing.publish import publish
from lib.runs.profiles import load_profile
from lib.runs.run import Run

SOURCES = sorted((ROOT / "notebooks").glob("*.py"))


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_notebook_follows_its_source_and_carries_no_output(source):
    paired = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    expected = jupytext.read(source)
    assert [(cell.cell_type, cell.source, cell.metadata.get("tags")) for cell in paired.cells] == [
        (cell.cell_type, cell.source, cell.metadata.get("tags")) for cell in expected.cells
    ], "run make notebooks"
    code = [cell for cell in paired.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    assert code[0].metadata.tags == ["parameters"]
    assert paired.metadata.kernelspec.name == "python3"


def test_there_is_no_notebook_without_a_source():
    assert {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")} == {path.stem for path in SOURCES}


@pytest.mark.parametrize("name", ["02_linear_training", "03_adaptive_training", "05_other_arms"])
def test_training_notebooks_offer_every_setting_with_its_meaning(name):
    found = papermill.inspect_notebook(str(ROOT / "notebooks" / f"{name}.ipynb"))
    assert set(found) == {"profile", *TRAINING, *EVALUATION} | ({"published"} if name == "05_other_arms" else set())
    for parameter in found.values():
        assert parameter["help"], parameter
        assert parameter["inferred_type_name"] in ("int", "float", "str", "bool")


@pytest.mark.parametrize(
    ("notebook", "parameters", "sentence"),
    [
        ("03_adaptive_training", {"sede": 2}, "There is no parameter 'sede'"),
        ("03_adaptive_training", {"steps": "many"}, "steps is 'many'; give an integer."),
        (
            "02_linear_training",
            {"arm": "adaptive"},
            "arm is 'adaptive'; this notebook trains linear or linear_full or slow_then_hold.",
        ),
        ("05_other_arms", {"arm": "linear"}, "arm is 'linear'; this notebook trains matched_curve or vae or"),
        ("01_dataset", {"profile": "desktop"}, "profile is 'desktop'; choose one of"),
        ("04_analysis", {"profil": "smoke"}, "There is no parameter 'profil'"),
        ("06_benchmark", {"measure": "yes"}, "measure is 'yes'; give True or False."),
        ("07_explore", {"profile": "desktop"}, "profile is 'desktop'; choose one of"),
    ],
)
def test_papermill_stops_before_any_work(notebook, parameters, sentence, tmp_path):
    with pytest.raises(papermill.PapermillExecutionError) as stop:
        papermill.execute_notebook(
            str(ROOT / "notebooks" / f"{notebook}.ipynb"), str(tmp_path / "out.ipynb"), parameters, progress_bar=False
        )
    assert sentence in stop.value.evalue
    assert stop.value.exec_count <= 4


def test_the_analysis_asks_for_a_data_set_that_was_described(tmp_path, monkeypatch):
    monkeypatch.setattr("lib.runs.profiles.RESULTS", tmp_path)
    smoke = load_profile("smoke")
    with pytest.raises(ValueError, match="run notebook 01, or make report PROFILE=smoke"):
        dataset_entropy(smoke)
    write_json(smoke.directory / "dataset.json", {"entropy_nats": 1.5})
    assert dataset_entropy(smoke) == 1.5


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A copy of the repository's files, so that results of earlier runs cannot stand in for this one's."""
    copy = tmp_path_factory.mktemp("checkout") / "repository"
    results = ROOT / "results"
    shutil.copytree(
        ROOT, copy, ignore=lambda folder, names: [
            name for name in names
            if name in (".git", ".venv", ".snakemake", ".ruff_cache", ".pytest_cache", ".hypothesis", "__pycache__")
            or (Path(folder) == results and name in ("runs", "data", "published"))
        ],
    )  # fmt: skip
    return copy


def in_checkout(checkout: Path, *command: str, folder: str = ".") -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=checkout / folder, env=environment, capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def smoke(checkout) -> Path:
    """The smoke profile's results, made from nothing by the workflow."""
    done = in_checkout(checkout, "snakemake", "--cores", "2", "--config", "profile=smoke")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    printed = done.stderr + done.stdout
    for arm in ("linear", "adaptive"):
        assert f"Training and measuring: {arm}, seed 1." in printed
        assert 2 <= len(re.findall(rf"^{arm}-seed1: \d+%, .*step/s", printed, re.MULTILINE)) <= 20
    return checkout / "results" / "runs" / "smoke"


def test_the_workflow_makes_report_figures_and_table(smoke):
    table = pd.read_csv(smoke / "table.csv")
    assert table["arm"].tolist() == ["linear", "adaptive"]
    for name in (
        "traces",
        "reconstructions",
        "traversals",
        "pressure",
        "tradeoff",
        "scores",
        "information",
        "information_over_training",
        "factors",
        "pixel_density",
    ):
        assert (smoke / "figures" / f"{name}.png").stat().st_size > 5_000
    assert 10_000 < (smoke / "figures" / "traversal.gif").stat().st_size < 1_000_000
    page = (smoke / "report.html").read_text()
    assert 'class="explorer"' in page
    for heading in ("Introduction", "Hypothesis", "Experiments", "Discussion", "References", "Appendix C"):
        assert heading in page
    measured = read_json(smoke / "linear-seed1" / "evaluation.json")
    assert f"{measured['mig_four']['quadrature']:.3f}" in page
    assert "reduced run" in page
    for sentence in ("Does C follow the information?", "Asked: do the factors separate better"):
        assert sentence in page
    assert table["sap"].tolist() == [read_json(smoke / f"{arm}-seed1" / "scores.json")["sap"] for arm in table["arm"]]
    for arm, count in (("linear", 3), ("adaptive", 2)):  # the linear rule arrives before the end, one snapshot more
        assert len(pd.read_csv(smoke / f"{arm}-seed1" / "snapshots.csv")) == count


def test_figures_and_tables_of_the_analysis_count_from_one(smoke):
    cells = nbformat.read(smoke / "notebooks" / "04_analysis.ipynb", as_version=4).cells
    shown = "\n".join(
        output.data.get("text/markdown", "")
        for cell in cells if cell.cell_type == "code"
        for output in cell.outputs if output.output_type == "display_data"
    )  # fmt: skip
    for kind in ("Figure", "Table"):
        numbers = [int(number) for number in re.findall(rf"\*\*{kind} (\d+)\.\*\*", shown)]
        assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) >= 7


def test_several_seeds_and_the_controls_are_analysed_as_arms(checkout, smoke):
    """Copies of the two runs stand in for other arms and seeds, so that every effect is known."""
    text = (checkout / "profiles.toml").read_text()
    arms = {"linear": "linear", "linear_full": "linear", "adaptive": "adaptive", "adaptive_hold": "adaptive"}
    section = f'[copies]\nlike = "smoke"\narms = {list(arms)}\nseeds = [1, 2]\nalso = []\n'
    (checkout / "profiles.toml").write_text(f"{text}\n{section}")
    copies = smoke.with_name("copies")
    for arm, original in arms.items():
        for seed in (1, 2):
            run = copies / f"{arm}-seed{seed}"
            shutil.copytree(smoke / f"{original}-seed1", run)
            config = read_json(run / "config.json") | {"arm": arm, "seed": seed}
            write_json(run / "config.json", config)
            record = read_json(run / "run.json")
            write_json(run / "run.json", {name: record[name] for name in ("provenance", "summary")})  # without hashes
    shutil.copy(smoke / "dataset.json", copies)
    done = in_checkout(
        checkout,
        "papermill",
        "--no-progress-bar",
        "notebooks/04_analysis.ipynb",
        "copies.ipynb",
        "-p",
        "profile",
        "copies",
    )
    (checkout / "profiles.toml").write_text(text)
    assert done.returncode == 0, done.stderr[-3000:]
    shown = text_of(checkout / "copies.ipynb")
    table = pd.read_csv(copies / "table.csv").groupby("arm")["mig_four"].mean()
    difference = number("+.3f")(table["adaptive"] - table["linear"])
    assert f"Found, adaptive − linear: MIG {difference} [{difference}, {difference}]" in shown
    assert f"MIG, exploratory: {difference} [" in shown  # both late: the control is a copy of the linear run
    assert "by the means at least half of the difference in MIG stays" in shown
    assert "tables show means ± standard deviations" in shown
    assert "Table 12." in shown and "trains no other methods" in shown


def test_both_arms_ran_from_the_same_data_and_code(smoke):
    origins = [read_json(smoke / f"{arm}-seed1" / "run.json")["provenance"] for arm in ("linear", "adaptive")]
    for name in ("data_sha256", "versions", "hardware"):
        assert origins[0][name] == origins[1][name]


def no_space(*_) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_report_is_published_with_notebook_and_pdf_and_follows(smoke, tmp_path, monkeypatch, capsys):
    (tmp_path / "runs").symlink_to(smoke.parent)
    monkeypatch.setattr("lib.runs.profiles.RESULTS", tmp_path)
    profile = load_profile("smoke")
    folder = publish(profile)
    names = {path.name for path in folder.iterdir()}
    assert {"report.html", "report.ipynb", "table.csv", "findings.json", "hashes.json"} <= names
    assert ("report.pdf" in names) == (capsys.readouterr().err == "")
    assert list(verify.check(profile)) == []
    kept = {path: path.read_bytes() for path in folder.glob("*-seed1/*")}
    with monkeypatch.context() as patch:  # as if nothing had been trained here: what is rendered is published again
        patch.setattr("lib.runs.profiles.Profile.only_published", True)
        assert publish(profile) == folder and list(verify.check(profile)) == []
    assert kept and {path: path.read_bytes() for path in folder.glob("*-seed1/*")} == kept
    with monkeypatch.context() as patch, pytest.raises(ValueError, match="more than one state of the code; run make"):
        patch.setattr("lib.report.publishing.publish.states_of_code", lambda paths: {path.name for path in paths})
        publish(profile)
    with monkeypatch.context() as patch, pytest.raises(Refusal, match=r"smoke could not be written \(No space left"):
        patch.setattr("lib.report.publishing.publish.shutil.copy2", no_space)
        publish(profile)
    monkeypatch.setattr("lib.report.publishing.publish.LIMIT", 1e6)
    with pytest.raises(ValueError, match="would hold"):
        publish(profile)
    assert [path.name for path in folder.parent.iterdir()] == ["smoke"]
    assert names == {path.name for path in folder.iterdir()}


def test_run_again_the_workflow_has_nothing_to_do(checkout, smoke):
    done = in_checkout(checkout, "snakemake", "--cores", "2", "--config", "profile=smoke")
    assert "Nothing to be done" in done.stdout + done.stderr


def test_a_deleted_run_is_missed_and_a_changed_profile_refused(checkout, smoke):
    evaluation = smoke / "linear-seed1" / "evaluation.json"
    kept = evaluation.rename(evaluation.with_suffix(".kept"))
    command = ("snakemake", "--dry-run", "--cores", "2", "--forcerun", "analysis", "--config", "profile=smoke")
    planned = in_checkout(checkout, *command)  # as in make render
    kept.rename(evaluation)
    assert "rule training" in planned.stdout
    assert "rule training" not in in_checkout(checkout, *command).stdout
    profiles = checkout / "profiles.toml"
    text = profiles.read_text()
    profiles.write_text(text.replace("steps = 200", "steps = 300"))
    done = in_checkout(checkout, "lib.report.publishing.publish", "smoke")
    profiles.write_text(text)
    assert done.returncode != 0
    assert "was trained with other settings than profiles.toml has now" in done.stderr


def test_a_notebook_runs_from_its_own_folder_and_loads_the_complete_run(checkout, smoke):
    weights = smoke / "adaptive-seed1" / "weights.safetensors"
    stamp = weights.stat().st_mtime_ns
    done = in_checkout(
        checkout, "papermill", "03_adaptive_training.ipynb", "out.ipynb", "-p", "profile", "smoke", folder="notebooks"
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert weights.stat().st_mtime_ns == stamp


def begin(command: list[str], folder: Path, there: Callable[[], bool], what: str) -> subprocess.Popen:
    """Start a command as a terminal does, in its own process group, and wait five minutes at most for what it makes."""
    process = subprocess.Popen(
        command, cwd=folder, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    for _ in range(6000):
        if there():
            return process
        if process.poll() is not None:
            break
        time.sleep(0.05)
    else:
        os.killpg(process.pid, signal.SIGKILL)
    pytest.fail(f"there was no {what}: {process.communicate(timeout=60)[0][-3000:]}")


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_a_report_that_was_killed_and_then_interrupted_is_finished_by_the_same_command(checkout, smoke):
    """Snakemake refuses what a killed job may have left half-made, unless it is told to make it again.

    Ctrl-C saves the training first; what continues it has the same bits.
    """
    tools = checkout / "bin"
    tools.mkdir()
    for name, command in (("python", ""), ("snakemake", "-m snakemake")):
        (tools / name).write_text(f'#!/bin/sh\nPYTHONPATH={checkout} exec {sys.executable} {command} "$@"\n')
        (tools / name).chmod(0o755)
    (tools / ".installed").touch()
    report = ["make", f"BIN={tools}", "report", "PROFILE=smoke"]
    notebooks = [smoke / "notebooks" / f"training-{arm}-seed1.ipynb" for arm in ("linear", "adaptive")]
    for made in (*notebooks, smoke / "report.html"):
        made.unlink()
    loaded, trained = (smoke / f"{arm}-seed1" for arm in ("linear", "adaptive"))
    stamp, bits = (loaded / "weights.safetensors").stat().st_mtime_ns, (trained / "weights.safetensors").read_bytes()
    shutil.rmtree(trained)

    begun = checkout / ".snakemake" / "incomplete"
    process = begin(report, checkout, lambda: begun.is_dir() and any(begun.iterdir()), "job of the workflow")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    refused = in_checkout(checkout, "snakemake", "--nolock", "--cores", "2", "--config", "profile=smoke")
    assert refused.returncode and "IncompleteFilesException" in refused.stdout + refused.stderr

    process = begin(report, checkout, lambda: any(trained.glob("snapshots/*.safetensors")), "weight snapshot")
    os.killpg(process.pid, signal.SIGINT)  # Ctrl-C: to all that the terminal's command started
    said, _ = process.communicate(timeout=60)
    assert process.returncode and "The same command continues." in said and "Traceback" not in said
    assert (trained / "checkpoint.pt").exists() and not (trained / "run.json").exists()

    done = subprocess.run(report, cwd=checkout, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"The report: {smoke / 'report.html'}" in done.stdout
    assert all(notebook.exists() for notebook in notebooks)
    assert (loaded / "weights.safetensors").stat().st_mtime_ns == stamp
    assert (trained / "weights.safetensors").read_bytes() == bits
    first, second = read_json(trained / "run.json")["segments"]
    assert 1 <= first["last_step"] < second["first_step"] <= second["last_step"] == 200


def text_of(notebook: Path) -> str:
    """All that the notebook's cells put out."""
    return "".join(str(output) for cell in nbformat.read(notebook, 4).cells for output in cell.get("outputs", []))


def test_the_benchmark_notebook_shows_the_last_results(checkout, tiny_config, few_images, monkeypatch):
    # Floors and loops of a device are shown as well where one was measured; here a CPU, in miniature.
    monkeypatch.setitem(floor.PRODUCT, "cpu", 64)
    benchmarks = checkout / "results" / "benchmarks"
    benchmark.benchmark(tiny_config(batch_size=4), few_images, 2, 1, benchmarks)
    done = in_checkout(checkout, "papermill", "--no-progress-bar", "notebooks/06_benchmark.ipynb", "benchmark.ipynb")
    assert done.returncode == 0, done.stderr
    text = text_of(checkout / "benchmark.ipynb")
    for name, column, form in (
        ("cpu", "ms_per_step", ",.4g"), ("full_size_precision", "step", ",.0f"),
    ):  # fmt: skip
        assert format(pd.read_csv(benchmarks / f"{name}.csv")[column].max(), form) in text
    record = read_json(benchmarks / "cpu.json")
    assert f"{record['floor']['float32']['ms_by_launches']:,.4g}" in text
    for caption in (
        "Table 1.",
        "Table 2.",
        "Table 3.",
        "Figure 1.",
        "A step of one run takes",
        "No second seed was run",
    ):
        assert caption in text


def test_results_are_published_and_the_readme_follows(checkout, smoke):
    done = in_checkout(checkout, "lib.report.publishing.publish", "smoke")
    assert done.returncode == 0, done.stderr
    published = checkout / "results" / "published" / "smoke"
    assert {path.name for path in published.iterdir()} >= {"report.html", "table.csv", "figures", "linear-seed1"}
    assert (published / "findings.json").read_text() == (smoke / "findings.json").read_text()
    for name in ("scores.json", "snapshots.json", "snapshots.csv"):
        assert (published / "adaptive-seed1" / name).read_text() == (smoke / "adaptive-seed1" / name).read_text()
    trace = pd.read_csv(published / "adaptive-seed1" / "trace.csv.gz")
    assert trace["step"].iloc[-1] == 200
    own, copy = Run(smoke / "adaptive-seed1"), Run(published / "adaptive-seed1")
    assert copy.advanced().tolist() == own.advanced().tolist()
    assert copy.trace()["kl"].tolist() == pytest.approx(own.trace()["kl"].tolist(), rel=1e-5)
    table = pd.read_csv(published / "table.csv")
    assert f"| {table['mig_four'][0]:.3f} |" in (checkout / "README.md").read_text()


@pytest.mark.parametrize(
    ("setting", "other"), [("monte_carlo_samples = 50", 51), ("dci_samples = 200", 201), ("snapshots_measured = 2", 3)]
)
def test_what_was_measured_with_other_settings_is_not_published(checkout, smoke, setting, other):
    profiles = checkout / "profiles.toml"
    text = profiles.read_text()
    before, after = text.split("[smoke.evaluation]")
    assert setting in after
    name = setting.split(" ")[0]
    profiles.write_text(before + "[smoke.evaluation]" + after.replace(setting, f"{name} = {other}", 1))
    done = in_checkout(checkout, "lib.report.publishing.publish", "smoke")
    profiles.write_text(text)
    assert done.returncode != 0
    assert "was not measured with the settings of profiles.toml; run make render PROFILE=smoke" in done.stderr


def test_every_column_of_the_results_is_explained(smoke):
    text = (ROOT / "results" / "README.md").read_text()
    explained = set(re.findall(r"`([^`]+)`", text))
    columns = set(pd.read_csv(smoke / "table.csv").columns) - {"run", "mig_four_monte_carlo_standard_error"}
    entries = set(read_json(smoke / "linear-seed1" / "evaluation.json"))
    record = read_json(smoke / "linear-seed1" / "run.json")
    assert columns | entries | set(record["summary"]) | set(record["provenance"]) <= explained
    scores, snapshots = (read_json(smoke / "linear-seed1" / f"{name}.json") for name in ("scores", "snapshots"))
    over_training = {
        name for name in pd.read_csv(smoke / "linear-seed1" / "snapshots.csv") if not re.fullmatch(r"kl_[1-8]", name)
    }
    assert set(scores) | set(scores["dci"]) | set(snapshots) | over_training <= explained
