"""What the files of a published run must hold if they follow from one another: one sentence for each that does not."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from lib import mig
from lib.disentanglement import concentration
from lib.dsprites import FACTOR_NAMES
from lib.evaluation.evaluate import ENTRIES
from lib.evaluation.snapshots import read_snapshots
from lib.evaluation.stability import capacity_path
from lib.files import read_json
from lib.recorded_tables import read_recorded
from lib.report.other_arms import PARTS
from lib.runs.run import Run
from lib.training.progress import means_of

EXACT, PRINTED, THINNED = 1e-9, 1e-6, 1e-5  # relative or absolute; a published trace holds six digits


def differences(
    path: Path, stated: Any, derived: Any, source: str, tolerance: float = EXACT, name: str = ""
) -> Iterator[str]:
    """The numbers, texts and lists of `derived`, and all below them, that `stated` has otherwise or lacks."""
    if isinstance(derived, Mapping | list | tuple):
        items = derived.items() if isinstance(derived, Mapping) else enumerate(derived)
        for key, value in items:
            try:
                below = stated[key]
            except (KeyError, IndexError, TypeError):
                below = None
            yield from differences(path, below, value, source, tolerance, f"{name}.{key}" if name else str(key))
    elif not _same(stated, derived, tolerance):
        yield f"{path}: {name} is {stated}, but {source} give{'' if source.endswith('s') else 's'} {derived}."


def _same(stated: Any, derived: Any, tolerance: float) -> bool:
    if pd.isna(stated) or pd.isna(derived):
        return bool(pd.isna(stated) and pd.isna(derived))
    if isinstance(stated, str) or isinstance(derived, str):
        return stated == derived
    return math.isclose(stated, derived, rel_tol=tolerance, abs_tol=tolerance)


def check_record(run: Run) -> Iterator[str]:
    """run.json against the hashes in it, the trace, and the advances of C, where these were published."""
    for name in run.record().get("files", {}):
        run.checked(name)
    config, trace, advanced = run.config(), run.trace(), run.advanced()
    means = {"mean_beta": "beta_mean", "share_frozen": "frozen_mean", "share_advanced": "advanced_mean"}
    derived = {name: trace[column].mean() for name, column in means.items()}
    derived |= {"final_capacity": trace["capacity"].iloc[-1], "steps": trace["step"].iloc[-1]}
    if len(trace) % 100 == 0:
        last = trace.iloc[-len(trace) // 100 :]
        derived |= {f"{name}_last_percent": last[f"{name}_mean"].mean() for name in ("reconstruction", "kl", "beta")}
    if trace["step"].iloc[-1] == config.steps:
        filled = {"summary": {name: value for name, value in derived.items() if not pd.isna(value)}}
        yield from differences(run.path / "run.json", run.record(), filled, "trace.csv.gz", THINNED)
    if advanced is not None and len(advanced):
        exact = {"share_advanced": advanced.mean()}
        if (curve := capacity_path(run)) is not None:
            exact["final_capacity"] = curve[-1]
            path, stated = run.path / "trace.csv.gz", trace.set_index("step")["capacity"]
            replayed = dict(zip(stated.index, curve[stated.index - 1], strict=True))
            yield from differences(path, stated, replayed, "advanced.h5", THINNED, "capacity")
        yield from differences(run.path / "run.json", run.record(), {"summary": exact}, "advanced.h5")


def check_curve(run: Run) -> Iterator[str]:
    """The steps at which C advanced against those of the run that they were taken from, where they were."""
    name = run.record()["provenance"].get("curve_of")
    if name is None:
        return
    other = Run(run.path.with_name(name))
    if not other.complete:
        yield f"{run.path / 'run.json'}: its C(t) is that of {name}, which is not published."
    elif not np.array_equal(run.advanced(), other.advanced()):
        yield f"{run.path / 'advanced.h5'} does not hold the steps of {name}, whose C(t) the run is to have."


def check_evaluation(run: Run) -> Iterator[str]:
    """evaluation.json: gaps and MIG by quadrature from the information, the KL from its latents and its parts."""
    m = read_json(run.path / "evaluation.json", ENTRIES)
    sizes, parts, kl = tuple(m["factor_sizes"]), m["decomposition"], sum(m["kl_latents"])
    information = torch.tensor(m["information"], dtype=torch.float64)
    rest, by_latent = kl - parts["mutual_information"] - parts["dimension_wise_kl"], parts["dimension_wise_kl_latents"]
    derived = {
        "images": math.prod(sizes), "kl": kl,
        "factor_gaps": dict(zip(FACTOR_NAMES, mig.factor_gaps(information, sizes).tolist(), strict=True)),
        "mig_four": {"quadrature": mig.mutual_information_gap(information, sizes, mig.FOUR_FACTORS)},
        "mig_five": {"quadrature": mig.mutual_information_gap(information, sizes, mig.FIVE_FACTORS)},
        "decomposition": {"kl": kl, "total_correlation": rest, "dimension_wise_kl": sum(by_latent)},
    }  # fmt: skip
    yield from differences(run.path / "evaluation.json", m, derived, "the other entries")


def check_scores(run: Run) -> Iterator[str]:
    """scores.json: what DCI makes of its importances."""
    scored = read_json(run.path / "scores.json", ("dci", "sap", "factor_vae"))
    importance = torch.tensor(scored["dci"]["importance"], dtype=torch.float64).numpy()
    dci = {"disentanglement": concentration(importance.T), "completeness": concentration(importance)}
    yield from differences(run.path / "scores.json", scored, {"dci": dci}, "its importances")


def check_snapshots(run: Run) -> Iterator[str]:
    """snapshots.csv: the KL from its parts and from its latents."""
    for row in read_snapshots(run).to_dict("records"):
        parts = sum(row[name] for name in PARTS)
        latents = sum(row[name] for name in row if name.startswith("kl_"))
        place = run.path / f"snapshots.csv, step {row['step']:.0f}"
        yield from differences(place, row, {"kl": parts}, "its parts", PRINTED)
        yield from differences(place, row, {"kl": latents}, "the latents", PRINTED)


def check_progress(table: Path, run: Run) -> Iterator[str]:
    """progress.csv: the means of a complete run's rows, each from its trace's last window up to that step."""
    windows = run.trace().set_index("step")
    rows, _ = read_recorded(table)
    for row in rows[rows["run"] == run.name].to_dict("records"):
        derived = means_of(windows[windows.index <= row["step"]].iloc[-1])
        yield from differences(table, row, derived, f"the trace of step {row['step']}", THINNED)
