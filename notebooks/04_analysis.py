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
# # Is continuous bottleneck pressure on a VAE critical for disentanglement?
#
# A reproduction. A student report asked this question and answered it with two trainings of ControlVAE on dSprites, alike
# but for how the KL capacity $C(t)$ grows: *linearly*, or *adaptively*, held while the controller's $\beta(t)$ rises. It had one
# seed per arm, no error bars and no code. Here are the data, the networks, the controller, both schedules and the
# measures, rebuilt and tested; every number below is read from a result file.

# %% tags=["parameters"]
profile: str = "laptop"  # section of profiles.toml whose runs are analysed

# %%
from lib.arms import ARMS
from lib.report.notebook import parameters
from lib.report.tables import dataset_entropy, trained_runs
from lib.runs.profiles import load_profile

chosen = load_profile(parameters(globals(), ("profile",))["profile"])
runs = trained_runs(chosen)
bound = dataset_entropy(chosen)

# %%
import numpy as np
import pandas as pd
import torch
from IPython.display import HTML, Markdown, display

from lib.arms import schedule_of
from lib.data import dataset
from lib.dsprites import FACTOR_NAMES, N_IMAGES, factors_to_indices
from lib.evaluation.evaluate import evaluate
from lib.evaluation.scores import measure_scores
from lib.evaluation.snapshots import measure_snapshots
from lib.explorer.page import explorer
from lib.files import read_json
from lib.report import figures
from lib.report.animation import save_traversals
from lib.report.effects import (
    ARRIVAL,
    DIFFERENCE,
    LATE_DIFFERENCE,
    RULE,
    effect,
    effect_text,
    side_by_side,
    told_from_chance,
)
from lib.report.information_figures import over_training
from lib.report.latents import latent_table
from lib.report.notebook import PAPER_STEPS, label
from lib.report.pictures import reconstruct, traverse
from lib.report.tables import PUBLIC_LOGS, REPORTED, departures, factor_table, holds, information_gaps, run_table
from lib.runs.run import read_advanced, read_trace
from lib.schedules import replay

images = dataset.load(dataset.ensure(chosen.training["data"]))
evaluation = chosen.evaluation_config()
snapshots = {}
for run in runs:  # read from the run's directory, unless it was last measured with other settings
    evaluate(run, images, evaluation)
    measure_scores(run, evaluation)
    snapshots[run.name] = measure_snapshots(run, images, evaluation)
table = run_table(runs)
table.to_csv(chosen.directory / "table.csv")
first = {
    run.config().arm: run for run in runs if run.config().seed == chosen.seeds[0]
}  # for what can show one seed only
pair = {arm: first[arm] for arm in ("linear", "adaptive")}
traces = {arm: [read_trace(run.path / "trace.h5") for run in runs if run.config().arm == arm] for arm in chosen.arms}
measured = {arm: read_json(run.path / "evaluation.json") for arm, run in pair.items()}
mean, spread = table.groupby("arm").mean(numeric_only=True), table.groupby("arm").std(numeric_only=True)
n = len(chosen.seeds)
reduced = chosen.training["steps"] < PAPER_STEPS
origin = f"n = {n} run{'s' if n > 1 else ''} per arm; {label(*runs)}"
one_seed = label(*pair.values())
each_column = f"one column per arm, mean ± standard deviation over {n} seeds" if n > 1 else "one column per run"
folder = chosen.directory / "figures"


def per_arm(column: str, form: str = ".2f") -> str:
    """ "linear 1.00, adaptive 2.00", with the spread over seeds where there are several."""
    return ", ".join(
        f"{ARMS[arm].label} {mean.loc[arm, column]:{form}}" + (f" ± {spread.loc[arm, column]:{form}}" if n > 1 else "")
        for arm in chosen.arms
    )


def columns_of(frame: pd.DataFrame, rows: dict) -> pd.DataFrame:
    return side_by_side(frame, table["arm"], rows)


# %%
certainty = (
    f"in brackets the 95% confidence interval over {n} seeds, paired, by Student's t"
    if n > 1
    else "one seed per arm, so that chance cannot be told from effect"
)
size = (
    f"This is a **reduced run** of {chosen.training['steps']:,} steps instead of {PAPER_STEPS:,}, with the changes listed "
    "under Experiments: it shows how the two rules behave, not what the report's own setting gives."
    if reduced
    else f"This is the report's own size, {PAPER_STEPS:,} steps."
)
display(
    Markdown(
        f"**The answer of these runs.** The adaptive arm's MIG differs from the linear arm's by {effect_text(table, 'mig_four', DIFFERENCE, '.3f')} ({certainty}). "
        f"MIG: {per_arm('mig_four', '.3f')}; reconstruction loss in nats: {per_arm('reconstruction', '.1f')}; KL in nats: {per_arm('kl')}. The report "
        f"found 0.5279 and 0.5273 for the MIG, 18.2 and 37.1 nats for the reconstruction. {size}"
    )
)

