"""What the runs say of latents, factors and information, in sentences."""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from lib.arms import ARMS
from lib.dsprites import FACTOR_NAMES
from lib.report.analysis import Analysis
from lib.report.controller_tables import APART
from lib.report.effects import (
    COMPARED,
    DIFFERENCE,
    effect,
    effect_text,
    how_sure,
    number,
    per_arm,
    step_or_never,
    with_spread,
)
from lib.report.latents import IN_USE
from lib.report.tables import measured_costs
from lib.report.wording import counts, joined, labels, sentences

OWN = 0.5  # gap above which a factor is said to have a latent of its own
NAMES = {name: name.replace("_", " ") for name in FACTOR_NAMES}


def findings(a: Analysis) -> dict[str, str]:
    """All sentences of this file about a profile's runs, by name."""
    pair = {arm: a.measured[run.name] for arm, run in a.pair.items()}
    factors = pd.DataFrame({name: content["factor_gaps"] for name, content in a.measured.items()}).T
    factors = factors.assign(arm=a.table["arm"])
    gaps = a.gaps.assign(arm=a.table["arm"], seed=a.table["seed"])
    two = a.table.index[a.table["arm"].isin(COMPARED)]  # those compared: texts with every arm's numbers cannot be read
    last = pd.DataFrame({name: frame.iloc[-1] for name, frame in a.snapshots.items()}).T
    return {
        "in_use": in_use(pair),
        "shared": shared(pair),
        "own_first": own_latents(factors.loc[[run.name for run in a.pair.values()]]),
        "own": own_latents(factors),
        "position_scale": listed(factors.loc[two], ("position_x", "position_y", "scale")),
        "shape_turn": listed(factors.loc[two], ("shape", "orientation")),
        "cost": cost(measured_costs()),
        "rest": rest(a.table.loc[two]),
        "grown": grown(a.snapshots, a.table["arm"]),
        "followed": followed(gaps),
        "apart_from": apart_from(gaps, a.profile.seeds[0]),
        "bounds": bounds(a.table, int(last["images"].iloc[0]), a.entropy),
        "sub_grid": sub_grid(a.table.loc[two], last.loc[two]),
        "beyond": beyond(a.table.loc[two], a.entropy),
        "like_kl": like_kl(*(a.snapshots[run.name] for run in a.pair.values())),
    }


def in_use(measured: Mapping[str, dict]) -> str:
    """measured: arm -> evaluation.json."""
    number_of = {arm: sum(kl > IN_USE for kl in content["kl_latents"]) for arm, content in measured.items()}
    written = ", ".join(f"{ARMS[arm].label} {n}" for arm, n in number_of.items())
    return f"Latents in use (KL above {IN_USE} nats): {written}."


def shared(measured: Mapping[str, dict]) -> str:
    """How many different latents know most about the five factors; measured: arm -> evaluation.json."""
    best = {arm: len(set(np.argmax(content["information"], axis=1))) for arm, content in measured.items()}
    written = ", ".join(f"{ARMS[arm].label} {n}" for arm, n in best.items())
    all_own = all(n == len(FACTOR_NAMES) for n in best.values())
    meaning = (
        "no latent leads for two factors" if all_own else "with fewer than five, some latent leads for two factors"
    )
    return f"The five factors are best known by so many different latents: {written}; {meaning}."


def own_latents(factors: pd.DataFrame) -> str:
    """Which factors have a latent of their own; factors: one row per run, a gap per factor, and the arm."""
    means = factors.groupby("arm", sort=False)[list(NAMES)].mean()
    written = "; ".join(
        f"{ARMS[arm].label} {joined((NAMES[name] for name in means if row[name] > OWN), 'none')}"
        for arm, row in means.iterrows()
    )
    return f"Gap above {OWN}, so that one latent stands out: {written}."


def listed(factors: pd.DataFrame, names: tuple[str, ...]) -> str:
    """The gaps of some factors, arm by arm, with their spread over seeds."""
    arms = factors["arm"]
    return "; ".join(
        f"{ARMS[arm].label}: "
        + ", ".join(f"{NAMES[name]} {with_spread(factors.loc[arms == arm, name], number('.2f'))}" for name in names)
        for arm in arms.unique()
    )


def rest(table: pd.DataFrame) -> str:
    """What of the KL is no information about the image."""
    other = table["kl"] - table["mutual_information"]
    shares = table.assign(rest=other, share=other / table["kl"])
    noise = table["decomposition_standard_error"].max()
    smallest = other.min()
    sure = "well beyond" if smallest > 3 * noise else "in part within three times"
    return (
        f"What is no information about the image: {per_arm(shares, 'rest', '.2f')} nats, as a share of the KL "
        f"{per_arm(shares, 'share', '.0%')}. That is {sure} the sampling error of at most {noise:.3f} nats."
    )


def cost(measured: pd.DataFrame) -> str:
    """What the exact MIG costs beside the published sampler; measured: results/benchmarks/measures.csv by `measure`."""
    exact, finer = (measured.loc[f"quadrature, resolution {points}"] for points in (4, 16))
    sampler = measured.loc["sampler, 10000 samples"]
    distance = abs(sampler["mig_four"] - exact["mig_four"])
    agree = "within" if distance <= 2 * sampler["standard_error"] else "not within"
    return (
        f"Quadrature took {exact['seconds']:.1f} s, the sampler {sampler['seconds']:.0f} s. A grid four times as fine "
        f"changes the MIG by {abs(finer['mig_four'] - exact['mig_four']):.7f}; the sampler differs by {distance:.4f}, "
        f"{agree} twice its standard error of {sampler['standard_error']:.4f}."
    )


