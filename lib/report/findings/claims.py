"""The report's claims, one by one, against these runs: reproduced, not reproduced or not testable here, and why."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from lib.dsprites import FACTOR_NAMES, FACTOR_SIZES
from lib.report.analysis import Analysis
from lib.report.effects import COMPARED, DIFFERENCE, effect_text, number, per_arm
from lib.report.findings.contrast import (
    A_DIFFERENCE,
    MIG,
    NO_DIFFERENCE,
    RECONSTRUCTION,
    UNINFORMATIVE,
    Primary,
    judged,
)
from lib.report.findings.encoding import NAMES
from lib.report.findings.factor_order import IN_ORDER, correlations, meaning, pixel_change
from lib.report.findings.tradeoff import ALIKE, ratios
from lib.report.latents import IN_USE
from lib.report.tables import REPORTED
from lib.report.tradeoff import AT, BEYOND
from lib.runs.profiles import load_profile

REPRODUCED, NOT_REPRODUCED, NOT_TESTABLE = "reproduced", "not reproduced", "not testable here"
OWN = 0.5  # gap above which a latent is said to stand out
LEVEL = 0.01  # share of training for which C stands still, at least once, if it is held at levels


@dataclass(frozen=True)
class Claim:
    claim: str
    ours: str
    verdict: str
    why: str


def claims(a: Analysis) -> list[Claim]:
    """The claims of the report in its order, conclusions and follow-up wish among them."""
    pair = a.table[a.table["arm"].isin(COMPARED)]
    gaps = a.factor_gaps.loc[pair.index].assign(arm=pair["arm"])
    information = pd.DataFrame(
        {name: dict(zip(NAMES, np.array(a.measured[name]["information"]).max(1), strict=True)) for name in pair.index}
    ).T.assign(arm=pair["arm"])
    knows_most = pd.DataFrame(
        {name: np.array(a.measured[name]["information"]).argmax(1) for name in pair.index}, FACTOR_NAMES
    )
    gaps["shared"] = knows_most.loc["shape"] == knows_most.loc["orientation"]
    holds = a.done.loc[a.done["arm"] == "adaptive", ["longest", "longest_at_start"]].max() / a.profile.training["steps"]
    listed = [
        mig_level(pair),
        same_mig(a.table),
        worse_reconstruction(a.table),
        levels(*holds),
        more_pressure(a.table),
        separated(gaps),
        entangled(gaps, information),
        compensation(a.gaps.assign(arm=a.table["arm"], seed=a.table["seed"])),
        pixel_order(*correlations(a.snapshots)),
        not_pressure(a.table, ratios(a.pressures, *reversed(COMPARED), (*AT, *BEYOND))),
        weak_signal(information),
        follow_up(a.table),
    ]
    return listed if len(a.profile.seeds) > 1 else [_of_one_pair(claim) for claim in listed]


def _of_one_pair(claim: Claim) -> Claim:
    judged_here = claim.verdict in (REPRODUCED, NOT_REPRODUCED)
    return replace(claim, verdict=f"{claim.verdict}, in this pair") if judged_here else claim


def claims_table(listed: list[Claim]) -> pd.DataFrame:
    """The claims as a table, ready to be displayed."""
    rows = [(each.ours, each.verdict, each.why) for each in listed]
    return pd.DataFrame(rows, [each.claim for each in listed], ["here", "verdict", "why"])


def mig_level(pair: pd.DataFrame) -> Claim:
    """pair: the rows of `run_table` of the two arms."""
    reported = REPORTED.set_index("arm")["mig"]
    met = all(abs(values.mean() - reported[arm]) <= MIG.margin for arm, values in pair.groupby("arm")[MIG.column])
    reduced = (pair["steps"] < load_profile("paper").training["steps"]).any()
    return Claim(
        "The MIG is 0.53 in both arms",
        per_arm(pair, MIG.column, MIG.form),
        NOT_TESTABLE if reduced else REPRODUCED if met else NOT_REPRODUCED,
        "these runs are reduced"
        if reduced
        else f"within {MIG.margin} is asked of both; the report's estimator, seed and exact network are not known",
    )


def same_mig(table: pd.DataFrame) -> Claim:
    decided, differences = judged(table, MIG)
    verdicts = {NO_DIFFERENCE: REPRODUCED, A_DIFFERENCE: NOT_REPRODUCED, UNINFORMATIVE: NOT_TESTABLE}
    why = {
        NO_DIFFERENCE: f"the interval lies within the margin of {MIG.margin}",
        A_DIFFERENCE: f"the interval leaves out zero and reaches beyond the margin of {MIG.margin}",
        UNINFORMATIVE: _unsure(differences, abs(differences) < MIG.margin),
    }
    return Claim("MIG stays the same (0.5273 after 0.5279)", _difference(table, MIG), verdicts[decided], why[decided])


def worse_reconstruction(table: pd.DataFrame) -> Claim:
    decided, differences = judged(table, RECONSTRUCTION)
    ours = _difference(table, RECONSTRUCTION)
    return Claim("Reconstruction gets worse (37.1 after 18.2 nats)", ours, *_larger(decided, differences))


def levels(longest: float, at_start: float) -> Claim:
    """The longest stretches at which C stood still, as shares of training, after it had left its start and before."""
    held = longest >= LEVEL
    return Claim(
        "C is held at levels",
        f"longest hold {longest:.1%} of training, {at_start:.1%} at the start",
        REPRODUCED if held else NOT_REPRODUCED,
        f"after the start a hold of at least {LEVEL:.0%} of training {'occurs' if held else 'does not occur'}",
    )


def more_pressure(table: pd.DataFrame) -> Claim:
    decided, differences = judged(table, what := Primary("mean_beta", "mean β", 0.0, ".1f"))
    return Claim("β is larger on average", _difference(table, what), *_larger(decided, differences))


def separated(gaps: pd.DataFrame) -> Claim:
    """gaps: one row per run of the two arms, a gap per factor, and the arm."""
    names = ("position_x", "position_y", "scale")
    means = gaps[list(names)].astype(float).groupby(gaps["arm"]).transform("mean")
    smallest = gaps.assign(smallest=means.min(axis=1))
    yes = (smallest["smallest"] > OWN).all()
    return Claim(
        "Position and scale are separated in both arms",
        f"smallest gap of the three: {per_arm(smallest, 'smallest', '.2f')}",
        REPRODUCED if yes else NOT_REPRODUCED, f"a gap above {OWN} is asked of each, on average",
    )  # fmt: skip


def entangled(gaps: pd.DataFrame, information: pd.DataFrame) -> Claim:
    """gaps: as in `separated`, and `shared`: whether one latent knows most of both; information: of `weak_signal`."""
    names = ["shape", "orientation"]
    means = gaps[names].astype(float).groupby(gaps["arm"]).transform("mean")
    largest = gaps.assign(largest=means.max(axis=1))
    claim = "Shape and rotation are entangled in both (its latents 4 and 5 linear, 8 and 9 adaptive)"
    shared = gaps["shared"].astype(bool)
    ours = (
        f"larger gap of the two: {per_arm(largest, 'largest', '.2f')}; one latent knows most of both in "
        f"{shared.sum()} of {len(shared)} runs"
    )
    if (information[names].astype(float).groupby(information["arm"]).mean() < IN_USE).any(axis=None):
        why = "a factor that no latent holds (Table 8) has a small gap too, which is not entanglement"
        return Claim(claim, ours, NOT_TESTABLE, why)
    yes = (largest["largest"] <= OWN).all() and (shared.groupby(gaps["arm"]).mean() > 0.5).all()
    why = f"a gap of at most {OWN} is asked of each, and one latent for both in most runs of an arm"
    return Claim(claim, ours, REPRODUCED if yes else NOT_REPRODUCED, why)


def compensation(gaps: pd.DataFrame) -> Claim:
    """gaps: `Analysis.gaps` with arm and seed."""
    decided, differences = judged(gaps, what := Primary("mean_distance", "|C − I|", 0.0, ".2f", " nats"))
    verdict, why = _larger(decided, -differences)
    ours = f"difference of the mean distances {_difference(gaps, what)}"
    return Claim(
        "Adaptive C stays closer to I(x; z)",
        ours,
        verdict,
        f"{why}; but neither rule sees I(x; z), and a C that is lower for longer is closer, too",
    )


def pixel_order(by_step: float, by_value: float, runs: int) -> Claim:
    """Of `lib.report.findings.factor_order.correlations`."""
    name = "Factors enter in the order of their effect on pixels"
    if not runs:
        return Claim(name, "", NOT_TESTABLE, "the information per factor was not recorded at the snapshots")
    write, meanings = number("+.2f"), {meaning(by_step), meaning(by_value)}
    ours = (
        f"rank correlation {write(by_step)} with the pixels of one step, {write(by_value)} with those of another value"
    )
    if len(meanings) > 1:
        return Claim(name, ours, NOT_TESTABLE, "it depends on what effect on pixels is taken to mean")
    verdict = REPRODUCED if "enter" in meanings else NOT_REPRODUCED
    return Claim(name, ours, verdict, f"at most {write(IN_ORDER)} is asked of both")


def not_pressure(table: pd.DataFrame, of: pd.Series) -> Claim:
    """of: ratio of the arms' betas at given KLs."""
    name, known = "Pressure as such does not disentangle", of.dropna()
    if known.empty:
        return Claim(name, "", NOT_TESTABLE, "no KL was held by both arms")
    ours = f"β ratio at KLs of {known.index[0]:g} to {known.index[-1]:g} nats: {known.min():.2f} to {known.max():.2f}"
    if (known > ALIKE).mean() < 0.5:
        which = "most" if (known > ALIKE).any() else "these"
        why = f"at {which} KLs the adaptive arm presses no harder, so that its MIG says nothing of pressure"
        return Claim(name, ours, NOT_TESTABLE, why)
    mig = same_mig(table)
    return Claim(name, ours, mig.verdict, f"as for the MIG: {mig.why}")