# %%
headline = columns_of(
    table,
    {
        "MIG, four factors": ("mig_four", "{:.3f}".format),
        "reconstruction (all images)": ("reconstruction", "{:.2f}".format),
        "reconstruction (last 1% of steps)": ("reconstruction_last_percent", "{:.2f}".format),
        "KL": ("kl", "{:.2f}".format),
        "final C": ("final_capacity", "{:.2f}".format),
        "β (last 1% of steps)": ("beta_last_percent", "{:.2f}".format),
        "n images": ("images", "{:,.0f}".format),
        "steps": ("steps", "{:,.0f}".format),
    },
)
for _, row in REPORTED.iterrows():
    headline[f"the report, {row['arm']}"] = pd.Series(
        {
            "MIG, four factors": f"{row['mig']:.4f}",
            "reconstruction (all images)": f"{row['reconstruction']:.2f}",
            "steps": f"{PAPER_STEPS:,}",
        }
    )
display(headline.fillna(""))
display(
    Markdown(
        f"**Table 1.** Our runs, {each_column}, and the report's own figures. Losses, KL and C in nats per image. MIG: quadrature "
        "over the exact aggregate posterior, averaged over scale, orientation, x and y; which estimator the report used is not known to us. "
        f"Reconstruction: mean over all images with z sampled once. {origin}."
    )
)

# %% [markdown]
# ## Introduction
#
# A variational autoencoder [1] learns an encoder $q(z|x)$ and a decoder $p(x|z)$ by maximising
# $\mathbb{E}\log p(x|z) - \mathrm{KL}(q(z|x)\,\|\,p(z))$. A *disentangled* code gives each factor of variation (here shape, scale,
# orientation, position) latents of its own. β-VAE [4] weighs the KL by $\beta > 1$ and finds that this separates factors, at the price
# of blurred reconstructions; KL annealing [2, 3] had changed the weight over time for another reason, to keep text models from ignoring
# their latents. [6] explains β-VAE by the information bottleneck [5] and lets a *capacity* grow,
# penalising $\gamma\,|\mathrm{KL} - C|$, so that factors enter in the order of their effect on the pixels. FactorVAE [7] and β-TCVAE [12] penalise
# only the dependence between latents; InfoGAN [8] reaches for the same end without an encoder-side bottleneck. ControlVAE [9] reaches
# a KL set point $C(t)$ exactly: a PI controller [10] moves $\beta(t)$ until the KL follows.
#
# The report takes ControlVAE on dSprites [11] and asks whether the *pressure* that $\beta(t)$ exerts must never let up. Its
# measure is the mutual information gap (MIG) of [12].

# %% [markdown]
# ## Hypothesis
#
# Read as a constrained optimisation, the VAE with a capacity is
#
# $$ \max\; \mathbb{E}\log p(x|z) \quad \text{subject to} \quad \mathbb{E}\,\mathrm{KL}(q(z|x)\,\|\,p(z)) \le C, \tag{1} $$
#
# with $\beta$ its multiplier, which is the information bottleneck's $\max I(Z; Y) - \beta\, I(X; Z)$ [5] with the image as its own
# target. The KL falls into two parts [7, 14],
#
# $$ \mathbb{E}\,\mathrm{KL}(q(z|x)\,\|\,p(z)) = I_q(x; z) + \mathrm{KL}(q(z)\,\|\,p(z)), \tag{2} $$
#
# of which only the second, the mismatch of the aggregate posterior, ought to be penalised: the first is what the code knows about the image. A
# capacity that grows *compensates* for $I_q(x; z)$. The report's hypothesis: if $C$ runs ahead of $I_q(x; z)$, the pressure slackens and the code
# need not be efficient. So $C$ should rise only when the controller signals that the pressure was enough,
#
# $$ C(t) = \begin{cases} C(t-1) & \text{if } \beta(t) > \beta(t-1), \\ C(t-1) + \dfrac{C_{\max} - C(t-1)}{t_{\max} - (t-1)} & \text{otherwise,} \end{cases} \tag{3} $$
#
# where ControlVAE raises it by the clock,
#
# $$ C(t) = \min\left( C_{\max},\; C(0) + 0.15 \left\lfloor \frac{300\, t}{t_{\max}} \right\rfloor \right). \tag{4} $$
#
# In both, the controller sets
#
# $$ \beta(t) = \max\left( \beta_{\min},\; \frac{K_p}{1 + \exp e(t)} - K_i \sum_{s \le t} e(s) + \beta_{\min} \right), \qquad e(t) = C - \mathrm{KL}(t). \tag{5} $$
#
# If bottleneck pressure is what disentangles, the adaptive arm must score the higher MIG.
#
# Two things the report did not consider bear on what its comparison can show. *A bound:* $I_q(x; z)$ cannot exceed the entropy
# of the images (Appendix A), which is below $C_{\max} = 16$, so that the last nats of capacity cannot compensate for information.
# *A confound:* if a share $p$ of the steps advances, $C_{\max} - C(t) = (C_{\max} - C(0))(1 - t/t_{\max})^p$ if they are evenly spread; the adaptive arm arrives at $C_{\max}$ at the very
# end, where the linear arm spends 65% of training. Two control arms separate pressure from time at capacity: `linear_full`, the
# linear ramp stretched over all of training, and `adaptive_hold`, the adaptive rule with $t_{\max}$ where the linear rule reaches $C_{\max}$, then
# held. They train like the others when a profile lists them.

