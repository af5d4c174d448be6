"""What the arms reached at a given KL: the weight beta, the slope of the trade-off, MIG and reconstruction.

Where training has settled, beta is a Lagrange multiplier, minus the slope dD/dKL of the reconstruction loss D that the
network reaches at that KL. All quantities in nats per image, beta without a unit.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from lib.report.controller_tables import APART

WINDOWS = 200  # of a training, over which its trace is averaged
AT = (4.0, 6.0, 8.0)  # nats of KL at which arms are compared
BEYOND = (10.0, 12.0, 14.0)  # where they may have parted
NEAR = 0.25  # nats of KL within which two are said to be alike
SLOPE = 1.0  # nats of KL to either side from which a slope is fitted
ALMOST_EMPTY = 2.0  # nats: a code that tells e^2, about seven, images apart


def window_means(trace: pd.DataFrame, columns: Iterable[str]) -> pd.DataFrame:
    """step (the last), and the columns' means, over 1/200 of the training each."""
    columns = list(columns)
    place = np.minimum(np.arange(len(trace)) * WINDOWS // len(trace), WINDOWS - 1)
    means = trace.groupby(place)[[f"{name}_mean" for name in columns]].mean().set_axis(columns, axis=1)
    means.insert(0, "step", trace.groupby(place)["step"].last())
    return means.reset_index(drop=True)  # of a short trace, some places are empty


def squeeze(trace: pd.DataFrame) -> pd.Series:
    """How hard the code was squeezed at the start, from `window_means`.

    `peak_beta`; `peak_at`, where that was, as a share of training; `peak_kl`, the KL there, nats; `almost_empty`, the
    share of training with a KL below ALMOST_EMPTY; `beta_then`, the share of the sum of beta that falls in it. An arm
    without beta has only `almost_empty`.
    """
    windows = window_means(trace, ("kl", "beta"))
    almost_empty = windows["kl"] < ALMOST_EMPTY
    if windows["beta"].isna().all():
        return pd.Series({"almost_empty": almost_empty.mean()})
    peak = windows.loc[windows["beta"].idxmax()]
    return pd.Series(
        {
            "peak_beta": peak["beta"],
            "peak_at": peak["step"] / windows["step"].iloc[-1],
            "peak_kl": peak["kl"],
            "almost_empty": almost_empty.mean(),
            "beta_then": windows["beta"][almost_empty].sum() / windows["beta"].sum(),
        }
    )


def settled_windows(trace: pd.DataFrame, held: str = "kl") -> pd.DataFrame:
    """`window_means` of kl, reconstruction, beta and capacity, where training has settled.

    Only the windows from beta's largest on in which what is `held` at C (`Arm.held`) was within APART nats of it:
    otherwise beta is a controller's on its way, and no slope of anything. An arm without C has all from there on, one
    without beta from the start.
    """
    windows = window_means(trace, dict.fromkeys(("kl", "reconstruction", "beta", "capacity", held)))
    risen = windows.index >= windows["beta"].fillna(-np.inf).argmax()
    distance = (windows[held] - windows["capacity"]).abs()
    return windows.loc[risen & ~(distance > APART), ["step", "kl", "reconstruction", "beta", "capacity"]].reset_index(
        drop=True
    )


def beta_at(windows: pd.DataFrame, kl: float) -> float:
    """The geometric mean of beta over the settled windows within NEAR nats of this KL; not a number where none is."""
    near = windows.loc[(windows["kl"] - kl).abs() <= NEAR, "beta"]
    return float(np.exp(np.log(near).mean())) if len(near) else np.nan


def slope_at(windows: pd.DataFrame, kl: float) -> float:
    """-dD/dKL, the least-squares slope over the settled windows within SLOPE nats of this KL.

    Not a number where fewer than five are, or where they cover less than SLOPE nats.
    """
    near = windows[(windows["kl"] - kl).abs() <= SLOPE]
    if len(near) < 5 or np.ptp(near["kl"]) < SLOPE:
        return np.nan
    return -float(np.polyfit(near["kl"], near["reconstruction"], 1)[0])


def pressures(windows: Mapping[str, pd.DataFrame], runs: pd.DataFrame) -> pd.DataFrame:
    """Beta and slope of every run at the KLs of AT and BEYOND, columns beta_4, slope_4, ...

    windows: run's name -> `settled_windows`; runs: by the same names, with arm and seed.
    """
    columns = {
        f"{name}_{kl:g}": [function(windows[run], kl) for run in runs.index]
        for kl in (*AT, *BEYOND) for name, function in (("beta", beta_at), ("slope", slope_at))
    }  # fmt: skip
    return runs[["arm", "seed"]].assign(**columns)


def with_reconstruction(snapshots: pd.DataFrame, trace: pd.DataFrame) -> pd.DataFrame:
    """The snapshots with `reconstruction`: their own where it was measured, else the trace's mean.

    The trace's is that of the batches in the 1% of training that ends at the snapshot.
    """
    if "reconstruction" in snapshots:
        return snapshots
    width = trace["step"].iloc[-1] / 100

    def mean(step: float) -> float:
        rows = trace[(trace["step"] <= step) & (trace["step"] > step - width)]
        return rows["reconstruction_mean"].mean()

    return snapshots.assign(reconstruction=snapshots["step"].map(mean))


def at_like_kl(snapshots: Mapping[str, pd.DataFrame], runs: pd.DataFrame, arm: str = "adaptive") -> pd.DataFrame:
    """Every other run against the same seed's `arm` at the largest KL at which both have snapshots within NEAR nats.

    One row per other run: arm, seed, kl and distance of the two snapshots, and mig_four and reconstruction, the `arm`'s
    less its own; where several of its own are as near, means over these, and the `least` and `most` in reconstruction.
    Snapshots below AT[0] nats, where little is encoded, are left out; where no two are close, those
    closest in KL give kl and distance, and the differences are missing.
    snapshots: run's name -> `with_reconstruction`; runs: by the same names, with arm and seed.
    """
    rows = {}
    for seed, of_seed in runs.groupby("seed"):
        own = _late(snapshots[of_seed.index[of_seed["arm"] == arm][0]])
        for name, other in of_seed.loc[of_seed["arm"] != arm, "arm"].items():
            pairs = own.merge(_late(snapshots[name]), how="cross", suffixes=("", "_other"))
            rows[name] = {"arm": other, "seed": seed} | _closest(pairs)
    return pd.DataFrame(rows).T.infer_objects()


def _late(snapshots: pd.DataFrame) -> pd.DataFrame:
    return snapshots.loc[snapshots["kl"] >= AT[0], ["kl", "mig_four", "reconstruction"]]


def _closest(pairs: pd.DataFrame) -> dict[str, float]:
    """What a row of `at_like_kl` says of the pairs of snapshots of two runs."""
    if pairs.empty:
        return dict.fromkeys(("kl", "distance", "mig_four", "reconstruction", "least", "most"), np.nan)
    distance = (pairs["kl"] - pairs["kl_other"]).abs()
    close = pairs[distance <= NEAR]
    chosen = close[close["kl"] == close["kl"].max()]
    loss = chosen["reconstruction"] - chosen["reconstruction_other"]
    return {
        "kl": pairs.loc[distance.idxmin(), "kl"] if close.empty else close["kl"].max(),
        "distance": distance.min() if close.empty else distance[chosen.index].mean(),
        "mig_four": (chosen["mig_four"] - chosen["mig_four_other"]).mean(),
        "reconstruction": loss.mean(), "least": loss.min(), "most": loss.max(),
    }  # fmt: skip
