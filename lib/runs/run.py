"""A run is a directory: what lies in it, and how it is written so that nothing is ever half there.

config.json           the TrainingConfig
checkpoint.pt         state of an unfinished run; gone once the run is complete
snapshots/step_*.safetensors   weights at log-spaced steps
trace.h5              one row every `trace_every` steps, see `read_trace`
weights.safetensors   the final weights
run.json              provenance and summary; written last: where it stands, the run is complete
posterior.h5, evaluation.json  what lib/evaluation/evaluate.py measured
snapshots.csv, snapshots.json  what lib/evaluation/snapshots.py measured on the snapshots, and with which settings
scores.json           what lib/evaluation/scores.py measured: DCI, SAP, FactorVAE
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from safetensors.torch import load_file, save

from lib.files import read_json, write_bytes, write_hdf5, write_json
from lib.model import PLAIN, VAE, Layers
from lib.objectives import COLUMNS
from lib.runs.settings import TrainingConfig


@dataclass(frozen=True)
class Run:
    """A run directory, by its path."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def complete(self) -> bool:
        return (self.path / "run.json").exists()

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint.pt"

    def config(self) -> TrainingConfig:
        return TrainingConfig.from_mapping(read_json(self.path / "config.json"))

    def record(self) -> dict[str, Any]:
        """run.json: {"provenance": ..., "summary": ...} of a complete run."""
        return read_json(self.path / "run.json")

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

    def save_weights(self, model: VAE, step: int | None = None) -> None:
        """The final weights, or with `step` a snapshot's."""
        path = self.path / ("weights.safetensors" if step is None else f"snapshots/step_{step:07d}.safetensors")
        weights = {name: value.detach().contiguous() for name, value in model.state_dict().items()}
        write_bytes(path, save(weights))

    def snapshots(self) -> dict[int, Path]:
        """Step -> weight file, in order of steps."""
        return {int(path.stem[5:]): path for path in sorted((self.path / "snapshots").glob("step_*.safetensors"))}

    def load_model(self, weights: Path | None = None, layers: Layers = PLAIN) -> VAE:
        """The network with its final weights, or with those of a snapshot file; in evaluation mode, on the CPU."""
        config = self.config()
        model = VAE(config.architecture, config.latents, layers)
        model.load_state_dict(load_file(weights or self.path / "weights.safetensors"))
        return model.eval()


def write_trace(path: Path, trace: pd.DataFrame, advanced: np.ndarray, attributes: dict[str, Any]) -> None:
    """The trace's columns as HDF5 data sets, and `advanced` (bool [steps]) as packed bits, unless it is empty."""

    def fill(file: h5py.File) -> None:
        file.attrs.update(attributes)
        columns = file.create_group("columns", track_order=True)
        for name in trace.columns:
            columns.create_dataset(name, data=trace[name].to_numpy(), compression="gzip", shuffle=True)
        if len(advanced):
            bits = file.create_dataset("advanced_bits", data=np.packbits(advanced), compression="gzip")
            bits.attrs["steps"] = len(advanced)

    write_hdf5(path, fill)


def read_trace(path: Path) -> pd.DataFrame:
    """The trace of a run, one row every `trace_every` steps; every column is explained in results/README.md.

    Columns that the run's objective does not fill are missing values, in every row.
    """
    with h5py.File(path) as file:
        trace = pd.DataFrame({name: values[...] for name, values in file["columns"].items()})
    wanted = [f"{name}{suffix}" for suffix in ("", "_mean") for name in COLUMNS]
    return trace.reindex(columns=[*trace.columns, *(name for name in wanted if name not in trace.columns)])


def read_advanced(path: Path) -> np.ndarray:
    """Whether C changed at each step, bool [steps], or [0] where there is no C; `lib.schedules.replay` gives C(t)."""
    with h5py.File(path) as file:
        if "advanced_bits" not in file:
            return np.empty(0, dtype=bool)
        bits = file["advanced_bits"]
        return np.unpackbits(bits[...], count=bits.attrs["steps"]).astype(bool)
