"""Whether the report's wish came true, and what the estimators of the total correlation say, in sentences."""

from collections.abc import Mapping
from typing import Any

import torch

from lib.arms import ARMS
from lib.data.dataset import Dataset
from lib.dsprites import N_IMAGES
from lib.model import reparameterise
from lib.objectives.total_correlation import minibatch_weights, stratified_weights, total_correlation
from lib.report.effects import number
from lib.report.findings.wording import joined
from lib.runs.run import Run

WISHES = ("information", "total_correlation")  # arms that are to press on what the KL spends beside the information
ALIKE = 0.25  # nats within which two are said to spend as much
BATCHES = 20


def beside_information(measured: Mapping[str, Mapping[str, Any]], base: str = "linear") -> str:
    """What the KL spends beside the information, KL - I, in the arms of the wish and in `base`.

    measured: evaluation.json by arm, runs of one seed. Empty where none of the wish is among them, or `base` is not.
    """
    spent = {
        arm: measured[arm]["kl"] - measured[arm]["decomposition"]["mutual_information"]
        for arm in (*WISHES, base)
        if arm in measured
    }
    wishes = [arm for arm in WISHES if arm in spent]
    if not wishes or base not in spent:
        return ""
    less = [arm for arm in wishes if spent[arm] < spent[base] - ALIKE]
    more = "".join(
        f"; {ARMS[arm].label} spends {number('.2f')(spent[arm] - spent[base])} more"
        for arm in wishes
        if spent[arm] > spent[base] + ALIKE
    )
    verdict = (
        f"So the wish is met by {joined(ARMS[arm].label for arm in less)} alone"
        if less and len(less) < len(wishes)
        else "So the wish is met"
        if less
        else f"So the wish is not met: {'neither spends' if len(wishes) > 1 else 'it does not spend'} less than "
        f"{base} by more than {ALIKE:g} nats{more}"
    )
    written = joined(f"{ARMS[arm].label} {number('.2f')(value)}" for arm, value in spent.items())
    return f"The KL spent beside the information (KL − I at the end, nats): {written}. {verdict} (n = 1)."


@torch.inference_mode()
def batch_estimates(run: Run, data: Dataset, batch: int) -> dict[str, float]:
    """The total correlation by stratified and by weighted sampling, nats, means over BATCHES batches of random images.

    From the run's weights, z ~ q(z|x), the same images and noise every time.
    """
    generator = torch.Generator().manual_seed(0)
    model, rules = run.load_model(), {"stratified": stratified_weights, "weighted": minibatch_weights}
    found = dict.fromkeys(rules, 0.0)
    for _ in range(BATCHES):
        mean, logvar = model.encode(data.images(torch.randint(N_IMAGES, (batch,), generator=generator)))
        z = reparameterise(mean, logvar, torch.randn(mean.shape, generator=generator))
        for name, rule in rules.items():
            value = total_correlation(z.double(), mean.double(), logvar.double(), rule(batch, N_IMAGES))
            found[name] += value.item() / BATCHES
    return found


def estimators_of_tc(found: Mapping[str, float], exact: float, arm: str, batch: int) -> str:
    """How far the estimates of `batch_estimates` are from the exact value; all in nats."""
    return (
        f"The code of {ARMS[arm].label} has a total correlation of {number('.2f')(exact)} nats; batches of {batch} "
        f"give {number('.1f')(found['stratified'])} nats by stratified and {number('.1f')(found['weighted'])} by "
        f"weighted sampling (means over {BATCHES} batches), of which only gradients are used."
    )