# %% [markdown]
# ## Experiments
#
# ### Setting
#
# dSprites has 737,280 binary images of 64 × 64 pixels, drawn here from their geometry (Appendix A). The report says that its network
# is "the same as [4]". ControlVAE's code gives that name to a convolutional network, while [4]'s own network for 2D shapes is fully connected:
# `conv` is our reading, `fc` the literal one, and `-p architecture fc` trains it. The likelihood is Bernoulli per pixel; the reconstruction loss is summed over
# pixels, the KL over ten latents, both averaged over the batch, in nats per image. Adam [13], batch 64, $C(0) = 0.5$, $C_{\max} = 16$, $K_p = 0.01$. Both arms start
# from the same weights and see the same batches and the same noise.

# %%
if reduced:
    display(departures(chosen).map(str))
    display(
        Markdown(
            f"**Table 2.** What the profile `{chosen.name}` changes, for all arms alike; everything else is the report's own. The first column "
            "holds the report's values (profile `paper`)."
        )
    )
    reasons = {
        "steps": "A shorter schedule alone is no miniature: the rest of the table keeps it one.",
        "ki": "The controller sums up its error, so that with $K_i = 0.001$ it needs as many steps to raise β as in the full run, of "
        "which there are far fewer here: the adaptive arm would never leave its start.",
        "kp": "$K_p$ is raised with $K_i$, so that the published anti-windup rule still locks at an error of $K_p / K_i$ = "
        f"{chosen.training['kp'] / chosen.training['ki']:.0f} nats, from a sum of zero.",
        "anti_windup": "With the faster controller the published anti-windup rule locks easily: from a sum of zero, one error above $K_p / K_i$ "
        "holds β at its least value for ever (a test shows it). The `conditional` rule has no such lock.",
        "learning_rate": "The learning rate is raised so that the network follows the shorter schedule.",
        "c_max": "$C_{\\max}$ is lowered because trial runs of about this size with 16 nats (not published) either left the position spread over "
        "several latents, or had the KL stop short of C and β at its least value for most of the training.",
        "batch_size": "Smaller batches buy more steps in the same time.",
        "precision": "In `bfloat16` only the products are rounded; weights, losses and controller stay in full precision.",
    }
    changed = departures(chosen).index
    display(Markdown(" ".join(reason for name, reason in reasons.items() if name in changed)))
else:
    display(Markdown("All settings are the report's own."))

# %% [markdown]
# ### Training

# %%
figures.show(
    figures.traces(traces),
    folder / "traces",
    "**Figure 1.** The training of the arms: reconstruction loss, KL and β (moving averages over 1/200 of the training; pale, β at every step) and capacity. "
    f"One line per run, thicker for seed {chosen.seeds[0]}. {origin}.",
)

# %%
display(
    columns_of(
        table.assign(minutes=table["training_seconds"] / 60),
        {
            "mean β over all steps": ("mean_beta", "{:.2f}".format),
            "steps at β = β_min": ("share_at_beta_min", "{:.1%}".format),
            "mean |KL − C| (nats)": ("mean_kl_to_set_point", "{:.2f}".format),
            "steps at which C advanced": ("share_advanced", "{:.1%}".format),
            "controller locked at step": ("locked_at", lambda step: "never" if pd.isna(step) else f"{step:,.0f}"),
            "training time (min)": ("minutes", "{:.1f}".format),
        },
    )
)
display(Markdown(f"**Table {2 + reduced}.** How the controller behaved, {each_column}. {origin}."))

# %% [markdown]
# ### Reconstructions and traversals

# %%
models = {arm: run.load_model() for arm, run in pair.items()}
inputs = images.images(torch.from_numpy(np.random.default_rng(0).choice(N_IMAGES, 9, replace=False)))
figures.show(
    figures.reconstructions(inputs[:, 0].numpy(), {arm: reconstruct(model, inputs) for arm, model in models.items()}),
    folder / "reconstructions",
    "**Figure 2.** Reconstructions from the posterior mean: input above, output below; linear left, adaptive right. "
    f"Nine images picked at random; {one_seed}.",
)

# %%
values = np.linspace(-2, 2, 7, dtype=np.float32)
start = images.images(torch.from_numpy(factors_to_indices([[2, 5, 0, 16, 16]])))[0]
ranked = {arm: latent_table(run) for arm, run in pair.items()}
channel_labels = {
    arm: [
        f"{row.latent}: {row.kl:.1f}" + (f"\n{row.factor}" if row.kl > 0.1 else "")
        for row in latents.sort_values("latent").itertuples()
    ]
    for arm, latents in ranked.items()
}
figures.show(
    figures.traversals({arm: traverse(model, start, values) for arm, model in models.items()}, values, channel_labels),
    folder / "traversals",
    "**Figure 3.** Latent traversals: each of the ten latents from −2 to 2, the others at the posterior mean of a large heart in the middle; linear left, "
    "adaptive right. Beside each row its latent, the latent's KL in nats and the factor it knows most about. "
    f"A latent without KL changes nothing. {one_seed}.",
)

# %% [markdown]
# ### Explore it

