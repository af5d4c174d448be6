"""Curves of a training while it runs, in a notebook: one picture, drawn anew in its place."""

import base64
import time

import pandas as pd
from IPython.display import clear_output, display

from lib.report.figures import style
from lib.report.figures.runs import traces
from lib.runs.run import Run
from lib.training.trace import Trace

EVERY = 5.0  # seconds between two pictures, at least
SHARE = 0.02  # of the time that drawing may take
ROWS = 1_000  # of the trace, at most, in a picture
DOTS_PER_INCH = 80


class Live:
    """An observer for `lib.training.train.train`: reconstruction loss, KL, beta and C so far.

    After a training that ends well, `clear` leaves its cell empty, for the final figure to take the picture's place;
    one that diverges or is interrupted leaves the last picture to be looked at.
    """

    def __init__(self) -> None:
        self._shown, self._next = False, time.perf_counter() + EVERY

    def __call__(self, run: Run, trace: Trace) -> None:
        """Draw the trace so far, unless the last picture is too recent."""
        began = time.perf_counter()
        if began < self._next:
            return
        frame = trace.frame()
        if len(frame) > 1:
            picture = png(run, frame, trace.config.steps)
            display(picture, raw=True, display_id=f"live {run.name}", update=self._shown)
            self._shown = True
        ended = time.perf_counter()
        self._next = ended + max(EVERY, (ended - began) / SHARE)

    def clear(self) -> None:
        """Remove the picture, where there is one."""
        if self._shown:
            clear_output()


def png(run: Run, frame: pd.DataFrame, steps: int) -> dict[str, str]:
    """The trace as a small PNG, by its MIME type (without a text form, so that logs stay silent)."""
    config = run.config()
    missing = [name for name in ("beta", "beta_mean", "capacity") if name not in frame]
    thin = frame.iloc[:: -(-len(frame) // ROWS)].reindex(columns=[*frame.columns, *missing])
    figure = traces({config.arm: [thin]})
    figure.suptitle(f"{run.name}: step {frame['step'].iloc[-1]:,} of {steps:,}")
    return {"image/png": base64.b64encode(style.png(figure, DOTS_PER_INCH)).decode()}
