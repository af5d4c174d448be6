"""How fast the engine trains on a GPU: `python -m lib.benchmark_cuda` (some minutes).

First the floor of a step, before anything is trained: its operations over the rate of a large matrix product, its bytes
over the rate of a large copy, both measured in the same run. Then the reference loop, and the engine with one run and
with several at once, in each precision, and without deterministic algorithms; all take turns. Last, gradients of
several networks as parallel branches and as one network with stacked weights (vmap).
Writes results/benchmarks/cuda.csv and cuda.json.
"""

import math
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap
from tqdm import tqdm

from lib.benchmark_training import product_rate, seconds_of, step_operations
from lib.config import TrainingConfig
from lib.dataset import Dataset
from lib.dsprites import N_IMAGES, render_packed
from lib.engine import Engine, choose_device
from lib.lockstep import Lockstep
from lib.model import VAE, kl_per_latent, reconstruction_loss, reparameterise
from lib.profiles import RESULTS, load_profile
from lib.provenance import provenance
from lib.reference_loop import plain_model, reference_loop
from lib.runs import write_atomically, write_json
from lib.training import reproducible

PRECISIONS = ("float32", "tf32", "bfloat16")
TOGETHER = (1, 2, 4, 10)  # runs at once: both arms of one seed and of five are two and ten
PRODUCT = 8192  # rows of the large product's matrices
IMAGES, STEPS, ROUNDS = 64_000, 200, 5  # epochs of 1,000 steps, a multiple of those in a graph


def reserved(device: torch.device) -> float:
    """Bytes that PyTorch holds of the device's memory; not a number on a CPU."""
    if device.type != "cuda":
        return math.nan
    torch.cuda.empty_cache()
    return torch.cuda.memory_reserved(device)


def copy_rate(device: torch.device, size: int = 2**30) -> float:
    """Bytes per second, read and written, of a large copy: the best of ten."""
    a = torch.randint(256, (size,), dtype=torch.uint8, device=device)
    b = torch.empty_like(a)
    return 2 * size / min(seconds_of(lambda: b.copy_(a), device) for _ in range(10))


def step_bytes(config: TrainingConfig) -> int:
    """The fewest bytes that a step layer by layer moves.

    Parameters and Adam's two moments are read and written, gradients written and read, four bytes each. Every layer's
    output is written and read going forward, and so is its gradient going back: two bytes a value in bfloat16, else
    four.
    """
    values: list[int] = []
    model = VAE(config.architecture, config.latents)
    for layer in model.modules():
        if not list(layer.children()):
            layer.register_forward_hook(lambda layer, inputs, output: values.append(output.numel()))
    with torch.inference_mode():
        model.decode(model.encode(torch.zeros(config.batch_size, 1, 64, 64))[0])
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return 4 * 8 * parameters + 4 * sum(values) * (2 if config.precision == "bfloat16" else 4)


class Loss(nn.Module):
    """The VAE's loss at beta = 1 as a module, for vmap."""

    def __init__(self, model: VAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor, noise: Tensor) -> Tensor:
        mean, logvar = self.model.encode(images)
        logits = self.model.decode(reparameterise(mean, logvar, noise))
        return reconstruction_loss(logits, images).mean() + kl_per_latent(mean, logvar).sum()


def stacked_gradients(models: list[VAE]) -> Callable[[Tensor, Tensor], dict[str, Tensor]]:
    """R networks (of PyTorch's own layers) as one: images [R, B, 1, 64, 64], noise [R, B, J] -> gradients [R, ...]."""
    losses = [Loss(model) for model in models]
    parameters, _ = stack_module_state(losses)
    one = grad(lambda weights, images, noise: functional_call(losses[0], weights, (images, noise)))
    return lambda images, noise: vmap(one)(parameters, images, noise)


def branch_gradients(models: list[VAE], images: Tensor, noise: Tensor) -> None:
    """The same, network by network, each on a stream of its own where there are streams; into the parameters' grad."""
    streams = [torch.cuda.Stream() if images.is_cuda else None for _ in models]
    start = torch.cuda.current_stream().record_event() if images.is_cuda else None
    for stream, model, some, eps in zip(streams, models, images, noise, strict=True):
        if stream is not None:
            stream.wait_event(start)
        with torch.cuda.stream(stream):
            Loss(model)(some, eps).backward()
    for stream in streams:
        if stream is not None:
            torch.cuda.current_stream().wait_stream(stream)


