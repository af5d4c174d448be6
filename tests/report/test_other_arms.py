"""All arms beside one another: on invented runs, tables and codes of which everything is known."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from lib.arms import ARMS
from lib.data.dataset import Dataset
from lib.dsprites import N_IMAGES, render, render_packed
from lib.evaluation.evaluate import SETTINGS as EVALUATED
from lib.evaluation.posteriors import evaluation_grid
from lib.evaluation.snapshots import BEST, OF_ALL, OF_ALL_ERROR, SETTINGS, SETTINGS_OF_ALL
from lib.files import ROOT
from lib.report import other_arms
from lib.report.figures.bottleneck import bottleneck as bottleneck_figure
from lib.report.figures.style import png
from lib.report.findings import bottleneck
from lib.report.findings import other_arms as findings
from lib.report.findings.against_base import against_base, beyond_margin, what_each_does
from lib.report.kept_pictures import SAMPLES, TRAVERSALS, _png
from lib.report.notebooks import other_arms as calls
from lib.report.other_arms import Ended
from lib.runs.profiles import Profile, load_profile
from lib.runs.run import Run
from lib.runs.trace_file import write_trace

STEPS = [50, 100, 200]
ENTROPY = 8.0
INFORMATION = [[0.0] * 10, [0.3, *[0.0] * 9], [0.02] * 10, [0.2, 1.25, *[0.0] * 8], [0.0, 0.4, *[0.0] * 8]]
SHOWN = (calls.show_arms, calls.show_encoded, calls.show_at_kl, calls.show_bottleneck, calls.show_estimates)


@pytest.fixture
def smoke(tmp_path, monkeypatch) -> Profile:
    monkeypatch.setattr("lib.runs.profiles.RESULTS", tmp_path)
    return load_profile("smoke")


@pytest.fixture(scope="module")
def grid_images() -> Dataset:
    """The images that the profile smoke measures snapshots on; all others are blank."""
    indices, _ = evaluation_grid(8)
    packed = np.zeros((N_IMAGES, 512), dtype=np.uint8)
    packed[indices.numpy()] = render_packed(indices.numpy())
    return Dataset(torch.from_numpy(packed), "0" * 64, "rendered")


def snapshots(kl: float = 6.0, above: float = 30.0) -> pd.DataFrame:
    """The KL grows to `kl`, a tenth of it no information; D + KL comes down to `above` nats above ENTROPY."""
    rates = np.array([0.2, 0.5, 1.0]) * kl
    distance = above + np.array([100.0, 10.0, 0.0])
    frame = pd.DataFrame({"step": STEPS, "images": 2880, "kl": rates, "mutual_information": 0.9 * rates})
    return frame.assign(
        total_correlation=0.06 * rates,
        dimension_wise_kl=0.04 * rates,
        reconstruction=ENTROPY + distance - rates,
        mig_four=rates / 20,
        **dict.fromkeys(BEST.values(), 0.1),
    )


def invented(profile: Profile, arm: str, mig: float, reconstruction: float, **changes) -> Run:
    """A run as training and measuring leave it, but for its weights; it steers by an estimate 0.5 nats too high."""
    config = profile.training_config(arm, 1, **changes)
    run = profile.run(config)
    run.claim(config)
    evaluation = profile.evaluation_config()
    parts = {"mutual_information": 5.4, "total_correlation": 0.4, "dimension_wise_kl": 0.2, "standard_error": 0.01}
    measured = {
        "config": evaluation.only(EVALUATED), "images": 2880, "factor_sizes": [], "factor_gaps": {},
        "information": INFORMATION,
        "reconstruction": reconstruction, "reconstruction_standard_error": 0.1, "kl": 6.0, "mig_five": {},
        "kl_latents": [3.0, 2.9, 0.11, 0.09] + [0.0] * 6,
        "mig_four": {"quadrature": mig, "histogram": mig + 0.1}, "decomposition": parts,
    }  # fmt: skip
    (run.path / "evaluation.json").write_text(json.dumps(measured))
    record = {"config": evaluation.only(SETTINGS + SETTINGS_OF_ALL)}
    (run.path / "snapshots.json").write_text(json.dumps(record))
    frame = snapshots()
    if arm == "information":
        frame = frame.assign(**{OF_ALL: frame["mutual_information"], OF_ALL_ERROR: 0.01})
    frame.to_csv(run.path / "snapshots.csv", index=False)
    values = {
        "kl": frame["kl"], "reconstruction": frame["reconstruction"], "beta": 1.0, "capacity": frame["kl"],
        **({"information": frame["mutual_information"] + 0.5} if arm == "information" else {}),
    }  # fmt: skip
    trace = pd.DataFrame({"step": STEPS} | values | {f"{name}_mean": column for name, column in values.items()})
    write_trace(run.path / "trace.h5", trace, np.ones(0, dtype=bool), {})
    hardware = {"accelerator": None, "processor": "an invented processor"}
    origin = {"hardware": hardware, "data_sha256": "0" * 64}
    (run.path / "run.json").write_text(
        json.dumps(
            {
                "provenance": origin,
                "summary": {
                    "steps": config.steps,
                    "mean_kl_to_set_point": 0.3,
                    "final_capacity": 6.5,
                    "locked_at": None,
                },
            }
        )
    )
    return run


def compared(profile: Profile, data: Dataset, arm: str = "vae", **changes) -> other_arms.Compared:
    return other_arms.compare(profile, profile.training_config(arm, 1, **changes), profile.evaluation_config(), data)


def test_only_runs_of_the_same_settings_and_measures_are_compared(smoke, grid_images):
    for arm in ("linear", "vae"):
        invented(smoke, arm, 0.2, 30.0)
    invented(smoke, "adaptive", 0.2, 30.0, steps=100)
    other = invented(smoke, "beta_vae", 0.2, 30.0)
    assert list(compared(smoke, grid_images).runs) == ["linear", "vae", "beta_vae"]
    measured = json.loads((other.path / "evaluation.json").read_text())
    (other.path / "evaluation.json").write_text(json.dumps(measured | {"config": {"position_stride": 1}}))
    assert list(compared(smoke, grid_images).runs) == ["linear", "vae"]
    (other.path / "evaluation.json").write_text(json.dumps(measured))
    snapshots().iloc[:-1].to_csv(other.path / "snapshots.csv", index=False)  # still being measured
    assert list(compared(smoke, grid_images).runs) == ["linear", "vae"]
    assert list(compared(smoke, grid_images, steps=100).runs) == ["adaptive"]
    assert compared(smoke, grid_images, batch_size=1).runs == {}  # too small for some arms: no reason to stop


def test_a_published_run_stands_in_for_one_that_was_not_trained_here(smoke, grid_images):
    """Of any profile, if settings and data are the same; what is trained here comes first."""
    published = replace(smoke, name="laptop").published
    moved = invented(smoke, "beta_vae", 0.2, 30.0).path.rename(_made(published) / "beta_vae-seed1")
    (published / "table.csv").write_text("run\n")
    own = invented(smoke, "vae", 0.2, 30.0)
    assert compared(smoke, grid_images).runs == {"vae": own, "beta_vae": Run(moved)}
    assert compared(smoke, replace(grid_images, sha256="1" * 64)).runs == {}
    assert compared(smoke, grid_images, batch_size=64).runs == {}
    here = invented(smoke, "beta_vae", 0.2, 30.0)
    assert compared(smoke, grid_images).runs["beta_vae"] == here
    (here.path / "evaluation.json").unlink()  # trained, not measured yet
    assert compared(smoke, grid_images).runs["beta_vae"] == Run(moved)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def test_the_entropy_is_that_of_the_images_measured(grid_images):
    """Against counts of drawn pixels; of the grid some images are equal, so that it is below log N."""
    indices, _ = evaluation_grid(16)
    _, counts = np.unique(render(indices.numpy()).reshape(len(indices), -1), axis=0, return_counts=True)
    shares = counts / counts.sum()
    found = other_arms.entropy_of_grid(grid_images, 16)
    assert found == pytest.approx(-(shares * np.log(shares)).sum()) and found < np.log(len(indices))


def test_rows_come_from_the_evaluation(smoke, grid_images):
    invented(smoke, "vae", 0.25, 33.0)
    (content,) = compared(smoke, grid_images).measured.values()
    other = content | {"mig_four": {"quadrature": 0.35, "histogram": 0.45}, "kl_latents": [1.0] * 4 + [0.0] * 6}
    row = other_arms.results({"linear": [other], "vae": [content, other]}).loc["vae"]
    assert row[["mig_four", "reconstruction", "kl", "in_use", "n"]].tolist() == [pytest.approx(0.3), 33.0, 6.0, 3.5, 2]
    assert row["mig_histogram"] == pytest.approx(0.4)
    assert row[["mutual_information", "total_correlation", "dimension_wise_kl"]].tolist() == [5.4, 0.4, 0.2]


def test_an_arm_is_held_against_linear_in_all_pairs_or_in_the_one_of_its_seed():
    columns = ["mig_four", "reconstruction", "n"]
    of_all = pd.DataFrame(
        [(0.2, 30.0, 5), (0.26, 31.5, 5), (0.22, 33.0, 1), (0.9, 400.0, 1)],
        ["linear", "adaptive", "vae", "info_gan"], columns,
    )  # fmt: skip
    of_seed = of_all.assign(mig_four=[0.28, 0.7, 0.22, 0.9], reconstruction=[30.0, 0.0, 27.0, 400.0], n=1)
    differences = against_base(of_all, of_seed)
    assert list(differences.index) == ["adaptive", "vae", "info_gan"] and differences["n"].tolist() == [5, 1, 1]
    np.testing.assert_allclose(differences["mig_four"], [0.06, -0.06, 0.62])
    np.testing.assert_allclose(differences["reconstruction"], [1.5, -3.0, np.nan])  # of a sampler it says nothing
    alone = against_base(of_all.drop("linear"), of_seed)
    assert alone.empty and beyond_margin(alone) == "No arm can be compared with linear here."


def test_differences_beyond_the_margins_are_starred_and_counted():
    differences = pd.DataFrame(
        {"n": [5, 1, 1, 1], "mig_four": [0.051, -0.06, 0.62, 0.049], "reconstruction": [1.9, -2.1, np.nan, 0.0]},
        ["adaptive", "vae", "info_gan", "capacity"],
    )
    table = what_each_does(["linear", *differences.index], differences)
    assert table.iloc[:, 0].tolist() == [ARMS[arm].bottleneck for arm in ("linear", *differences.index)]
    assert table.iloc[:, 1:].to_numpy().tolist() == [
        ["", "–", "–"], ["5", "+0.051*", "+1.9"], ["1", "−0.060*", "−2.1*"], ["1", "+0.620*", "–"],
        ["1", "+0.049", "+0.0"],
    ]  # fmt: skip
    assert beyond_margin(differences) == (
        "By more than the margin the MIG is above that of linear in 2 of 4 arms, below it in 1, 2 of them on one "
        "pair: a margin says nothing of chance."
    )
    assert beyond_margin(differences.iloc[[0, 3]]) == (
        "By more than the margin the MIG is above that of linear in 1 of 2 arms, below it in 0: a margin says nothing "
        "of chance."
    )


def test_a_kl_or_an_information_that_left_its_target_is_named():
    ended = {
        "linear": Ended(12.0, "KL", 12.4),
        "dynamic_vae": Ended(12.0, "KL", 40.86),
        "total_correlation": Ended(12.0, "I", 9.83),
    }
    assert findings.off_target(ended, 1) == (
        "Of 3 arms whose KL or information is to follow a C, with seed 1, it ended more than 1 nat from it in "
        "DynamicVAE (40.9 for 12.0) and I held + TC pressed (9.8 for 12.0)."
    )
    assert findings.off_target({"linear": ended["linear"]}, 1).startswith("In all 1 arms whose KL is to follow")
    assert findings.off_target({}, 1) == ""


def test_what_ended_where_is_read_from_the_runs(smoke):
    runs = {arm: invented(smoke, arm, 0.2, 30.0) for arm in ("linear", "vae", "total_correlation")}
    measured = {arm: json.loads((run.path / "evaluation.json").read_text()) for arm, run in runs.items()}
    found = other_arms.ended(other_arms.Compared(runs, measured, {}, 1.0))
    assert found["linear"][1:] == ("KL", measured["linear"]["kl"])
    information = measured["total_correlation"]["decomposition"]["mutual_information"]
    assert found["total_correlation"][1:] == ("I", information)


def test_a_controller_that_locked_is_named_and_known_as_a_vae():
    measured = {arm: {"posterior_sha256": arm[0]} for arm in ("vae", "dynamic_vae")}
    assert findings.locked({}, measured) == ""
    text = findings.locked({"dynamic_vae": 1200}, measured)
    assert text.endswith("whatever the KL does: that of DynamicVAE from step 1,200 on.")
    text = findings.locked({"locked": 1}, measured | {"locked": {"posterior_sha256": "v"}})
    assert text.endswith("from step 1 on (its posteriors are those of VAE, bit for bit).")


def test_a_curve_without_feedback_is_held_against_the_runs_that_had_it(smoke):
    run = invented(smoke, "matched_curve", 0.2, 30.0)
    record = json.loads((run.path / "run.json").read_text())
    record["provenance"]["curve_of"] = "adaptive-seed2"
    (run.path / "run.json").write_text(json.dumps(record))
    table = pd.DataFrame(
        {"arm": ["linear", "adaptive", "adaptive"], "mig_four": [0.9, 0.31, 0.28], "reconstruction": [9.0, 40.0, 44.0]},
        index=["linear-seed1", "adaptive-seed1", "adaptive-seed2"],
    )
    results = pd.DataFrame({"mig_four": [0.3], "reconstruction": [42.0]}, index=["matched_curve"])
    assert findings.curve_alone(run, results, table) == (
        "Matched curve, with seed 1, follows the C(t) of adaptive-seed2, blind to β; minus adaptive-seed1 MIG −0.010 "
        "and reconstruction loss +2.0 nats; minus adaptive-seed2 MIG +0.020 and reconstruction loss −2.0 nats: all "
        "within the margins, so that the curve did without feedback what it does with it (n = 1; those of adaptive lie "
        "up to 0.030 and 4.0 nats apart)."
    )
    assert ": not all within the margins (n = 1" in findings.curve_alone(run, results + 0.1, table)


def test_more_pressure_is_judged_by_the_margin_over_arms_without():
    results = pd.DataFrame(
        {"mig_four": {"linear": 0.21, "vae": 0.1, "beta_vae": 0.19, "cyclical": 0.15, "info_gan": 0.9}}
    ).assign(kl=[16.0, 20.0, 8.0, 25.0, 3.0], n=[5, 1, 1, 1, 1])
    assert findings.with_more_pressure(results) == (
        "Pressure no harder than the evidence lower bound's own (VAE and cyclical annealing) gave a MIG of 0.100 to "
        "0.150 at a KL of 20.0 to 25.0 nats. Of 2 arms that press harder, 1 had a MIG higher than that by more than "
        "the margin of 0.05: linear. 3 of these 4 arms were run once: a hint, no proof."
    )
    opened = results.rename(index={"beta_vae": "dynamic_vae"})
    assert "Of 1 arms that press harder, 1 had" in findings.with_more_pressure(opened)
    assert "DynamicVAE, which does both, is in neither count." in findings.with_more_pressure(opened)
    text = findings.with_more_pressure(results.drop(index=["cyclical"]).assign(mig_four=[0.15, 0.1, 0.1, 0.9], n=5))
    assert "(VAE) gave a MIG of 0.100 at a KL of 20.0 nats." in text
    assert text.endswith("Of 2 arms that press harder, 0 had a MIG higher than that by more than the margin of 0.05.")
    assert findings.with_more_pressure(results.loc[["linear", "info_gan"]]) == ""


def test_arms_that_ended_at_like_kl_are_held_together():
    results = pd.DataFrame(
        {"mig_four": [0.1, 0.2, 0.11, 0.9, 0.9], "reconstruction": [30.0, 20, 40, 1, 1],
         "kl": [12.0, 12.9, 11.1, 13.1, 12.0]},
        index=["linear", "vae", "beta_vae", "cyclical", "info_gan"],
    )  # fmt: skip
    assert findings.at_like_kl(results) == (
        "2 arms ended within 1 nat of the KL of linear, 12.00 nats. With it they have a MIG of 0.100 to 0.200 and a "
        "reconstruction loss of 20.0 to 40.0 nats: the KL alone does not decide the MIG."
    )
    close = results.assign(mig_four=[0.1, 0.13, 0.12, 0.9, 0.9])
    assert findings.at_like_kl(close).endswith("nats: their MIG differs by less than the margin.")
    assert findings.at_like_kl(results.drop(index="vae")) == findings.at_like_kl(results.drop(index="linear")) == ""


def test_with_what_the_mig_goes_is_told_by_rank_and_without_samplers():
    arms = [
        "linear", "adaptive", "vae", "beta_vae", "cyclical", "capacity", "dynamic_vae", "beta_tcvae", "factor_vae",
        "information",
    ]  # fmt: skip
    rising, mixed = np.arange(10.0), np.array([0, 9, 1, 8, 2, 7, 3, 6, 4, 5.0])
    results = pd.DataFrame(
        {"mig_four": rising, "kl": -(rising**3), "total_correlation": np.exp(rising), "reconstruction": mixed}, arms
    ).assign(in_use=mixed)
    rank = 1 - 6 * ((rising - mixed) ** 2).sum() / (10 * 99)  # Spearman's formula
    text = findings.goes_with(results)
    assert text == (
        "Rank correlations of the MIG over 10 arms: KL −1.00, total correlation +1.00, "
        f"reconstruction loss {rank:+.2f} and number of latents in use {rank:+.2f}; a higher MIG goes with a smaller "
        "KL and a larger total correlation (from ±0.5 on; exploratory: arms of one family are not "
        "independent)."
    )
    twin = results.loc[["vae"]].set_axis(["locked"]) + 1e-9
    twice = findings.goes_with(pd.concat([results, twin]))
    assert twice == text.replace("10 arms", "10 arms (twins counted once)")
    sampler = pd.DataFrame({name: [100.0] for name in results}, index=["info_gan"])
    assert findings.goes_with(pd.concat([results, sampler])) == text
    assert findings.goes_with(results.iloc[:9]) == ""
    flat = results.assign(kl=mixed, total_correlation=mixed)
    assert "; it goes with none of them" in findings.goes_with(flat)


@pytest.mark.parametrize("rate", ["kl", "mutual_information"])
def test_no_code_lies_below_the_bound_and_the_best_decoder_lies_on_it(rate):
    """Codes of 6 images by 4 symbols, written out: p(x|z) by Bayes' rule and at random; uniform prior for the KL."""
    rng = np.random.default_rng(0)
    encoder = rng.dirichlet(np.ones(4), 6)  # q(z|x), [6, 4]
    joint = encoder / 6
    marginal = joint.sum(0)
    rates = {
        "kl": (joint * np.log(encoder / 0.25)).sum(), "mutual_information": (joint * np.log(encoder / marginal)).sum(),
    }  # fmt: skip
    decoders = [joint / marginal, *(rng.dirichlet(np.ones(6), 4).T for _ in range(20))]
    losses = [-(joint * np.log(decoder)).sum() for decoder in decoders]
    frame = pd.DataFrame({"step": range(21), "reconstruction": losses, rate: rates[rate]})
    least, step = other_arms.above_bound(frame, rate, np.log(6))
    mismatch = (marginal * np.log(marginal / 0.25)).sum() if rate == "kl" else 0.0
    assert least == pytest.approx(mismatch, abs=1e-12) and step == 0
    assert other_arms.above_bound(frame.iloc[1:], rate, np.log(6))[0] > mismatch


