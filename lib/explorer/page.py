"""The explorer of the rendered report: sliders that move the latents of trained networks, without any kernel.

The decoders run in the page, in plain JavaScript (explorer.js); the encoders do not: posterior means of a thinned grid
of images, encoded here, travel with the page. Both as base64 of 16-bit floats, about 1.3 MB per network `conv`.
"""

import base64
import json
from pathlib import Path

import numpy as np
import torch
from markupsafe import Markup
from torch import nn

from lib.arms import ARMS
from lib.dsprites import FACTOR_NAMES, FACTOR_SIZES, FACTOR_VALUES, SHAPE_NAMES, factors_to_indices, outline, render
from lib.explorer.rows import FOLDED, Row, slider_rows
from lib.model import VAE
from lib.refusal import Refusal
from lib.report.figures.montages import traversals
from lib.report.figures.pictures import MIDDLE_HEART, traverse
from lib.report.figures.style import DOTS_PER_INCH, FACTOR_LABELS, png
from lib.report.latents import class_labels
from lib.report.page.template import rendered
from lib.runs.run import Run

_PAGE = Path(__file__).parent
# Classes of each factor that a start image can have: all shapes and scales, every fourth orientation and position.
_STEPS = (1, 1, 4, 4, 4)
_START = {name: list(range(0, size, step)) for name, size, step in zip(FACTOR_NAMES, FACTOR_SIZES, _STEPS, strict=True)}


def explorer(runs: dict[str, Run]) -> str:
    """HTML, arm -> measured run: start image by factor sliders, each latent moved by up to 3 about its posterior mean.

    The r-th slider moves the latent with the r-th largest KL of every arm; those without information in every arm are
    folded. Without JavaScript, pictures of the traversals stand in its place. Raises ValueError where the runs have
    different numbers of latents.
    """
    rows = slider_rows(runs)
    models = {arm: run.load_model() for arm, run in runs.items()}
    start = [chosen.index(factor) for chosen, factor in zip(_START.values(), MIDDLE_HEART, strict=True)]
    content = {
        "values": [FACTOR_VALUES[name][chosen].tolist() for name, chosen in _START.items()],
        "outlines": [outline(shape).tolist() for shape in range(len(SHAPE_NAMES))],
        "arms": [
            {
                "order": [row.latents[arm].latent for row in rows],
                "means": _halves(_start_means(model)),
                "layers": (packed := pack_decoder(model))[0],
                "weights": _halves(packed[1]),
            }
            for arm, model in models.items()
        ],
    }
    labels = [class_labels(name, chosen) for name, chosen in _START.items()]
    return rendered(
        _PAGE,
        "explorer",
        arms={arm: (ARMS[arm].label, ARMS[arm].colour, _sprites(arm, models[arm], rows)) for arm in runs},
        factors=list(zip(FACTOR_LABELS, labels, start, strict=True)),
        rows=[row for row in rows if row.in_use],
        folded=[row for row in rows if not row.in_use],
        title=FOLDED,
        content=Markup(json.dumps(content, separators=(",", ":"))),
    )


@torch.no_grad()
def pack_decoder(model: VAE) -> tuple[list[dict], np.ndarray]:
    """The decoder as a list of layers for explorer.js and all its weights and biases in their order, float32 [n].

    Every layer with weights is a transposed convolution, channels-last: a linear layer is one with a 1 x 1 kernel on a
    1 x 1 image, and a linear layer that is then unflattened to D x k x k one with a k x k kernel and a bias per pixel.
    Weights [k, k, C, D], biases [D] or [k, k, D].
    """
    layers, weights, biases = [], [], []
    for module in [model.from_latents, *model.decoder]:
        if isinstance(module, nn.Linear):
            weights.append(module.weight.T[None, None])
            biases.append(module.bias)
            layers.append({"kind": "transposed", "stride": 1, "padding": 0})
        elif isinstance(module, nn.Unflatten):
            channels, *kernel = module.unflattened_size
            weights[-1] = weights[-1].reshape(-1, channels, *kernel).permute(2, 3, 0, 1)
            biases[-1] = biases[-1].reshape(channels, *kernel).permute(1, 2, 0)
        elif isinstance(module, nn.ConvTranspose2d):
            weights.append(module.weight.permute(2, 3, 0, 1))
            biases.append(module.bias)
            layers.append({"kind": "transposed", "stride": module.stride[0], "padding": module.padding[0]})
        else:
            layers.append({"kind": {nn.ReLU: "relu", nn.Tanh: "tanh"}[type(module)]})
    with_weights = [layer for layer in layers if layer["kind"] == "transposed"]
    for layer, weight, bias in zip(with_weights, weights, biases, strict=True):
        layer["kernel"], _, layer["inputs"], layer["outputs"] = weight.shape
        layer["biases"] = bias.numel()
    parts = [part.flatten() for pair in zip(weights, biases, strict=True) for part in pair]
    return layers, torch.cat(parts).numpy()


@torch.inference_mode()
def _start_means(model: VAE) -> np.ndarray:
    """Posterior means [n, J] of the start images, position_y fastest."""
    grid = torch.cartesian_prod(*(torch.tensor(classes) for classes in _START.values()))
    images = torch.from_numpy(render(factors_to_indices(grid.numpy())))[:, None].float()  # [n, 1, 64, 64]
    return torch.cat([model.encode(batch)[0] for batch in images.split(256)]).numpy()


def _halves(values: np.ndarray) -> str:
    """base64 of the values as little-endian 16-bit floats."""
    halves = values.astype("<f2")
    if not np.isfinite(halves).all():
        raise Refusal("A weight or posterior mean is not a number below 65,504; train the run again.")
    return base64.b64encode(halves.tobytes()).decode()


def _sprites(arm: str, model: VAE, rows: list[Row]) -> str:
    """The traversals of one arm from -3 to 3, for a page without JavaScript: base64 of a PNG."""
    values = np.linspace(-3, 3, 11, dtype=np.float32)
    start = torch.from_numpy(render(factors_to_indices([MIDDLE_HEART]))).float()
    latents = [row.latents[arm] for row in rows]
    pictures = traverse(model, start, values)[[latent.latent for latent in latents]]
    labels = [f"{latent.latent}: {latent.kl:.1f}\n{latent.factor}" for latent in latents]
    figure = traversals({arm: pictures}, values, {arm: labels})
    return base64.b64encode(png(figure, DOTS_PER_INCH * 2 // 3)).decode()
