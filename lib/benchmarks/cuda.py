"""How fast the engine trains on a GPU: `python -m lib.benchmarks.cuda` (some minutes).

First the floors of a step (lib/benchmarks/floor.py), before anything is trained. Then, precision by precision: the reference loop
and the engine, with one run and with several at once, and with convolutions that need not be deterministic, all taking
turns; the engine with fused kernels (torch.compile), beside the reference loop; and the gradients of several networks
in the ways of lib/benchmarks/stacking.py. Writes results/benchmarks/cuda.csv and cuda.json after each precision; should compiling
fail, they name the failure.
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

from lib.benchmarks.floor import floors, seconds_of
from lib.benchmarks.stacking import ways
from lib.benchmarks.training import compile_step
from lib.data.dataset import Dataset
from lib.dsprites import N_IMAGES, render_packed
from lib.files import RESULTS, write_atomically, write_json
from lib.runs.profiles import load_profile
from lib.runs.provenance import provenance
from lib.runs.settings import TrainingConfig
from lib.training.device import choose_device, reproducible
from lib.training.engine import Engine
from lib.training.lockstep import Lockstep, captured
from lib.training.plain import reference_loop

PRECISIONS = {"cuda": ("float32", "tf32", "bfloat16"), "cpu": ("float32", "bfloat16")}
TOGETHER = (1, 2, 4, 10)  # runs at once: both arms of one seed and of five are two and ten
IMAGES, STEPS, ROUNDS = 64_000, 200, 5  # epochs of 1,000 steps, a multiple of those in a graph
REPLAYS = {"cpu": 1, "cuda": 20}  # of gradients in one turn: their launches overlap, as in a training


def reserved(device: torch.device) -> float:
    """Bytes that PyTorch holds of the device's memory; not a number on a CPU."""
    if device.type != "cuda":
        return math.nan
    torch.cuda.empty_cache()
    return torch.cuda.memory_reserved(device)


Case = tuple[str, str, int, bool]  # loop, precision, runs at once, deterministic convolutions


def cases(precision: str) -> tuple[list[Case], list[Case]]:
    """What is compared in one precision: what is not compiled, and what is, each beside the reference loop."""
    reference = ("reference", precision, 1, True)
    plain = [reference]
    plain += [("engine", precision, runs, True) for runs in TOGETHER]
    plain += [("engine", precision, runs, False) for runs in (TOGETHER[0], TOGETHER[-1])]
    return plain, [reference, *(("compiled", precision, runs, True) for runs in (TOGETHER[0], TOGETHER[-1]))]


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
    """Seconds per step of all the case's runs together; where cuDNN is free, it searches for fast convolutions."""
    with reproducible(1, case[1] == "tf32"):
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = case[3], not case[3]
        return seconds_of(lambda: train(steps), device) / steps


def measure(
    found: list[Case], config: TrainingConfig, data: Dataset, floor: dict[str, float], steps: int, rounds: int
) -> pd.DataFrame:
    """One row per case of one precision, the reference loop among them: medians over rounds in which all took turns.

    floor: the precision's, from lib/benchmarks/floor.py. Memory is what the case makes the device reserve and keep, graphs
    included, without the data; the first case with so many runs also pays for the workspaces of its streams.
    """
    device = data.packed.device
    trainings, memory = {}, {}
    for case in tqdm(found, desc="Preparing"):
        before = reserved(device)
        trainings[case] = build(case, config, data)
        time_steps(case, trainings[case], steps, device)
        memory[case] = reserved(device) - before
    rounds_seconds = pd.DataFrame([
        {case: time_steps(case, train, steps, device) for case, train in trainings.items()}
        for _ in tqdm(range(rounds), desc="Timing")
    ])  # fmt: skip
    least = max(value for name, value in floor.items() if name.startswith("ms_by_"))
    rows = []
    for case in found:
        loop, precision, runs, deterministic = case
        mine, reference = rounds_seconds[case], rounds_seconds[found[0]]
        tflop_per_second = runs * floor["operations"] / mine.median() / 1e12
        rows.append({
            "loop": loop,
            "precision": precision,
            "runs": runs,
            "deterministic": deterministic,
            "ms_per_step": 1e3 * mine.median(),
            "steps_per_second": runs / mine.median(),
            "ratio_to_reference": (runs * reference / mine).median(),
            "times_floor": math.nan if loop == "compiled" else 1e3 * mine.median() / runs / least,
            "tflop_per_second": tflop_per_second,
            "share_of_product_rate": tflop_per_second / floor["tflop_per_second_of_a_large_product"],
            "memory_held_mib": memory[case] / 2**20,
        })  # fmt: skip
    return pd.DataFrame(rows)


