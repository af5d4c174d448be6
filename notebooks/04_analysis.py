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
# # Is continuous bottleneck pressure on a VAE critical for disentanglement?
#
# A reproduction. A student report asked this question and answered it with two trainings of ControlVAE on dSprites, alike
# but for how the KL capacity $C(t)$ grows: *linearly*, or *adaptively*, held while the controller's $\beta(t)$ rises. It had one
# seed per arm, no error bars and no code. Here are the data, the networks, the controller, both schedules and the
# measures, rebuilt and tested; every number below is read from a result file.

# %% tags=["parameters"]
profile: str = "laptop"  # section of profiles.toml whose runs are analysed

# %%
from lib.report.notebook import parameters
from lib.runs.profiles import load_profile

chosen = load_profile(parameters(globals(), ("profile",))["profile"])

# %%
import numpy as np

from lib.data import dataset
from lib.explorer.page import explorer
from lib.report import figures, paper_tables, pictures
from lib.report.analysis import analyse, trained_runs
from lib.report.animation import save_traversals
from lib.report.effects import has_design
from lib.report.information_figures import over_training
from lib.report.latents import latent_labels, latent_table
from lib.report.paper import write_paper
from lib.report.tables import REPORTED, measured_costs

trained_runs(chosen)  # refuses here what is not trained, before the images are drawn
images = dataset.load(dataset.ensure(chosen.training["data"]))
analysis = analyse(chosen, images)
paper = write_paper(analysis)
table, pair, models = analysis.table, analysis.pair, analysis.models

# %%
paper.text(
    """**The answer of these runs.** {differences} {certainty} MIG: {mig}.
The report found {reported_mig} for the MIG, {reported_loss} nats for the reconstruction. {size} {source}"""
)

