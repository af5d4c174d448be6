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
# A variational autoencoder (VAE) squeezes an image through a few numbers. Its code is *disentangled* when each number holds one property of the image, such
# as size; the MIG scores that from 0 to 1. How much passes is measured by the KL, in nats (1 nat is 1.44 bits): the less, the larger the reconstruction loss.
# ControlVAE lets the KL follow a capacity C that rises during training, by means of a weight β, the pressure. A student report trained it twice on the images
# of dSprites, C raised by the clock (linear) or only while β does not rise (adaptive), and found equal MIG. Here both are rebuilt.

# %% tags=["parameters"]
profile: str = "laptop"  # section of profiles.toml whose runs are analysed

# %%
from lib.report.notebooks.shared import parameters
from lib.runs.profiles import load_profile

chosen = load_profile(parameters(globals(), ("profile",))["profile"])

# %%
import numpy as np

from lib.arms import ARMS
from lib.data import dataset
from lib.explorer.page import explorer
from lib.report.analysis import analyse, trained_runs
from lib.report.figures import information, montages, pictures, runs, tradeoff
from lib.report.figures.animation import save_traversals
from lib.report.findings.claims import claims, claims_table
from lib.report.findings.encoding import encoding_table
from lib.report.findings.factor_order import order_table
from lib.report.latents import latent_labels, latent_table
from lib.report.notebooks import paper_tables
from lib.report.notebooks.other_arms import (
    compare_profile,
    show_arms,
    show_at_kl,
    show_bottleneck,
    show_encoded,
    show_samples_of_all,
    show_traversals_of_all,
)
from lib.report.notebooks.paper import write_paper
from lib.report.tables import REPORTED

trained_runs(chosen)  # refuses here what is not trained, before the images are drawn
images = dataset.load(dataset.ensure(chosen.training["data"]))
analysis = analyse(chosen, images)
paper = write_paper(analysis)
table, pair = analysis.table, analysis.pair
models = {arm: analysis.models[arm] for arm in pair}

# %%
paper.text("""
- {asked}
- {differences}
- {controls}
- {brackets}
- {untested}
""")

# %%
paper.table(
    paper_tables.headline(table, analysis.snapshots, chosen.training["steps"]),
    """**Table 1.** Our runs and the report's figures. MIG by quadrature, over scale, orientation, x and y; the report's estimator is not
known. KL and reconstruction of the last weights, on all images; their means over the last 1% of steps stand in Table 3.""",
)
paper.text("{conditions}")

# %% [markdown]
# ## Introduction
#
# A variational autoencoder [1] learns to code images $x$ as latents $z$ and to draw them again. A *disentangled* code gives each factor (shape,
# scale, orientation, position) a latent of its own. β-VAE [4] weighs the KL, the price of the code, by $\beta > 1$: factors separate, pictures blur.
# Annealing [2, 3] changes that weight over time. [6] explains β by the information bottleneck [5] and lets a *capacity* $C$ grow, so that
# factors enter in the order of their effect on the pixels. In ControlVAE [9] a PI controller [10] moves β until the KL is $C$. FactorVAE [7] and β-TCVAE
# [12] keep the KL at weight 1 and press on the dependence between latents; InfoGAN [8] has no KL. The data are dSprites [11]. The
# mutual information gap (MIG) [12] says, per factor, how much more the best latent tells of it than the second best, as a share of the factor's entropy; averaged.
#
# ## Hypothesis
#
# With a capacity, the VAE is a constrained optimisation,
#
# $$ \max\; \mathbb{E}\log p(x|z) \quad \text{subject to} \quad \mathbb{E}\,\mathrm{KL}(q(z|x)\,\|\,p(z)) \le C, \tag{1} $$
#
# whose Lagrangian is $\mathbb{E}\log p(x|z) - \beta\,(\mathrm{KL} - C)$. So β is a *multiplier*: at the optimum, minus the slope $dD/d\mathrm{KL}$ of
# the reconstruction loss $D$. $\beta > 1$ gives up the evidence lower bound for a looser one. [6] expects latents to align with factors because the posterior is
# diagonal: independent noise does least harm where each latent carries a direction of its own. ControlVAE objects
# that nobody knows beforehand which KL a fixed β gives.
#
# The KL falls into two parts [7, 14],
#
# $$ \mathbb{E}\,\mathrm{KL}(q(z|x)\,\|\,p(z)) = I_q(x; z) + \mathrm{KL}(q(z)\,\|\,p(z)), \tag{2} $$
#
# of which only the second ought to be penalised. The report fears that, if $C$ runs ahead of $I_q(x; z)$, the pressure slackens. So $C$ should rise only
# when the controller signals that the pressure was enough,
#
# $$ C(t) = \begin{cases} C(t-1) & \text{if } \beta(t) > \beta(t-1), \\ C(t-1) + \dfrac{C_{\max} - C(t-1)}{t_{\max} - (t-1)} & \text{otherwise,} \end{cases} \tag{3} $$
#
# where ControlVAE raises it by the clock,
#
# $$ C(t) = \min\left( C_{\max},\; C(0) + 0.15 \left\lfloor \frac{300\, t}{t_{\max}} \right\rfloor \right). \tag{4} $$
#
# In both, the controller sets
#
# $$ \beta(t) = \max\left( \beta_{\min},\; \frac{K_p}{1 + \exp e(t)} - K_i \sum_{s \le t} e(s) + \beta_{\min} \right), \qquad e(t) = C - \mathrm{KL}(t), \tag{5} $$
#
# with an anti-windup rule that stops the sum at $\beta_{\min}$, where under the `published` rule, not under `conditional`, β can then stay for good (*lock*). If pressure disentangles, the adaptive
# arm should score the higher MIG. But its C also arrives at $C_{\max}$ only at the very end. So `seeds` adds controls: in *linear full-length*
# (`linear_full`) the linear ramp takes all of training; in *adaptive then held* (`adaptive_hold`) C arrives when it does in the linear arm; *random
# hold* (`random_hold`) advances C as often as the adaptive run, but at random; *slow then held* (`slow_then_hold`) takes the slow ramp, then as
# long at $C_{\max}$ as the linear arm.

