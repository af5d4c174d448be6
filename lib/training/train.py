"""Train runs into their directories: trace, snapshots, checkpoints, resume, summary."""

import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np

from lib.arms import arrival
from lib.data.dataset import Dataset
from lib.files import reading, write_json, write_sealed, writing
from lib.locks import only_one
from lib.progress import Progress
from lib.refusal import Divergence, Refusal
from lib.runs.provenance import provenance
from lib.runs.recorded import recorded
from lib.runs.run import CHECKPOINT_REMEDY, Run, segments_of
from lib.runs.settings import TrainingConfig
from lib.runs.trace_file import write_trace
from lib.training.device import device_of, reproducible
from lib.training.gan import engine_of
from lib.training.layers import products
from lib.training.lockstep import Lockstep
from lib.training.signals import Deferred
from lib.training.streams import advances_of
from lib.training.trace import Trace

LOOK = {"cpu": 100, "cuda": 1000}  # steps between two looks of the host at the device
LEAST_SECONDS = 30  # between two checkpoints of a run: writing one may take 0.1 s
LINES = 20  # of progress where there is no terminal, one for every 5%
FIRST_SNAPSHOT = 100  # the first of the snapshots, in steps
Observer = Callable[[Run, Trace], None]  # watches a training; it must change nothing


def snapshot_steps(config: TrainingConfig) -> list[int]:
    """The steps after which weights are kept: `snapshots` of them, and one more when C arrives at C_max.

    Half, log-spaced from 100 (or 1/30 of few steps), in the first third of training; half, evenly spaced, in the rest.
    """
    if config.snapshots == 0:
        return []
    third, early = config.steps / 3, config.snapshots // 2
    steps = [
        *np.geomspace(min(FIRST_SNAPSHOT, third / 10), third, early),
        *np.linspace(third, config.steps, config.snapshots - early + 1)[1:],
    ]
    return sorted({max(1, round(step)) for step in steps} | {arrival(config) or config.steps})


def train(
    config: TrainingConfig, run: Run, data: Dataset, progress: bool = True, observer: Observer | None = None
) -> Run:
    """Train `config` into `run`'s directory, continue it from its checkpoint, or load it where it is complete.

    The same seed, data, machine, device, precision and thread count give the same bits, interrupted or not, alone or
    together with other runs (with several threads but for last bits, see `reproducible`). Raises ValueError where the
    directory holds another configuration's run (nothing is touched), and FloatingPointError where training diverges.
    """
    train_together([config], [run], data, progress, observer=observer)
    return run


def train_together(
    configs: list[TrainingConfig],
    runs: list[Run],
    data: Dataset,
    progress: bool = True,
    time_limit: float = math.inf,
    observer: Observer | None = None,
) -> None:
    """As `train`, for several runs in lockstep (lib/training/lockstep.py), which pays on a GPU.

    Ends after about `time_limit` seconds; what is unfinished then has a checkpoint. A run that diverges leaves the
    others alone: its error is raised when they have ended. `observer` gets each run and its trace, so far, whenever the
    host has looked at the device. SIGINT and SIGTERM take effect after the next look and a checkpoint, a second one at
    once (lib/training/signals.py). Raises ValueError unless all share device, threads and precision, and where
    another process trains one of them.
    """
    shared = {(config.device, config.threads, config.precision) for config in configs}
    if len(shared) > 1:
        raise Refusal("Runs that train together need the same device, threads and precision; train them apart.")
    for config, run in zip(configs, runs, strict=True):
        device_of(config)
        run.claim(config)
        if run.complete and run.checkpoint.exists():  # of a process that was killed between the two
            with writing(run.path):
                run.checkpoint.unlink()
    started = time.perf_counter()
    unfinished = [(config, run) for config, run in zip(configs, runs, strict=True) if not run.complete]
    if not unfinished:
        return
    (_, threads, precision), errors = shared.pop(), []
    with Deferred() as deferred, ExitStack() as locks, reproducible(threads, precision == "tf32"):
        for _, run in unfinished:
            locks.enter_context(only_one(run.path / ".lock"))
            if run.complete:
                raise Refusal(f"{run.path} was completed by another process just now; run the same command again.")
        data = data.to(device_of(unfinished[0][0]))
        trainings = [Training(config, run, data, len(unfinished)) for config, run in unfinished]
        lockstep = None
        with Progress(
            total=sum(config.steps for config, _ in unfinished), initial=sum(each.engine.step for each in trainings),
            desc=", ".join(run.name for _, run in unfinished), unit="step", disable=not progress,
            mininterval=2, dynamic_ncols=True, lines=LINES,
        ) as bar:  # fmt: skip
            while trainings:
                if deferred.pending or time.perf_counter() - started >= time_limit:
                    for each in trainings:
                        each.checkpoint()
                    break
                step = min(each.engine.step for each in trainings)
                level = [each for each in trainings if each.engine.step == step]  # the others have resumed further on
                engines = [each.engine for each in level]
                if lockstep is None or lockstep.engines != engines:
                    lockstep = Lockstep(engines)
                steps = min(stop for each in trainings for stop in each.stops() if stop > step) - step
                began = time.perf_counter()
                traces = [trace.cpu().numpy() for trace in lockstep.run(steps)]
                seconds = time.perf_counter() - began
                for each, values in zip(level, traces, strict=True):
                    try:
                        each.record(values, seconds)
                    except FloatingPointError as error:
                        errors.append(each.diverged(error))
                        trainings.remove(each)
                    if observer is not None:
                        observer(each.run, each.trace)
                bar.set_postfix_str(level[0].progress_line(), refresh=False)
                bar.update(steps * len(level))
                trainings = [each for each in trainings if each.engine.step < each.config.steps]
    if errors:
        raise errors[0]


