"""The engine against a plain loop; determinism, checkpoints and the run directory."""

import dataclasses
import itertools
import json
import math
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from plain_arm import plain_training

from lib.arms import schedule_of
from lib.model import VAE
from lib.runs.profiles import load_profile
from lib.runs.recorded import Recorded, recorded
from lib.runs.run import Run
from lib.runs.trace_file import write_trace
from lib.training.device import reproducible
from lib.training.engine import Engine, trace_columns
from lib.training.lockstep import Lockstep
from lib.training.plain import COLUMNS, reference_loop
from lib.training.streams import advances_of
from lib.training.trace import Trace
from lib.training.train import snapshot_steps, train, train_together


def weights(model: VAE) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def run_steps(engine: Engine, steps: int) -> torch.Tensor:
    return Lockstep([engine]).run(steps)[0]


@pytest.mark.parametrize(
    ("arm", "precision", "steps", "tolerance", "cooldown"),
    [
        ("linear", "float64", 70, 1e-9, 0.0),
        ("adaptive", "float64", 200, 1e-9, 0.0),  # crosses three epochs
        ("linear", "float64", 70, 1e-9, 0.9),  # of 200 steps: it begins at the 21st
        ("linear", "float32", 20, 1e-4, 0.0),
        ("adaptive", "float32", 20, 1e-4, 0.0),
    ],
)
def test_engine_reproduces_the_reference_loop(arm, precision, steps, tolerance, cooldown, tiny_config, few_images):
    config = tiny_config(arm, precision=precision, steps=200, cooldown=cooldown)
    engine, columns = Engine(config, few_images), trace_columns(config.latents)
    values = run_steps(engine, steps)[:, [columns.index(name) for name in COLUMNS]]
    expected = torch.from_numpy(reference_loop(config, few_images.packed.numpy())(steps))
    assert values[-1, 4] != config.c_start  # C has moved
    assert torch.allclose(values, expected, rtol=tolerance, atol=tolerance)


def test_arms_share_initial_weights_batches_and_noise(tiny_config, few_images):
    engines = [Engine(tiny_config(arm), few_images) for arm in ("linear", "adaptive", "linear_full", "adaptive_hold")]
    first = engines[0]
    assert first.prepare() == 62  # until the epoch ends
    for engine in engines[1:]:
        engine.prepare()
        assert torch.equal(weights(engine.model), weights(first.model))
        assert torch.equal(engine._permutation, first._permutation)
        assert torch.equal(engine._noise, first._noise)
    other = Engine(tiny_config(seed=2), few_images)
    other.prepare()
    assert not torch.equal(weights(other.model), weights(first.model))
    assert not torch.equal(other._permutation, first._permutation)
    assert not torch.equal(other._noise, first._noise)
    assert not torch.equal(first._noise[0], first._noise[1])


def test_an_epoch_is_a_permutation_without_replacement(tiny_config, few_images):
    engine, batches = Engine(tiny_config(batch_size=50), few_images), []
    for _ in range(40):
        engine.prepare()
        batches.append(engine.batch_indices())
        engine.step += 1
        engine.t += 1
    epochs = torch.cat(batches).view(2, 1_000)
    for epoch in epochs:
        assert torch.equal(epoch.sort().values, torch.arange(1_000))
    assert not torch.equal(*epochs)


