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
# # Explore the latents
#
# What does each latent of the two networks draw? The factor sliders choose a start image. Each of the sliders below them moves one latent of each arm away
# from the posterior mean of that image, by up to 3 prior standard deviations. They are in order of KL, the largest first; those whose
# latents have a KL of at most 0.1 nats in every arm are folded. Below each slider, for each arm: the latent's number, its KL, and the factor it knows most about with their mutual
# information, both in nats. The play button sweeps the latent; the other latents stay where they are.
#
# The runs are those of the published profile with the best decoders, by the mean reconstruction loss, unless the parameter `profile` names another.
#
# Run all cells in JupyterLab, or serve the sliders alone with Voila, from the repository's root:
# `JUPYTER_PATH=notebooks .venv/bin/voila --template=offline notebooks/07_explore.ipynb`. The rendered report has the same
# explorer without any kernel.

# %% tags=["parameters"]
profile: str = None  # section of profiles.toml whose runs are explored; None: the published one with the best decoders
seed: int = 1  # of the runs

# %%
from lib.explorer.sliders import Explorer, profile_to_explore, runs_to_explore
from lib.files import ROOT
from lib.report.notebooks.shared import parameters

given = parameters(globals(), ("profile", "seed"))
runs = runs_to_explore(profile_to_explore(given["profile"]), given["seed"])
print(f"Runs in {next(iter(runs.values())).path.parent.relative_to(ROOT)}.")

# %%
Explorer(runs).show()
