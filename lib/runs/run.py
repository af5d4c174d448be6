"""A run is a directory: what lies in it, and how it is written so that nothing is ever half there.

config.json           the TrainingConfig
checkpoint.pt         state of an unfinished run; gone once the run is complete
failed.json           why a training diverged; gone once it is tried again
snapshots/step_*.safetensors   weights on the way
trace.h5              one row every `trace_every` steps, see lib/runs/trace_file.py
weights.safetensors   the final weights
run.json              provenance and summary; written last: where it stands, the run is complete
posterior.h5, evaluation.json  what lib/evaluation/evaluate.py measured
snapshots.csv, snapshots.json  what lib/evaluation/snapshots.py measured on the snapshots, and with which settings
scores.json           what lib/evaluation/scores.py measured: DCI, SAP, FactorVAE
traversals.png, samples.png  what its latents draw, and a sampler, in 16 greys (lib/report/kept_pictures.py)
samples.json          of an arm that is trained as a sampler: what lib/evaluation/samples.py measured
trace.csv.gz, advanced.h5   of a published run, instead of trace.h5: the thinned trace, whether C changed at each step
"""

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save

from lib.files import read_json, reading, sha256, write_bytes, write_json
from lib.model import PLAIN, VAE, Layers
from lib.refusal import Refusal
from lib.runs.settings import TrainingConfig
from lib.runs.trace_file import read_advanced, read_trace

CHECKPOINT_REMEDY = "delete it, and the run trains again from its first step"


