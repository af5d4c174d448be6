"""Convolutions with PyTorch's parameters and results, computed on a CPU by whichever equivalent form is fast there.

A transposed convolution is the adjoint of a convolution, so two layers need three operations between them: the
convolution, its adjoint and its weight's gradient; a bias' gradient is a plain sum. (In PyTorch's one call for a
transposed layer's gradients, the bias takes longer than all the rest in bfloat16.) Under autocast, products take
bfloat16 operands and accumulate in float32; where the processor has no instructions for that, they are computed by
its float32 ones (`_product`). Devices other than the CPU get PyTorch's own form.
"""

import platform
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from lib.model import Layers

# x86 processors without these emulate bfloat16 products: 3.5 times as slow a step, on one with AVX-512 alone.
BFLOAT16_PRODUCTS = (
    platform.machine() not in ("x86_64", "AMD64")
    or torch.cpu._is_avx512_bf16_supported()
    or torch.cpu._is_amx_tile_supported()
)


class Conv2d(nn.Conv2d):
    """nn.Conv2d for square kernels, zero padding, no dilation, no groups, with bias."""

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, H, W] -> [B, D, H', W'], channels-last."""
        if x.device.type != "cpu":
            return super().forward(x)
        x, weight, bias = _autocast(x, self.weight, self.bias)
        kernel, stride, padding = self.kernel_size[0], self.stride[0], self.padding[0]
        if x.shape[2:] == self.kernel_size and padding == 0:  # one position: a matrix product
            weight = weight.permute(0, 2, 3, 1).flatten(1)  # [D, k * k * C], as the pixels lie in memory
            return _product(F.linear, x.permute(0, 2, 3, 1).flatten(1), weight, bias)[:, :, None, None]
        if self.in_channels == 1:  # too little work per position for a direct form: a matrix product over windows
            windows = F.pad(x[:, 0], [padding] * 4).unfold(1, kernel, stride).unfold(2, kernel, stride)
            shape = windows.shape[:3]  # B, H', W'
            # Pixels of a window first, so that the copy runs along the image and not along the short window.
            windows = windows.permute(3, 4, 0, 1, 2).reshape(kernel * kernel, -1)
            return _product(F.linear, windows.T, weight.flatten(1), bias).view(*shape, -1).permute(0, 3, 1, 2)
        return _Convolution.apply(x, weight, bias, stride, padding)


class ConvTranspose2d(nn.ConvTranspose2d):
    """nn.ConvTranspose2d for square kernels, no output padding, no dilation, no groups, with bias."""

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, H, W] -> [B, D, H', W'], channels-last, perhaps as a view of a wider image."""
        if x.device.type != "cpu":
            return super().forward(x)
        x, weight, bias = _autocast(x, self.weight, self.bias)
        if x.shape[2:] == (1, 1) and self.padding[0] == 0:  # one position: a matrix product
            weight = weight.permute(0, 2, 3, 1)  # [C, k, k, D]
            bias = bias.repeat(weight.shape[1] * weight.shape[2])
            y = _product(torch.addmm, bias, x.flatten(1), weight.flatten(1))
            return y.view(-1, *weight.shape[1:]).permute(0, 3, 1, 2)
        return _TransposedConvolution.apply(x, weight, bias, self.stride[0], self.padding[0])


FAST = Layers(Conv2d, ConvTranspose2d)
FORWARD = Layers(nn.Conv2d, ConvTranspose2d)  # without gradients, where PyTorch's own convolution is the faster one


def products(precision: str, device: torch.device) -> str:
    """What multiplies in the network, in words for a run's record: the precision alone does not tell it."""
    if precision == "bfloat16" and device.type == "cpu" and not BFLOAT16_PRODUCTS:
        return "bfloat16 by float32 instructions"
    return precision


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return _product(F.conv2d, x, weight, bias, stride, padding)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = _adjoint(grad, weight, None, ctx.stride, ctx.padding, x.shape[2:])
        return grad_x, _weight_gradient(x, grad, weight, ctx.stride, ctx.padding), grad.sum((0, 2, 3)), None, None


class _TransposedConvolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        size = [(side - 1) * stride - 2 * padding + weight.shape[2] for side in x.shape[2:]]
        return _adjoint(x, weight, bias, stride, padding, size)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = _product(F.conv2d, grad, weight, None, ctx.stride, ctx.padding)
        return grad_x, _weight_gradient(grad, x, weight, ctx.stride, ctx.padding), grad.sum((0, 2, 3)), None, None


def _autocast(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors in the type that autocast gives to a convolution's operands here."""
    device = tensors[0].device.type
    if not torch.is_autocast_enabled(device):
        return tensors
    return tuple(tensor.to(torch.get_autocast_dtype(device)) for tensor in tensors)


def _product(operation: Callable[..., Tensor], x: Tensor, *others) -> Tensor:
    """operation(x, *others), in bfloat16 by float32 instructions where the processor has none for bfloat16.

    A product of two bfloat16 numbers is exact in float32, and so is summed as bfloat16 instructions sum it: only the
    order of the sums, and so the last bit of a result, may differ.
    """
    if BFLOAT16_PRODUCTS or x.dtype != torch.bfloat16:
        return operation(x, *others)
    wide = [each.float() if isinstance(each, Tensor) else each for each in (x, *others)]
    with torch.autocast("cpu", enabled=False):  # which would make them bfloat16 again
        return operation(*wide).to(torch.bfloat16)


def _weight_gradient(image: Tensor, grad: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """Gradient of a convolution's weight [D, C, k, k], from its input [B, C, H, W] and its output's gradient."""
    arguments = None, [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], 1, [False, True, False]
    return _product(
        lambda *operands: torch.ops.aten.convolution_backward(*operands, *arguments)[1], grad, image, weight
    )


def _adjoint(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int, size: list[int] | torch.Size
) -> Tensor:
    """Adjoint of the convolution of images [B, D, *size] with weight [C, D, k, k]: x [B, C, H, W] -> [B, D, *size]."""
    channels, kernel = weight.shape[1:3]
    if channels == 1:  # a matrix product, then windows summed where they overlap, in float32 if x is bfloat16
        windows = _product(torch.matmul, weight.flatten(1).T, x.flatten(2))  # [B, k * k, H * W]
        windows = windows.float() if x.dtype == torch.bfloat16 else windows
        y = F.fold(windows, size, kernel, padding=padding, stride=stride)
        return (y if bias is None else y + bias).to(x.dtype)
    border = [s - (n - 1) * stride - kernel + 2 * padding for s, n in zip(size, x.shape[2:], strict=True)]
    if kernel % stride or border != [0, 0]:  # border: lines of the image that no window covers
        return _product(F.conv_transpose2d, x, weight, bias, stride, padding, border)
    # s columns of D channels are, channels-last, one column of s D channels. Seen so, the stride along the rows is 1
    # and the vectors are longer. The padding's columns are computed, then left out of the view.
    wide = weight.permute(0, 2, 3, 1).reshape(len(weight), kernel, kernel // stride, stride * channels)
    bias = None if bias is None else bias.repeat(stride)
    y = _product(F.conv_transpose2d, x, wide.permute(0, 3, 1, 2), bias, (stride, 1), (padding, 0))
    y = y.permute(0, 2, 3, 1).reshape(len(x), size[0], size[1] + 2 * padding, channels)
    return y[:, :, padding : padding + size[1]].permute(0, 3, 1, 2)
