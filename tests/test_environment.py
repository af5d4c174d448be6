"""environment.yml and requirements.lock hold the same versions as pyproject.toml."""

import re
import tomllib
from importlib import metadata

import yaml

from lib.files import ROOT

CONDA_NAMES = {
    "torch": "pytorch-cpu",
    "matplotlib": "matplotlib-base",
    "seaborn": "seaborn-base",
    "snakemake": "snakemake-minimal",
}


def wanted_by_pyproject() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project["dependencies"] + project["optional-dependencies"]["test"]


def test_environment_yml_is_in_step_with_pyproject():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = dict(requirement.split("==") for requirement in wanted_by_pyproject())
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pip = next(entry["pip"] for entry in conda if isinstance(entry, dict))
    listed = dict(re.split("=+", entry) for entry in [*conda, *pip] if isinstance(entry, str) and "=" in entry)
    python = listed.pop("python")
    assert listed == {CONDA_NAMES.get(name, name) if name not in str(pip) else name: v for name, v in pinned.items()}
    assert "--editable ." in pip
    low, high = re.findall(r"3\.(\d+)", project["requires-python"])
    assert int(low) <= int(python.split(".")[1]) < int(high)


def test_the_lock_holds_every_package_by_version_and_hash():
    """requirements.lock is made by make lock; both make report and make test install it first."""
    text = (ROOT / "requirements.lock").read_text()
    locked = re.findall(r"^([\w.-]+)==(\S+)(.*(?:\n .*)*)", text, re.MULTILINE)
    assert all("--hash=sha256:" in rest for _, _, rest in locked)
    assert "://" not in text
    versions: dict[str, set[str]] = {}
    for name, version, _ in locked:
        versions.setdefault(name, set()).add(version)
    pinned = dict(requirement.split("==") for requirement in wanted_by_pyproject())
    assert {name: versions.get(name) for name in pinned} == {name: {version} for name, version in pinned.items()}
    cuda = re.compile("triton|cuda-|nvidia-")  # torch's own libraries, which its CPU build does without
    assert len([name for name in versions if cuda.match(name)]) > 10
    if "cpu" in metadata.version("torch"):
        assert not [each.name for each in metadata.distributions() if cuda.match(each.name)]
