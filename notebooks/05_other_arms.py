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
# # Other arms
#
# The methods that the report leans on, and controls, in the same harness: one row of `lib/arms.py` each, on the same
# images, network, initial weights, batches, noise and measures as the linear and the adaptive arm. This notebook shows
# what one of them adds to the loss, trains one run of it, measures it, and ends in the comparison of all arms trained so
# far.

# %% [markdown]
# ## Parameters
#
# The next cell holds what papermill can change: `papermill notebooks/05_other_arms.ipynb out.ipynb -p arm beta_vae -p seed 2`.
# The cell after it builds the configuration and stops, in one sentence, at anything that cannot be.

# %% tags=["parameters"]
profile: str = "laptop"  # section of profiles.toml; a parameter below that is None takes the profile's value
arm: str = "vae"  # what presses on the KL: a row of lib/arms.py that names this notebook
seed: int = 1  # of initial weights, batches and noise
data: str = None  # rendered, download, or the path of the official .npz or .hdf5
steps: int = None  # training steps, one batch each
architecture: str = None  # conv, fc or burgess
latents: int = None  # latent channels
batch_size: int = None  # images per step
learning_rate: float = None  # of Adam
cooldown: float = None  # share of the steps, the last, over which it falls towards 0
c_start: float = None  # C(0), nats per image
c_max: float = None  # C_max, nats per image
kp: float = None  # controller gain on 1 / (1 + exp(C - KL))
ki: float = None  # controller gain on the sum of errors, per nat and step
kd: float = None  # controller gain on the change of the error, per nat
beta_min: float = None  # the least beta
anti_windup: str = None  # published or conditional
precision: str = None  # float32, tf32 (CUDA only), bfloat16 (mixed) or float64
device: str = None  # auto, cpu or cuda
threads: int = None  # CPU threads
trace_every: int = None  # steps between two rows of the trace
snapshots: int = None  # number of weight snapshots
checkpoint_every: int = None  # steps between two checkpoints
position_stride: int = None  # evaluation: 1 for all images, k for every k-th position_x and position_y
monte_carlo_samples: int = None  # evaluation: samples of Chen et al.'s estimator of the MIG
decomposition_samples: int = None  # evaluation: samples of the split of the KL
evaluation_seed: int = None  # evaluation: seed of every random draw
evaluation_batch: int = None  # evaluation: images per forward pass
snapshot_position_stride: int = None  # evaluation over training: like position_stride, for the weight snapshots
snapshots_measured: int = None  # evaluation over training: how many of the run's snapshots, the last among them
dci_samples: int = None  # evaluation: images that the trees of DCI learn from; half as many test them
published: bool = True  # show a published run of these settings where none was begun here; False trains it

# %%
from lib.files import ROOT
from lib.report.notebooks.shared import arms_of, configure_training, figures_of
from lib.report.notebooks.training import (
    show_information,
    show_measures,
    show_rule,
    show_samples,
    show_toy_plant,
    show_traversals,
    train_and_show,
)

config, evaluation, run = configure_training(globals(), arms=arms_of("05_other_arms"), reads_published=True)
print(f"{config}\n-> {run.path.relative_to(ROOT)}")

# %% [markdown]
# ## The rule
#
# Every arm minimises the reconstruction loss $D$ and a pressure $P$ on what the latents carry,
#
# $$ L = D + P(t), \tag{1} $$
#
# both in nats per image. The function that binds the arm's constants and the class that it makes say what $P$ is, which
# paper and equation it comes from, and where it departs from them; `control` decides at every step, without gradient, how strong the pressure
# is, and `penalty` is $P$. InfoGAN alone has neither $D$ nor $P$: its losses are shown instead, and the reconstruction
# loss and the KL further down are only measured, on the VAE that its two networks would make.

# %%
show_rule(config)

# %%
show_toy_plant(config, run, "The KL of the plant under this arm's set point.")

# %% [markdown]
# ## Training
#
# The data set is drawn if it is missing. A run that already stands complete with the same configuration is loaded, one
# that was interrupted continues from its last checkpoint. Where none was begun and one of these settings is published, that
# is shown, with a thinned trace.

# %%
run, data = train_and_show(config, run)

# %% [markdown]
# ## What was reached
#
# The run is measured on the data set; what was measured before is read.

# %%
show_measures(run, data, evaluation)

# %%
show_information(run, data, evaluation)

# %%
show_traversals(run, data)

# %% [markdown]
# ## All arms trained so far
#
# Runs of the same settings, seed and data that stand trained and measured here, or else are published, are put beside
# this one, also those of the linear and the adaptive arm. With one run per arm no difference is told from chance.

# %%
from lib.report.notebooks.other_arms import (
    compare_arms,
    show_arms,
    show_at_kl,
    show_bottleneck,
    show_encoded,
    show_estimates,
    show_total_correlation,
    show_traversals_of_all,
)

others = compare_arms(profile, config, evaluation, data, figures_of(run), figure=5, table=2)

# %%
show_arms(others)
show_total_correlation(others, data)

# %%
show_encoded(others)

# %%
show_traversals_of_all(others, data)

# %%
show_at_kl(others)

# %% [markdown]
# ### The bottleneck
#
# The information bottleneck [5] asks how little of $x$ a code may keep for what it must tell. Here it must tell $x$
# itself: the rate $R$ is what the code costs, the distortion $D$ what is still to be said once it is known. The images
# are binary, so that $D$ is a code length of theirs in nats, and no code is shorter than their entropy:
#
# $$ D + \mathrm{KL} \ge D + I_q(x; z) \ge H(x \mid z) + I_q(x; z) = H(x). $$
#
# A line in the figure follows an arm through its training; of two arms the one nearer to the bound codes better.

# %%
show_bottleneck(others)

# %% [markdown]
# ### The information as training estimated it
#
# Two arms steer by an estimate of $I_q(x; z)$ while they train. It is compared with the value that all measured images
# give, at every weight snapshot.

# %%
show_estimates(others)

# %% [markdown]
# ## Samples
#
# An arm that is trained as a sampler, InfoGAN, is also asked for samples.

# %%
show_samples(run, data, evaluation)