# %%
paper.text("{arrival}")

# %% [markdown]
# ## Experiments
#
# ### Setting
#
# The data are dSprites, drawn again (notebook 01; Appendix A). The report's network is "the same as [4]", which has a fully connected one; ours is the
# convolutional one that ControlVAE's code calls so. The likelihood is Bernoulli, the optimiser Adam [13]. Arms of one seed share initial weights, batches and noise.

# %%
paper.table(
    paper_tables.settings(chosen),
    """**Table 2.** Settings, the same for all arms. Those of `paper` are the report's or, where it is silent, ControlVAE's; the precision is ours.""",
)
paper.text("{settings} {rounding}")

# %% [markdown]
# ### Training

# %%
paper.figure(
    runs.traces(analysis.by_arm(analysis.traces)),
    "traces",
    """**Figure 1.** Reconstruction loss, KL, β (moving averages) and C. One line per run, the first seed's thicker. {training}""",
)

# %% [markdown]
# ### What the rule does

# %%
paper.table(
    paper_tables.controller(table, analysis.done),
    """**Table 3.** The controller, and what the rule that looks at β did before $C_{\max}$. {pressure}""",
)
paper.text("{rule} {ties}\n\n{at_rest} {where_it_stopped}")

# %% [markdown]
# ### Pressure at a given KL

# %%
paper.figure(
    tradeoff.beta_against_kl(analysis.by_arm(analysis.windows), analysis.pressures),
    "pressure",
    """**Figure 2.** Left: β against the KL, where that was within 0.5 nats of C; one line per run. Right: β against the measured slope of the trade-off, dashed
where they are equal.""",
)
paper.text("{pressure_at_kl}\n\n{slopes}")

# %% [markdown]
# ### MIG and reconstruction at a given KL

# %%
paper.figure(
    tradeoff.at_kl(analysis.by_arm(analysis.along), analysis.by_arm(analysis.windows)),
    "tradeoff",
    """**Figure 3.** MIG and reconstruction loss against the KL. Points: weight snapshots ({grid} images), larger the last. Lines on the right:
means over batches.""",
)
paper.text("{unseen} {loss_goes_with} {decided_early}")

# %%
paper.table(
    paper_tables.at_like_kl(analysis.like_kl),
    """**Table 4.** Adaptive less another arm of its seed, at the largest KL at which both have snapshots within {near} nats of each other. The loss
at a given KL also falls with time and with the learning rate.""",
)
paper.text("{like_kl}")

# %% [markdown]
# ### Scores

# %%
paper.figure(
    runs.scores(table.rename(columns={"mig_four": "mig"}), REPORTED),
    "scores",
    """**Figure 4.** MIG (quadrature) and reconstruction loss of every run, hollow where its KL was still moving{with_intervals}, and the report's figures.""",
)

# %%
paper.table(
    paper_tables.contrasts(table),
    "**Table 5.** {compared}",
)
paper.text("{by_factor} {two_groups} {told}")

