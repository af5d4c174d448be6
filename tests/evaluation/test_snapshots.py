"""The measures over training against direct computation on a tiny run, and what an interruption or a change repeats."""

import math
import os
import signal
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch.nn.functional import binary_cross_entropy_with_logits

from lib import mig
from lib.data.dataset import Dataset
from lib.dsprites import FACTOR_NAMES, N_IMAGES, indices_to_factors, render
from lib.evaluation import snapshots
from lib.evaluation.evaluate import evaluate
from lib.evaluation.snapshots import chosen_snapshots, measure_snapshots, measure_snapshots_so_far, measured_rows
from lib.files import read_json
from lib.information import decompose
from lib.model import VAE
from lib.recorded_tables import write_recorded
from lib.report.controller_tables import information_gaps
from lib.report.figures.information import over_training
from lib.runs.profiles import load_profile
from lib.runs.run import Run
from lib.training.train import train

SIZES = (3, 6, 40, 2, 2)  # of the grid of every 16th x and y
STEPS = [13, 130, 260, 390]
EVERY = 13  # steps between two rows of the trace


def settings(**changes):
    defaults = {
        "position_stride": 16, "snapshot_position_stride": 16, "snapshots_measured": 4,
        "monte_carlo_samples": 2, "decomposition_samples": 200,
    }  # fmt: skip
    return load_profile("smoke").evaluation_config(**(defaults | changes))


@pytest.fixture(scope="module")
def trained(all_images, tmp_path_factory) -> Run:
    """A short run with four snapshots."""
    config = load_profile("smoke").training_config(
        "adaptive",
        1,
        steps=390,
        batch_size=4,
        architecture="fc",
        precision="float32",
        trace_every=EVERY,
        snapshots=4,
        device="cpu",
    )
    return train(config, Run(tmp_path_factory.mktemp("runs") / "adaptive-seed1"), all_images, progress=False)


@pytest.fixture
def run(trained) -> Run:
    """The run with nothing measured on its snapshots."""
    for name in ("snapshots.csv", "snapshots.json"):
        (trained.path / name).unlink(missing_ok=True)
    return trained


@pytest.fixture
def encoded(monkeypatch) -> list[int]:
    """Collects the number of images of every snapshot that is encoded from now on."""
    calls, encode = [], snapshots.encode_images

    def counted(model, data, indices, *rest):
        calls.append(len(indices))
        return encode(model, data, indices, *rest)

    monkeypatch.setattr(snapshots, "encode_images", counted)
    return calls


