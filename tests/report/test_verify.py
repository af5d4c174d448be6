"""make verify: what is published follows, and an altered number of any kind is found where it stands."""

import gzip
import json
import re
import shutil
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from lib.files import ROOT, read_json, sha256, write_json, write_sealed
from lib.recorded_tables import read_recorded, write_recorded
from lib.report.analysis import gather
from lib.report.findings.all import findings
from lib.report.publishing import readme, verify
from lib.report.publishing.publish import HASHES, write_hashes
from lib.report.publishing.rederived import check_curve, check_record
from lib.runs.profiles import load_profile, published_profiles
from lib.runs.run import Run
from lib.runs.trace_file import write_trace
from lib.training.progress import MEANS, add_progress

if not published_profiles():
    pytest.skip("nothing is published here", allow_module_level=True)
LONGEST = published_profiles()[0].name  # of those that are published; some of its numbers are altered below


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A copy of what is published of that profile, with a README that follows from it; returns the profile's folder."""
    for module in ("lib.runs.profiles", "lib.report.publishing.verify"):
        monkeypatch.setattr(f"{module}.RESULTS", tmp_path / "results")
    monkeypatch.setattr(readme, "ROOT", tmp_path)
    monkeypatch.setattr(readme, "README", tmp_path / "README.md")
    folder = tmp_path / "results" / "published" / LONGEST
    shutil.copytree(ROOT / "results" / "published" / LONGEST, folder)
    readme.README.write_text(f"# Title\n{readme.START}\n{readme.END}\n")
    readme.update_readme()
    return folder


def found() -> list[str]:
    profiles = published_profiles()
    checked = (text for profile in profiles for text in verify._tried(verify.check, profile))
    return [*checked, *verify.check_readme(profiles)]


def test_what_is_published_follows():
    for profile in published_profiles():
        assert list(verify.check(profile)) == []
    assert list(verify.check_beside()) == []


def test_a_copy_follows_and_the_command_says_so(published, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["verify"])
    verify.main()
    assert capsys.readouterr().out == f"All that is published follows: {LONGEST}, and README.md.\n"


def altered(text: str, pattern: str) -> str:
    """The text with another digit in place of the pattern's first group, at the first match."""
    match = re.search(pattern, text)
    start, end = match.span(1)
    return f"{text[:start]}{(int(match[1]) + 1) % 10}{text[end:]}"


COLUMNS = (ROOT / "results" / "published" / LONGEST / "linear-seed1" / "snapshots.csv").read_text().split("\n")[0]
README_MIG = r"\| 0\.\d\d(\d) \|"
# File, where a digit stands in it, and what is said of another one.
ALTERED = {
    "measure": ("linear-seed1/evaluation.json", r'"quadrature": 0\.(\d)', "mig_four.quadrature is 0."),
    "information": ("linear-seed1/evaluation.json", r'"scale": 0\.(\d)', "factor_gaps.scale is 0."),
    "kl": ("linear-seed1/evaluation.json", r'"kl": \d+\.(\d)', ": kl is 1"),
    "score": ("adaptive-seed1/scores.json", r'"disentanglement": 0\.(\d)', "dci.disentanglement"),
    "summary": ("adaptive-seed1/run.json", r'"mean_beta": (\d)', "changed after it was written"),
    "setting": ("adaptive-seed1/config.json", r'"kp": 0\.(\d)', "not the file that the training wrote"),
    "snapshot": (
        "linear-seed1/snapshots.csv", rf"\n(?:[^,]+,){{{COLUMNS.split(',').index('kl')}}}(\d)", ": kl is "
    ),
    "table": ("table.csv", r"linear-seed1,linear,1,\d+,\d+,0\.\d(\d)", "linear-seed1.mig_four is 0."),
    "page": ("report.html", r"<td>0\.\d\d(\d)</td>", "shows 0."),
    "notebook": ("report.ipynb", r"<td>0\.\d\d(\d)</td>", "0."),
    "data set": ("dataset.json", r'"sha256": "\D*(\d)', "provenance.data_sha256 is "),
    "README": ("../../../README.md", README_MIG, "| 0."),
}  # fmt: skip
SEALED = ("measure", "information", "kl", "score", "snapshot")  # what else follows there, were the seal a new one