# %% [markdown]
# ### How the MIG is computed exactly
#
# The gap [12] needs, for every latent $z_j$ and factor $v_k$,
#
# $$ I(z_j; v_k) = H(z_j) - \frac{1}{|v_k|} \sum_v H(z_j \mid v_k = v), \tag{6} $$
#
# each an entropy of a one-dimensional mixture of Gaussians, one for each of the $N$ images, or of the $N_v$ that share the value:
#
# $$ q(z_j \mid v) = \frac{1}{N_v} \sum_{n:\, v_k(x_n) = v} \mathcal{N}\left(z_j;\, \mu_{nj},\, \sigma_{nj}^2\right). \tag{7} $$
#
# The Gaussians are counted on a grid and convolved by a Fourier transform (`lib/mixtures.py`): nothing is sampled.

# %%
paper.table(
    paper_tables.estimators(table),
    """**Table 6.** The MIG by each estimator: quadrature, the sampler of [12] with {sampler_images} samples (they take 10,000), the histogram
of [15].""",
)
paper.text("{estimators} {cost}")

# %% [markdown]
# ### Other measures

# %%
paper.table(
    paper_tables.measures(table),
    """**Table 7.** MIG and, as in [15], DCI [16] (from {dci_images} images), SAP [17] and FactorVAE score [7]; larger is better.""",
)
paper.text("{measures}")

# %% [markdown]
# ### Which factors each arm encodes

# %%
measured = {arm: analysis.measured[run.name] for arm, run in analysis.first.items()}
paper.figure(
    information.information_matrices(
        {arm: np.array(content["information"]) for arm, content in measured.items()},
        {arm: np.array(content["kl_latents"]) for arm, content in measured.items()},
    ),
    "information",
    """**Figure 5.** Mutual information of every factor with every latent in use, in nats. A separated factor has one dark cell in its row.""",
)

# %%
paper.table(
    encoding_table(analysis.measured, table),
    """**Table 8.** Nats that the best latent holds about each factor; in brackets that latent in the first seed, starred where it leads for
another factor too, – below 0.1 nats there (several together may hold more).""",
)
paper.text("{encoded}")

# %%
paper.table(
    order_table(analysis.by_arm(analysis.snapshots), {arm: row.label for arm, row in ARMS.items()}),
    """**Table 9.** Pixels changed by each factor alone, and the KL at which its information passes half of its final value (of runs that encode it at the end; blank: none).""",
)
paper.text("{order}")

# %% [markdown]
# ### Reconstructions and traversals

# %%
inputs = pictures.some_images(images)
paper.figure(
    montages.reconstructions(
        inputs[:, 0].numpy(), {arm: pictures.reconstruct(model, inputs) for arm, model in analysis.models.items()}
    ),
    "reconstructions",
    """**Figure 6.** Nine images picked at random (above), and as reconstructed from the posterior mean. A code without orientation
draws round blobs, the mean over all angles.""",
)

# %%
values, start = np.linspace(-2, 2, 7, dtype=np.float32), pictures.middle_heart(images)
ranked = {arm: latent_table(run) for arm, run in pair.items()}
paper.figure(
    montages.traversals(
        {arm: pictures.traverse(model, start, values)[ranked[arm]["latent"]] for arm, model in models.items()},
        values,
        {arm: latent_labels(latents) for arm, latents in ranked.items()},
        start[0].numpy(),
    ),
    "traversals",
    """**Figure 7.** Each latent from −2 to 2, the others at the posterior mean of the image above. Beside a row its latent, KL and the factor it knows most
about; rows without a label carry nothing. What the picture at 0 lacks of the start image, the code does not hold.""",
)

# %%
between = np.linspace(-2, 2, 13, dtype=np.float32)
save_traversals(
    {arm: pictures.traverse(model, start, between)[ranked[arm]["latent"]] for arm, model in models.items()},
    {arm: [f"{row.latent}: {row.kl:.1f} nats" for row in latents.itertuples()] for arm, latents in ranked.items()},
    analysis.folder / "traversal.gif",
)
paper.html(
    explorer(pair),
    """**Figure 8.** The same, to be moved by hand.""",
)

# %% [markdown]
# ### What the KL consists of
#
# The KL splits into $I_q(x; z)$, the total correlation of the latents, and the dimension-wise KL, the mismatch of each latent alone with the prior
# [12, 14].

# %%
paper.table(
    paper_tables.split(table, analysis.snapshots),
    """**Table 10.** The KL, its parts and the MIG; the lower half, if any, at the last snapshot, on {every}, as in Figure 9.""",
)
paper.text("{rest}")