def test_rows_agree_with_direct_computation(run, all_images):
    rows = measure_snapshots(run, all_images, settings(), progress=False)
    assert rows["step"].tolist() == STEPS
    factors = indices_to_factors(np.arange(N_IMAGES))
    grid = np.flatnonzero((factors[:, 3] % 16 == 0) & (factors[:, 4] % 16 == 0))
    images = torch.from_numpy(render(grid)).float()[:, None]
    trace = run.trace()
    noise = torch.randn(len(grid), 10, generator=torch.Generator().manual_seed(0))
    for row in rows.itertuples():
        model = VAE("fc", 10).eval()
        model.load_state_dict(load_file(run.path / "snapshots" / f"step_{row.step:07d}.safetensors"))
        with torch.no_grad():
            mean, logvar = model.encode(images)
            logits = model.decode(mean + (logvar / 2).exp() * noise)
        kl = 0.5 * (mean.double() ** 2 + logvar.double().exp() - logvar.double() - 1).mean(0)
        assert [getattr(row, f"kl_{j}") for j in range(10)] == pytest.approx(kl.tolist(), abs=1e-5)
        assert row.kl == pytest.approx(kl.sum().item(), rel=1e-5)
        loss = binary_cross_entropy_with_logits(logits, images, reduction="sum").item() / len(grid)
        assert row.reconstruction == pytest.approx(loss, rel=1e-5)
        expected = decompose(mean, logvar, 200, torch.Generator().manual_seed(0))
        for name in ("mutual_information", "total_correlation", "dimension_wise_kl"):
            assert getattr(row, name) == pytest.approx(getattr(expected, name), abs=1e-4)
        information = mig.mutual_information(mean, logvar, SIZES)
        best = [getattr(row, f"information_{name}") for name in FACTOR_NAMES]
        assert best == pytest.approx([max(latents) for latents in information.tolist()], abs=1e-5)
        assert row.mig_four == pytest.approx(mig.mutual_information_gap(information, SIZES), abs=1e-5)
        assert row.mig_five == pytest.approx(mig.mutual_information_gap(information, SIZES, range(5)), abs=1e-5)
        line = trace.iloc[row.step // EVERY - 1]  # the last row that is not after the step
        assert line["step"] <= row.step < line["step"] + EVERY
        assert (row.capacity, row.beta) == (line["capacity"], line["beta"])
        assert (row.images, row.position_stride) == (len(grid), 16)


def test_the_parts_add_up_and_the_mutual_information_keeps_its_bound(run, all_images):
    rows = measure_snapshots(run, all_images, settings(), progress=False)
    parts = rows["mutual_information"] + rows["total_correlation"] + rows["dimension_wise_kl"]
    assert parts.to_numpy() == pytest.approx(rows["kl"].to_numpy(), rel=1e-5)
    assert (rows["mutual_information"] <= np.log(rows["images"]) + 3 * rows["decomposition_standard_error"]).all()


def test_posteriors_that_stand_apart_reach_the_bound_of_the_grid(run, all_images, monkeypatch):
    """I_q = log N of the N images measured, however large the KL."""

    def sharp(model, data, indices, batch, bar):
        mean = torch.arange(len(indices)).float()[:, None] / 50 * torch.tensor([1.0] + [0.0] * 9)
        return mean, torch.full((len(indices), 10), -14.0)

    monkeypatch.setattr(snapshots, "encode_images", sharp)
    row = measure_snapshots(run, all_images, settings(snapshots_measured=1), progress=False).iloc[-1]
    assert row["mutual_information"] == pytest.approx(math.log(math.prod(SIZES)), abs=1e-3)
    assert row["kl"] > 2 * row["mutual_information"]


def test_the_last_snapshot_on_the_same_grid_has_the_values_of_the_evaluation(run, all_images):
    measured = evaluate(run, all_images, settings(), progress=False)
    last = measure_snapshots(run, all_images, settings(), progress=False).iloc[-1]
    assert last["kl"] == measured["kl"]
    assert last["reconstruction"] == measured["reconstruction"]
    assert last["mig_four"] == measured["mig_four"]["quadrature"]
    for name in ("mutual_information", "total_correlation", "dimension_wise_kl"):
        assert last[name] == measured["decomposition"][name]


def test_the_reconstruction_of_some_images_stands_for_that_of_all(run, all_images, monkeypatch):
    monkeypatch.setattr(snapshots, "RECONSTRUCTED", 400)
    last = measure_snapshots(run, all_images, settings(snapshots_measured=1), progress=False).iloc[-1]
    measured = evaluate(run, all_images, settings(), progress=False)
    spread = measured["reconstruction_standard_error"] * math.sqrt(measured["images"])
    assert 0 < abs(last["reconstruction"] - measured["reconstruction"]) < 3 * spread / math.sqrt(400)


def test_an_interruption_keeps_the_rows_already_measured(run, all_images, encoded, monkeypatch):
    whole = measure_snapshots(run, all_images, settings(), progress=False).drop(columns="seconds")
    (run.path / "snapshots.csv").unlink()
    controller = snapshots._controller_at

    def interrupted(trace, step):
        if step == STEPS[2]:
            raise KeyboardInterrupt
        return controller(trace, step)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(snapshots, "_controller_at", interrupted)
        measure_snapshots(run, all_images, settings(), progress=False)
    assert measured_rows(run, settings())["step"].tolist() == STEPS[:2]
    encoded.clear()
    resumed = measure_snapshots(run, all_images, settings(), progress=False)
    assert len(encoded) == 2
    pd.testing.assert_frame_equal(resumed.drop(columns="seconds"), whole)
    again = measure_snapshots(run, all_images, settings(), progress=False)
    assert len(encoded) == 2
    pd.testing.assert_frame_equal(again, resumed, check_exact=True)  # read from the file, to the last bit
    assert {path.name for path in run.path.glob("*snapshots*")} == {"snapshots", "snapshots.csv", "snapshots.json"}


def test_a_changed_setting_repeats_what_depends_on_it_and_nothing_else(run, all_images, encoded):
    evaluate(run, all_images, settings(), progress=False)
    measure_snapshots(run, all_images, settings(snapshots_measured=2), progress=False)
    assert len(encoded) == 2
    stamp = (run.path / "evaluation.json").stat().st_mtime_ns
    for changes, repeated in (
        ({"snapshots_measured": 2, "monte_carlo_samples": 3, "dci_samples": 300}, 0),  # no row depends on the others
        ({"snapshots_measured": 4}, 2),  # two rows are there
        ({"snapshots_measured": 1}, 0),
        ({"decomposition_samples": 300}, 4),
        ({"snapshot_position_stride": 8}, 4),
        ({"evaluation_seed": 1, "snapshots_measured": 3}, 3),
    ):
        encoded.clear()
        rows = measure_snapshots(run, all_images, settings(**({"snapshots_measured": 4} | changes)), progress=False)
        assert len(encoded) == repeated, changes
        assert len(rows) == changes.get("snapshots_measured", 4)
        assert rows["step"].iloc[-1] == STEPS[-1]
    evaluate(run, all_images, settings(snapshot_position_stride=8, snapshots_measured=1, dci_samples=300))
    assert (run.path / "evaluation.json").stat().st_mtime_ns == stamp


def test_rows_of_older_code_that_measured_less_are_measured_again(run, all_images, encoded):
    rows = measure_snapshots(run, all_images, settings(), progress=False)
    record = read_json(run.path / "snapshots.json")
    write_recorded(run.path / "snapshots.csv", rows.drop(columns="reconstruction"), record)
    encoded.clear()
    again = measure_snapshots(run, all_images, settings(), progress=False)
    assert len(encoded) == 4
    pd.testing.assert_frame_equal(again.drop(columns="seconds"), rows.drop(columns="seconds"))


@pytest.mark.parametrize(
    ("there", "asked", "chosen"),
    [(20, 1, [19]), (20, 2, [0, 19]), (7, 3, [0, 3, 6]), (4, 9, [0, 1, 2, 3]), (1, 2, [0])],
)
def test_snapshots_are_chosen_evenly_with_the_last(tiny_config, tmp_path, there, asked, chosen):
    Run(tmp_path).claim(tiny_config())
    folder = tmp_path / "snapshots"
    folder.mkdir()
    for place in range(there):
        (folder / f"step_{10 * place + 5:07d}.safetensors").touch()
    assert list(chosen_snapshots(Run(tmp_path), settings(snapshots_measured=asked))) == [10 * i + 5 for i in chosen]


def test_the_snapshot_at_which_c_arrived_is_measured_too(tiny_config, tmp_path):
    Run(tmp_path).claim(tiny_config("linear", steps=300, c_start=0.5, c_max=3.5))  # 20 increments, one a step
    (tmp_path / "snapshots").mkdir()
    for step in (5, 10, 20, 100, 200, 300):
        (tmp_path / "snapshots" / f"step_{step:07d}.safetensors").touch()
    assert list(chosen_snapshots(Run(tmp_path), settings(snapshots_measured=2))) == [5, 20, 300]


def test_eight_of_twenty_are_spread_over_all(tiny_config, tmp_path):
    Run(tmp_path).claim(tiny_config())
    (tmp_path / "snapshots").mkdir()
    for step in range(20):
        (tmp_path / "snapshots" / f"step_{step:07d}.safetensors").touch()
    steps = list(chosen_snapshots(Run(tmp_path), settings(snapshots_measured=8)))
    assert (len(steps), steps[0], steps[-1]) == (8, 0, 19)
    assert set(np.diff(steps)) <= {2, 3}


@pytest.mark.parametrize("arm", ["random_hold", "information", "total_correlation"])
def test_all_are_measured_where_an_estimate_of_the_information_steers(arm, tiny_config, tmp_path):
    Run(tmp_path).claim(tiny_config(arm, steps=300))
    (tmp_path / "snapshots").mkdir()
    for step in range(20):
        (tmp_path / "snapshots" / f"step_{step:07d}.safetensors").touch()
    assert len(chosen_snapshots(Run(tmp_path), settings(snapshots_measured=8))) == (8 if arm == "random_hold" else 20)


@pytest.mark.parametrize("strides", [(8, 16), (16, 16), (16, 8)])
def test_an_estimate_that_steers_is_held_against_all_images_of_the_evaluation(
    strides, all_images, tiny_config, tmp_path
):
    evaluated, coarse = strides
    asked = settings(position_stride=evaluated, snapshot_position_stride=coarse)
    run = train(tiny_config("information", steps=4, snapshots=1), Run(tmp_path / "run"), all_images, progress=False)
    row = measure_snapshots(run, all_images, asked, progress=False).iloc[-1]
    measured = evaluate(run, all_images, asked, progress=False)["decomposition"]
    assert row["mutual_information_all"] == pytest.approx(measured["mutual_information"], abs=1e-9)
    assert row["mutual_information_all_standard_error"] == pytest.approx(measured["standard_error"], abs=1e-9)
    alike = replace(asked, position_stride=coarse)
    alone = evaluate(run, all_images, alike, progress=False)
    assert row["kl"] == pytest.approx(alone["kl"], abs=1e-9) and row["images"] == alone["images"]
    assert measured_rows(run, asked)["step"].tolist() == [4]
    assert measured_rows(run, alike).empty == (evaluated != coarse)


def test_rows_of_an_unfinished_run_are_those_of_the_complete_one(trained, all_images, tmp_path, encoded):
    """Interrupted, its snapshots measured, then lost, then trained to its end: against the run that was not."""
    config, asked = trained.config(), settings(snapshots_measured=9)
    whole = measure_snapshots(trained, all_images, asked, progress=False).drop(columns="seconds")
    run = Run(tmp_path / "adaptive-seed1")

    def interrupt(_, trace):
        if trace.steps >= STEPS[2]:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(config, run, all_images, progress=False, observer=interrupt)
    encoded.clear()
    with pytest.raises(ValueError, match="was trained on other data"):
        measure_snapshots_so_far(run, replace(all_images, sha256="1" * 64), asked, progress=False)
    so_far = measure_snapshots_so_far(run, all_images, asked, progress=False)
    assert so_far["step"].tolist() == STEPS[:3]
    for step in STEPS[:2]:
        (run.path / "snapshots" / f"step_{step:07d}.safetensors").unlink()
    train(config, run, all_images, progress=False)
    rows = measure_snapshots(run, all_images, asked, progress=False)
    assert len(encoded) == 4  # none twice
    pd.testing.assert_frame_equal(rows.drop(columns="seconds"), whole)
    assert read_json(run.path / "snapshots.json")["weights_sha256"] == run.weights_sha256 is not None
    two = measure_snapshots(run, all_images, settings(snapshots_measured=2), progress=False)
    assert two["step"].tolist() == [STEPS[0], STEPS[-1]]  # as of a run that has all its weights
    with pytest.raises(ValueError, match=r"of snapshots whose weights are gone \(step 13, ...\)"):
        measure_snapshots(run, all_images, settings(evaluation_seed=1), progress=False)
    assert measured_rows(run, asked)["step"].tolist() == STEPS


@pytest.mark.parametrize(("arm", "lacks"), [("vae", "capacity"), ("capacity", "beta")])
def test_arms_without_a_controller_are_measured_on_the_way(arm, lacks, all_images, tiny_config, tmp_path):
    config, run = tiny_config(arm, steps=400, trace_every=10, snapshots=4), Run(tmp_path / "run")

    def interrupt(_, trace):
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(config, run, all_images, progress=False, observer=interrupt)
    row = measure_snapshots_so_far(run, all_images, settings(), progress=False).iloc[-1]
    assert row[["beta", "capacity"]].isna().to_dict() == {"beta": lacks == "beta", "capacity": lacks == "capacity"}


def test_an_unfinished_run_without_a_checkpoint_has_no_rows(tiny_config, all_images, tmp_path):
    Run(tmp_path).claim(tiny_config())
    with pytest.raises(ValueError, match="holds no checkpoint with a trace"):
        measure_snapshots_so_far(Run(tmp_path), all_images, settings(), progress=False)


def test_a_run_without_snapshots_has_its_final_weights(all_images, tiny_config, tmp_path):
    run = train(tiny_config(steps=2, snapshots=0), Run(tmp_path / "run"), all_images, progress=False)
    measured = evaluate(run, all_images, settings(), progress=False)
    rows = measure_snapshots(run, all_images, settings(), progress=False)
    assert rows["step"].tolist() == [2]
    assert rows["kl"].tolist() == [measured["kl"]]


def test_refusals(run, all_images, tmp_path):
    with pytest.raises(ValueError, match="holds no complete run; train it first"):
        measure_snapshots(Run(tmp_path), all_images, settings(), progress=False)
    with pytest.raises(ValueError, match="was trained on other data"):
        measure_snapshots(run, Dataset(all_images.packed, "1" * 64, "rendered"), settings(), progress=False)
    assert not (run.path / "snapshots.csv").exists()


def test_the_record_names_the_settings_and_the_grid(run, all_images):
    measure_snapshots(run, all_images, settings(snapshots_measured=1, evaluation_batch=9), progress=False)
    record = read_json(run.path / "snapshots.json")
    assert record["config"] == {
        "snapshot_position_stride": 16, "decomposition_samples": 200, "evaluation_seed": 0, "evaluation_batch": 9,
    }  # fmt: skip
    assert record["factor_sizes"] == list(SIZES)


def made_up(**changes) -> pd.DataFrame:
    values = {
        "step": [100, 200, 400, 800], "images": [1000] * 4, "capacity": [1.0, 3.0, 6.0, 8.0],
        "kl": [2.0, 3.0, 5.5, 8.5], "mutual_information": [1.2, 2.9, 4.5, 6.0], "total_correlation": [0.5, 0.1, 0.8, 2],
        "dimension_wise_kl": [0.3, 0.0, 0.2, 0.5], "mig_four": [0, 0.1, 0.2, 0.3], "mig_five": [0, 0.1, 0.1, 0.2],
    }  # fmt: skip
    return pd.DataFrame(values | changes)


def test_gaps_over_training():
    gaps = information_gaps(made_up())
    assert gaps["mean_distance"] == pytest.approx(
        (100 * 0.15 + 200 * 0.8 + 400 * 1.75) / 700
    )  # steps 100, 200, 400, 800
    assert (gaps["largest_gap"], gaps["largest_at"]) == (2.0, 800)
    assert (gaps["last_gap"], gaps["last_lag"], gaps["last_mismatch"]) == (2.0, -0.5, 2.5)
    assert gaps["apart_from"] == 400  # at 100 as well, but together again at 200
    assert gaps["over_bound"] == 800  # log 1000 = 6.9
    calm = information_gaps(made_up(kl=[3.0, 3.0, 5.5, 6.1], images=[10_000] * 4))
    assert calm[["apart_from", "over_bound"]].tolist() == [math.inf] * 2
    assert information_gaps(made_up(kl=[9.0] * 4))["apart_from"] == 100
    uncapped = information_gaps(made_up(capacity=[math.nan] * 4))
    assert uncapped.drop(["last_mismatch", "apart_from"]).isna().all()
    assert (uncapped["last_mismatch"], uncapped["apart_from"]) == (2.5, 400)
    assert information_gaps(made_up().iloc[:1])["mean_distance"] == pytest.approx(0.2)


def test_the_figure_shows_every_part_and_the_bound_of_the_measured_grid():
    adaptive = made_up(images=[500] * 4, mig_four=[0.0, 0.1, 0.2, 0.9])
    figure = over_training({"linear": [made_up(), made_up(kl=[4.0] * 4)], "adaptive": [adaptive]})
    upper = figure.axes[:2]
    lines = {line.get_label(): line for line in upper[0].get_lines()}
    assert lines["log N"].get_ydata()[0] == pytest.approx(math.log(1000))
    assert {line.get_label(): line for line in upper[1].get_lines()}["log N"].get_ydata()[0] == pytest.approx(
        math.log(500)
    )
    assert lines["KL"].get_ydata().tolist() == [2.0, 3.0, 5.5, 8.5]
    assert lines["total correlation"].get_ydata().tolist() == [0.5, 0.1, 0.8, 2]
    assert [axis.get_xscale() for axis in figure.axes] == ["linear"] * 4
    assert all(axis.get_ylim()[0] == 0 and axis.get_ylim()[1] >= 0.9 for axis in figure.axes[2:])
    assert upper[0].get_ylim()[1] >= 8.5
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["C", "KL", "$I_q(x; z)$", "total correlation", "dimension-wise KL", "log N"]
