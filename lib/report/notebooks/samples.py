"""The samples of an arm that is trained as a sampler, for notebook 05 and the paper's last section."""

from pathlib import Path
from typing import Any

import torch
from IPython.display import Markdown, display

from lib.data.dataset import Dataset
from lib.report.figures.montages import samples
from lib.report.figures.style import show
from lib.report.findings.bottleneck import sampled
from lib.report.kept_pictures import SHOWN, kept_samples
from lib.runs.run import Run


def show_drawn(run: Run, data: Dataset, measured: dict[str, Any], figure: int, path: Path, size: str) -> None:
    """Samples and their nearest images, Figure `figure`, drawn into `path`, and what was measured of all samples.

    measured: samples.json; size: how long the run is, and how many there are. Without weights or kept pictures there
    are words alone.
    """
    drawn = kept_samples(run, measured["config"]["evaluation_seed"])
    said = sampled(measured)
    if drawn is None:
        said += f" {size}."
    else:
        indices = torch.tensor(measured["nearest"])[: SHOWN[0] * SHOWN[1]]
        show(
            samples(drawn, data.images(indices).cpu().numpy().reshape(drawn.shape)),
            path,
            f"**Figure {figure}.** Samples, and below each, once cut at 0.5, the nearest of {measured['images']:,} "
            f"images. {size}.",
        )
    display(Markdown(said))
