"""Arms side by side: what notebook 05 ends in, and the paper's last section."""

import math
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from IPython.display import Markdown, display

from lib.arms import ARMS
from lib.data.dataset import Dataset
from lib.evaluation.snapshots import RECONSTRUCTED
from lib.files import read_json
from lib.report.analysis import Analysis
from lib.report.effects import COMPARED
from lib.report.figures import bottleneck as figures
from lib.report.figures.montages import first_latents
from lib.report.figures.style import show
from lib.report.figures.tradeoff import at_kl
from lib.report.findings import bottleneck
from lib.report.findings import other_arms as findings
from lib.report.findings.against_base import BASE, against_base, beyond_margin, what_each_does
from lib.report.findings.contrast import MIG, RECONSTRUCTION
from lib.report.findings.encoding import encoding_table, latents_of_their_own
from lib.report.findings.wish import batch_estimates, estimators_of_tc
from lib.report.findings.wording import joined, labels
from lib.report.kept_pictures import kept_traversals
from lib.report.latents import IN_USE, latent_labels, latent_table
from lib.report.notebooks.samples import show_drawn
from lib.report.notebooks.shared import arms_of, label, paper_steps
from lib.report.other_arms import Compared, compare, ended, gathered, results
from lib.runs.profiles import load_profile
from lib.runs.settings import EvaluationConfig, TrainingConfig

FULL_LENGTH = "python -m lib paper --arms info_gan --set steps=288000 learning_rate=0.001"
MOST = 5  # latents of an arm that are drawn: as many as the data set has factors


@dataclass(frozen=True)
class Comparison:
    """Arms to be shown, and where: the folder of the figures, the numbers of the first one and of the first table."""

    compared: Compared
    results: pd.DataFrame  # `lib.report.other_arms.results`, of some arms over several seeds
    config: TrainingConfig  # of one of them; the others have its settings
    folder: Path
    figure: int
    table: int

    @property
    def size(self) -> str:
        """What is said of figures and tables that show one run of each; the first table names the settings."""
        reduced = "**Reduced runs**, " if self.config.steps < paper_steps() else ""
        return f"{reduced}n = 1 each (Table {self.table})"

    @property
    def settings(self) -> str:
        """What the runs have in common, and which are longer."""
        runs = self.compared.runs
        longer = [
            f"{arm} {run.config().steps:,}" for arm, run in runs.items() if run.config().steps != self.config.steps
        ]
        ordered = sorted(runs.values(), key=lambda run: run.config() != self.config)  # the label is the first one's
        return label(*ordered, with_seeds=False) + (f"; longer: {', '.join(longer)} steps" if longer else "")


def compare_arms(
    profile: str, config: TrainingConfig, evaluation: EvaluationConfig, data: Dataset, folder: Path, figure: int,
    table: int,
) -> Comparison:  # fmt: skip
    """Gather the measured runs of the same settings and seed, and say which command trains an arm that lacks one."""
    of = load_profile(profile)
    compared = compare(of, config, evaluation, data)
    missing = [arm for arm in (*COMPARED, *arms_of("05_other_arms")) if arm not in compared.runs]
    own = of.training_config(config.arm, config.seed).as_mapping() | of.evaluation_config().as_mapping()
    given = config.as_mapping() | evaluation.as_mapping()
    changed = {name: value for name, value in given.items() if value != own[name]}
    display(Markdown(findings.how_to_train(missing, {"profile": profile, "seed": config.seed} | changed)))
    of_each = {arm: [content] for arm, content in compared.measured.items()}
    return Comparison(compared, results(of_each), config, folder, figure, table)


def compare_profile(a: Analysis, data: Dataset, figure: int, table: int) -> Comparison | None:
    """The runs of an analysis and of the profile's other arms; None, and a sentence, where it has no others."""
    if not a.once:
        display(Markdown(f"The profile `{a.profile.name}` trains no other methods; `seeds` does."))
        return None
    runs = a.first | {run.config().arm: run for run in a.once}
    compared = gathered(runs, a.profile.evaluation_config(), data)
    return Comparison(compared, a.every_arm, a.pair["linear"].config(), a.folder, figure, table)


def show_arms(shown: Comparison) -> None:
    """The first two tables, one row per arm: what it reached; what it does, and how far it is from `BASE`."""
    of_seed = results({arm: [content] for arm, content in shown.compared.measured.items()})
    display(findings.table(shown.results))
    display(
        Markdown(
            f"**Table {shown.table}.** Arms side by side, means over n runs (seeds from {shown.config.seed} on): "
            f"{shown.settings}. MIG by quadrature and histogram; I(x; z) with a standard error of at most "
            f"{max(each['decomposition']['standard_error'] for each in shown.compared.measured.values()):.2f} nats; in "
            f"use: latents above {IN_USE:g} nats."
        )
    )
    differences = against_base(shown.results, of_seed)
    seed = f"; {BASE} with seed {shown.config.seed}: MIG {of_seed['mig_four'].get(BASE, math.nan):.3f}"
    base = seed if (differences["n"] == 1).any() else ""
    with pd.option_context("display.max_colwidth", None):  # else longer cells end in "..."
        display(what_each_does(shown.results.index, differences))
    display(
        Markdown(
            f"**Table {shown.table + 1}.** What each arm does, and how far it ended from {BASE} in runs of the "
            f"same seeds (pairs; loss in nats{base}); starred beyond the margins of {MIG.margin:g} and "
            f"{RECONSTRUCTION.margin:g} nats. Settings: Table {shown.table}."
        )
    )
    display(Markdown(beyond_margin(differences)))
    display(Markdown(findings.off_target(ended(shown.compared), shown.config.seed)))
    display(Markdown(findings.locked(shown.compared.locked_at, shown.compared.measured)))


