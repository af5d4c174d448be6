import os
import signal
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before a library that reads it; for what the tests start as well

import numpy as np
import pytest
import torch
from campaign import keep_result
from chromium import CHROMIUM, FLAGS

from lib.data.dataset import Dataset
from lib.dsprites import N_IMAGES, render_packed
from lib.runs import profiles
from lib.runs.profiles import load_profile

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # in a script's background, where it would reach no test
    signal.signal(signal.SIGINT, signal.default_int_handler)
torch.set_num_threads(1)  # small tensors: a second thread costs more than it gives where the machine is busy


def pytest_addoption(parser):
    parser.addoption("--result", type=Path, help="where to write what make test-long keeps of its campaigns")


def pytest_sessionstart(session):
    session.started = time.perf_counter()


def pytest_sessionfinish(session, exitstatus):
    """An interrupted campaign leaves the last result as it is."""
    path = session.config.getoption("result")
    if path is not None and exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        keep_result(path, len(session.items), session.testsfailed, time.perf_counter() - session.started)


@pytest.fixture(scope="session")
def few_images() -> Dataset:
    """1,000 images drawn at random: enough to train on for some steps, with epochs that end soon."""
    indices = np.random.default_rng(0).choice(N_IMAGES, 1_000, replace=False)
    return Dataset(torch.from_numpy(render_packed(indices)), "0" * 64, "rendered")


@pytest.fixture(scope="session")
def all_images() -> Dataset:
    """All 737,280 images, drawn in memory."""
    return Dataset(torch.from_numpy(render_packed(np.arange(N_IMAGES))), "0" * 64, "rendered")


@pytest.fixture
def tiny_config():
    """A function: a training on one arm with changes, small enough for a unit test.

    Its controller is the tests' own, so that they do not follow what the profiles are tuned to.
    """

    def config(arm: str = "adaptive", seed: int = 1, **changes):
        defaults = {"steps": 60, "batch_size": 16, "checkpoint_every": 20, "precision": "float32", "snapshots": 3}
        defaults |= {"kp": 0.01, "ki": 0.3, "c_max": 10.0}
        defaults["device"] = "cpu"  # the data of these tests lie there
        return load_profile("smoke").training_config(arm, seed, **(defaults | changes))

    return config


@pytest.fixture
def twin(tmp_path, monkeypatch):
    """A profile that trains laptop's two runs, and two controls beside them."""
    (tmp_path / "profiles.toml").write_text(
        profiles.PROFILES.read_text()
        + '[twin]\nlike = "laptop"\narms = ["linear", "adaptive", "linear_full", "adaptive_hold"]\n'
    )
    monkeypatch.setattr(profiles, "PROFILES", tmp_path / "profiles.toml")
    return load_profile("twin")


@pytest.fixture(scope="module")
def browser():
    """The system's Chromium; not for the whole session, as `lib.report.publishing.documents` starts one of its own."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()
