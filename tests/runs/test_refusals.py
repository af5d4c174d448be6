"""What nobody can mean is refused before any work, in one sentence that names it and says what to give."""

import importlib
import os
import re
import subprocess
import sys
from importlib.metadata import version

import nbformat
import pytest

from lib.__main__ import changed_settings, plan
from lib.files import ROOT
from lib.refusal import Refusal
from lib.report.notebooks.shared import EVALUATION, TRAINING, configure_training, parameters
from lib.runs.profiles import load_profile
from lib.runs.provenance import code_state

PAPER = load_profile("paper")
COUNTS = ("steps", "batch_size", "threads", "trace_every", "checkpoint_every", "latents", "snapshots", "seed")
MEASURES = (
    "position_stride", "monte_carlo_samples", "decomposition_samples", "evaluation_seed", "evaluation_batch",
    "snapshot_position_stride", "snapshots_measured", "dci_samples",
)  # fmt: skip
NUMBERS = ("learning_rate", "c_start", "c_max", "kp", "ki", "kd", "beta_min")
NAMES = ("arm", "architecture", "anti_windup", "precision", "device")

BAD_TRAINING = [
    *((name, value) for name in COUNTS for value in (-1, 1.5, "1", True, [1])),
    *((name, value) for name in NUMBERS for value in (-1.0, "1", float("nan"), float("inf"), False, {})),
    *((name, value) for name in NAMES for value in ("", "none", 1, ["conv"])),
    ("data", 1), ("data", True), ("data", ["rendered"]),
    ("steps", 0), ("batch_size", 0), ("threads", 0), ("trace_every", 0), ("checkpoint_every", 0), ("latents", 1),
    ("steps", 10**10), ("batch_size", 737_281), ("threads", 10**6), ("latents", 10**6), ("snapshots", 10**6),
    ("seed", 2**63), ("learning_rate", 0.0), ("c_max", 0.4), ("steps", 150), ("trace_every", 7), ("c_start", 17.0),
]  # fmt: skip
BAD_EVALUATION = [
    *((name, value) for name in MEASURES for value in (-1, 1.5, "1", True)),
    ("position_stride", 0), ("position_stride", 3), ("snapshot_position_stride", 32), ("monte_carlo_samples", 1),
    ("decomposition_samples", 99), ("dci_samples", 99), ("evaluation_batch", 0), ("snapshots_measured", 0),
    ("monte_carlo_samples", 10**6), ("decomposition_samples", 10**6), ("dci_samples", 10**6),
    ("evaluation_batch", 10**6), ("evaluation_seed", 2**63),
]  # fmt: skip


def check(refusal: Refusal, *names: str) -> None:
    """One sentence that says what is wrong with what, and what to do."""
    text = str(refusal)
    assert any(text.startswith((f"{name} is ", f"There is no {name}")) for name in names), text
    assert re.search(r"[,;] (give|choose|make|name|run|the|list|set|this|--set)\b", text) and text.endswith("."), text
    assert "\n" not in text
    assert refusal._render_traceback_() == [text]


@pytest.mark.parametrize(("name", "value"), BAD_TRAINING)
def test_a_bad_setting_of_the_training_is_refused(name, value):
    with pytest.raises(Refusal) as refusal:
        PAPER.training_config(**({"arm": "linear", "seed": 1} | {name: value}))
    check(refusal.value, name, "c_max", "steps")  # two settings that must fit: either is named first


@pytest.mark.parametrize(("name", "value"), BAD_EVALUATION)
def test_a_bad_setting_of_the_evaluation_is_refused(name, value):
    with pytest.raises(Refusal) as refusal:
        PAPER.evaluation_config(**{name: value})
    check(refusal.value, name)


@pytest.mark.parametrize(
    ("assignments", "name"),
    [
        (["stesp=1"], "setting 'stesp'"), (["steps"], "steps"), (["steps="], "steps"), (["steps=1.5"], "steps"),
        (["steps=1e3"], "steps"), (["ki=big"], "ki"), (["=1"], "setting ''"), (["arm=linear"], "setting 'arm'"),
        (["seed=1"], "setting 'seed'"), (["steps=1", "steps=2"], "steps"), (["profile=smoke"], "setting 'profile'"),
    ],
)  # fmt: skip
def test_a_bad_assignment_is_refused(assignments, name):
    with pytest.raises(Refusal) as refusal:
        changed_settings(assignments)
    check(refusal.value, name)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (("desktop", None, None, {}), "profile"), (("smoke", None, [-1], {}), "seed"),
        (("smoke", None, [1, 1], {}), "--seeds"), (("smoke", ["linear", "linear"], None, {}), "--arms"),
        (("smoke", ["cyclic"], None, {}), "arm"), (("smoke", None, None, {"steps": 0}), "steps"),
        (("smoke", None, None, {"dci_samples": 1}), "dci_samples"),
        (("smoke", None, None, {"precision": "tf32", "device": "cpu"}), "precision"),
        (("smoke", None, None, {"ki": float("nan")}), "ki"),
    ],
)  # fmt: skip
def test_a_bad_plan_is_refused(given, name):
    with pytest.raises(Refusal) as refusal:
        plan(*given)
    check(refusal.value, name)