def show_encoded(shown: Comparison) -> None:
    """The third table: what each arm's code knows about each factor."""
    measured = shown.compared.measured
    arms = pd.Series(list(measured), list(measured), name="arm")
    display(encoding_table(measured, arms.to_frame()).T)
    display(
        Markdown(
            f"**Table {shown.table + 2}.** Nats that the best latent holds about each factor; in brackets that latent, "
            f"starred where it leads for another factor too, – below {IN_USE:g} nats (several together may hold more). "
            f"{shown.size}."
        )
    )
    display(Markdown(latents_of_their_own(measured)))


def show_traversals_of_all(shown: Comparison, data: Dataset) -> None:
    """The first figure: what the latents of every arm draw, as far as its weights or its pictures are there."""
    found = {arm: kept_traversals(run, data) for arm, run in shown.compared.runs.items()}
    tables = {arm: latent_table(shown.compared.runs[arm]) for arm, pictures in found.items() if pictures is not None}
    used = {
        arm: table[table["kl"] > IN_USE] if (table["kl"] > IN_USE).any() else table[:1] for arm, table in tables.items()
    }
    if used:
        show(
            first_latents(
                {arm: found[arm][table["latent"]] for arm, table in used.items()},
                {arm: latent_labels(table) for arm, table in used.items()},
                MOST,
            ),
            shown.folder / "all_arms_traversals",
            f"**Figure {shown.figure}.** Latents in use of each arm from −2 to 2, {MOST} at most (of as many as the "
            "title says), the others where a large heart is coded. Beside a row latent, KL in nats and the factor it "
            f"knows most about. {shown.size}.",
        )
    display(Markdown(findings.not_drawn([arm for arm in found if arm not in used])))


def show_total_correlation(shown: Comparison, data: Dataset) -> None:
    """What the estimators of the total correlation make of an arm whose weights are there, in a sentence."""
    for arm, run in shown.compared.runs.items():
        if not ARMS[arm].sampler and (run.path / "weights.safetensors").exists():
            batch, exact = run.config().batch_size, shown.compared.measured[arm]["decomposition"]["total_correlation"]
            display(Markdown(estimators_of_tc(batch_estimates(run, data, batch), exact, arm, batch)))
            return


def _off_scale(shown: Comparison) -> str:
    """Whose measured loss nothing made small, so that it is no point of a figure."""
    above = [arm for arm in shown.compared.snapshots if ARMS[arm].sampler]
    return f" {joined(labels(above))}, trained by no likelihood, is far above." if above else ""


def show_at_kl(shown: Comparison) -> None:
    """The second figure: MIG and reconstruction loss against the KL."""
    snapshots = {arm: [frame] for arm, frame in shown.compared.snapshots.items()}
    windows = {arm: [frame] for arm, frame in shown.compared.windows.items()}
    show(
        at_kl(snapshots, windows, stacked=True),
        shown.folder / "all_arms_at_kl",
        f"**Figure {shown.figure + 1}.** MIG (quadrature) and reconstruction loss against the KL; points are weight "
        "snapshots from where training had settled on (all, where it never had), the last one larger; lines below are "
        f"means over 1/200 of training.{_off_scale(shown)} {shown.size}.",
    )


def show_bottleneck(shown: Comparison) -> None:
    """The third figure: D and I against R, and by how much the arms stay above the bound."""
    compared = shown.compared
    show(
        figures.bottleneck(compared.snapshots, compared.entropy),
        shown.folder / "all_arms_bottleneck",
        f"**Figure {shown.figure + 2}.** Distortion (of {RECONSTRUCTED:,} images at most) and information against "
        "rate, at every measured snapshot, the last one larger. Nothing can lie where it is grey; the largest KLs are "
        f"cut off.{_off_scale(shown)} {shown.size}.",
    )
    likely = {arm: frame for arm, frame in compared.snapshots.items() if not ARMS[arm].sampler}
    display(Markdown(bottleneck.bound(likely, compared.entropy)))


def show_estimates(shown: Comparison) -> None:
    """The fourth figure, of notebook 05 alone, where an arm steers by it: the information as estimated, and exact."""
    compared = shown.compared
    estimates = {arm: frame for arm, frame in compared.estimates.items() if len(frame)}
    images = compared.measured[shown.config.arm]["images"]  # measured alike in every arm
    if estimates:
        show(
            figures.estimated_information(compared.traces, estimates, images),
            shown.folder / "all_arms_estimate",
            f"**Figure {shown.figure + 3}.** The smoothed estimate of $I_q(x; z)$ that the training steered by, and "
            f"the exact value, of N = {images:,} images. {shown.size}.",
        )
    display(Markdown(bottleneck.bias(estimates, images)))


def show_samples_of_all(shown: Comparison, data: Dataset) -> None:
    """The fourth figure, of the paper alone, where an arm is trained as a sampler: what it draws."""
    for arm, run in shown.compared.runs.items():
        if ARMS[arm].sampler:
            measured = read_json(run.path / "samples.json")
            show_drawn(run, data, measured, shown.figure + 3, shown.folder / "all_arms_samples", shown.size)
            display(Markdown(f"So its scores say little. Its source trained longer: `{FULL_LENGTH}` (not run)."))
