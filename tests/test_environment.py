"""environment.yml asks for the same versions as pyproject.toml."""

import re
import tomllib

import yaml

from lib.files import ROOT

CONDA_NAMES = {
    "torch": "pytorch-cpu",
    "matplotlib": "matplotlib-base",
    "seaborn": "seaborn-base",
    "snakemake": "snakemake-minimal",
}


def test_environment_yml_is_in_step_with_pyproject():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["test"]
    pinned = dict(requirement.split("==") for requirement in wanted)
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pip = next(entry["pip"] for entry in conda if isinstance(entry, dict))
    listed = dict(re.split("=+", entry) for entry in [*conda, *pip] if isinstance(entry, str) and "=" in entry)
    python = listed.pop("python")
    assert listed == {CONDA_NAMES.get(name, name) if name not in str(pip) else name: v for name, v in pinned.items()}
    assert "--editable ." in pip
    low, high = re.findall(r"3\.(\d+)", project["requires-python"])
    assert int(low) <= int(python.split(".")[1]) < int(high)
