"""Profiles, the sizes in which the report can be run: from a name to configurations and run directories."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib.files import RESULTS, ROOT
from lib.runs.run import Run
from lib.runs.settings import EvaluationConfig, TrainingConfig

PROFILES = ROOT / "profiles.toml"


@dataclass(frozen=True)
class Profile:
    """One section of profiles.toml."""

    name: str
    arms: tuple[str, ...]
    seeds: tuple[int, ...]
    training: dict[str, Any]
    evaluation: dict[str, Any]

    @property
    def directory(self) -> Path:
        return RESULTS / "runs" / self.name

    @property
    def published(self) -> Path:
        return RESULTS / "published" / self.name

    def training_config(self, arm: str, seed: int, **changes: Any) -> TrainingConfig:
        """The profile's settings for one arm and seed; `changes` that are None keep the profile's value."""
        changed = {name: value for name, value in changes.items() if value is not None}
        return TrainingConfig.from_mapping(self.training | changed | {"arm": arm, "seed": seed})

    def evaluation_config(self, **changes: Any) -> EvaluationConfig:
        """The profile's evaluation; `changes` that are None keep the profile's value."""
        changed = {name: value for name, value in changes.items() if value is not None}
        return EvaluationConfig.from_mapping(self.evaluation | changed)

    def run(self, config: TrainingConfig) -> Run:
        """The run directory: named by arm and seed, and by every setting that departs from the profile."""
        departures = [
            f"{name}={Path(str(value)).name}"
            for name, value in config.as_mapping().items()
            if name in self.training and value != self.training[name]
        ]
        return Run(self.directory / "-".join([config.arm, f"seed{config.seed}", *departures]))

    def runs(self) -> list[Run]:
        """The profile's own runs, arm by arm for every seed."""
        return [self.run(self.training_config(arm, seed)) for seed in self.seeds for arm in self.arms]

    @property
    def only_published(self) -> bool:
        """Whether none of the profile's runs was begun here, while its results are published."""
        return not any(run.path.exists() for run in self.runs()) and (self.published / "table.csv").exists()

    def runs_to_read(self) -> list[Run]:
        """The profile's own runs, or the published ones where none was begun here; these are read only."""
        runs = self.runs()
        return [Run(self.published / run.name) for run in runs] if self.only_published else runs


def load_profile(name: str) -> Profile:
    """A profile by name; raises ValueError for an unknown one or an unknown setting in the file."""
    profiles = tomllib.loads(PROFILES.read_text())
    if name not in profiles:
        raise ValueError(f"profile is {name!r}; choose one of {', '.join(profiles)}.")
    section = profiles[name]
    unknown = [key for key in section if key not in ("arms", "seeds", "training", "evaluation")]
    if unknown:
        raise ValueError(f"profiles.toml: [{name}] has {unknown[0]!r}; it may hold arms, seeds, training, evaluation.")
    profile = Profile(
        name, tuple(section["arms"]), tuple(section["seeds"]), section["training"],
        section["evaluation"],
    )  # fmt: skip
    for key, values in (("arms", profile.arms), ("seeds", profile.seeds)):
        if not values or len(set(values)) < len(values):
            raise ValueError(f"profiles.toml: [{name}] {key} is {list(values)}; list each once, and at least one.")
    if not {"linear", "adaptive"} <= set(profile.arms):
        raise ValueError(f"profiles.toml: [{name}] arms is {list(profile.arms)}; linear and adaptive must be listed.")
    profile.evaluation_config()
    for arm in profile.arms:
        for seed in profile.seeds:
            profile.training_config(arm, seed)
    return profile


def published_profiles() -> list[Profile]:
    """The profiles that have been published, the longest training first."""
    profiles = [load_profile(name) for name in tomllib.loads(PROFILES.read_text())]
    published = [profile for profile in profiles if (profile.published / "table.csv").exists()]
    return sorted(published, key=lambda profile: profile.training["steps"], reverse=True)
