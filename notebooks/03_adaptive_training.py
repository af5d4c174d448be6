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
# # Adaptive training
#
# The report's proposal: raise the capacity only when the controller signals that the pressure was enough. The same
# notebook trains two controls, `adaptive_hold` and `random_hold`.

# %% [markdown] tags=["hide"]
# ## Parameters
#
# The next cell holds what papermill can change: `papermill notebooks/03_adaptive_training.ipynb out.ipynb -p seed 2 -p steps 20000`.
# The cell after it builds the configuration and stops, in one sentence, at anything that cannot be.

# %% tags=["parameters"]
profile: str = "laptop"  # section of profiles.toml; a parameter below that is None takes the profile's value
arm: str = "adaptive"  # how C grows: adaptive; adaptive_hold or random_hold (controls)
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

# %%
from lib.files import ROOT
from lib.report.notebooks.shared import arms_of, configure_training
from lib.report.notebooks.training import (
    show_information,
    show_measures,
    show_rule,
    show_toy_plant,
    show_traversals,
    train_and_show,
)

config, evaluation, run = configure_training(globals(), arms=arms_of("03_adaptive_training"))
print(f"{config}\n-> {run.path.relative_to(ROOT)}")

# %% [markdown]
# ## The rule
#
# With $\beta(t)$ from the error $e(t) = C(t-1) - \mathrm{KL}(t)$ and the controller of the linear arm,
#
# $$ C(t) = \begin{cases} C(t-1) & \text{if } \beta(t) > \beta(t-1), \\ C(t-1) + \dfrac{C_{\max} - C(t-1)}{t_{\max} - (t-1)} & \text{otherwise.} \end{cases} \tag{1} $$
#
# A rising $\beta$ is read as a KL above the capacity, which waits; each step that does not wait takes an equal share of what
# is left. $\beta$ is the clipped value, so that a tie advances; $t$ counts from 1, and $\beta(0) = 1$. If a share $p$ of the
# steps advances, evenly spread, what is left follows $(1 - t/t_{\max})^p$: the arm arrives only at its very end.

# %%
show_rule(config)

# %%
show_toy_plant(
    config,
    run,
    "The capacity stays near its start until beta has pushed the KL down to it (`random_hold` does not wait); then both climb.",
)

# %% [markdown]
# ## Training

# %% [markdown] tags=["hide"]
# Initial weights, batches and noise are those of the linear arm with the same seed. The data set is drawn if it is missing. A run that already stands complete with the same configuration is loaded, one
# that was interrupted continues from its last checkpoint.

# %%
run, data = train_and_show(config, run)

# %% [markdown] tags=["hide"]
# ## What was reached

# %% tags=["hide"]
show_measures(run, data, evaluation)

# %% tags=["hide"]
show_information(run, data, evaluation)

# %% tags=["hide"]
show_traversals(run, data)