def files(run: Run) -> dict[str, object]:
    """What a run computed, for comparison bit by bit."""
    record = run.record()["summary"]
    return {
        "weights": (run.path / "weights.safetensors").read_bytes(),
        "snapshots": {step: path.read_bytes() for step, path in run.snapshots().items()},
        "trace": run.trace().to_csv(float_format="%.17g"),
        "advanced": run.advanced().tolist(),
        "summary": json.dumps(record),
    }


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(("at", "cooldown"), [(17, 0.0), (20, 0.0), (40, 0.5), (59, 0.0)])
def test_an_interrupted_run_resumes_with_the_same_bits(
    at, cooldown, precision, tiny_config, few_images, tmp_path, monkeypatch, capsys
):
    config = tiny_config(trace_every=4, precision=precision, steps=60, cooldown=cooldown)
    monkeypatch.setattr("lib.training.train.LOOK", {"cpu": 10})
    monkeypatch.setattr("lib.training.train.LEAST_SECONDS", 0)
    whole = train(config, Run(tmp_path / "whole"), few_images, progress=False)

    step = Engine.train_step

    def interrupted(engine: Engine):
        if engine.t == at:
            raise KeyboardInterrupt
        step(engine)

    run = Run(tmp_path / "interrupted")
    with monkeypatch.context() as patch:
        patch.setattr(Engine, "train_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(config, run, few_images, progress=False)
    assert not run.complete
    assert run.checkpoint.exists() == (at >= 20)
    train(config, run, few_images, progress=False)
    assert files(run) == files(whole)
    assert sorted(path.name for path in run.path.rglob("*")) == sorted(path.name for path in whole.path.rglob("*"))


def pair(tiny_config, folder, **changes):
    """Configurations and directories of both arms and of another seed, for training together."""
    configs = [tiny_config(arm, seed, **changes) for arm, seed in (("linear", 1), ("adaptive", 1), ("linear", 2))]
    return configs, [Run(folder / f"{config.arm}-{config.seed}") for config in configs]


def test_runs_trained_together_are_those_trained_alone(tiny_config, few_images, tmp_path):
    configs, together = pair(tiny_config, tmp_path / "together")
    train_together(configs, together, few_images, progress=False)
    _, alone = pair(tiny_config, tmp_path / "alone")
    for config, run, other in zip(configs, together, alone, strict=True):
        train(config, other, few_images, progress=False)
        assert files(run) == files(other)
        assert run.record()["provenance"]["trained_together"] == 3


def test_a_time_limit_leaves_checkpoints_from_which_all_continue(tiny_config, few_images, tmp_path, monkeypatch):
    monkeypatch.setattr("lib.training.train.LOOK", {"cpu": 10})
    configs, whole = pair(tiny_config, tmp_path / "whole")
    train_together(configs, whole, few_images, progress=False)
    _, runs = pair(tiny_config, tmp_path / "limited")
    train_together(configs[:2], runs[:2], few_images, progress=False, time_limit=0)
    assert [run.checkpoint.exists() for run in runs] == [True, True, False]

    # One run gets ahead of the others; they catch up, then all go on together.
    clock = itertools.count()
    with monkeypatch.context() as patch:
        patch.setattr("lib.training.train.time.perf_counter", lambda: float(next(clock)))
        train_together(configs[:1], runs[:1], few_images, progress=False, time_limit=6)
    ahead = torch.load(runs[0].checkpoint, weights_only=True)["engine"]["step"]
    assert 0 < ahead < configs[0].steps
    train_together(configs, runs, few_images, progress=False)
    assert [files(run) for run in runs] == [files(run) for run in whole]


def test_a_run_that_diverges_leaves_the_others_alone(tiny_config, few_images, tmp_path):
    configs, runs = pair(tiny_config, tmp_path, steps=200, snapshots=0)
    configs[0] = dataclasses.replace(configs[0], learning_rate=1e6)
    with pytest.raises(FloatingPointError, match="diverged at step"):
        train_together(configs, runs, few_images, progress=False)
    assert [run.complete for run in runs] == [False, True, True]


def test_an_observer_sees_the_trace_grow_and_changes_nothing(tiny_config, few_images, tmp_path, monkeypatch):
    monkeypatch.setattr("lib.training.train.LOOK", {"cpu": 20})
    seen, config = [], tiny_config(snapshots=0)
    run = Run(tmp_path / "seen")
    train(config, run, few_images, False, lambda of, trace: seen.append((of, trace.frame()["step"].iloc[-1])))
    assert seen == [(run, 20), (run, 40), (run, 60)]
    assert files(run) == files(train(config, Run(tmp_path / "unseen"), few_images, progress=False))


def test_runs_that_cannot_train_together_are_refused(tiny_config, few_images, tmp_path):
    configs, runs = pair(tiny_config, tmp_path)
    configs[1] = dataclasses.replace(configs[1], precision="bfloat16")
    with pytest.raises(ValueError, match="need the same device, threads and precision; train them apart"):
        train_together(configs, runs, few_images, progress=False)
    engines = [Engine(config, few_images) for config in configs]
    run_steps(engines[0], 3)
    with pytest.raises(ValueError, match=r"at steps \[3, 0, 0\]; bring them level first"):
        Lockstep(engines)


def test_every_process_that_trains_a_run_is_a_segment_of_its_record(tiny_config, few_images, tmp_path, monkeypatch):
    monkeypatch.setattr("lib.training.train.LOOK", {"cpu": 10})
    commits, clock = iter(["first", "second", "third"]), itertools.count()
    monkeypatch.setattr("lib.training.train.provenance", lambda device: {"commit": next(commits)})
    config, run = tiny_config(steps=60, snapshots=0), Run(tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr("lib.training.train.time.perf_counter", lambda: float(next(clock)))
        for _ in range(2):
            train_together([config], [run], few_images, progress=False, time_limit=6)
    assert not run.complete
    train(config, run, few_images, progress=False)
    segments = run.segments()
    assert [segment["commit"] for segment in segments] == ["first", "second", "third"]
    ends = [segment["last_step"] for segment in segments]
    assert [segment["first_step"] for segment in segments] == [1, *(end + 1 for end in ends[:-1])]
    assert ends[-1] == 60 and 0 < ends[0] < ends[1] < 60
    assert sum(segment["seconds"] for segment in segments) == pytest.approx(run.record()["provenance"]["seconds"])
    assert {segment["products"] for segment in segments} == {"float32"}


def test_the_commit_on_record_is_that_of_the_start(tiny_config, few_images, tmp_path, monkeypatch):
    commits = iter(["at the start", "at the end"])
    monkeypatch.setattr("lib.training.train.provenance", lambda device: {"commit": next(commits)})
    run = train(tiny_config(steps=8), Run(tmp_path / "run"), few_images, progress=False)
    assert run.record()["provenance"]["commit"] == "at the start"


def test_tf32_is_refused_on_a_cpu_before_anything_is_written(tiny_config, few_images, tmp_path):
    with pytest.raises(ValueError, match="precision is 'tf32', a mode of CUDA devices; choose float32 or bfloat16"):
        train(tiny_config(precision="tf32"), Run(tmp_path / "run"), few_images, progress=False)
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_is_not_written_twice_in_half_a_minute(tiny_config, few_images, tmp_path, monkeypatch):
    monkeypatch.setattr("lib.training.train.LOOK", {"cpu": 10})
    written = []
    monkeypatch.setattr("lib.training.train.Training.checkpoint", lambda self: written.append(self.engine.step))
    train(tiny_config(), Run(tmp_path / "quick"), few_images, progress=False)
    assert written == []
    monkeypatch.setattr("lib.training.train.LEAST_SECONDS", 0)
    train(tiny_config(), Run(tmp_path / "often"), few_images, progress=False)
    assert written == [20, 40]


def test_the_seed_decides_the_bits(tiny_config, few_images, tmp_path):
    runs = [
        train(tiny_config(seed=seed, steps=12), Run(tmp_path / str(number)), few_images, progress=False)
        for number, seed in enumerate((1, 1, 2))
    ]
    assert files(runs[0]) == files(runs[1])
    assert files(runs[0])["weights"] != files(runs[2])["weights"]


def test_a_complete_run_is_loaded_and_another_configuration_refused(tiny_config, few_images, tmp_path, monkeypatch):
    config, run = tiny_config(steps=8), Run(tmp_path / "run")
    train(config, run, few_images, progress=False)
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    monkeypatch.setattr(Engine, "train_step", None)  # training again would fail
    train(config, run, few_images, progress=False)
    with pytest.raises(ValueError, match=r"holds a run with ki 0\.3 instead of 0\.2; remove that directory"):
        train(dataclasses.replace(config, ki=0.2), run, few_images, progress=False)
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*")} == before


def test_divergence_stops_with_a_sentence_and_leaves_no_result(tiny_config, few_images, tmp_path):
    run = Run(tmp_path / "run")
    with pytest.raises(FloatingPointError, match="diverged at step"):
        train(tiny_config(learning_rate=1e6, steps=200), run, few_images, progress=False)
    assert not run.complete


def test_thinned_trace_is_the_full_one_at_its_steps_with_window_means(tiny_config, few_images, tmp_path):
    full, thin = (
        train(tiny_config(trace_every=k), Run(tmp_path / f"{k}"), few_images, progress=False).trace() for k in (1, 12)
    )
    assert thin["step"].tolist() == [12, 24, 36, 48, 60]
    columns = trace_columns(10)
    picked = full[full["step"].isin(thin["step"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(picked[columns], thin[columns])
    means = full[columns].astype(float).groupby((full["step"] - 1) // 12).mean()
    assert np.allclose(thin[[f"{name}_mean" for name in columns]], means, rtol=1e-12)
    assert full["frozen"].dtype == bool


@pytest.mark.parametrize("arm", ["linear", "adaptive", "linear_full", "adaptive_hold", "capacity_ramp", "dynamic_vae"])
def test_the_advance_bits_reproduce_the_capacity_exactly(arm, tiny_config, few_images, tmp_path):
    config = tiny_config(arm, trace_every=30)
    run = train(config, Run(tmp_path / "run"), few_images, progress=False)
    schedule = schedule_of(config.arm, config.c_start, config.c_max, config.steps)
    capacity = schedule.curve(run.advanced())
    assert capacity[[29, 59]].tolist() == run.trace()["capacity"].tolist()


def test_summary_counts_every_step_and_finds_the_lock(tiny_config):
    config = tiny_config(trace_every=2, latents=2, steps=6)
    table = pd.DataFrame(0.0, index=range(6), columns=trace_columns(2))
    table["kl"], table["set_point"] = [1.0, 2, 3, 4, 5, 6], 2.0
    table["beta"] = [1.0, 1.5, 1.0, 1.0, 2.0, 2.0]
    table["locked"] = [0, 0, 0, 1, 1, 1]
    table["advanced"] = [1, 0, 0, 0, 0, 1]
    trace = Trace(config, list(table))
    for part in np.split(table.to_numpy(), [1, 4]):  # blocks need not end where windows do
        trace.add(part)
    summary = trace.summary()
    assert trace.frame()["step"].tolist() == [2, 4, 6]
    assert summary["share_at_beta_min"] == 0.5
    assert summary["mean_kl_to_set_point"] == pytest.approx((1 + 0 + 1 + 2 + 3 + 4) / 6)
    assert summary["mean_beta"] == pytest.approx(8.5 / 6)
    assert summary["share_advanced"] == pytest.approx(2 / 6)
    assert summary["locked_at"] == 4
    assert summary["kl_last_percent"] == 5.5  # the mean over the last window
    assert summary["kl_spread_last_tenth"] is None  # one row is not enough
    # Rows of steps 2, 4 and 6, all below C_max: C advanced at the last, where the KL was above it; both others held.
    found = summary["decisions"]
    assert [found[name] for name in ("rows", "every", "below", "above")] == [3, 2, 0, 0.5]
    by_the_clock = Trace(tiny_config("linear", latents=2, steps=6), list(table))
    by_the_clock.add(table.to_numpy())
    assert by_the_clock.summary()["decisions"] is None


def test_half_of_the_snapshots_lie_in_the_last_two_thirds(tiny_config):
    config = tiny_config(steps=30_000, snapshots=6)  # adaptive: C arrives with the last step
    assert snapshot_steps(config) == [100, 1_000, 10_000, 16_667, 23_333, 30_000]
    assert snapshot_steps(tiny_config(steps=60, snapshots=4)) == [2, 20, 40, 60]
    assert snapshot_steps(tiny_config(steps=60, snapshots=1)) == [60]
    assert snapshot_steps(tiny_config(snapshots=0)) == []


def test_one_snapshot_more_is_kept_when_c_arrives(tiny_config):
    config = tiny_config("linear", steps=30_000, snapshots=2, c_start=0.5, c_max=16.0)
    assert snapshot_steps(config) == [100, 10_400, 30_000]  # 104 increments of 100 steps
    longer = load_profile("paper").training_config("slow_then_hold", 1)
    assert longer.steps == 2_480_000 and 1_500_000 in snapshot_steps(longer)


def test_a_random_hold_advances_as_often_as_the_adaptive_run_and_trains_other_weights(
    tiny_config, few_images, tmp_path
):
    # With no least beta, so that ties are rare.
    settings = {"steps": 400, "batch_size": 4, "trace_every": 10, "beta_min": 0.0}
    config, run = tiny_config("random_hold", **settings), Run(tmp_path / "random_hold-seed1")
    with pytest.raises(ValueError, match="as the run adaptive-seed1 did, which is not complete"):
        train(config, run, few_images, progress=False)
    other = train(tiny_config("adaptive", **settings), Run(tmp_path / "adaptive-seed1"), few_images, progress=False)
    train(config, run, few_images, progress=False)

    share, advanced = other.record()["summary"]["share_advanced"], run.advanced()
    assert run.record()["provenance"]["drawn_share"] == share and 0 < share < 1
    assert abs(advanced.mean() - share) < 4 * (share * (1 - share) / 400) ** 0.5
    assert (advanced != other.advanced()).any()
    assert advanced.tolist() == advances_of(1, 400, Recorded(share, None, {})).tolist()  # blind to beta
    assert not torch.equal(weights(run.load_model()), weights(other.load_model()))

    changed = tiny_config("random_hold", **settings, learning_rate=0.002)
    with pytest.raises(ValueError, match="train that first"):  # the run beside it has other settings
        train(changed, Run(tmp_path / "random_hold-seed1-other"), few_images, progress=False)


def test_a_matched_curve_is_what_the_next_seeds_adaptive_run_recorded(tiny_config, few_images, tmp_path):
    settings = {"steps": 200, "batch_size": 8, "trace_every": 1, "beta_min": 0.0}
    config, run = tiny_config("matched_curve", seed=4, **settings), Run(tmp_path / "matched_curve-seed4")
    for seed in (2, 4):  # the last takes the first one's
        adaptive = tiny_config("adaptive", seed=seed, **settings)
        train(adaptive, Run(tmp_path / f"adaptive-seed{seed}"), few_images, progress=False)
    train(config, run, few_images, progress=False)

    first, own = Run(tmp_path / "adaptive-seed2"), Run(tmp_path / "adaptive-seed4")
    assert run.trace()["capacity"].tolist() == first.trace()["capacity"].tolist()
    assert run.trace()["capacity"].tolist() != own.trace()["capacity"].tolist()
    assert not torch.equal(weights(run.load_model()), weights(own.load_model()))
    integral, unclipped, steps = 0.0, 1.0, 40
    curve = [config.c_start, *first.trace()["capacity"]]

    def pressure(t, mean, logvar, z, kl):  # the published controller, on the C that was recorded
        nonlocal integral, unclipped
        error = curve[t - 1] - kl.item()
        integral -= 0 if unclipped < config.beta_min else config.ki * error
        unclipped = config.kp / (1 + math.exp(error)) + integral + config.beta_min
        beta = max(config.beta_min, unclipped)
        return beta * kl, (beta, curve[t - 1], curve[t])

    double = dataclasses.replace(config, precision="float64")
    engine = Engine(double, few_images, torch.from_numpy(first.advanced()))
    picked = [trace_columns(10).index(name) for name in ("reconstruction", "kl", "beta", "set_point", "capacity")]
    assert np.allclose(run_steps(engine, steps)[:, picked], plain_training(double, few_images, steps, pressure))
    origin = run.record()["provenance"]
    assert (origin["curve_of"], origin["curve_sha256"]) == (first.name, first.hashes()["trace.h5"])

    copies = tmp_path / "copies"  # of published runs, which have no whole trace

    def copy(whole: Run) -> None:
        (copies / whole.name).mkdir(parents=True)
        for name in ("config.json", "run.json"):
            shutil.copy(whole.path / name, copies / whole.name)
        write_trace(copies / whole.name / "advanced.h5", pd.DataFrame(), whole.advanced(), {})

    with pytest.raises(ValueError, match="as the adaptive run of another seed did, and none is in"):
        recorded(config, Run(copies / run.name))
    copy(own)
    with pytest.raises(ValueError, match="as the adaptive run of another seed did, and none is in"):
        recorded(config, Run(copies / run.name))
    copy(first)
    taken = recorded(config, Run(copies / run.name))
    assert taken.origin["curve_sha256"] == origin["curve_sha256"] and (taken.advanced == first.advanced()).all()

    (tmp_path / "adaptive-seed3").mkdir()
    with pytest.raises(ValueError, match="as the run adaptive-seed3 did, which is not complete"):
        earlier = tiny_config("matched_curve", seed=2, **settings)
        train(earlier, Run(tmp_path / "matched_curve-seed2"), few_images, progress=False)


def test_saved_weights_are_the_networks(tiny_config, few_images, tmp_path):
    config = tiny_config(steps=8, snapshots=1)
    run = train(config, Run(tmp_path / "run"), few_images, progress=False)
    engine = Engine(config, few_images)
    with torch.no_grad():
        before = F.mse_loss(weights(run.load_model()), weights(engine.model))
    with reproducible(config.threads):  # the bits depend on it
        run_steps(engine, 8)
    assert before > 0
    assert torch.equal(weights(run.load_model()), weights(engine.model))
    assert torch.equal(weights(run.load_model(run.snapshots()[8])), weights(engine.model))


def test_every_control_by_the_clock_has_a_curve_and_weights_of_its_own(tiny_config, few_images, tmp_path):
    runs = {}
    for arm in ("linear", "linear_full", "slow_then_hold"):
        config = tiny_config(arm, steps=300, batch_size=4, c_start=0.5, c_max=2.0)
        runs[arm] = train(config, Run(tmp_path / arm), few_images, progress=False)
    lengths = {arm: len(run.advanced()) for arm, run in runs.items()}
    assert lengths["linear"] == lengths["linear_full"] == 300 < lengths["slow_then_hold"]
    held = {arm: (run.trace()["capacity"] == 2.0).sum() for arm, run in runs.items()}
    assert held["linear"] == held["slow_then_hold"] > 100 > held["linear_full"]
    known = [weights(run.load_model()) for run in runs.values()]
    assert not any(torch.equal(one, other) for one, other in itertools.combinations(known, 2))
