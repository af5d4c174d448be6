"""The calls of the training notebooks: what they say of a run is right, and any arm of the table can be shown."""

from dataclasses import dataclass, replace

import pytest
import torch

from lib.arms import ARMS
from lib.data import dataset
from lib.data.dataset import Dataset
from lib.files import read_json, write_json
from lib.objectives import controlled_as_published
from lib.objectives.clocks import Staircase
from lib.objectives.factor import FactorKL
from lib.objectives.posterior_bank import mutual_information
from lib.pid import PIDController
from lib.refusal import Refusal
from lib.report.findings.controller import arm_arrival, linear_arrival
from lib.report.notebooks import training as calls
from lib.report.notebooks.paper import trained_in_pieces
from lib.report.notebooks.shared import EVALUATION, TRAINING, arms_of, configure_training
from lib.runs.profiles import load_profile
from lib.runs.run import Run
from lib.schedules import AdaptiveCapacity, LinearCapacity, linear_full_length


@dataclass(frozen=True)
class Constant:
    """A beta-VAE's objective, which has no C and records nothing but beta."""

    columns = ("beta",)

    def initial_state(self):
        return torch.full((1,), 4.0, dtype=torch.float64)

    def control(self, t, state, kl):
        return state.clone(), state

    def penalty(self, state, encoded):
        return state[0].to(encoded.kl.dtype) * encoded.kl


@pytest.fixture
def constant(monkeypatch):
    """An arm of another kind among those of notebook 02."""
    row = replace(ARMS["linear"], name="constant", objective=lambda settings, schedule: Constant(), label="constant")
    monkeypatch.setitem(ARMS, "constant", row)
    return row


@pytest.fixture
def shown(monkeypatch):
    """All that is displayed, as text."""
    texts = []

    def display(what):
        texts.append(getattr(what, "data", None) if hasattr(what, "data") else what.to_string())

    monkeypatch.setattr(calls, "display", display)
    monkeypatch.setattr("lib.report.figures.style.display", display)
    return texts


def test_a_notebook_trains_the_arms_whose_rows_name_it(constant):
    assert arms_of("02_linear_training") == ("linear", "linear_full", "slow_then_hold", "constant")
    assert arms_of("03_adaptive_training") == ("adaptive", "adaptive_hold", "random_hold")
    assert arms_of("05_other_arms")[:4] == ("matched_curve", "vae", "beta_vae", "kl_annealing")


def test_the_rule_is_shown_by_the_functions_that_a_step_calls(tiny_config, constant, shown):
    step, linear = PIDController.step, LinearCapacity
    assert calls.functions_of_the_rule(tiny_config("linear")) == [linear.set_point, step, linear.advance]
    assert calls.functions_of_the_rule(tiny_config("linear_full"))[0] is linear_full_length
    assert calls.functions_of_the_rule(tiny_config("adaptive_hold"))[-1] == AdaptiveCapacity.advance
    assert calls.functions_of_the_rule(tiny_config("locked"))[0] is controlled_as_published
    expected = [constant.objective, Constant.control, Constant.penalty]
    assert calls.functions_of_the_rule(tiny_config("constant")) == expected
    calls.show_rule(tiny_config("linear"))
    assert "clamp(max=self.c_max)\n```" in "".join(shown)


@pytest.mark.parametrize(
    ("arm", "function"),
    [
        ("dynamic_vae", Staircase.set_point),
        ("factor_vae", FactorKL.adversary_loss),
        ("information", mutual_information),
    ],
)
def test_what_an_objective_rests_on_is_shown_with_it(arm, function, tiny_config, shown):
    assert function in calls.functions_of_the_rule(tiny_config(arm))


@pytest.mark.parametrize("arm", ARMS)
def test_the_rule_of_any_arm_is_shown_as_it_stands_in_lib(arm, tiny_config, shown):
    calls.show_rule(tiny_config(arm))
    sources = [text for text in shown if "```python" in text]
    assert len(sources) == len(calls.functions_of_the_rule(tiny_config(arm))) >= 3
    assert all("(lib/" in text for text in sources)


@pytest.mark.parametrize("name", ["paper", "laptop", "hour"])
def test_the_sentence_says_when_the_linear_rule_has_the_maximum(name):
    config = load_profile(name).training_config("adaptive", 1)
    rule = LinearCapacity(config.c_start, config.c_max, config.steps)
    steps = torch.arange(config.steps + 1)
    reached = int((rule.set_point(steps, steps) >= config.c_max).int().argmax())
    sentence = linear_arrival(config.c_start, config.c_max, config.steps)
    assert f"after {reached / config.steps:.0%} of training" in sentence
    assert ("35% of training, and holds it for the other 65%." in sentence) == (name != "laptop")
    assert ("74% (at the report's settings 65%)." in sentence) == (name == "laptop")
    assert "does not reach" in linear_arrival(config.c_start, 46.0, config.steps)
    own = arm_arrival(replace(config, arm="linear"))
    assert f"In this arm C has $C_{{\\max}}$ after {reached:,} of {config.steps:,} steps" in own
    assert f"reaches $C_{{\\max}}$ at the last of {config.steps:,} steps" in arm_arrival(
        replace(config, arm="linear_full")
    )
    longer = load_profile(name).training_config("slow_then_hold", 1)
    assert f"after {config.steps:,} of {longer.steps:,} steps" in arm_arrival(longer)


