"""Whether a run had come to rest when it ended, so that its weights are no random phase of an oscillation.

Two figures, both in nats per image: how far the KL of all images under the final weights lies from the mean KL of the
last 1% of steps, and how much the KL of single batches moved over the last 10%, beside what it would have moved by the
choice of images alone.
"""

from typing import Any, NamedTuple

import numpy as np
import torch

from lib.arms import ARMS, schedule_of
from lib.runs.run import Run

MOST_OFF = 0.1  # nats
MOST_SWING = 1.5  # times the spread between batches at fixed weights


class Stability(NamedTuple):
    """What `stability` finds; missing values are NaN."""

    kl_off: float  # KL of all images - mean KL of the last 1% of steps
    kl_spread: float  # `kl_spread_last_tenth` of the run's summary (lib/training/trace.py)
    kl_spread_at_rest: float  # the same between batches at fixed weights: that of one image / sqrt(B)

    @property
    def swing(self) -> float:
        return self.kl_spread / self.kl_spread_at_rest

    @property
    def damped(self) -> bool:
        """Whether both figures are within their limits; False where one is missing."""
        return abs(self.kl_off) < MOST_OFF and self.swing <= MOST_SWING


def stability(summary: dict[str, Any], kl: float, kl_image_spread: float, batch: int) -> Stability:
    """From the summary in run.json, and the KL of all images under the final weights.

    kl, kl_image_spread: mean and standard deviation over images, nats; batch: B. Runs of older code, or of few
    steps, have no spread.
    """
    spread = summary.get("kl_spread_last_tenth")
    known = np.nan if spread is None else spread
    return Stability(kl - summary["kl_last_percent"], known, kl_image_spread / np.sqrt(batch))


def capacity_path(run: Run) -> np.ndarray | None:
    """C(1..T) [T] of a complete run, nats, replayed from whether C advanced at each step.

    None where that is not known, where there is no C, and where C follows more than these bits.
    """
    config, advanced = run.config(), run.advanced()
    if advanced is None or not len(advanced) or ARMS[config.arm].schedule is None:
        return None
    schedule = schedule_of(config.arm, config.c_start, config.c_max, config.steps, torch.from_numpy(advanced))
    return schedule.curve(advanced)


def capacity_rise(run: Run) -> float:
    """C at the last step less its mean over the last 1% of steps, nats: by so much a KL that follows C is off, too.

    NaN where `capacity_path` is None.
    """
    path = capacity_path(run)
    return np.nan if path is None else float(path[-1] - path[-max(1, len(path) // 100) :].mean())
