"""What the notebooks share: parameters checked before any work, and the words that label a result."""

from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from symtable import symtable
from typing import Any

import torch
from IPython.display import display

from lib.arms import ARMS
from lib.data.dataset import check_source
from lib.refusal import Refusal
from lib.report.page.origin import ORIGIN
from lib.runs.profiles import load_profile, published_profiles
from lib.runs.provenance import code_state, provenance
from lib.runs.published import check_published
from lib.runs.run import Run
from lib.runs.settings import EvaluationConfig, TrainingConfig
from lib.training.device import device_of

TRAINING = tuple(field.name for field in fields(TrainingConfig))
EVALUATION = tuple(field.name for field in fields(EvaluationConfig))


def parameters(namespace: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """The values of a notebook's parameters; raises ValueError for a parameter that is not in `names`.

    namespace: the notebook's globals(). papermill injects an unknown parameter with no more than a warning, so the
    names assigned by the parameters cell, as it last ran, and by the cell that papermill puts after it are checked.
    The parameters cell is the one that declares the first of `names` with its type. What code runs is displayed.
    """
    cells = namespace["In"][:-1]
    last = max((i for i, cell in enumerate(cells) if f"{names[0]}: " in cell), default=None)
    if last is None:
        raise Refusal("The parameters cell has not run; run it, then this cell again.")
    injected = [cell for cell in cells[last + 1 : last + 2] if cell.startswith("# Parameters")]
    symbols = [symbol for cell in (cells[last], *injected) for symbol in symtable(cell, "cell", "exec").get_symbols()]
    unknown = [each.get_name() for each in symbols if each.is_assigned() and each.get_name() not in names]
    if unknown:
        raise Refusal(f"There is no parameter {unknown[0]!r}; the parameters are {', '.join(names)}.")
    missing = [name for name in names if name not in namespace]
    if missing:
        raise Refusal(f"The parameter {missing[0]!r} is missing; put it back into the parameters cell.")
    show_origin()
    return {name: namespace[name] for name in names}


def show_origin(**facts: str) -> None:
    """Display, and put into the output's metadata for the page's foot, by what code the notebook runs; and `facts`."""
    made = provenance(torch.device("cpu"))
    commit = made["commit"] and made["commit"][:10] + (", with changes" if made["dirty"] else "")
    versions = ", ".join(f"{name} {number}" for name, number in made["versions"].items() if number)
    origin = {"code": code_state(), "commit": commit, "date": f"{datetime.now(UTC):%Y-%m-%d}", "versions": versions}
    known = {name: value for name, value in (origin | facts).items() if value}
    text = "; ".join(f"{name.replace('_', ' ')} {value}" for name, value in known.items())
    display({"text/plain": text}, raw=True, metadata={ORIGIN: known})


def paper_steps() -> int:
    """The report's; a run with fewer is labelled as reduced."""
    return load_profile("paper").training["steps"]


def arms_of(notebook: str) -> tuple[str, ...]:
    """The arms that this notebook (its name without suffix) trains, as their rows in lib/arms.py say."""
    return tuple(name for name, arm in ARMS.items() if arm.notebook == notebook)


def configure_training(
    namespace: dict[str, Any], arms: tuple[str, ...], reads_published: bool = False
) -> tuple[TrainingConfig, EvaluationConfig, Run]:
    """From a training notebook's parameters to the run: both configurations and the run directory.

    A parameter that is None keeps the profile's value. Where the notebook `reads_published` and its parameter
    `published` is True, the directory is that of a published run of these very settings, if there is one and none
    was begun here. Raises ValueError, in one sentence, for an unknown name, a wrong type, an impossible value,
    an arm that is not this notebook's, a device or a data file that is not there.
    """
    own = ("published",) if reads_published else ()
    given = parameters(namespace, ("profile", *TRAINING, *EVALUATION, *own))
    if given["arm"] not in arms:
        raise Refusal(f"arm is {given['arm']!r}; this notebook trains {' or '.join(arms)}.")
    profile = load_profile(given["profile"])
    config = profile.training_config(**{name: given[name] for name in TRAINING})
    evaluation = profile.evaluation_config(**{name: given[name] for name in EVALUATION})
    device_of(config)
    check_source(config.data)
    run = profile.run(config)
    if reads_published:
        if not isinstance(given["published"], bool):
            raise Refusal(f"published is {given['published']!r}; give True or False.")
        published = _published(config, evaluation)
        if given["published"] and published is not None and not run.path.exists():
            print("This run is published, and shown as it was; with -p published False it is trained here.")
            return config, evaluation, published
    return config, evaluation, run


def _published(config: TrainingConfig, evaluation: EvaluationConfig) -> Run | None:
    """The run of these very settings in a published profile that is measured so; raises Refusal for altered files."""
    for profile in published_profiles():
        run = Run(profile.published / f"{config.arm}-seed{config.seed}")
        if run.complete and (run.config(), profile.evaluation_config()) == (config, evaluation):
            check_published(profile.published)
            return run
    return None


def figures_of(run: Run) -> Path:
    """Where the figures of a training notebook go: into the run, or, where that is published, beside the paper's."""
    if run.path.parents[1].name != "published":
        return run.path / "figures"
    return load_profile(run.path.parent.name).directory / "figures" / run.name


def as_above(run: Run) -> str:
    """What a training notebook's captions say after Figure 2, whose `label` holds the conditions."""
    return f"{'**Reduced run**' if run.config().steps < paper_steps() else 'One run'} (n = 1; conditions: Figure 2)"


def label(*runs: Run, with_seeds: bool = True) -> str:
    """What a caption says of runs of one profile: size, seeds, precision, hardware, and whether they are reduced."""
    config, whole = runs[0].config(), paper_steps()
    reduced = f"a reduced run, the report took {whole:,}" if config.steps < whole else "the report's size"
    seeds = sorted({run.config().seed for run in runs})
    of = f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}, " if with_seeds else ""
    origins = [segment["hardware"] for run in runs for segment in run.segments() if "hardware" in segment]
    processors = dict.fromkeys(origin["accelerator"] or origin["processor"] for origin in origins)
    return (
        f"{config.steps:,} steps of {config.batch_size} images ({reduced}), {of}{config.precision}, "
        f"{' and '.join(processors)}, {config.threads} CPU "
        f"thread{'s' if config.threads > 1 else ''}{' per run' if len(runs) > 1 else ''}"
    )
