"""SIGINT and SIGTERM: a training is asked to end, saves where it stands, and only then does the signal take effect."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_Handler = Callable[[int, FrameType | None], None]


class Ended(KeyboardInterrupt):
    """A command was ended by the signal `number`; its text is the signal's name."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def ending() -> Iterator[None]:
    """A context in which SIGINT and SIGTERM raise Ended, wherever they arrive."""

    def end(number: int, _: FrameType | None) -> None:
        raise Ended(number)

    restore = _handle(end)
    try:
        yield
    finally:
        restore()


class Deferred:
    """A context in which SIGINT and SIGTERM wait: the first is noted as `pending`, and delivered at the context's end.

    A second one takes effect at once, as it would outside.
    """

    def __init__(self) -> None:
        self.pending: int | None = None

    def __enter__(self) -> Self:
        self._restore = _handle(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()
        if self.pending is not None:
            signal.raise_signal(self.pending)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.pending = number
        self._restore()


def _handle(handler: _Handler) -> Callable[[], None]:
    """Give SIGNALS this handler; returns a function that gives them back their own, to be called once or again.

    A signal that is ignored (of a command in a script's background) stays so. Python handles signals in the main
    thread alone: in another, nothing is changed.
    """
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.getsignal(number) for number in SIGNALS}
    own = {number: found for number, found in before.items() if found not in (signal.SIG_IGN, None)}
    for number in own:
        signal.signal(number, handler)

    def restore() -> None:
        for number, found in own.items():
            signal.signal(number, found)

    return restore
