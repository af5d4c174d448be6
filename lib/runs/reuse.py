"""A training is done once: profiles that share a configuration share its complete run."""

from typing import Any

from lib.files import read_json, write_bytes
from lib.locks import only_one
from lib.refusal import Refusal
from lib.runs.recorded import recorded
from lib.runs.run import Run
from lib.runs.settings import TrainingConfig

# What was measured on a run. Each record names its settings, so that a profile that measures otherwise does so itself.
MEASURES = ("posterior.h5", "evaluation.json", "scores.json", "snapshots.csv", "snapshots.json", "samples.json")


def take_over(config: TrainingConfig, run: Run, data_sha256: str) -> None:
    """Copy a complete run of the same configuration and data from any profile into `run`'s directory, and say so.

    Nothing happens where there is none, and where `run` is complete or has a checkpoint to continue from. The other run
    is only read. Raises ValueError where `run`'s directory holds another configuration's run or another process trains
    it, as the training would.
    """
    if run.complete or run.checkpoint.exists():
        return
    others = sorted(path.parent for path in run.path.parent.parent.glob("*/*/run.json"))
    drawn = recorded(config, run)
    origin = {"data_sha256": data_sha256} | ({} if drawn is None else drawn.origin)
    source = next((Run(path) for path in others if _is_whole(Run(path), config, origin)), None)
    if source is None:
        return
    run.claim(config)
    with only_one(run.path / ".lock"):
        if run.complete or run.checkpoint.exists():  # another process was faster
            return
        trained = [name for name in source.hashes() if name != "config.json"]
        measured = [name for name in MEASURES if (source.path / name).exists()]
        for name in (*trained, *measured, "run.json"):  # in the order of a training: where run.json stands, all does
            write_bytes(run.path / name, (source.path / name).read_bytes())
        run.failure.unlink(missing_ok=True)  # of an earlier try
    print(f"{run.name} is a copy of {source.path.parent.name}/{source.name}, which was trained with the same settings.")


def _is_whole(run: Run, config: TrainingConfig, origin: dict[str, Any]) -> bool:
    """Whether the run was trained with `config` from this origin, and has every file as the training wrote it."""
    try:
        record = run.record()
        return (
            config.completed(read_json(run.path / "config.json")) == config.as_mapping()
            and all(record["provenance"].get(name) == value for name, value in origin.items())
            and record.get("files") == run.hashes()
        )
    except (Refusal, OSError):  # a damaged run of another profile is no reason not to train this one
        return False