def seal_anew(path: Path) -> None:
    """Seal an altered file, or the table whose record is sealed, as the functions do that write them."""
    record = path.with_suffix(".json")
    content = {name: value for name, value in json.loads(record.read_text()).items() if name != "seal"}
    if record != path:
        content["sha256"] = [sha256(path)]
    write_sealed(record, content)


@pytest.mark.parametrize("kind", ALTERED)
def test_an_altered_number_is_found(kind, published):
    name, pattern, said = ALTERED[kind]
    path = published / name
    path.write_text(altered(path.read_text(), pattern))
    if kind in SEALED:
        assert any("changed after it was written" in text or "states another SHA-256" in text for text in found())
        seal_anew(path)
    about = [sentence for sentence in found() if path.resolve().name in sentence and said in sentence]
    assert about


def test_other_weights_or_a_lost_file_are_found_by_their_hash(published):
    weights, page = published / "linear-seed1" / "weights.safetensors", published / "figures" / "traversal.gif"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    page.unlink()
    assert {sentence.split(" is not ")[0] for sentence in found()} == {str(page), str(weights)}


def test_a_matched_curve_holds_the_steps_of_the_run_that_it_names(tmp_path):
    """In a folder where it stands, once beside that run and once beside nothing."""
    runs = {name: Run(tmp_path / name) for name in ("matched_curve-seed1", "adaptive-seed2")}
    for run, origin in zip(runs.values(), ({"curve_of": "adaptive-seed2"}, {}), strict=True):
        run.path.mkdir()
        write_json(run.path / "run.json", {"provenance": origin, "summary": {}})
        write_trace(run.path / "advanced.h5", pd.DataFrame(), np.array([True, False, True]), {})
    matched, other = runs.values()
    assert list(check_curve(matched)) == list(check_curve(other)) == []
    write_trace(other.path / "advanced.h5", pd.DataFrame(), np.array([True, True, True]), {})
    (sentence,) = check_curve(matched)
    assert "advanced.h5 does not hold the steps of adaptive-seed2" in sentence
    (other.path / "run.json").unlink()
    (sentence,) = check_curve(matched)
    assert "its C(t) is that of adaptive-seed2, which is not published" in sentence


def test_an_altered_trace_is_found(published):
    path = published / "linear-seed1" / "trace.csv.gz"
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    column = lines[0].split(",").index("beta_mean")
    cells = lines[500].split(",")
    cells[column] = str(float(cells[column]) + 50)
    lines[500] = ",".join(cells)
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    write_hashes(published)
    assert any("run.json: summary.mean_beta" in sentence and "trace.csv.gz" in sentence for sentence in found())


def test_c_of_a_thinned_trace_is_what_the_advances_make_of_it(tmp_path):
    run = Run(tmp_path / "adaptive-seed1")
    shutil.copytree(ROOT / "results" / "published" / "seeds" / run.name, run.path)
    assert list(check_record(run)) == []
    trace = pd.read_csv(run.path / "trace.csv.gz")
    step, capacity = trace.loc[500, ["step", "capacity"]]
    trace.loc[500, "capacity"] = capacity + 0.01
    trace.to_csv(run.path / "trace.csv.gz", index=False)
    (sentence,) = check_record(run)
    assert f"trace.csv.gz: capacity.{step:.0f} is {capacity + 0.01}, but advanced.h5 gives" in sentence