def compare_ways(
    config: TrainingConfig, device: torch.device, runs: int, rounds: int
) -> tuple[dict[str, float], dict[str, str]]:
    """Milliseconds for the gradients of so many networks in each of lib/benchmarks/stacking.py's ways; and what failed, and why.

    Medians of turns, in each of which a way computes several times. All are captured as graphs where there is a GPU.
    """
    images = torch.randint(2, (runs, config.batch_size, 1, 64, 64), device=device).float()
    noise = torch.randn(runs, config.batch_size, config.latents, device=device)
    work, failed = {}, {}
    with reproducible(1, config.precision == "tf32"):
        for name, gradients in ways([replace(config, seed=1 + i) for i in range(runs)], device).items():
            compute = partial(gradients, images, noise)
            try:
                work[name] = captured(compute) if device.type == "cuda" else compute
                work[name]()
            except Exception as error:  # of a compiler, say: the other ways are worth having
                work.pop(name, None)
                failed[name] = str(error)
        again = REPLAYS[device.type]
        seconds = pd.DataFrame([
            {name: seconds_of(lambda w=w: [w() for _ in range(again)], device) / again for name, w in work.items()}
            for _ in range(rounds)
        ])  # fmt: skip
    return (1e3 * seconds.median()).to_dict(), failed


def benchmark(config: TrainingConfig, data: Dataset, steps: int, rounds: int, directory: Path) -> None:
    """Measure everything with `config` in each precision; cuda.csv and cuda.json in the directory grow meanwhile."""
    device = data.packed.device
    each_precision = {precision: replace(config, precision=precision) for precision in PRECISIONS[device.type]}
    record = provenance(device) | {
        "date": datetime.now(UTC).isoformat(timespec="seconds"), "architecture": config.architecture,
        "batch_size": config.batch_size, "steps": steps, "rounds": rounds, "images": len(data),
        "floor": floors(each_precision, data), "networks": TOGETHER[-1], "gradients_ms": {}, "failed": {},
    }  # fmt: skip
    print(pd.DataFrame(record["floor"]).to_string(float_format="%.4g"), flush=True)
    tables = []
    for precision, changed in each_precision.items():
        plain, compiled = cases(precision)
        settings = changed, data, record["floor"][precision], steps, rounds
        tables.append(measure(plain, *settings))
        try:
            tables.append(measure(compiled, *settings)[1:])  # its reference is in the table already
        except Exception as error:  # of a compiler, say: the rest is worth having
            record["failed"][f"{precision}, compiled"] = str(error)
        write_atomically(
            directory / "cuda.csv",
            lambda temporary: pd.concat(tables).to_csv(temporary, index=False, float_format="%.4g"),
        )
        record["gradients_ms"][precision], failed = compare_ways(changed, device, TOGETHER[-1], rounds)
        record["failed"] |= {f"{precision}, {name}": why for name, why in failed.items()}
        write_json(directory / "cuda.json", record)
    print(pd.concat(tables).to_string(index=False, float_format="%.3g"))
    print(pd.DataFrame(record["gradients_ms"]).to_string(float_format="%.3g"))
    for name, why in record["failed"].items():
        print(f"{name} failed: {why}")


def main() -> None:
    device = choose_device("auto")
    packed = render_packed(np.random.default_rng(0).choice(N_IMAGES, IMAGES, replace=False))
    data = Dataset(torch.from_numpy(packed), "", "rendered", None).to(device)
    config = load_profile("paper").training_config("linear", 1, device=device.type)
    benchmark(config, data, STEPS, ROUNDS, RESULTS / "benchmarks")


if __name__ == "__main__":
    main()
