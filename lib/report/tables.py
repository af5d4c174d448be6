"""The table of results: one row per run, read from the run directories; and the report's own figures beside it."""

import math

import numpy as np
import pandas as pd
import torch

from lib.dsprites import FACTOR_NAMES
from lib.files import read_json
from lib.mig import factor_gaps
from lib.runs.profiles import Profile, load_profile
from lib.runs.run import Run

# The report's table (1.5 M iterations, one seed each); which MIG estimator it used is not known to us.
REPORTED = pd.DataFrame({"arm": ["linear", "adaptive"], "mig": [0.5279, 0.5273], "reconstruction": [18.2191, 37.1294]})

# Last epoch of public training logs on dSprites, nats per image: YannDubs/disentangling-vae at commit fe65e19,
# results/*_dsprites/train_losses.log (345,600 iterations, batch 64, learning rate 5e-4, Burgess network, one seed).
PUBLIC_LOGS = pd.DataFrame(
    {"reconstruction": [17.99, 35.61, 81.06], "kl": [25.40, 15.35, 25.00]},
    index=["VAE, beta = 1", "beta-VAE, beta = 4", "capacity rule of [6], gamma = 100, C to 25"],
)


def trained_runs(profile: Profile) -> list[Run]:
    """The profile's runs; raises ValueError unless all are complete, evaluated, and have the profile's own settings."""
    runs = profile.runs()
    for run in runs:
        if not (run.complete and (run.path / "evaluation.json").exists()):
            raise ValueError(
                f"The run {run.name} is not trained and evaluated yet; run make report PROFILE={profile.name}."
            )
        config = run.config()
        if config != profile.training_config(config.arm, config.seed):
            raise ValueError(
                f"{run.path} was trained with other settings than profiles.toml has now under [{profile.name}]; remove "
                "it, or undo the change."
            )
    return runs


def dataset_entropy(profile: Profile) -> float:
    """Entropy of the images that the profile's runs were trained on, in nats, as notebook 01 counted it.

    Raises ValueError where it has not been counted.
    """
    path = profile.directory / "dataset.json"
    if not path.exists():
        raise ValueError(
            f"The data set has not been described yet; run notebook 01, or make report PROFILE={profile.name}."
        )
    return read_json(path)["entropy_nats"]


def run_table(runs: list[Run]) -> pd.DataFrame:
    """One row per complete, evaluated and scored run; every column is explained in results/README.md.

    Losses, KL and capacity in nats per image, as means over the images or the steps named there.
    """
    return pd.DataFrame([_row(run) for run in runs]).set_index("run")


def _row(run: Run) -> dict[str, object]:
    config, record = run.config(), run.record()
    measured, scored = read_json(run.path / "evaluation.json"), read_json(run.path / "scores.json")
    summary, origin = record["summary"], record["provenance"]
    return {
        "run": run.name,
        "arm": config.arm,
        "seed": config.seed,
        "steps": config.steps,
        "images": measured["images"],
        "mig_four": measured["mig_four"]["quadrature"],
        "mig_five": measured["mig_five"]["quadrature"],
        "mig_four_monte_carlo": measured["mig_four"]["monte_carlo"],
        "mig_four_monte_carlo_standard_error": measured["mig_four"]["monte_carlo_standard_error"],
        "mig_five_histogram": measured["mig_five"]["histogram"],
        "dci_disentanglement": scored["dci"]["disentanglement"],
        "dci_completeness": scored["dci"]["completeness"],
        "dci_informativeness": scored["dci"]["informativeness_test"],
        "sap": scored["sap"],
        "factor_vae": scored["factor_vae"],
        "reconstruction": measured["reconstruction"],
        "reconstruction_last_percent": summary["reconstruction_last_percent"],
        "kl": measured["kl"],
        "total_correlation": measured["decomposition"]["total_correlation"],
        "mutual_information": measured["decomposition"]["mutual_information"],
        "dimension_wise_kl": measured["decomposition"]["dimension_wise_kl"],
        "decomposition_standard_error": measured["decomposition"]["standard_error"],
        "kl_last_percent": summary["kl_last_percent"],
        "final_capacity": summary["final_capacity"],
        "beta_last_percent": summary["beta_last_percent"],
        "mean_beta": summary["mean_beta"],
        "share_at_beta_min": summary["share_at_beta_min"],
        "mean_kl_to_set_point": summary["mean_kl_to_set_point"],
        "share_advanced": summary["share_advanced"],
        "locked_at": summary["locked_at"],
        "precision": config.precision,
        "processor": origin["hardware"]["accelerator"] or origin["hardware"]["processor"],
        "training_seconds": origin["seconds"],
        "evaluation_seconds": measured["seconds"],
        "commit": origin["commit"],
    }


