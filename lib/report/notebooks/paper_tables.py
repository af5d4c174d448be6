"""The tables of the paper: values as text, ready to be displayed; but for the first, one column per arm or per run."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from lib.arms import ARMS
from lib.report.controller_tables import APART
from lib.report.effects import (
    DIFFERENCE,
    effect_text,
    exploratory,
    number,
    side_by_side,
    step_or_never,
    with_spread,
)
from lib.report.findings.all import MEASURES
from lib.report.notebooks.shared import paper_steps
from lib.report.tables import REPORTED, settings_table
from lib.runs.profiles import Profile


def headline(table: pd.DataFrame, snapshots: Mapping[str, pd.DataFrame], steps: int) -> pd.DataFrame:
    """Our runs above the report's own figures: a row per run or, where arms have several seeds, one per arm.

    Of an arm that trains longer than `steps`, the others' number, also what it had reached after as many, where it has
    snapshots of that step. snapshots: run's name -> its table.
    """
    columns = {
        "MIG, four factors": ("mig_four", number(".3f")),
        "reconstruction (nats)": ("reconstruction", number(".1f")),
        "KL (nats)": ("kl", number(".2f")),
        "steps": ("steps", number(",.0f")),
    }
    shown = side_by_side(table, table["arm"], columns)
    for arm, runs in table[table["steps"] > steps].groupby("arm", sort=False):
        then = pd.concat([snapshots[name][snapshots[name]["step"] == steps] for name in runs.index])
        if len(then):
            known = {name: (column, write) for name, (column, write) in columns.items() if column in then}
            cells = {name: with_spread(then[column], write) for name, (column, write) in known.items()}
            shown[f"{ARMS[arm].label}, at step {steps:,}"] = pd.Series(cells | {"steps": f"{steps:,}"})
    for row in REPORTED.itertuples():
        known = [f"{row.mig:.4f}", f"{row.reconstruction:.1f}", f"{paper_steps():,}"]
        names = ["MIG, four factors", "reconstruction (nats)", "steps"]
        shown[f"{ARMS[row.arm].label}, the report"] = pd.Series(known, names)
    return shown.T.fillna("")


def settings(profile: Profile) -> pd.DataFrame:
    """The settings of `paper` and, of another profile, its own beside them, marked where they differ."""
    table = settings_table(profile).rename_axis(None)
    changed = np.where(table.pop("changed"), "changed", "")
    table = table.map(lambda value: f"{value:,}" if type(value) is int else str(value))
    if profile.name == "paper":
        return table[["paper"]]
    return table.set_axis(["paper", f"these runs ({profile.name})"], axis=1).assign(**{"": changed})


def controller(table: pd.DataFrame, done: pd.DataFrame) -> pd.DataFrame:
    """How the controller behaved and what a rule that looks at β did; blank where an arm has none.

    No row of when it locked where it locked in no run.

    done: `lib.report.analysis.Analysis.done`.
    """
    locked = table["locked_at"].fillna(np.inf).where(table["share_frozen"].notna())
    rows = {
        "mean β over all steps": ("mean_beta", number(".2f")),
        "steps with β at its minimum": ("share_at_beta_min", number(".1%")),
        "mean |KL − C| over all steps (nats)": ("mean_kl_to_set_point", number(".2f")),
        "last 1% of steps: reconstruction (nats)": ("reconstruction_last_percent", number(".1f")),
        "last 1% of steps: β": ("beta_last_percent", number(".2f")),
        "last 1% of steps: KL (nats)": ("kl_last_percent", number(".2f")),
        "KL of the last weights − that mean (nats)": ("kl_off", number("+.2f")),
        "C at the end (nats)": ("final_capacity", number(".2f")),
        "C at the end − its mean over the last 1% (nats)": ("capacity_rise", number(".2f")),
        "swing of the KL over the last 10% (1: batches alone)": ("kl_swing", number(".2f")),
        "controller locked at step": ("locked_at", step_or_never),
        "steps below the maximum of C at which C advanced": ("advanced", number(".1%")),
        "of the advances, KL < C": ("below", number(".1%")),
        "of the holds, KL > C": ("above", number(".1%")),
        "of the advances, β at its minimum": ("at_minimum", number(".1%")),
    }
    if table["locked_at"].isna().all():
        del rows["controller locked at step"]
    shown = table.assign(locked_at=locked).join(done.drop(columns="arm"))
    return side_by_side(shown, table["arm"], rows)


def at_like_kl(pairs: pd.DataFrame) -> pd.DataFrame:
    """Adaptive less every other arm at equal KL, means over the seeds that allow it, blank where none does.

    Where several of the other's snapshots are as near, the difference in loss takes their mean; its range is beside it.
    pairs: `lib.report.tradeoff.at_like_kl`.
    """
    rows = {}
    for arm, runs in pairs.groupby("arm", sort=False):
        close = runs.dropna(subset=["mig_four"])
        rows[f"adaptive − {ARMS[arm].label}"] = {
            "pairs": f"{len(close)} of {len(runs)}",
            "KL (nats)": _range(close["kl"], ".1f"),
            "nearest in KL (nats)": number(".2f")(runs["distance"].min()),
            "MIG, four factors": with_spread(close["mig_four"], number("+.3f")) if len(close) else "",
            "reconstruction (nats)": with_spread(close["reconstruction"], number("+.1f")) if len(close) else "",
            "by snapshot": _range(pd.concat([close["least"], close["most"]]), "+.1f"),
        }
    return pd.DataFrame(rows).T


def _range(values: pd.Series, form: str) -> str:
    """ "1.0 to 2.0", one value where both ends are written alike, nothing where there is none."""
    return " to ".join(dict.fromkeys(number(form)(value) for value in (values.min(), values.max())))


def estimators(table: pd.DataFrame) -> pd.DataFrame:
    """The MIG by each estimator, and the sampler's distance from quadrature beside its standard error."""
    rows = {
        "quadrature, four factors": ("mig_four", number(".3f")),
        "sampled as in [12], four factors": ("mig_four_monte_carlo", number(".3f")),
        "sampled − quadrature": ("bias", number("+.3f")),
        "standard error of the sampled": ("mig_four_monte_carlo_standard_error", number(".3f")),
        "quadrature, five factors": ("mig_five", number(".3f")),
        "histogram of [15], five factors": ("mig_five_histogram", number(".3f")),
    }
    return side_by_side(table.assign(bias=table["mig_four_monte_carlo"] - table["mig_four"]), table["arm"], rows)


