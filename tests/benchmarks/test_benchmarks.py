"""The smaller benchmarks: what they compare and how they count. (What they measure is in results/benchmarks.)"""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

from lib.benchmarks import cuda as benchmark_cuda
from lib.benchmarks import floor
from lib.benchmarks.encoding import measure
from lib.benchmarks.precision import COLUMNS, configurations, summarise, trace_of
from lib.files import read_json
from lib.model import VAE
from lib.training.engine import trace_columns
from lib.training.plain import reference_loop


def test_precisions_are_compared_from_one_seed_and_seeds_in_one_precision():
    cpu = configurations(torch.device("cpu"))
    assert list(cpu) == ["float32", "bfloat16", "float32, seed 2"]
    assert list(configurations(torch.device("cuda"))) == ["float32", "tf32", "bfloat16", "float32, seed 2"]
    different = [
        {name for name, value in other.as_mapping().items() if value != getattr(cpu["float32"], name)}
        for other in list(cpu.values())[1:]
    ]
    assert different == [{"precision"}, {"seed"}]


def test_trace_of_is_the_trainings_trace(tiny_config, few_images):
    config = tiny_config("linear")
    trace = trace_of(config, few_images, 5)
    expected = reference_loop(config, few_images.packed.numpy())(5)
    assert np.allclose(trace[:, :2], expected[:, :2], rtol=1e-4)


def test_differences_are_those_of_window_means_and_of_decisions():
    columns = trace_columns(2)
    first = np.zeros((8, len(columns)))
    other = first.copy()
    other[:, columns.index("kl")] = [1, -1, 1, -1, 2, 2, 2, 2]  # window means 0, 0, 2, 2
    other[5, columns.index("advanced")] = 1
    table, differences = summarise({"float32": first, "bfloat16": other, "same": first}, columns, 2)
    assert differences["bfloat16"] == {
        "first_other_decision": 6,
        "reconstruction": 0,
        "kl": 1,
        "beta": 0,
        "capacity": 0,
    }
    assert differences["same"]["first_other_decision"] is None
    assert table[table["training"] == "bfloat16"]["step"].tolist() == [2, 4, 6, 8]
    assert table[table["training"] == "bfloat16"]["kl"].tolist() == [0, 0, 2, 2]
    assert list(table) == ["training", "step", *COLUMNS]


def test_encoding_is_timed_for_every_case(few_images):
    table = measure({"own": VAE("conv", 10)}, few_images, (100, 1_000), 1)
    assert table[["layers", "batch"]].values.tolist() == [["own", 100], ["own", 1_000]]
    assert (table["images_per_second"] > 0).all()


def test_cuda_benchmark_runs_on_a_cpu_too(tiny_config, few_images, monkeypatch, tmp_path):
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))  # needs no C++ compiler
    monkeypatch.setattr(benchmark_cuda, "TOGETHER", (1, 2))
    monkeypatch.setitem(floor.PRODUCT, "cpu", 64)
    benchmark_cuda.benchmark(tiny_config(batch_size=4), few_images, 2, 1, tmp_path)
    table, record = pd.read_csv(tmp_path / "cuda.csv"), read_json(tmp_path / "cuda.json")
    assert table.groupby(["precision", "loop"]).size().to_dict() == {
        (precision, loop): n
        for precision in ("float32", "bfloat16")
        for loop, n in (("reference", 1), ("engine", 4), ("compiled", 2))
    }
    assert record["failed"] == {}
    rate = (table["steps_per_second"] * table["ms_per_step"] / 1e3).tolist()
    assert rate == pytest.approx(table["runs"].tolist(), rel=1e-2)
    assert (table.loc[table["loop"] == "reference", "ratio_to_reference"] == 1).all()
    assert set(record["floor"]) == set(record["gradients_ms"]) == {"float32", "bfloat16"}
    ways = ["branches", "branches, compiled", "stacked", "products", "products, compiled"]
    assert list(record["gradients_ms"]["bfloat16"]) == ways
    floors = [
        max(floor[f"ms_by_{what}"] for what in ("operations", "bytes", "launches"))
        for floor in record["floor"].values()
    ]
    single = table[(table["loop"] == "reference")]
    assert single["times_floor"].tolist() == pytest.approx((single["ms_per_step"] / floors).tolist(), rel=1e-2)


def test_cuda_benchmark_outlives_a_compiler_that_fails(tiny_config, few_images, monkeypatch, tmp_path):
    def fail(function, **settings):
        def broken(*arguments):
            raise RuntimeError("no compiler")

        return broken

    monkeypatch.setattr(torch, "compile", fail)
    monkeypatch.setattr(benchmark_cuda, "TOGETHER", (1,))
    monkeypatch.setitem(floor.PRODUCT, "cpu", 64)
    benchmark_cuda.benchmark(tiny_config(batch_size=4), few_images, 2, 1, tmp_path)
    record = read_json(tmp_path / "cuda.json")
    assert set(pd.read_csv(tmp_path / "cuda.csv")["loop"]) == {"reference", "engine"}
    assert list(record["gradients_ms"]["float32"]) == ["branches", "stacked", "products"]
    failed = ("compiled", "branches, compiled", "products, compiled")
    assert record["failed"] == {
        f"{precision}, {name}": "no compiler" for precision in ("float32", "bfloat16") for name in failed
    }
