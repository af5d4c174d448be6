"""Whether factors enter the code in the order of their effect on the pixels, as [6] and the report assume."""

from collections.abc import Mapping
from functools import cache

import numpy as np
import pandas as pd

from lib.dsprites import FACTOR_NAMES, FACTOR_SIZES, factors_to_indices, render
from lib.evaluation.snapshots import BEST
from lib.report.effects import number, with_spread
from lib.report.findings.encoding import NAMES
from lib.report.latents import IN_USE

SAMPLE = 500  # images per factor


@cache
def pixel_change() -> dict[str, float]:
    """Factor -> pixels that one step of it changes, mean over SAMPLE images, the same ones every time.

    A step goes from one class to the next; the last orientation, which is the first one's angle, is never the start,
    and a shape changes into the next, the heart into the square.
    """
    rng, changes = np.random.default_rng(0), {}
    for k, name in enumerate(FACTOR_NAMES):
        limits = [size - 1 if i == k and name != "shape" else size for i, size in enumerate(FACTOR_SIZES)]
        before = rng.integers(0, limits, (SAMPLE, len(FACTOR_NAMES)))
        after = before.copy()
        after[:, k] = (after[:, k] + 1) % FACTOR_SIZES[k]
        pictures = [render(factors_to_indices(classes)).astype(bool) for classes in (before, after)]
        changes[name] = float((pictures[0] ^ pictures[1]).reshape(SAMPLE, -1).sum(1).mean())
    return changes


def half_way(snapshots: pd.DataFrame) -> pd.Series:
    """Factor -> KL at which the information about it first passes half of its final value, in nats.

    By straight lines between snapshots; missing where the factor is not encoded at the end, or was not measured.
    """
    return pd.Series({name: _crossing(snapshots, BEST[name]) for name in FACTOR_NAMES}, dtype=float)


def _crossing(snapshots: pd.DataFrame, column: str) -> float:
    if column not in snapshots or snapshots[column].iloc[-1] < IN_USE:
        return np.nan
    values, kl = snapshots[column].to_numpy(), snapshots["kl"].to_numpy()
    half = values[-1] / 2
    i = int((values >= half).argmax())
    if i == 0:
        return float(kl[0])
    return float(kl[i - 1] + (half - values[i - 1]) / (values[i] - values[i - 1]) * (kl[i] - kl[i - 1]))


def order_table(snapshots: Mapping[str, list[pd.DataFrame]], labels: Mapping[str, str]) -> pd.DataFrame:
    """Factors, the largest pixel change first, beside the KL at which each arm knows half; blank where unknown.

    snapshots: arm -> tables of its seeds; labels: arm -> what to call it.
    """
    change = pd.Series(pixel_change()).sort_values(ascending=False)
    table = pd.DataFrame({"pixels changed per step": change.map(number(".1f"))})
    for arm, frames in snapshots.items():
        halves = pd.DataFrame([half_way(frame) for frame in frames])
        if halves.notna().any().any():
            table[f"KL at half, {labels[arm]}"] = {
                name: with_spread(halves[name], number(".1f")) for name in change.index
            }
    return table.rename(index=NAMES)


def in_order(snapshots: pd.DataFrame) -> float:
    """Rank correlation, over the factors encoded, of pixel change and KL at half: -1 where the assumption holds.

    Missing where fewer than three factors are.
    """
    halves = half_way(snapshots).dropna()
    if len(halves) < 3:
        return np.nan
    return float(halves.rank().corr(pd.Series(pixel_change())[halves.index].rank()))


def order(snapshots: Mapping[str, pd.DataFrame]) -> str:
    """Whether the factors entered in the order of their effect on pixels; snapshots: run's name -> table."""
    correlations = pd.Series({name: in_order(frame) for name, frame in snapshots.items()}).dropna()
    if correlations.empty:
        return "When each factor entered was not recorded."
    mean = correlations.mean()
    meaning = "they enter in that order" if mean <= -0.8 else "they enter roughly so" if mean <= -0.4 else "they do not"
    return (
        f"Against the KL at which half of the final information is reached, {meaning}: rank correlation "
        f"{number('+.2f')(mean)} on average over {len(correlations)} run{'s' if len(correlations) > 1 else ''} "
        "(−1: exactly)."
    )