# %%
steps_between = np.linspace(-2, 2, 13, dtype=np.float32)
save_traversals(
    {arm: traverse(model, start, steps_between)[ranked[arm]["latent"]] for arm, model in models.items()},
    {arm: [f"{row.latent}: {row.kl:.1f} nats" for row in latents.itertuples()] for arm, latents in ranked.items()},
    folder / "traversal.gif",
)
display(HTML(explorer(pair)))
display(
    Markdown(
        "**Figure 4.** The same to be moved by hand: both decoders run in this page. Choose a start image; each slider then moves one latent of each arm "
        "away from its posterior mean, largest KL first. A separated factor follows one slider alone; where several things change at once, "
        f"the latent is entangled. {one_seed}."
    )
)

# %% [markdown]
# ### Scores

# %%
figures.show(
    figures.scores(
        table.reset_index()[["arm", "mig_four", "reconstruction"]].rename(columns={"mig_four": "mig"}), REPORTED
    ),
    folder / "scores",
    f"**Figure 5.** MIG (quadrature, four factors) and reconstruction loss: our runs (filled) and the report's figures (open, {PAPER_STEPS:,} "
    f"steps, one seed). {origin}.",
)

# %%
display(
    columns_of(
        table,
        {
            "quadrature, four factors": ("mig_four", "{:.4f}".format),
            "sampled as in [12], four factors": ("mig_four_monte_carlo", "{:.3f}".format),
            "standard error of the sampled": ("mig_four_monte_carlo_standard_error", "{:.3f}".format),
            "quadrature, five factors": ("mig_five", "{:.4f}".format),
            "histogram of [15], five factors": ("mig_five_histogram", "{:.3f}".format),
        },
    )
)
display(
    Markdown(
        f"**Table {3 + reduced}.** The MIG by each estimator, {each_column}. Quadrature has an error below 0.001; the sampler of [12] "
        f"with S = {evaluation.monte_carlo_samples:,} (they take 10,000), with its standard error; the histogram estimator of [15] takes posterior means of "
        f"10,000 images in 20 bins. Four factors leave out the shape, as [12] and ControlVAE do; five include it. {origin}."
    )
)

# %%
measures = {
    "mig_four": "MIG, four factors",
    "dci_disentanglement": "DCI disentanglement",
    "dci_completeness": "DCI completeness",
    "dci_informativeness": "DCI informativeness",
    "sap": "SAP",
    "factor_vae": "FactorVAE score",
}
display(columns_of(table, {name: (column, "{:.3f}".format) for column, name in measures.items()}))
published_dci = 10_000  # images that DCI's trees learn from in [15]
higher = {arm: [name for column, name in measures.items() if mean.loc[arm, column] > mean.loc[other, column]]
          for arm, other in (("adaptive", "linear"), ("linear", "adaptive"))}  # fmt: skip
display(
    Markdown(
        f"**Table {4 + reduced}.** The MIG (quadrature) and three other measures of disentanglement, {each_column}; larger is better. DCI [16], SAP [17] and "
        "the FactorVAE score [7] in the form, and with the defaults, of [15]: from the posterior means of images drawn with replacement, over all five "
        "factors, the shape among them, where the MIG has four. DCI: gradient boosted trees (scikit-learn's defaults) learn every factor from the ten latents on "
        f"{evaluation.dci_samples:,} images"
        + (
            ""
            if evaluation.dci_samples >= published_dci
            else f" (**reduced**: [15] take {published_dci:,}, so that these values cannot be set beside published ones)"
        )
        + "; D, disentanglement: whether each latent serves one factor; C, completeness: whether each factor needs one latent; I, informativeness: share of factor values "
        "told correctly on half as many other images. SAP: how much better the best latent alone tells a factor than the second best, by a linear support vector machine "
        "with C = 0.01 on 10,000 images, tested on 5,000; of many ordered values such a machine tells only a few, so that SAP is small even for a perfect code. "
        "FactorVAE score: share of 5,000 votes, of 64 images each, that name the factor held fixed, after 10,000 training votes. "
        f"Measured on {table['images'].iloc[0]:,} images; {origin}."
    )
)
display(
    Markdown(
        " ".join(
            f"Higher in the {arm} arm{' on average' if n > 1 else ''}: {', '.join(names)}."
            for arm, names in higher.items()
            if names
        )
        + (" With one seed per arm, no such order can be told from chance." if n == 1 else "")
    )
)

# %% [markdown]
# ### Which latent holds which factor

# %%
figures.show(
    figures.information_matrices(
        {arm: np.array(measured[arm]["information"]) for arm in pair},
        {arm: np.array(measured[arm]["kl_latents"]) for arm in pair},
    ),
    folder / "information",
    "**Figure 6.** Mutual information I(z; v) of every factor with every latent, in nats, by quadrature. A separated factor has one dark cell "
    f"in its row, an entangled one several or none. {measured['linear']['images']:,} images; {one_seed}.",
)

# %%
in_use = ", ".join(f"{ARMS[arm].label} {sum(kl > 0.1 for kl in measured[arm]['kl_latents'])}" for arm in models)
channels = pd.concat({arm: factor_table(run) for arm, run in pair.items()}, names=["arm"])
channels.columns = [name.replace("_", " ") for name in channels]
display(channels.round(2))
display(
    Markdown(
        f"**Table {5 + reduced}.** For each factor the latent that knows most about it, that information in nats and as a share of the factor's entropy, "
        f"the runner-up, and the gap that enters the MIG. Latents in use (KL above 0.1 nats): {in_use}. {one_seed}."
    )
)