# %%
paper.table(
    paper_tables.headline(table),
    """**Table 1.** Our runs ({each_column}) and the report's own figures. Losses, KL and C in nats per image. MIG: quadrature over the exact aggregate
posterior, averaged over scale, orientation, x and y; which estimator the report used is not known to us. Reconstruction: mean over all images, z sampled once.
{origin}. {verdict}""",
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
# *A confound:* if a share $p$ of the steps advances, evenly spread, $C_{\max} - C(t) = (C_{\max} - C(0))(1 - t/t_{\max})^p$: the adaptive arm
# arrives at $C_{\max}$ at the very end, where the linear arm has long been. Two control arms separate pressure from time at capacity: `linear_full`, the
# linear ramp stretched over all of training, and `adaptive_hold`, the adaptive rule with $t_{\max}$ where the linear rule reaches $C_{\max}$, then
# held. They train like the others when a profile lists them.

# %%
paper.text("{schedule}")

# %% [markdown]
# ## Experiments
#
# ### Setting
#
# dSprites has 737,280 binary images of 64 × 64 pixels, drawn here from their geometry (Appendix A). The report says that its network
# is "the same as [4]". ControlVAE's code gives that name to a convolutional network, while [4]'s own network for 2D shapes is fully connected:
# `conv` is our reading, `fc` the literal one, and `-p architecture fc` trains it. The likelihood is Bernoulli per pixel; the reconstruction loss is summed over
# pixels, the KL over ten latents, both averaged over the batch, in nats per image. The optimiser is Adam [13]. All arms start
# from the same weights and see the same batches and the same noise.

# %%
paper.table(
    paper_tables.settings(chosen),
    """**Table 2.** The settings of the profile `paper`, which is the report's, and of `{profile}`, analysed here. What the report does not
state, such as the learning rate of 1e-4, is ControlVAE's. What was changed is marked, and is the same for all arms.""",
)
paper.text("{settings}")

# %% [markdown]
# ### Training

# %%
paper.figure(
    figures.traces(analysis.traces()),
    "traces",
    """**Figure 1.** The training of the arms: reconstruction loss, KL and β (moving averages over 1/200 of the training; pale, β at every row of the trace) and
capacity. One line per run, thicker for seed {seed}. {origin}. {training}""",
)

# %%
paper.table(
    paper_tables.controller(table), "**Table 3.** How the controller behaved ({each_column}). {origin}. {pressure}"
)

# %% [markdown]
# ### Reconstructions and traversals

# %%
inputs = pictures.some_images(images)
paper.figure(
    figures.reconstructions(
        inputs[:, 0].numpy(), {arm: pictures.reconstruct(model, inputs) for arm, model in models.items()}
    ),
    "reconstructions",
    """**Figure 2.** Reconstructions from the posterior mean: input above, output below; linear left, adaptive right. Nine images picked at random;
{one_seed}. {reconstructions}""",
)

# %%
values, start = np.linspace(-2, 2, 7, dtype=np.float32), pictures.middle_heart(images)
ranked = {arm: latent_table(run) for arm, run in pair.items()}
paper.figure(
    figures.traversals(
        {arm: pictures.traverse(model, start, values) for arm, model in models.items()},
        values,
        {arm: latent_labels(latents) for arm, latents in ranked.items()},
    ),
    "traversals",
    """**Figure 3.** Latent traversals: each latent from −2 to 2, the others at the posterior mean of a large heart in the middle; linear left,
adaptive right. Beside each row its latent, the latent's KL in nats and the factor it knows most about; one without KL changes nothing. {one_seed}. {in_use}
It is one network per arm, and another seed may give other latents.""",
)

# %% [markdown]
# ### Explore it

# %%
between = np.linspace(-2, 2, 13, dtype=np.float32)
save_traversals(
    {arm: pictures.traverse(model, start, between)[ranked[arm]["latent"]] for arm, model in models.items()},
    {arm: [f"{row.latent}: {row.kl:.1f} nats" for row in latents.itertuples()] for arm, latents in ranked.items()},
    analysis.folder / "traversal.gif",
)
paper.html(
    explorer(pair),
    """**Figure 4.** The same to be moved by hand: the decoders run in this page. Choose a start image; each slider then moves one latent of each arm away from
its posterior mean, largest KL first. {one_seed}. A separated factor follows one slider alone; where several things change at once, the latent is entangled, in
this one network.""",
)

# %% [markdown]
# ### Scores

# %%
paper.figure(
    figures.scores(table.rename(columns={"mig_four": "mig"}), REPORTED),
    "scores",
    """**Figure 5.** MIG (quadrature, four factors) and reconstruction loss: our runs (filled) and the report's figures (open, {paper_steps} steps, one seed).
{origin}. {scores}""",
)

# %%
paper.table(
    paper_tables.estimators(table),
    """**Table 4.** The MIG by each estimator ({each_column}): quadrature; the sampler of [12] with S = {sampler_images} (they take 10,000), its distance from
quadrature and its standard error; the histogram estimator of [15], posterior means of 10,000 images in 20 bins. Four factors leave out the shape, as
[12] and ControlVAE do; five include it. {origin}. {estimators}""",
)

# %% [markdown]
# ### How the MIG is computed exactly
#
# The gap [12] needs, for every latent $z_j$ and factor $v_k$,
#
# $$ I(z_j; v_k) = H(z_j) - \frac{1}{|v_k|} \sum_v H(z_j \mid v_k = v), \tag{6} $$
#
# and each of these entropies is that of a one-dimensional mixture of Gaussians, one for each of the $N$ images, or of the $N_v$ that share the value:
#
# $$ q(z_j \mid v) = \frac{1}{N_v} \sum_{n:\, v_k(x_n) = v} \mathcal{N}\left(z_j;\, \mu_{nj},\, \sigma_{nj}^2\right), \qquad q(z_j) = \frac{1}{|v_k|} \sum_v q(z_j \mid v). \tag{7} $$
#
# Nothing has to be sampled. Every Gaussian is split between two neighbouring grid points and two widths of a common table, so that its mean and its variance
# stay what they are; the weights are counted and convolved with each width by a Fourier transform (`lib/mixtures.py`). On that grid, of spacing
# $h$, $H \approx -h \sum_g q_g \log q_g$ (`lib/mig.py`); with four points per smallest standard deviation the error is below 0.0001 nats.

# %%
paper.table(
    paper_tables.costs(measured_costs()),
    """**Table 5.** What the MIG costs on all images, for one published network: quadrature by the number of grid points per standard deviation (its
resolution), and the sampler of [12] with their 10,000 samples (`results/benchmarks/measures.csv`; two CPU threads). {cost}""",
)

# %% [markdown]
# ### Other measures

# %%
paper.table(
    paper_tables.measures(table),
    """**Table 6.** The MIG (quadrature) and three other measures of disentanglement ({each_column}); larger is better. DCI [16], SAP [17] and the FactorVAE score
[7] in the form, and with the defaults, of [15]: from posterior means, over all five factors, where the MIG has four. DCI: boosted trees (scikit-learn's
defaults) learn every factor from the latents on {dci_images} images; disentanglement: whether each latent serves one factor; completeness: whether each factor needs
one latent; informativeness: share of factor values told correctly on half as many other images. SAP: how much better the best latent alone tells a factor than
the second best, by a linear support vector machine with C = 0.01 on 10,000 images, tested on 5,000; of many ordered values it tells only a few, so that SAP is
small even for a perfect code. FactorVAE score: share of 5,000 votes, of 64 images each, that name the factor held fixed, after 10,000 training votes.
Measured on {images} images; {origin}. {measures}""",
)

# %% [markdown]
# ### Which latent holds which factor

# %%
measured = {arm: analysis.measured[run.name] for arm, run in pair.items()}
paper.figure(
    figures.information_matrices(
        {arm: np.array(content["information"]) for arm, content in measured.items()},
        {arm: np.array(content["kl_latents"]) for arm, content in measured.items()},
    ),
    "information",
    """**Figure 6.** Mutual information I(z; v) of every factor with every latent, in nats, by quadrature. A separated factor has one dark cell in its row, an
entangled one several or none. {images} images; {one_seed}. {shared} Another seed may give other latents.""",
)

# %%
paper.table(
    paper_tables.channels(pair),
    """**Table 7.** For each factor the latent that knows most about it, that information in nats and as a share of the factor's entropy, the runner-up, and the
gap that enters the MIG. {one_seed}. {own_first} Another seed may give other latents.""",
)

# %% [markdown]
# ### What the KL consists of
#
# The report wished for a better estimate of $I_q(x; z)$. Against the aggregate posterior of all images, the KL splits into $I_q(x; z)$, the total
# correlation of the latents, and the mismatch of each latent alone [12, 14]. The weight snapshots tell how these parts grew.

# %%
paper.table(
    paper_tables.split(table, analysis.snapshots),
    """**Table 8.** The KL of the trained networks and its three parts, in nats per image, and the MIG (quadrature), {each_column}, with S = {split_samples} samples on
{images} images. The entropy of the data set's images, {entropy} nats, bounds I(x; z). Where there is a lower half, it has the same networks at their last snapshot
on fewer images, {every}: there I(x; z) cannot exceed log N = {grid_bound} nats, part of the KL of narrow posteriors counts as mismatch, and values over training
compare with it alone. {origin}. {rest}""",
)

# %%
paper.figure(
    over_training(analysis.by_arm(analysis.snapshots)),
    "information_over_training",
    """**Figure 7.** The KL and its parts over training. Above, in nats per image: KL, $I_q(x; z)$, total correlation and dimension-wise KL, and the capacity C that
the controller steers by; dotted, log N = {grid_bound} nats, which $I_q(x; z)$ cannot exceed on the N = {grid} images measured ({every}). Below, the MIG
(quadrature) on the same images. {snapshots} weight snapshots per run, joined by straight lines; S = {split_samples}. {origin}. {grown}""",
)

# %%
paper.table(
    paper_tables.gaps(analysis.gaps, table["arm"]),
    """**Table 9.** How far C and KL stood from $I_q(x; z)$ at the snapshots of Figure 7, in nats ({each_column}). The mean is over the steps from the first
snapshot to the last, by the trapezoidal rule. "From step": the snapshot from which on the difference stays until the end. N = {grid} images; {origin}.
{apart_from}""",
)

# %% [markdown]
# ## Discussion

# %%
paper.text(
    """The report drew four observations from its traces and pictures. Here is each with a number.

- **"C is held at levels."** {held}
- **"β is higher on average in the adaptive arm."** Mean β over all steps: {mean_beta}. {pressure}
- **"Position and scale are separated."** Gaps (0: two latents know as much, 1: one latent knows all): {position_scale}.
- **"Shape and rotation are not."** {shape_turn}. {own}

**Can the report's linear arm have been at KL = 16?** {public_logs}

**Does C follow $I_q(x; z)$, as the report argued?** {followed} Neither rule sees $I_q(x; z)$: one sees the clock, the other the controller, which sees the KL. So C can
follow $I_q(x; z)$ only as far as the KL follows C and is information. {bounds} {sub_grid}

**Where does KL above {entropy} nats go?** That is the entropy of the images, and $I_q(x; z)$ cannot exceed it. {beyond} Measured on {images} images at the end of
training, $I_q(x; z)$ was {information} nats. {rest} A capacity that follows $I_q(x; z)$ would have to end below the bound; the report's $C_{\\max} = 16$ is
{above} nats above it.

**Pressure or time?** In the arms compared, the pressure is not the only difference: at the end of training the KL was {kl} nats, and C had reached {final_capacity}.
Less KL alone costs reconstruction, and may ease separation, whatever the pressure was. {like_kl} {control_arms}"""
)

# %%
if has_design(chosen.arms):
    paper.table(
        paper_tables.design(table),
        """**Table 10.** The four arms as a 2 × 2 design. Rule: `adaptive` and `adaptive_hold` against `linear` and `linear_full`. Arrival: `adaptive` and
`linear_full`, which reach $C_{\\max}$ at the end, against `linear` and `adaptive_hold`, which reach it early and stay there. {brackets} {origin}. {design}""",
    )

# %%
paper.text("**What these runs can and cannot show.** {size} {limits}")

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
