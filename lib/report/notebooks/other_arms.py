"""What notebook 05 ends in: all arms trained so far with the settings of its run, beside one another."""

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
from lib.report.latents import IN_USE
from lib.report.notebooks.shared import arms_of, label, paper_steps
from lib.report.other_arms import Compared, compare, results
from lib.runs.profiles import load_profile
from lib.runs.run import Run
from lib.runs.settings import EvaluationConfig, TrainingConfig


def compare_arms(profile: str, config: TrainingConfig, evaluation: EvaluationConfig, data: Dataset) -> Compared:
    """Gather the measured runs of the same settings and seed, and say which command trains an arm that lacks one."""
    of = load_profile(profile)
    compared = compare(of, config, evaluation, data)
    missing = [arm for arm in (*COMPARED, *arms_of("05_other_arms")) if arm not in compared.runs]
    own = of.training_config(config.arm, config.seed).as_mapping() | of.evaluation_config().as_mapping()
    given = config.as_mapping() | evaluation.as_mapping()
    changed = {name: value for name, value in given.items() if value != own[name]}
    display(Markdown(findings.how_to_train(missing, {"profile": profile, "seed": config.seed} | changed)))
    return compared


def show_arms(compared: Compared, run: Run) -> None:
    """Table 2: one row per arm, its sentence at the end."""
    precisions = {arm: each.config().precision for arm, each in compared.runs.items()}
    with pd.option_context("display.max_colwidth", None):
        display(findings.table(results(compared.measured), precisions))
    display(
        Markdown(
            f"**Table 2.** The arms trained so far ({_size(compared, run)}). MIG by quadrature; losses and information "
            f"in nats per image; a latent with a KL above {IN_USE:g} nats is in use. In words: what the arm does, and "
            f"whether the MIG is more than {MIG.margin:g}, or the reconstruction loss more than "
            f"{RECONSTRUCTION.margin:g} nats, from that of the {findings.BASE} arm."
        )
    )


def show_at_kl(compared: Compared, run: Run) -> None:
    """Figures 4 and 5: MIG and reconstruction loss against the KL."""
    snapshots = {arm: [frame] for arm, frame in compared.snapshots.items()}
    windows = {arm: [frame] for arm, frame in compared.windows.items()}
    words = {
        "mig_four": "MIG (quadrature) against the KL",
        "reconstruction": "Reconstruction loss against the KL; lines are means over 1/200 of training",
    }
    for number, (measure, what) in enumerate(words.items(), start=4):
        show(
            at_kl(snapshots, windows, [measure]),
            run.path / "figures" / f"all_arms_{measure}",
            f"**Figure {number}.** {what}; points are weight snapshots from where training had settled on, the last "
            f"one larger. {_size(compared, run)}.",
        )


def show_rate_distortion(compared: Compared, run: Run) -> None:
    """Figure 6: D against R, and by how much the arms stay above the bound."""
    show(
        rate_distortion(compared.snapshots, compared.entropy),
        run.path / "figures" / "all_arms_rate_distortion",
        "**Figure 6.** Distortion against rate of every measured snapshot, the last one larger: rate on all images of "
        f"the grid, distortion on {RECONSTRUCTED:,} of them at most. Below D + R = H(x), grey, nothing can lie. "
        f"{_size(compared, run)}.",
    )
    display(Markdown(findings.bound(compared.snapshots, compared.entropy)))


def show_estimates(compared: Compared, run: Run) -> None:
    """Figure 7: the information as it was estimated in training against its exact value, where an arm steers by it."""
    estimates = {arm: frame for arm, frame in compared.estimates.items() if len(frame)}
    if estimates:
        images = int(compared.snapshots[next(iter(estimates))]["images"].iloc[0])
        show(
            estimated_information(compared.traces, estimates, images),
            run.path / "figures" / "all_arms_estimate",
            r"**Figure 7.** The smoothed estimate of $I_q(x; z)$ that the training steered by, and the exact value at "
            f"the weight snapshots. {_size(compared, run)}.",
        )
    display(Markdown(findings.bias(estimates, compared.snapshots)))


def _size(compared: Compared, run: Run) -> str:
    """ "**reduced, n = 1** run per arm; ..." as the settings say."""
    steps = {arm: each.config().steps for arm, each in compared.runs.items()}
    own = run.config().steps
    longer = [f"{arm} {count:,}" for arm, count in steps.items() if count != own]
    return (
        f"**{'reduced, ' if own < paper_steps() else ''}n = 1** run per arm: {label(run, *compared.runs.values())}"
        + (f"; longer: {', '.join(longer)} steps" if longer else "")
    )