def factor_table(run: Run) -> pd.DataFrame:
    """Which latent holds which factor, one row per factor: the two latents that know most, and the gap.

    Columns: latent, information (nats), share (of the factor's entropy), second_latent, second_information (nats), gap.
    """
    measured = read_json(run.path / "evaluation.json")
    information, sizes = torch.tensor(measured["information"], dtype=torch.float64), measured["factor_sizes"]
    values, latents = information.topk(2, dim=1)
    table = pd.DataFrame(
        {
            "latent": latents[:, 0],
            "information": values[:, 0],
            "share": values[:, 0] / torch.tensor([math.log(size) for size in sizes]),
            "second_latent": latents[:, 1],
            "second_information": values[:, 1],
            "gap": factor_gaps(information, tuple(sizes)),
        },
        index=pd.Index(FACTOR_NAMES, name="factor"),
    )
    return table


def information_gaps(snapshots: pd.DataFrame, apart: float = 0.5) -> pd.Series:
    """How far C and KL stand from I_q(x; z) over the snapshots of a run (`lib.evaluation.snapshots.measure_snapshots`), in nats.

    `mean_distance`: mean of |C - I_q|; `largest_gap` of C - I_q, at step `largest_at`; at the last snapshot `last_gap`
    of C - I_q and its two parts, `last_lag` of C - KL and `last_mismatch` of KL - I_q; `apart_from`: the step of the
    snapshot from which on KL - I_q stays above `apart` until the end, not a number where it ends below; `over_bound`:
    the step of the first snapshot at which C exceeds log N, likewise.
    """
    step, information = snapshots["step"], snapshots["mutual_information"]
    gap, mismatch = snapshots["capacity"] - information, snapshots["kl"] - information
    last_together = step[mismatch <= apart].max()  # not a number where there is none
    return pd.Series(
        {
            "mean_distance": gap.abs().mean(),
            "largest_gap": gap.max(),
            "largest_at": step[gap.idxmax()],
            "last_gap": gap.iloc[-1],
            "last_lag": gap.iloc[-1] - mismatch.iloc[-1],
            "last_mismatch": mismatch.iloc[-1],
            "apart_from": step[~(step <= last_together)].min(),
            "over_bound": step[snapshots["capacity"] > np.log(snapshots["images"])].min(),
        }
    )


BOOKKEEPING = (
    "device",
    "threads",
    "trace_every",
    "snapshots",
    "checkpoint_every",
)  # decide no result but the last bits


def departures(profile: Profile) -> pd.DataFrame:
    """Settings of a profile's training that are not the report's own (profile `paper`), one row each.

    Settings that decide only what is recorded, and where it is computed, are left out.
    """
    paper = load_profile("paper").training
    changed = {
        name: (paper[name], value)
        for name, value in profile.training.items()
        if value != paper[name] and name not in BOOKKEEPING
    }
    return pd.DataFrame.from_dict(changed, orient="index", columns=["paper", profile.name]).rename_axis("setting")


def holds(advanced: np.ndarray, capacity: np.ndarray) -> pd.DataFrame:
    """The stretches of steps at which C did not change, one row each: first step, length in steps, capacity (nats).

    advanced: bool [steps]; capacity [steps]: C(t).
    """
    held = ~pd.Series(advanced)
    stretch = (held != held.shift()).cumsum()
    frame = pd.DataFrame({"step": range(1, len(held) + 1), "capacity": capacity})[held.to_numpy()]
    grouped = frame.groupby(stretch[held].to_numpy())
    return grouped.agg(first=("step", "min"), length=("step", "size"), capacity=("capacity", "first")).reset_index(
        drop=True
    )