@pytest.fixture
def beside(tmp_path, monkeypatch):
    """Copies of the benchmarks and the trials, and a run of `seeds` for one of `paper`, with its progress."""
    monkeypatch.setattr(verify, "RESULTS", tmp_path)
    for name in ("trials.csv", "trials.json", "benchmarks"):
        copy = shutil.copytree if name == "benchmarks" else shutil.copy
        copy(ROOT / "results" / name, tmp_path / name)
    run = Run(tmp_path / "published" / "paper" / "adaptive-seed1")
    shutil.copytree(ROOT / "results" / "published" / "seeds" / run.name, run.path)
    windows = run.trace().iloc[[200, 700]].to_dict("records")  # of 2,412 and 8,412 steps
    rows = [{"run": run.name, "step": row["step"]} | {name: row[f"{name}_mean"] for name in MEANS} for row in windows]
    path = tmp_path / "published" / "paper" / "progress.csv"
    add_progress(path, [*rows, rows[0] | {"run": "linear-seed1", "kl": 9.0}])
    return tmp_path


DECIMAL = r"(?<=\.)\d"


@pytest.mark.parametrize(
    ("name", "place", "said"),
    [
        ("trials.csv", DECIMAL, "trials.csv cannot be read (trials.json states another SHA-256)"),
        ("trials.json", r"(?<=\[\n    \").", "trials.json cannot be read (it was changed after it was written)"),
        ("benchmarks/measures.csv", DECIMAL, "measures.csv cannot be read (measures.json states another SHA-256)"),
        ("benchmarks/measures.json", DECIMAL, "measures.json cannot be read (it was changed"),
        ("benchmarks/test_long.json", DECIMAL, "test_long.json cannot be read (it was changed"),
        ("published/paper/progress.csv", DECIMAL, "progress.csv cannot be read (progress.json states another SHA-256)"),
    ],
)
def test_an_altered_number_beside_the_profiles_is_found(name, place, said, beside):
    assert list(verify.check_beside()) == []  # the row of a run that does not stand there among it
    path = beside / name
    text, count = re.subn(place, lambda found: "2" if found[0] == "1" else "1", path.read_text(), count=1)
    assert count == 1
    path.write_text(text)
    assert all(said in sentence for sentence in verify.check_beside())
    assert list(verify.check_beside())


@pytest.mark.parametrize("name", ["trials.csv", "benchmarks/measures.csv", "trials.json", "benchmarks/measures.json"])
def test_a_lost_table_or_seal_is_found(name, beside):
    path = beside / name
    if path.suffix == ".csv":
        path.unlink()
    else:
        write_json(path, read_json(path))  # without its seal
    (sentence,) = verify.check_beside()
    assert f"{path.name} is missing" in sentence or f"{path.name} cannot be read (it lacks seal)" in sentence


def test_an_earlier_table_is_not_taken_for_the_last_one(beside):
    path = beside / "trials.csv"
    before = path.read_bytes()
    table, record = read_recorded(path)
    write_recorded(path, table.iloc[1:], record)
    path.write_bytes(before)
    with pytest.raises(ValueError, match=r"trials.csv cannot be read \(trials.json states another SHA-256"):
        read_recorded(path)


@pytest.mark.parametrize("name", MEANS)
def test_progress_follows_from_the_traces(name, beside):
    path = beside / "published" / "paper" / "progress.csv"
    table, record = read_recorded(path)
    table.loc[table["step"].idxmax(), name] += 0.01
    write_recorded(path, table, record)
    (sentence,) = verify.check_beside()
    assert f"progress.csv: {name} is" in sentence and "but the trace of step 8412 gives" in sentence


def test_the_command_looks_beside_and_in_full_at_every_paper_and_all_weights(published, monkeypatch):
    drawn, anew = [], []
    monkeypatch.setattr(verify, "check_beside", lambda: iter(["What stands beside does not follow."]))
    monkeypatch.setattr(verify, "check_paper", lambda profile: iter(drawn.append(profile.name) or ()))
    monkeypatch.setattr(verify, "ProcessPoolExecutor", lambda mp_context: nullcontext(SimpleNamespace(map=map)))
    monkeypatch.setattr(verify, "evaluated", lambda run: anew.append(run.name) or [])
    monkeypatch.setattr("sys.argv", ["verify", "--full"])
    with pytest.raises(SystemExit, match=r"^What stands beside does not follow\.$"):
        verify.main()
    assert (drawn, anew) == ([LONGEST], ["adaptive-seed1", "linear-seed1"])


