"""Whether a run had come to rest when it ended, so that its weights are no random phase of an oscillation.

Two figures, both in nats per image: how far the KL of all images under the final weights lies from the mean KL of the
last 1% of steps, and how much the KL of single batches moved over the last 10%, beside what it would have moved by the
choice of images alone. A KL above that mean by no more than C itself still rose there followed C, and did not swing.
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
    capacity_rise: float = 0.0  # C at the last step - mean C of the last 1% of steps

    @property
    def swing(self) -> float:
        return self.kl_spread / self.kl_spread_at_rest

    @property
    def damped(self) -> bool:
        """Whether both figures are within their limits, but for what C's rise explains; False where one is missing."""
        beyond = self.kl_off - np.clip(self.kl_off, 0, self.capacity_rise)
        return bool(abs(beyond) < MOST_OFF and self.swing <= MOST_SWING)


def stability(
    summary: dict[str, Any], kl: float, kl_image_spread: float, batch: int, capacity_rise: float = 0.0
) -> Stability:
    """From the summary in run.json, and the KL of all images under the final weights.

    kl, kl_image_spread: mean and standard deviation over images, nats; batch: B; capacity_rise: as `capacity_rise`
    gives it. Runs of older code, or of few steps, have no spread.
    """
    spread = summary.get("kl_spread_last_tenth")
    known = np.nan if spread is None else spread
    return Stability(kl - summary["kl_last_percent"], known, kl_image_spread / np.sqrt(batch), capacity_rise)


def capacity_rise(run: Run) -> float:
    """How far C of a complete run still rose over the last 1% of steps: C at the end less its mean there, nats.

    From whether C advanced at each step, so that a published run gives the same; 0 without a C of a schedule.
    """
    config, advanced = run.config(), run.advanced()
    if advanced is None or not len(advanced) or ARMS[config.arm].schedule is None:
        return 0.0
    schedule = schedule_of(config.arm, config.c_start, config.c_max, config.steps, torch.from_numpy(advanced))
    last = schedule.curve(advanced)[-max(1, len(advanced) // 100) :]
    return float(last[-1] - last.mean())