# %% [markdown]
# ### What the KL consists of
#
# The report wished for a better estimate of $I_q(x; z)$. Against the aggregate posterior of all images, the KL splits into $I_q(x; z)$, the total
# correlation of the latents, and the mismatch of each latent alone [12, 14]. The weight snapshots tell how these parts grew.

# %%
last = pd.DataFrame({name: frame.iloc[-1] for name, frame in snapshots.items()}).T
grid = int(last["images"].iloc[0])
grid_bound = np.log(grid)
every = {
    1: "all images",
    2: "every second x and y",
    4: "every fourth x and y",
    8: "every eighth x and y",
    16: "every sixteenth x and y",
}[evaluation.snapshot_position_stride]
sub_grid = evaluation.snapshot_position_stride != evaluation.position_stride
parts = {
    "KL": "kl",
    "mutual information I(x; z)": "mutual_information",
    "total correlation": "total_correlation",
    "dimension-wise KL": "dimension_wise_kl",
    "standard error of the sampled parts": "decomposition_standard_error",
    "MIG, four factors": "mig_four",
}
split = []
for where, frame in (("", table), (f", N = {grid:,}", last))[: 1 + sub_grid]:
    rows = {
        part + where: (
            column,
            ("{:.3f}" if column in ("decomposition_standard_error", "mig_four") else "{:.2f}").format,
        )
        for part, column in parts.items()
    }
    split.append(columns_of(frame, rows))
display(pd.concat(split))
display(
    Markdown(
        f"**Table {6 + reduced}.** The KL of the trained networks and its three parts, in nats per image, and the MIG (quadrature), {each_column} "
        f"(S = {evaluation.decomposition_samples:,} samples), measured on {table['images'].iloc[0]:,} images. The entropy of the data set's images, {bound:.2f} nats, bounds the mutual information. "
        + (
            f"The lower half has the same networks, at their last snapshot, on {every} (N = {grid:,}), where I(x; z) cannot exceed "
            f"log N = {grid_bound:.2f} nats: where posteriors are narrower than the spacing of that grid, part of their KL counts as information on all images and as mismatch there; the MIG is another, too. "
            "Values over training, below, compare with the lower half alone. "
            if sub_grid
            else ""
        )
        + f"{origin}."
    )
)

# %%
by_arm = {arm: [snapshots[run.name] for run in runs if run.config().arm == arm] for arm in chosen.arms}
figures.show(
    over_training(by_arm),
    folder / "information_over_training",
    "**Figure 7.** The KL and its parts over training. Above, in nats per image: KL, $I_q(x; z)$, total correlation and dimension-wise KL, and the capacity C "
    f"that the controller steers by; dotted, log N = {grid_bound:.2f} nats, which $I_q(x; z)$ cannot exceed on the N = {grid:,} images measured. Below, the MIG (quadrature) on the same images. "
    f"{len(next(iter(snapshots.values())))} weight snapshots per run, joined by straight lines; {every}"
    f"{' (a sub-grid)' if evaluation.snapshot_position_stride > 1 else ''}; S = {evaluation.decomposition_samples:,}. {origin}.",
)

# %%
apart = 0.5  # nats
gaps_over_training = pd.DataFrame({name: information_gaps(frame, apart) for name, frame in snapshots.items()}).T


def step_or_never(step: float) -> str:
    return "never" if pd.isna(step) else f"{step:,.0f}"


shown = {
    "mean |C − I(x; z)|": ("mean_distance", "{:.2f}".format),
    "largest C − I(x; z)": ("largest_gap", "{:.2f}".format),
    "at step": ("largest_at", "{:,.0f}".format),
    "last C − I(x; z)": ("last_gap", "{:.2f}".format),
    "of which C − KL": ("last_lag", "{:.2f}".format),
    "of which KL − I(x; z)": ("last_mismatch", "{:.2f}".format),
    f"KL − I(x; z) above {apart} from step": ("apart_from", step_or_never),
    "C above log N from step": ("over_bound", step_or_never),
}
display(columns_of(gaps_over_training, shown))
display(
    Markdown(
        f"**Table {7 + reduced}.** How far C and KL stood from $I_q(x; z)$ at the snapshots of Figure 7, in nats, {each_column}. Mean over the snapshots, which are log-spaced, so that "
        f'the beginning of training counts most. "From step": the snapshot from which on the difference stays until the end. N = {grid:,} images; {origin}.'
    )
)

# %% [markdown]
# ## Discussion

# %%
held = {}
for arm, run in pair.items():
    config = run.config()
    schedule = schedule_of(config.arm, config.c_start, config.c_max, config.steps)
    advanced = read_advanced(run.path / "trace.h5")
    held[arm] = holds(advanced, replay(schedule, advanced))
long = {arm: frame[frame["length"] >= chosen.training["steps"] / 100] for arm, frame in held.items()}
longest = {arm: frame.loc[frame["length"].idxmax()] for arm, frame in held.items()}
steps = chosen.training["steps"]
gaps = columns_of(
    pd.DataFrame({run.name: factor_table(run)["gap"] for run in runs}).T,
    {name: (name, "{:.2f}".format) for name in FACTOR_NAMES},
)
gaps.columns = table["arm"].unique()


