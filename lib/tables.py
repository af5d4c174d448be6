"""The table of results: one row per run, read from the run directories; and the report's own figures beside it."""

import pandas as pd

from lib.runs import Run, read_json

# The report's table (1.5 M iterations, one seed each); its text names neither estimator nor reduction in full.
REPORTED = pd.DataFrame({"arm": ["linear", "adaptive"], "mig": [0.5279, 0.5273], "reconstruction": [18.2191, 37.1294]})


def run_table(runs: list[Run]) -> pd.DataFrame:
    """One row per complete and evaluated run; every column is explained in results/README.md.

    Losses, KL and capacity in nats per image, as means over the images or the steps named there.
    """
    return pd.DataFrame([_row(run) for run in runs]).set_index("run")


def _row(run: Run) -> dict[str, object]:
    config, record, measured = run.config(), run.record(), read_json(run.path / "evaluation.json")
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
        "reconstruction": measured["reconstruction"],
        "reconstruction_last_percent": summary["reconstruction_last_percent"],
        "kl": measured["kl"],
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
