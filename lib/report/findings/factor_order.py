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
IN_ORDER = -0.8  # rank correlation up to which the assumption is said to hold


@cache
def pixel_change(step: bool) -> dict[str, float]:
    """Factor -> pixels that change with it alone, mean over SAMPLE images, the same ones every time.

    With `step` from one class to the next; the last orientation, which is the first one's angle, is never the start,
    and a shape changes into the next, the heart into the square. Else from one class to any other: what a code that
    does not hold the factor gets wrong.
    """
    rng, changes = np.random.default_rng(0), {}
    for k, name in enumerate(FACTOR_NAMES):
        limits = [size - (step and i == k and name != "shape") for i, size in enumerate(FACTOR_SIZES)]
        before = rng.integers(0, limits, (SAMPLE, len(FACTOR_NAMES)))
        after = before.copy()
        after[:, k] += 1 if step else rng.integers(1, FACTOR_SIZES[k], SAMPLE)
        after[:, k] %= FACTOR_SIZES[k]
        pictures = [render(factors_to_indices(classes)).astype(bool) for classes in (before, after)]
        changes[name] = float((pictures[0] ^ pictures[1]).reshape(SAMPLE, -1).sum(1).mean())
    return changes


def half_way(snapshots: pd.DataFrame) -> pd.Series:
    """Factor -> KL at which the information about it first passes half of its final value, in nats.

    By straight lines between snapshots, from the KL's least value on, as the KL starts high; missing where the factor
    is not encoded at the end, or was not measured.
    """
    risen = snapshots.iloc[int(snapshots["kl"].argmin()) :]
    return pd.Series({name: _crossing(risen, BEST[name]) for name in FACTOR_NAMES}, dtype=float)


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
    change = pd.Series(pixel_change(step=False)).sort_values(ascending=False)
    by_step = pd.Series(pixel_change(step=True))[change.index]
    pixels = {"pixels changed by another value": change, "by one step": by_step}
    table = pd.DataFrame({name: values.map(number(".1f")) for name, values in pixels.items()})
    for arm, frames in snapshots.items():
        halves = pd.DataFrame([half_way(frame) for frame in frames])
        if halves.notna().any().any():
            table[f"KL at half, {labels[arm]}"] = {
                name: with_spread(halves[name], number(".1f")) for name in change.index
            }
    return table.rename(index=NAMES)


def in_order(snapshots: pd.DataFrame, step: bool) -> float:
    """Rank correlation, over the factors encoded, of pixel change and KL at half: -1 where the assumption holds.

    step: of `pixel_change`. Missing where fewer than three factors are.
    """
    halves = half_way(snapshots).dropna()
    if len(halves) < 3:
        return np.nan
    return float(halves.rank().corr(pd.Series(pixel_change(step))[halves.index].rank()))


def correlations(snapshots: Mapping[str, pd.DataFrame]) -> tuple[float, float, int]:
    """Means of `in_order` over the runs that tell, by one step and by any other value, and how many these runs are."""
    known = pd.DataFrame({name: [in_order(frame, step) for step in (True, False)] for name, frame in snapshots.items()})
    known = known.dropna(axis=1).astype(float)
    return *known.mean(axis=1), known.shape[1]


def order(snapshots: Mapping[str, pd.DataFrame]) -> str:
    """Whether the factors entered in the order of their effect on pixels; snapshots: run's name -> table."""
    step, value, runs = correlations(snapshots)
    if not runs:
        return "When each factor entered was not recorded."
    write = number("+.2f")
    return (
        f"Factors {meaning(value)} in the order of the pixels that another value changes (rank correlation "
        f"{write(value)}, −1: exactly), and {meaning(step)} in that of one step, 1/31 of a position's range but a "
        f"whole shape ({write(step)}; means over {runs} run{'s' if runs > 1 else ''})."
    )


def meaning(mean: float) -> str:
    """What a mean rank correlation says, as the verb of a sentence about the factors."""
    return "enter" if mean <= IN_ORDER else "roughly enter" if mean <= IN_ORDER / 2 else "do not enter"