def listed(names: tuple[str, ...]) -> str:
    return "; ".join(
        f"{ARMS[arm].label}: " + ", ".join(f"{name.replace('_', ' ')} {gaps.loc[name, arm]}" for name in names)
        for arm in gaps
    )


position_scale, shape_turn = ("position_x", "position_y", "scale"), ("shape", "orientation")
display(
    Markdown(
        f"""The report drew four observations from its traces and pictures. Here is each with a number.

- **"C is held at levels."** In the adaptive arm (seed {chosen.seeds[0]}) C stood still in {1 - table.loc[pair["adaptive"].name, "share_advanced"]:.1%} of the steps. Its longest hold
  took {longest["adaptive"]["length"]:,.0f} steps ({longest["adaptive"]["length"] / steps:.1%} of training) at C = {longest["adaptive"]["capacity"]:.2f} nats;
  holds of at least 1% of training: {len(long["adaptive"])}, together {long["adaptive"]["length"].sum() / steps:.1%} of it.
- **"β is higher on average in the adaptive arm."** Mean β over all steps: {per_arm("mean_beta")}.
- **"Position and scale are separated."** Gaps (0: two latents know as much, 1: one latent knows all{f"; mean ± standard deviation over {n} seeds" if n > 1 else ""}). {listed(position_scale)}.
- **"Shape and rotation are not."** {listed(shape_turn)}."""
    )
)

# %%
vae, beta_vae = PUBLIC_LOGS.iloc[0], PUBLIC_LOGS.iloc[1]
rise = beta_vae["reconstruction"] - 4 * (16 - beta_vae["kl"])  # at the optimum, -d reconstruction / d KL = beta
display(PUBLIC_LOGS)
display(
    Markdown(
        f"**Table {8 + reduced}.** Last epoch of public training logs on dSprites, nats per image (YannDubs/disentangling-vae, commit fe65e19; "
        "345,600 iterations, batch 64, learning rate 5e-4, Burgess network, one seed each; not our measurements)."
    )
)
display(
    Markdown(
        f"""**Can the report's linear arm have been at KL = 16?** Its reconstruction loss of 18.2 nats is that of a plain VAE, which in the public logs sits at
{vae["reconstruction"]:.2f} nats with a KL of {vae["kl"]:.2f}. At a KL of {beta_vae["kl"]:.2f} nats the β-VAE there pays {beta_vae["reconstruction"]:.2f} nats, and as the trade
of reconstruction against KL at an optimum is β to one, 16 nats of KL would cost about {rise:.0f}. The adaptive arm's 37.1 nats fit a KL near 15, the linear arm's
18.2 do not fit a KL of 16. One explanation would be a controller locked at β = 1 in the linear arm, a plain VAE: the published anti-windup rule locks when C stands
about 10 nats above the KL while the integral is near zero. The report's trace of β would tell. The other network and learning rate of those logs keep this an inference. In our runs,
the reconstruction loss was {per_arm("reconstruction", ".1f")} nats at a KL of {per_arm("kl")} nats."""
        + "".join(
            f" The {ARMS[arm].label} arm did stand at 16 nats, and paid {mean.loc[arm, 'reconstruction']:.1f} nats for it, near that estimate; "
            "longer training may lower this."
            for arm in chosen.arms
            if abs(mean.loc[arm, "kl"] - 16) < 0.5 and abs(mean.loc[arm, "reconstruction"] - rise) < 3
        )
    )
)

# %%
gap = gaps_over_training.groupby(table["arm"]).mean()
followed = [ARMS[arm].label for arm in chosen.arms if gap.loc[arm, ["mean_distance", "last_gap"]].abs().max() <= apart]
past = {  # arms whose C went beyond a bound of the mutual information
    name: [ARMS[arm].label for arm in chosen.arms if mean.loc[arm, "final_capacity"] > limit]
    for name, limit in (("grid", grid_bound), ("all", bound))
}


def arms_of(values: pd.Series, form: str = ".2f") -> str:
    return ", ".join(f"{ARMS[arm].label} {values[arm]:{form}}" for arm in chosen.arms)


parting = {arm: gaps_over_training.loc[run.name, "apart_from"] for arm, run in first.items()}
parting = ", ".join(
    f"{ARMS[arm].label} {'it did not' if pd.isna(step) else f'from step {step:,.0f} on'}"
    for arm, step in parting.items()
)
distance = gap["mean_distance"]
display(
    Markdown(
        f"""**Does C follow $I_q(x; z)$, as the report argued?** Within {apart} nats, on average over the snapshots of Figure 7 and at the last of them, it did in
{" and ".join(followed) or "no arm"}. Neither rule sees $I_q(x; z)$: one sees the clock, the other the controller, which sees the KL. So C can follow $I_q(x; z)$ only as far as the KL follows C and is
information. On average C and $I_q(x; z)$ were {arms_of(distance)} nats apart: in these runs the adaptive rule, which is to keep C from running ahead, kept it on average
{"closer" if distance["adaptive"] < distance["linear"] else "no closer"} than the linear one. At the last snapshot C − $I_q(x; z)$ was {arms_of(gap["last_gap"])} nats: C − KL was {arms_of(gap["last_lag"])}, and
KL − $I_q(x; z)$, what the KL holds that is no information, {arms_of(gap["last_mismatch"])}. This last difference stayed above {apart} nats until the end as follows (seed {chosen.seeds[0]}): {parting}. """
        + (
            f"In {' and '.join(past['grid'])} C ended beyond log N = {grid_bound:.2f} nats, more than $I_q(x; z)$ can be on these images"
            + (
                f", and in {' and '.join(past['all'])} beyond the {bound:.2f} nats that bound it on all images"
                if past["all"]
                else ""
            )
            + ". "
            if past["grid"]
            else f"C stayed below log N = {grid_bound:.2f} nats, so that no bound kept $I_q(x; z)$ from reaching it. "
        )
        + (
            f"Part of these gaps is the sub-grid's: on the {table['images'].iloc[0]:,} images of Table {6 + reduced}, $I_q(x; z)$ of the trained networks differs by "
            + arms_of(mean["mutual_information"] - last["mutual_information"].groupby(table["arm"]).mean(), "+.2f")
            + " nats. "
            if sub_grid
            else ""
        )
    )
)

