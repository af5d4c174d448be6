"""What each bottleneck let through, in sentences: the bound, the estimates that steered, the images of a sampler."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from lib.arms import ARMS
from lib.dsprites import N_IMAGES
from lib.evaluation.samples import TOLERANCE
from lib.report.effects import number
from lib.report.findings.wording import joined
from lib.report.other_arms import above_bound

RATES = {"KL": "kl", "$I_q(x; z)$": "mutual_information"}


def sampled(measured: Mapping[str, Any]) -> str:
    """Whether a sampler draws sprites; measured: samples.json."""
    share, count = measured["sprites"], len(measured["nearest"])
    return (
        f"{'A sampler of sprites' if share >= 0.5 else 'This is no sampler of sprites, at least not yet'}: {share:.0%} "
        f"of {count} samples are one, at most {TOLERANCE:.0%} of the nearest image's pixels off (the median: "
        f"{np.median(measured['pixels_off']):.0f} pixels)."
    )


def bound(snapshots: Mapping[str, pd.DataFrame], entropy: float) -> str:
    """How near the nearest and the farthest arm come to D + R = H(x), for both rates; empty without an arm."""
    if not snapshots:
        return ""
    images = next(iter(snapshots.values()))["images"].iloc[0]
    above, below = [], []
    for rate, column in RATES.items():
        least = {arm: above_bound(frame, column, entropy) for arm, frame in snapshots.items()}
        nearest, farthest = min(least, key=least.get), max(least, key=least.get)
        by = f"{number('.2f')(least[nearest][0])} ({ARMS[nearest].label})"
        if len(least) > 1:
            by = f"{by} to {number('.2f')(least[farthest][0])} ({ARMS[farthest].label})"
        above.append(f"D + {rate} is above it by {by}")
        below += [
            f"{ARMS[arm].label} by {-distance:.2f} nats with R = {rate} at step {step:,}"
            for arm, (distance, step) in least.items() if distance < 0
        ]  # fmt: skip
    wrong = f" BELOW it, where nothing can be, so that a measure is wrong: {'; '.join(below)}." if below else ""
    return f"H(x) of the {images:,} images is {entropy:.2f} nats; at the nearest snapshot {joined(above)}.{wrong}"


def bias(estimates: Mapping[str, pd.DataFrame], images: int) -> str:
    """How far off the estimates that steered were, in the last two thirds of training and before, apart.

    estimates: `lib.report.other_arms.estimates`, by arm, against the exact value of `images` images.
    """
    known = {arm: frame for arm, frame in estimates.items() if len(frame)}
    if not known:
        return "No arm that steers by an estimate of $I_q(x; z)$ has a snapshot with one yet."
    parts = []
    for arm, frame in known.items():
        late = frame["step"] > frame["step"].max() / 3
        worst = frame.loc[frame["bias"].abs().idxmax()]
        early = "" if late[worst.name] else f", earlier at worst {number('+.2f')(worst['bias'])}"
        parts.append(
            f"{ARMS[arm].label} {number('+.2f')(frame.loc[late, 'bias'].mean())} on average "
            f"({_range(frame.loc[late, 'bias'])}){early}"
        )
    error = max(frame["standard_error"].max() for frame in known.values())
    return (
        f"The estimate less the exact $I_q(x; z)$ of N = {images:,} images (standard error at most {error:.3f}), in "
        f"nats, in the last two thirds of training: {'; '.join(parts)}. It is of all {N_IMAGES:,} images, from the "
        "posteriors seen last, each as coded then."
    )


def _range(values: pd.Series) -> str:
    return " to ".join(dict.fromkeys(number("+.2f")(value) for value in (values.min(), values.max())))
