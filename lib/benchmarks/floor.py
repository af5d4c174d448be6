"""What a training step of one run costs at least, layer by layer: its operations, the bytes it moves and the kernels it
launches, each over the rate at which the device does nothing else.

The rates are measured: a large matrix product, a large copy, a long chain of the smallest kernels.
"""

import time
from collections.abc import Callable

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from lib.data.dataset import Dataset
from lib.model import VAE
from lib.runs.settings import TrainingConfig
from lib.training.device import reproducible
from lib.training.engine import Engine

PRODUCT = {"cpu": 2048, "cuda": 8192}  # rows of the large product's matrices
COPY = {"cpu": 2**27, "cuda": 2**30}  # bytes of the large copy


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """Wall time of work on the device, from idle to idle."""
    accelerator = torch.cuda if device.type == "cuda" else torch.cpu
    accelerator.synchronize()
    started = time.perf_counter()
    work()
    accelerator.synchronize()
    return time.perf_counter() - started


def step_operations(config: TrainingConfig) -> int:
    """Floating-point operations of the layers' products in one step: two per multiplication, forward and backward.

    Counted by PyTorch, on tensors without values. The images need no gradient, so the first layer makes none.
    """
    with torch.device("meta"):
        model, images = VAE(config.architecture, config.latents), torch.empty(config.batch_size, 1, 64, 64)
    with FlopCounterMode(display=False) as counter:
        mean, logvar = model.encode(images)
        (model.decode(mean).sum() + logvar.sum()).backward()
    return counter.get_total_flops()


def step_bytes(config: TrainingConfig) -> int:
    """The fewest bytes that a step layer by layer moves.

    Parameters and Adam's two moments are read and written, gradients written and read, four bytes each. Every layer's
    output is written and read going forward, and so is its gradient going back: two bytes a value in bfloat16, else
    four.
    """
    values: list[int] = []
    model = VAE(config.architecture, config.latents)
    for layer in model.modules():
        if not (list(layer.children()) or isinstance(layer, nn.Flatten | nn.Unflatten)):
            layer.register_forward_hook(lambda layer, inputs, output: values.append(output.numel()))
    with torch.inference_mode():
        model.decode(model.encode(torch.zeros(config.batch_size, 1, 64, 64))[0])
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return 4 * 8 * parameters + 4 * sum(values) * (2 if config.precision == "bfloat16" else 4)


class Launches(TorchDispatchMode):
    """Counts the operations that compute something, each at least one kernel on a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        self.count += not (operation.is_view or operation.namespace == "profiler")
        return operation(*args, **(kwargs or {}))


def step_launches(engine: Engine) -> tuple[int, int]:
    """Operations of one step, and how many of them `Engine.control` has; each is at least one kernel on a GPU."""
    engine.prepare()
    engine.train_step()  # the optimiser makes its state
    with Launches() as step:
        engine.train_step()
    number, per_latent = (torch.zeros(shape, device=engine.device) for shape in ((), engine.config.latents))
    with Launches() as control:
        engine.control(engine.t, engine.carried, number, number, per_latent)
    return step.count, control.count


def product_rate(precision: str, threads: int, device: torch.device) -> float:
    """Operations per second of a product of random square matrices: the best of ten."""
    size = PRODUCT[device.type]
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    a, b = torch.randn(2, size, size, device=device).to(dtype)
    with reproducible(threads, precision == "tf32"):
        return 2 * size**3 / min(seconds_of(lambda: a @ b, device) for _ in range(10))


def copy_rate(device: torch.device) -> float:
    """Bytes per second, read and written, of a large copy: the best of ten."""
    size = COPY[device.type]
    a = torch.randint(256, (size,), dtype=torch.uint8, device=device)
    b = torch.empty_like(a)
    return 2 * size / min(seconds_of(lambda: b.copy_(a), device) for _ in range(10))


def launch_seconds(device: torch.device, kernels: int = 1000) -> float:
    """Seconds per kernel of a long chain of the smallest ones, on a GPU replayed as a graph: the best of ten."""
    number = torch.zeros((), device=device)

    def chain() -> None:
        for _ in range(kernels):
            number.add_(1)

    work = chain
    if device.type == "cuda":
        chain()  # before a capture, kernels must be loaded
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            chain()
        work = graph.replay
    return min(seconds_of(work, device) for _ in range(10)) / kernels


def floors(configs: dict[str, TrainingConfig], data: Dataset) -> dict[str, dict[str, float]]:
    """The three floors of a step in milliseconds, each with the count and the rate that it comes from, by precision.

    configs: by precision. Floors of one run that goes layer by layer through the device's memory, an operation at a
    time: several runs side by side share the launches, caches save bytes, and fused kernels save both.
    """
    device = data.packed.device
    bytes_per_second, seconds_per_launch = copy_rate(device), launch_seconds(device)
    found = {}
    for precision, config in configs.items():
        launches, of_control = step_launches(Engine(config, data))
        operations, product = step_operations(config), product_rate(precision, config.threads, device)
        found[precision] = {
            "operations": operations,
            "tflop_per_second_of_a_large_product": product / 1e12,
            "ms_by_operations": 1e3 * operations / product,
            "bytes": step_bytes(config),
            "gigabyte_per_second_of_a_large_copy": bytes_per_second / 1e9,
            "ms_by_bytes": 1e3 * step_bytes(config) / bytes_per_second,
            "launches": launches,
            "launches_of_the_control": of_control,
            "microseconds_of_the_smallest_kernel": 1e6 * seconds_per_launch,
            "ms_by_launches": 1e3 * launches * seconds_per_launch,
        }
    return found