# %%
rest = mean["kl"] - mean["mutual_information"]
consists = "; ".join(
    f"{ARMS[arm].label} {rest[arm]:.2f} nats ({rest[arm] / mean.loc[arm, 'kl']:.0%} of the KL), of which {mean.loc[arm, 'total_correlation']:.2f} are total correlation and "
    f"{mean.loc[arm, 'dimension_wise_kl']:.2f} dimension-wise KL"
    for arm in chosen.arms
)
beyond = [ARMS[arm].label for arm in chosen.arms if mean.loc[arm, "kl"] > bound]
adaptive_last = snapshots[pair["adaptive"].name].iloc[-1]
linear_over_training = snapshots[pair["linear"].name]
at_like_kl = linear_over_training.loc[(linear_over_training["kl"] - adaptive_last["kl"]).abs().idxmin()]
display(
    Markdown(
        f"""**Where does KL above {bound:.2f} nats go?** That is the entropy of the images, and $I_q(x; z)$ cannot exceed it. """
        + (
            f"The KL ended above it in the {' and '.join(beyond)} arm{'s' if len(beyond) > 1 else ''}; what is above it cannot be information about the image. "
            if beyond
            else f"In these runs the KL ended below it (in nats: {per_arm('kl')}), so that they do not show where KL above it goes. Below it, too, not all KL is information. "
        )
        + f"""Measured on {table["images"].iloc[0]:,} images at the end of training, $I_q(x; z)$ was {per_arm("mutual_information")} nats. The rest of the KL, which is no information about the image: {consists}.
A capacity that follows $I_q(x; z)$ would have to end below the bound; the report's $C_{{\\max}} = 16$ is {16 - bound:.2f} nats above it.

**Pressure or time?** In the arms compared, the pressure is not the only difference: at the end of training the KL was {per_arm("kl")} nats, and C had reached
{per_arm("final_capacity", ".1f")}. Less KL alone costs reconstruction, and may ease separation, whatever the pressure was. """
        + (
            f"To compare at like KL: of the snapshots of Figure 7 (N = {grid:,}, seed {chosen.seeds[0]}), the linear arm's at step {at_like_kl['step']:,.0f} has the KL closest to the adaptive "
            f"arm's last one ({at_like_kl['kl']:.2f} and {adaptive_last['kl']:.2f} nats). Its MIG was {at_like_kl['mig_four']:.3f}, its last one {linear_over_training['mig_four'].iloc[-1]:.3f}, against "
            f"{adaptive_last['mig_four']:.3f} in the adaptive arm: the difference of {adaptive_last['mig_four'] - linear_over_training['mig_four'].iloc[-1]:+.3f} at the end is "
            f"{adaptive_last['mig_four'] - at_like_kl['mig_four']:+.3f} at like KL. Time and pressure still differ between the two. "
        )
        + (
            "The control arms tell the two apart:"
            if set(RULE) == set(chosen.arms)
            else "The two control arms, which separate them, are not both part of this profile's runs."
        )
    )
)

