"""What the runs say of the information in the KL, in sentences."""

from collections.abc import Mapping

import pandas as pd

from lib.report.analysis import Analysis
from lib.report.effects import COMPARED, DIFFERENCE, effect, effect_text, how_sure, per_arm
from lib.report.findings.wording import joined, labels
from lib.report.tables import measured_costs, measured_on

HOLE, WIDE = 0.1, 5.0  # share of training, and times the usual distance, from which snapshots are said to be missing


def findings(a: Analysis) -> dict[str, str]:
    """All sentences of this file about a profile's runs, by name."""
    gaps = a.gaps.assign(arm=a.table["arm"], seed=a.table["seed"])
    two = a.table[a.table["arm"].isin(COMPARED)]
    return {
        "cost": cost(measured_costs(), measured_on()),
        "rest": rest(two),
        "followed": followed(gaps),
        "beyond": beyond(two, a.entropy),
    }


def rest(table: pd.DataFrame) -> str:
    """What of the KL is no information about the image."""
    other = table["kl"] - table["mutual_information"]
    noise = table["decomposition_standard_error"].max()
    sure = "well beyond" if other.min() > 3 * noise else "in part within three times"
    return (
        f"Not information about the image: {per_arm(table.assign(rest=other), 'rest', '.2f')} nats, {sure} the "
        f"standard error of at most {noise:.3f}."
    )


def cost(measured: pd.DataFrame, run: str) -> str:
    """What the exact MIG costs beside the published sampler.

    measured, run: `lib.report.tables.measured_costs` and `measured_on`.
    """
    exact, finer = (measured.loc[f"quadrature, resolution {points}"] for points in (4, 16))
    sampler = measured.loc["sampler, 10000 samples"]
    distance = abs(sampler["mig_four"] - exact["mig_four"])
    agree = "within" if distance <= 2 * sampler["standard_error"] else "not within"
    return (
        f"In `{run}` a grid four times as fine changes the MIG by {abs(finer['mig_four'] - exact['mig_four']):.7f}; "
        f"the sampler takes {sampler['seconds'] / exact['seconds']:.0f} times as long, and differs by "
        f"{distance:.4f}, {agree} twice its standard error."
    )


def followed(gaps: pd.DataFrame) -> str:
    """Whether C followed the information, and whether it takes β for that; gaps: `Analysis.gaps` with arm and seed."""
    difference, _ = effect(gaps, "mean_distance", DIFFERENCE)
    if pd.isna(difference):
        return ""
    means = gaps.groupby("arm")["mean_distance"].mean()
    blind = ""
    if "random_hold" in means:
        blind = (
            f" Random hold, blind to β, was {'no farther' if means['random_hold'] <= means['adaptive'] else 'farther'} "
            f"from it than adaptive ({means['random_hold']:.2f} and {means['adaptive']:.2f} nats)."
        )
    written, sure = effect_text(gaps, "mean_distance", DIFFERENCE, ".2f"), how_sure(gaps, "mean_distance")
    return (
        f"On average over the steps C was {'closer' if difference < 0 else 'no closer'} to $I_q(x; z)$ in the adaptive "
        f"arm than in linear ({written} nats{sure and f'; {sure}'}).{blind}"
    )


def unseen(snapshots: Mapping[str, pd.DataFrame]) -> str:
    """Where snapshots are missing that curves over them would need; snapshots: run's name -> table."""
    parts = []
    for name, frame in snapshots.items():
        step, apart = frame["step"], frame["step"].diff()
        if apart.max() > max(HOLE * step.max(), WIDE * apart.median()):
            parts.append(f"{step[apart.idxmax() - 1]:,.0f} and {step[apart.idxmax()]:,.0f} in {name}")
    if not parts:
        return ""
    return f"No snapshot is left between steps {joined(parts)}: what is drawn or read off there is a straight line."


def beyond(table: pd.DataFrame, entropy: float) -> str:
    """Whether the KL ended above the entropy of the images."""
    kl = table.groupby("arm", sort=False)["kl"].mean()
    above, written = labels(kl.index[kl > entropy]), per_arm(table, "kl", ".2f")
    if above:
        return (
            f"The KL ended above it in {joined(above)} (in nats: {written}); the part above it cannot be information."
        )
    return f"Here the KL ended below it (in nats: {written}); below it, too, not all KL is information."
