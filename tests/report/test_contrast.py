"""The primary contrast: its verdict, how many seeds it would need, and the five sentences."""

import numpy as np
import pandas as pd
import pytest

from lib.report.findings import answer, contrast, controls
from lib.report.findings.contrast import A_DIFFERENCE, NO_DIFFERENCE, UNINFORMATIVE
from lib.runs.profiles import load_profile


def runs(arms: dict[str, list[float]], reconstruction: float = 30.0) -> pd.DataFrame:
    """One row per run; the MIGs by arm, seed by seed."""
    rows = [(arm, seed, mig) for arm, values in arms.items() for seed, mig in enumerate(values, 1)]
    return pd.DataFrame(rows, columns=["arm", "seed", "mig_four"]).assign(reconstruction=reconstruction, steps=100)


@pytest.mark.parametrize(
    ("estimate", "half", "expected"),
    [
        (0.01, 0.03, NO_DIFFERENCE),
        (0.03, 0.01, NO_DIFFERENCE),  # it leaves out zero, but does not matter
        (-0.03, 0.03, UNINFORMATIVE),  # contains zero and reaches beyond the margin
        (0.3, 0.1, A_DIFFERENCE),
        (-0.3, 0.1, A_DIFFERENCE),
        (0.06, 0.05, A_DIFFERENCE),
        (0.04, 0.02, A_DIFFERENCE),  # it may matter or not, but there is one
        (0.3, np.nan, UNINFORMATIVE),
        (np.nan, np.nan, UNINFORMATIVE),
    ],
)
def test_the_verdict_is_that_of_the_whole_interval(estimate, half, expected):
    assert contrast.verdict(estimate, half, 0.05) == expected


def test_the_seeds_needed_are_the_fewest():
    # t(0.975, 8) = 2.306, t(0.975, 7) = 2.365: 2.306 / 3 = 0.769 and 2.365 / sqrt(8) = 0.836 deviations
    assert contrast.seeds_needed(1.0, 0.77) == 9
    assert contrast.seeds_needed(1.0, 0.84) == 8
    assert contrast.seeds_needed(0.0, 0.05) == 2
    assert contrast.seeds_needed(1.0, 0.01) is None and contrast.seeds_needed(np.nan, 0.05) is None


def test_the_sentences_follow_the_verdict():
    wide = runs({"linear": [0.1, 0.2, 0.3], "adaptive": [0.4, 0.2, 0.6]})
    assert "MIG +0.200 [−0.230, +0.630] (uninformative)" in contrast.found(wide)
    assert "reconstruction loss +0.0 [+0.0, +0.0] nats (no difference that matters)" in contrast.found(wide)
    needed = contrast.seeds_needed(np.std([0.3, 0.0, 0.3], ddof=1), 0.05)
    sure = contrast.how_sure_overall(wide)
    assert "over 3 paired seeds (told from chance: without 0), against margins of 0.05 for the MIG and 2 nats" in sure
    assert sure.endswith(f"; at this spread ±0.05 would take {needed} seeds for the MIG.")
    clear = runs({"linear": [0.1, 0.2, 0.3], "adaptive": [0.4, 0.51, 0.6]})
    assert "+0.303 [+0.289, +0.318] (higher) and" in contrast.found(
        clear
    ) and "would take" not in contrast.how_sure_overall(clear)
    lower = contrast.found(runs({"linear": [0.4, 0.51, 0.6], "adaptive": [0.34, 0.42, 0.52]}))
    assert "(lower, perhaps by less than the margin)" in lower
    one = runs({"linear": [0.1], "adaptive": [0.4]})
    assert "MIG +0.300 (uninformative)" in contrast.found(one)
    assert "not at all: one seed per arm cannot tell effect from chance." in contrast.how_sure_overall(one)


def test_runs_of_the_reports_size_are_held_against_its_figures():
    last = {"reconstruction_last_percent": [20.5, 36.5]}
    pair = runs({"linear": [0.1], "adaptive": [0.5]}).assign(reconstruction=[20.0, 36.0], **last)
    assert (
        contrast.beside_the_report(pair) == "" and "Ours minus the report's" not in answer.evidence(pair)["differences"]
    )
    whole = pair.assign(steps=1_500_000)
    said = contrast.beside_the_report(whole)
    assert said == (
        "Ours minus the report's: MIG −0.428 in linear and −0.027 in adaptive, not within the margin of 0.05; "
        "reconstruction loss +1.8 nats in linear and −1.1 nats in adaptive, within the margin of 2 nats (last 1% of "
        "steps: +2.3 and −0.6)."
    )
    assert answer.evidence(whole)["differences"].endswith(said)
    assert contrast.own_size(whole).endswith(f"{said} One seed per arm cannot tell effect from chance.")
    two = runs({"linear": [0.1, 0.1], "adaptive": [0.5, 0.5]}).assign(steps=1_500_000, reconstruction_last_percent=1.0)
    assert "chance" not in contrast.own_size(two) and "2 seeds per arm" in contrast.own_size(two)


