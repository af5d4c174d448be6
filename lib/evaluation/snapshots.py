"""The measures of information over training: what the weight snapshots of a run tell of every image of a grid.

A grid of fewer images than the data set has bounds of its own: I_q(x; z) cannot exceed log N of the N images
measured, and where posteriors are narrower than the grid's spacing it is lower than on all images.
"""

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Generator, Tensor

from lib import mig
from lib.arms import arrival, objective_of
from lib.data.dataset import Dataset
from lib.dsprites import FACTOR_NAMES
from lib.evaluation.posteriors import check_data, check_measurable, decode_posteriors, encode_images, evaluation_grid
from lib.evaluation.records import kept
from lib.files import reading
from lib.information import decompose
from lib.locks import only_one
from lib.model import kl_per_latent
from lib.objectives.seam import INFORMATION
from lib.progress import Progress
from lib.recorded_tables import read_recorded, write_recorded
from lib.refusal import Refusal
from lib.runs.provenance import provenance
from lib.runs.run import Run
from lib.runs.settings import EvaluationConfig
from lib.runs.trace_file import with_all_columns
from lib.training.device import choose_device, reproducible
from lib.training.layers import FORWARD
from lib.training.progress import checkpoint_and_trace

# What a row of snapshots.csv depends on; `snapshots_measured` decides only which rows there are.
SETTINGS = ("snapshot_position_stride", "decomposition_samples", "evaluation_seed", "evaluation_batch")
# Columns of the arms that steer by an estimate of the information, and what they depend on as well: I_q(x; z) of the
# images of evaluation.json, of which the estimate is, and its standard error.
OF_ALL, OF_ALL_ERROR = "mutual_information_all", "mutual_information_all_standard_error"
SETTINGS_OF_ALL = ("position_stride",)
RECONSTRUCTED = 16_384  # images of the grid, at most: decoding all would take as long again
# Columns, one per factor, for what the latent that knows most of it knows of it; tables of older code lack them.
BEST = {name: f"information_{name}" for name in FACTOR_NAMES}
PARTS = ("mutual_information", "total_correlation", "dimension_wise_kl")  # columns: of the KL


def steers_by_estimate(run: Run) -> bool:
    """Whether the run's arm steers by an estimate of the information."""
    config = run.config()
    return INFORMATION in objective_of(config.arm, config).columns


def row_settings(run: Run, config: EvaluationConfig) -> dict[str, Any]:
    """What the rows of the run's snapshots.csv depend on."""
    return config.only(SETTINGS + SETTINGS_OF_ALL * steers_by_estimate(run))


def chosen_snapshots(run: Run, config: EvaluationConfig) -> dict[int, Path | None]:
    """Step -> weight file of the snapshots to measure: evenly spaced in their order, the last always among them.

    A snapshot whose weights are gone, but not its row, has None in the file's place. One more is that of the step at
    which C arrived at C_max, where it was kept. Of an arm that steers by an estimate of the information all are
    measured, to see how far off it was. A run that kept no snapshots has its final weights.
    """
    training = run.config()
    files: dict[int, Path | None] = run.snapshots() or {training.steps: run.path / "weights.safetensors"}
    files = dict(sorted((dict.fromkeys(measured_rows(run, config)["step"].tolist()) | files).items()))
    count = len(files) if steers_by_estimate(run) else min(config.snapshots_measured, len(files))
    places = len(files) - 1 - np.linspace(0, len(files) - 1, count).round().astype(int)
    arrived = arrival(training)
    return {step: path for place, (step, path) in enumerate(files.items()) if place in places or step == arrived}


def measured_rows(run: Run, config: EvaluationConfig) -> pd.DataFrame:
    """The rows of snapshots.csv that were measured with these settings, in order of steps.

    None where they differ, and none of older code that measured less.
    """
    there = (run.path / "snapshots.csv").exists()
    if there and kept(run.path / "snapshots.json", row_settings(run, config)) is not None:
        rows = read_snapshots(run)
        if {"reconstruction", *BEST.values()} <= set(rows):
            return rows
    return pd.DataFrame({"step": np.empty(0, dtype=np.int64)})


def read_snapshots(run: Run) -> pd.DataFrame:
    """All rows that were measured, with whichever settings; raises Refusal where there are none, or damaged ones."""
    path = run.path / "snapshots.csv"
    rows, _ = read_recorded(path, ("config",))
    with reading(path):
        if not {"step", "kl", *PARTS} <= set(rows) or any(each.kind not in "if" for each in rows.dtypes):
            raise ValueError("its columns are not those of measured snapshots")
    return rows


def measure_snapshots(run: Run, data: Dataset, config: EvaluationConfig, progress: bool = True) -> pd.DataFrame:
    """Measure a complete run's weight snapshots, one row each; every column is explained in results/README.md.

    snapshots.csv is written anew after each snapshot, beside snapshots.json with the settings, so that an interruption
    loses one at most. Rows measured with the same settings are kept, also those that are not asked for now. Of a
    published run, whose snapshots' weights were not kept, they are all that there is.

    Raises ValueError where the run is not complete or was trained on other data, and where a published run was measured
    with other settings.
    """
    check_measurable(run, data)
    rows = measured_rows(run, config)
    if run.is_published:
        if rows.empty:
            raise Refusal(
                f"{run.path} is a published run, measured with other settings; ask for those, or train again."
            )
        return rows
    chosen = chosen_snapshots(run, config)
    if not set(chosen) <= set(rows["step"]):
        with only_one(run.path / ".lock"):
            rows = _measure(run, data, config, chosen, run.trace(), progress)
    return rows[rows["step"].isin(chosen)].reset_index(drop=True)


