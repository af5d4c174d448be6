"""Convolutions with PyTorch's parameters and results, computed by whichever equivalent form is fast on a CPU.

Outputs are channels-last. What differs from PyTorch's own path, and why (single thread, batch 64):
a kernel as large as its input is one matrix product; a layer with one input or output channel leaves most of a
vector register idle in a direct convolution, but is a matrix product over patches; and the derivatives of a
transposed convolution are plain convolutions and a plain sum, where PyTorch's bias gradient costs more than both
others together. Under autocast, products take bfloat16 operands and accumulate in float32.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def _autocast(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors in the type that autocast gives to a convolution's operands here."""
    device = tensors[0].device.type
    if not torch.is_autocast_enabled(device):
        return tensors
    return tuple(tensor.to(torch.get_autocast_dtype(device)) for tensor in tensors)


class Conv2d(nn.Conv2d):
    """nn.Conv2d for square kernels without dilation or groups, in the form that suits its shape."""

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C_in, H, W] -> [B, C_out, H', W']."""
        kernel, stride, padding = self.kernel_size[0], self.stride[0], self.padding[0]
        if x.shape[2:] == self.kernel_size and not padding:  # one position
            weight = self.weight.permute(0, 2, 3, 1).flatten(1)  # [C_out, kernel * kernel * C_in]
            return F.linear(x.permute(0, 2, 3, 1).flatten(1), weight, self.bias)[:, :, None, None]
        if self.in_channels == 1:
            windows = F.pad(x[:, 0], (padding,) * 4).unfold(1, kernel, stride).unfold(2, kernel, stride)
            batch, height, width = windows.shape[:3]
            # Pixels of the window first: the copy then runs along the image, not along the short window.
            patches = windows.permute(3, 4, 0, 1, 2).reshape(kernel * kernel, -1)
            y = torch.addmm(self.bias, patches.T, self.weight.flatten(1).T)  # [B * H' * W', C_out]
            return y.view(batch, height, width, -1).permute(0, 3, 1, 2)
        return super().forward(x)


class ConvTranspose2d(nn.ConvTranspose2d):
    """nn.ConvTranspose2d for square kernels without dilation, groups or output padding, in the form that suits it."""

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C_in, H, W] -> [B, C_out, H', W']."""
        if x.shape[2:] == (1, 1) and not self.padding[0]:  # one position
            weight = self.weight.permute(0, 2, 3, 1)  # [C_in, kernel, kernel, C_out]
            bias = self.bias.repeat(weight[0, :, :, 0].numel())
            y = torch.addmm(bias, x.flatten(1), weight.flatten(1))
            return y.view(-1, *weight.shape[1:]).permute(0, 3, 1, 2)
        return _TransposedConvolution.apply(*_autocast(x, self.weight, self.bias), self.stride[0], self.padding[0])


class _TransposedConvolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        if weight.shape[1] > 1:
            return F.conv_transpose2d(x, weight, bias, stride, padding)
        kernel = weight.shape[2]
        size = [(side - 1) * stride - 2 * padding + kernel for side in x.shape[2:]]
        patches = weight.flatten(1).T @ x.flatten(2)  # [B, kernel * kernel, H * W]
        if patches.dtype == torch.bfloat16:
            patches = patches.float()  # overlapping patches are summed in float32
        return (F.fold(patches, size, kernel, padding=padding, stride=stride) + bias).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        # The layer is the adjoint of a convolution: its input's gradient is that convolution of `grad`, and its
        # weight's gradient the convolution's with input and output gradient exchanged.
        x, weight = ctx.saved_tensors
        grad_x = F.conv2d(grad, weight, None, ctx.stride, ctx.padding) if ctx.needs_input_grad[0] else None
        stride, padding = [ctx.stride] * 2, [ctx.padding] * 2
        _, grad_weight, _ = torch.ops.aten.convolution_backward(
            x, grad, weight, None, stride, padding, [1, 1], False, [0, 0], 1, [False, True, False]
        )
        return grad_x, grad_weight, grad.sum((0, 2, 3)), None, None
