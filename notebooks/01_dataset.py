# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: tags
#     formats: ipynb,py:percent
#     notebook_metadata_filter: kernelspec,jupytext,-jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The data set
#
# dSprites (Matthey et al. 2017) is 737,280 binary images of 64 × 64 pixels: one of three shapes, at one of 6 scales,
# 40 orientations and 32 × 32 positions, drawn again here. How many of them *differ* bounds what a code can say about them.

# %% [markdown] tags=["hide"]
# ## Parameters
#
# `data` may be `rendered`, `download` (the published file, checked against its known SHA-256) or the path of a published
# `.npz` or `.hdf5` file.

# %% tags=["parameters"]
profile: str = "laptop"  # section of profiles.toml: where this notebook's figures go
data: str = None  # rendered, download, or the path of the official .npz or .hdf5; None takes the profile's value

# %%
from lib.data.dataset import check_source
from lib.files import ROOT
from lib.report.notebooks.shared import parameters
from lib.runs.profiles import load_profile

given = parameters(globals(), ("profile", "data"))
chosen = load_profile(given["profile"])
source = chosen.training_config(chosen.arms[0], chosen.seeds[0], data=given["data"]).data
check_source(source)
own = source == chosen.training["data"]  # only the profile's own data speak for its runs
folder = chosen.directory / ("figures" if own else "figures-other-data")
print(f"data: {source}; figures -> {folder.relative_to(ROOT)}")

# %%
import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown, display

from lib.data import counts, dataset
from lib.dsprites import FACTOR_NAMES, FACTOR_SIZES, FACTOR_VALUES, N_IMAGES, SHAPE_NAMES, factors_to_indices
from lib.files import write_json
from lib.report.figures.montages import montage, pixel_density
from lib.report.figures.style import FACTOR_LABELS, show

# %% [markdown]
# ## The file
#
# A pixel is on where its centre lies inside the shape's outline. Outlines and the rule for edges were found from the data
# set's own animation, of which a test redraws all 320 frames without a wrong pixel (`lib/dsprites.py`). Other constants fit
# these frames, too, so that single pixels of other images may be wrong.

# %%
path = dataset.ensure(source)
images = dataset.load(path)
display(
    Markdown(
        f"""| | |
|---|---|
| images | {len(images):,} |
| source | {images.source} |
| file size | {path.stat().st_size / 1e6:.1f} MB |
| in memory | {images.packed.nbytes / 1e6:.1f} MB, one bit per pixel |
| SHA-256 of the pixels | `{images.sha256[:32]}` `{images.sha256[32:]}` |"""
    )
)
display(Markdown("**Table 1.** The data file that training reads."))

# %% [markdown]
# ## The factors
#
# In the published order, `position_y` varies fastest. The first and the last orientation are the same angle.

# %%
factors = pd.DataFrame(
    {
        "values": FACTOR_SIZES,
        "first": [SHAPE_NAMES[0], *(f"{FACTOR_VALUES[name][0]:.3g}" for name in FACTOR_NAMES[1:])],
        "last": [SHAPE_NAMES[-1], *(f"{FACTOR_VALUES[name][-1]:.3g}" for name in FACTOR_NAMES[1:])],
        "entropy (nats)": np.log(FACTOR_SIZES).round(3),
    },
    index=pd.Index(FACTOR_NAMES, name="factor"),
)
display(factors)
display(Markdown("**Table 2.** The five factors. Their entropies add up to log N, the entropy of the image's index."))

# %%
middle = np.array([2, 5, 0, 16, 16])
rows = []
for factor, size in enumerate(FACTOR_SIZES):
    classes = np.tile(middle, (8, 1))
    classes[:, factor] = np.linspace(0, size - 1, 8).round()
    rows.append(classes)
pictures = images.images(torch.from_numpy(factors_to_indices(np.concatenate(rows))))[:, 0].numpy()
show(
    montage(pictures, columns=8, row_labels=list(FACTOR_LABELS)),
    folder / "factors",
    "**Figure 1.** Each factor alone from its first to its last value, the others held (heart, scale 1, upright, in the middle).",
)