def test_points_below_the_bound_are_seen():
    fine = {"linear": snapshots(), "vae": snapshots(kl=10.0, above=0.5 + 1.0)}  # I is 1 nat less than the KL there
    text = bottleneck.bound(fine, ENTROPY)
    assert text == (
        "H(x) of the 2,880 images is 8.00 nats; at the nearest snapshot D + KL is above it by 1.50 (VAE) to 30.00 "
        "(linear) and D + $I_q(x; z)$ is above it by 0.50 (VAE) to 29.40 (linear)."
    )
    text = bottleneck.bound(fine | {"vae": snapshots(kl=10.0, above=0.25)}, ENTROPY)
    assert "by 0.25 (VAE) to 30.00 (linear) and" in text and "by −0.75 (VAE) to" in text
    assert "D + KL is above it by 30.00 (linear) and" in bottleneck.bound({"linear": snapshots()}, ENTROPY)
    assert text.endswith("measure is wrong: VAE by 0.75 nats with R = $I_q(x; z)$ at step 200.")


def test_the_figure_shows_every_snapshot_and_the_bound():
    below = snapshots(above=-1.0)
    figure = bottleneck_figure({"linear": snapshots(), "vae": below}, ENTROPY)
    *distortions, informations = figure.axes
    lines = [line.get_xydata() for line in informations.get_lines()]
    np.testing.assert_allclose(lines[2], below[["kl", "mutual_information"]])
    np.testing.assert_allclose(lines[4].T[1], np.minimum(lines[4].T[0], ENTROPY))
    for axis, rate in zip(distortions, ("kl", "mutual_information"), strict=True):
        lines = [line.get_xydata() for line in axis.get_lines()]
        np.testing.assert_allclose(lines[2], below[[rate, "reconstruction"]])
        np.testing.assert_allclose(lines[3], below[[rate, "reconstruction"]].iloc[-1:])
        np.testing.assert_allclose(lines[4].sum(1), ENTROPY)
        assert axis.get_ylim()[0] < below["reconstruction"].min()
    assert png(figure, 40).startswith(b"\x89PNG")


