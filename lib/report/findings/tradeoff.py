"""What the runs say at a given KL, in sentences."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from lib.arms import ARMS
from lib.report.effects import COMPARED, per_arm
from lib.report.findings.contrast import MIG
from lib.report.findings.wording import joined, labels
from lib.report.tradeoff import ALMOST_EMPTY, AT, BEYOND

EARLY = 5.0  # nats of KL
FEW = 3  # pairs of snapshots, of one arm, below which nothing is concluded
LONG, LONGER = 0.05, 2.0  # share of training, and times the linear arm's: from both on the code is long almost empty
STOPPED = 0.1  # of training: a run that stops that much earlier is compared with itself
ALIKE = 1.25  # ratio of two betas up to which they are said to coincide


def ratios(pressures: pd.DataFrame, arm: str, other: str, at: tuple[float, ...] = AT) -> pd.Series:
    """Beta of `arm` over that of `other` at these KLs, geometric means over the runs; missing where either is."""
    logs = np.log(pressures[[f"beta_{kl:g}" for kl in at]].astype(float)).groupby(pressures["arm"]).mean()
    if not {arm, other} <= set(logs.index):
        return pd.Series(np.nan, at)
    return np.exp(logs.loc[arm] - logs.loc[other]).set_axis(at)


def coincide(of: pd.Series) -> bool:
    """Whether all ratios that are known, and at least one is, lie within ALIKE."""
    known = of.dropna()
    return bool(len(known) and (np.abs(np.log(known)) <= np.log(ALIKE)).all())


def pressure_at_kl(pressures: pd.DataFrame) -> str:
    """Whether the arms' curves of beta against KL coincide, and what that means for the report's question."""
    linear, adaptive = COMPARED
    report, late = ratios(pressures, adaptive, linear), ratios(pressures, adaptive, "linear_full")
    if report.isna().all():
        return "No KL of 4, 6 or 8 nats was held by both arms, so that their β cannot be compared."
    text = f"β adaptive / linear at a KL of {_written(report)}"
    if coincide(report):
        return (
            f"{text}: the curves coincide, within a factor of {ALIKE}. At a given KL the adaptive rule presses no "
            f"harder; it only spends more time at low C, and a higher mean β says no more.{_parting(pressures)}"
        )
    if coincide(late):
        return (
            f"{text}: they do not coincide; against linear full-length, nearly as slow, {_written(late)}: they do, "
            f"within a factor of {ALIKE}. At a given KL the rule presses no harder than a slow clock; it only spends "
            "more time at low C."
        )
    every = ratios(pressures, adaptive, linear, (*AT, *BEYOND)).dropna()
    apart = every[np.abs(np.log(every)) > np.log(ALIKE)]
    text = f"β adaptive / linear at a KL of {_written(every)}"
    if len(apart) < len(every) / 2:
        only = joined(f"{kl:g}" for kl in apart.index)
        return (
            f"{text}: but for {only} nats the curves coincide, within a factor of {ALIKE}. At most KLs the adaptive "
            "rule presses no harder; it only spends more time at low C, and a higher mean β says no more."
        )
    return f"{text}: the curves do not coincide, so that the rules differ in pressure at a given KL."


def _parting(pressures: pd.DataFrame) -> str:
    """The first KL above those of AT at which the two arms compared differ, if there is one."""
    of = ratios(pressures, *reversed(COMPARED), BEYOND).dropna()
    apart = of[np.abs(np.log(of)) > np.log(ALIKE)]
    return f" At {apart.index[0]:g} nats they have parted ({apart.iloc[0]:.2f})." if len(apart) else ""


def slopes(pressures: pd.DataFrame) -> str:
    """Whether beta is the measured slope of the trade-off."""
    known, later = (
        pd.concat([pressures[f"slope_{kl:g}"] / pressures[f"beta_{kl:g}"] for kl in at], ignore_index=True).dropna()
        for at in (AT, BEYOND)
    )
    if known.empty:
        return "No run stayed near these KLs long enough for a slope to be measured."
    within = "equals" if abs(np.log(known.median())) <= np.log(1.1) else "exceeds" if known.median() > 1 else "is below"
    why = {
        "equals": "",
        "exceeds": ", which learning at a constant KL would explain",
        "is below": ": it is not exactly the multiplier of equation (1)",
    }[within]
    return (
        f"The measured slope −dD/dKL at {joined(f'{kl:g}' for kl in AT)} nats {within} β (ratio {known.median():.2f} "
        f"in the median of {len(known)} slopes, {known.min():.2f} to {known.max():.2f}){why}."
        + (f" From {BEYOND[0]:g} nats on it is {later.median():.2f} ({len(later)} slopes)." if len(later) else "")
    )


def squeezed(squeezes: pd.DataFrame) -> str:
    """How high beta is at its peak, how long the code is almost empty, and in which arms that lasts.

    squeezes: `lib.report.analysis.Analysis.squeezes`.
    """
    values = squeezes.drop(columns="arm").astype(float).assign(arm=squeezes["arm"])
    means = values.groupby("arm").mean()
    peaks = joined(
        f"{mean.peak_beta:.0f} in {ARMS[arm].label} (after {mean.peak_at:.1%} of training, at a KL of "
        f"{mean.peak_kl:.1f} nats)"
        for arm, mean in means.loc[[*COMPARED]].iterrows()
    )
    linear, adaptive = means.loc[[*COMPARED], "beta_then"]
    text = (
        "Nat for nat the first save more of the loss than any later ones, and so take the largest β to hold back: at "
        f"its peak it was {peaks}. The KL was below {ALMOST_EMPTY:g} nats, which tell at most about "
        f"{np.exp(ALMOST_EMPTY):.0f} images apart, for this share of training: "
        f"{per_arm(values[values['arm'].isin(COMPARED)], 'almost_empty', '.1%')}. To this time belongs "
        f"{adaptive:.0%} of the sum of the adaptive arm's β, {linear:.0%} of the linear arm's."
    )
    least = max(LONG, LONGER * means.loc["linear", "almost_empty"])
    long = [arm for arm in squeezes["arm"].unique() if means.loc[arm, "almost_empty"] >= least]
    if "adaptive" not in long:
        return f"{text} A long start with an almost empty code is no mark of the adaptive arm here."
    others = labels(arm for arm in long if arm != "adaptive")
    also = f" It comes with any C that stays low for long, as in {joined(others)}." if others else ""
    return (
        f"{text} So the continuous pressure of the adaptive arm is {'mostly' if adaptive > 0.5 else 'in part'} a long "
        f"start with an almost empty code.{also}"
    )


def like_kl(pairs: pd.DataFrame) -> str:
    """Whose MIG is the higher at like KL, by arm; pairs: `lib.report.tradeoff.at_like_kl`, of which Table 4 has all."""
    close = pairs.dropna(subset=["mig_four"])
    kinds: dict[str, list[str]] = {"higher": [], "lower": [], "either": [], "few": []}
    for arm in pairs["arm"].unique():
        of = close.loc[close["arm"] == arm, "mig_four"]
        sign = "higher" if (of > 0).all() else "lower" if (of < 0).all() else "either"
        kinds["few" if len(of) < FEW else sign].append(arm)
    if set(kinds["few"]) == set(pairs["arm"]):
        return "At equal KL there are too few pairs of snapshots to tell whose MIG is the higher."
    words = {
        "higher": "above that of {} in every pair",
        "lower": "below that of {} in every pair",
        "either": "now above, now below that of {}",
        "few": "in too few pairs beside that of {} to tell",
    }
    parts = (words[kind].format(joined(labels(arms))) for kind, arms in kinds.items() if arms)
    return f"At equal KL the MIG of adaptive is {'; '.join(parts)}."


def decided_early(snapshots: Mapping[str, pd.DataFrame]) -> str:
    """Whether the MIG at the first snapshot above EARLY nats tells that at the last; snapshots: run's name -> table.

    Only snapshots from the KL's least value on count, as the KL starts high, and runs with a later one; empty where
    these are too few.
    """
    pairs, shares = [], []
    for frame in snapshots.values():
        fallen = frame.iloc[int(frame["kl"].argmin()) :]
        above = fallen[fallen["kl"] >= EARLY]
        if len(above) > 1:
            pairs.append((above["mig_four"].iloc[0], above["mig_four"].iloc[-1]))
            shares.append(above["step"].iloc[0] / above["step"].iloc[-1])
    if len(pairs) < 4:
        return ""
    correlation = np.corrcoef(np.array(pairs).T)[0, 1]
    late = ", for the slowest late in training" if max(shares) > 0.5 else ""
    means = f"after that the ranking of the runs hardly changes{late}"
    if correlation < 0.9:
        means = "after that the ranking of the runs still changes"
    return (
        f"The MIG of the first snapshot above {EARLY:g} nats, after {min(shares):.0%} to {max(shares):.0%} of "
        f"training, correlates with that of the last over {len(pairs)} runs (r = {correlation:.2f}, exploratory): "
        f"{means}."
    )


def where_it_stopped(snapshots: Mapping[str, pd.DataFrame]) -> str:
    """What a run that stopped STOPPED of training earlier, or at a snapshot before that, would have had as its MIG.

    snapshots: run's name -> table. A run without such a snapshot says nothing.
    """
    found = {}
    for name, frame in snapshots.items():
        last, before = frame.iloc[-1], frame[frame["step"] <= (1 - STOPPED) * frame["step"].max()]
        if len(before):
            found[name] = {
                "mig": abs(last["mig_four"] - before["mig_four"].iloc[-1]),
                "earlier": 1 - before["step"].iloc[-1] / last["step"],
            }
    if not found:
        return ""
    moved = pd.DataFrame(found).T
    earlier = " to ".join(dict.fromkeys(f"{each:.0%}" for each in (moved["earlier"].min(), moved["earlier"].max())))
    side = "within" if moved["mig"].max() <= MIG.margin else "beyond"
    return (
        f"Stopped {earlier} of training earlier, a run would have had a MIG up to {moved['mig'].max():.3f} away "
        f"(median of {len(moved)}: {moved['mig'].median():.3f}), {side} the margin of {MIG.margin:g}."
    )


def _written(of: pd.Series) -> str:
    known = of.dropna()
    return f"{joined(f'{kl:g}' for kl in known.index)} nats: {joined(f'{value:.2f}' for value in known)}"
