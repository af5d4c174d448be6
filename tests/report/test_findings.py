"""The words that depend on results: each rule on tables made for one side of it and for the other."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from lib.report.effects import number
from lib.report.findings import all as findings
from lib.report.findings import controller, information
from lib.report.findings.wording import counts, fill, joined
from lib.runs.profiles import load_profile
from lib.training.decisions import rule_counts


def runs(seeds: int = 3, arms: tuple[str, ...] = ("linear", "adaptive"), **columns) -> pd.DataFrame:
    """One row per run, seed by seed; a column's values by run, or one for all."""
    keys = [(arm, seed) for seed in range(1, seeds + 1) for arm in arms]
    table = pd.DataFrame(keys, columns=["arm", "seed"], index=[f"{arm}-seed{seed}" for arm, seed in keys])
    return table.assign(**columns)


def test_templates_are_filled_and_formulas_left_alone():
    text = r"{mig} of $\mathrm{KL}$, $C_{\max}$, {} and {mig}"
    assert fill(text, {"mig": "{0.5}"}) == r"{0.5} of $\mathrm{KL}$, $C_{\max}$, {} and {0.5}"
    with pytest.raises(ValueError, match="There is no value 'mgi' for this text"):
        fill("{mgi}", {"mig": "1"})


def test_lists_and_counts():
    assert [joined(words) for words in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "no arm", "a", "a and b", "a, b and c",
    ]  # fmt: skip
    arms = runs(2)["arm"]
    yes = pd.Series([True, False, True, None], arms.index, dtype=object)
    assert counts(yes, arms) == "linear 2 of 2 runs, adaptive 0 of 1 run"


SAMPLED = "which chance hardly explains: bias, or the one seed by which all runs are sampled."


@pytest.mark.parametrize(
    ("bias", "error", "end"),
    [
        ([-1, -2, -1, -2, -3, -1], 2, f"It is lower in 6 of 6 runs, {SAMPLED}"),  # by chance in one case of 32
        ([1, 2, 1, 2, 3, 1], 2, f"It is higher in 6 of 6 runs, {SAMPLED}"),
        ([1, -2, 1, 2, 5, 1], 2, "In 1 of 6 runs they differ by more than twice that error."),
        ([1, -2, 1, 2, 3, 1], 2, "No run differs by more than twice that error."),
    ],
)
def test_the_samplers_bias_is_told_from_its_error(bias, error, end):
    table = runs(mig_four=0.5).assign(mig_four_monte_carlo_standard_error=error / 100)
    text = findings.estimators(table.assign(mig_four_monte_carlo=0.5 + np.array(bias) / 100))
    assert text.endswith(end)
    assert f"Sampled − quadrature: {number('+.4f')(np.mean(bias) / 100)} on average over 6 runs" in text


def test_measures_are_ordered_and_told_from_chance():
    rng = np.random.default_rng(0)
    table = runs(**{column: rng.normal(size=6) for column in findings.MEASURES})
    table["sap"] = [0.1, 0.5, 0.2, 0.61, 0.3, 0.7]
    text = findings.measures(table)
    higher, lower = text.split("Higher in linear than in adaptive:")
    assert "SAP" in higher and "SAP" in lower.split("Told from chance, each taken alone:")[1]
    assert "chance" not in findings.measures(table.iloc[:2]) and "Of all" not in text
    better = table[table["arm"] == "adaptive"].assign(arm="random_hold")
    better["sap"] += 1
    best = findings.measures(pd.concat([table, better])).split("Of all 3 arms adaptive has the highest mean in: ")[1]
    assert "SAP" not in best


def test_every_changed_setting_has_its_reason():
    paper = load_profile("paper")
    assert findings.reasons(paper) == "These are the report's settings."
    exact = dataclasses.replace(paper, training=paper.training | {"precision": "float32"})
    assert findings.reasons(exact) == "Table 2 marks what differs."
    hour = findings.reasons(load_profile("hour"))
    assert "$K_p / K_i$ = 10 nats" in hour and "would lock" not in hour
    faster = dataclasses.replace(load_profile("hour"), training=load_profile("hour").training | {"batch_size": 32})
    assert "smaller batches" in findings.reasons(faster) and "smaller batches" not in hour