@pytest.mark.parametrize("source", ["nowhere.npz", "", ".", "~nobody/at/home.npz", "x" * 5_000, "lib", "a\0b"])
def test_data_that_are_not_there_are_refused(source):
    with pytest.raises(Refusal, match=r'is not a file; give "rendered", "download" or the path of a published file\.$'):
        plan("smoke", None, None, {"data": source})


VALUES = dict.fromkeys([*TRAINING, *EVALUATION]) | {"profile": "smoke", "arm": "linear", "seed": 1}
CELLS = ["", "profile: str = 'smoke'", "configure"]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"profile": None}, "profile"), ({"profile": 3}, "profile"), ({"profile": ["smoke"]}, "profile"),
        ({"arm": None}, "arm"), ({"arm": "adaptive"}, "arm"), ({"seed": None}, "seed"), ({"seed": "1"}, "seed"),
        ({"steps": "many"}, "steps"), ({"dci_samples": 0}, "dci_samples"), ({"device": "tpu"}, "device"),
    ],
)  # fmt: skip
def test_a_bad_parameter_of_a_notebook_is_refused(change, name):
    with pytest.raises(Refusal) as refusal:
        configure_training({"In": CELLS} | VALUES | change, ("linear",))
    check(refusal.value, name)


def test_cells_in_another_order_are_explained():
    with pytest.raises(Refusal, match=r"The parameters cell has not run; run it, then this cell again\."):
        parameters({"In": ["", "configure"]}, ("profile",))
    with pytest.raises(Refusal, match=r"The parameter 'profile' is missing; put it back into the parameters cell\."):
        parameters({"In": ["", "profile: str = 1", "del profile", "configure"]}, ("profile",))


def test_a_notebook_displays_by_what_code_it_runs(capsys):
    parameters({"In": CELLS, "profile": "smoke"}, ("profile",))
    said = capsys.readouterr().out
    assert f"code {code_state()}; commit " in said and f"torch {version('torch')}" in said


def in_terminal(*command: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    return subprocess.run([sys.executable, "-m", *command], cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("lib", "desktop"), "profile is 'desktop'; choose one of paper, laptop, seeds, cooled, smoke, hour."),
        (("lib", "smoke", "--set", "steps=many"), "steps is 'many'; give an integer."),
        (("lib", "smoke", "--minutes", "nan"), "--minutes is nan; give a number of 0 or more."),
        (
            ("lib.report.publishing.publish", "desktop"),
            "Nothing was published. profile is 'desktop'; choose one of paper, laptop, seeds, cooled, smoke, hour.",
        ),
    ],
)
def test_a_command_ends_in_the_sentence_alone(arguments, sentence):
    done = in_terminal(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{sentence}\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("lib", "smoke", "--arms", "nope"), "Argument --arms: invalid choice: 'nope' (choose from "),
        (("lib", "smoke", "--seeds", "x"), "Argument --seeds: invalid int value: 'x'; see "),
        (
            ("lib.runs.status", "smoke", "--fast"),
            "Unrecognized arguments: --fast; see python -m lib.runs",
        ),
    ],
)
def test_what_a_command_does_not_know_is_one_line(arguments, sentence):
    done = in_terminal(*arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1) and done.stderr.startswith(sentence)


@pytest.mark.parametrize(
    ("notebook", "given", "sentence"),
    [
        ("03_adaptive_training", ("steps", "-5"), "steps is -5; give 1 or more."),
        ("02_linear_training", ("sede", "2"), "There is no parameter 'sede'; the parameters are profile, arm, data"),
    ],
)
def test_the_reader_of_a_notebook_sees_the_sentence_alone(notebook, given, sentence, tmp_path):
    out = tmp_path / "out.ipynb"
    done = in_terminal("papermill", "--no-progress-bar", f"notebooks/{notebook}.ipynb", str(out), "-p", *given)
    assert done.returncode == 1 and sentence in done.stderr
    errors = [
        output
        for cell in nbformat.read(out, as_version=4).cells
        for output in cell.get("outputs", [])
        if output.output_type == "error"
    ]
    assert len(errors) == 1 and len(errors[0].traceback) == 1
    assert errors[0].traceback[0].startswith(sentence) and "\n" not in errors[0].traceback[0]


@pytest.mark.parametrize("name", ["lib.evaluation.trials", "lib.benchmarks.rounding", "lib.benchmarks.measures"])
def test_commands_that_measure_refuse_a_run_that_is_not_there_before_any_work(name, tmp_path, monkeypatch):
    monkeypatch.setattr("lib.data.dataset.ensure", lambda *_: pytest.fail("work began"))
    monkeypatch.setattr("sys.argv", [name, str(tmp_path / "nothing")])
    with pytest.raises(SystemExit, match=r"nothing/\w+\.json is missing; \w.*\.$"):
        importlib.import_module(name).main()


def test_numbers_beyond_floats_are_refused():
    with pytest.raises(Refusal, match=r"^kp is inf; give a finite number\.$"):
        load_profile("smoke").training_config("linear", 1, kp=10**400)
