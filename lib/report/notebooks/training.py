"""What the training notebooks share: each call shows one part of a run, from the rule to what was reached.

A caption takes what its cell displayed above it (lib/report/page), so that prose comes after it or in another cell.
"""

import inspect
from collections.abc import Callable
from dataclasses import replace
from textwrap import dedent

from IPython.display import Markdown, display

from lib.arms import ARMS, objective_of, schedule_of
from lib.data import dataset
from lib.data.dataset import Dataset
from lib.evaluation.evaluate import evaluate
from lib.evaluation.samples import measure_samples
from lib.evaluation.scores import measure_scores
from lib.evaluation.snapshots import measure_snapshots
from lib.objectives import Controlled, controlled
from lib.pid import PIDController
from lib.refusal import Interrupted
from lib.report.figures.information import over_training
from lib.report.figures.montages import traversals
from lib.report.figures.pictures import middle_heart
from lib.report.figures.runs import toy_plant, traces
from lib.report.figures.style import show
from lib.report.findings.controller import arm_arrival
from lib.report.kept_pictures import VALUES, kept_traversals
from lib.report.latents import IN_USE, latent_labels, latent_table
from lib.report.notebooks.live import Live
from lib.report.notebooks.samples import show_drawn
from lib.report.notebooks.shared import as_above, figures_of, label
from lib.report.tables import run_table
from lib.runs.recorded import Recorded
from lib.runs.reuse import take_over
from lib.runs.run import Run
from lib.runs.settings import EvaluationConfig, TrainingConfig
from lib.toy_plant import simulate
from lib.training.streams import advances_of
from lib.training.train import train

CONTROLLER = r"""
From the error the controller makes the KL's weight:

$$ \beta(t) = \max\left( \beta_{\min},\; \frac{K_p}{1 + \exp e(t)} - K_i \sum_{s \le t} e(s) + \beta_{\min} \right).
\tag{2} $$

The anti-windup holds the sum while $\beta$ is at its minimum, where under `published`, not under `conditional`, it can
stay for ever (*locked*).
"""

TOY_PLANT = r"""
On the toy plant the KL moves as a linear VAE's would on ten Gaussian sources: with a lag, towards
$\sum_i \max(0, \log(\lambda_i / \beta)) / 2$ (reverse water-filling).
"""

MEASURES = "Notebook 04 defines the MIG. The reconstruction loss is that of one sample of $z$ per image."


def functions_of_the_rule(config: TrainingConfig) -> list[Callable]:
    """The functions that compute what the run's arm adds to the loss, in the order in which a step calls them.

    Where the objective is not `controlled`, the function that binds its constants stands before them, and what they
    rest on behind.
    """
    objective, make_schedule = objective_of(config.arm, config), ARMS[config.arm].schedule
    if not isinstance(objective, Controlled):
        parts = (getattr(type(objective), name, None) for name in ("control", "penalty"))  # InfoGAN has neither
        own = [ARMS[config.arm].objective, *filter(None, parts)]
        rule = [type(objective.schedule).set_point] if hasattr(objective, "schedule") else []
        return [*own, *rule, *getattr(objective, "rests_on", ())]
    schedule = type(objective.schedule)
    own = [] if ARMS[config.arm].objective is controlled else [ARMS[config.arm].objective]
    control = [] if make_schedule is schedule else [make_schedule]  # gives a rule another t_max
    return [*own, *control, schedule.set_point, PIDController.step, schedule.advance]


def show_rule(config: TrainingConfig) -> None:
    """The controller's equation, what the rule's classes and functions say of themselves in lib, when C is C_max."""
    has_controller = isinstance(objective_of(config.arm, config), Controlled)
    if has_controller:
        display(Markdown(CONTROLLER))
    display(Markdown("The code, in the order of a step:"))
    described = {""}
    for function in functions_of_the_rule(config):
        owner = function.__qualname__.rpartition(".")[0]
        text = inspect.getdoc(getattr(inspect.getmodule(function), owner, None)) if owner not in described else None
        described.add(owner)
        if text:  # a class: its equation, and where that comes from
            display(Markdown(f"`{owner}`\n\n```text\n{text}\n```"))
        where = f"{function.__module__.replace('.', '/')}.py"
        display(Markdown(f"`{function.__qualname__}` ({where})\n\n```python\n{dedent(inspect.getsource(function))}```"))
    if has_controller:
        display(Markdown(arm_arrival(config)))
        display(Markdown(TOY_PLANT))