def test_what_bfloat16_rounds_is_said_where_it_is_used():
    profile = load_profile("laptop")
    measured = pd.DataFrame({"z_moved": [0.05, 0.061], "reconstruction_difference": [0.01, -0.08]}, ["a/x", "a/y"])
    text = findings.rounding(profile, measured)
    assert "moves z by at most 0.06 of its posterior's width (rms)" in text
    assert "the loss by 0.08 nats" in text
    exact = dataclasses.replace(profile, training=profile.training | {"precision": "float32"})
    assert findings.rounding(exact, measured) == ""


@pytest.mark.parametrize(
    ("steps", "kl", "loss", "end"),
    [
        (1_500_000, 15.9, 20.2, "long as the report's, has 20.2 nats at a KL of 15.90: no lock is needed."),
        (1_500_000, 15.9, 33.0, "has 33.0 nats at a KL of 15.90, which leaves that open."),
        (1_500_000, 12.0, 20.2, "has 20.2 nats at a KL of 12.00, which leaves that open."),
    ],
)
def test_other_peoples_logs_are_held_against_runs_of_the_reports_size(steps, kl, loss, end):
    text = findings.public_logs(runs(1, steps=steps, kl=[kl, 1.0], reconstruction=[loss, 1.0]))
    assert "its 18.2 one near 25, as with a controller locked at β = 1." in text and text.endswith(end)
    assert findings.public_logs(runs(1, steps=12_000, kl=[kl, 1.0], reconstruction=[loss, 1.0])) == ""


def test_arms_without_a_controller_are_left_out():
    table = runs(1, kl_last_percent=[9.9, 5.0], final_capacity=[10.0, np.nan], mean_beta=[2.0, 4.0],
                 locked_at=[np.nan, np.nan], share_frozen=[0.1, np.nan])  # fmt: skip
    late = pd.DataFrame({"set_point_mean": [1.0] * 398 + [9.5, 10.0, 10.0, 10.5]})  # its last 1%: a mean of 10
    without = pd.DataFrame({"set_point_mean": [np.nan] * 400})
    kept = controller.kept_up(table, {"linear-seed1": late, "adaptive-seed1": without})
    assert kept.endswith("the mean KL was within 0.5 nats of the mean C in 1 of 1 runs.")
    apart = controller.kept_up(table, {"linear-seed1": late, "adaptive-seed1": late})
    assert apart.endswith("in 1 of 2 runs (adaptive 0 of 1 run).")
    assert controller.pressure(table, "published").endswith("The controller locked in no run.")
    assert "locked" not in controller.pressure(table, "conditional")  # it cannot
    locked = table.assign(locked_at=[70.0, np.nan])
    assert controller.pressure(locked, "published").endswith("could never again raise β, in: linear 1 of 1 run.")


def test_what_a_rule_did_is_counted_before_it_had_c_max():
    trace = pd.DataFrame({
        "step": range(1, 9), "set_point": [1.0] * 6 + [2.0] * 2, 
        "advanced": [True, True, True, False, False, True, False, False],
        "kl": [0.5, 0.6, 1.5, 1.2, 1.3, 0.9, 3.0, 3.0], "beta": [1.0, 2, 2, 3, 4, 1, 1, 1],
    })  # fmt: skip
    done = rule_counts(trace.assign(advanced_mean=trace["advanced"].astype(float)), 2.0, 1.0)
    assert done[["advanced", "below", "above", "at_minimum"]].tolist() == pytest.approx([4 / 6, 3 / 4, 1, 1 / 2])
    assert done[["rows", "every", "longest", "longest_at_start"]].tolist() == [6, 1, 0, 2]
    never = rule_counts(trace.assign(advanced=False, advanced_mean=0.0), 2.0, 1.0)
    assert never[["longest", "longest_at_start"]].tolist() == [0, 6]
    assert never["advanced"] == 0 and np.isnan(never["below"])
    rising = trace.assign(
        set_point=[1.0, 1.0, 1.0, 1.005, 1.02, 1.5, 2.0, 2.0], advanced_mean=[0.0, 0, 0.5, 0, 0, 0, 0, 0]
    )
    assert rule_counts(rising, 2.0, 1.0)[["longest", "longest_at_start"]].tolist() == [2, 2]