def test_an_estimate_is_held_against_the_exact_value_at_its_snapshot():
    trace = pd.DataFrame({"step": [60, 100, 150, 200], "information": [1.0, 2.0, 9.0, 4.0]})
    frame = snapshots().assign(**{OF_ALL: [0.0, 2.25, 3.0], OF_ALL_ERROR: [0.03, 0.01, 0.02]})
    pairs = other_arms.estimates(trace, frame)
    assert pairs["step"].tolist() == [100, 200] and pairs["bias"].tolist() == [-0.25, 1.0]  # none yet at step 50
    text = bottleneck.bias({"information": pairs}, 2880)
    assert "last two thirds of training: information is free +0.38 on average (−0.25 to +1.00). It is of all" in text
    assert "of N = 2,880 images (standard error at most 0.020), in nats" in text
    early = pd.concat([pairs, pairs.iloc[:1].assign(step=30, bias=-9.0)], ignore_index=True)
    text = bottleneck.bias({"information": early}, 2880)
    assert "+0.38 on average (−0.25 to +1.00), earlier at worst −9.00." in text
    assert bottleneck.bias({}, 2880).startswith("No arm that steers")


def test_the_command_names_what_is_missing():
    text = findings.how_to_train(["linear", "vae", "cyclical"], {"profile": "smoke", "seed": 1, "steps": 300})
    assert "out.ipynb -p profile smoke -p seed 1 -p steps 300 -p arm ARM`" in text
    assert text.endswith("`linear` (NOTEBOOK `02_linear_training`), `vae` and `cyclical` (NOTEBOOK `05_other_arms`).")
    assert findings.how_to_train([], {"profile": "smoke"}) == ""


