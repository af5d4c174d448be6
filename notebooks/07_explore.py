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
# from the posterior mean of that image, by up to 3 prior standard deviations. They are in order of KL, so that the first does most. Beside each slider,
# for each arm: the latent's number, its KL, and the factor it knows most about with their mutual information, both in nats. The play button sweeps the latent;
# the other latents stay where they are.
#
# Run all cells in JupyterLab, or serve the sliders alone with Voila, from the repository's root:
# `JUPYTER_PATH=notebooks .venv/bin/voila --template=offline notebooks/07_explore.ipynb`. The rendered report has the same
# explorer without any kernel.

# %% tags=["parameters"]
profile: str = "laptop"  # section of profiles.toml whose runs are explored
seed: int = 1  # of the runs

# %%
from lib.explorer.sliders import Explorer, runs_to_explore
from lib.files import ROOT
from lib.report.notebook import parameters
from lib.runs.profiles import load_profile

given = parameters(globals(), ("profile", "seed"))
runs = runs_to_explore(load_profile(given["profile"]), given["seed"])
print(f"Runs in {next(iter(runs.values())).path.parent.relative_to(ROOT)}.")

# %%
from IPython.display import display

display(Explorer(runs).widget)