@pytest.mark.parametrize("arm", ["linear_full", "constant", "cyclical"])
def test_an_arm_is_shown_from_rule_to_measures(arm, constant, shown, tiny_config, all_images, tmp_path, monkeypatch):
    monkeypatch.setattr(dataset, "ensure", lambda source: None)
    monkeypatch.setattr(dataset, "load", lambda path: all_images)
    config, run = tiny_config(arm, steps=20), Run(tmp_path / "tiny" / arm)
    changes = {"position_stride": 16, "snapshot_position_stride": 16, "dci_samples": 100}
    evaluation = load_profile("smoke").evaluation_config(**changes)
    calls.show_rule(config)
    calls.show_toy_plant(config, run, "What to see.")
    run, data = calls.train_and_show(config, run)
    calls.show_measures(run, data, evaluation)
    calls.show_information(run, data, evaluation)
    monkeypatch.setattr(calls, "IN_USE", -1.0)  # after 20 steps there may be none
    calls.show_traversals(run, data)
    text = "".join(str(each) for each in shown)
    controlled = arm == "linear_full"
    assert ("**Figure 1.**" in text) == ("What to see." in text) == (r"\tag{2}" in text) == controlled
    assert ("This arm has no C." in text) == (not controlled)
    assert all(caption in text for caption in ("**Figure 2.**", "**Table 1.**", "**Figure 3.**"))
    assert "**Figure 4.**" in text
    (run.path / "weights.safetensors").unlink()
    (run.path / "traversals.png").unlink()
    calls.show_traversals(run, data)
    assert "Its weights are not there" in str(shown[-1])
    made = {path.name for path in (run.path / "figures").glob("*.png")}
    assert made == {"trace.png", "information.png", "traversals.png"} | ({"toy_plant.png"} if controlled else set())


def parameters_of(**given) -> dict:
    values = dict.fromkeys([*TRAINING, *EVALUATION]) | {"profile": "seeds", "seed": 1, "published": True} | given
    return {"In": ["", "profile: str = 'seeds'", "configure"]} | values


def test_the_processes_that_trained_runs_are_counted(tmp_path):
    for name, pieces in {"a": 1, "b": 3}.items():
        (tmp_path / name).mkdir()
        record = {"provenance": {}, "summary": {"steps": 9}, "segments": [{}] * pieces}
        write_json(tmp_path / name / "run.json", record)
    a, b = Run(tmp_path / "a"), Run(tmp_path / "b")
    assert trained_in_pieces(a) == ""
    assert trained_in_pieces(b) == "trained in 3 segments each (`run.json`)"
    assert trained_in_pieces(a, b) == "trained in 1 to 3 segments each (`run.json`)"


def test_notebook_05_shows_a_published_run_where_none_was_begun_and_leaves_it_as_it_is(tmp_path, shown, monkeypatch):
    published = load_profile("seeds").published
    sha256 = read_json(published / "dataset.json")["sha256"]
    monkeypatch.setattr("lib.runs.profiles.RESULTS", tmp_path)
    (tmp_path / "published").symlink_to(published.parent)
    monkeypatch.setattr(dataset, "ensure", lambda *_: None)
    monkeypatch.setattr(dataset, "load", lambda *_: Dataset(torch.empty(0, 512, dtype=torch.uint8), sha256, "rendered"))
    monkeypatch.setattr(calls, "middle_heart", lambda *_: torch.zeros(1, 64, 64))
    arms = arms_of("05_other_arms")
    config, evaluation, run = configure_training(parameters_of(arm="vae"), arms, reads_published=True)
    assert run.path == tmp_path / "published" / "seeds" / "vae-seed1"
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    run, data = calls.train_and_show(config, run)
    calls.show_measures(run, data, evaluation)
    calls.show_information(run, data, evaluation)
    calls.show_traversals(run, data)
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*")} == before
    drawn = {path.name for path in (tmp_path / "runs" / "seeds" / "figures" / "vae-seed1").iterdir()}
    assert drawn == {"trace.png", "information.png", "traversals.png"}
    as_laptop = parameters_of(profile="laptop", arm="vae")  # which trains alike
    assert configure_training(as_laptop, arms, reads_published=True)[2].path.parent.name == "seeds"
    for change in ({"published": False}, {"steps": 100}, {"dci_samples": 100}):
        _, _, run = configure_training(parameters_of(arm="vae", **change), arms, reads_published=True)
        assert run.path.parent == tmp_path / "runs" / "seeds"
    run = Run(tmp_path / "runs" / "seeds" / "vae-seed1")
    run.path.mkdir()
    assert configure_training(parameters_of(arm="vae"), arms, reads_published=True)[2] == run
    with pytest.raises(Refusal, match=r"^published is 'no'; give True or False\.$"):
        configure_training(parameters_of(arm="vae", published="no"), arms, reads_published=True)
