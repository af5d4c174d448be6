"""Files that code hosts and package tools read: licence, citation, workflows."""

import re
import shutil
import subprocess
import tomllib

import pytest
import yaml

from lib.files import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def steps(workflow: dict) -> list[dict]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def test_licence_and_version_are_the_same_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["license"] == project["license"] == "Apache-2.0"
    assert citation["version"] == project["version"]
    assert citation["title"].startswith(project["name"])
    licence = (ROOT / "LICENSE").read_text()
    assert licence.split()[:4] == ["Apache", "License", "Version", "2.0,"]
    assert re.search(r"Copyright \d{4} The authors of bottleneck-pressure\n", licence)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_pin_their_actions_and_ask_for_little(path):
    workflow = yaml.safe_load(path.read_text())
    used = [step["uses"] for step in steps(workflow) if "uses" in step]
    assert used
    assert all(re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", action) for action in used)
    assert workflow["permissions"] in ({}, {"contents": "read"})
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 60


def test_the_test_workflow_runs_what_a_test_machine_runs():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text())
    assert steps(workflow)[-1]["run"] == ".ci/run"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_take_the_build_of_torch_whose_hash_the_makefile_has(path):
    (job,) = yaml.safe_load(path.read_text())["jobs"].values()
    assert job["env"] == {"PIP_EXTRA_INDEX_URL": "https://download.pytorch.org/whl/cpu"}
    python = next(step["with"]["python-version"] for step in job["steps"] if "setup-python" in step.get("uses", ""))
    version, of = re.search(
        r"for Python (\S+) on.*\n.*\nTORCH_CPU := (torch==\S+)\+cpu", (ROOT / "Makefile").read_text()
    ).groups()[::-1]
    assert (python, f'"{version}"' in (ROOT / "pyproject.toml").read_text()) == (of, True)


def test_the_pages_workflow_builds_the_reports_of_published_runs_and_an_index(tmp_path):
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "pages.yml").read_text())
    script = next(step["run"] for step in steps(workflow) if step.get("name") == "Site")
    for name in ("paper", "seeds"):
        published, rendered = (tmp_path / "results" / part / name for part in ("published", "runs"))
        published.mkdir(parents=True)
        (published / "table.csv").touch()
        rendered.mkdir(parents=True)
        (rendered / "report.html").write_text(f"<p>{name}")
    pages = next(step["run"] for step in steps(workflow) if step.get("name") == "Pages")
    (tmp_path / "make").write_text("#!/bin/sh\necho $* >> made\n")
    (tmp_path / "make").chmod(0o755)
    for part in (pages, script):
        command = [shutil.which("bash"), "-euo", "pipefail", "-c", f"PATH=$PWD:$PATH\n{part}"]
        subprocess.run(command, cwd=tmp_path, check=True)
    assert (tmp_path / "made").read_text() == "render PROFILE=paper\nrender PROFILE=seeds\n"
    index = (tmp_path / "site" / "index.html").read_text()
    links = re.findall('href="([^"]+)"', index)
    assert links == ["paper/report.html", "seeds/report.html"]
    assert [(tmp_path / "site" / link).read_text() for link in links] == ["<p>paper", "<p>seeds"]
