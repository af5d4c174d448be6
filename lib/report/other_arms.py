"""Runs that differ in their arm alone, gathered from their directories, with what is computed of them.

They share seed, network, initial weights, batches, noise and measures.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from lib.arms import ARMS
from lib.data.counts import distinct_images
from lib.data.dataset import Dataset
from lib.evaluation import evaluate
from lib.evaluation.posteriors import evaluation_grid
from lib.evaluation.records import kept
from lib.evaluation.snapshots import OF_ALL, OF_ALL_ERROR, PARTS, chosen_snapshots, measured_rows
from lib.objectives.seam import INFORMATION
from lib.report.latents import IN_USE
from lib.report.tradeoff import settled_windows
from lib.runs.profiles import Profile, published_profiles
from lib.runs.run import Run
from lib.runs.settings import EvaluationConfig, TrainingConfig


class Ended(NamedTuple):
    """What a controller came to: nats per image, of all images."""

    capacity: float  # the last C
    what: str  # was to follow it: KL, or the information I
    value: float


@dataclass(frozen=True)
class Compared:
    """Measured runs, one per arm, in the order of the table of arms; all mappings are by arm.

    `measured`: evaluation.json; `snapshots`: rows of snapshots.csv; `entropy`: H(x) in nats of the images that the
    snapshots were measured on.
    """

    runs: dict[str, Run]
    measured: dict[str, dict[str, Any]]
    snapshots: dict[str, pd.DataFrame]
    entropy: float

    @cached_property
    def traces(self) -> dict[str, pd.DataFrame]:
        return {arm: run.trace() for arm, run in self.runs.items()}

    @property
    def locked_at(self) -> dict[str, int]:
        """The step at which the controller locked, of the arms in which it did."""
        steps = {arm: run.record()["summary"]["locked_at"] for arm, run in self.runs.items()}
        return {arm: step for arm, step in steps.items() if step is not None}

    @cached_property
    def windows(self) -> dict[str, pd.DataFrame]:
        """`settled_windows` of the traces."""
        return {arm: settled_windows(trace, ARMS[arm].held) for arm, trace in self.traces.items()}

    @cached_property
    def estimates(self) -> dict[str, pd.DataFrame]:
        """`estimates` of the arms that steer by the information."""
        steered = {arm: trace for arm, trace in self.traces.items() if INFORMATION in trace}
        return {arm: estimates(trace, self.snapshots[arm]) for arm, trace in steered.items()}


def compare(profile: Profile, config: TrainingConfig, evaluation: EvaluationConfig, data: Dataset) -> Compared:
    """The runs with `config`'s settings and seed, whatever their arm, that stand measured as `evaluation` says."""
    return gathered(siblings(profile, config, evaluation, data.sha256), evaluation, data)


def gathered(runs: dict[str, Run], evaluation: EvaluationConfig, data: Dataset) -> Compared:
    """Measured runs by arm, compared."""
    wanted = evaluation.only(evaluate.SETTINGS)
    return Compared(
        runs,
        {arm: kept(run.path / "evaluation.json", wanted, evaluate.ENTRIES) for arm, run in runs.items()},
        {arm: measured_rows(run, evaluation) for arm, run in runs.items()},
        entropy_of_grid(data, evaluation.snapshot_position_stride),
    )


def ended(compared: Compared) -> dict[str, Ended]:
    """How far what was to follow a C was from it at the end, of the arms in which something was to."""
    found = {}
    for arm, run in compared.runs.items():
        summary, measured = run.record()["summary"], compared.measured[arm]
        if ARMS[arm].held == INFORMATION:
            held = "I", measured["decomposition"]["mutual_information"]
        elif summary["mean_kl_to_set_point"] is not None:
            held = "KL", measured["kl"]
        else:
            continue
        found[arm] = Ended(summary["final_capacity"], *held)
    return found


