"""Signals that wait for a checkpoint, in a command and in a notebook's kernel."""

import signal
import threading

import pytest

from lib.report.notebooks.training import train_and_show
from lib.runs.run import Run
from lib.training.signals import SIGNALS, Deferred, Ended, ending
from lib.training.train import train


@pytest.fixture
def often(monkeypatch):
    """A look every 10 steps."""
    monkeypatch.setattr("lib.training.train.LOOK", {"cpu": 10})


def at_step(step: int, number: int):
    """An observer that gets a signal when it sees the step."""

    def observe(run: Run, trace) -> None:
        if trace.steps == step:
            signal.raise_signal(number)

    return observe


def test_a_kernel_that_is_asked_to_end_saves_first(often, tiny_config, few_images, tmp_path):
    run, ended = Run(tmp_path / "run"), []
    before = signal.signal(signal.SIGTERM, lambda number, _: ended.append((number, run.checkpoint.exists())))
    try:
        train(tiny_config(), run, few_images, False, at_step(30, signal.SIGTERM))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ended == [(signal.SIGTERM, True)]
    assert run.load_checkpoint()["engine"]["step"] == 30
    train(tiny_config(), run, few_images, progress=False)
    assert run.complete


def test_an_interrupted_cell_saves_and_says_how_to_go_on(often, tiny_config, few_images, tmp_path, monkeypatch):
    config, run = tiny_config(), Run(tmp_path / "run")
    monkeypatch.setattr("lib.data.dataset.ensure", lambda _: None)
    monkeypatch.setattr("lib.data.dataset.load", lambda _: few_images)
    monkeypatch.setattr("lib.report.notebooks.training.take_over", lambda *_: None)  # of another test's run
    monkeypatch.setattr("lib.report.notebooks.training.Live", lambda: at_step(30, signal.SIGINT))
    with pytest.raises(KeyboardInterrupt) as interrupted:
        train_and_show(config, run)
    sentence = "run was interrupted; run the cell again, and it continues from its checkpoint."
    assert interrupted.value._render_traceback_() == [sentence]
    assert not run.complete and run.load_checkpoint()["engine"]["step"] == 30


def test_a_second_interrupt_ends_at_once(often, tiny_config, few_images, tmp_path, monkeypatch):
    def twice(run: Run, trace) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    run = Run(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        train(tiny_config(), run, few_images, False, twice)
    assert not run.complete and not run.checkpoint.exists()


@pytest.mark.parametrize("number", SIGNALS)
def test_a_deferred_signal_comes_at_the_end_and_a_second_at_once(number):
    handlers = [signal.getsignal(each) for each in SIGNALS]
    reached = []
    with pytest.raises(Ended, match=number.name) as ended, ending(), Deferred() as deferred:
        signal.raise_signal(number)
        reached.append(deferred.pending)
    assert reached == [number] and ended.value.number == number
    with pytest.raises(Ended), ending(), Deferred():
        signal.raise_signal(number)
        signal.raise_signal(signal.SIGTERM)
        reached.append("never")
    assert reached == [number]
    assert [signal.getsignal(each) for each in SIGNALS] == handlers


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with ending(), Deferred() as deferred:
            signal.raise_signal(signal.SIGINT)
        assert deferred.pending is None
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_another_thread_changes_no_handler():
    seen = []

    def work() -> None:
        with ending(), Deferred():
            seen.extend(signal.getsignal(each) for each in SIGNALS)

    expected = [signal.getsignal(each) for each in SIGNALS]
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == expected


def test_a_complete_run_keeps_no_checkpoint(tiny_config, few_images, tmp_path):
    """A process may be killed after run.json has its name and before the checkpoint is removed."""
    run = train(tiny_config(steps=8), Run(tmp_path / "run"), few_images, progress=False)
    run.checkpoint.write_bytes(b"left")
    train(tiny_config(steps=8), run, few_images, progress=False)
    assert not run.checkpoint.exists()
