"""How fast the engine trains on a GPU: `python -m lib.benchmark_cuda` (some minutes).

First the floor of a step (lib/floor.py), before anything is trained. Then the reference loop, and the engine with one
run and with several at once, in each precision, without deterministic algorithms and with fused kernels
(torch.compile); all take turns. Last, the gradients of several networks in the ways of lib/stacking.py.
Writes results/benchmarks/cuda.csv and cuda.json.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from lib.benchmark_training import compile_step
from lib.config import TrainingConfig
from lib.dataset import Dataset
from lib.dsprites import N_IMAGES, render_packed
from lib.engine import Engine, choose_device
from lib.floor import captured, floor, product_rate, seconds_of, step_operations
from lib.lockstep import Lockstep
from lib.profiles import RESULTS, load_profile
from lib.provenance import provenance
from lib.reference_loop import reference_loop
from lib.runs import write_atomically, write_json
from lib.stacking import ways
from lib.training import reproducible

PRECISIONS = {"cuda": ("float32", "tf32", "bfloat16"), "cpu": ("float32", "bfloat16")}
TOGETHER = (1, 2, 4, 10)  # runs at once: both arms of one seed and of five are two and ten
IMAGES, STEPS, ROUNDS = 64_000, 200, 5  # epochs of 1,000 steps, a multiple of those in a graph


def reserved(device: torch.device) -> float:
    """Bytes that PyTorch holds of the device's memory; not a number on a CPU."""
    if device.type != "cuda":
        return math.nan
    torch.cuda.empty_cache()
    return torch.cuda.memory_reserved(device)


Case = tuple[str, str, int, bool]  # loop, precision, runs at once, deterministic algorithms


def cases(device: torch.device) -> list[Case]:
    """What is compared."""
    found: list[Case] = []
    for precision in PRECISIONS[device.type]:
        found.append(("reference", precision, 1, True))
        found += [("engine", precision, runs, True) for runs in TOGETHER]
        found += [("engine", precision, runs, False) for runs in (TOGETHER[0], TOGETHER[-1])]
        found += [("compiled", precision, runs, True) for runs in (TOGETHER[0], TOGETHER[-1])]
    return found


def build(case: Case, config: TrainingConfig, data: Dataset) -> Callable[[int], object]:
    """A function that trains the case's runs, arms in turn and seeds counted up, for so many steps each."""
    loop, precision, runs, _ = case
    configs = [
        replace(config, precision=precision, seed=1 + i // 2, arm=("linear", "adaptive")[i % 2]) for i in range(runs)
    ]
    if loop == "reference":
        return reference_loop(configs[0], data.packed.cpu().numpy())
    engines = [Engine(each, data) for each in configs]
    if loop == "compiled":
        for engine in engines:
            compile_step(engine)
    return Lockstep(engines).run


def time_steps(case: Case, train: Callable[[int], object], steps: int, device: torch.device) -> float:
    """Seconds per step of all the case's runs together."""
    with reproducible(1, case[1] == "tf32"):
        torch.backends.cudnn.deterministic = case[3]
        return seconds_of(lambda: train(steps), device) / steps


def measure(config: TrainingConfig, data: Dataset, steps: int, rounds: int) -> pd.DataFrame:
    """One row per case: medians over rounds in which all took turns.

    Memory is what the case makes the device reserve and keep, graphs included, without the data; the first case with so
    many runs also pays for the workspaces of its streams.
    """
    device = data.packed.device
    trainings, memory = {}, {}
    for case in tqdm(cases(device), desc="Preparing"):
        before = reserved(device)
        trainings[case] = build(case, config, data)
        time_steps(case, trainings[case], steps, device)
        memory[case] = reserved(device) - before
    rounds_seconds = pd.DataFrame([
        {case: time_steps(case, train, steps, device) for case, train in trainings.items()}
        for _ in tqdm(range(rounds), desc="Timing")
    ])  # fmt: skip
    rows = []
    for case in trainings:
        loop, precision, runs, deterministic = case
        mine, reference = rounds_seconds[case], rounds_seconds["reference", precision, 1, True]
        operations = runs * step_operations(config) / mine.median()
        rows.append({
            "loop": loop,
            "precision": precision,
            "runs": runs,
            "deterministic": deterministic,
            "ms_per_step": 1e3 * mine.median(),
            "steps_per_second": runs / mine.median(),
            "ratio_to_reference": (runs * reference / mine).median(),
            "tflop_per_second": operations / 1e12,
            "share_of_product_rate": operations / product_rate(precision, 1, device),
            "memory_held_mib": memory[case] / 2**20,
        })  # fmt: skip
    return pd.DataFrame(rows)


def compare_stacking(config: TrainingConfig, device: torch.device, runs: int, rounds: int) -> dict[str, float]:
    """Milliseconds for the gradients of so many networks in each of lib/stacking.py's ways; medians of turns.

    All are captured as graphs where the device has them.
    """
    images = torch.randint(2, (runs, config.batch_size, 1, 64, 64), device=device).float()
    noise = torch.randn(runs, config.batch_size, config.latents, device=device)
    found = ways([replace(config, seed=1 + i) for i in range(runs)], device)

    def turn(name: str) -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
            found[name](images, noise)

    with reproducible(1, config.precision == "tf32"):
        work = {name: partial(turn, name) for name in found}
        if device.type == "cuda":
            work = {name: captured(compute) for name, compute in work.items()}
        seconds = pd.DataFrame([{name: seconds_of(w, device) for name, w in work.items()} for _ in range(rounds + 1)])
    return (1e3 * seconds[1:].median()).to_dict()


def benchmark(config: TrainingConfig, data: Dataset, steps: int, rounds: int, directory: Path) -> None:
    """Measure everything with `config` in each precision and write cuda.csv and cuda.json into the directory."""
    device = data.packed.device
    each_precision = {precision: replace(config, precision=precision) for precision in PRECISIONS[device.type]}
    floors = {precision: floor(changed, data) for precision, changed in each_precision.items()}
    print(pd.DataFrame(floors).to_string(float_format="%.4g"), flush=True)
    table = measure(config, data, steps, rounds)
    print(table.to_string(index=False, float_format="%.3g"), flush=True)
    write_atomically(
        directory / "cuda.csv", lambda temporary: table.to_csv(temporary, index=False, float_format="%.4g")
    )
    record = provenance(device) | {"date": datetime.now(UTC).isoformat(timespec="seconds")}
    record |= {"architecture": config.architecture, "batch_size": config.batch_size}
    record |= {"steps": steps, "rounds": rounds, "images": len(data), "floor": floors}
    write_json(directory / "cuda.json", record)  # now: the rest takes minutes of compiling
    gradients = {
        precision: compare_stacking(changed, device, TOGETHER[-1], rounds)
        for precision, changed in each_precision.items()
    }
    write_json(directory / "cuda.json", record | {"networks": TOGETHER[-1], "gradients_ms": gradients})
    print(pd.DataFrame(gradients).to_string(float_format="%.3g"))


def main() -> None:
    device = choose_device("auto")
    packed = render_packed(np.random.default_rng(0).choice(N_IMAGES, IMAGES, replace=False))
    data = Dataset(torch.from_numpy(packed), "", "rendered", None).to(device)
    config = load_profile("paper").training_config("linear", 1, device=device.type)
    benchmark(config, data, STEPS, ROUNDS, RESULTS / "benchmarks")


if __name__ == "__main__":
    main()
