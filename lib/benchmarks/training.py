"""How fast the engine trains on this CPU, beside a plain loop: `python -m lib.benchmarks.training` (6 minutes).

Each loop is a process of its own, with its own memory and threads; they take turns, a few steps each, so that all
meet the machine in the same state. Writes results/benchmarks/training.csv and training.json.
"""

import itertools
import resource
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from lib.benchmarks.floor import product_rate, step_operations
from lib.data.dataset import Dataset
from lib.dsprites import N_IMAGES, render_packed
from lib.files import RESULTS, write_atomically, write_json
from lib.model import ARCHITECTURES
from lib.runs.profiles import load_profile
from lib.runs.provenance import provenance
from lib.runs.run import Run
from lib.runs.settings import TrainingConfig
from lib.training.device import keep_freed_memory, reproducible
from lib.training.engine import Engine
from lib.training.lockstep import Lockstep
from lib.training.plain import reference_loop
from lib.training.train import LEAST_SECONDS, Training

LOOPS = ("reference", "engine")
COMPILED = ("conv",)  # networks whose engine is timed compiled, too: that takes a minute for each case
PRECISIONS = ("float32", "bfloat16")
SETTINGS = ((1, 1), (2, 1), (1, 2))  # threads of a process, processes side by side (as two arms are trained)
BATCH, IMAGES, ROUNDS, ROUND_SECONDS = 64, 20_000, 5, 0.5


def compile_step(engine: Engine) -> None:
    """Let torch.compile fuse the engine's network and its control; engines of one arm share what is compiled."""
    engine.model.encode = torch.compile(engine.model.encode, fullgraph=True, dynamic=False)
    engine.model.decode = torch.compile(engine.model.decode, fullgraph=True, dynamic=False)
    engine.control = torch.compile(engine.control, fullgraph=True, dynamic=False)


def engine_loop(loop: str, config: TrainingConfig, packed: np.ndarray) -> Callable[[int], object]:
    """The engine, with memory kept as in `lib.training.train.train`; its trace is read back after every call."""
    keep_freed_memory()
    engine = Engine(config, Dataset(torch.from_numpy(packed), "", "rendered", None))
    if loop == "compiled":
        compile_step(engine)
    lockstep = Lockstep([engine])
    return lambda steps: lockstep.run(steps)[0].numpy()


