"""Whether a run had come to rest when it ended, so that its weights are no random phase of an oscillation.

Two figures, both in nats per image: how far the KL of all images under the final weights lies from the mean KL of the
last 1% of steps, and how much the KL of single batches moved over the last 10%, beside what it would have moved by the
choice of images alone.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

MOST_OFF = 0.1  # nats
MOST_SWING = 1.5  # times the spread between batches at fixed weights


class Stability(NamedTuple):
    """What `stability` finds; missing values are NaN."""

    kl_off: float  # KL of all images - mean KL of the last 1% of steps
    kl_spread: float  # standard deviation, over the last 10%, of the KL about its running mean (window 1% of training)
    kl_spread_at_rest: float  # the same between batches at fixed weights: that of one image / sqrt(B)

    @property
    def swing(self) -> float:
        return self.kl_spread / self.kl_spread_at_rest

    @property
    def damped(self) -> bool:
        """Whether both figures are within their limits; False where one is missing."""
        return abs(self.kl_off) < MOST_OFF and self.swing <= MOST_SWING


def stability(trace: pd.DataFrame, summary: dict[str, Any], kl: float, kl_image_spread: float, batch: int) -> Stability:
    """From a run's trace [rows of single steps], its summary, and the KL of all images under the final weights.

    kl, kl_image_spread: mean and standard deviation over images, nats; batch: B. The running mean is centred, and
    shorter at the end. A thinned trace gives a coarser spread of the same thing.
    """
    step, steps = trace["step"], summary["steps"]
    window = max(3, round(0.01 * steps / step.iloc[0]))  # in rows
    rest = trace["kl"] - trace["kl_mean"].rolling(window, center=True, min_periods=1).mean()
    spread = rest[step > 0.9 * steps].std()
    return Stability(kl - summary["kl_last_percent"], float(spread), kl_image_spread / np.sqrt(batch))
