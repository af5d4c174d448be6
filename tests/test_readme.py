"""The README's numbers come from the published results, and its commands do what it says."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import numpy as np
import pytest
from official_files import write_npz

from lib.data import dataset
from lib.dsprites import N_IMAGES, indices_to_factors
from lib.files import ROOT, read_json
from lib.report.publishing.publish import LIMIT
from lib.report.publishing.readme import END, README, START, readme_results
from lib.runs.profiles import load_profile, published_profiles

PUBLISHED = ROOT / "results" / "published"


NAMES = sorted(path.parent.name for path in PUBLISHED.glob("*/table.csv"))


@pytest.mark.parametrize("name", NAMES)
def test_published_results_are_complete_and_small(name):
    directory = load_profile(name).published
    for run in (*load_profile(name).runs(), *load_profile(name).once()):
        for file in ("config.json", "run.json", "evaluation.json", "scores.json", "snapshots.csv", "trace.csv.gz"):
            assert (directory / run.name / file).exists()
    assert (directory / "report.html").exists()
    assert sum(path.stat().st_size for path in PUBLISHED.rglob("*") if path.is_file()) < LIMIT


def test_readme_shows_all_that_is_published():
    block = README.read_text().split(START)[1].split(END)[0].strip()
    assert sorted(profile.name for profile in published_profiles()) == NAMES
    assert block == readme_results(published_profiles())


def test_numbers_beside_the_results_are_those_of_what_they_name():
    before, after = README.read_text().split(START)[0], README.read_text().split(END)[1]
    assert (len(load_profile("seeds").seeds), "five seeds" in after) == (5, True)
    low, high = re.search(r'requires-python = ">=(3\.\d+),<3\.(\d+)"', (ROOT / "pyproject.toml").read_text()).groups()
    assert f"Python {low} to 3.{int(high) - 1}" in after
    assert not re.search(r"\d", re.sub(r"\(http.*?\)", "", before))  # numbers of results stand between the marks


@pytest.mark.parametrize("arm", ["linear", "adaptive"])
def test_the_published_runs_of_laptops_size_are_meaningful_miniatures(arm):
    """In each arm C leaves its start, beta is above beta_min in half of the steps, the code tells images apart."""
    run = load_profile("seeds").published / f"{arm}-seed1"
    config, summary = read_json(run / "config.json"), read_json(run / "run.json")["summary"]
    assert summary["final_capacity"] > config["c_start"] + 1
    assert summary["share_at_beta_min"] <= 0.5
    assert read_json(run / "evaluation.json")["decomposition"]["mutual_information"] > np.log(1_000)


@pytest.mark.parametrize("path", [README, ROOT / "results" / "README.md", ROOT / "lib" / "runs" / "run.py"], ids=str)
def test_what_is_named_of_published_results_is_there(path):
    named = re.findall(r"(?:results/)?published/(\w[\w/.-]*\w)", path.read_text())
    assert named and all((PUBLISHED / each).exists() for each in named)


def test_published_pages_name_no_folder_of_the_machine_that_made_them():
    for name in NAMES:
        page = (load_profile(name).published / "report.html").read_text()
        assert "results/runs/" in page
        assert "/results/runs/" not in page


RERUN = "\n".join(
    path.read_text().split("## Re-run with papermill")[1].split("```")[1].strip()
    for path in (README, ROOT / "results" / "README.md")
)
COMMANDS = dict(re.findall(r"^# (.*)\n(.*)$", RERUN, re.MULTILINE))  # what one wants -> the command
HELP = "help: every parameter, with its unit"


def command(word: str) -> str:
    return next(text for wish, text in COMMANDS.items() if word in wish)


MEASURED_AGAIN = f"{command('seed')} -p evaluation_seed 7"


class Checkout:
    """A copy of what notebooks need, with a profile `tiny` that trains and measures in seconds, and the data set."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.runs, self.done = folder, folder / "results" / "runs" / "tiny", {}
        for name in ("lib", "notebooks"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        text = (ROOT / "profiles.toml").read_text()
        lines = [
            text,
            "[tiny]",
            'like = "smoke"',
            "also = []",
            "[tiny.training]",
            "steps = 20",
            "checkpoint_every = 20",
        ]
        lines += ["snapshots = 2", "[tiny.evaluation]", "position_stride = 16"]
        (folder / "profiles.toml").write_text("\n".join(lines))
        benchmarks = Path("results") / "benchmarks"  # notebook 04 shows what measuring costs
        shutil.copytree(ROOT / benchmarks, folder / benchmarks)

    def run(self, *commands: str) -> None:
        """Run commands, two at a time: at the size of `tiny`, each executed notebook under a name of its own."""
        with ThreadPoolExecutor(2) as pool:
            self.done |= zip(commands, pool.map(self._run, commands), strict=True)

    def _run(self, text: str) -> subprocess.CompletedProcess:
        handle, output = tempfile.mkstemp(".ipynb", dir=self.folder)
        os.close(handle)
        program, *arguments = text.replace("out.ipynb", output).split()
        size = ["-p", "profile", "tiny"] if output in arguments else []
        done = subprocess.run(
            [sys.executable, "-m", program, *arguments, *size], cwd=self.folder, capture_output=True, text=True,
            env=os.environ | {"PYTHONPATH": str(self.folder), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        done.notebook = Path(output)
        return done

    def stamps(self, name: str) -> dict[str, int]:
        """When the files of a training were written."""
        return {file: (self.runs / name / file).stat().st_mtime_ns for file in ("weights.safetensors", "run.json")}


@pytest.fixture(scope="module")
def tried(tmp_path_factory) -> Checkout:
    """A checkout in which every command was run, `done` holding what each gave.

    `stamps_before` are those of two runs before commands with another parameter, `measured_before` what the second's
    evaluation was before another setting of that.
    """
    checkout = Checkout(tmp_path_factory.mktemp("checkout"))
    colour = np.zeros((N_IMAGES, 1), dtype=np.int64)
    official = checkout.folder / re.search(r"path/to/\S+\.npz", RERUN)[0]
    official.parent.mkdir(parents=True)
    write_npz(official, np.concatenate([colour, indices_to_factors(np.arange(N_IMAGES))], axis=1))
    dataset.ensure("rendered", checkout.folder / "results" / "data", progress=False)
    checkout.runs.mkdir(parents=True)
    shutil.copy(PUBLISHED / NAMES[0] / "dataset.json", checkout.runs)  # what notebook 01 writes: of the same data

    checkout.run(command("one arm"), "papermill notebooks/03_adaptive_training.ipynb out.ipynb")
    checkout.stamps_before = {"adaptive-seed1": checkout.stamps("adaptive-seed1")}
    checkout.run(command("seed"), command("architecture"), command("official data"), command("method"))
    checkout.stamps_before["adaptive-seed2"] = checkout.stamps("adaptive-seed2")
    checkout.measured_before = read_json(checkout.runs / "adaptive-seed2" / "evaluation.json")
    checkout.run(MEASURED_AGAIN, command("figures"), COMMANDS[HELP])
    return checkout


def test_both_readmes_together_give_seven_commands():
    assert len(COMMANDS) == 7
    assert "\n".join(f"# {wish}\n{text}" for wish, text in COMMANDS.items()) == RERUN


@pytest.mark.parametrize("wish", [wish for wish in COMMANDS if wish != HELP])
def test_command_runs_to_the_end_of_its_notebook(wish, tried):
    done = tried.done[COMMANDS[wish]]
    assert done.returncode == 0, done.stderr[-3000:]
    cells = [cell for cell in nbformat.read(done.notebook, as_version=4).cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in cells)
    assert any("image/png" in output.get("data", {}) for cell in cells for output in cell.outputs)


def test_help_explains_every_parameter(tried):
    done = tried.done[COMMANDS[HELP]]
    assert done.returncode == 0, done.stderr[-3000:]
    for words in ("seed: int", "of initial weights", "c_max: float", "nats per image", "per nat and step"):
        assert words in done.stdout


def test_every_training_has_a_run_of_its_own_and_leaves_the_others(tried):
    file = Path(command("official data").split()[-1]).name
    changes = {
        "linear-seed1": {},
        "adaptive-seed1": {},
        "adaptive-seed2": {"seed": 2},
        "beta_vae-seed1": {},
        "adaptive-seed1-architecture=fc": {"architecture": "fc"},
        f"adaptive-seed1-data={file}": {"data": f"path/to/{file}"},
    }
    assert {path.parent.name for path in tried.runs.glob("*/evaluation.json")} == set(changes)
    kept = read_json(tried.runs / "adaptive-seed1" / "config.json")
    for name, change in changes.items():
        arm = name.split("-")[0]
        assert read_json(tried.runs / name / "config.json") == kept | change | {"arm": arm}
    assert tried.stamps("adaptive-seed1") == tried.stamps_before["adaptive-seed1"]
    hashes = {name: read_json(tried.runs / name / "run.json")["provenance"]["data_sha256"] for name in changes}
    assert len(set(hashes.values())) == 2
    assert hashes[f"adaptive-seed1-data={file}"] != hashes["adaptive-seed2"]


def test_figures_are_of_the_profiles_own_runs(tried):
    assert (tried.runs / "table.csv").read_text().count("\n") == 3  # the header and two runs
    assert (tried.runs / "figures" / "traces.png").stat().st_size > 5_000


def test_another_evaluation_setting_measures_again_without_training(tried):
    run = "adaptive-seed2"
    assert tried.done[MEASURED_AGAIN].returncode == 0, tried.done[MEASURED_AGAIN].stderr[-3000:]
    assert tried.stamps(run) == tried.stamps_before[run]
    before, after = tried.measured_before, read_json(tried.runs / run / "evaluation.json")
    assert after["config"] == before["config"] | {"evaluation_seed": 7}
    assert after["reconstruction"] != before["reconstruction"]  # z is sampled anew
    assert after["kl"] == pytest.approx(before["kl"])


def test_the_readme_is_short_and_its_numbers_hold():
    text = README.read_text()
    words = [word for word in text.split() if re.search(r"\w", word)]
    assert len(words) < 900
    frames = (ROOT / "tests" / "dsprites_frames.csv").read_text().splitlines()
    assert f"all {len(frames) - 1} frames" in text