@pytest.mark.parametrize(
    ("below", "above", "meaning"),
    [
        (0.99, 0.95, ": the rule nearly always holds C while the KL is above it"),
        (0.99, 0.6, ": more often than not"),
        (0.99, 0.4, ": it does not hold C"),
    ],
)
def test_what_the_rule_does_is_said_by_its_worst_run(below, above, meaning):
    done = pd.DataFrame(
        {"below": [1.0, below], "above": [1.0, above], "every": 24.0, "rows": 500.0, "at_minimum": 0.01}
    ).assign(arm=["adaptive", "adaptive_hold"])
    text = controller.rule(done)
    assert meaning in text and "one step in 24, n = 1,000, 2 runs" in text
    assert "every step counted" in controller.rule(done.assign(every=1.0))
    blind = done.assign(below=[0.6, 0.7], above=0.3, at_minimum=0.5, arm="random_hold")
    beside = controller.rule(pd.concat([done, blind]))
    assert beside == f"{text} Where the steps are drawn, blind to β, these shares are 65% and 30% on average."
    assert controller.ties(pd.concat([done, blind])) == controller.ties(done)
    assert controller.ties(done).startswith(
        "At most 1.0% of a run's advances were made with β at its least value, where"
    )
    assert (
        controller.ties(done.assign(at_minimum=0.0))
        == "No advance was made with β at its least value, where a tie advances."
    )
    assert "Of the advances 100.0% were" in controller.rule(done.iloc[:1])


def test_which_runs_were_at_rest():
    columns = {"kl_off": [0.01, -0.2, 0.0, 0.09], "kl_swing": [1.0, 1.1, 1.9, 1.2], "capacity_rise": [0, 0.02, 0, 0.9]}
    table = runs(2, **columns, at_rest=[True, False, False, True])
    text = controller.at_rest(table)
    assert text.startswith("At the end the KL was at rest in 2 of 4 runs: within 0.1 nats")
    assert text.endswith("were up to 0.20 nats off, and moved up to 1.9 times as much as batches.")
    rising = controller.at_rest(table.assign(capacity_rise=[0, 0.34, 0, 0]))
    assert "up to 0.20 nats off (in part because C itself rose, by up to 0.34), and moved" in rising
    assert controller.at_rest(table.assign(at_rest=True)).endswith("as batches alone do.")
    assert controller.at_rest(table.assign(at_rest=None)) == ""


def test_whether_capacity_followed_the_information():
    table = runs(1, mean_distance=[0.4, 0.6])
    assert information.followed(table).endswith("in the adaptive arm than in linear (+0.20 nats).")
    blind = pd.concat([table, runs(1, mean_distance=0.6).iloc[:1].assign(arm="random_hold")])
    assert information.followed(blind).endswith("was no farther from it than adaptive (0.60 and 0.60 nats).")
    apart = runs(1, mean_distance=[0.4, 0.6]).assign(seed=[1, 2])  # no seed has both arms
    assert information.followed(apart) == ""
    assert "was farther" in information.followed(blind.assign(mean_distance=[0.4, 0.6, 0.7]))
    assert "C was no closer to" in information.followed(table)
    assert "C was closer to" in information.followed(table.assign(mean_distance=[0.9, 0.1]))


def test_bounds_on_information():
    table = runs(1, kl=[14.0, 12.0])
    assert information.beyond(table, 13.5).startswith("The KL ended above it in linear")
    assert information.beyond(table, 15.0).startswith("Here the KL ended below it")


def test_cost_and_rest():
    table = runs(1, kl=10.0, mutual_information=9.0, decomposition_standard_error=[0.1, 0.4])
    assert information.rest(table).endswith("in part within three times the standard error of at most 0.400.")
    measured = pd.DataFrame(
        {"seconds": [2.0, 9.0, 300.0], "mig_four": [0.5, 0.5, 0.49], "standard_error": [np.nan, np.nan, 0.006]},
        index=["quadrature, resolution 4", "quadrature, resolution 16", "sampler, 10000 samples"],
    )
    assert ", within twice its standard error" in information.cost(measured, "a/b")
    assert information.cost(measured, "a/b").startswith("In `a/b` a grid four times as fine")
    measured.loc["sampler, 10000 samples", "standard_error"] = 0.004
    assert ", not within twice its standard error" in information.cost(measured, "a/b")


def test_missing_snapshots_are_named():
    even = pd.DataFrame({"step": np.arange(0, 1001, 10)})
    gone = even[(even["step"] <= 200) | (even["step"] > 350)].reset_index(drop=True)
    few = pd.DataFrame({"step": [10, 300, 600, 1000]})  # measured at few, as planned
    assert information.unseen({"a": even, "b": few}) == ""
    assert "between steps 200 and 360 in c: what" in information.unseen({"a": even, "c": gone})