@pytest.fixture
def shown(monkeypatch) -> list[str]:
    """All that is displayed, as text."""
    texts = []

    def display(what):
        texts.append(what._repr_html_() if isinstance(what, pd.DataFrame) else what.data)

    monkeypatch.setattr(calls, "display", display)
    monkeypatch.setattr("lib.report.figures.style.display", display)
    return texts


@pytest.mark.parametrize("arms", [("vae",), ("linear", "vae", "capacity", "information")])
def test_the_notebook_ends_in_all_arms(arms, smoke, grid_images, shown):
    for arm in arms:
        run = invented(smoke, arm, 0.2, 30.0, latents=12)
    config, evaluation = run.config(), smoke.evaluation_config()
    found = calls.compare_arms("smoke", config, evaluation, grid_images, run.path / "figures", 4, 2)
    (run.path / TRAVERSALS).write_bytes(_png(np.zeros((12, 7, 64, 64), np.uint8)))  # of the last one alone
    for show in SHOWN:
        show(found)
    calls.show_traversals_of_all(found, grid_images)
    text = "".join(str(each) for each in shown)
    assert list(found.compared.runs) == list(arms)
    assert "-p profile smoke -p seed 1 -p latents 12 -p arm ARM`" in text and "`adaptive` (NOTEBOOK" in text
    assert ("`linear` " in text) == ("linear" not in arms)
    assert "β stays 1: no pressure beyond the evidence lower bound's own." in text  # and nothing of it left out
    captions = [each for each in shown if isinstance(each, str) and each.startswith(("**Table", "**Figure"))]
    assert [caption.split("*")[2] for caption in captions] == [
        "Table 2.", "Table 3.", "Table 4.", "Figure 5.", "Figure 6.",
        *(["Figure 7."] if "information" in arms else []),
        "Figure 4.",
    ]  # fmt: skip
    assert ("weights were not kept: linear, VAE and capacity (linear rule)." in text) == (len(arms) > 1)
    assert all("**Reduced runs**, n = 1 each (Table 2)" in caption for caption in captions[2:])
    assert "Settings: Table 2." in captions[1]
    assert "means over n runs (seeds from 1 on): 200 steps of 32 images (a reduced run" in captions[0]
    for cell in ("0.30 (z0)", "0.02 (–)", "1.25 (z1*)", "0.40 (z1*)"):
        assert text.count(cell) == len(arms)
    assert f"In all {len(arms)} arms whose KL is to follow a C, with seed 1, it ended within 1 nat of it." in text
    n = len(arms)
    alone = f"shape 0, scale {n}, orientation 0, position x 0 and position y 0."
    assert f"Of {n} runs, those in which a factor has a latent that leads for it alone: {alone}" in text
    assert ("information is free +0.50 on average" in text) == ("information" in arms)
    assert len(list((run.path / "figures").glob("all_arms_*.png"))) == len(captions) - 3


