"""Which factors the networks encode at all, in which latents, and whether two factors share one."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from lib.arms import ARMS
from lib.dsprites import FACTOR_NAMES
from lib.report.effects import number, with_spread
from lib.report.findings.wording import joined
from lib.report.latents import IN_USE

NAMES = {name: name.replace("_", " ") for name in FACTOR_NAMES}


def encoded(information: np.ndarray) -> pd.DataFrame:
    """One row per factor: information of the latent that knows most (nats), latent, and whether that one is shared.

    information [K, J]. A latent is shared where it knows most about another factor too; factors of which no latent
    knows IN_USE nats are not encoded, have no latent and share none.
    """
    best, most = information.argmax(1), information.max(1)
    known = most >= IN_USE
    shared = [known[k] and bool((known & (best == best[k])).sum() > 1) for k in range(len(best))]
    latent = pd.array(np.where(known, best, -1), dtype="Int64")
    return pd.DataFrame(
        {"information": most, "latent": pd.Series(latent).mask(~known), "shared": shared}
    ).set_axis(pd.Index(FACTOR_NAMES, name="factor"))  # fmt: skip


def encoding_table(measured: Mapping[str, Mapping[str, Any]], runs: pd.DataFrame) -> pd.DataFrame:
    """Factors by arms: the information, mean over seeds, and the first seed's latent, starred where it is shared.

    measured: run's name -> evaluation.json; runs: by the same names, with arm and seed.
    """
    columns = {}
    for arm, names in runs.groupby("arm", sort=False).groups.items():
        frames = [encoded(np.array(measured[name]["information"])) for name in names]
        columns[ARMS[arm].label] = {NAMES[factor]: _cell(frames, factor) for factor in FACTOR_NAMES}
    return pd.DataFrame(columns)


def _cell(frames: list[pd.DataFrame], factor: str) -> str:
    first = frames[0].loc[factor]
    where = "–" if pd.isna(first["latent"]) else f"z{first['latent']}{'*' if first['shared'] else ''}"
    return f"{with_spread(pd.Series([frame.loc[factor, 'information'] for frame in frames]), number('.2f'))} ({where})"


def what_is_encoded(measured: Mapping[str, Mapping[str, Any]], arms: pd.Series) -> str:
    """Which factors no latent holds in any run of an arm, and in how many runs two factors share a latent.

    measured: run's name -> evaluation.json; arms: by the same names.
    """
    frames = {name: encoded(np.array(content["information"])) for name, content in measured.items()}
    lacking = []
    for arm, names in arms.groupby(arms, sort=False).groups.items():
        most = pd.concat([frames[name]["information"] for name in names], axis=1).max(axis=1)
        if (most < IN_USE).any():
            lacking.append(f"{joined(NAMES[name] for name in most.index[most < IN_USE])} in {ARMS[arm].label}")
    nowhere = (
        f"No latent holds {IN_USE:g} nats, in any run, of: {'; '.join(lacking)}."
        if lacking
        else "Every factor has, in some run of each arm, a latent that holds it."
    )
    share = sum(bool(frame["shared"].any()) for frame in frames.values())
    return (
        f"{nowhere} In {share} of {len(frames)} runs a latent leads for two factors: the MIG compares latents "
        "for one factor and does not punish that; DCI's disentanglement compares factors for one latent, and does."
    )


def latents_of_their_own(measured: Mapping[str, Mapping[str, Any]]) -> str:
    """In how many runs each factor has a latent that knows it and leads for no other; measured: evaluation.json."""
    frames = [encoded(np.array(content["information"])) for content in measured.values()]
    own = {
        factor: sum(bool(pd.notna(latent) and not shared) for latent, shared in
                    (frame.loc[factor, ["latent", "shared"]] for frame in frames))
        for factor in FACTOR_NAMES
    }  # fmt: skip
    written = joined(f"{NAMES[factor]} {count}" for factor, count in own.items())
    return f"Of {len(frames)} runs, those in which a factor has a latent that leads for it alone: {written}."


def loss_goes_with(measured: Mapping[str, Mapping[str, Any]], reconstruction: pd.Series) -> str:
    """The factor whose information goes along with a low reconstruction loss, over all runs; empty where they are few.

    reconstruction: by run's name, nats per image.
    """
    known = pd.DataFrame(
        {name: np.array(content["information"]).max(1) for name, content in measured.items()}, FACTOR_NAMES
    ).T
    if len(known) < 6:
        return ""
    ranks = known.rank().corrwith(reconstruction[known.index].rank())
    factor = ranks.idxmin()
    if not ranks[factor] < -0.5:
        return f"The reconstruction loss goes with no factor (rank correlations above −0.5 over {len(known)} runs)."
    return (
        f"The reconstruction loss falls most steadily with the information about {NAMES[factor]} (rank correlation "
        f"{number('+.2f')(ranks[factor])} over {len(known)} runs; exploratory)."
    )
