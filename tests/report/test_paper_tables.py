"""The paper's tables: what is shown of made-up runs, and that what an arm lacks stays blank."""

import numpy as np
import pandas as pd
import pytest

from lib.report.notebooks import paper_tables
from lib.report.notebooks.shared import paper_steps
from lib.report.tables import settings_table
from lib.runs.profiles import load_profile


@pytest.fixture
def table() -> pd.DataFrame:
    """Two runs; the second arm has no controller, and records nothing of one."""
    return pd.DataFrame(
        {
            "arm": ["linear", "adaptive"], "seed": 1, "steps": 100, "images": 50, "mig_four": [0.25, 0.5],
            "mig_four_monte_carlo": [0.24, 0.52], "mig_four_monte_carlo_standard_error": 0.01, "mig_five": 0.2,
            "mig_five_histogram": 0.1, "reconstruction": [20.0, 30.0], "reconstruction_last_percent": 21.0, "kl": 9.0,
            "kl_last_percent": 9.1, "kl_off": -0.1, "capacity_rise": 0.0, "kl_swing": 1.2,
            "final_capacity": [10.0, np.nan], "beta_last_percent": [2.0, 4.0], "mean_beta": [3.0, 4.0],
            "share_at_beta_min": [0.5, 0.0], "share_advanced": [0.1, np.nan], "share_frozen": [0.2, np.nan],
            "mean_kl_to_set_point": [0.3, np.nan], "locked_at": np.nan, "training_seconds": 9000.0,
        },
        index=["a", "b"],
    )  # fmt: skip


def test_the_report_stands_beside_our_runs(table):
    shown = paper_tables.headline(table, {}, 100)
    assert shown.index.tolist() == ["a", "b", "linear, the report", "adaptive, the report"]
    assert shown["MIG, four factors"].tolist() == ["0.250", "0.500", "0.5279", "0.5273"]
    assert shown["steps"].tolist() == ["100", "100", f"{paper_steps():,}", f"{paper_steps():,}"]


def test_a_longer_arm_is_shown_also_as_it_was_when_the_others_ended(table):
    longer = table.iloc[:1].assign(arm="slow_then_hold", steps=160)
    every = pd.concat([table, longer.set_axis(["s"])])
    rows = {"step": [50, 100, 160], "mig_four": [0.1, 0.3, 0.5], "reconstruction": 40.0, "kl": 9.0}
    snapshots = dict.fromkeys(every.index, pd.DataFrame(rows))
    shown = paper_tables.headline(every, snapshots, 100)
    assert shown.index.tolist()[2:4] == ["s", "slow then held, at step 100"]
    assert shown.loc["slow then held, at step 100"].tolist() == ["0.300", "40.0", "9.00", "100"]
    last_only = {name: frame.iloc[-1:] for name, frame in snapshots.items()}
    assert len(paper_tables.headline(every, last_only, 100)) == len(shown) - 1
    assert len(paper_tables.headline(every, snapshots, 160)) == len(shown) - 1


def test_what_an_arm_does_not_record_is_blank(table):
    done = pd.DataFrame({"advanced": [0.55], "below": 0.99, "above": 0.98, "at_minimum": 0.0, "arm": "linear"}, ["a"])
    shown = paper_tables.controller(table, done)
    assert "controller locked at step" not in shown.index  # in no run, as is said in words
    assert shown.loc["C at the end (nats)"].tolist() == ["10.00", ""]
    assert shown.loc["steps below the maximum of C at which C advanced"].tolist() == ["55.0%", ""]
    locked = paper_tables.controller(table.assign(locked_at=[70, np.nan]), done)
    assert locked.loc["controller locked at step"].tolist() == ["70", ""]
    two = paper_tables.controller(table.assign(locked_at=[70, np.nan], share_frozen=0.2), done)
    assert two.loc["controller locked at step"].tolist() == ["70", "never"]


def test_the_primary_contrast_stands_first(table):
    shown = paper_tables.contrasts(table)
    assert shown.index.tolist() == ["primary: adaptive − linear"]
    assert shown.loc["primary: adaptive − linear"].tolist() == ["+0.250", "+10.0", "+0.00"]
    assert len(paper_tables.contrasts(pd.concat([table, table.assign(arm=["linear_full", "adaptive_hold"])]))) == 6


def test_the_samplers_bias_stands_beside_its_error(table):
    shown = paper_tables.estimators(table)
    assert shown.loc["sampled − quadrature"].tolist() == ["−0.010", "+0.020"]
    assert list(shown.index).index("standard error of the sampled") == 3


def test_settings_are_marked_where_they_differ():
    seeds, paper = (load_profile(name) for name in ("seeds", "paper"))
    marked = paper_tables.settings(seeds)[""]
    assert (
        set(marked[marked != ""].index)
        == {name for name in settings_table(seeds).index if seeds.training[name] != paper.training[name]}
        and "steps" in marked[marked != ""]
    )
    assert list(paper_tables.settings(paper)) == ["paper"]


def test_a_lower_half_shows_the_snapshots_images(table):
    parts = {"mutual_information": 8.0, "total_correlation": 0.5, "dimension_wise_kl": 0.5}
    table = table.assign(decomposition_standard_error=0.1, **parts)
    row = pd.DataFrame([{"images": 50, "kl": 9.5, "mig_four": 0.3, "decomposition_standard_error": 0.1, **parts}])
    assert len(paper_tables.split(table, {"a": row, "b": row})) == 6
    fewer = paper_tables.split(table, {"a": row.assign(images=10), "b": row.assign(images=10)})
    assert fewer.loc[["KL", "KL, N = 10"], "a"].tolist() == ["9.00", "9.50"]