@dataclass(frozen=True)
class Run:
    """A run directory, by its path (a string will do)."""

    path: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))  # the way to normalise a field of a frozen dataclass

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def complete(self) -> bool:
        return (self.path / "run.json").exists()

    @property
    def is_published(self) -> bool:
        """Whether these are a run's published files, or a copy of them: enough to be shown, not to be measured anew."""
        return (self.path / "trace.csv.gz").exists()

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint.pt"

    @property
    def failure(self) -> Path:
        return self.path / "failed.json"

    def config(self) -> TrainingConfig:
        """The run's settings; raises Refusal where config.json is damaged, as the readers below do for their files."""
        path = self.checked("config.json")
        values = read_json(path)
        with reading(path):
            return TrainingConfig.from_mapping(values)

    def record(self) -> dict[str, Any]:
        """run.json of a complete run: provenance, segments, summary, files; the first published ones lack two."""
        path = self.path / "run.json"
        record = read_json(path, ("provenance", "summary"))
        with reading(path):
            if not all(isinstance(record.get(name, {}), dict) for name in ("provenance", "summary", "files")):
                raise ValueError("its entries are not those of a run")
        return record

    @property
    def weights_sha256(self) -> str | None:
        """Of the final weights, as run.json states it; None of an unfinished run, and where an older one has none."""
        return self.record().get("files", {}).get("weights.safetensors") if self.complete else None

    def hashes(self) -> dict[str, str]:
        """SHA-256 of what the training wrote, by the file's path in the directory: `files` of run.json."""
        names = ("config.json", "trace.h5", "weights.safetensors")
        paths = [*(self.path / name for name in names), *self.snapshots().values()]
        return {path.relative_to(self.path).as_posix(): sha256(path) for path in paths}

    def checked(self, name: str) -> Path:
        """The path of one of the run's files; raises Refusal if its bytes are not those that run.json states.

        To be called before a parser opens the file. An unfinished run, and one without `files`, states nothing.
        """
        path = self.path / name
        stated = self.record().get("files", {}).get(name) if self.complete else None
        if stated is not None and path.exists() and sha256(path) != stated:
            raise Refusal(
                f"{path} is not the file that the training wrote (run.json states another SHA-256); restore it, or "
                f"remove {self.path} and train again."
            )
        return path

    def segments(self) -> list[dict[str, Any]]:
        """One per process that trained the complete run, in order; what is not known of one is missing there.

        Keys: first_step, last_step, seconds, threads, precision, products (what multiplied), trained_together, and
        those of `lib.runs.provenance.provenance`: commit, dirty, versions, hardware.
        """
        record = self.record()
        whole = record["provenance"] | {"first_step": 1, "last_step": record["summary"]["steps"]}
        return record.get("segments", [whole])  # the first published runs have none

    def claim(self, config: TrainingConfig) -> None:
        """Make the directory this configuration's; raises ValueError where it holds another one's run."""
        path = self.path / "config.json"
        if not path.exists():
            write_json(path, config.as_mapping())
            return
        held, wanted = config.completed(read_json(self.checked("config.json"))), config.as_mapping()
        if held != wanted:
            differences = [
                f"{name} {held.get(name)!r} instead of {wanted.get(name)!r}"
                for name in dict.fromkeys([*wanted, *held])
                if held.get(name) != wanted.get(name)
            ]
            raise Refusal(
                f"{self.path} holds a run with {', '.join(differences)}; remove that directory or train elsewhere."
            )

    def save_weights(self, model: VAE, step: int | None = None, commit: str | None = None) -> None:
        """The final weights, or with `step` a snapshot's; `commit` is that of the code that trained them."""
        path = self.path / ("weights.safetensors" if step is None else f"snapshots/step_{step:07d}.safetensors")
        weights = {name: value.detach().contiguous() for name, value in model.state_dict().items()}
        config = self.config().as_mapping()
        origin = {"config": config, "step": config["steps"] if step is None else step, "commit": commit}
        # One entry: safetensors writes several in an order that changes from process to process.
        write_bytes(path, save(weights, {"origin": json.dumps(origin)}))

    def snapshots(self) -> dict[int, Path]:
        """Step -> weight file, in order of steps."""
        return {int(path.stem[5:]): path for path in sorted((self.path / "snapshots").glob("step_*.safetensors"))}

    def trace(self) -> pd.DataFrame:
        """The trace, of a published run the thinned one; see `lib.runs.trace_file.read_trace`."""
        thinned = self.is_published and not (self.path / "trace.h5").exists()
        return read_trace(self.checked("trace.csv.gz" if thinned else "trace.h5"))

    def advanced(self) -> np.ndarray | None:
        """Whether C changed at each step (`lib.runs.trace_file.read_advanced`); None where that was not published."""
        there = [name for name in ("trace.h5", "advanced.h5") if (self.path / name).exists()]
        return read_advanced(self.checked(there[0])) if there else None

    def load_model(self, weights: Path | None = None, layers: Layers = PLAIN) -> VAE:
        """The network with its final weights, or with those of a snapshot file; in evaluation mode, on the CPU.

        `Run("results/published/paper/adaptive-seed1").load_model()` gives a published one.
        """
        config = self.config()
        model = VAE(config.architecture, config.latents, layers)
        name = "weights.safetensors" if weights is None else weights.relative_to(self.path).as_posix()
        path = self.checked(name)
        with reading(path):
            model.load_state_dict(load_file(path))
        return model.eval()

    def save_checkpoint(self, state: dict[str, Any]) -> None:
        content = io.BytesIO()  # so that an error of the disk is one, and not one of the library's own kinds
        torch.save(state, content)
        write_bytes(self.checkpoint, content.getvalue())

    def load_checkpoint(self) -> dict[str, Any]:
        """What `save_checkpoint` wrote, on the CPU; raises Refusal where the file is damaged."""
        with reading(self.checkpoint, CHECKPOINT_REMEDY), zipfile.ZipFile(self.checkpoint) as archive:
            damaged = archive.testzip()  # the sums of its parts, which torch.load does not look at
            if damaged is not None:
                raise ValueError(f"its part {damaged} has another checksum than it states")
            return torch.load(self.checkpoint, map_location="cpu", weights_only=True)


def segments_of(checkpoint: dict[str, Any]) -> list[dict[str, Any]]:
    """The segments with steps that a checkpoint tells of; those of the first runs tell only of their length, as one."""
    whole = {"first_step": 1, "last_step": checkpoint["engine"]["step"], "seconds": checkpoint["seconds"]}
    return [each for each in checkpoint.get("segments", [whole]) if each["last_step"] >= each["first_step"]]


def weights_origin(path: Path) -> dict[str, Any]:
    """What a weights file says of itself: {"config", "step", "commit"}; empty for the first files, which do not."""
    with reading(path), safe_open(path, "pt") as file:
        return json.loads((file.metadata() or {}).get("origin", "{}"))