def measures(table: pd.DataFrame) -> pd.DataFrame:
    """The MIG beside the other measures of disentanglement."""
    return side_by_side(table, table["arm"], {name: (column, number(".3f")) for column, name in MEASURES.items()})


def split(table: pd.DataFrame, snapshots: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The KL and its parts of the trained networks, and below, where it had other images, at the last snapshot."""
    last = pd.DataFrame({name: frame.iloc[-1] for name, frame in snapshots.items()}).T
    rows = {
        "KL": ("kl", number(".2f")),
        "mutual information I(x; z)": ("mutual_information", number(".2f")),
        "total correlation": ("total_correlation", number(".2f")),
        "dimension-wise KL": ("dimension_wise_kl", number(".2f")),
        "standard error of the sampled parts": ("decomposition_standard_error", number(".3f")),
        "MIG, four factors": ("mig_four", number(".3f")),
    }
    whole = side_by_side(table, table["arm"], rows)
    if (last["images"] == table["images"]).all():
        return whole
    again = {
        f"{name}, N = {last['images'].iloc[0]:,.0f}": row
        for name, row in rows.items()
        if row[0] in ("kl", "mutual_information", "mig_four")
    }
    return pd.concat([whole, side_by_side(last, table["arm"], again)])


def gaps(frame: pd.DataFrame, arms: pd.Series) -> pd.DataFrame:
    """How far C and KL stood from the information; frame: `Analysis.gaps`."""
    rows = {
        "mean |C − I(x; z)| over the steps": ("mean_distance", number(".2f")),
        "largest C − I(x; z)": ("largest_gap", number(".2f")),
        "at step": ("largest_at", number(",.0f")),
        "last C − I(x; z)": ("last_gap", number(".2f")),
        "of which C − KL": ("last_lag", number(".2f")),
        "of which KL − I(x; z)": ("last_mismatch", number(".2f")),
        f"KL − I(x; z) above {APART} from step": ("apart_from", step_or_never),
        "C above log N from step": ("over_bound", step_or_never),
    }
    if np.isinf(frame["over_bound"]).all():
        del rows["C above log N from step"]
    return side_by_side(frame, arms, rows)


def contrasts(table: pd.DataFrame) -> pd.DataFrame:
    """The primary contrast, then the exploratory ones that the arms allow, with 95% intervals over the seeds."""
    quantities = {
        "MIG, four factors": ("mig_four", ".3f"),
        "reconstruction (nats)": ("reconstruction", ".1f"),
        "KL (nats)": ("kl", ".2f"),
    }
    rows = {"primary: adaptive − linear": DIFFERENCE} | exploratory(table["arm"])
    return pd.DataFrame(
        {
            quantity: {name: effect_text(table, column, weights, form) for name, weights in rows.items()}
            for quantity, (column, form) in quantities.items()
        },
        index=list(rows),
    )
