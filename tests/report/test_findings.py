"""The words that depend on results: each rule on tables made for one side of it and for the other."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from lib.report import controller_findings, findings, information_findings
from lib.report.wording import counts, fill, joined
from lib.runs.profiles import load_profile


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


def test_a_comparison_says_which_arm_has_more_and_how_sure_that_is():
    linear, adaptive = [1.0, 2.0, 3.0], [5.0, 6.1, 7.2]
    table = runs(loss=np.stack([linear, adaptive], 1).ravel())
    text = findings.compared(table, "loss", "The loss", ".1f", " nats")
    assert text.startswith("The loss is higher in the adaptive arm than in the linear one: +4.1 [")
    assert text.endswith("leaves out zero: chance alone hardly explains the difference.")
    text = findings.compared(table.assign(loss=[1.0, 0.0, 2.0, 3.0, 3.0, 1.0]), "loss", "The loss", ".1f")
    assert "lower in the adaptive arm" in text and text.endswith("contains zero: chance may explain the difference.")
    assert findings.compared(table.iloc[:2], "loss", "It", ".1f").endswith("chance cannot be told from effect.")
    assert findings.compared(table.assign(loss=np.nan), "loss", "It", ".1f") == "It was not measured in both arms."
    assert findings.compared(table.assign(loss=1.0), "loss", "It", ".1f") == "It is the same in both arms."


def test_the_answer_has_brackets_only_over_several_seeds():
    several = runs(mig_four=[0.1, 0.2, 0.3, 0.3, 0.1, 0.4])
    assert findings.certainty(several).startswith("In brackets 95% confidence intervals, paired by seed. The conf")
    assert findings.certainty(several.iloc[:2]) == "With one seed per arm, chance cannot be told from effect."
    assert findings.brackets(several.iloc[:2]) == "With one seed, chance cannot be told from effect."


def test_overlap_of_the_arms():
    apart = runs(mig_four=[0.1, 0.5, 0.2, 0.6, 0.3, 0.7])
    assert findings.apart_or_not(apart).startswith("The MIGs of the adaptive and the linear runs do not overlap.")
    assert findings.apart_or_not(apart.iloc[:2]) == findings.certainty(
        apart.iloc[:2]
    )  # one run each: nothing to overlap
    assert "runs overlap." in findings.apart_or_not(apart.assign(mig_four=[0.1, 0.5, 0.2, 0.6, 0.5, 0.3]))


@pytest.mark.parametrize(
    ("bias", "error", "end"),
    [
        (
            [-1, -2, -1, -2, -3, -1],
            2,
            "It is lower in every run: that is bias, of which the standard error says nothing.",
        ),
        ([1, 2, 1, 2, 3, 1], 2, "It is higher in every run: that is bias, of which the standard error says nothing."),
        ([1, -2, 1, 2, 5, 1], 2, "In 1 of 6 runs they differ by more than twice that error."),
        ([1, -2, 1, 2, 3, 1], 2, "No run differs by more than twice that error."),
    ],
)
def test_the_samplers_bias_is_told_from_its_error(bias, error, end):
    table = runs(mig_four=0.5).assign(mig_four_monte_carlo_standard_error=error / 100)
    text = findings.estimators(table.assign(mig_four_monte_carlo=0.5 + np.array(bias) / 100))
    assert text.endswith(end)
    assert f"by {np.mean(bias) / 100:+.4f} on average over 6 runs" in text


def test_measures_are_ordered_and_told_from_chance():
    rng = np.random.default_rng(0)
    table = runs(**{column: rng.normal(size=6) for column in findings.MEASURES})
    table["sap"] = [0.1, 0.5, 0.2, 0.61, 0.3, 0.7]
    text = findings.measures(table)
    higher, lower = text.split("Higher in the linear arm:")
    assert "SAP" in higher and "SAP" in lower.split("Told from chance, each taken alone:")[1]
    assert findings.measures(table.iloc[:2]).endswith("no such order can be told from chance.")


@pytest.mark.parametrize(
    ("rule", "arrival", "end"),
    [
        (0.4, 0.4, "Both effects on the MIG can be told from chance."),
        (0.4, 0.0, "Of the two effects on the MIG, only the rule's can be told from chance."),
        (0.0, 0.4, "Of the two effects on the MIG, only the arrival's can be told from chance."),
        (0.0, 0.0, "Neither effect on the MIG can be told from chance."),
    ],
)
def test_the_design_tells_rule_from_arrival(rule, arrival, end):
    arms = ("linear", "adaptive", "linear_full", "adaptive_hold")
    noise = np.random.default_rng(0).normal(0, 0.01, (3, 4))
    table = runs(arms=arms, mig_four=(np.array([0.0, rule + arrival, arrival, rule]) + noise).ravel(), kl=10.0)
    assert findings.design(table).endswith(end)
    assert findings.controls(table).startswith("Two control arms tell the rule from the time at capacity.")
    pair = table[table["arm"].isin(("linear", "adaptive"))]
    assert findings.design(pair) == findings.controls(pair) == ""
    assert "are not both part of these runs" in findings.control_arms(pair)


def test_a_reduced_run_is_called_so():
    assert "**reduced run** of 24,000 steps instead of 1,500,000" in findings.size(24_000)
    assert findings.size(1_500_000) == "This is the report's own size, 1,500,000 steps."
    assert "the network saw 768,000 images, the report's 96,000,000" in findings.limits(24_000, 32, 3)
    assert findings.limits(1_500_000, 64, 1).startswith("With one seed per arm there is no spread")


def test_every_changed_setting_has_its_reason():
    assert findings.reasons(load_profile("paper")) == "All settings are the report's own."
    hour = findings.reasons(load_profile("hour"))
    assert "$K_p / K_i$ = 10 nats" in hour and "`conditional`" not in hour and "Smaller batches" not in hour
    assert "Smaller batches" in findings.reasons(load_profile("seeds"))


def test_the_linear_arms_time_at_capacity_comes_from_the_profile():
    assert "= 16 at step 520,000 of 1,500,000 and spends the other 65%" in controller_findings.schedule(
        load_profile("paper")
    )
    assert "= 10 at step 5,120 of 24,000 and spends the other 79%" in controller_findings.schedule(
        load_profile("seeds")
    )
    paper = load_profile("paper")
    never = dataclasses.replace(paper, training=paper.training | {"c_max": 60.0})
    assert controller_findings.schedule(never).endswith("does not reach $C_{\\max}$ = 60 before the end.")


def test_arms_without_a_controller_are_left_out():
    table = runs(1, kl_last_percent=[9.9, 5.0], final_capacity=[10.0, np.nan], mean_beta=[2.0, 4.0],
                 locked_at=[np.nan, np.nan], share_frozen=[0.1, np.nan])  # fmt: skip
    assert controller_findings.kept_up(table).endswith("within 0.5 nats of each other in: linear 1 of 1 run.")
    assert controller_findings.pressure(table).endswith("The controller locked in no run.")
    locked = table.assign(locked_at=[70.0, np.nan])
    assert controller_findings.pressure(locked).endswith("could never again raise β, in: linear 1 of 1 run.")


def test_how_long_capacity_stood_still():
    table = runs(1, share_advanced=[0.1, 0.6])
    held = pd.DataFrame({"first": [2, 50], "length": [3, 40], "capacity": [0.5, 1.0]})
    text = controller_findings.stood_still(held, table, 1000, 1)
    assert "40 steps at most (4.0% of training), at C = 1.00 nats" in text
    assert text.endswith("at least 1% of training: 1, together 4.0% of it.")
    assert controller_findings.stood_still(None, table, 1000, 1).endswith("stood still was not published.")
    assert controller_findings.stood_still(held.iloc[:0], table, 1000, 1).endswith("C never stood still.")


def test_latents_and_factors():
    shared = np.zeros((5, 6))
    shared[[0, 1, 2, 3, 4], [0, 0, 2, 3, 4]] = 1
    measured = {"linear": {"kl_latents": [0.05, 2, 0.2], "information": shared},
                "adaptive": {"kl_latents": [0, 0, 1], "information": np.eye(5, 6)}}  # fmt: skip
    assert information_findings.in_use(measured) == "Latents in use (KL above 0.1 nats): linear 2, adaptive 1."
    assert "latents: linear 4, adaptive 5; with fewer than five, some" in information_findings.shared(measured)
    assert information_findings.shared({"adaptive": measured["adaptive"]}).endswith("no latent leads for two factors.")
    factors = runs(1, shape=0.0, scale=[0.2, 0.6], orientation=0.1, position_x=[0.5, 0.7], position_y=0.51)
    assert information_findings.own_latents(factors).endswith(
        "linear position y; adaptive scale, position x and position y."
    )


def gaps(**columns) -> pd.DataFrame:
    return runs(1, **{"mean_distance": [0.4, 0.6], "last_gap": [-0.2, 0.1], "last_lag": 0.0, "last_mismatch": 0.0,
                      "apart_from": [np.inf, 400.0]} | columns)  # fmt: skip


def test_whether_capacity_followed_the_information():
    text = information_findings.followed(gaps())
    assert "it did in linear." in text and "kept it no closer than the linear one (+0.20 nats)" in text
    assert "it did in no arm." in information_findings.followed(gaps(last_gap=[0.6, -0.7]))
    assert "kept it closer" in information_findings.followed(gaps(mean_distance=[0.9, 0.1]))
    assert information_findings.apart_from(gaps(), 1).endswith("(seed 1): linear never, adaptive 400.")


def test_bounds_on_information():
    table = runs(1, final_capacity=[16.0, 13.0], kl=[14.0, 12.0], images=1000)
    assert information_findings.bounds(table, 10**6, 15.0).startswith("In linear C ended beyond log N = 13.82 nats")
    assert "and in linear beyond the 15.00 nats" in information_findings.bounds(table, 10**6, 15.0)
    assert "no bound kept" in information_findings.bounds(table, 10**8, 18.0)
    assert information_findings.beyond(table, 13.5).startswith("The KL ended above it in linear")
    assert information_findings.beyond(table, 15.0).startswith("In these runs the KL ended below it")
    last = table.assign(mutual_information=[9.0, 8.0])
    table["mutual_information"] = [9.5, 8.0]
    assert information_findings.sub_grid(table, last) == ""
    assert "linear +0.50, adaptive +0.00 nats" in information_findings.sub_grid(table, last.assign(images=500))


def test_arms_at_like_kl():
    linear = pd.DataFrame({"step": [10, 100, 1000], "kl": [1.0, 6.0, 9.0], "mig_four": [0.1, 0.3, 0.2]})
    adaptive = pd.DataFrame({"step": [1000], "kl": [6.5], "mig_four": [0.5]})
    text = information_findings.like_kl(linear, adaptive)
    assert "at step 100 has the KL closest" in text and "+0.300 at the end is +0.200 at like KL" in text


def test_growth_cost_and_rest():
    snapshots = {"a": pd.DataFrame({"mutual_information": [1, 3], "mig_four": [0.3, 0.2]})}
    arms = pd.Series({"a": "linear"})
    assert information_findings.grown(snapshots, arms).endswith("in linear 1 of 1 run; the MIG in linear 0 of 1 run.")
    table = runs(1, kl=10.0, mutual_information=9.0, decomposition_standard_error=[0.1, 0.4])
    assert information_findings.rest(table).endswith(
        "in part within three times the sampling error of at most 0.400 nats."
    )
    measured = pd.DataFrame(
        {"seconds": [2.0, 9.0, 300.0], "mig_four": [0.5, 0.5, 0.49], "standard_error": [np.nan, np.nan, 0.006]},
        index=["quadrature, resolution 4", "quadrature, resolution 16", "sampler, 10000 samples"],
    )
    assert ", within twice its standard error" in information_findings.cost(measured)
    measured.loc["sampler, 10000 samples", "standard_error"] = 0.004
    assert ", not within twice its standard error" in information_findings.cost(measured)
