"""What the paper speaks of: the runs of a profile and all that was measured on them, gathered once."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from lib.data.dataset import Dataset
from lib.evaluation.evaluate import evaluate
from lib.evaluation.posteriors import check_measurable
from lib.evaluation.records import kept
from lib.evaluation.scores import measure_scores
from lib.evaluation.snapshots import measure_snapshots, read_snapshots
from lib.files import read_json
from lib.model import VAE
from lib.refusal import Refusal
from lib.report.controller_tables import information_gaps
from lib.report.effects import COMPARED
from lib.report.other_arms import results
from lib.report.tables import run_table
from lib.report.tradeoff import at_like_kl, pressures, settled_windows, squeeze, with_reconstruction
from lib.runs.profiles import Profile, published_profiles
from lib.runs.published import check_published
from lib.runs.run import Run
from lib.training.trace import decisions

T = TypeVar("T")


@dataclass(frozen=True)
class Analysis:
    """The runs of a profile, arm by arm for every seed, with what was measured on them.

    `table`: one row per run (`lib.report.tables.run_table`). `snapshots` and `measured`: run's name -> the table of its
    snapshots, its evaluation.json. `settings`: of all measurements, by the names of `EvaluationConfig`, as far as
    results depend on them. `entropy`: of the data set's images, in nats.
    """

    profile: Profile
    runs: list[Run]
    once: list[Run]  # of other arms, the first seed alone
    published: bool  # whether these are published results, read where they lie
    table: pd.DataFrame
    snapshots: dict[str, pd.DataFrame]
    measured: dict[str, dict[str, Any]]
    settings: dict[str, Any]
    entropy: float

    @property
    def folder(self) -> Path:
        """Where the figures go: never among published results."""
        return self.profile.directory / "figures"

    @property
    def first(self) -> dict[str, Run]:
        """Arm -> its run with the first seed, for what can show one run only."""
        return {run.config().arm: run for run in self.runs if run.config().seed == self.profile.seeds[0]}

    @property
    def pair(self) -> dict[str, Run]:
        """Of these the two arms that the report compared."""
        return {arm: self.first[arm] for arm in COMPARED}

    @cached_property
    def models(self) -> dict[str, VAE]:
        """Arm -> the trained network of its first seed; of published arms, those whose weights were published."""
        return {arm: run.load_model() for arm, run in self.first.items() if (run.path / "weights.safetensors").exists()}

    @cached_property
    def gaps(self) -> pd.DataFrame:
        """`information_gaps`, one row per run."""
        return pd.DataFrame({name: information_gaps(frame) for name, frame in self.snapshots.items()}).T

    @cached_property
    def factor_gaps(self) -> pd.DataFrame:
        """The gap of every factor, whose means over four and over five are the MIGs: one row per run."""
        return pd.DataFrame({name: content["factor_gaps"] for name, content in self.measured.items()}).T

    @cached_property
    def traces(self) -> dict[str, pd.DataFrame]:
        """Run's name -> its trace."""
        return {run.name: run.trace() for run in self.runs}

    @property
    def sampled(self) -> bool:
        """Whether what counts single steps is a sample here: of traces published thinner than they were written, of
        runs that did not keep the counts."""
        return any(
            "decisions" not in run.record()["summary"]
            and len(self.traces[run.name]) < run.config().steps // run.config().trace_every
            for run in self.runs
        )

    @cached_property
    def windows(self) -> dict[str, pd.DataFrame]:
        """Run's name -> its `settled_windows`."""
        return {name: settled_windows(trace) for name, trace in self.traces.items()}

    @cached_property
    def squeezes(self) -> pd.DataFrame:
        """`squeeze` and arm, one row per run."""
        return pd.DataFrame({name: squeeze(trace) for name, trace in self.traces.items()}).T.assign(
            arm=self.table["arm"]
        )

    @cached_property
    def pressures(self) -> pd.DataFrame:
        """β and slope at given KLs, one row per run."""
        return pressures(self.windows, self.table)

    @cached_property
    def along(self) -> dict[str, pd.DataFrame]:
        """Run's name -> its snapshots with the reconstruction loss."""
        return {name: with_reconstruction(frame, self.traces[name]) for name, frame in self.snapshots.items()}

    @cached_property
    def like_kl(self) -> pd.DataFrame:
        """`at_like_kl`, one row per run of another arm than the adaptive one."""
        return at_like_kl(self.along, self.table)

    @cached_property
    def measured_once(self) -> dict[str, dict[str, Any]]:
        """Other arm -> evaluation.json of its one run."""
        return {run.config().arm: read_json(run.path / "evaluation.json") for run in self.once}

    @cached_property
    def every_arm(self) -> pd.DataFrame:
        """`lib.report.other_arms.results` of all runs, those of other arms among them."""
        return results(self.by_arm(self.measured) | {arm: [content] for arm, content in self.measured_once.items()})

    @cached_property
    def done(self) -> pd.DataFrame:
        """`decisions` and arm, one row per run whose rule looks at β, or draws the steps at which it advances.

        From the run's own count of its whole trace, where it has one; the first published runs do not.
        """
        counted = {}
        for run in self.runs:
            summary = run.record()["summary"]
            kept = "decisions" in summary
            counted[run.name] = summary["decisions"] if kept else decisions(run.config(), self.traces[run.name])
        rows = {name: pd.Series(counts, dtype=float) for name, counts in counted.items() if counts is not None}
        return pd.DataFrame(rows).T.assign(arm=self.table["arm"])

    def by_arm(self, of_run: Mapping[str, T]) -> dict[str, list[T]]:
        """Arm -> what a mapping by runs' names holds for each of its seeds."""
        arms = self.table["arm"]
        return {arm: [of_run[name] for name in arms.index[arms == arm]] for arm in self.profile.arms}


