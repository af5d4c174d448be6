# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
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
# # Linear training
#
# ControlVAE with its published schedule: the KL capacity $C(t)$ grows by a fixed amount at fixed times, whatever the
# network does. This notebook shows the rule on a plant with a known answer, trains one run, and measures it. The same
# notebook trains the control `linear_full`, whose ramp is stretched over all of training.

# %% [markdown]
# ## Parameters
#
# The next cell holds what papermill can change: `papermill notebooks/02_linear_training.ipynb out.ipynb -p seed 2 -p steps 20000`.
# The cell after it builds the configuration and stops, in one sentence, at anything that cannot be.

# %% tags=["parameters"]
profile: str = "laptop"  # section of profiles.toml; a parameter below that is None takes the profile's value
arm: str = "linear"  # how C grows: linear or linear_full (a control)
seed: int = 1  # of initial weights, batches and noise
data: str = None  # rendered, download, or the path of the official .npz or .hdf5
steps: int = None  # training steps, one batch each
architecture: str = None  # conv, fc or burgess
latents: int = None  # latent channels
batch_size: int = None  # images per step
learning_rate: float = None  # of Adam
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
from lib.arms import ARMS
from lib.files import ROOT
from lib.report.notebook import configure_training

profile, config, evaluation, run = configure_training(globals(), arms=("linear", "linear_full"))
print(f"{config}\n-> {run.path.relative_to(ROOT)}")

# %%
from IPython.display import Markdown, display

from lib.arms import schedule_of
from lib.data import dataset
from lib.evaluation.evaluate import evaluate
from lib.evaluation.scores import measure_scores
from lib.evaluation.snapshots import measure_snapshots
from lib.pid import PIDController
from lib.report import figures
from lib.report.information_figures import over_training
from lib.report.notebook import label
from lib.report.tables import run_table
from lib.runs.run import read_trace
from lib.toy_plant import simulate
from lib.training.train import train

# %% [markdown]
# ## The rule
#
# Shao et al. raise the capacity by 0.15 nats every 5,000 of 1.5 million steps. For $t_{\max}$ steps,
#
# $$ C(t) = \min\left( C_{\max},\; C(0) + 0.15 \left\lfloor \frac{300\, t}{t_{\max}} \right\rfloor \right), \tag{1} $$
#
# so that $C_{\max} = 16$ is reached after 35% of training and held from there. At each step the capacity moves first; then the controller
# turns the error $e(t) = C(t) - \mathrm{KL}(t)$ into the weight of the KL in the loss:
#
# $$ \beta(t) = \max\left( \beta_{\min},\; \frac{K_p}{1 + \exp e(t)} - K_i \sum_{s \le t} e(s) + \beta_{\min} \right). \tag{2} $$
#
# The sum is held while an anti-windup rule says so (`lib/pid.py`).
#
# To see the rule without a network, let the KL follow $\beta$ as a linear VAE's would on ten Gaussian sources: it moves
# towards $\sum_i \max(0, \log(\lambda_i / \beta)) / 2$, the optimum by reverse water-filling, with a lag.

# %%
toy = simulate(
    PIDController(ki=1.0, anti_windup="conditional"), schedule_of(arm, 0.5, 16.0, 6_000), steps=6_000, lag=100
)
figures.show(
    figures.toy_plant(toy, arm),
    run.path / "figures" / "toy_plant",
    "**Figure 1.** The rule on the toy plant, a simulation without a network (6,000 steps, ki = 1, lag 100, conditional "
    "anti-windup). The capacity climbs in small stairs whatever happens. The KL overshoots it at the start, beta rises until "
    "the KL has come down, and falls again as C lets more through.",
)

# %% [markdown]
# ## Training
#
# The data set is drawn if it is missing. A run that already stands complete with the same configuration is loaded, one
# that was interrupted continues from its last checkpoint.

# %%
data = dataset.load(dataset.ensure(config.data))
run = train(config, run, data)

# %%
trace = read_trace(run.path / "trace.h5")
figures.show(
    figures.traces({arm: [trace]}),
    run.path / "figures" / "trace",
    "**Figure 2.** Training of the " + ARMS[arm].label + " arm: reconstruction loss, KL and beta (moving "
    f"averages; pale, beta at every step) and capacity. n = 1 run; {label(run)}.",
)

# %% [markdown]
# ## What was reached
#
# The run is measured on the data set: the posterior of every image, the reconstruction loss with $z$ sampled once per
# image from a fixed seed, and the mutual information gap (MIG). How long $\beta$ stood at its least value, how far the
# KL was from the capacity, and whether the controller locked are properties of the training. Three other measures of
# disentanglement stand beside the MIG: DCI, SAP and the FactorVAE score.

# %%
measured = evaluate(run, data, evaluation)
scores = measure_scores(run, evaluation)
display(run_table([run]).T)
display(
    Markdown(
        "**Table 1.** The run in numbers. Losses and KL in nats per image; MIG by quadrature, over scale, orientation, "
        f"x and y. Measured on {measured['images']:,} images; {label(run)}. DCI learns from {evaluation.dci_samples:,} images."
    )
)

# %% [markdown]
# What the KL consisted of while the network learnt is read from its weight snapshots: $I_q(x; z)$, the total correlation
# of the latents and the mismatch of each alone add up to the KL.

# %%
snapshots = measure_snapshots(run, data, evaluation)
figures.show(
    over_training({arm: [snapshots]}),
    run.path / "figures" / "information",
    "**Figure 3.** The KL and its parts over training, C, and the MIG (quadrature) below; dotted, log N, the bound of the mutual "
    f"information on the N = {snapshots['images'].iloc[0]:,} images that were measured at {len(snapshots)} snapshots, joined by "
    f"straight lines. n = 1 run; {label(run)}.",
)
