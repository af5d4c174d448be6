"""Progress of long work: a bar that a terminal rewrites, or else a few lines, so that logs and notebooks stay short."""

import sys
from typing import Any

from tqdm import tqdm


class Progress(tqdm):
    """tqdm's bar on a terminal; elsewhere `lines` lines in all, each after an equal share of the work."""

    def __init__(self, *arguments: Any, lines: int = 1, **settings: Any) -> None:
        """lines: off a terminal; all else as tqdm takes it, with `total` given or countable."""
        self.lines, self.printed = 0 if sys.stderr.isatty() else lines, None
        super().__init__(*arguments, **settings)

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Called by tqdm whenever the bar may have moved."""
        if not self.lines:
            super().display(msg, pos)
            return
        done = self.n * self.lines // (self.total or 1)
        if self.printed is not None and done > self.printed:
            state = self.format_dict | {"bar_format": "{desc}: {percentage:.0f}%, {n_fmt} of {total_fmt}, "
                                        "{elapsed} so far, {remaining} left, {rate_fmt}{postfix}"}  # fmt: skip
            print(self.format_meter(**state).strip(), file=sys.stderr, flush=True)
        self.printed = done

    def close(self) -> None:
        if self.lines and not self.disable:
            self.display()
            self.leave = False  # nothing is left to rewrite, and no line to end
            self.disable = True
            self._decr_instances(self)
            return
        super().close()