class Training:
    """A run in training: its engine, its trace, and what is written when."""

    def __init__(self, config: TrainingConfig, run: Run, data: Dataset, together: int = 1) -> None:
        """From the run's checkpoint, where there is one; `together`: runs that train side by side in this process."""
        self.config, self.run, self.data, self.together = config, run, data, together
        self.drawn = recorded(config, run)
        advances = None if self.drawn is None else advances_of(config.seed, config.steps, self.drawn)
        self.engine, self.seconds = engine_of(config, data, advances), 0.0
        self.trace = Trace(config, self.engine.columns)
        run.failure.unlink(missing_ok=True)  # of an earlier try
        self.snapshots = snapshot_steps(config)
        self.origin = provenance(self.engine.device)  # now: the code may change while this trains
        self.earlier: list[dict[str, Any]] = []  # segments of the processes before this one
        if run.checkpoint.exists():
            state = run.load_checkpoint()
            with reading(run.checkpoint, CHECKPOINT_REMEDY):
                of = state.get("of", self._origin())
                if of | {"config": config.completed(of["config"])} != self._origin():
                    raise ValueError("it belongs to other settings or other data")
                self.engine.load_state_dict(state["engine"])
                self.trace.load_state_dict(state["trace"])
                self.seconds = state["seconds"]
                self.earlier = segments_of(state)
        self.segment = self.origin | {
            "first_step": self.engine.step + 1,
            "threads": config.threads,
            "precision": config.precision,
            "products": products(config.precision, self.engine.device),
            "trained_together": together,
            "seconds": 0.0,
        }
        self.checkpointed = time.perf_counter()

    def stops(self) -> tuple[int, ...]:
        """Steps at which training pauses; those ahead of the others wait at their own step."""
        look = LOOK[self.engine.device.type]
        return self.engine.step, self.engine.step // look * look + look, self.config.steps, *self.snapshots

    def record(self, values: np.ndarray, seconds: float) -> None:
        """Note the next steps' trace [steps, columns], which took `seconds`, and write what is due.

        Raises FloatingPointError where the training has diverged.
        """
        self.trace.add(values, self.engine.broken_gradient)
        self.seconds += seconds
        self.segment["seconds"] += seconds
        config, step = self.config, self.engine.step
        if step in self.snapshots:
            self.run.save_weights(self.engine.model, step, self.origin["commit"])
        if step == config.steps:
            self._finish()
        elif step % config.checkpoint_every < len(values) and time.perf_counter() - self.checkpointed >= LEAST_SECONDS:
            self.checkpoint()

    def segments(self) -> list[dict[str, Any]]:
        """One per process that made a step of this run: its steps, code, versions, hardware, arithmetic and seconds."""
        own = self.segment | {"last_step": self.engine.step}
        return [*self.earlier, *([own] if own["last_step"] >= own["first_step"] else [])]

    def checkpoint(self) -> None:
        state = {
            "of": self._origin(),
            "engine": self.engine.state_dict(),
            "trace": self.trace.state_dict(),
            "seconds": self.seconds,
            "segments": self.segments(),
        }
        self.run.save_checkpoint(state)
        self.checkpointed = time.perf_counter()

    def diverged(self, error: FloatingPointError) -> Divergence:
        """The error with the run's name, and what is left of it; noted in the run's directory, too."""
        kept = "its last checkpoint is kept" if self.run.checkpoint.exists() else "it had no checkpoint yet"
        divergence = Divergence(f"{self.run.name}: {str(error).rstrip('.')} ({kept}).")
        write_json(self.run.failure, {"error": str(divergence)})
        return divergence

    def progress_line(self) -> str:
        if not len(self.trace.rows[-1]):
            return ""
        values = dict(zip(["step", *self.trace.columns], self.trace.rows[-1][-1], strict=False))
        shown = {"loss": "reconstruction", "KL": "kl", "beta": "beta", "C": "capacity"}
        return ", ".join(f"{label} {values[name]:.2f}" for label, name in shown.items() if name in values)

    def _origin(self) -> dict[str, Any]:
        """What a checkpoint belongs to: it continues nothing else."""
        return {"config": self.config.as_mapping(), **self._taken()}

    def _taken(self) -> dict[str, Any]:
        """The data, and what another run gave."""
        return {"data_sha256": self.data.sha256} | ({} if self.drawn is None else self.drawn.origin)

    def _finish(self) -> None:
        run, trace, config = self.run, self.trace, self.config
        write_trace(run.path / "trace.h5", trace.frame(), np.concatenate(trace.advanced), config.as_mapping())
        run.save_weights(self.engine.model, commit=self.origin["commit"])
        cost = {"seconds": self.seconds, "steps_per_second": config.steps / self.seconds}
        made = {"data_source": self.data.source, **cost, "trained_together": self.together}
        content = {
            "provenance": self.origin | self._taken() | made,
            "segments": self.segments(),
            "summary": trace.summary(),
            "files": run.hashes(),
        }
        write_sealed(run.path / "run.json", content)
        run.checkpoint.unlink(missing_ok=True)
