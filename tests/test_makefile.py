"""The Makefile: what an installation misses is said in one line, two reports take turns, campaigns are understood."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lib.files import ROOT

MAKE = shutil.which("make")
pytestmark = pytest.mark.skipif(MAKE is None, reason="make is not installed")


@pytest.fixture
def checkout(tmp_path) -> Path:
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def stand_in(folder: Path, unless: str) -> Path:
    """A python that fails where its arguments hold `unless`, and else is this one."""
    path = folder / "python-stand-in"
    path.write_text(f'#!/bin/sh\ncase "$*" in *{unless}*) exit 1;; esac\nexec {sys.executable} "$@"\n')
    path.chmod(0o755)
    return path


def environment() -> dict[str, str]:
    """No package index, as without a network."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "MAKE"))}
    return kept | {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": "http://127.0.0.1:9", "PIP_NO_CACHE_DIR": "1"}


def install(checkout: Path, python: str | Path) -> subprocess.CompletedProcess:
    command = [MAKE, f"PYTHON={python}", ".venv/bin/.installed"]
    return subprocess.run(command, cwd=checkout, env=environment(), capture_output=True, text=True)


CASES = [
    ("version_info", "python-stand-in is not Python 3.11 to 3.13; name one that is: make PYTHON=python3.12."),
    ("ensurepip", "python-stand-in lacks the module venv; install it (Debian and Ubuntu: apt install python3-venv)."),
    ("venv .venv", "The environment could not be made in .venv: "),
]


@pytest.mark.parametrize(("unless", "sentence"), CASES)
def test_a_python_that_will_not_do_is_said_in_one_line(unless, sentence, checkout):
    unless = unless.replace(" ", "\\ ")
    done = install(checkout, stand_in(checkout, unless))
    lines = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert done.returncode == 2 and done.stdout == ""
    assert len(lines) == 1 and sentence in lines[0]
    assert not {".venv", ".install.log"} & set(os.listdir(checkout))


def test_no_python_at_all_is_said_in_one_line(checkout):
    done = install(checkout, "python-of-nowhere")
    assert done.stderr.startswith(
        "There is no python-of-nowhere; install Python 3.11 to 3.13, or name one: make PYTHON="
    )
    assert not (checkout / ".venv").exists()


def test_no_network_is_said_in_one_line_and_only_a_new_environment_goes(checkout):
    done = install(checkout, sys.executable)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert len(lines) == 1 and lines[0].startswith("The packages could not be installed; check the network and try")
    assert not {".venv", ".install.log"} & set(os.listdir(checkout))
    mine = checkout / ".venv" / "mine"
    mine.parent.mkdir()
    mine.write_text("was there before")
    assert install(checkout, stand_in(checkout, "ensurepip")).returncode == 2
    assert mine.read_text() == "was there before"


SOURCE_ONLY = [
    "error: command 'gcc' failed: No such file or directory",
    "error: Microsoft Visual C++ 14.0 or greater is required for the compiler",
    "  ../meson.build:1:0: ERROR: Unknown compiler(s): [['cc'], ['gcc'], ['clang']]",
]


@pytest.mark.parametrize("complaint", SOURCE_ONLY)
def test_a_missing_compiler_is_said_in_one_line(complaint, checkout):
    (checkout / "complaint").write_text(f"{complaint}\nERROR: Failed to build 'numpy'\n")
    without = stand_in(checkout, "-m\\ nothing")
    makes = 'mkdir -p .venv/bin; printf "#!/bin/sh\\ncat complaint >&2; exit 1" > .venv/bin/python'
    makes += "; chmod +x .venv/bin/python; exit 0"
    without.write_text(without.read_text().replace("exec", f'case "$*" in "-m venv .venv") {makes};; esac\nexec'))
    done = install(checkout, without)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert done.returncode == 2 and len(lines) == 1
    assert lines[0].startswith("A package has no wheel for this machine and needs a C compiler")
    assert lines[0].endswith("ERROR: Failed to build 'numpy'")
    assert not {".venv", ".install.log"} & set(os.listdir(checkout))


def test_an_interrupted_installation_leaves_nothing(checkout):
    script = stand_in(checkout, "-m\\ nothing")
    script.write_text(
        script.read_text().replace("exec", 'case "$*" in *venv*.venv*) mkdir -p .venv; sleep 20;; esac\nexec')
    )
    command = [MAKE, f"PYTHON={script}", ".venv/bin/.installed"]
    process = subprocess.Popen(
        command, cwd=checkout, env=environment(), stderr=subprocess.DEVNULL, start_new_session=True
    )
    for _ in range(200):
        if (checkout / ".venv").exists():
            break
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C in a terminal
    assert process.wait(10) != 0
    assert not (checkout / ".venv").exists()


def test_of_two_reports_at_once_the_second_waits_and_says_so(checkout):
    tools = checkout / "bin"
    tools.mkdir()
    (tools / "python").write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} "$@"\n')
    (tools / "snakemake").write_text("#!/bin/sh\necho begins >> log\nsleep 1\necho ends >> log\n")
    for name in ("python", "snakemake"):
        (tools / name).chmod(0o755)
    (tools / ".installed").touch()
    command = [MAKE, "BIN=bin", "report", "PROFILE=smoke"]
    both = [subprocess.Popen(command, cwd=checkout, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert (checkout / "log").read_text() == "begins\nends\n" * 2
    assert sorted("is in use by process" in text and "waiting until that has ended" in text for text in said) == [
        False,
        True,
    ]
    assert not (checkout / "results" / "runs" / "smoke" / ".report.lock").exists()


def test_the_command_of_the_longer_campaigns_is_understood(tmp_path):
    printed = subprocess.run([MAKE, "--dry-run", "test-long"], cwd=ROOT, capture_output=True, text=True).stdout
    (kept := tmp_path / "kept.json").touch()  # as the last result is there, which pytest may take for a test
    command = next(line for line in printed.splitlines() if "-m long" in line)
    words = command.replace("results/benchmarks/test_long.json", str(kept)).split()[1:]
    done = subprocess.run([sys.executable, *words, "--markers"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "@pytest.mark.long" in done.stdout
