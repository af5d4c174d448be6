"""A plant with a known answer, to show controller and schedule before any training."""

import pandas as pd
import torch
from torch import Tensor

from lib.pid import PIDController
from lib.schedules import Schedule

VARIANCES = torch.logspace(3, 1.35, 10, dtype=torch.float64)  # ten sources; at beta = 1 they take 25 nats


def rate(beta: Tensor, variances: Tensor = VARIANCES) -> Tensor:
    """KL (nats) at which a linear VAE with unit noise settles for independent Gaussian sources of these variances.

    sum_i max(0, log(variance_i / beta)) / 2: reverse water-filling, beta is the water level
    (Cover & Thomas, Elements of Information Theory, theorem 10.3.3).
    """
    return 0.5 * (variances / beta).log().clamp(min=0).sum()


def simulate(controller: PIDController, schedule: Schedule, steps: int, lag: float) -> pd.DataFrame:
    """Controller and schedule on the toy plant: columns step, kl, beta, set_point, capacity, frozen.

    In place of a network, the KL moves towards `rate(beta)` by 1/lag of the distance per step; it starts at 0, as in a
    network that encodes nothing yet.
    """
    state = controller.initial_state()
    beta = torch.ones((), dtype=torch.float64)
    kl = torch.zeros((), dtype=torch.float64)
    capacity = torch.tensor(schedule.c_start, dtype=torch.float64)
    rows = []
    for step in range(1, steps + 1):
        kl = kl + (rate(beta) - kl) / lag
        t = torch.tensor(step)
        set_point = schedule.set_point(t, capacity)
        beta_before = beta
        beta, state = controller.step(state, set_point, kl)
        capacity = schedule.advance(t, set_point, beta, beta_before)
        rows.append([step, *(value.item() for value in (kl, beta, set_point, capacity, state.frozen))])
    return pd.DataFrame(rows, columns=["step", "kl", "beta", "set_point", "capacity", "frozen"])
