"""Gradients of several networks of the same shape at once, in several ways: what could train many runs on one GPU.

- branches: network by network, each on a stream of its own, as lib/training/lockstep.py trains;
- stacked: one network with stacked weights (torch.func.vmap), convolutions as PyTorch batches them;
- products: the same, with every convolution as a matrix product over windows, so that a stack of them is one batched
  matrix product;
- branches and products also with kernels fused by torch.compile.

lib/benchmarks/cuda.py times them. All compute the same gradients.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap

from lib.model import VAE, kl_per_latent, reconstruction_loss, reparameterise
from lib.runs.settings import TrainingConfig
from lib.training.plain import plain_model

# Images [R, B, 1, 64, 64] and noise [R, B, J] -> gradients of the R networks, stacked or listed, by names in `Loss`.
Gradients = Callable[[Tensor, Tensor], dict[str, Tensor | list[Tensor]]]


def neighbours(x: Tensor) -> Tensor:
    """Every pixel with those to its right and below: x [B, C, H, W] -> [B, H - 1, W - 1, 4 C] by line, column, channel.

    Slices and not Tensor.unfold, whose gradient vmap computes network by network.
    """
    height, width = x.shape[2] - 1, x.shape[3] - 1
    pixels = x.permute(0, 2, 3, 1)
    return torch.cat([pixels[:, i : i + height, j : j + width] for i in (0, 1) for j in (0, 1)], dim=3)


class ProductConv2d(nn.Conv2d):
    """nn.Conv2d as one matrix product: 4x4 windows, of which there is one, or at stride 2 and padded by 1."""

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, H, W] -> [B, D, H', W']."""
        (batch, inputs, height, width), outputs = x.shape, self.out_channels
        if x.shape[2:] == self.kernel_size:
            return F.linear(x.flatten(1), self.weight.flatten(1), self.bias)[:, :, None, None]
        # Blocks of 2x2 pixels are the channels of a smaller image; a window is four blocks.
        blocks = F.pad(x, [1] * 4).view(batch, inputs, height // 2 + 1, 2, width // 2 + 1, 2)
        blocks = blocks.permute(0, 1, 3, 5, 2, 4).flatten(1, 3)  # [B, C * line * column, H' + 1, W' + 1]
        halves = self.weight.view(outputs, inputs, 2, 2, 2, 2)  # [D, C, half, line, half, column]
        matrix = halves.permute(0, 2, 4, 1, 3, 5).flatten(1)
        return F.linear(neighbours(blocks), matrix, self.bias).permute(0, 3, 1, 2)


class ProductConvTranspose2d(nn.ConvTranspose2d):
    """nn.ConvTranspose2d as one matrix product: of one position, or 4x4 windows at stride 2, padded by 1."""

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, H, W] -> [B, D, H', W']."""
        (batch, inputs, height, width), outputs = x.shape, self.out_channels
        if (height, width) == (1, 1):
            y = x.flatten(1) @ self.weight.flatten(1)
            return y.view(batch, outputs, *self.kernel_size) + self.bias.to(y.dtype)[:, None, None]
        # Neighbours x[m - 1] and x[m] make the pixels 2m and 2m + 1 of the output before it is cropped, with the lines
        # (2, 3) and (0, 1) of the kernel: its halves in reverse order.
        halves = self.weight.view(inputs, outputs, 2, 2, 2, 2).flip(2, 4)  # [C, D, half, line, half, column]
        matrix = halves.permute(2, 4, 0, 1, 3, 5).reshape(4 * inputs, 4 * outputs)
        y = neighbours(F.pad(x, [1] * 4)) @ matrix  # [B, H + 1, W + 1, D * line * column]
        y = y.view(batch, height + 1, width + 1, outputs, 2, 2).permute(0, 3, 1, 4, 2, 5)
        y = y.reshape(batch, outputs, 2 * height + 2, 2 * width + 2)[:, :, 1:-1, 1:-1]
        return y + self.bias.to(y.dtype)[:, None, None]  # autocast rounds the bias of a convolution, too


class Loss(nn.Module):
    """The VAE's loss at beta = 1 as a module, for vmap; in bfloat16 as the engine computes it, else in float32."""

    def __init__(self, model: VAE, precision: str) -> None:
        super().__init__()
        self.model, self.bfloat16 = model, precision == "bfloat16"

    def forward(self, images: Tensor, noise: Tensor) -> Tensor:
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.bfloat16):
            mean, logvar = self.model.encode(images)
            logits = self.model.decode(reparameterise(mean.float(), logvar.float(), noise))
        return reconstruction_loss(logits.float(), images).mean() + kl_per_latent(mean.float(), logvar.float()).sum()


def stacked_gradients(losses: list[Loss]) -> Gradients:
    """The networks as one of stacked weights."""
    parameters = {name: value.detach() for name, value in stack_module_state(losses)[0].items()}  # no second derivative
    one = grad(lambda weights, images, noise: functional_call(losses[0], weights, (images, noise)))
    return lambda images, noise: vmap(one)(parameters, images, noise)


def branch_gradients(losses: list[Loss], device: torch.device, compiled: bool) -> Gradients:
    """Network by network, on a GPU each on a stream of its own."""
    streams = [torch.cuda.Stream(device) if device.type == "cuda" else None for _ in losses]
    forward = [torch.compile(loss, fullgraph=True, dynamic=False) if compiled else loss for loss in losses]

    def compute(images: Tensor, noise: Tensor) -> dict[str, list[Tensor]]:
        start = torch.cuda.current_stream().record_event() if images.is_cuda else None
        for stream, loss, run, some, eps in zip(streams, losses, forward, images, noise, strict=True):
            if stream is not None:
                stream.wait_event(start)
            with torch.cuda.stream(stream):
                loss.zero_grad(set_to_none=True)
                run(some, eps).backward()
        for stream in streams:
            if stream is not None:
                torch.cuda.current_stream().wait_stream(stream)
        return {name: [loss.get_parameter(name).grad for loss in losses] for name, _ in losses[0].named_parameters()}

    return compute


def ways(configs: list[TrainingConfig], device: torch.device) -> dict[str, Gradients]:
    """What is compared, by name, for one network per configuration, all of the same shape and precision."""

    def losses(*layers: type, memory_format: torch.memory_format = torch.contiguous_format) -> list[Loss]:
        models = [plain_model(config, *layers).to(device, memory_format=memory_format) for config in configs]
        return [Loss(model, configs[0].precision) for model in models]

    products = stacked_gradients(losses(ProductConv2d, ProductConvTranspose2d))
    return {
        "branches": branch_gradients(losses(memory_format=torch.channels_last), device, False),
        "branches, compiled": branch_gradients(losses(memory_format=torch.channels_last), device, True),
        "stacked": stacked_gradients(losses()),
        "products": products,
        "products, compiled": torch.compile(products, fullgraph=True, dynamic=False),
    }