def show_toy_plant(config: TrainingConfig, run: Run, what_to_see: str) -> None:
    """Figure 1: the arm's rule on the toy plant, always in the same setting; only ControlVAE's controller has one."""
    objective = objective_of(config.arm, replace(config, anti_windup="conditional"))  # unless the arm has its own
    if not isinstance(objective, Controlled):
        display(Markdown(f"The toy plant is one for ControlVAE's controller; the arm `{config.arm}` has another rule."))
        return
    anti_windup = objective.controller.anti_windup
    controller, arm, advances = PIDController(ki=1.0, anti_windup=anti_windup), ARMS[config.arm], None
    if arm.drawn_from is not None:
        other = simulate(controller, schedule_of(arm.drawn_from, 0.5, 16.0, 6_000), steps=6_000, lag=100)["capacity"]
        advanced = (other.diff() > 0).to_numpy()
        steps = Recorded(advanced.mean(), advanced if arm.of_next_seed else None, {})
        advances = advances_of(config.seed, 6_000, steps)
    schedule = schedule_of(config.arm, 0.5, 16.0, 6_000, advances)
    show(
        toy_plant(simulate(controller, schedule, steps=6_000, lag=100), config.arm),
        figures_of(run) / "toy_plant",
        "**Figure 1.** The rule on the toy plant, a simulation (6,000 steps, ki = 1, lag 100, "
        f"{anti_windup} anti-windup). {what_to_see}",
    )


def train_and_show(config: TrainingConfig, run: Run) -> tuple[Run, Dataset]:
    """Train the run, or load it where it stands complete here or in another profile, and show its trace (Figure 2).

    Returns the run with its data. Raises Interrupted where the reader interrupts it.
    """
    data = dataset.load(dataset.ensure(config.data))
    take_over(config, run, data.sha256)
    live = Live()
    try:
        train(config, run, data, observer=live)
    except KeyboardInterrupt:
        kept = "continues from its checkpoint" if run.checkpoint.exists() else "begins anew, as there is no checkpoint"
        raise Interrupted(f"{run.name} was interrupted; run the cell again, and it {kept}.") from None
    live.clear()
    trace = run.trace()
    empty = [name for name, column in (("beta", "beta"), ("C", "capacity")) if trace[column].isna().all()]
    pieces = len(run.segments())
    show(
        traces({config.arm: [trace]}),
        figures_of(run) / "trace",
        f"**Figure 2.** Training of the {ARMS[config.arm].label} arm; moving averages, but for C. "
        f"{''.join(f'This arm has no {name}. ' for name in empty)}n = 1 run; {label(run)}"
        f"{f'; trained in {pieces} segments (`run.json`)' if pieces > 1 else ''}.",
    )
    return run, data


def show_measures(run: Run, data: Dataset, evaluation: EvaluationConfig) -> None:
    """Measure the run on the data set, or read what was measured; Table 1."""
    measured = evaluate(run, data, evaluation)
    measure_scores(run, evaluation)
    display(run_table([run]).T)
    display(
        Markdown(
            f"**Table 1.** The run in numbers, measured on {measured['images']:,} images (DCI learns from "
            f"{evaluation.dci_samples:,}); `results/README.md` explains each row, under `table.csv`. {as_above(run)}."
        )
    )
    display(Markdown(MEASURES))


def show_traversals(run: Run, data: Dataset) -> None:
    """What the latents in use draw, Figure 4; of a published run without weights what was kept, or a sentence."""
    arm, table, pictures = run.config().arm, latent_table(run), kept_traversals(run, data)
    used = table[table["kl"] > IN_USE]
    if pictures is None or used.empty:
        why = "Its weights are not there" if pictures is None else f"No latent has a KL above {IN_USE:g} nats"
        display(Markdown(f"{why}: no traversals are drawn."))
        return
    show(
        traversals({arm: pictures[used["latent"]]}, VALUES, {arm: latent_labels(used)}, middle_heart(data)[0].numpy()),
        figures_of(run) / "traversals",
        "**Figure 4.** Each latent in use from −2 to 2, the others at the posterior mean of the image above. Beside a "
        f"row latent, KL in nats and the factor it knows most about. {as_above(run)}.",
    )


def show_samples(run: Run, data: Dataset, evaluation: EvaluationConfig) -> None:
    """Of an arm that is trained as a sampler: measure its samples, or read what was measured; Figure 9."""
    if not ARMS[run.config().arm].sampler:
        return
    measured = measure_samples(run, data, evaluation)
    show_drawn(run, data, measured, 9, figures_of(run) / "samples", as_above(run))


def show_information(run: Run, data: Dataset, evaluation: EvaluationConfig) -> None:
    """Measure the run's weight snapshots, or read what was measured; Figure 3."""
    snapshots = measure_snapshots(run, data, evaluation)
    show(
        over_training({run.config().arm: [snapshots]}),
        figures_of(run) / "information",
        f"**Figure 3.** The KL, its parts and C, and below the MIG (quadrature), at {len(snapshots)} snapshots; "
        f"dotted, log N, which the information of N = {snapshots['images'].iloc[0]:,} images cannot "
        f"exceed. {as_above(run)}.",
    )
