"""Which factors are encoded, in what order, and with which the loss goes: invented codes."""

import numpy as np
import pandas as pd
import pytest
import torch

from lib.disentanglement import concentration
from lib.dsprites import FACTOR_NAMES, FACTOR_SIZES
from lib.mig import FIVE_FACTORS, mutual_information_gap
from lib.report.findings import encoding, factor_order

OWN = np.eye(5, 6) * np.log(FACTOR_SIZES)[:, None]  # every factor known in full by a latent of its own
SHARED = OWN.copy()
SHARED[1] = SHARED[1, [1, 0, 2, 3, 4, 5]]  # the scale sits in the shape's latent


def test_a_latent_that_leads_for_two_factors_is_shared():
    assert encoding.encoded(OWN)["latent"].tolist() == [0, 1, 2, 3, 4] and not encoding.encoded(OWN)["shared"].any()
    assert encoding.encoded(SHARED)["shared"].tolist() == [True, True, False, False, False]
    weak = SHARED.copy()
    weak[1, 0] = 0.05  # not encoded: it has no latent and shares none
    assert not encoding.encoded(weak)["shared"].any() and pd.isna(encoding.encoded(weak).loc["scale", "latent"])


def test_the_mig_does_not_punish_a_shared_latent_and_dci_does():
    migs = [mutual_information_gap(torch.from_numpy(code), FACTOR_SIZES, FIVE_FACTORS) for code in (OWN, SHARED)]
    assert migs == pytest.approx([1, 1])
    own, shared = (concentration(code.T) for code in (OWN, SHARED))
    assert own == pytest.approx(1) and shared < 0.95


def test_what_is_encoded_in_words():
    blind = OWN.copy()
    blind[2] = 0.01
    measured = {"a": {"information": SHARED.tolist()}, "b": {"information": blind.tolist()}}
    runs = pd.DataFrame({"arm": ["linear", "adaptive"], "seed": 1}, index=["a", "b"])
    text = encoding.what_is_encoded(measured, runs["arm"])
    assert text.startswith(
        "No latent holds 0.1 nats, in any run, of: orientation in adaptive. In 1 of 2 runs a latent leads for two"
    )
    every = encoding.what_is_encoded({"a": measured["a"]}, runs["arm"][:1])
    assert every.startswith("Every factor has, in some run of each arm, a latent that holds it.")
    table = encoding.encoding_table(measured, runs)
    assert (
        table["linear"].tolist()[:2] == ["1.10 (z0*)", "1.79 (z0*)"]
        and table.loc["orientation", "adaptive"] == "0.01 (–)"
    )


def test_the_factor_that_goes_with_the_loss():
    measured, loss = {}, {}
    for number in range(8):
        information = np.full((5, 6), 0.5)
        information[2, 0] = 0.6 + number / 10
        information[3, 0] = 0.6 + (number * 5 % 8) / 10
        measured[f"r{number}"], loss[f"r{number}"] = {"information": information.tolist()}, 90.0 - number
    assert "information about orientation (rank correlation −1.00 over 8 runs" in encoding.loss_goes_with(
        measured, pd.Series(loss)
    )
    rising = pd.Series(loss) * 0 + np.arange(8)
    flat = {name: {"information": np.full((5, 6), 0.5).tolist()} for name in measured}
    flat = {name: {"information": (np.full((5, 6), 0.5) + n / 9).tolist()} for n, name in enumerate(flat)}
    assert "goes with no factor" in encoding.loss_goes_with(flat, rising)
    assert encoding.loss_goes_with({"r0": measured["r0"]}, pd.Series(loss)) == ""


def snapshots(order: list[str]) -> pd.DataFrame:
    """Factors enter at a KL of 1, 2, ... nats, in this order."""
    kl = np.linspace(0, 10, 101)
    rows = {f"information_{name}": np.clip(kl - place - 0.5, 0, 1) for place, name in enumerate(order)}
    return pd.DataFrame({"step": np.arange(101), "kl": kl} | rows)


def test_pixel_changes_are_of_one_step_or_of_any_other_value():
    one, another = (factor_order.pixel_change(step) for step in (True, False))
    for change in (one, another):
        assert set(change) == set(FACTOR_NAMES) and min(change.values()) > 5
        assert change["position_x"] == pytest.approx(change["position_y"], rel=0.1)  # the same move, turned
    assert one["orientation"] < one["scale"] < one["shape"]
    assert another["shape"] == pytest.approx(one["shape"], rel=0.1)  # which has no order of its own
    assert another["orientation"] < another["shape"] < another["scale"] < another["position_x"]


def test_the_kl_at_half_of_the_information():
    halves = factor_order.half_way(snapshots(list(FACTOR_NAMES)))
    assert halves.tolist() == pytest.approx([1, 2, 3, 4, 5])
    faint = snapshots(list(FACTOR_NAMES)).assign(information_scale=0.01)
    assert np.isnan(factor_order.half_way(faint)["scale"])
    assert factor_order.half_way(pd.DataFrame({"kl": [1.0]})).isna().all()


def test_the_order_of_the_factors_is_told():
    by_pixels = sorted(FACTOR_NAMES, key=factor_order.pixel_change(step=False).get, reverse=True)
    changes = "in the order of the pixels that another value changes (rank correlation"
    assert f"Factors enter {changes} −1.00" in factor_order.order({"a": snapshots(by_pixels)})
    assert f"Factors do not enter {changes} +1.00" in factor_order.order({"a": snapshots(by_pixels[::-1])})
    by_step = sorted(FACTOR_NAMES, key=factor_order.pixel_change(step=True).get, reverse=True)
    text = factor_order.order({"a": snapshots(by_step)})
    assert "and enter in that of one step" in text and "a whole shape (−1.00; means over 1 run)." in text
    assert "was not recorded" in factor_order.order({"a": pd.DataFrame({"kl": [1.0]})})
    table = factor_order.order_table({"linear": [snapshots(by_pixels)]}, {"linear": "linear"})
    assert table["KL at half, linear"].tolist() == ["1.0", "2.0", "3.0", "4.0", "5.0"]
