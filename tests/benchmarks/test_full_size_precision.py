"""The comparison of two precisions at the report's own size, in miniature, and the sentences that it ends in."""

import numpy as np
import pandas as pd
import pytest
import torch

from lib.benchmarks import full_size_precision, results
from lib.benchmarks.figures import full_size_traces
from lib.benchmarks.full_size_precision import VALUES, compare, differences, finding, trained_by, windows
from lib.files import write_json
from lib.runs.run import Run
from lib.training.train import train

STEPS, WINDOW = 40, 8


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The runs of `trained`, each trained once, by what they were asked with, and the folder of all."""
    return {"folder": tmp_path_factory.mktemp("made")}


@pytest.fixture
def trained(tiny_config, few_images, made, monkeypatch):
    """A function: a run of an arm in a precision, finished, or as if cut off before its last act."""

    def run(arm, precision, finished=False, **changes):
        asked = (arm, precision, finished, *changes.items())
        if asked in made:
            return made[asked]
        new = Run(made["folder"] / str(len(made)))
        with monkeypatch.context() as patch:
            if not finished:
                patch.setattr("lib.training.train.Training._finish", lambda self: self.checkpoint())
            train(tiny_config(arm, precision=precision, trace_every=4, **changes), new, few_images, progress=False)
        made[asked] = new
        return new

    return run


def test_windows_are_means_of_every_step(tiny_config, few_images, tmp_path, trained):
    every = train(tiny_config("adaptive"), Run(tmp_path / "every"), few_images, progress=False).trace()
    frame, _, _ = full_size_precision.recorded(trained("adaptive", "float32"))
    means = windows(frame, STEPS, WINDOW)
    assert means.index.tolist() == [8, 16, 24, 32, 40]
    for step, row in means.iterrows():
        for name in VALUES:
            values = [every[name][n] for n in range(step - WINDOW, step)]  # rows count from 0, steps from 1
            assert row[name] == pytest.approx(sum(values) / WINDOW, rel=1e-9)


def test_finished_or_not_the_runs_tell_the_same(trained):
    pairs = [(arm, precision) for arm in ("adaptive", "linear") for precision in ("bfloat16", "float32")]
    table, record = compare([trained(*pair) for pair in pairs], STEPS, WINDOW)
    again, finished = compare([trained(*pair, finished=True) for pair in pairs], STEPS, WINDOW)
    pd.testing.assert_frame_equal(table, again)
    assert trained_by(finished) == trained_by(record) != ""
    assert len(table) == 4 * STEPS // WINDOW and list(table.columns) == ["arm", "precision", "step", *VALUES]
    assert record["first_other_decision"]["linear"] is None  # a clock moves C
    assert {part["precision"] for parts in record["segments"].values() for part in parts} == {"float32", "bfloat16"}
    figure = full_size_traces(table)
    assert [axis.get_ylabel().split()[0] for axis in figure.axes] == ["reconstruction", "KL", r"$\beta(t)$", "capacity"]
    assert all(len(axis.lines) == 4 for axis in figure.axes)


def test_the_first_other_decision_is_a_step_counted_from_one(trained, monkeypatch):
    runs = [trained(arm, precision) for arm in ("linear", "adaptive") for precision in ("float32", "bfloat16")]
    read = full_size_precision.recorded

    def with_decisions(run):
        trace, advanced, segments = read(run)
        advanced[:] = False
        if run.config().precision == "bfloat16":
            advanced[6 if run.config().arm == "adaptive" else STEPS] = True
        return trace, advanced, segments

    monkeypatch.setattr(full_size_precision, "recorded", with_decisions)
    _, record = compare(runs, STEPS, WINDOW)
    assert record["first_other_decision"] == {"linear": None, "adaptive": 7}


def invented(changed: float) -> pd.DataFrame:
    """Twenty windows: adaptive is 2 above linear in float32, 2 + changed in bfloat16, and 1 more in the last two."""
    rows = []
    for arm, precision, value in (
        ("linear", "float32", 10.0), ("linear", "bfloat16", 10.25),
        ("adaptive", "float32", 12.0), ("adaptive", "bfloat16", 12.25 + changed),
    ):  # fmt: skip
        for window in range(20):
            more = float(window >= 18 and arm == "adaptive")
            rows.append((arm, precision, window + 1, *[value + more] * 4))
    return pd.DataFrame(rows, columns=["arm", "precision", "step", *VALUES])


def test_what_the_trainings_differ_by():
    shown = differences(invented(-0.75))
    assert shown["kl"].tolist() == pytest.approx([0.25, 0.5, 3.0, 2.25])
    assert shown.index.tolist() == [
        "bfloat16 − float32, linear", "bfloat16 − float32, adaptive", "adaptive − linear, float32",
        "adaptive − linear, bfloat16",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("first", "said"),
    [
        (
            {"linear": None, "adaptive": 40_100},
            "In the adaptive arm C first advances in one precision and not in the other at step 40,100. No",
        ),
        ({"linear": None, "adaptive": None}, "C advances at the same steps in both. No second"),
    ],
)
def test_the_sentences(first, said, tmp_path, monkeypatch):
    monkeypatch.setattr(results, "DIRECTORY", tmp_path)
    record = results.origin(torch.device("cpu")) | {"first_other_decision": first}
    results.save("full_size_precision", invented(-0.75).assign(beta=lambda rows: 2 * rows["kl"]), record, tmp_path)
    assert said in finding()
    assert "is +3.000 nats of KL in float32 and +2.250 in bfloat16; of all four values it changes by 25.0%" in finding()
    assert "so that bfloat16 alters how they differ" in finding()
    results.save("full_size_precision", invented(0.25), record, tmp_path)
    assert "at most (reconstruction), so that they differ alike in both." in finding()


def test_what_trained_them_is_named_as_far_as_it_is_known():
    segment = {"precision": "float32", "commit": "0123456789", "hardware": {"processor": "A"}}
    other = segment | {"precision": "bfloat16", "products": "bfloat16 by float32 instructions", "commit": "abcdefghi"}
    record = {"segments": {"linear": [segment, segment], "linear-bfloat16": [other, {"first_step": 1, "seconds": 1.0}]}}
    assert trained_by(record) == "bfloat16 by float32 instructions on A (commit abcdefg); float32 on A (commit 0123456)"


def test_runs_that_cannot_be_compared_are_refused(trained):
    linear = [trained("linear", precision) for precision in ("float32", "bfloat16")]
    adaptive = [trained("adaptive", precision) for precision in ("float32", "bfloat16")]
    for runs in (
        linear,
        [*linear, *linear],
        [*linear, *adaptive, linear[0]],
        [*linear, adaptive[0], trained("adaptive", "bfloat16", learning_rate=2e-3)],
        [*linear, trained("vae", "float32"), trained("vae", "bfloat16")],
    ):
        with pytest.raises(ValueError, match="Give one run of each of linear and adaptive in each of float32 and"):
            compare(runs, STEPS, WINDOW)
    with pytest.raises(ValueError, match=r"has done 60 steps; train it for 64\.$"):
        compare([*linear, *adaptive], 64, WINDOW)
    with pytest.raises(ValueError, match="trace_every is 4; give runs whose traces have rows every 6 steps"):
        compare([*linear, *adaptive], STEPS, 6)


def test_the_command_says_in_one_line_what_it_lacks(tmp_path, monkeypatch, tiny_config):
    run = Run(tmp_path / "none")
    run.path.mkdir()
    write_json(run.path / "config.json", tiny_config().as_mapping())
    monkeypatch.setattr("sys.argv", ["full_size_precision", str(run.path)])
    with pytest.raises(SystemExit, match="Give one run of each of linear and adaptive"):
        full_size_precision.main()


def test_the_stored_table_is_of_both_arms_in_both_precisions():
    table, record, _ = results.last("full_size_precision")
    assert dict(table.groupby(["arm", "precision"]).size()) == {
        (arm, precision): 100 for arm in ("linear", "adaptive") for precision in ("float32", "bfloat16")
    }
    assert (record["steps"], record["window"], record["of_steps"]) == (50_000, 500, 1_500_000)
    assert np.isfinite(table[list(VALUES)].to_numpy()).all()
