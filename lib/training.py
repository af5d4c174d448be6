"""Train one arm into a run directory: trace, snapshots, checkpoints, resume, summary."""

import time
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from lib.config import TrainingConfig
from lib.dataset import Dataset
from lib.engine import Engine, choose_device, trace_columns
from lib.memory import keep_freed_memory
from lib.provenance import provenance
from lib.runs import Run, write_atomically, write_json, write_trace

BLOCK = 100  # steps between two looks of the host at the device
FIRST_SNAPSHOT = 100  # the first of the log-spaced snapshots, in steps
FLAGS = ("frozen", "advanced", "locked")  # columns of the trace that are true or false


class Trace:
    """Collects the values of every step: thinned rows, bits of every step, and sums for the summary."""

    def __init__(self, config: TrainingConfig) -> None:
        self.config = config
        self.columns = trace_columns(config.latents)
        self.rows: list[np.ndarray] = []  # [windows, 1 + 2 columns]: step, values at it, means over the window
        self.pending = np.empty((0, len(self.columns)))  # values since the last complete window
        self.advanced: list[np.ndarray] = []  # bool [steps]
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


def snapshot_steps(config: TrainingConfig) -> list[int]:
    """The steps after which weights are kept: `snapshots` of them, log-spaced from 100 to the last."""
    if config.snapshots == 0:
        return []
    first = min(FIRST_SNAPSHOT, config.steps)
    steps = np.geomspace(first, config.steps, config.snapshots).round().astype(int)
    return sorted({*steps.tolist()[:-1], config.steps})


@contextmanager
def reproducible(threads: int):
    """Compute with this many CPU threads and, on CUDA, with deterministic algorithms and true float32.

    The thread count is restored. Freed memory is kept for reuse (lib/memory.py).
    """
    keep_freed_memory()
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def train(config: TrainingConfig, run: Run, data: Dataset, progress: bool = True) -> Run:
    """Train `config` into `run`'s directory, continue it from its checkpoint, or load it where it is complete.

    The same seed, data, machine, device, precision and thread count give the same bits, interrupted or not.
    Raises ValueError where the directory holds another configuration's run (nothing is touched), and
    FloatingPointError where training diverges.
    """
    run.claim(config)
    if run.complete:
        return run
    device = choose_device(config.device)
    with reproducible(config.threads):
        engine, trace, seconds = Engine(config, data.to(device)), Trace(config), 0.0
        if run.checkpoint.exists():
            state = torch.load(run.checkpoint, map_location="cpu", weights_only=True)
            engine.load_state_dict(state["engine"])
            trace.load_state_dict(state["trace"])
            seconds = state["seconds"]
        started = time.perf_counter() - seconds
        snapshots = snapshot_steps(config)
        with tqdm(
            total=config.steps, initial=engine.step, desc=run.name, unit="step", disable=not progress,
            mininterval=2, dynamic_ncols=True,
        ) as bar:  # fmt: skip
            while engine.step < config.steps:
                stops = (engine.step // BLOCK * BLOCK + BLOCK, config.steps, *snapshots)
                steps = min(stop for stop in stops if stop > engine.step) - engine.step
                trace.add(engine.run(steps).cpu().numpy())
                bar.update(steps)
                bar.set_postfix_str(_progress_line(trace), refresh=False)
                if engine.step in snapshots:
                    run.save_weights(engine.model, engine.step)
                if engine.step % config.checkpoint_every < steps and engine.step < config.steps:
                    _write_checkpoint(run, engine, trace, time.perf_counter() - started)
        seconds = time.perf_counter() - started

    write_trace(run.path / "trace.h5", trace.frame(), np.concatenate(trace.advanced), config.as_mapping())
    run.save_weights(engine.model)
    record = provenance(device) | {
        "data_sha256": data.sha256,
        "data_source": data.source,
        "seconds": seconds,
        "steps_per_second": config.steps / seconds,
    }
    write_json(run.path / "run.json", {"provenance": record, "summary": trace.summary()})
    run.checkpoint.unlink(missing_ok=True)
    return run


def _progress_line(trace: Trace) -> str:
    values = dict(zip(["step", *trace.columns], trace.rows[-1][-1], strict=False)) if len(trace.rows[-1]) else {}
    if not values:
        return ""
    return "loss {reconstruction:.1f}, KL {kl:.2f}, beta {beta:.2f}, C {capacity:.2f}".format(**values)


def _write_checkpoint(run: Run, engine: Engine, trace: Trace, seconds: float) -> None:
    state = {"engine": engine.state_dict(), "trace": trace.state_dict(), "seconds": seconds}
    write_atomically(run.checkpoint, lambda temporary: torch.save(state, temporary))
