"""How fast the engine trains on this CPU, beside a plain loop: `python -m lib.benchmarks.training` (6 minutes).

Each loop is a process of its own, with its own memory and threads; they take turns, a few steps each, so that all
meet the machine in the same state. Writes results/benchmarks/training.csv and training.json.
"""

import itertools
import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from lib.benchmarks.floor import product_rate, step_operations
from lib.benchmarks.results import origin, save
from lib.data.dataset import Dataset
from lib.dsprites import N_IMAGES, render_packed
from lib.model import ARCHITECTURES
from lib.runs.profiles import load_profile
from lib.runs.run import Run
from lib.runs.settings import TrainingConfig
from lib.training.device import keep_freed_memory, reproducible
from lib.training.engine import Engine
from lib.training.lockstep import Lockstep
from lib.training.plain import reference_loop
from lib.training.train import LEAST_SECONDS, Training

PRECISIONS = ("float32", "bfloat16")
SETTINGS = ((1, 1), (2, 1), (1, 2))  # threads of a process, processes side by side (as two arms are trained)
BATCH, IMAGES, ROUNDS, ROUND_SECONDS = 64, 20_000, 5, 0.5


def engine_loop(config: TrainingConfig, packed: np.ndarray) -> Callable[[int], object]:
    """The engine, with memory kept as in `lib.training.device.reproducible`; its trace is read back after each call."""
    keep_freed_memory()
    lockstep = Lockstep([Engine(config, Dataset(torch.from_numpy(packed), "", "rendered"))])
    return lambda steps: lockstep.run(steps)[0].numpy()


LOOPS = {"reference": reference_loop, "engine": engine_loop}


def start(loop: str, config: TrainingConfig, packed: np.ndarray) -> None:
    """Make the loop that this process trains with."""
    global _run
    torch.set_num_threads(config.threads)
    _run = LOOPS[loop](config, packed)


def train(steps: int) -> tuple[float, float]:
    """Seconds that this process takes for so many steps, and its peak memory so far (MiB)."""
    started = time.perf_counter()
    _run(steps)
    return time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Contender:
    """Equal processes that train side by side, or wait while others do."""

    def __init__(self, loop: str, config: TrainingConfig, processes: int, packed: np.ndarray) -> None:
        context = torch.multiprocessing.get_context("spawn")
        self.config, self.steps, self.times = config, 3, []
        self.members = [ProcessPoolExecutor(1, context, start, (loop, config, packed)) for _ in range(processes)]

    def prepare(self) -> None:
        """Warm up and choose the number of steps in a round."""
        self.take_turn()
        self.take_turn()
        self.steps, self.times = max(2, round(ROUND_SECONDS / self.times[1])), []

    def take_turn(self) -> None:
        """Train; adds the seconds per step of the slowest process, and notes the peak memory of one."""
        turns = [member.submit(train, self.steps) for member in self.members]
        seconds, self.memory = np.max([turn.result() for turn in turns], axis=0)
        self.times.append(seconds / self.steps)


def measure(architecture: str, threads: int, processes: int, packed: np.ndarray) -> list[dict[str, object]]:
    """One row per precision and loop: medians over rounds in which all took turns."""
    contenders = {}
    for precision, loop in itertools.product(PRECISIONS, LOOPS):
        changes = {"architecture": architecture, "precision": precision, "threads": threads, "device": "cpu"}
        config = load_profile("laptop").training_config("linear", 1, batch_size=BATCH, **changes)
        contenders[precision, loop] = Contender(loop, config, processes, packed)
    try:
        for contender in contenders.values():
            contender.prepare()
        for _ in range(ROUNDS):
            for contender in contenders.values():
                contender.take_turn()
    finally:
        for contender in contenders.values():
            for member in contender.members:
                member.shutdown()
    seconds = pd.DataFrame({key: contender.times for key, contender in contenders.items()})
    rates = {precision: product_rate(precision, threads * processes, torch.device("cpu")) for precision in PRECISIONS}
    rows = []
    for (precision, loop), contender in contenders.items():
        mine = seconds[precision, loop]
        rate = processes * step_operations(contender.config) / mine.median()
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
            "gflop_per_second": rate / 1e9,
            "product_gflop_per_second": rates[precision] / 1e9,
            "share_of_product_rate": rate / rates[precision],
            "peak_memory_mib": contender.memory,
        })  # fmt: skip
    return rows


def checkpoint_seconds(config: TrainingConfig, packed: np.ndarray, folder: Path) -> float:
    """Seconds that one checkpoint takes to write late in a training, when its trace is longest: median of five."""
    data = Dataset(torch.from_numpy(packed), "", "rendered")
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
    record = origin(torch.device("cpu"))
    packed = render_packed(np.random.default_rng(0).choice(N_IMAGES, IMAGES, replace=False))
    rows = []
    for architecture, (threads, processes) in tqdm(list(itertools.product(ARCHITECTURES, SETTINGS)), desc="Benchmark"):
        rows += measure(architecture, threads, processes, packed)
    with tempfile.TemporaryDirectory() as folder:
        longest = load_profile("paper").training_config("adaptive", 1, device="cpu")
        seconds = checkpoint_seconds(longest, packed, Path(folder))
    settings = {"batch_size": BATCH, "rounds": ROUNDS, "round_seconds": ROUND_SECONDS, "images": IMAGES}
    checkpoint = {"checkpoint_seconds": seconds, "checkpoint_share_at_most": seconds / (LEAST_SECONDS + seconds)}
    save("training", pd.DataFrame(rows), record | settings | checkpoint)
    print(pd.DataFrame(rows).to_string(index=False, float_format="%.3g"))


if __name__ == "__main__":
    main()
