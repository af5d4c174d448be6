"""Engines that train step by step together: one after the other on a CPU, as branches of one CUDA graph on a GPU.

One run of this small network cannot fill a modern GPU, and launching its hundred kernels takes longer than running
them. So some steps of all engines are captured once, each engine on a stream of its own, and replayed. Together or
alone, an engine computes the same bits.
"""

import torch
from torch import Tensor

from lib.training.engine import Engine

WARM_UP = 3  # steps before a capture: libraries choose their kernels and the optimiser makes its state
REPLAYED = 10  # steps in the longer of the two graphs; its branches meet only at its end


class Lockstep:
    """Engines on one device that have done the same number of steps."""

    def __init__(self, engines: list[Engine]) -> None:
        """Raises ValueError unless all engines are at the same step."""
        if len({engine.step for engine in engines}) != 1:
            raise ValueError(f"The engines are at steps {[engine.step for engine in engines]}; bring them level first.")
        self.engines = engines
        self.device = engines[0].device
        self._warm = 0
        self._graphs: dict[int, torch.cuda.CUDAGraph] = {}  # by number of steps
        self._streams = [torch.cuda.Stream(self.device) for _ in engines] if self.device.type == "cuda" else []

    def run(self, steps: int) -> list[Tensor]:
        """Train every engine for `steps` steps; returns their traces [steps, columns] (float64, on the device)."""
        traces: list[list[Tensor]] = [[] for _ in self.engines]
        while steps:
            part = min(steps, *(engine.prepare() for engine in self.engines))
            self._advance(part)
            for engine, trace in zip(self.engines, traces, strict=True):
                engine.step += part
                trace.append(engine.trace(part))
            steps -= part
        return [torch.cat(trace) for trace in traces]

    def _advance(self, steps: int) -> None:
        if self.device.type != "cuda":
            for engine in self.engines:
                for _ in range(steps):
                    engine.train_step()
            return
        while steps:
            part = 1
            if self._warm < WARM_UP:  # a step like any other, but launched kernel by kernel
                self._branches(1)
                self._warm += 1
            else:
                part = REPLAYED if steps >= REPLAYED else 1
                self._captured(part).replay()
            steps -= part

    def _captured(self, steps: int) -> torch.cuda.CUDAGraph:
        if steps not in self._graphs:
            self._graphs[steps] = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graphs[steps]):  # records, computes nothing
                self._branches(steps)
        return self._graphs[steps]

    def _branches(self, steps: int) -> None:
        """Steps of every engine, each on its own stream, between two points of the current one."""
        current = torch.cuda.current_stream(self.device)
        start = current.record_event()  # not the stream itself: it may be one of the branches', streams being few
        for engine, stream in zip(self.engines, self._streams, strict=True):
            stream.wait_event(start)
            with torch.cuda.stream(stream):
                for _ in range(steps):
                    engine.train_step()
        for stream in self._streams:
            current.wait_stream(stream)
