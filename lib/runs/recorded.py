"""What a run takes from another arm's run beside it: how often C advanced there, or at which steps.

`random_hold` takes the share of advancing steps from the adaptive run of its own seed, `matched_curve` the steps
themselves, and so the curve C(t), from the adaptive run of the next seed (the last takes those of the first).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lib.arms import ARMS
from lib.refusal import Refusal
from lib.runs.run import Run
from lib.runs.settings import TrainingConfig


@dataclass(frozen=True)
class Recorded:
    """What was taken, and how the record of the run that takes it says so."""

    share: float  # of the steps at which C advanced
    advanced: np.ndarray | None  # those steps, bool [T], where they were taken themselves
    origin: dict[str, Any]


def next_seed(seed: int, seeds: Iterable[int]) -> int:
    """The least of `seeds` above `seed`, or the least of all where there is none."""
    return min(seeds, key=lambda other: (other <= seed, other))


def recorded(config: TrainingConfig, run: Run) -> Recorded | None:
    """What the run takes from another; None where its arm takes nothing.

    Raises ValueError unless that run, of the same settings, stands complete beside this one.
    """
    arm = ARMS[config.arm]
    if arm.drawn_from is None:
        return None
    seed = config.seed
    if arm.of_next_seed:
        others = run.path.parent.glob(f"{arm.drawn_from}-seed*")
        seeds = [int(number) for other in others if (number := other.name.split("-seed")[1]).isdigit()]
        if set(seeds) <= {seed}:
            raise Refusal(
                f"The arm {config.arm} advances C as the {arm.drawn_from} run of another seed did, and none is in "
                f"{run.path.parent}; train one first."
            )
        seed = next_seed(seed, seeds)
    name = run.path.name.replace(config.arm, arm.drawn_from, 1).replace(f"seed{config.seed}", f"seed{seed}", 1)
    other = Run(run.path.with_name(name))
    if not (other.complete and other.config() == replace(config, arm=arm.drawn_from, seed=seed)):
        raise Refusal(
            f"The arm {config.arm} advances C as the run {other.name} did, which is not complete in "
            f"{run.path.parent}; train that first."
        )
    share = other.record()["summary"]["share_advanced"]
    if not arm.of_next_seed:
        return Recorded(share, None, {"drawn_share": share})
    stated = other.record().get("files", {})  # where it is a copy of a published run, which has lost its whole trace
    trace = stated["trace.h5"] if "trace.h5" in stated else other.hashes()["trace.h5"]
    return Recorded(share, other.advanced(), {"curve_of": other.name, "curve_sha256": trace})
