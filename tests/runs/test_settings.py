"""Configurations, profiles and notebook parameters refuse what they do not know, in one sentence."""

import dataclasses

import pytest

from lib.report.notebooks.shared import EVALUATION, TRAINING, configure_training, parameters
from lib.runs.profiles import load_profile
from lib.runs.settings import EvaluationConfig, TrainingConfig

PAPER = load_profile("paper")


def test_paper_profile_has_the_reports_values():
    config = PAPER.training_config("linear", 1)
    expected = {
        "steps": 1_500_000, "batch_size": 64, "learning_rate": 1e-4, "latents": 10, "architecture": "conv",
        "c_start": 0.5, "c_max": 16.0, "kp": 0.01, "ki": 0.001, "kd": 0.0, "beta_min": 1.0, "anti_windup": "published",
        "trace_every": 100,
    }  # fmt: skip
    assert {name: getattr(config, name) for name in expected} == expected
    assert PAPER.evaluation_config().position_stride == 1
    assert PAPER.evaluation_config().monte_carlo_samples == 10_000
    assert PAPER.evaluation_config().snapshot_position_stride == 1
    assert PAPER.evaluation_config().dci_samples == 10_000


@pytest.mark.parametrize("name", ["smoke", "laptop", "seeds", "hour", "paper"])
def test_profiles_load_and_their_configurations_survive_json(name):
    profile = load_profile(name)
    config = profile.training_config("adaptive", 3)
    assert TrainingConfig.from_mapping(config.as_mapping()) == config
    assert profile.run(config).name == "adaptive-seed3"
    assert [run.name for run in profile.runs()] == [f"{arm}-seed{s}" for s in profile.seeds for arm in profile.arms]


def test_laptop_measures_all_images():
    assert load_profile("laptop").evaluation_config().position_stride == 1


def test_a_run_is_named_by_what_departs_from_its_profile():
    config = PAPER.training_config("linear", 2, steps=20_000, learning_rate=None, data="/somewhere/official.npz")
    assert PAPER.run(config).name == "linear-seed2-data=official.npz-steps=20000"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"steps": "20000"}, "steps is '20000'; give an integer."),
        ({"seed": True}, "seed is True; give an integer."),
        ({"seed": 1.5}, "seed is 1.5; give an integer."),
        ({"learning_rate": "fast"}, "learning_rate is 'fast'; give a number."),
        ({"learning_rate": float("nan")}, "learning_rate is nan; give a finite number."),
        ({"learning_rate": 0}, "learning_rate is 0.0; give a number above 0."),
        ({"batch_size": 0}, "batch_size is 0; give 1 or more."),
        ({"batch_size": 800_000}, "batch_size is 800000; the data set has 737280 images."),
        ({"latents": 1}, "latents is 1; give 2 or more."),
        ({"ki": -0.1}, "ki is -0.1; give 0 or more."),
        ({"c_max": 0.1}, "c_max is 0.1, below c_start = 0.5; give c_max >= c_start."),
        ({"architecture": "resnet"}, "architecture is 'resnet'; choose one of conv, fc, burgess."),
        ({"anti_windup": "none"}, "anti_windup is 'none'; choose one of published, conditional."),
        ({"precision": "float16"}, "precision is 'float16'; choose one of float32, tf32, bfloat16, float64."),
        ({"steps": 150}, "steps is 150, no multiple of trace_every = 100; make it one."),
        ({"momentum": 0.9}, "There is no setting 'momentum'; the settings are arm, data, seed"),
    ],
)
def test_refusals(change, sentence):
    with pytest.raises(ValueError) as refusal:
        PAPER.training_config("linear", **({"seed": 1} | change))
    assert str(refusal.value).startswith(sentence)


