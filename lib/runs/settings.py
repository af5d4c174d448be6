"""What a run is: frozen, typed settings that refuse what they do not know, with one clear sentence."""

import math
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, Self

from lib.arms import ARMS
from lib.dsprites import N_IMAGES
from lib.model import ARCHITECTURES
from lib.pid import ANTI_WINDUP
from lib.refusal import Refusal

PRECISIONS = ("float32", "tf32", "bfloat16", "float64")
DEVICES = ("auto", "cpu", "cuda")


class _Settings:
    """Shared by the configurations: type checks, conversion from and to plain mappings."""

    @classmethod
    def from_mapping(cls, values: dict[str, Any]) -> Self:
        """Settings from names and values; raises ValueError for unknown or missing names."""
        known = [each.name for each in fields(cls)]
        unknown = [name for name in values if name not in known]
        if unknown:
            raise Refusal(f"There is no setting {unknown[0]!r}; the settings are {', '.join(known)}.")
        missing = [each.name for each in fields(cls) if each.default is MISSING and each.name not in values]
        if missing:
            raise Refusal(f"The setting {missing[0]!r} is missing; give it a value.")
        return cls(**values)

    @classmethod
    def completed(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Names and values that an older version wrote, with what it did where settings came later."""
        return {each.name: each.default for each in fields(cls) if each.default is not MISSING} | values

    def as_mapping(self) -> dict[str, Any]:
        """Names and values, as plain data for JSON."""
        return asdict(self)

    def only(self, names: tuple[str, ...]) -> dict[str, Any]:
        """The named settings, as plain data: what one result depends on, and is kept with it."""
        return {name: getattr(self, name) for name in names}

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if each.type is float and type(value) is int:
                value = float(value) if abs(value) < 2**1023 else math.inf
                object.__setattr__(self, each.name, value)  # the way to normalise a field of a frozen dataclass
            if type(value) is not each.type:
                kinds = {int: "an integer", float: "a number", str: "a name in quotes"}
                raise Refusal(f"{each.name} is {value!r}; give {kinds[each.type]}.")
            if each.type is float and not math.isfinite(value):
                raise Refusal(f"{each.name} is {value!r}; give a finite number.")
        self._check()

    def _check(self) -> None:
        """Raises ValueError for an impossible value."""

    def _check_choice(self, name: str, choices: tuple[str, ...]) -> None:
        if getattr(self, name) not in choices:
            raise Refusal(f"{name} is {getattr(self, name)!r}; choose one of {', '.join(choices)}.")

    def _check_at_least(self, name: str, least: float) -> None:
        if getattr(self, name) < least:
            raise Refusal(f"{name} is {getattr(self, name)!r}; give {least} or more.")

    def _check_at_most(self, most: dict[str, int]) -> None:
        """Bounds that no run comes near: what lies above them is a slip, and would fail late, or fill the memory."""
        for name, value in most.items():
            if getattr(self, name) > value:
                raise Refusal(f"{name} is {getattr(self, name)!r}; give {value:_} or less.")


@dataclass(frozen=True)
class TrainingConfig(_Settings):
    """Everything that decides the bits of a training run; `profiles.toml` holds the values of each profile."""

    arm: str  # what presses on the KL, and by which rule: a row of lib/arms.py
    data: str  # rendered, download, or the path of an official file (lib/data/dataset.py)
    seed: int  # of initial weights, batches and noise: the same for every arm
    steps: int  # training steps, one batch each
    architecture: str  # conv, fc or burgess (lib/model.py)
    latents: int  # J, latent channels
    batch_size: int  # B, images per step
    learning_rate: float  # Adam's, with betas 0.9 and 0.999
    # Share of the steps, the last ones, over which it falls linearly towards 0; configs written before have none of it.
    cooldown: float = field(default=0.0, kw_only=True)
    c_start: float  # C(0), nats per image
    c_max: float  # C_max, nats per image
    kp: float  # controller gain on 1 / (1 + exp(C - KL))
    ki: float  # controller gain on the sum of errors, per nat and step
    kd: float  # controller gain on the change of the error, per nat
    beta_min: float  # the least beta
    anti_windup: str  # published or conditional (lib/pid.py)
    precision: str  # of the network's products; in tf32 (CUDA only) and bfloat16 weights and losses are float32
    device: str  # auto (cuda where there is one), cpu or cuda
    threads: int  # CPU threads
    trace_every: int  # steps between two rows of the trace
    snapshots: int  # weight snapshots, half of them in the first third of training
    checkpoint_every: int  # steps between two checkpoints, of which those within half a minute of the last are left out

    def _check(self) -> None:
        self._check_choice("arm", tuple(ARMS))
        self._check_choice("architecture", ARCHITECTURES)
        self._check_choice("anti_windup", ANTI_WINDUP)
        self._check_choice("precision", PRECISIONS)
        self._check_choice("device", DEVICES)
        for name in ("steps", "batch_size", "threads", "trace_every", "checkpoint_every"):
            self._check_at_least(name, 1)
        self._check_at_least("latents", 2)  # a gap is between two
        if self.batch_size < ARMS[self.arm].least_batch:
            raise Refusal(
                f"batch_size is {self.batch_size}; the arm {self.arm} compares the images of a batch: give "
                f"{ARMS[self.arm].least_batch} or more."
            )
        self._check_at_most(
            {"steps": 10**9, "latents": 1_000, "threads": 1_000, "snapshots": 10_000, "seed": 2**63 - 1}
        )
        if self.batch_size > N_IMAGES:
            raise Refusal(f"batch_size is {self.batch_size}; the data set has {N_IMAGES} images.")
        for name in ("seed", "c_start", "kp", "ki", "kd", "beta_min", "snapshots"):
            self._check_at_least(name, 0)
        if self.learning_rate <= 0:
            raise Refusal(f"learning_rate is {self.learning_rate}; give a number above 0.")
        if not 0 <= self.cooldown <= 1:
            raise Refusal(f"cooldown is {self.cooldown}; give a share of the steps from 0 to 1.")
        if self.c_max < self.c_start:
            raise Refusal(f"c_max is {self.c_max}, below c_start = {self.c_start}; give c_max >= c_start.")
        if self.steps % self.trace_every:
            raise Refusal(f"steps is {self.steps}, no multiple of trace_every = {self.trace_every}; make it one.")


@dataclass(frozen=True)
class EvaluationConfig(_Settings):
    """What is measured on a trained run; a changed setting repeats what depends on it, never the training."""

    position_stride: int  # 1: all 737,280 images; k: every k-th position_x and position_y
    monte_carlo_samples: int  # S of Chen et al.'s sampled MIG; they use 10,000
    decomposition_samples: int  # S of the split of the KL (lib/information.py)
    evaluation_seed: int  # of every random draw in the evaluation
    evaluation_batch: int  # images per forward pass
    snapshot_position_stride: (
        int  # the same as position_stride, for the measures over training (lib/evaluation/snapshots.py)
    )
    snapshots_measured: int  # of the run's weight snapshots, evenly spaced in their order, the last among them
    dci_samples: int  # images that DCI's trees learn from, half as many for their test; Locatello et al. use 10,000

    def _check(self) -> None:
        for name in ("position_stride", "snapshot_position_stride"):
            if getattr(self, name) not in (1, 2, 4, 8, 16):
                raise Refusal(f"{name} is {getattr(self, name)}; choose 1, 2, 4, 8 or 16.")
        self._check_at_least("snapshots_measured", 1)
        self._check_at_least("dci_samples", 100)  # fewer may miss most values of a factor
        self._check_at_least("monte_carlo_samples", 2)
        self._check_at_least("decomposition_samples", 100)
        self._check_at_least("evaluation_seed", 0)
        self._check_at_least("evaluation_batch", 1)
        samples = ("monte_carlo_samples", "decomposition_samples", "dci_samples", "evaluation_batch")
        self._check_at_most(dict.fromkeys(samples, N_IMAGES) | {"evaluation_seed": 2**63 - 1})
