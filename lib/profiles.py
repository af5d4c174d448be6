"""From a profile's name and a notebook's parameters to the configuration of a run and the place of its directory."""

import ast
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from lib.config import EvaluationConfig, TrainingConfig
from lib.provenance import ROOT
from lib.runs import Run

PROFILES = ROOT / "profiles.toml"
RESULTS = ROOT / "results"
DATA = RESULTS / "data"


@dataclass(frozen=True)
class Profile:
    """One section of profiles.toml."""

    name: str
    arms: tuple[str, ...]
    seeds: tuple[int, ...]
    training: dict[str, Any]
    evaluation: EvaluationConfig

    @property
    def directory(self) -> Path:
        return RESULTS / "runs" / self.name

    def training_config(self, arm: str, seed: int, **changes: Any) -> TrainingConfig:
        """The profile's settings for one arm and seed; `changes` that are None keep the profile's value."""
        changed = {name: value for name, value in changes.items() if value is not None}
        return TrainingConfig.from_mapping(self.training | changed | {"arm": arm, "seed": seed})

    def run(self, config: TrainingConfig) -> Run:
        """The run directory: named by arm and seed, and by every setting that departs from the profile."""
        departures = [
            f"{name}={value}"
            for name, value in config.as_mapping().items()
            if name in self.training and value != self.training[name]
        ]
        return Run(self.directory / "-".join([config.arm, f"seed{config.seed}", *departures]))

    def runs(self) -> list[Run]:
        """The profile's own runs, arm by arm for every seed."""
        return [self.run(self.training_config(arm, seed)) for seed in self.seeds for arm in self.arms]


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
        EvaluationConfig.from_mapping(section["evaluation"]),
    )  # fmt: skip
    for arm in profile.arms:
        for seed in profile.seeds:
            profile.training_config(arm, seed)
    return profile


def evaluation_config(profile: Profile, **changes: Any) -> EvaluationConfig:
    """The profile's evaluation; `changes` that are None keep the profile's value."""
    changed = {name: value for name, value in changes.items() if value is not None}
    return EvaluationConfig.from_mapping(profile.evaluation.as_mapping() | changed)


def notebook_parameters(namespace: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """The values of a notebook's parameters; raises ValueError for a parameter that is not in `names`.

    namespace: the notebook's globals(). papermill injects an unknown parameter with no more than a warning, so
    the names assigned by the cells that ran before the configuration cell's first run are checked here.
    """
    cells = namespace["In"]
    before = cells[: cells.index(cells[-1])]
    assigned = [
        target.id
        for cell in before
        for statement in ast.parse(cell).body
        for target in getattr(statement, "targets", [getattr(statement, "target", None)])
        if isinstance(target, ast.Name)
    ]
    unknown = [name for name in assigned if name not in names]
    if unknown:
        raise ValueError(f"There is no parameter {unknown[0]!r}; the parameters are {', '.join(names)}.")
    return {name: namespace[name] for name in names}


TRAINING_PARAMETERS = tuple(field.name for field in fields(TrainingConfig))
EVALUATION_PARAMETERS = tuple(field.name for field in fields(EvaluationConfig))
