"""What a user is told when something cannot be: one sentence, in a terminal and in a notebook."""

import argparse
from typing import NoReturn


class Refusal(ValueError):
    """An error whose text is one sentence that names what is wrong, and says what to do."""

    def _render_traceback_(self) -> list[str]:
        """The lines that IPython shows in place of a traceback: the sentence alone."""
        return [str(self)]


class Divergence(FloatingPointError):
    """A training that has left the numbers, in one sentence."""

    _render_traceback_ = Refusal._render_traceback_


class Interrupted(KeyboardInterrupt):
    """A training that was told to stop, in one sentence."""

    _render_traceback_ = Refusal._render_traceback_


class Parser(argparse.ArgumentParser):
    """A command line that refuses what it does not know in one sentence, and with exit code 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{message[0].upper()}{message[1:]}; see {self.prog} --help.\n")