def siblings(
    profile: Profile, config: TrainingConfig, evaluation: EvaluationConfig, data_sha256: str
) -> dict[str, Run]:
    """Arm -> the run that was trained and measured with these settings on these data, here or else in any published
    profile; arms of which there is none are left out.
    """
    settings = config.as_mapping()
    arms = [arm for arm in ARMS if config.batch_size >= ARMS[arm].least_batch]
    wanted = {arm: profile.training_config(**(settings | {"arm": arm})) for arm in arms}
    published = [other.published for other in published_profiles()]

    def alike(run: Run, wanted: TrainingConfig) -> bool:
        return (
            run.complete
            and run.config() == wanted
            and run.record()["provenance"]["data_sha256"] == data_sha256
            and is_measured(run, evaluation)
        )

    found = {}
    for arm, each in wanted.items():
        runs = [profile.run(each), *(Run(folder / f"{arm}-seed{each.seed}") for folder in published)]
        found[arm] = next((run for run in runs if alike(run, each)), None)
    return {arm: run for arm, run in found.items() if run is not None}


def is_measured(run: Run, evaluation: EvaluationConfig) -> bool:
    """Whether evaluation and snapshots were measured with these settings, all snapshots that they choose."""
    if kept(run.path / "evaluation.json", evaluation.only(evaluate.SETTINGS)) is None:
        return False
    if ARMS[run.config().arm].sampler and not (run.path / "samples.json").exists():
        return False
    return set(chosen_snapshots(run, evaluation)) <= set(measured_rows(run, evaluation)["step"])


def entropy_of_grid(data: Dataset, position_stride: int) -> float:
    """H(x) in nats of the images that snapshots are measured on, some of which are equal."""
    indices, _ = evaluation_grid(position_stride)
    return distinct_images(data.packed.cpu()[indices]).entropy


def results(measured: Mapping[str, Sequence[Mapping[str, Any]]]) -> pd.DataFrame:
    """One row per arm, means over its runs: mig_four (quadrature), mig_histogram, losses and information in nats.

    And in_use, latents with a KL above IN_USE, and n, runs. measured: arm -> evaluation.json of each of its runs.
    """
    rows = [
        {
            "arm": arm,
            "mig_four": content["mig_four"]["quadrature"],
            "mig_histogram": content["mig_four"]["histogram"],
            "reconstruction": content["reconstruction"],
            "kl": content["kl"],
            **{part: content["decomposition"][part] for part in PARTS},
            "in_use": (np.array(content["kl_latents"]) > IN_USE).sum(),
        }
        for arm, contents in measured.items()
        for content in contents
    ]
    groups = pd.DataFrame(rows).groupby("arm", sort=False)
    return groups.mean().assign(n=groups.size())


def above_bound(snapshots: pd.DataFrame, rate: str, entropy: float) -> tuple[float, int]:
    """The least D + R - H(x) in nats over the snapshots, and its step; rate: the column that R is.

    D, a code length of binary pixels, and the KL bound the images' code length: D + KL >= H(x). For R = I_q(x; z) the
    same holds, as D >= H(x|z) = H(x) - I_q(x; z). Below 0 a measure is wrong.
    """
    distance = snapshots["reconstruction"] + snapshots[rate] - entropy
    return float(distance.min()), int(snapshots.loc[distance.idxmin(), "step"])


def estimates(trace: pd.DataFrame, snapshots: pd.DataFrame) -> pd.DataFrame:
    """The estimate that steered beside the exact I_q(x; z) of all measured images, one row per snapshot, in nats.

    step, exact, standard_error (of exact), estimate (of the trace's last row that is not after the step; a snapshot
    from before the first row is left out), bias (estimate less exact).
    """
    steps = snapshots[["step", OF_ALL, OF_ALL_ERROR]].set_axis(["step", "exact", "standard_error"], axis=1)
    rows = trace[["step", INFORMATION]].rename(columns={INFORMATION: "estimate"})
    pairs = pd.merge_asof(steps.sort_values("step"), rows, on="step").dropna(ignore_index=True)
    return pairs.assign(bias=pairs["estimate"] - pairs["exact"])