def test_a_damaged_table_of_snapshots_is_one_sentence(published):
    path = published / "linear-seed1" / "snapshots.csv"
    text = path.read_text()
    for damaged in (text.replace("total_correlation", "x", 1), re.sub(r"\n\d+,", "\na hundred,", text, count=1)):
        path.write_text(damaged)
        write_hashes(published)
        assert any("snapshots.csv cannot be read (" in sentence for sentence in found())


def test_findings_are_compared_by_their_numbers(published):
    profile = load_profile(LONGEST)
    runs = profile.runs_to_read()
    frames = {run.name: pd.read_csv(run.path / "snapshots.csv") for run in runs}
    right = findings(gather(profile, runs, [], frames, read_json(published / "dataset.json")["entropy_nats"], True))
    write_json(published / "findings.json", right | {"verdict": "In other words."})
    write_hashes(published)
    assert found() == []
    other = altered(right["differences"], r"MIG .0\.\d\d(\d)")
    write_json(published / "findings.json", right | {"differences": other})
    write_hashes(published)
    changed = re.search(r"MIG .(\S+)", other)[1]
    assert any("findings.json: differences is" in sentence and changed in sentence for sentence in found())


def test_a_damaged_file_is_one_sentence(published):
    (published / HASHES).write_text(json.dumps({"seal": "0"}))
    assert any(f"{HASHES} cannot be read (it was changed" in sentence for sentence in found())


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("report.html", None, "report.html is missing"),
        ("report.ipynb", "{}", "report.ipynb cannot be read"),
        ("linear-seed1/scores.json", None, "scores.json is missing"),
        ("adaptive-seed1/evaluation.json", {"decomposition": {}}, "adaptive-seed1 could not be checked (KeyError"),
    ],
)
def test_what_stops_a_check_is_said_and_stops_no_other(name, content, said, published):
    path = published / name
    if content is None:
        path.unlink()
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(read_json(path) | content))
    readme.README.write_text(altered(readme.README.read_text(), README_MIG))
    sentences = found() if name == "report.html" else [*verify._tried(verify.check, load_profile(LONGEST))]
    assert any(said in sentence for sentence in sentences)
    assert any(f"{name} is not what was published" in sentence for sentence in sentences)
    assert all("\n" not in sentence for sentence in sentences)


def test_evaluating_weights_anew_finds_another_value(published, monkeypatch):
    """With a stand-in for the evaluation, which takes minutes."""
    run = load_profile(LONGEST).runs_to_read()[0]
    measured, scores = (read_json(run.path / f"{name}.json") for name in ("evaluation", "scores"))
    monkeypatch.setattr(verify.dataset, "ensure", lambda data: None)
    monkeypatch.setattr(verify.dataset, "load", lambda path: None)
    monkeypatch.setattr(verify, "evaluate", lambda *_: measured | {"seconds": 1.0})
    monkeypatch.setattr(verify, "measure_scores", lambda *_: scores | {"sap": scores["sap"] + 0.02})  # a few votes
    assert list(verify.check_weights(run)) == []
    monkeypatch.setattr(verify, "measure_scores", lambda *_: scores | {"sap": scores["sap"] + 0.04})
    assert "scores.json: sap is" in "".join(verify.check_weights(run))
    monkeypatch.setattr(verify, "measure_scores", lambda *_: scores)
    monkeypatch.setattr(verify, "evaluate", lambda *_: measured | {"reconstruction": 35.0})
    (sentence,) = verify.check_weights(run)
    assert f"reconstruction is {measured['reconstruction']}" in sentence and "the weights give 35.0" in sentence
    (run.path / "weights.safetensors").unlink()
    with pytest.raises(ValueError, match=r"weights.safetensors is not published"):
        list(verify.check_weights(run))
