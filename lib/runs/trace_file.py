"""The file of a run's trace: trace.h5, and what a published run has in its place.

trace.h5 holds one row every `trace_every` steps and, as one bit of every step, whether C changed. A published run has
the rows, thinned, in trace.csv.gz and the bits in advanced.h5. The readers do not ask whether the file is that of
run.json: `lib.runs.run.Run.trace` and `advanced` do.
"""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from lib.files import check_sizes, reading, write_hdf5
from lib.objectives import COLUMNS


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
    """The trace of a run from trace.h5, one row every `trace_every` steps, or from a published, thinned trace.csv.gz.

    Every column is explained in results/README.md. Those that the run's objective does not fill are missing values, in
    every row.
    """
    with reading(path):
        if path.suffix == ".h5":
            with h5py.File(path) as file:
                check_sizes(path, file["columns"].values())
                trace = pd.DataFrame({name: values[...] for name, values in file["columns"].items()})
        else:
            trace = pd.read_csv(path)
        if "step" not in trace or any(values.dtype.kind not in "bif" for _, values in trace.items()):
            raise ValueError("its columns are not those of a trace")
    return with_all_columns(trace)


def with_all_columns(trace: pd.DataFrame) -> pd.DataFrame:
    """The trace with the columns that its run's objective does not fill, of missing values."""
    wanted = [f"{name}{suffix}" for suffix in ("", "_mean") for name in COLUMNS]
    return trace.reindex(columns=[*trace.columns, *(name for name in wanted if name not in trace.columns)])


def read_advanced(path: Path) -> np.ndarray:
    """Whether C changed at each step, bool [steps], or [0] where there is no C; `curve` of its schedule gives C(t)."""
    with reading(path), h5py.File(path) as file:
        if "advanced_bits" not in file:
            return np.empty(0, dtype=bool)
        bits = file["advanced_bits"]
        check_sizes(path, [bits])
        if not 0 < bits.attrs["steps"] <= 8 * len(bits):
            raise ValueError("it states more steps than it has bits")
        return np.unpackbits(bits[...], count=bits.attrs["steps"]).astype(bool)