# %%
draw = np.random.default_rng(0).choice(N_IMAGES, 48, replace=False)
show(
    montage(images.images(torch.from_numpy(draw))[:, 0].numpy(), columns=16),
    folder / "samples",
    f"**Figure 2.** {len(draw)} images picked at random from all {N_IMAGES:,}.",
)

# %% [markdown]
# ## Where the pixels are on

# %%
per_shape = N_IMAGES // len(SHAPE_NAMES)
density = {}
for shape, name in enumerate(SHAPE_NAMES):
    total = torch.zeros(64, 64)
    for part in torch.arange(shape * per_shape, (shape + 1) * per_shape).split(8192):
        total += images.images(part).sum((0, 1))
    density[name] = (total / per_shape).numpy()
show(
    pixel_density(density),
    folder / "pixel_density",
    "**Figure 3.** How often each pixel is on, over all images of a shape; on average "
    + ", ".join(f"{values.mean():.1%} ({name})" for name, values in density.items())
    + ".",
)

# %% [markdown]
# ## How many different images?
#
# Some combinations of factors give the same picture: the two ends of the orientation, and turns of nearly a quarter
# (square) or half (small ellipse).

# %%
distinct = counts.distinct_images(images.packed)
per_kind = pd.DataFrame({"images": per_shape, "distinct": distinct.per_shape})
per_kind.loc["all"] = [N_IMAGES, distinct.total]
per_kind["share"] = (per_kind["distinct"] / per_kind["images"]).map("{:.1%}".format)
display(per_kind)
display(Markdown("**Table 3.** Distinct images, counted exactly by comparing all pixels."))

# %%
coincidences = distinct.coincidences()
turn = (coincidences["orientation"] - coincidences["first_orientation"]).abs() * 360 / 39
kinds = coincidences.assign(**{"turn (degrees)": turn.round(1)}).groupby(["shape", "turn (degrees)"], sort=False)
kinds = kinds["images"].sum().sort_values(ascending=False).reset_index().set_index("shape")
display(kinds.rename(columns={"images": "images that repeat an earlier one"}))
display(
    Markdown(
        "**Table 4.** Which images coincide: their shape, and the angle between them; scale and position are the same."
    )
)

# %% [markdown]
# ## The bound
#
# A code $z$ sees nothing but the image, so that $I_q(x; z) \le H(x)$, the entropy of the image: $\log N$ if all $N$ differed.

# %%
if own:
    write_json(
        chosen.directory / "dataset.json",
        {
            "source": images.source,
            "sha256": images.sha256,
            "images": len(images),
            "distinct": distinct.total,
            "distinct_per_shape": distinct.per_shape,
            "entropy_nats": distinct.entropy,
        },
    )
display(
    Markdown(
        f"Here $\\log N$ = {np.log(N_IMAGES):.3f} nats and $H(x)$ = **{distinct.entropy:.3f} nats**, as "
        f"{N_IMAGES - distinct.total:,} images repeat another. As the KL is $I_q(x; z) + \\mathrm{{KL}}(q(z) \\,\\|\\, p(z))$, of one of 16 nats, the report's $C_{{\\max}}$, at least "
        f"{16 - distinct.entropy:.2f} nats are therefore *not* information about the image but mismatch "
        "between the aggregate posterior and the prior."
    )
)

# %% [markdown]
# ## Against the published file

# %%
if source == "rendered":
    display(
        Markdown(
            "Not asked for: with this notebook's parameter `data` = `download`, or the file's path, it is compared here."
        )
    )
else:
    differences = counts.pixel_differences(dataset.ensure("rendered"), path)
    display(differences)
    display(
        Markdown(
            f"**Table 5.** Drawn against `{images.source}`: {differences['pixels_differ'].sum():,} of {N_IMAGES * 4096:,} "
            "pixels differ."
        )
    )
