"""How fast the engine trains on this machine's device: `python -m lib.benchmarks.training` (some minutes).

First the floors of a step (lib/benchmarks/floor.py), before anything is trained. Then, precision by precision, all
taking turns: the reference loop and the engine, on a GPU also with several runs at once and with convolutions that need
not be deterministic. Writes results/benchmarks/cuda.csv and cuda.json, or cpu.csv and cpu.json, after each precision.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from lib.benchmarks.floor import floors, seconds_of
from lib.benchmarks.results import DIRECTORY, origin, save
from lib.data.dataset import Dataset
from lib.dsprites import N_IMAGES, render_packed
from lib.runs.profiles import load_profile
from lib.runs.settings import TrainingConfig
from lib.training.device import choose_device, reproducible
from lib.training.engine import Engine
from lib.training.lockstep import Lockstep
from lib.training.plain import reference_loop

PRECISIONS = {"cuda": ("float32", "tf32", "bfloat16"), "cpu": ("float32", "bfloat16")}
TOGETHER = {"cuda": (1, 2, 4, 10), "cpu": (1,)}  # runs at once: both arms of one seed and of five are two and ten
IMAGES, STEPS, ROUNDS = 64_000, 200, 5  # epochs of 1,000 steps, a multiple of those in a graph

Case = tuple[str, int, bool]  # loop, runs at once, deterministic convolutions


def reserved(device: torch.device) -> float:
    """Bytes that PyTorch holds of the device's memory; not a number on a CPU."""
    if device.type != "cuda":
        return math.nan
    torch.cuda.empty_cache()
    return torch.cuda.memory_reserved(device)


def cases(device: torch.device) -> list[Case]:
    """What is compared in one precision, the reference loop first."""
    together = TOGETHER[device.type]
    free = {together[0], together[-1]} if device.type == "cuda" else ()  # only cuDNN has other convolutions
    deterministic = [("engine", runs, True) for runs in together]
    return [("reference", 1, True), *deterministic, *(("engine", runs, False) for runs in sorted(free))]


def build(case: Case, config: TrainingConfig, data: Dataset) -> Callable[[int], object]:
    """A function that trains the case's runs, arms in turn and seeds counted up, for so many steps each."""
    loop, runs, _ = case
    configs = [replace(config, seed=1 + i // 2, arm=("linear", "adaptive")[i % 2]) for i in range(runs)]
    if loop == "reference":
        return reference_loop(configs[0], data.packed.cpu().numpy())
    return Lockstep([Engine(each, data) for each in configs]).run


def measure(
    config: TrainingConfig, data: Dataset, floor: dict[str, float], steps: int, rounds: int
) -> list[dict[str, object]]:
    """One row per case of the precision of `config`: medians over rounds in which all took turns.

    floor: the precision's, from lib/benchmarks/floor.py. Memory is what the case makes the device reserve and keep,
    graphs included, without the data; the first case with so many runs also pays for the workspaces of its streams.
    """
    device, trainings, memory = data.packed.device, {}, {}

    def time_steps(case: Case) -> float:
        """Seconds per step of all the case's runs together; where cuDNN is free, it searches for fast convolutions."""
        with reproducible(1, config.precision == "tf32"):
            torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = case[2], not case[2]
            return seconds_of(lambda: trainings[case](steps), device) / steps

    for case in tqdm(cases(device), desc="Preparing"):
        before = reserved(device)
        trainings[case] = build(case, config, data)
        time_steps(case)
        memory[case] = reserved(device) - before
    turns = [{case: time_steps(case) for case in trainings} for _ in tqdm(range(rounds), desc="Timing")]
    seconds = pd.DataFrame(turns)
    least = max(value for name, value in floor.items() if name.startswith("ms_by_"))
    rows = []
    for case in trainings:
        loop, runs, deterministic = case
        mine, reference = seconds[case], seconds["reference", 1, True]
        tflop_per_second = runs * floor["operations"] / mine.median() / 1e12
        rows.append({
            "loop": loop,
            "precision": config.precision,
            "runs": runs,
            "deterministic": deterministic,
            "ms_per_step": 1e3 * mine.median(),
            "steps_per_second": runs / mine.median(),
            "ratio_to_reference": (runs * reference / mine).median(),
            "times_floor": 1e3 * mine.median() / runs / least,
            "tflop_per_second": tflop_per_second,
            "share_of_product_rate": tflop_per_second / floor["tflop_per_second_of_a_large_product"],
            "memory_held_mib": memory[case] / 2**20,
        })  # fmt: skip
    return rows


def benchmark(config: TrainingConfig, data: Dataset, steps: int, rounds: int, directory: Path) -> None:
    """Measure everything with `config` in each precision; the device's table and record grow meanwhile."""
    device = data.packed.device
    each_precision = {precision: replace(config, precision=precision) for precision in PRECISIONS[device.type]}
    record = origin(device) | {
        "architecture": config.architecture, "batch_size": config.batch_size, "steps": steps, "rounds": rounds,
        "images": len(data), "floor": floors(each_precision, data),
    }  # fmt: skip
    print(pd.DataFrame(record["floor"]).to_string(float_format="%.4g"), flush=True)
    rows = []
    for precision, changed in each_precision.items():
        rows += measure(changed, data, record["floor"][precision], steps, rounds)
        save(device.type, pd.DataFrame(rows), record, directory)
    print(pd.DataFrame(rows).to_string(index=False, float_format="%.3g"))


def finding(table: pd.DataFrame) -> str:
    """How long a step of one run takes the engine, in each precision, beside the reference loop; table: `benchmark`."""
    rows = table[(table["loop"] == "engine") & (table["runs"] == 1) & table["deterministic"]].set_index("precision")
    milliseconds = rows["ms_per_step"]
    taken = ", ".join(
        f"{milliseconds[name]:.1f} ms in {name} ({ratio:.2f} times as fast as the reference)"
        for name, ratio in rows["ratio_to_reference"].items()
    )
    return f"A step of one run takes the engine {taken}. Fastest here is {milliseconds.idxmin()}."


def main() -> None:
    device = choose_device("auto")
    packed = render_packed(np.random.default_rng(0).choice(N_IMAGES, IMAGES, replace=False))
    data = Dataset(torch.from_numpy(packed), "", "rendered").to(device)
    config = load_profile("paper").training_config("linear", 1, device=device.type)
    benchmark(config, data, STEPS, ROUNDS, DIRECTORY)


if __name__ == "__main__":
    main()