Case = tuple[str, str, int, bool]  # loop, precision, runs at once, deterministic convolutions


def cases(device: torch.device) -> list[Case]:
    """What is compared."""
    found: list[Case] = []
    for precision in PRECISIONS if device.type == "cuda" else ("float32", "bfloat16"):
        found.append(("reference", precision, 1, True))
        found += [("engine", precision, runs, True) for runs in TOGETHER]
        found += [("engine", precision, runs, False) for runs in (TOGETHER[0], TOGETHER[-1])]
    return found


def build(case: Case, config: TrainingConfig, data: Dataset) -> Callable[[int], object]:
    """A function that trains the case's runs, arms in turn and seeds counted up, for so many steps each."""
    loop, precision, runs, _ = case
    configs = [
        TrainingConfig.from_mapping(
            config.as_mapping() | {"precision": precision, "seed": 1 + i // 2, "arm": ("linear", "adaptive")[i % 2]}
        )
        for i in range(runs)
    ]
    if loop == "reference":
        return reference_loop(configs[0], data.packed.cpu().numpy())
    return Lockstep([Engine(each, data) for each in configs]).run


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
            "share_of_product_rate": operations / product_rate(precision, 1, device, PRODUCT),
            "memory_held_mib": memory[case] / 2**20,
        })  # fmt: skip
    return pd.DataFrame(rows)


def compare_stacking(config: TrainingConfig, device: torch.device, runs: int, rounds: int) -> dict[str, float]:
    """Milliseconds for the gradients of so many networks, as branches and as one network of stacked weights; medians.

    Both are captured as graphs where the device has them.
    """
    models = [plain_model(config).to(device) for _ in range(runs)]
    images = torch.randint(2, (runs, config.batch_size, 1, 64, 64), device=device).float()
    noise = torch.randn(runs, config.batch_size, config.latents, device=device)
    stacked = stacked_gradients(models)
    work = {
        "branches": lambda: branch_gradients(models, images, noise),
        "stacked": lambda: stacked(images, noise),
    }
    if device.type == "cuda":
        for name, compute in list(work.items()):
            compute()
            torch.cuda.synchronize()
            for model in models:
                model.zero_grad(set_to_none=True)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                compute()
            work[name] = graph.replay
    seconds = pd.DataFrame([{name: seconds_of(w, device) for name, w in work.items()} for _ in range(rounds + 1)])
    return (1e3 * seconds[1:].median()).to_dict()


def main() -> None:
    device = choose_device("auto")
    config = load_profile("paper").training_config("linear", 1, device=device.type)
    floor = {
        precision: {
            "tflop_per_second_of_a_large_product": product_rate(precision, 1, device, PRODUCT) / 1e12,
            "gigabyte_per_second_of_a_large_copy": copy_rate(device) / 1e9,
            "operations_per_step": step_operations(config),
            "bytes_per_step": step_bytes(TrainingConfig.from_mapping(config.as_mapping() | {"precision": precision})),
        }
        for precision in (PRECISIONS if device.type == "cuda" else ("float32", "bfloat16"))
    }
    for values in floor.values():
        values["ms_by_operations"] = values["operations_per_step"] / values["tflop_per_second_of_a_large_product"] / 1e9
        values["ms_by_bytes"] = values["bytes_per_step"] / values["gigabyte_per_second_of_a_large_copy"] / 1e6
    print(pd.DataFrame(floor).to_string(float_format="%.4g"), flush=True)

    packed = render_packed(np.random.default_rng(0).choice(N_IMAGES, IMAGES, replace=False))
    data = Dataset(torch.from_numpy(packed), "", "rendered", None).to(device)
    table = measure(config, data, STEPS, ROUNDS)
    with reproducible(1):
        stacking = compare_stacking(config, device, TOGETHER[-1], 20)
    path = RESULTS / "benchmarks" / "cuda.csv"
    write_atomically(path, lambda temporary: table.to_csv(temporary, index=False, float_format="%.4g"))
    origin = provenance(device) | {"date": datetime.now(UTC).isoformat(timespec="seconds")}
    settings = {"batch_size": config.batch_size, "steps": STEPS, "rounds": ROUNDS, "images": IMAGES}
    write_json(path.with_suffix(".json"), origin | settings | {"floor": floor, "gradients_of_ten_ms": stacking})
    print(table.to_string(index=False, float_format="%.3g"))
    print(stacking)


if __name__ == "__main__":
    main()
