"""The learning rate over a run: constant, then, over its last steps, linearly towards 0 (a cooldown).

A controller whose loop swings at the full rate comes to rest in it, so that the last weights are no random phase.
"""

import torch
from torch import Tensor
from torch.optim import Optimizer


def share_of_rate(t: Tensor, steps: int, cooldown: int) -> Tensor:
    """The share [] of the full learning rate at step t = 1, ..., steps: 1, then 1 - 1/n, ..., 1/n over the last n.

    t: integer []; cooldown: n, at least 1. So the last step still learns.
    """
    return ((steps - t + 1).double() / cooldown).clamp(max=1.0)


def hold_rate_in_tensor(optimizer: Optimizer, device: torch.device) -> None:
    """Make the optimiser's learning rate a tensor on the device, which a captured step can change there.

    To be called when it is made, and after its state is loaded; the full rate is the group's `initial_lr`, as
    PyTorch's own schedulers have it. CUDA's fused Adam reads float32, the CPU's a number.
    """
    for group in optimizer.param_groups:
        full = group.setdefault("initial_lr", group["lr"])
        dtype = torch.float32 if device.type == "cuda" else torch.float64
        group["lr"] = torch.tensor(full, dtype=dtype, device=device)


def set_rate(optimizer: Optimizer, share: Tensor) -> None:
    """Give the optimiser this share [] of its full learning rate, on the device."""
    for group in optimizer.param_groups:
        group["lr"].copy_(share * group["initial_lr"])
