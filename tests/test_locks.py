"""One writer at a time: the second is refused or waits, and what a killed one left is no obstacle."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lib.files import ROOT
from lib.locks import only_one
from lib.refusal import Refusal

HOLD = "import pathlib, sys, time; from lib.locks import only_one\nwith only_one(pathlib.Path(sys.argv[1])): {}"


def hold(path: Path, work: str = "print('held', flush=True); time.sleep(60)") -> subprocess.Popen:
    """A process that holds the lock while it works; returns when it does."""
    command = [sys.executable, "-c", HOLD.format(work), str(path)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def test_the_second_is_refused_and_a_killed_holder_is_no_obstacle(tmp_path):
    path = tmp_path / "run" / ".lock"
    holder = hold(path)
    try:
        sentence = rf"/run is in use by process {holder.pid}; wait until that has ended"
        with pytest.raises(Refusal, match=sentence), only_one(path):
            pass
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert path.exists()  # the killed one's
    with only_one(path):
        assert path.read_text().strip() == str(os.getpid())
        with pytest.raises(Refusal, match=f"in use by process {os.getpid()}"), only_one(path):
            pass
    assert not path.exists()


def test_the_lock_ends_with_an_error(tmp_path):
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), only_one(tmp_path / ".lock"):
            raise ZeroDivisionError


def test_the_second_command_waits_says_so_and_passes_on_how_the_command_ended(tmp_path):
    path = tmp_path / ".lock"
    holder = hold(path, "print('held', flush=True); time.sleep(2)")
    began = time.monotonic()
    command = [sys.executable, "-m", "lib.locks", str(path), sys.executable, "-c", "raise SystemExit(7)"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert holder.wait() == 0
    assert done.returncode == 7
    assert time.monotonic() - began > 1
    assert done.stderr == f"{tmp_path} is in use by process {holder.pid}; waiting until that has ended.\n"
    assert not path.exists()


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_command_and_then_the_lock(sent, code, tmp_path):
    """SIGINT comes to all processes of a terminal, so that it is not passed on; SIGTERM is."""
    path = tmp_path / ".lock"
    work = "import time; print('held', flush=True); time.sleep(1)"
    command = [sys.executable, "-m", "lib.locks", str(path), sys.executable, "-c", work]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    time.sleep(0.2)
    process.send_signal(sent)
    assert process.wait() == code
    assert not path.exists()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(Refusal, match=r"could not be made \(.*\); make the folder writable"),
        only_one(tmp_path / "file" / "a"),
    ):
        pass


def test_the_command_line_is_refused_in_a_sentence_and_leaves_no_folder_behind(tmp_path):
    lock = tmp_path / "new" / ".lock"
    for arguments, sentence in (
        ([], "Give a lock file and a command."),
        ([str(lock)], "Give a lock file and a command."),
        ([str(lock), "no-such-command"], "no-such-command could not be started (No such file or directory)."),
    ):
        done = subprocess.run([sys.executable, "-m", "lib.locks", *arguments], cwd=ROOT, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (1, f"{sentence}\n")
    assert not lock.parent.exists()
