"""Which runs of a profile stand, train, have stopped or failed, and the training time left.

    python -m lib.runs.status laptop

Only files are read, so that it may be asked at any time and on any machine that sees them. A run trains while its
files are young: younger than twice what it takes to the next checkpoint, and a minute.
"""

import sys
import time
from dataclasses import dataclass

from lib.arms import ARMS
from lib.files import read_json, reading
from lib.refusal import Parser
from lib.runs.profiles import load_profile
from lib.runs.run import CHECKPOINT_REMEDY, Run
from lib.runs.settings import TrainingConfig

STARTING = 300.0  # seconds after which a run without any step counts as stopped
SLACK = 60.0  # seconds that a sign of life may be late


def measured_files(arm: str) -> tuple[str, ...]:
    """What the training notebooks measure on a run of the arm."""
    return "evaluation.json", "snapshots.csv", "scores.json", *(("samples.json",) if ARMS[arm].sampler else ())


@dataclass(frozen=True)
class Status:
    """One run: its state, in a word; the last step known to be done; and seconds."""

    run: Run
    steps: int  # of the whole training
    state: str  # waiting, starting, training, stopped, failed, refused, complete or measured
    step: int  # training steps that files prove
    seconds: float | None  # of training up to that step; None where no checkpoint tells
    left: float | None  # expected seconds of training; None where the speed is not known yet
    note: str = ""  # why it failed or is refused


def status_of(run: Run, config: TrainingConfig, now: float) -> Status:
    """The run's status at the time `now`, in seconds since 1970, given what the profile wants of it."""
    if not (run.path / "config.json").exists():
        return Status(run, config.steps, "waiting", 0, None, None)
    if config.completed(read_json(run.path / "config.json")) != config.as_mapping():
        return Status(run, config.steps, "refused", 0, None, None, "trained with other settings; remove its directory")
    if run.complete:
        state = "measured" if all((run.path / name).exists() for name in measured_files(config.arm)) else "complete"
        with reading(run.path / "run.json"):
            seconds = float(run.record()["provenance"]["seconds"])
        return Status(run, config.steps, state, config.steps, seconds, 0.0)

    signs = [run.path / "config.json", *run.snapshots().values()]
    step, seconds = max(run.snapshots(), default=0), None
    if run.checkpoint.exists():
        checkpoint = run.load_checkpoint()
        signs.append(run.checkpoint)
        with reading(run.checkpoint, CHECKPOINT_REMEDY):
            step, seconds = int(checkpoint["engine"]["step"]), float(checkpoint["seconds"])
    age = now - max(path.stat().st_mtime for path in signs)
    per_step = seconds / step if seconds and step else None
    left = None if per_step is None else per_step * (config.steps - step)
    if run.failure.exists():
        return Status(run, config.steps, "failed", step, seconds, left, read_json(run.failure, ("error",))["error"])
    patience = STARTING if per_step is None else 2 * per_step * config.checkpoint_every + SLACK
    if age >= patience:
        return Status(run, config.steps, "stopped", step, seconds, left)
    return Status(run, config.steps, "training" if step else "starting", step, seconds, left and max(0.0, left - age))


def described(statuses: list[Status]) -> list[str]:
    """Lines to print: one per run, and one with the training time left in all."""
    width = max(len(status.run.name) for status in statuses)
    lines = [f"{status.run.name:{width}}  {_sentence(status)}" for status in statuses]
    unfinished = [status for status in statuses if status.state not in ("complete", "measured", "refused")]
    rates = [status.seconds / status.step for status in statuses if status.seconds and status.step]
    if unfinished and rates:
        usual = sum(rates) / len(rates)  # seconds of a step, for those that have not begun
        left = sum(
            usual * (status.steps - status.step) if status.left is None else status.left for status in unfinished
        )
        at_once = max(1, sum(status.state == "training" for status in unfinished))
        lines.append(f"Training left: about {_time(left / at_once)}, {at_once} at a time; then the measuring.")
    return lines


def _sentence(status: Status) -> str:
    reached = f"step {status.step:,} of {status.steps:,} ({status.step / status.steps:.0%})"
    left = "" if status.left is None else f", about {_time(status.left)} left"
    again = "the same command continues it"
    return {
        "waiting": "waiting",
        "starting": "starting",
        "training": f"training: {reached}{left}",
        "stopped": f"stopped at {reached}{left}; {again}",
        "failed": f"failed after {reached}: {status.note}",
        "refused": f"refused: {status.note}",
        "complete": f"complete, not measured yet; {_time(status.seconds or 0)} of training",
        "measured": f"complete and measured; {_time(status.seconds or 0)} of training",
    }[status.state]


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 90 * 60 else f"{seconds / 3600:.1f} hours"


def main() -> None:
    parser = Parser(prog="python -m lib.runs.status", description="How far a profile's runs are.")
    parser.add_argument("profile")
    try:
        profile = load_profile(parser.parse_args().profile)
        now, configs = time.time(), [profile.training_config(arm, seed) for arm, seed in profile.planned()]
        statuses = [status_of(profile.run(config), config, now) for config in configs]
        lines = described(statuses)
    except ValueError as error:
        sys.exit(str(error))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
