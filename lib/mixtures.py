"""Densities of one-dimensional mixtures of Gaussians on a regular grid.

Every term of the mutual information gap is the entropy of such a mixture: q(z_j), the mean of all images'
posteriors, or q(z_j|v_k), the mean over the images that share a factor value. Hundreds of thousands of
components are summed by first replacing each with a few Gaussians of a common table, which can then be
counted and convolved.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lib.refusal import Refusal

TAIL = 9.0  # standard deviations of grid beyond the outermost means; what lies further out weighs 2e-19
STEPS = 4  # steps of the table's widths per octave and unit of resolution: makes both sources of error alike
MAX_POINTS = 2**21  # grid points: enough for a standard deviation of 1e-4 in a range of 50
LARGEST_LOGVAR = 60.0  # standard deviations from 1e-13 to 1e13; a trained posterior's lie between 1e-4 and 1
MAX_CELLS = 2**23  # cells of the table counted at one time: 64 MB


@dataclass(frozen=True)
class Densities:
    """K densities, `values` [K, G] (float64), at the points origin + spacing * (0, ..., G - 1)."""

    values: Tensor
    origin: float
    spacing: float

    def entropies(self) -> Tensor:
        """Differential entropies [K] in nats, by the trapezoidal rule."""
        return torch.special.entr(self.values).sum(-1) * self.spacing

    def mixed(self) -> "Densities":
        """The mean of the K densities, as one density [1, G]."""
        return Densities(self.values.mean(0, keepdim=True), self.origin, self.spacing)


def mixture_densities(mean: Tensor, logvar: Tensor, resolution: int = 4) -> Densities:
    """Density of each of K equally weighted mixtures of R Gaussians N(mean[k, r], exp(logvar[k, r])), on one
    grid.

    `mean`, `logvar`: [K, R]. `resolution`, at least 2, is the number of grid points per standard deviation.

    A Gaussian (m, s^2) between the grid points a <= m < a + h and the table's variances u <= v < w is
    replaced by the four Gaussians {a, a + h} x {u, w}, weighted so that its mean and its variance are kept
    exactly: linear weights (1 - f, f) in the mean spread it by f (1 - f) h^2, which is taken off s^2 before
    it is divided, linearly, between u and w. What changes are moments from the third on. A convolution with
    each of the table's widths, by Fourier transform, then gives the densities. Sharp and wide Gaussians share
    no table: those with standard deviations within one octave do, on a grid as fine as that octave asks for,
    and all octaves' spectra are added up (a wide kernel has no high frequencies).

    Raises ValueError for values that are not finite, or posteriors so sharp that the grid would not fit in
    memory.
    """
    if mean.shape != logvar.shape or mean.dim() != 2:
        raise Refusal(f"mean and logvar must both have shape [K, R], not {list(mean.shape)} and {list(logvar.shape)}.")
    if resolution < 2:
        raise Refusal(f"resolution is {resolution}; a standard deviation needs at least 2 grid points.")
    mean, logvar = mean.double(), logvar.double()
    (low, high), (log_low, log_high) = mean.aminmax(), logvar.aminmax()
    low, high, log_low, log_high = (float(bound) for bound in (low, high, log_low, log_high))
    if not all(map(math.isfinite, (low, high, log_low, log_high))):
        raise Refusal("mean or logvar holds values that are not finite; check the encoder's output.")
    groups, rows = mean.shape
    if log_low < -LARGEST_LOGVAR or log_high > LARGEST_LOGVAR:  # beyond, exp(logvar / 2) or its square leaves floats
        raise Refusal(
            f"logvar runs from {log_low:.1f} to {log_high:.1f}; variances must lie within exp(±{LARGEST_LOGVAR:.0f})."
        )
    narrowest, widest = math.exp(log_low / 2), math.exp(log_high / 2)
    origin, period = low - TAIL * widest, high - low + 2 * TAIL * widest
    points = 2 ** math.ceil(math.log2(period * resolution / narrowest))
    if points > MAX_POINTS:
        raise Refusal(
            f"The smallest standard deviation, {narrowest:.1e}, against a range of {period:.1f} asks for "
            f"{points} grid points, more than {MAX_POINTS}; bound logvar from below."
        )
    octaves = ((logvar - log_low) / math.log(4)).floor_().to(torch.uint8)  # of the standard deviation
    values = mean.new_empty(groups, points)
    at_once = max(1, MAX_CELLS // (points * (STEPS * resolution + 1)))
    for start in range(0, groups, at_once):
        part = slice(start, start + at_once)
        spectrum = mean.new_zeros(len(mean[part]), points // 2 + 1, dtype=torch.complex128)
        for octave in octaves[part].unique().tolist():
            group, row = (octaves[part] == octave).nonzero(as_tuple=True)
            smallest = math.exp(log_low + octave * math.log(4))
            contribution = _octave_spectrum(
                mean[part][group, row] - origin, logvar[part][group, row].exp(), group, len(spectrum),
                smallest, period, points >> octave, resolution,
            )  # fmt: skip
            spectrum[:, : contribution.shape[1]] += contribution
        values[part] = torch.fft.irfft(spectrum, n=points)
    spacing = period / points
    return Densities(values.div_(rows * spacing).clamp_(min=0), origin, spacing)  # rounding leaves about -1e-16


def _octave_spectrum(
    offset: Tensor, variance: Tensor, group: Tensor, groups: int,
    smallest: float, period: float, points: int, resolution: int,
) -> Tensor:  # fmt: skip
    """Fourier coefficients [groups, points / 2 + 1] of the sum of Gaussians at `offset` with `variance` in
    [smallest, 4 smallest), each [n], added up by `group` [n]."""
    spacing = period / points
    cell = (offset / spacing).floor_()
    upper = offset / spacing - cell  # weight of the upper neighbour in the mean
    cell = cell.long()
    variance = variance - upper * (1 - upper) * spacing**2
    steps = STEPS * resolution
    bottom = smallest - spacing**2 / 4
    ratio = (4 * smallest / bottom) ** (1 / steps)
    table = bottom * ratio ** torch.arange(steps + 1, dtype=torch.float64, device=offset.device)  # [steps + 1]
    below = ((variance / bottom).log_() / math.log(ratio)).long().clamp_(0, steps - 1)
    wider = (variance - table[below]) / (table[1:] - table[:-1])[below]  # weight of the wider neighbour

    count = groups * (steps + 1) * points
    cell += (group * (steps + 1) + below) * points
    histogram = offset.new_zeros(count)
    for shift, weight in (
        (0, (1 - wider) * (1 - upper)), (1, (1 - wider) * upper),
        (points, wider * (1 - upper)), (points + 1, wider * upper),
    ):  # fmt: skip
        histogram += torch.bincount(cell + shift, weight, minlength=count)
    frequency = torch.arange(points // 2 + 1, dtype=torch.float64, device=offset.device) * (2 * math.pi / period)
    kernels = torch.exp(-0.5 * table[:, None] * frequency.square())  # [steps + 1, points / 2 + 1]
    return (torch.fft.rfft(histogram.view(groups, steps + 1, points)) * kernels).sum(1)