def test_what_is_left_when_both_arrive_late():
    arms = {"linear": [0.1, 0.2], "adaptive": [0.4, 0.5]}
    assert controls.same_arrival(runs(arms)) == "" and "was not run" in controls.controls(runs(arms))
    both = controls.controls(runs(arms | {"linear_full": [0.38, 0.49], "random_hold": [0.2, 0.7]}))
    assert both.startswith("What remains of the difference in MIG, exploratory: +0.015 [") and "\n" not in both
    assert both.endswith(
        "(not told from chance): whether pressure is critical, or a late C enough, these runs do not decide."
    )
    assert "against a C that arrives as late by the clock (not told from chance) and +0.000 [" in both
    gone = controls.same_arrival(runs(arms | {"linear_full": [0.38, 0.49]}))
    assert gone.endswith("comes with the late arrival, which chance alone hardly explains.")
    unsure = controls.same_arrival(runs(arms | {"linear_full": [0.2, 0.7]}))
    assert unsure.endswith("comes with the late arrival, which chance may explain.")
    assert "at least half of the difference in MIG stays" in controls.same_arrival(
        runs(arms | {"linear_full": [0.1, 0.2]})
    )


def test_what_is_left_without_seeing_beta():
    arms = {"linear": [0.1, 0.2], "adaptive": [0.4, 0.5]}
    assert controls.seeing_beta(runs(arms)) == ""
    same = runs(arms | {"random_hold": [0.5, 0.41]})
    assert controls.seeing_beta(same).endswith("(adaptive − random hold), that seeing β adds anything is not shown.")
    assert "exploratory: −0.005 [" in answer.evidence(same)["controls"]
    far = runs(arms | {"random_hold": [0.1, 0.201]})
    assert answer.evidence(far)["controls"].endswith("at random (told from chance).")
    less = controls.seeing_beta(far)
    assert less.endswith("that seeing β adds something is told from chance.")


def test_what_a_slow_rise_by_the_clock_does():
    arms = {"linear": [0.1, 0.2], "adaptive": [0.4, 0.5]}
    assert controls.slow_clock(runs(arms)) == ""
    higher = runs(arms | {"slow_then_hold": [0.5, 0.61]}).assign(steps=[100] * 4 + [160] * 2)
    text = controls.slow_clock(higher)
    assert "(slow then held − linear, 160 steps), without β" in text
    assert text.endswith("without β a slow rise gives a higher MIG.")
    lower = controls.slow_clock(runs(arms | {"slow_then_hold": [0.05, 0.151]}).assign(steps=1))
    assert lower.endswith("without β a slow rise gives a lower MIG.")
    unsure = controls.slow_clock(runs(arms | {"slow_then_hold": [0.1, 0.9]}).assign(steps=1))
    assert unsure.endswith("what a slow rise does is uncertain.")


def test_exploratory_comparisons_are_told_from_chance_one_by_one():
    arms = {"linear": [0.1, 0.2, 0.3], "adaptive": [0.4, 0.51, 0.6], "linear_full": [0.38, 0.5, 0.61]}
    text = contrast.told(runs(arms))
    assert text.endswith("alone: MIG: “lateness, by the clock”; reconstruction loss: none.")
    assert contrast.told(runs({name: arms[name] for name in ("linear", "adaptive")})) == ""
    assert contrast.told(runs({name: migs[:1] for name, migs in arms.items()})) == ""


def test_a_reduced_run_is_called_so():
    text = answer.untested(load_profile("seeds"))
    steps = load_profile("seeds").training["steps"]
    assert f"**reduced run** of {steps:,} steps instead of 1,500,000" in text and "instead of 96,000,000" in text
    assert text.endswith(r"and $C_{\max}$ = 12 instead of 16 nats.")
    assert answer.untested(load_profile("hour")).endswith("a faster controller.")
    assert "reduced" not in answer.untested(load_profile("paper"))
    assert list(answer.answer(runs({"linear": [0.1], "adaptive": [0.2]}), load_profile("paper"))) == [
        "asked", "differences", "brackets", "controls", "untested",
    ]  # fmt: skip