# %%
paper.figure(
    information.over_training(analysis.by_arm(analysis.snapshots)),
    "information_over_training",
    """**Figure 9.** The KL and its parts over training, C, and the MIG below, at the snapshots. Dotted: log N = {grid_bound} nats, which $I_q(x; z)$ cannot
exceed on {grid} images.""",
)

# %%
paper.table(
    paper_tables.gaps(analysis.gaps, table["arm"]),
    """**Table 11.** How far C and KL stood from $I_q(x; z)$ at the snapshots, on {grid} images, in nats. "From step": from this snapshot until the end.""",
)

# %% [markdown]
# ### The controls

# %%
controls = any(ARMS[arm].beside for arm in analysis.profile.arms)
if controls:
    paper.text(
        r"""In a fixed number of steps, a slow rise and little time at $C_{\max}$ are one factor, "lateness"; only *slow then held*, which trains longer, parts them. And
where the noise of batches decides whether β rises, the rule is a clock that ticks at random: *random hold* is that clock."""
    )
    paper.figure(
        runs.controls(analysis.by_arm(analysis.traces)),
        "controls",
        """**Figure 10.** Capacity of every control (thin) over that of the arm it controls for (thick).""",
    )
else:
    paper.text("This profile has no controls; `seeds` has them.")
paper.points({"same_arrival": "As late", "seeing_beta": "Blind to β", "slow_clock": "Slow, then held"})

# %% [markdown]
# ## Discussion
#
# ### The report's claims

# %%
paper.table(
    claims_table(claims(analysis)),
    """**Table 12.** What the report claims, found and wished for, against these runs; differences are adaptive − linear.""",
)
paper.text("{public_logs}")

# %% [markdown]
# ### What is continuous pressure?

# %%
paper.text(
    """{squeezed} Neither the report nor ControlVAE [9] speaks of that.

### Does C follow the information?

{followed} Neither rule sees $I_q(x; z)$: one sees the clock, the other the KL (Table 11).

### Where does the rest of the KL go?

$I_q(x; z)$ cannot exceed the entropy of the images, {entropy} nats, {above} below the report's $C_{\\max}$. {beyond} The rest goes into total
correlation and dimension-wise KL (Table 10)."""
)

# %% [markdown]
# ## Other methods

# %%
others = compare_profile(analysis, images, figure=11 if controls else 10, table=13)

# %%
if others:
    paper.text(
        """The report argues with methods that it did not run. Here they are, with the images, network, initial weights, batches and noise of the first seed; notebook 05
gives the source of each (`arm`) and all departures, of which three matter. DynamicVAE's gains are multiplied by how much shorter the training is, so that β swings before it
locks. The total correlation is estimated by stratified sampling, for beta-TCVAE also by its authors' weighted sampling. InfoGAN's generator is the decoder of all arms, without
batch normalisation: it says little of [8]."""
    )

# %%
if others:
    show_arms(others)
    paper.points(
        {
            "with_more_pressure": "Pressure or none",
            "curve_alone": "Curve or feedback",
            "goes_with": "What the MIG goes with",
        }
    )

# %%
if others:
    show_encoded(others)

# %%
if others:
    show_traversals_of_all(others, images)

# %%
if others:
    show_at_kl(others)
    paper.text("{arms_at_like_kl}")

# %%
if others:
    paper.text(
        r"""The information bottleneck [5] asks how little a code may keep for what it must tell, here $x$ itself. With the rate $R$ that it costs, and the distortion $D$, what is still to be said,

$$ D + \mathrm{KL} \ge D + I_q(x; z) \ge H(x \mid z) + I_q(x; z) = H(x). \tag{8} $$"""
    )
    show_bottleneck(others)

# %%
if others:
    paper.text(
        r"""The report wished for pressure that the information does not feel. *Information is free* sets

$$ C(t) = \min\bigl(C_{\max},\ \hat I + C(0) + s\,(C_{\max} - \hat I - C(0))\bigr), \qquad s = \min(t / t_{\max}, 1), \tag{9} $$

a growing margin for $\mathrm{KL} - \hat I$. *I held + TC pressed* has it hold $\hat I$ itself at $C$,
by its weight $\beta_I \ge 0$, with six times the pressure on the total correlation alone. {wish}"""
    )

# %%
if others:
    show_samples_of_all(others, images)

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
# 18. Shao et al. Rethinking Controllable Variational Autoencoders (DynamicVAE). CVPR 2022. Code: [shj1987/DynamicVAE-CVPR2022](https://github.com/shj1987/DynamicVAE-CVPR2022)
