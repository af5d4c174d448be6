"""The values of every training step, collected: thinned rows, one bit of every step, and sums for the summary."""

from typing import Any

import numpy as np
import pandas as pd
import torch

from lib.arms import ARMS, objective_of, schedule_of
from lib.objectives import FLAGS
from lib.runs.settings import TrainingConfig
from lib.schedules import AdaptiveCapacity
from lib.training.decisions import rule_counts


def kl_spread_last_tenth(frame: pd.DataFrame) -> float | None:
    """Standard deviation, over the last 10% of steps, of the KL of single batches about its running mean, nats.

    frame: a whole run's `Trace.frame`. The mean is centred, over 1% of the run, and shorter at the end. None where too
    few rows were kept. See lib/evaluation/stability.py.
    """
    window = max(3, round(0.01 * len(frame)))
    about = frame["kl"] - frame["kl_mean"].rolling(window, center=True, min_periods=1).mean()
    spread = about[frame["step"] > 0.9 * frame["step"].max()].std()
    return None if pd.isna(spread) else float(spread)


def decisions(config: TrainingConfig, frame: pd.DataFrame) -> dict[str, float | None] | None:
    """`rule_counts` of a run whose rule looks at beta, or draws the steps at which it advances; None of any other.

    frame: its `Trace.frame`, or what was published of it. A share of no steps is None.
    """
    if ARMS[config.arm].schedule is None:
        return None
    if not isinstance(schedule_of(config.arm, config.c_start, config.c_max, config.steps), AdaptiveCapacity):
        return None
    counts = rule_counts(frame, config.c_max, config.beta_min)
    return {name: None if pd.isna(value) else value for name, value in counts.to_dict().items()}


class Trace:
    """Collects the values of every step: thinned rows, bits of every step, and sums for the summary."""

    def __init__(self, config: TrainingConfig, columns: list[str]) -> None:
        """columns: names of the values of a step (`Engine.columns`)."""
        self.config = config
        self.columns = columns
        self.held = ARMS[config.arm].held
        self.least_beta = getattr(objective_of(config.arm, config), "least_beta", None)
        # Parts [windows, 1 + 2 columns]: step, values at it, means over the window.
        self.rows = [np.empty((0, 1 + 2 * len(self.columns)))]
        self.pending = np.empty((0, len(self.columns)))  # values since the last complete window
        self.advanced = [np.empty(0, dtype=bool)]  # parts [steps]; empty where the objective has no C
        self.steps = 0
        self.sums: dict[str, float] = {}  # over all steps, of what the objective records
        self.locked_at: int | None = None

    def add(self, values: np.ndarray, broken_gradient: int | None = None) -> None:
        """values [steps, columns]: the next steps' trace; broken_gradient: `Engine.broken_gradient`.

        Raises FloatingPointError where either is not finite, with the step and the name of what was so first.
        """
        table = dict(zip(self.columns, values.T, strict=True))
        # A value of a step comes before its gradients.
        found = [(self.steps + 1 + row, column) for row, column in np.argwhere(~np.isfinite(values))[:1]]
        broken = [(step, self.columns[column]) for step, column in found]
        if broken_gradient is not None:
            broken.append((broken_gradient, "a gradient"))
        if broken:
            step, name = min(broken, key=lambda each: each[0])
            raise FloatingPointError(
                f"Training diverged at step {step}: {name} is not finite; lower learning_rate or ki."
            )
        if "beta" in table:
            self._count("beta", table["beta"])
        if self.least_beta is not None:
            self._count("at_beta_min", table["beta"] <= self.least_beta)
        if "set_point" in table:
            self._count("kl_to_set_point", np.abs(table[self.held] - table["set_point"]))
        if "frozen" in table:
            self._count("frozen", table["frozen"])
        if "locked" in table and self.locked_at is None and table["locked"].any():
            self.locked_at = self.steps + 1 + int(table["locked"].argmax())
        if "advanced" in table:
            self.advanced.append(table["advanced"].astype(bool))

        every = self.config.trace_every
        self.pending = np.concatenate([self.pending, values])
        windows = self.pending[: len(self.pending) // every * every].reshape(-1, every, values.shape[1])
        first = self.steps + len(values) - len(self.pending)
        steps = first + every * np.arange(1, len(windows) + 1)
        self.rows.append(np.concatenate([steps[:, None], windows[:, -1], windows.mean(1)], axis=1))
        self.pending = self.pending[len(windows) * every :]
        self.steps += len(values)

    def _count(self, name: str, values: np.ndarray) -> None:
        # One step after the other, so that the sum does not depend on where the host looked.
        self.sums[name] = float(np.cumsum([self.sums.get(name, 0.0), *values])[-1])

    def frame(self) -> pd.DataFrame:
        """One row per window of `trace_every` steps: its last step, the values there, their means (`_mean`)."""
        names = ["step", *self.columns, *(f"{name}_mean" for name in self.columns)]
        frame = pd.DataFrame(np.concatenate(self.rows), columns=names)
        return frame.astype({"step": np.int64} | dict.fromkeys((name for name in FLAGS if name in self.columns), bool))

    def summary(self) -> dict[str, Any]:
        """What every run reports; the means over the last 1% of steps have that in their names.

        None for what the objective does not record, and for `locked_at` of a controller that never locked.
        """
        frame, advanced = self.frame(), np.concatenate(self.advanced)
        last = frame[frame["step"] > 0.99 * self.steps]

        def mean(name: str) -> float | None:
            return self.sums[name] / self.steps if name in self.sums else None

        def over_the_last(name: str) -> float | None:
            return float(last[f"{name}_mean"].mean()) if name in self.columns else None

        return {
            "steps": self.steps,
            "share_at_beta_min": mean("at_beta_min"),
            "share_frozen": mean("frozen"),
            "share_advanced": float(advanced.mean()) if len(advanced) else None,
            "mean_kl_to_set_point": mean("kl_to_set_point"),
            "mean_beta": mean("beta"),
            "locked_at": self.locked_at,
            "final_capacity": float(frame["capacity"].iloc[-1]) if "capacity" in self.columns else None,
            "reconstruction_last_percent": over_the_last("reconstruction"),
            "kl_last_percent": over_the_last("kl"),
            "beta_last_percent": over_the_last("beta"),
            "kl_spread_last_tenth": kl_spread_last_tenth(frame),
            "decisions": decisions(self.config, frame),
        }

    def state_dict(self) -> dict[str, Any]:
        return {
            "rows": torch.from_numpy(np.concatenate(self.rows)),
            "pending": torch.from_numpy(self.pending),
            "advanced": torch.from_numpy(np.concatenate(self.advanced)),
            "steps": self.steps,
            "sums": self.sums,
            "locked_at": self.locked_at,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.rows = [state["rows"].numpy()]
        self.pending = state["pending"].numpy()
        self.advanced = [state["advanced"].numpy()]
        self.steps, self.sums, self.locked_at = state["steps"], state["sums"], state["locked_at"]
