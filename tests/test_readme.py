"""The README's numbers come from the published results."""

import numpy as np
import pytest

from lib.profiles import load_profile
from lib.provenance import ROOT
from lib.publish import END, LIMIT, README, START, published_directory, readme_results
from lib.runs import read_json

PUBLISHED = ROOT / "results" / "published"


NAMES = sorted(path.parent.name for path in PUBLISHED.glob("*/table.csv"))


@pytest.mark.parametrize("name", NAMES)
def test_published_results_are_complete_and_small(name):
    directory = published_directory(load_profile(name))
    for run in load_profile(name).runs():
        for file in ("config.json", "run.json", "evaluation.json", "trace.csv.gz"):
            assert (directory / run.name / file).exists()
    assert (directory / "report.html").exists()
    assert sum(path.stat().st_size for path in PUBLISHED.rglob("*") if path.is_file()) < LIMIT


def test_readme_shows_a_published_table():
    block = README.read_text().split(START)[1].split(END)[0].strip()
    assert block in [readme_results(load_profile(name)) for name in NAMES]


@pytest.mark.parametrize("arm", ["linear", "adaptive"])
def test_the_published_laptop_run_is_a_meaningful_miniature(arm):
    """In each arm C leaves its start, beta is above beta_min in half of the steps, x and y have a latent each."""
    run = published_directory(load_profile("laptop")) / f"{arm}-seed1"
    config, summary = read_json(run / "config.json"), read_json(run / "run.json")["summary"]
    assert summary["final_capacity"] > config["c_start"] + 1
    assert summary["share_at_beta_min"] <= 0.5
    information = np.array(read_json(run / "evaluation.json")["information"])
    assert information[3].max() > 1
    assert information[4].max() > 1


def test_published_pages_name_no_folder_of_the_machine_that_made_them():
    for name in NAMES:
        page = (published_directory(load_profile(name)) / "report.html").read_text()
        assert "results/runs/" in page
        assert "/results/runs/" not in page


def test_readme_leaves_nothing_to_fill_in():
    assert "TIME_" not in README.read_text()
