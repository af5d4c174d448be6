"""What the precision benchmark compares and how it counts. (What it measures is in results/benchmarks.)"""

import numpy as np
import torch

from lib.benchmarks.precision import COLUMNS, configurations, summarise, trace_of
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