# %%
if set(RULE) == set(chosen.arms):
    contrasts = {
        "adaptive − linear, as the report compared": DIFFERENCE,
        "adaptive − linear full-length, both arriving at the end": LATE_DIFFERENCE,
        "the rule: steered by β − by the clock": RULE,
        "arrival at C_max: at the end − early, then held": ARRIVAL,
    }
    quantities = {
        "MIG, four factors": ("mig_four", ".3f"),
        "DCI disentanglement": ("dci_disentanglement", ".3f"),
        "reconstruction (nats)": ("reconstruction", ".1f"),
        "KL (nats)": ("kl", ".2f"),
        "mean β": ("mean_beta", ".1f"),
    }
    display(
        pd.DataFrame(
            {
                name: {
                    quantity: effect_text(table, column, weights, form)
                    for quantity, (column, form) in quantities.items()
                }
                for name, weights in contrasts.items()
            }
        )
    )
    sure = {
        name: told_from_chance(*effect(table, "mig_four", weights))
        for name, weights in (("the rule", RULE), ("the arrival", ARRIVAL))
    }
    verdict = {
        (True, True): "Both effects on the MIG can be told from chance.",
        (True, False): "Of the two, only the rule's effect on the MIG can be told from chance.",
        (False, True): "Of the two, only the arrival's effect on the MIG can be told from chance.",
        (False, False): "Neither effect on the MIG can be told from chance.",
    }[sure["the rule"], sure["the arrival"]]
    display(
        Markdown(
            f"**Table {9 + reduced}.** The four arms as a 2 × 2 design. Rule: `adaptive` and `adaptive_hold` against `linear` and `linear_full`. Arrival: `adaptive` and "
            "`linear_full`, which reach $C_{\\max}$ at the end, against `linear` and `adaptive_hold`, which reach it early and stay there. "
            f"{certainty[0].upper()}{certainty[1:]}. {origin}."
        )
    )
    display(
        Markdown(
            f"{verdict} The rule changed the MIG by {effect_text(table, 'mig_four', RULE, '.3f')} and the KL by {effect_text(table, 'kl', RULE, '.2f')} nats, the arrival the MIG by "
            f"{effect_text(table, 'mig_four', ARRIVAL, '.3f')} and the KL by {effect_text(table, 'kl', ARRIVAL, '.2f')} nats. Between the two arms that arrive at the end, "
            f"adaptive and linear full-length, the MIG differs by {effect_text(table, 'mig_four', LATE_DIFFERENCE, '.3f')}, against {effect_text(table, 'mig_four', DIFFERENCE, '.3f')} "
            "between the two that the report compared."
        )
    )

# %%
display(
    Markdown(
        f"""**What these runs can and cannot show.** {size}
"""
        + (
            f"""They show that both rules, the controller and the measures work as described, and how long the adaptive rule waits and for what. They cannot show what {PAPER_STEPS:,} steps give: after {steps:,} steps the network has seen {steps * chosen.training["batch_size"] / N_IMAGES:.2f} epochs, where the report's saw
{PAPER_STEPS * 64 / N_IMAGES:.0f}; and the changes of Table 2 alter the controller's speed against the network's. The difference in MIG above is thus no test of
the report's conclusion. """
            if reduced
            else ""
        )
        + (
            "With one seed per arm there is no spread to hold a difference against."
            if n == 1
            else f"The spread is over {n} seeds."
        )
    )
)

# %% [markdown]
# ## References
#
# 1. Kingma, Welling. Auto-Encoding Variational Bayes. 2013. [arXiv:1312.6114](https://arxiv.org/abs/1312.6114)
# 2. Bowman et al. Generating Sentences from a Continuous Space. 2015. [arXiv:1511.06349](https://arxiv.org/abs/1511.06349)
# 3. Fu et al. Cyclical Annealing Schedule: A Simple Approach to Mitigating KL Vanishing. 2019. [arXiv:1903.10145](https://arxiv.org/abs/1903.10145)
# 4. Higgins et al. beta-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework. ICLR 2017. [OpenReview Sy2fzU9gl](https://openreview.net/forum?id=Sy2fzU9gl)
# 5. Tishby, Pereira, Bialek. The information bottleneck method. 2000. [arXiv:physics/0004057](https://arxiv.org/abs/physics/0004057)
# 6. Burgess et al. Understanding disentangling in beta-VAE. 2018. [arXiv:1804.03599](https://arxiv.org/abs/1804.03599)
# 7. Kim, Mnih. Disentangling by Factorising. ICML 2018. [arXiv:1802.05983](https://arxiv.org/abs/1802.05983)
# 8. Chen et al. InfoGAN: Interpretable Representation Learning by Information Maximizing Generative Adversarial Nets. NeurIPS 2016. [arXiv:1606.03657](https://arxiv.org/abs/1606.03657)
# 9. Shao et al. ControlVAE: Controllable Variational Autoencoder. ICML 2020. [arXiv:2004.05988](https://arxiv.org/abs/2004.05988)
# 10. Åström, Hägglund. Advanced PID Control. ISA, 2006. ISBN 978-1-55617-942-6
# 11. Matthey, Higgins, Hassabis, Lerchner. dSprites: Disentanglement testing Sprites dataset. 2017. [google-deepmind/dsprites-dataset](https://github.com/google-deepmind/dsprites-dataset)
# 12. Chen, Li, Grosse, Duvenaud. Isolating Sources of Disentanglement in Variational Autoencoders. NeurIPS 2018. [arXiv:1802.04942](https://arxiv.org/abs/1802.04942)
# 13. Kingma, Ba. Adam: A Method for Stochastic Optimization. ICLR 2015. [arXiv:1412.6980](https://arxiv.org/abs/1412.6980)
# 14. Hoffman, Johnson. ELBO surgery: yet another way to carve up the variational evidence lower bound. NIPS workshop, 2016.
# 15. Locatello et al. Challenging Common Assumptions in the Unsupervised Learning of Disentangled Representations. ICML 2019. [arXiv:1811.12359](https://arxiv.org/abs/1811.12359)
# 16. Eastwood, Williams. A Framework for the Quantitative Evaluation of Disentangled Representations. ICLR 2018. [OpenReview By-7dz-AZ](https://openreview.net/forum?id=By-7dz-AZ)
# 17. Kumar, Sattigeri, Balakrishnan. Variational Inference of Disentangled Latent Concepts from Unlabeled Observations. ICLR 2018. [arXiv:1711.00848](https://arxiv.org/abs/1711.00848)
