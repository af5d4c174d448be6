"""The training benchmark in miniature, on a CPU; tests/training/test_cuda.py runs it on a GPU."""

import pandas as pd
import pytest

from lib.benchmarks import floor, training
from lib.files import read_json


def test_every_loop_is_timed_on_a_cpu(tiny_config, few_images, monkeypatch, tmp_path):
    monkeypatch.setitem(training.TOGETHER, "cpu", (1, 2))
    monkeypatch.setitem(floor.PRODUCT, "cpu", 64)
    training.benchmark(tiny_config(batch_size=4), few_images, 2, 1, tmp_path)
    table, record = pd.read_csv(tmp_path / "cpu.csv"), read_json(tmp_path / "cpu.json")
    assert table.groupby(["precision", "loop"]).size().to_dict() == {
        (precision, loop): n for precision in ("float32", "bfloat16") for loop, n in (("reference", 1), ("engine", 2))
    }
    rate = (table["steps_per_second"] * table["ms_per_step"] / 1e3).tolist()
    assert rate == pytest.approx(table["runs"].tolist(), rel=1e-2)
    assert (table.loc[table["loop"] == "reference", "ratio_to_reference"] == 1).all()
    assert set(record["floor"]) == {"float32", "bfloat16"}
    floors = [
        max(values[f"ms_by_{what}"] for what in ("operations", "bytes", "launches"))
        for values in record["floor"].values()
    ]
    assert training.finding(table).count("ms in ") == 2
    single = table[table["loop"] == "reference"]
    assert single["times_floor"].tolist() == pytest.approx((single["ms_per_step"] / floors).tolist(), rel=1e-2)