def test_unknown_arm_profile_and_stride_are_refused():
    with pytest.raises(ValueError, match="arm is 'cyclic'; choose one of linear, adaptive, linear_full, adaptive_hold"):
        PAPER.training_config("cyclic", 1)
    with pytest.raises(ValueError, match="profile is 'desktop'; choose one of paper, laptop, seeds, cooled, smoke"):
        load_profile("desktop")
    with pytest.raises(ValueError, match=r"^position_stride is 3; choose 1, 2, 4, 8 or 16"):
        PAPER.evaluation_config(position_stride=3)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"snapshot_position_stride": 3}, "snapshot_position_stride is 3; choose 1, 2, 4, 8 or 16."),
        ({"snapshots_measured": 0}, "snapshots_measured is 0; give 1 or more."),
        ({"snapshots_measured": "all"}, "snapshots_measured is 'all'; give an integer."),
        ({"dci_samples": 99}, "dci_samples is 99; give 100 or more."),
    ],
)
def test_refusals_of_the_evaluation(change, sentence):
    with pytest.raises(ValueError) as refusal:
        PAPER.evaluation_config(**change)
    assert str(refusal.value) == sentence


def test_integers_become_floats_where_a_float_belongs():
    assert type(PAPER.training_config("linear", 1, c_max=20).c_max) is float


def test_configurations_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        PAPER.training_config("linear", 1).seed = 2


def test_a_missing_setting_is_named():
    values = PAPER.evaluation_config().as_mapping()
    del values["evaluation_seed"]
    with pytest.raises(ValueError, match="setting 'evaluation_seed' is missing"):
        EvaluationConfig.from_mapping(values)


CELL = "configure(globals())"


DECLARED = "seed: int = 1  # of everything"


def namespace(*cells: str, **values):
    """A notebook's globals after its cells ran; the last cell is the one that asks."""
    return {"In": ["", *cells], **values}


def test_notebook_parameters_of_any_later_cell_are_nobodys_business():
    given = parameters(namespace("!pip list", DECLARED, CELL, "x = 2", CELL, seed=1, x=2), ("seed",))
    assert given == {"seed": 1}


@pytest.mark.parametrize(
    "cells", [(DECLARED, "# Parameters\nsede = 2\n"), (DECLARED + "\nsede: int = 2",), (DECLARED + "\nsede = seed",)]
)
def test_a_misspelt_notebook_parameter_is_refused(cells):
    with pytest.raises(ValueError, match=r"There is no parameter 'sede'; the parameters are seed\."):
        parameters(namespace(*cells, CELL, seed=1, sede=2), ("seed",))


def test_a_misspelling_can_be_corrected_without_a_restart():
    cells = (DECLARED + "\nsede = 2", CELL, DECLARED + "\n", CELL)
    assert parameters(namespace(*cells, seed=1, sede=2), ("seed",)) == {"seed": 1}


def test_training_parameters_build_the_run():
    values = dict.fromkeys([*TRAINING, *EVALUATION]) | {"profile": "laptop", "arm": "linear", "seed": 2, "steps": 900}
    cells = ("profile: str = 'laptop'", CELL)
    config, evaluation, run = configure_training(namespace(*cells, **values), ("linear", "linear_full"))
    assert (config.steps, config.seed, run.name) == (900, 2, "linear-seed2-steps=900")
    assert run.path.parent.name == "laptop" and evaluation == load_profile("laptop").evaluation_config()
    with pytest.raises(ValueError, match="arm is 'linear'; this notebook trains adaptive or adaptive_hold"):
        configure_training(namespace(*cells, **values), ("adaptive", "adaptive_hold"))
    with pytest.raises(ValueError, match=r"nowhere\.npz is not a file; give \"rendered\", \"download\" or the path"):
        configure_training(namespace(*cells, **(values | {"data": "nowhere.npz"})), ("linear",))


def test_cuda_is_refused_where_there_is_none(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    values = dict.fromkeys([*TRAINING, *EVALUATION]) | {
        "profile": "laptop",
        "arm": "linear",
        "seed": 2,
        "device": "cuda",
    }
    with pytest.raises(ValueError, match="PyTorch finds no CUDA device"):
        configure_training(namespace("profile: str = 'laptop'", CELL, **values), ("linear",))


def test_what_an_older_version_wrote_means_what_it_did():
    values = PAPER.training_config("linear", 1).as_mapping()
    older = {name: value for name, value in values.items() if name != "cooldown"}
    assert TrainingConfig.completed(older) == values and TrainingConfig.from_mapping(older).cooldown == 0
    assert TrainingConfig.completed(values | {"cooldown": 0.2})["cooldown"] == 0.2
    with pytest.raises(ValueError, match=r"cooldown is 1.5; give a share of the steps from 0 to 1"):
        PAPER.training_config("linear", 1, cooldown=1.5)
