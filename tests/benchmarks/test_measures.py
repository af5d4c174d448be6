"""Each measure's row has what the measure gives, and what it cost."""

import pytest
import torch

from lib import mig
from lib.benchmarks.measures import measure
from lib.evaluation.posteriors import write_posterior
from lib.files import write_json
from lib.runs.run import Run

SIZES = (3, 6, 10, 4, 4)


def test_a_row_holds_the_measures_values_and_its_cost(tmp_path):
    mean, logvar = torch.randn(2, 3 * 6 * 10 * 4 * 4, 4, generator=torch.Generator().manual_seed(0))
    run, rows = Run(tmp_path), torch.arange(len(mean))
    write_posterior(run, rows, mean, logvar, rows, SIZES)
    write_json(tmp_path / "evaluation.json", {})
    row = measure("quadrature, resolution 4", run, 1)
    assert row["mig_four"] == pytest.approx(
        mig.mutual_information_gap(mig.mutual_information(mean, logvar, SIZES, 4), SIZES)
    )
    assert row["peak_memory_mb"] >= row["memory_before_mb"] > 50
    assert row["seconds"] > 0
    assert measure("decomposition, 2000 samples", run, 1)["kl"] > 0