def analyse(profile: Profile, images: Dataset) -> Analysis:
    """Gather a profile's runs, measuring what was not measured with its settings yet; published ones are only read.

    images: the data set that the runs were trained on. Raises ValueError, in one sentence, where a run is not complete,
    was trained with other settings or on other data, or where the data set was not described.
    """
    runs, published = trained_runs(profile), profile.only_published
    once = profile.once_to_read()
    entropy = dataset_entropy(profile)
    for run in (*runs, *once):
        check_measurable(run, images)
    if not published:
        config = profile.evaluation_config()
        for run in (*runs, *once):
            evaluate(run, images, config)
            measure_scores(run, config)
        for run in once:
            measure_snapshots(run, images, config)
    snapshots = {run.name: read_snapshots(run) if published else measure_snapshots(run, images, config) for run in runs}
    return gather(profile, runs, once, snapshots, entropy, published)


def gather(
    profile: Profile, runs: list[Run], once: list[Run], snapshots: dict[str, pd.DataFrame], entropy: float,
    published: bool,
) -> Analysis:  # fmt: skip
    """The analysis of measured runs, from their files alone; see `Analysis`."""
    read = {name: [kept(run.path / name, {}) for run in runs] for name in ("evaluation.json", "scores.json")}
    settings = [
        *(content[0]["config"] for content in read.values()),
        read_json(runs[0].path / "snapshots.json")["config"],
    ]
    return Analysis(
        profile, runs, once, published, run_table(runs), snapshots,
        {run.name: content for run, content in zip(runs, read["evaluation.json"], strict=True)},
        {name: value for part in settings for name, value in part.items()}, entropy,
    )  # fmt: skip


def trained_runs(profile: Profile) -> list[Run]:
    """The runs to read, arm by arm for every seed.

    Raises ValueError unless these and those of the arms in `also` are complete, evaluated, and of the profile's own
    settings.
    """
    if profile.only_published:
        check_published(profile.published)
    runs = profile.runs_to_read()
    for run in (*runs, *profile.once_to_read()):
        if not (run.complete and (run.path / "evaluation.json").exists()):
            others = ", ".join(other.name for other in published_profiles())
            raise Refusal(
                f"The run {run.name} is not trained and evaluated yet; run make report PROFILE={profile.name}"
                + (f", or read a published profile: {others}." if others else ".")
            )
        config = run.config()
        if config != profile.training_config(config.arm, config.seed):
            raise Refusal(
                f"{run.path} was trained with other settings than profiles.toml has now under [{profile.name}]; remove "
                "it, or undo the change."
            )
    return runs


def dataset_entropy(profile: Profile) -> float:
    """Entropy of the images that the profile's runs were trained on, in nats, as notebook 01 counted it.

    Raises ValueError where it has not been counted.
    """
    folder = profile.published if profile.only_published else profile.directory
    path = folder / "dataset.json"
    if not path.exists():
        raise Refusal(
            f"The data set has not been described yet; run notebook 01, or make report PROFILE={profile.name}."
        )
    return read_json(path, ("entropy_nats",))["entropy_nats"]