def measure_snapshots_so_far(run: Run, data: Dataset, config: EvaluationConfig, progress: bool = True) -> pd.DataFrame:
    """Such rows of an unfinished run, of all its snapshots up to its checkpoint.

    They count for `measure_snapshots` later, also where the snapshots are lost until then, as with a machine; so keep
    them beside the checkpoint. Raises Refusal where there is no checkpoint with a trace, and where the run is trained
    on other data.
    """
    with only_one(run.path / ".lock"):
        state, trace = checkpoint_and_trace(run)
        check_data(run, state.get("of", {}).get("data_sha256"), data)
        chosen = {step: path for step, path in run.snapshots().items() if step <= state["engine"]["step"]}
        return _measure(run, data, config, chosen, with_all_columns(trace.frame()), progress)


def _measure(
    run: Run, data: Dataset, config: EvaluationConfig, files: dict[int, Path | None], trace: pd.DataFrame,
    progress: bool,
) -> pd.DataFrame:  # fmt: skip
    """All rows of the run, once those of the weight `files` by step are among them, written one by one.

    Raises Refusal where it would take the place of rows of other settings that cannot be measured again.
    """
    rows = measured_rows(run, config)  # read under the lock: another process may have been faster
    files = {step: path for step, path in files.items() if step not in set(rows["step"])}
    training = run.config()
    device = choose_device(training.device)
    indices, sizes = evaluation_grid(config.snapshot_position_stride)
    encoded = evaluated = indices
    if estimated := steers_by_estimate(run):
        evaluated, _ = evaluation_grid(config.position_stride)
        encoded = max(indices, evaluated, key=len)  # strides are powers of 2: the finer grid has the other's images
    batch, seed = config.evaluation_batch, config.evaluation_seed
    some = torch.randperm(len(indices), generator=Generator().manual_seed(seed))[:RECONSTRUCTED].sort().values
    record = {
        "config": row_settings(run, config), "factor_sizes": list(sizes), "weights_sha256": run.weights_sha256,
        "provenance": provenance(device),
    }  # fmt: skip
    if rows.empty and (run.path / "snapshots.csv").exists():  # of other settings: the new record never stands beside
        if lost := set(read_snapshots(run)["step"]) - {*run.snapshots(), training.steps}:
            raise Refusal(
                f"{run.path / 'snapshots.csv'} has rows, measured with other settings, of snapshots whose weights are "
                f"gone (step {min(lost)}, ...); ask for those settings, or remove the file."
            )
        (run.path / "snapshots.csv").unlink()
    data = data.to(device)
    with reproducible(training.threads), Progress(
        total=len(files) * (len(encoded) + len(some)), desc="snapshots", unit="image", unit_scale=True, mininterval=2,
        disable=not progress, dynamic_ncols=True,
    ) as bar:  # fmt: skip
        for step, path in files.items():
            started = time.perf_counter()
            model = run.load_model(path, FORWARD)
            posteriors = encode_images(model, data, encoded, batch, bar)
            mean, logvar = (each[torch.isin(encoded, indices)] for each in posteriors)
            loss = decode_posteriors(model, data, indices[some], mean[some], logvar[some], batch, seed, bar)
            row = {
                "step": step,
                "images": len(indices),
                "position_stride": config.snapshot_position_stride,
                **_controller_at(trace, step),
                "reconstruction": loss.double().mean().item(),
                **_information(mean.to(device), logvar.to(device), sizes, config),
                **(
                    _of_all(*(each[torch.isin(encoded, evaluated)].to(device) for each in posteriors), config)
                    if estimated
                    else {}
                ),
                "seconds": time.perf_counter() - started,
            }
            fresh = pd.DataFrame([row])  # alone where it is the first: an empty table has no types to keep
            rows = fresh if rows.empty else pd.concat([rows, fresh]).sort_values("step", ignore_index=True)
            write_recorded(run.path / "snapshots.csv", rows, record)
    return rows


def _controller_at(trace: pd.DataFrame, step: int) -> dict[str, float]:
    """C and beta of the trace's last row that is not after the step; not a number where there is none."""
    before = trace[trace["step"] <= step]
    return {name: before[name].iloc[-1] if len(before) else math.nan for name in ("capacity", "beta")}


def _of_all(mean: Tensor, logvar: Tensor, config: EvaluationConfig) -> dict[str, float]:
    """I_q(x; z) of posteriors [N, J], as evaluation.json has it, in nats."""
    parts = decompose(mean, logvar, config.decomposition_samples, Generator().manual_seed(config.evaluation_seed))
    return {OF_ALL: parts.mutual_information, OF_ALL_ERROR: parts.standard_error}


def _information(mean: Tensor, logvar: Tensor, sizes: tuple[int, ...], config: EvaluationConfig) -> dict[str, Any]:
    """KL, its parts and the MIG of posteriors [N, J] of a full grid, in nats, as one row's values."""
    generator = Generator().manual_seed(config.evaluation_seed)  # anew for every snapshot: rows stand alone
    parts = decompose(mean, logvar, config.decomposition_samples, generator)
    latents = kl_per_latent(mean.double(), logvar.double())
    information = mig.mutual_information(mean, logvar, sizes)
    return {
        "kl": latents.sum().item(),
        **{f"kl_{j}": value for j, value in enumerate(latents.tolist())},
        "mutual_information": parts.mutual_information,
        "total_correlation": parts.total_correlation,
        "dimension_wise_kl": parts.dimension_wise_kl,
        "decomposition_standard_error": parts.standard_error,
        **dict(zip(BEST.values(), information.amax(1).tolist(), strict=True)),
        "mig_four": mig.mutual_information_gap(information, sizes),
        "mig_five": mig.mutual_information_gap(information, sizes, mig.FIVE_FACTORS),
    }
