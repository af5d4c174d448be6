"""Beta, slope, MIG and reconstruction at a given KL, on invented trade-offs of which everything is known."""

import numpy as np
import pandas as pd
import pytest

from lib.report import tradeoff
from lib.report.findings import tradeoff as tradeoff_findings
from lib.report.notebooks import paper_tables


def trace(rows: int = 2000, shift: float = 0.0, lag: float = 0.0) -> pd.DataFrame:
    """KL rises evenly from 0 to 10 nats on D(KL) = 400 exp(-KL / 4), with beta exactly the slope times exp(shift)."""
    kl = np.linspace(0, 10, rows)
    beta = 100 * np.exp(-kl / 4 + shift)
    columns = {"kl": kl, "reconstruction": 400 * np.exp(-kl / 4), "beta": beta, "capacity": kl + lag}
    return pd.DataFrame({"step": np.arange(1, rows + 1)} | {f"{name}_mean": value for name, value in columns.items()})


def test_windows_are_means_and_only_those_that_have_settled():
    windows = tradeoff.settled_windows(trace())
    assert len(windows) == 200 and windows["step"].iloc[[0, -1]].tolist() == [10, 2000]
    assert windows["kl"].iloc[0] == pytest.approx(trace()["kl_mean"][:10].mean())
    assert tradeoff.settled_windows(trace(lag=0.6)).empty
    rising = trace()
    rising.loc[:499, "beta_mean"] = np.linspace(1, 99, 500)  # a controller on its way up
    assert len(tradeoff.settled_windows(rising)) == 150 + 1
    assert len(tradeoff.settled_windows(trace().assign(capacity_mean=np.nan))) == 200  # an arm without a C
    assert len(tradeoff.settled_windows(trace().assign(beta_mean=np.nan))) == 200  # and one without a beta
    rising = trace(50).assign(beta_mean=np.interp(np.arange(50), [0, 24, 49], [1, 99, 50]))  # fewer rows than windows
    assert len(tradeoff.settled_windows(rising)) == 50 - 24