def weak_signal(information: pd.DataFrame) -> Claim:
    """information: one row per run of the two arms, nats of the best latent per factor, and the arm."""
    change = pixel_change(step=False)
    weakest = min(change, key=change.get)
    means = information.groupby("arm")[list(NAMES)].mean().astype(float)
    shares = means / np.log(FACTOR_SIZES)  # of the factors' entropies
    least = (shares.idxmin(axis=1) == weakest).all()
    return Claim(
        "A factor with little effect on pixels is too weak a signal",
        f"{NAMES[weakest]}, the weakest: {per_arm(information.astype({weakest: float}), weakest, '.2f')} nats",
        REPRODUCED if least else NOT_REPRODUCED,
        f"as a share of its entropy it is {'' if least else 'not '}what single latents hold least of in both arms",
    )  # fmt: skip


def follow_up(table: pd.DataFrame) -> Claim:
    error = table["decomposition_standard_error"].max()
    return Claim(
        "I(x; z) is intractable; wish for a better estimate", f"standard error at most {error:.3f} nats",
        "measured only",
        "after training, against the aggregate posterior of all images; two arms of the profile seeds steer by an "
        "estimate",
    )  # fmt: skip


def _difference(table: pd.DataFrame, what: Primary) -> str:
    return f"{effect_text(table, what.column, DIFFERENCE, what.form)}{what.unit}"


def _larger(decided: str, differences: pd.Series) -> tuple[str, str]:
    """Verdict and reason for a claim that a quantity is larger in the adaptive arm."""
    if decided == UNINFORMATIVE:
        return NOT_TESTABLE, _unsure(differences, differences > 0)
    if decided == A_DIFFERENCE and differences.mean() > 0:
        return REPRODUCED, "the interval leaves out zero, on that side"
    return NOT_REPRODUCED, "the interval leaves out zero, on the other side, or lies within the margin"


def _unsure(differences: pd.Series, as_claimed: pd.Series) -> str:
    """Why a claim cannot be judged; as_claimed: whether each seed's difference, taken for itself, is what it says."""
    if len(differences) > 1:
        return "the interval contains zero and is wide"
    if len(differences) == 1:
        return f"one seed per arm; this pair taken for itself {'agrees' if as_claimed.all() else 'disagrees'}"
    return "no seed has a value in both arms"
