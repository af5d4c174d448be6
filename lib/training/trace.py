"""The values of every training step, collected: thinned rows, one bit of every step, and sums for the summary."""

from typing import Any

import numpy as np
import pandas as pd
import torch

from lib.runs.settings import TrainingConfig
from lib.training.engine import trace_columns

FLAGS = ("frozen", "advanced", "locked")  # columns that are true or false


class Trace:
    """Collects the values of every step: thinned rows, bits of every step, and sums for the summary."""

    def __init__(self, config: TrainingConfig) -> None:
        self.config = config
        self.columns = trace_columns(config.latents)
        # Parts [windows, 1 + 2 columns]: step, values at it, means over the window.
        self.rows = [np.empty((0, 1 + 2 * len(self.columns)))]
        self.pending = np.empty((0, len(self.columns)))  # values since the last complete window
        self.advanced = [np.empty(0, dtype=bool)]  # parts [steps]
        self.steps = 0
        self.sums = {"at_beta_min": 0.0, "kl_to_set_point": 0.0, "beta": 0.0, "frozen": 0.0}
        self.locked_at: int | None = None

    def add(self, values: np.ndarray) -> None:
        """values [steps, columns]: the next steps' trace; raises FloatingPointError where it is not finite."""
        table = dict(zip(self.columns, values.T, strict=True))
        broken = ~np.isfinite(values).all(1)
        if broken.any():
            raise FloatingPointError(
                f"Training diverged at step {self.steps + 1 + int(broken.argmax())}: a loss is not finite; "
                "lower learning_rate or ki."
            )
        self.sums["at_beta_min"] += float((table["beta"] <= self.config.beta_min).sum())
        self.sums["kl_to_set_point"] += float(np.abs(table["kl"] - table["set_point"]).sum())
        self.sums["beta"] += float(table["beta"].sum())
        self.sums["frozen"] += float(table["frozen"].sum())
        if self.locked_at is None and table["locked"].any():
            self.locked_at = self.steps + 1 + int(table["locked"].argmax())
        self.advanced.append(table["advanced"].astype(bool))

        every = self.config.trace_every
        self.pending = np.concatenate([self.pending, values])
        windows = self.pending[: len(self.pending) // every * every].reshape(-1, every, values.shape[1])
        first = self.steps + len(values) - len(self.pending)
        steps = first + every * np.arange(1, len(windows) + 1)
        self.rows.append(np.concatenate([steps[:, None], windows[:, -1], windows.mean(1)], axis=1))
        self.pending = self.pending[len(windows) * every :]
        self.steps += len(values)

    def frame(self) -> pd.DataFrame:
        """One row per window of `trace_every` steps: its last step, the values there, their means (`_mean`)."""
        names = ["step", *self.columns, *(f"{name}_mean" for name in self.columns)]
        frame = pd.DataFrame(np.concatenate(self.rows), columns=names)
        return frame.astype({"step": np.int64} | dict.fromkeys(FLAGS, bool))

    def summary(self) -> dict[str, Any]:
        """What every run reports; the means over the last 1% of steps have that in their names."""
        frame = self.frame()
        last = frame[frame["step"] > 0.99 * self.steps]
        return {
            "steps": self.steps,
            "share_at_beta_min": self.sums["at_beta_min"] / self.steps,
            "share_frozen": self.sums["frozen"] / self.steps,
            "share_advanced": float(np.concatenate(self.advanced).mean()),
            "mean_kl_to_set_point": self.sums["kl_to_set_point"] / self.steps,
            "mean_beta": self.sums["beta"] / self.steps,
            "locked_at": self.locked_at,
            "final_capacity": float(frame["capacity"].iloc[-1]),
            "reconstruction_last_percent": float(last["reconstruction_mean"].mean()),
            "kl_last_percent": float(last["kl_mean"].mean()),
            "beta_last_percent": float(last["beta_mean"].mean()),
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