def grown(snapshots: Mapping[str, pd.DataFrame], arms: pd.Series) -> str:
    """Whether information and MIG were largest at the end; snapshots: run's name -> its table."""
    columns = ("mutual_information", "mig_four")
    at_end = {c: pd.Series({n: f[c].iloc[-1] >= f[c].max() for n, f in snapshots.items()}) for c in columns}
    information, mig = (counts(at_end[column], arms) for column in columns)
    return f"$I_q(x; z)$ was largest at the last snapshot in {information}; the MIG in {mig}."


def followed(gaps: pd.DataFrame) -> str:
    """Whether C followed the information; gaps: `Analysis.gaps` with arm and seed."""
    means = gaps.groupby("arm", sort=False)[["mean_distance", "last_gap"]].mean().dropna()
    close = [arm for arm, row in means.iterrows() if row.abs().max() <= APART]
    difference, _ = effect(gaps, "mean_distance", DIFFERENCE)
    two = gaps[gaps["arm"].isin(COMPARED)]
    return (
        f"Within {APART} nats, on average over the steps and at the last snapshot, it did in "
        f"{joined(labels(close))}. On average over the steps C and $I_q(x; z)$ were "
        f"{per_arm(two, 'mean_distance', '.2f')} nats apart: the adaptive rule, which is to keep C from running "
        f"ahead, kept it {'closer' if difference < 0 else 'no closer'} than the linear one "
        f"({effect_text(gaps, 'mean_distance', DIFFERENCE, '.2f')} nats). {how_sure(gaps, 'mean_distance')} At the "
        f"last snapshot C − $I_q(x; z)$ was {per_arm(two, 'last_gap', '.2f')} nats: C − KL was "
        f"{per_arm(two, 'last_lag', '.2f')}, and KL − $I_q(x; z)$, what the KL holds that is "
        f"no information, {per_arm(two, 'last_mismatch', '.2f')}."
    )


def apart_from(gaps: pd.DataFrame, seed: int) -> str:
    """From when on the KL held more than information, until the end, in the runs of one seed."""
    first = gaps[gaps["seed"] == seed].set_index("arm")["apart_from"]
    steps = ", ".join(f"{ARMS[arm].label} {step_or_never(step)}" for arm, step in first.items())
    return f"KL − $I_q(x; z)$ stayed above {APART} nats until the end from this step on (seed {seed}): {steps}."


def bounds(table: pd.DataFrame, images: int, entropy: float) -> str:
    """Which arms' C ended beyond what the information can be, on N images measured and on all."""
    final, log_n = table.groupby("arm", sort=False)["final_capacity"].mean(), math.log(images)
    past_grid, past_all = (labels(final.index[final > bound]) for bound in (log_n, entropy))
    if not past_grid:
        return f"C stayed below log N = {log_n:.2f} nats, so that no bound kept $I_q(x; z)$ from reaching it."
    more = f", and in {joined(past_all)} beyond the {entropy:.2f} nats that bound it on all images" if past_all else ""
    return (
        f"In {joined(past_grid)} C ended beyond log N = {log_n:.2f} nats, more than $I_q(x; z)$ can be on the images "
        f"of the snapshots{more}."
    )


def sub_grid(table: pd.DataFrame, last: pd.DataFrame) -> str:
    """How much of the gaps is due to fewer images; last: each run's last snapshot. Empty where they are as many."""
    if (last["images"] == table["images"]).all():
        return ""
    change = table.assign(change=table["mutual_information"] - last["mutual_information"].astype(float))
    return (
        f"Part of these gaps comes from the smaller number of images: on {table['images'].iloc[0]:,} images $I_q(x; "
        f"z)$ of the trained networks differs by {per_arm(change, 'change', '+.2f')} nats."
    )


def beyond(table: pd.DataFrame, entropy: float) -> str:
    """Whether the KL ended above the entropy of the images."""
    kl = table.groupby("arm", sort=False)["kl"].mean()
    above, written = labels(kl.index[kl > entropy]), per_arm(table, "kl", ".2f")
    if above:
        start = f"The KL ended above it in {joined(above)} (in nats: {written})."
        return f"{start} What is above it cannot be information about the image."
    start = (
        f"In these runs the KL ended below it (in nats: {written}), so that they do not show where KL above it goes."
    )
    return f"{start} Below it, too, not all KL is information."


def like_kl(linear: pd.DataFrame, adaptive: pd.DataFrame) -> str:
    """The two arms compared at like KL, from the snapshots of one run each."""
    end, other_end = adaptive.iloc[-1], linear.iloc[-1]
    alike = linear.loc[(linear["kl"] - end["kl"]).abs().idxmin()]
    return sentences(
        f"Of the linear arm's snapshots the one at step {alike['step']:,.0f} has the KL closest to the adaptive arm's "
        f"last one ({alike['kl']:.2f} and {end['kl']:.2f} nats). Its MIG was {alike['mig_four']:.3f}, its last one "
        f"{other_end['mig_four']:.3f}, against {end['mig_four']:.3f} in the adaptive arm: the difference of "
        f"{end['mig_four'] - other_end['mig_four']:+.3f} at the end is {end['mig_four'] - alike['mig_four']:+.3f} at "
        "like KL. Time and pressure still differ between the two, and it is one seed."
    )