def serve(loop: str, config: TrainingConfig, packed: np.ndarray, connection: Connection) -> None:
    """A process: answers a number of steps with the seconds they took and its peak memory (MiB); None ends it."""
    torch.set_num_threads(config.threads)
    run = reference_loop(config, packed) if loop == "reference" else engine_loop(loop, config, packed)
    while (steps := connection.recv()) is not None:
        started = time.perf_counter()
        run(steps)
        seconds = time.perf_counter() - started
        connection.send((seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


class Contender:
    """Equal processes that train side by side, or wait while others do."""

    def __init__(self, loop: str, config: TrainingConfig, processes: int, packed: np.ndarray) -> None:
        context = torch.multiprocessing.get_context("spawn")
        self.loop, self.config, self.pipes, self.members = loop, config, [], []
        for _ in range(processes):
            ours, theirs = context.Pipe()
            self.pipes.append(ours)
            self.members.append(context.Process(target=serve, args=(loop, config, packed, theirs), daemon=True))
            self.members[-1].start()

    def prepare(self) -> None:
        """Warm up and choose the number of steps in a round."""
        self.steps, self.times, self.memory = 3, [], 0.0
        self.take_turn()
        self.take_turn()
        self.steps = max(2, round(ROUND_SECONDS / self.times[1]))
        self.times = []

    def take_turn(self) -> None:
        """Train; adds the seconds per step of the slowest process, and notes the peak memory of one."""
        for pipe in self.pipes:
            pipe.send(self.steps)
        seconds, memory = np.max([pipe.recv() for pipe in self.pipes], axis=0)
        self.times.append(seconds / self.steps)
        self.memory = memory

    def stop(self) -> None:
        for pipe, member in zip(self.pipes, self.members, strict=True):
            pipe.send(None)
            member.join()


def measure(architecture: str, threads: int, processes: int, packed: np.ndarray) -> list[dict[str, object]]:
    """One row per precision and loop: medians over rounds in which all took turns."""
    profile = load_profile("laptop")
    contenders = {}
    loops = (*LOOPS, "compiled") if architecture in COMPILED else LOOPS
    for precision, loop in itertools.product(PRECISIONS, loops):
        changes = {"architecture": architecture, "precision": precision, "threads": threads, "device": "cpu"}
        config = profile.training_config("linear", 1, batch_size=BATCH, **changes)
        contenders[precision, loop] = Contender(loop, config, processes, packed)
    try:
        for contender in contenders.values():
            contender.prepare()
        for _ in range(ROUNDS):
            for contender in contenders.values():
                contender.take_turn()
    finally:
        for contender in contenders.values():
            contender.stop()
    seconds = pd.DataFrame({key: contender.times for key, contender in contenders.items()})
    rates = {precision: product_rate(precision, threads * processes, torch.device("cpu")) for precision in PRECISIONS}
    rows = []
    for (precision, loop), contender in contenders.items():
        mine = seconds[precision, loop]
        operations = processes * step_operations(contender.config)
        rows.append({
            "architecture": architecture,
            "precision": precision,
            "processes": processes,
            "threads": threads,
            "loop": loop,
            "ms_per_step": 1e3 * mine.median(),
            "steps_per_second": processes / mine.median(),
            "ratio_to_reference": (seconds[precision, "reference"] / mine).median(),
            "ratio_to_float32_reference": (seconds["float32", "reference"] / mine).median(),
            "gflop_per_second": operations / mine.median() / 1e9,
            "product_gflop_per_second": rates[precision] / 1e9,
            "share_of_product_rate": operations / mine.median() / rates[precision],
            "peak_memory_mib": contender.memory,
        })  # fmt: skip
    return rows


def checkpoint_seconds(config: TrainingConfig, packed: np.ndarray, folder: Path) -> float:
    """Seconds that one checkpoint takes to write late in a training, when its trace is longest: median of five."""
    data = Dataset(torch.from_numpy(packed), "", "rendered", None)
    with reproducible(config.threads):
        training = Training(config, Run(folder), data)
        training.engine.prepare()
        training.engine.train_step()  # the optimiser's moments exist from then on
        training.trace.add(np.random.default_rng(0).random((config.steps - 1, len(training.trace.columns))))
        seconds = []
        for _ in range(5):
            started = time.perf_counter()
            training.checkpoint()
            seconds.append(time.perf_counter() - started)
    return float(np.median(seconds))


def main() -> None:
    origin = provenance(torch.device("cpu")) | {"date": datetime.now(UTC).isoformat(timespec="seconds")}
    packed = render_packed(np.random.default_rng(0).choice(N_IMAGES, IMAGES, replace=False))
    cases = list(itertools.product(ARCHITECTURES, SETTINGS))
    rows = []
    for architecture, (threads, processes) in tqdm(cases, desc="Benchmark"):
        rows += measure(architecture, threads, processes, packed)
    table = pd.DataFrame(rows)
    path = RESULTS / "benchmarks" / "training.csv"
    write_atomically(path, lambda temporary: table.to_csv(temporary, index=False, float_format="%.4g"))
    settings = {"batch_size": BATCH, "rounds": ROUNDS, "round_seconds": ROUND_SECONDS, "images": IMAGES}
    with tempfile.TemporaryDirectory() as folder:
        longest = load_profile("paper").training_config("adaptive", 1, device="cpu")
        seconds = checkpoint_seconds(longest, packed, Path(folder))
    checkpoint = {"checkpoint_seconds": seconds, "checkpoint_share_at_most": seconds / (LEAST_SECONDS + seconds)}
    write_json(path.with_suffix(".json"), origin | settings | checkpoint)
    print(table.to_string(index=False, float_format="%.3g"))


if __name__ == "__main__":
    main()