def test_how_hard_the_start_squeezes():
    """beta climbs to 150 over 10% of training, while the KL falls from 5 to 0.5 nats and then rises by 0.1 per 1%."""
    share = np.arange(1, 1001) / 1000
    kl = np.interp(share, [0, 0.1, 1], [5, 0.5, 9.5])
    beta = np.interp(share, [0, 0.1, 1], [1, 150, 2])
    trace = pd.DataFrame({"step": np.arange(10, 10_001, 10), "kl_mean": kl, "beta_mean": beta})
    found = tradeoff.squeeze(trace)
    assert found["peak_beta"] == pytest.approx(150, rel=0.03)
    assert found["peak_at"] in (0.1, 0.105)  # of the two windows that meet there
    assert found["peak_kl"] == pytest.approx(0.5, abs=0.1)
    assert found["almost_empty"] == pytest.approx(1.5 / 45 + 0.15, abs=0.005)  # on the way down, and up
    thinned = trace.groupby(np.arange(1000) // 4).mean().assign(step=trace["step"][3::4].to_numpy())  # 1.25 a window
    assert tradeoff.squeeze(thinned).tolist() == pytest.approx(found.tolist(), rel=0.03, abs=0.01)
    assert found["beta_then"] == pytest.approx(beta[kl < 2].sum() / beta.sum(), abs=0.005)
    assert list(tradeoff.squeeze(trace.assign(beta_mean=np.nan)).index) == ["almost_empty"]
    assert tradeoff.squeeze(trace[::20])["peak_at"] == pytest.approx(0.1, abs=0.03)  # 50 rows


def test_whose_code_is_long_almost_empty():
    made = {"peak_beta": [80.0, 140.0], "peak_at": [0.03, 0.1], "peak_kl": [1.7, 0.7], "almost_empty": [0.02, 0.21],
            "beta_then": [0.1, 0.7]}  # fmt: skip
    squeezes = pd.DataFrame(made, dtype=object).assign(arm=["linear", "adaptive"])
    text = tradeoff_findings.squeezed(squeezes)
    assert "it was 80 in linear (after 3.0% of training, at a KL of 1.7 nats) and 140 in adaptive (after 10.0%" in text
    assert "share of training: linear 2.0%, adaptive 21.0%. To this time belongs 70% of the sum" in text
    assert text.endswith("pressure of the adaptive arm is mostly a long start with an almost empty code.")
    assert "is in part a long start" in tradeoff_findings.squeezed(squeezes.assign(beta_then=0.4))
    for linear, adaptive in ((0.15, 0.2), (0.0, 0.0), (0.01, 0.04)):
        short = tradeoff_findings.squeezed(squeezes.assign(almost_empty=[linear, adaptive]))
        assert short.endswith("A long start with an almost empty code is no mark of the adaptive arm here.")
    others = squeezes.assign(arm=["random_hold", "linear_full"], almost_empty=[0.2, 0.03])
    beside = tradeoff_findings.squeezed(pd.concat([squeezes, others]))
    assert beside.endswith("It comes with any C that stays low for long, as in random hold.")


def test_beta_and_slope_at_a_kl():
    windows = tradeoff.settled_windows(trace())
    for kl in (4.0, 6.0):
        expected = 100 * np.exp(-kl / 4)
        assert tradeoff.beta_at(windows, kl) == pytest.approx(expected, rel=0.01)
        assert tradeoff.slope_at(windows, kl) == pytest.approx(expected, rel=0.02)
    assert np.isnan(tradeoff.beta_at(windows, 12.0)) and np.isnan(tradeoff.slope_at(windows, 12.0))


def pressures(shifts: dict[str, float]) -> pd.DataFrame:
    windows = {arm: tradeoff.settled_windows(trace(shift=shift)) for arm, shift in shifts.items()}
    return tradeoff.pressures(windows, pd.DataFrame({"arm": list(shifts), "seed": 1}, index=list(shifts)))


def test_whether_the_curves_coincide():
    alike = tradeoff_findings.pressure_at_kl(pressures({"linear": 0.0, "adaptive": 0.1}))
    assert "at a KL of 4, 6 and 8 nats: 1.11, 1.11 and 1.11: the curves coincide, within a factor of 1.25." in alike
    differ = {"linear": 0.0, "adaptive": 0.5}
    assert "rules differ in pressure" in tradeoff_findings.pressure_at_kl(pressures(differ))
    once = tradeoff_findings.pressure_at_kl(pressures({"linear": 0.0, "adaptive": 0.1}).assign(beta_8=[1.0, 1.5]))
    assert "1.11, 1.11, 1.50 and 1.11: but for 8 nats the curves coincide, within a factor of 1.25. At most KLs" in once
    late = tradeoff_findings.pressure_at_kl(pressures(differ | {"linear_full": 0.5}))
    assert "1.00, 1.00 and 1.00: they do, within" in late and "presses no harder than a slow clock" in late
    never = pressures({"linear": 0.0, "adaptive": 0.1}).assign(beta_4=np.nan, beta_6=np.nan, beta_8=np.nan)
    assert "cannot be compared" in tradeoff_findings.pressure_at_kl(never)
    parted = pressures({"linear": 0.0, "adaptive": 0.1}).assign(beta_10=[2.0, 1.0])
    assert tradeoff_findings.pressure_at_kl(parted).endswith("At 10 nats they have parted (0.50).")


def test_whether_beta_is_the_slope():
    assert "equals β (ratio 1.0" in tradeoff_findings.slopes(pressures({"linear": 0.0}))
    assert "exceeds β (ratio 1.3" in tradeoff_findings.slopes(pressures({"linear": -0.3}))
    assert "is below β" in tradeoff_findings.slopes(pressures({"linear": 0.3}))
    later = pressures({"linear": 0.0}).assign(beta_10=2.0, slope_10=3.0, beta_12=2.0, slope_12=4.0)
    assert tradeoff_findings.slopes(later).endswith("From 10 nats on it is 1.75 (2 slopes).")


def test_runs_are_compared_at_like_kl_or_not_at_all():
    runs = pd.DataFrame({"arm": ["linear", "adaptive", "linear_full"], "seed": 1}, index=["l", "a", "f"])
    along = {
        "l": pd.DataFrame({"kl": [3.0, 6.3, 8.0, 9.0], "mig_four": [0.1, 0.2, 0.3, 0.4], "reconstruction": 50.0}),
        "a": pd.DataFrame({"kl": [3.0, 6.2, 8.1], "mig_four": [0.1, 0.5, 0.7], "reconstruction": [90.0, 80.0, 52.0]}),
        "f": pd.DataFrame({"kl": [7.0, 10.0], "mig_four": [0.4, 0.5], "reconstruction": 45.0}),
    }
    pairs = tradeoff.at_like_kl(along, runs)
    found = pairs.loc["l", ["kl", "distance", "mig_four", "reconstruction"]]
    assert found.tolist() == pytest.approx([8.1, 0.1, 0.4, 2.0])  # of two close pairs the one of larger KL
    assert pairs.loc["f", "distance"] == pytest.approx(0.8)
    assert pairs.loc["f", ["mig_four", "reconstruction"]].isna().all()
    shown = paper_tables.at_like_kl(pairs)
    assert shown.loc["adaptive − linear"].tolist() == ["1 of 1", "8.1", "0.10", "+0.400", "+2.0", "+2.0"]
    assert shown.loc["adaptive − linear full-length"].tolist() == ["0 of 1", "", "0.80", "", "", ""]
    early = tradeoff.at_like_kl(along | {"a": along["a"].iloc[:1]}, runs)  # nothing but a code of 3 nats
    assert early["kl"].isna().all() and early["mig_four"].isna().all()
    assert (paper_tables.at_like_kl(early)["nearest in KL (nats)"] == "").all()


def test_at_equal_kl_it_is_said_whose_mig_is_the_higher():
    differences = {
        "linear": [0.1, 0.2, 0.3],
        "linear_full": [-0.1, -0.2, -0.1],
        "random_hold": [0.1, -0.2, 0.1],
        "adaptive_hold": [0.1, 0.2, np.nan],
    }
    pairs = pd.DataFrame([{"arm": arm, "mig_four": mig} for arm, migs in differences.items() for mig in migs])
    assert tradeoff_findings.like_kl(pairs) == (
        "At equal KL the MIG of adaptive is above that of linear in every pair; below that of linear full-length in "
        "every pair; now above, now below that of random hold; in too few pairs beside that of adaptive then held to "
        "tell."
    )
    few = tradeoff_findings.like_kl(pairs[pairs["arm"] == "adaptive_hold"])
    assert few == "At equal KL there are too few pairs of snapshots to tell whose MIG is the higher."


def test_of_several_snapshots_at_like_kl_none_is_chosen():
    """The linear arm stays at 8 nats, while its loss falls."""
    runs = pd.DataFrame({"arm": ["linear", "adaptive"], "seed": 1}, index=["l", "a"])
    linear = {
        "kl": [5.0, 8.0, 8.1, 8.2, 8.4],
        "mig_four": [0.1, 0.2, 0.3, 0.4, 0.9],
        "reconstruction": [70.0, 50, 46, 42, 1],
    }
    adaptive = {"kl": [5.0, 8.1], "mig_four": [0.2, 0.6], "reconstruction": [72.0, 55.0]}
    pairs = tradeoff.at_like_kl({"l": pd.DataFrame(linear), "a": pd.DataFrame(adaptive)}, runs)
    found = pairs.loc["l", ["mig_four", "reconstruction", "least", "most"]]
    assert found.tolist() == pytest.approx([0.3, 9.0, 5.0, 13.0])
    shown = paper_tables.at_like_kl(pairs).loc["adaptive − linear"]
    assert shown[["MIG, four factors", "reconstruction (nats)", "by snapshot"]].tolist() == [
        "+0.300", "+9.0", "+5.0 to +13.0",
    ]  # fmt: skip


def test_a_snapshots_reconstruction_is_the_traces_just_before():
    snapshots = pd.DataFrame({"step": [1000, 2000]})
    found = tradeoff.with_reconstruction(snapshots, trace())["reconstruction"]
    assert found[0] == pytest.approx(trace()["reconstruction_mean"][980:1000].mean())
    measured = snapshots.assign(reconstruction=[1.0, 2.0])
    assert tradeoff.with_reconstruction(measured, trace()) is measured


def test_whether_the_mig_hangs_on_where_a_run_stops():
    def run(before: float, last: float, step: int = 750) -> pd.DataFrame:
        return pd.DataFrame({"step": [10, step, 990, 1000], "kl": [0, 7.5, 8, 9], "mig_four": [0.9, before, 0.0, last]})

    close = {"a1": run(0.20, 0.21), "a2": run(0.30, 0.31), "b1": run(0.50, 0.46, 900)}
    assert tradeoff_findings.where_it_stopped(close) == (
        "Stopped 10% to 25% of training earlier, a run would have had a MIG up to 0.040 away (median of 3: 0.010), "
        "within the margin of 0.05."
    )
    far = tradeoff_findings.where_it_stopped({"b1": run(0.50, 0.44)})
    assert "up to 0.060 away" in far and far.endswith("beyond the margin of 0.05.")
    assert tradeoff_findings.where_it_stopped({"a1": close["a1"].iloc[-1:]}) == ""


def test_whether_the_mig_is_decided_early():
    def run(early: float, late: float) -> pd.DataFrame:
        # The KL starts above 5 nats, and falls before it rises.
        return pd.DataFrame(
            {"step": [1, 10, 20, 60, 100], "kl": [6.0, 1.0, 4.0, 7.0, 9.0], "mig_four": [0.9, 0.0, 0.1, early, late]}
        )

    same = {str(i): run(mig, mig + 0.05) for i, mig in enumerate((0.1, 0.2, 0.3, 0.5))}
    text = tradeoff_findings.decided_early(same)
    assert (
        "after 60% to 60% of training" in text
        and "r = 1.00" in text
        and text.endswith("after that the ranking of the runs hardly changes, for the slowest late in training.")
    )
    mixed = {str(i): run(*pair) for i, pair in enumerate(((0.1, 0.5), (0.2, 0.1), (0.3, 0.4), (0.5, 0.2)))}
    assert tradeoff_findings.decided_early(mixed).endswith("the ranking of the runs still changes.")
    assert tradeoff_findings.decided_early({"a": same["0"]}) == ""
