"""The table of results: one row per run, read from the run directories; and the report's own figures beside it."""

from pathlib import Path

import numpy as np
import pandas as pd

from lib.evaluation.stability import capacity_rise, stability
from lib.files import RESULTS, read_csv, read_json
from lib.runs.profiles import Profile, load_profile
from lib.runs.run import Run

# The report's table (1.5 M iterations, one seed each); which MIG estimator it used is not known to us.
REPORTED = pd.DataFrame({"arm": ["linear", "adaptive"], "mig": [0.5279, 0.5273], "reconstruction": [18.2191, 37.1294]})

# Last epoch of public training logs on dSprites, nats per image: YannDubs/disentangling-vae at commit fe65e19,
# results/*_dsprites/train_losses.log (345,600 iterations, batch 64, learning rate 5e-4, Burgess network, one seed).
PUBLIC_LOGS = pd.DataFrame({"reconstruction": [17.99, 35.61], "kl": [25.40, 15.35]}, index=["beta = 1", "beta = 4"])


def run_table(runs: list[Run]) -> pd.DataFrame:
    """One row per complete, evaluated and scored run; every column is explained in results/README.md.

    Losses, KL and capacity in nats per image, as means over the images or the steps named there. What an arm's
    objective does not record is missing.
    """
    table = pd.DataFrame([_row(run) for run in runs]).set_index("run")
    # A column that no run fills holds None, of no type: missing numbers, like one that some run fills.
    return table.apply(lambda column: column.astype(float) if column.isna().all() else column)


def _row(run: Run) -> dict[str, object]:
    config, record = run.config(), run.record()
    measured, scored = read_json(run.path / "evaluation.json"), read_json(run.path / "scores.json")
    summary, origin = record["summary"], record["provenance"]
    spread = measured.get("kl_standard_deviation", np.nan)
    rest = stability(summary, measured["kl"], spread, config.batch_size)
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
        "kl_off": rest.kl_off,
        "capacity_rise": capacity_rise(run),
        "kl_swing": rest.swing,
        "at_rest": rest.damped if np.isfinite(rest.swing) else None,
        "final_capacity": summary["final_capacity"],
        "beta_last_percent": summary["beta_last_percent"],
        "mean_beta": summary["mean_beta"],
        "share_at_beta_min": summary["share_at_beta_min"],
        "mean_kl_to_set_point": summary["mean_kl_to_set_point"],
        "share_frozen": summary["share_frozen"],
        "share_advanced": summary["share_advanced"],
        "locked_at": summary["locked_at"],
        "precision": config.precision,
        "processor": origin["hardware"]["accelerator"] or origin["hardware"]["processor"],
        "training_seconds": origin["seconds"],
        "evaluation_seconds": measured["seconds"],
        "commit": origin["commit"],
    }


BOOKKEEPING = ("device", "threads", "trace_every", "snapshots", "checkpoint_every")  # decide last bits at most


def settings_table(profile: Profile) -> pd.DataFrame:
    """The settings that decide a result, one row each: `paper`, that profile's; `here`, this one's; `changed`."""
    names = [name for name in profile.training if name not in BOOKKEEPING]
    paper = load_profile("paper").training
    table = pd.DataFrame(
        {"paper": [paper[name] for name in names], "here": [profile.training[name] for name in names]},
        index=pd.Index(names, name="setting"), dtype=object,
    )  # fmt: skip
    return table.assign(changed=table["paper"] != table["here"])


def departures(profile: Profile) -> pd.DataFrame:
    """The rows of `settings_table` that differ."""
    table = settings_table(profile)
    return table[table.pop("changed")]


def measured_costs() -> pd.DataFrame:
    """What estimators of the MIG cost on all images: rows of results/benchmarks/measures.csv, by `measure`."""
    return read_csv(RESULTS / "benchmarks" / "measures.csv", index_col="measure")


def measured_on() -> str:
    """The run whose posteriors that was measured on, as profile and name."""
    run = Path(read_json(RESULTS / "benchmarks" / "measures.json", ("run",))["run"])
    return "/".join(run.parts[-2:])


def measured_rounding() -> pd.DataFrame:
    """What bfloat16 moves in trained networks: results/benchmarks/rounding.csv, a row per run."""
    return read_csv(RESULTS / "benchmarks" / "rounding.csv", index_col="run")
