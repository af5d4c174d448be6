"""Profiles, the sizes in which the report can be run: from a name to configurations and run directories."""

import math
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lib.arms import ARMS
from lib.files import RESULTS, ROOT, reading
from lib.refusal import Refusal
from lib.runs.run import Run
from lib.runs.settings import EvaluationConfig, TrainingConfig

PROFILES = ROOT / "profiles.toml"
# What a section holds, beside `like`; `also`, arms of which the first seed alone is trained, may be missing.
_SECTION = {"arms": list, "seeds": list, "also": list, "training": dict, "evaluation": dict}


@dataclass(frozen=True)
class Profile:
    """One section of profiles.toml."""

    name: str
    arms: tuple[str, ...]
    seeds: tuple[int, ...]
    training: dict[str, Any]
    evaluation: dict[str, Any]
    also: tuple[str, ...] = ()  # arms of which the first seed alone is trained, to stand beside the others once

    @property
    def directory(self) -> Path:
        return RESULTS / "runs" / self.name

    @property
    def published(self) -> Path:
        return RESULTS / "published" / self.name

    def training_config(self, arm: str, seed: int, **changes: Any) -> TrainingConfig:
        """The profile's settings for one arm and seed; `changes` that are None keep the profile's value.

        `steps` of an arm that trains longer than others becomes its own length, in whole rows of the trace.
        """
        changed = {name: value for name, value in changes.items() if value is not None}
        config = TrainingConfig.from_mapping(self.training | changed | {"arm": arm, "seed": seed})
        length = ARMS[arm].length
        if length is None:
            return config
        rows = math.ceil(length(config.c_start, config.c_max, config.steps) / config.trace_every)
        return replace(config, steps=rows * config.trace_every)

    def evaluation_config(self, **changes: Any) -> EvaluationConfig:
        """The profile's evaluation; `changes` that are None keep the profile's value."""
        changed = {name: value for name, value in changes.items() if value is not None}
        return EvaluationConfig.from_mapping(self.evaluation | changed)

    def run(self, config: TrainingConfig) -> Run:
        """The run directory: named by arm and seed, and by every setting that departs from the profile."""
        own = self.training_config(config.arm, config.seed).as_mapping()
        departures = [
            f"{name}={Path(str(value)).name}" for name, value in config.as_mapping().items() if value != own[name]
        ]
        return Run(self.directory / "-".join([config.arm, f"seed{config.seed}", *departures]))

    def runs(self) -> list[Run]:
        """The runs that the paper compares, arm by arm for every seed."""
        return [self.run(self.training_config(arm, seed)) for seed in self.seeds for arm in self.arms]

    def once(self) -> list[Run]:
        """The first seed's runs of the arms in `also`."""
        return [self.run(self.training_config(arm, self.seeds[0])) for arm in self.also]

    def planned(self, arms: list[str] | None = None, seeds: list[int] | None = None) -> list[tuple[str, int]]:
        """Arm and seed of all that is to be trained; with `arms` or `seeds` these alone.

        Of an arm in `also` the first seed, unless `seeds` are given.
        """
        first = self.seeds[:1]
        every = [
            (arm, seed) for seed in seeds or self.seeds for arm in arms or self.arms
            if seeds or arm not in self.also or seed in first
        ]  # fmt: skip
        return every if arms or seeds else every + [(arm, seed) for seed in first for arm in self.also]

    @property
    def only_published(self) -> bool:
        """Whether none of the profile's runs was begun here, while its results are published."""
        return not any(run.path.exists() for run in self.runs()) and (self.published / "table.csv").exists()

    def runs_to_read(self) -> list[Run]:
        """The profile's own runs, or the published ones where none was begun here; these are read only."""
        return self._to_read(self.runs())

    def once_to_read(self) -> list[Run]:
        """Likewise of the runs in `once`."""
        return self._to_read(self.once())

    def _to_read(self, runs: list[Run]) -> list[Run]:
        return [Run(self.published / run.name) for run in runs] if self.only_published else runs


def load_profile(name: str) -> Profile:
    """A profile by name.

    Raises ValueError for an unknown one, and for a file that is damaged or holds what no profile can, with the place.
    """
    profiles = _sections()
    if not isinstance(name, str) or name not in profiles:
        raise Refusal(f"profile is {name!r}; choose one of {', '.join(profiles)}.")
    section = _resolved(profiles, name)
    missing = [key for key in _SECTION if key not in section and key != "also"]
    if missing:
        raise Refusal(f"profiles.toml: [{name}] lacks {missing[0]}; give it, or the profile it is `like`.")
    profile = Profile(
        name, tuple(section["arms"]), tuple(section["seeds"]), section["training"],
        section["evaluation"], tuple(section.get("also", ())),
    )  # fmt: skip
    for key, values in (("arms", section["arms"]), ("seeds", section["seeds"])):
        if not values or any(value in values[:i] for i, value in enumerate(values)):
            raise Refusal(f"profiles.toml: [{name}] {key} is {values}; list each once, and at least one.")
    if not all(arm in profile.arms for arm in ("linear", "adaptive")):
        raise Refusal(f"profiles.toml: [{name}] arms is {list(profile.arms)}; linear and adaptive must be listed.")
    every = (*profile.arms, *profile.also)
    if any(arm in every[:i] for i, arm in enumerate(every)):
        raise Refusal(f"profiles.toml: [{name}] also is {list(profile.also)}; list each arm once, in arms or in also.")
    try:
        profile.evaluation_config()
        for seed in profile.seeds:
            for arm in every:
                profile.training_config(arm, seed)
    except ValueError as error:
        raise Refusal(f"profiles.toml: [{name}]: {error}") from error
    return profile


def _sections() -> dict[str, Any]:
    """profiles.toml as it stands."""
    with reading(PROFILES, "mend it"):
        return tomllib.loads(PROFILES.read_text(encoding="utf-8"))


def _resolved(profiles: dict[str, Any], name: str, chain: tuple[str, ...] = ()) -> dict[str, Any]:
    """The section `name` with what it does not say taken from the one it is `like`; tables are merged key by key.

    chain: the sections whose `like` has led here.
    """
    section = profiles[name]
    if not isinstance(section, dict):
        raise Refusal(f"profiles.toml: {name} is no section; write [{name}].")
    unknown = [key for key in section if key not in ("like", *_SECTION)]
    if unknown:
        raise Refusal(f"profiles.toml: [{name}] has {unknown[0]!r}; it may hold {', '.join(_SECTION)} and like.")
    for key, kind in _SECTION.items():
        if not isinstance(section.get(key, kind()), kind):
            expected = "a list" if kind is list else "a table"
            raise Refusal(f"profiles.toml: [{name}] {key} is {section[key]!r}; give {expected}.")
    if "like" not in section:
        return section
    other, chain = section["like"], (*chain, name)
    if not isinstance(other, str) or other not in profiles:
        raise Refusal(f"profiles.toml: [{name}] is like {other!r}; name one of {', '.join(profiles)}.")
    if other in chain:
        raise Refusal(f"profiles.toml: {' is like '.join((*chain, other))}; one of them must say everything.")
    base = _resolved(profiles, other, chain)
    return {
        key: base.get(key, {}) | section[key] if kind is dict and key in section else section.get(key, base.get(key))
        for key, kind in _SECTION.items()
        if key in section or key in base
    }


def published_profiles() -> list[Profile]:
    """The profiles that have been published, the longest training first."""
    profiles = [load_profile(name) for name in _sections()]
    published = [profile for profile in profiles if (profile.published / "table.csv").exists()]
    return sorted(published, key=lambda profile: profile.training["steps"], reverse=True)
