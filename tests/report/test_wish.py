"""Whether the wish came true, against numbers by hand; the estimators of the total correlation on a real code."""

import math

import pytest
import torch

from lib.dsprites import N_IMAGES
from lib.model import VAE
from lib.report.findings import wish
from lib.runs.run import Run


def measured(**information) -> dict:
    """Runs with a KL of 12 nats, and an information."""
    return {arm: {"kl": 12.0, "decomposition": {"mutual_information": value}} for arm, value in information.items()}


NOT_MET = "not met: {} less than linear by more than 0.25 nats{} (n = 1)."


@pytest.mark.parametrize(
    ("information", "total_correlation", "verdict"),
    [
        (10.2, 9.0, NOT_MET.format("neither spends", "; I held + TC pressed spends 1.00 more")),
        (10.2, 9.9, NOT_MET.format("neither spends", "")),
        (10.3, 9.0, "met by information is free alone (n = 1)."),
        (10.3, 11.0, "So the wish is met (n = 1)."),
        (10.2, None, NOT_MET.format("it does not spend", "")),
    ],
)
def test_the_wish_is_met_where_less_is_spent_beside_the_information(information, total_correlation, verdict):
    both = {} if total_correlation is None else {"total_correlation": total_correlation}
    text = wish.beside_information(measured(linear=10.0, information=information, **both))
    assert "information is free 1." in text and "linear 2.00" in text and text.endswith(verdict)


def test_without_either_nothing_is_said():
    assert wish.beside_information(measured(linear=10.0)) == wish.beside_information(measured(information=10.0)) == ""


def test_the_estimates_of_a_code_without_information_are_off_by_the_known_constant(tiny_config, all_images, tmp_path):
    """Posteriors that are all alike: the total correlation is 0, and so is the stratified estimate."""
    run = Run(tmp_path / "linear-seed1")
    run.claim(tiny_config("linear"))
    model = VAE("conv", 10)
    torch.nn.init.zeros_(model.to_posterior.weight)
    torch.nn.init.zeros_(model.to_posterior.bias)
    run.save_weights(model)
    found = wish.batch_estimates(run, all_images, 16)
    assert found["stratified"] == pytest.approx(0, abs=1e-6)
    assert found["weighted"] == pytest.approx(9 * math.log(N_IMAGES), abs=1e-6)
    text = wish.estimators_of_tc(found, 0.0, "linear", 16)
    assert "of 0.00 nats; batches of 16 give 0.0 nats by stratified and 121.6 by weighted sampling" in text
