"""All arms trained with the settings of one run, side by side: what notebook 05 ends in, and a part of the paper."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path

import pandas as pd
from IPython.display import Markdown, display

from lib.data.dataset import Dataset
from lib.evaluation.snapshots import RECONSTRUCTED
from lib.report.effects import COMPARED
from lib.report.figures.bottleneck import estimated_information, rate_distortion
from lib.report.figures.style import show
from lib.report.figures.tradeoff import at_kl
from lib.report.findings import other_arms as findings
from lib.report.findings.contrast import MIG, RECONSTRUCTION
from lib.report.findings.encoding import encoding_table, latents_of_their_own
from lib.report.latents import IN_USE
from lib.report.notebooks.shared import arms_of, label, paper_steps
from lib.report.other_arms import Compared, compare, results
from lib.runs.profiles import load_profile
from lib.runs.settings import EvaluationConfig, TrainingConfig


@dataclass(frozen=True)
class Comparison:
    """Arms to be shown, and where: the folder of the figures, the numbers of the first one and of the first table."""

    compared: Compared
    config: TrainingConfig  # of one of them; the others have its settings
    folder: Path
    figure: int
    table: int

    @property
    def size(self) -> str:
        """ "**reduced, n = 1** run per arm; ..." as the settings say."""
        runs = self.compared.runs
        own = self.config.steps
        longer = [f"{arm} {run.config().steps:,}" for arm, run in runs.items() if run.config().steps != own]
        ordered = sorted(runs.values(), key=lambda run: run.config() != self.config)  # the label is the first one's
        return f"**{'reduced, ' if own < paper_steps() else ''}n = 1** run per arm: {label(*ordered)}" + (
            f"; longer: {', '.join(longer)} steps" if longer else ""
        )


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
    return Comparison(compared, config, folder, figure, table)


def _unless_empty(show: Callable[[Comparison], None]) -> Callable[[Comparison], None]:
    """Nothing is shown where no run stands measured with these settings, as some published by older code do not."""

    @wraps(show)
    def guarded(shown: Comparison) -> None:
        if shown.compared.runs:
            show(shown)

    return guarded


@_unless_empty
def show_arms(shown: Comparison) -> None:
    """The first table: one row per arm, its sentence at the end."""
    with pd.option_context("display.max_colwidth", None):
        display(findings.table(results(shown.compared.measured)))
    display(
        Markdown(
            f"**Table {shown.table}.** Every arm once ({shown.size}). MIG by quadrature; losses and information "
            f"in nats per image; a latent with a KL above {IN_USE:g} nats is in use. In words: what the arm does, and "
            f"whether the MIG is more than {MIG.margin:g}, or the reconstruction loss more than "
            f"{RECONSTRUCTION.margin:g} nats, from that of the {findings.BASE} arm, which one seed does not tell from "
            "chance."
        )
    )


@_unless_empty
def show_encoded(shown: Comparison) -> None:
    """The second table: what each arm's code knows about each factor."""
    measured = shown.compared.measured
    arms = pd.Series(list(measured), list(measured), name="arm")
    display(encoding_table(measured, arms.to_frame()).T)
    display(
        Markdown(
            f"**Table {shown.table + 1}.** Nats that the best latent holds about each factor; in brackets that latent, "
            f"starred where it leads for another factor too; – where no single latent holds {IN_USE:g} nats, though "
            f"several together may. {shown.size}."
        )
    )
    display(Markdown(latents_of_their_own(measured)))


@_unless_empty
def show_at_kl(shown: Comparison) -> None:
    """The first two figures: MIG and reconstruction loss against the KL."""
    snapshots = {arm: [frame] for arm, frame in shown.compared.snapshots.items()}
    windows = {arm: [frame] for arm, frame in shown.compared.windows.items()}
    words = {
        "mig_four": "MIG (quadrature) against the KL",
        "reconstruction": "Reconstruction loss against the KL; lines are means over 1/200 of training",
    }
    for number, (measure, what) in enumerate(words.items(), start=shown.figure):
        show(
            at_kl(snapshots, windows, [measure]),
            shown.folder / f"all_arms_{measure}",
            f"**Figure {number}.** {what}; points are weight snapshots from where training had settled on, the last "
            f"one larger. {shown.size}.",
        )


@_unless_empty
def show_rate_distortion(shown: Comparison) -> None:
    """The third figure: D against R, and by how much the arms stay above the bound."""
    compared = shown.compared
    show(
        rate_distortion(compared.snapshots, compared.entropy),
        shown.folder / "all_arms_rate_distortion",
        f"**Figure {shown.figure + 2}.** Distortion against rate of every measured snapshot, the last one larger: rate "
        f"on all images of the grid, distortion on {RECONSTRUCTED:,} of them at most. Below D + R = H(x), grey, "
        f"nothing can lie. {shown.size}.",
    )
    display(Markdown(findings.bound(compared.snapshots, compared.entropy)))


@_unless_empty
def show_estimates(shown: Comparison) -> None:
    """The fourth figure, where an arm steers by it: the information as estimated in training, and exact."""
    compared = shown.compared
    estimates = {arm: frame for arm, frame in compared.estimates.items() if len(frame)}
    if estimates:
        images = int(compared.snapshots[next(iter(estimates))]["images"].iloc[0])
        show(
            estimated_information(compared.traces, estimates, images),
            shown.folder / "all_arms_estimate",
            f"**Figure {shown.figure + 3}.** The smoothed estimate of $I_q(x; z)$ that the training steered by, and "
            f"the exact value at the weight snapshots. {shown.size}.",
        )
    display(Markdown(findings.bias(estimates, compared.snapshots)))
