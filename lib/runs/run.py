"""A run is a directory: what lies in it, and how it is written so that nothing is ever half there.

config.json           the TrainingConfig
checkpoint.pt         state of an unfinished run; gone once the run is complete
failed.json           why a training diverged; gone once it is tried again
snapshots/step_*.safetensors   weights at log-spaced steps
trace.h5              one row every `trace_every` steps, see `read_trace`
weights.safetensors   the final weights
run.json              provenance and summary; written last: where it stands, the run is complete
posterior.h5, evaluation.json  what lib/evaluation/evaluate.py measured
snapshots.csv, snapshots.json  what lib/evaluation/snapshots.py measured on the snapshots, and with which settings
scores.json           what lib/evaluation/scores.py measured: DCI, SAP, FactorVAE
trace.csv.gz, advanced.h5   of a published run, instead of trace.h5: the thinned trace, whether C changed at each step
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lib.files import read_json, write_atomically, write_json
from lib.model import PLAIN, VAE, Layers
from lib.objectives import COLUMNS
from lib.runs.settings import TrainingConfig


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
    def checkpoint(self) -> Path:
        return self.path / "checkpoint.pt"

    @property
    def failure(self) -> Path:
        return self.path / "failed.json"

    def config(self) -> TrainingConfig:
        return TrainingConfig.from_mapping(read_json(self.path / "config.json"))

    def record(self) -> dict[str, Any]:
        """run.json: {"provenance": ..., "segments": ..., "summary": ...} of a complete run."""
        return read_json(self.path / "run.json")

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
        held, wanted = read_json(path), config.as_mapping()
        if held != wanted:
            differences = [
                f"{name} {held.get(name)!r} instead of {wanted.get(name)!r}"
                for name in dict.fromkeys([*wanted, *held])
                if held.get(name) != wanted.get(name)
            ]
            raise ValueError(
                f"{self.path} holds a run with {', '.join(differences)}; remove that directory or train elsewhere."
            )

    def save_weights(self, model: VAE, step: int | None = None, commit: str | None = None) -> None:
        """The final weights, or with `step` a snapshot's; `commit` is that of the code that trained them."""
        path = self.path / ("weights.safetensors" if step is None else f"snapshots/step_{step:07d}.safetensors")
        weights = {name: value.detach().contiguous() for name, value in model.state_dict().items()}
        config = self.config().as_mapping()
        origin = {"config": config, "step": config["steps"] if step is None else step, "commit": commit}
        # One entry: safetensors writes several in an order that changes from process to process.
        write_atomically(path, lambda temporary: save_file(weights, temporary, metadata={"origin": json.dumps(origin)}))

    def snapshots(self) -> dict[int, Path]:
        """Step -> weight file, in order of steps."""
        return {int(path.stem[5:]): path for path in sorted((self.path / "snapshots").glob("step_*.safetensors"))}

    def trace(self) -> pd.DataFrame:
        """The trace, of a published run the thinned one; see `read_trace`."""
        own = self.path / "trace.h5"
        return read_trace(own if own.exists() else self.path / "trace.csv.gz")

    def advanced(self) -> np.ndarray | None:
        """Whether C changed at each step, see `read_advanced`; None where that was not published."""
        there = [path for path in (self.path / "trace.h5", self.path / "advanced.h5") if path.exists()]
        return read_advanced(there[0]) if there else None

    def load_model(self, weights: Path | None = None, layers: Layers = PLAIN) -> VAE:
        """The network with its final weights, or with those of a snapshot file; in evaluation mode, on the CPU.

        `Run("results/published/hour/adaptive-seed1").load_model()` gives a published one.
        """
        config = self.config()
        model = VAE(config.architecture, config.latents, layers)
        model.load_state_dict(load_file(weights or self.path / "weights.safetensors"))
        return model.eval()


def weights_origin(path: Path) -> dict[str, Any]:
    """What a weights file says of itself: {"config", "step", "commit"}; empty for the first files, which do not."""
    with safe_open(path, "pt") as file:
        return json.loads((file.metadata() or {}).get("origin", "{}"))


def write_trace(path: Path, trace: pd.DataFrame, advanced: np.ndarray, attributes: dict[str, Any]) -> None:
    """The trace's columns as HDF5 data sets, and `advanced` (bool [steps]) as packed bits, unless it is empty."""

    def write(temporary: Path) -> None:
        with h5py.File(temporary, "w") as file:
            file.attrs.update(attributes)
            columns = file.create_group("columns", track_order=True)
            for name in trace.columns:
                columns.create_dataset(name, data=trace[name].to_numpy(), compression="gzip", shuffle=True)
            if len(advanced):
                bits = file.create_dataset("advanced_bits", data=np.packbits(advanced), compression="gzip")
                bits.attrs["steps"] = len(advanced)

    write_atomically(path, write)


def read_trace(path: Path) -> pd.DataFrame:
    """The trace of a run from trace.h5, one row every `trace_every` steps, or from a published, thinned trace.csv.gz.

    Every column is explained in results/README.md. Those that the run's objective does not fill are missing values, in
    every row.
    """
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            trace = pd.DataFrame({name: values[...] for name, values in file["columns"].items()})
    else:
        trace = pd.read_csv(path)
    wanted = [f"{name}{suffix}" for suffix in ("", "_mean") for name in COLUMNS]
    return trace.reindex(columns=[*trace.columns, *(name for name in wanted if name not in trace.columns)])


def read_advanced(path: Path) -> np.ndarray:
    """Whether C changed at each step, bool [steps], or [0] where there is no C; `lib.schedules.replay` gives C(t)."""
    with h5py.File(path) as file:
        if "advanced_bits" not in file:
            return np.empty(0, dtype=bool)
        bits = file["advanced_bits"]
        return np.unpackbits(bits[...], count=bits.attrs["steps"]).astype(bool)
