"""What the runs say at a given KL, in sentences."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from lib.arms import ARMS
from lib.report.effects import COMPARED, number, per_arm, with_spread
from lib.report.findings.contrast import MIG
from lib.report.findings.wording import joined, labels, sentences
from lib.report.tradeoff import ALMOST_EMPTY, AT, BEYOND, NEAR

EARLY = 5.0  # nats of KL
FEW = 3  # pairs of snapshots, of one arm, below which nothing is concluded
LONG, LONGER = 0.05, 2.0  # share of training, and times the linear arm's: from both on the code is long almost empty
LITTLE = 1.0  # nats of loss up to which it is all the same which snapshot near a KL is taken
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
    others = values[values["arm"].isin(long) & (values["arm"] != "adaptive")]
    shares = per_arm(others, "almost_empty", ".1%")
    also = f" It comes with any C that stays low for long: {shares}." if len(others) else ""
    return (
        f"{text} So the continuous pressure of the adaptive arm is {'mostly' if adaptive > 0.5 else 'in part'} a long "
        f"start with an almost empty code.{also}"
    )


def like_kl(pairs: pd.DataFrame) -> str:
    """MIG and reconstruction at like KL, arm by arm; pairs: `lib.report.tradeoff.at_like_kl`."""
    close = pairs.dropna(subset=["mig_four"])
    none = [arm for arm in pairs["arm"].unique() if arm not in set(close["arm"])]
    parts = [
        f"minus {ARMS[arm].label} MIG {with_spread(rows['mig_four'], number('+.3f'))} and reconstruction "
        f"{with_spread(rows['reconstruction'], number('+.1f'))} nats ({_by_snapshot(rows)}{len(rows)} of "
        f"{sum(pairs['arm'] == arm)} run{'s' if sum(pairs['arm'] == arm) > 1 else ''})"
        for arm, rows in close.groupby("arm", sort=False)
    ]
    at = " to ".join(dict.fromkeys(f"{kl:.1f}" for kl in (close["kl"].min(), close["kl"].max())))
    kl = f" (within {NEAR} nats, at {at})" if parts else ""
    start = f"Adaptive at equal KL{kl}: {joined(parts, '')}." if parts else ""
    few = "Too few pairs to decide." if len(close) and close["arm"].value_counts().min() < FEW else ""
    if not none:
        return sentences(start, few)
    nearest = per_arm(pairs[pairs["arm"].isin(none)].groupby("arm", sort=False).min().reset_index(), "distance", ".2f")
    apart = nearest and f" (the nearest, in nats: {nearest})"
    return sentences(start, f"For {joined(labels(none))} no snapshot is close enough{apart}.", few)


def _by_snapshot(rows: pd.DataFrame) -> str:
    """How much the difference in loss depends on which of a run's snapshots near that KL is taken, if it does."""
    if (rows["most"] - rows["least"]).max() < LITTLE:
        return ""
    write = number("+.1f")
    return f"{write(rows['least'].min())} to {write(rows['most'].max())}, by the snapshot near it; "


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


def where_it_stopped(snapshots: Mapping[str, pd.DataFrame], table: pd.DataFrame) -> str:
    """What a run that stopped STOPPED of training earlier, or at a snapshot before that, would have had as its MIG.

    snapshots: run's name -> table; table: one row per run, with arm and mig_four. A run without such a snapshot says
    nothing.
    """
    found = {}
    for name, frame in snapshots.items():
        last, before = frame.iloc[-1], frame[frame["step"] <= (1 - STOPPED) * frame["step"].max()]
        if len(before):
            found[name] = {
                "mig": abs(last["mig_four"] - before["mig_four"].iloc[-1]),
                "kl": abs(last["kl"] - before["kl"].iloc[-1]),
                "earlier": 1 - before["step"].iloc[-1] / last["step"],
            }
    if not found:
        return ""
    moved, spread = pd.DataFrame(found).T, table.groupby("arm")["mig_four"].std().max()
    earlier = " to ".join(dict.fromkeys(f"{each:.0%}" for each in (moved["earlier"].min(), moved["earlier"].max())))
    seeds = "" if pd.isna(spread) else f", where seeds of an arm differ by a standard deviation of up to {spread:.3f}"
    side = "within" if moved["mig"].max() <= MIG.margin else "beyond"
    return (
        f"Stopped {earlier} of training earlier, at a KL up to {moved['kl'].max():.1f} nats away, a run would have had "
        f"a MIG up to {moved['mig'].max():.3f} away (median of {len(moved)}: {moved['mig'].median():.3f}), {side} the "
        f"margin of {MIG.margin:g}{seeds}."
    )


def _written(of: pd.Series) -> str:
    known = of.dropna()
    return f"{joined(f'{kl:g}' for kl in known.index)} nats: {joined(f'{value:.2f}' for value in known)}"