def test_a_sampler_alone_is_drawn_and_no_bound_is_said_of_it(smoke, grid_images, shown, monkeypatch):
    run = invented(smoke, "info_gan", 0.2, 30.0, latents=12)
    measured = {"config": {"evaluation_seed": 0}, "images": 2880, "sprites": 0.02, "distinct": 3}
    measured |= {"pixels_off": [40] * 100, "nearest": [5] * 100}
    (run.path / "samples.json").write_text(json.dumps(measured))
    evaluation, folder = smoke.evaluation_config(), run.path / "figures"
    found = calls.compare_arms("smoke", run.config(), evaluation, grid_images, folder, 4, 2)
    assert list(found.compared.runs) == ["info_gan"]
    calls.show_at_kl(found)
    calls.show_bottleneck(found)
    captions = [each for each in shown if isinstance(each, str) and each.startswith("**Figure")]
    assert ["is far above." in caption for caption in captions] == [True, True]
    assert not any("D + KL" in str(each) for each in shown)

    monkeypatch.setattr("lib.report.notebooks.samples.display", lambda what: shown.append(what.data))
    calls.show_samples_of_all(found, grid_images)
    words = "This is no sampler of sprites, at least not yet: 2% of 100 samples are one"
    assert shown[-2].startswith(words) and f"`{calls.FULL_LENGTH}`" in shown[-1]  # neither weights nor pictures
    (run.path / SAMPLES).write_bytes(_png(np.zeros((2, 10, 64, 64), np.uint8)))
    calls.show_samples_of_all(found, grid_images)
    assert shown[-3].startswith("**Figure 7.** Samples, and below each,") and shown[-2].startswith(words)
    assert (folder / "all_arms_samples.png").exists()
    assert " ".join((ROOT / "results" / "README.md").read_text().split()).count(calls.FULL_LENGTH) == 1
