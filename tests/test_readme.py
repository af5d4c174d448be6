"""The README's numbers come from the published results."""

import pytest

from lib.profiles import load_profile
from lib.provenance import ROOT
from lib.publish import END, LIMIT, README, START, published_directory, readme_results

PUBLISHED = ROOT / "results" / "published"


@pytest.mark.parametrize("name", sorted(path.name for path in PUBLISHED.iterdir()))
def test_published_results_are_complete_and_small(name):
    directory = published_directory(load_profile(name))
    for run in load_profile(name).runs():
        for file in ("config.json", "run.json", "evaluation.json", "trace.csv.gz"):
            assert (directory / run.name / file).exists()
    assert (directory / "report.html").exists()
    assert sum(path.stat().st_size for path in PUBLISHED.rglob("*") if path.is_file()) < LIMIT


def test_readme_shows_a_published_table():
    block = README.read_text().split(START)[1].split(END)[0].strip()
    assert block in [readme_results(load_profile(path.name)) for path in PUBLISHED.iterdir()]
