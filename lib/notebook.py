"""What the notebooks share: parameters checked before any work, and the words that label a result."""

import ast
from dataclasses import fields
from typing import Any

from lib.config import EvaluationConfig, TrainingConfig
from lib.profiles import Profile, load_profile
from lib.runs import Run

PAPER_STEPS = 1_500_000  # the report's; a run with fewer is labelled as reduced
TRAINING = tuple(field.name for field in fields(TrainingConfig))
EVALUATION = tuple(field.name for field in fields(EvaluationConfig))


def parameters(namespace: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """The values of a notebook's parameters; raises ValueError for a parameter that is not in `names`.

    namespace: the notebook's globals(). papermill injects an unknown parameter with no more than a warning, so all
    names are checked here that were assigned by the cells which ran before this cell's first run.
    """
    cells = namespace["In"]
    before = cells[: cells.index(cells[-1])]
    targets = [
        target
        for cell in before
        for statement in ast.parse(cell).body
        if isinstance(statement, ast.Assign | ast.AnnAssign)
        for target in (statement.targets if isinstance(statement, ast.Assign) else [statement.target])
    ]
    unknown = [ast.unparse(target) for target in targets if ast.unparse(target) not in names]
    if unknown:
        raise ValueError(f"There is no parameter {unknown[0]!r}; the parameters are {', '.join(names)}.")
    return {name: namespace[name] for name in names}


def configure_training(
    namespace: dict[str, Any], arms: tuple[str, ...]
) -> tuple[Profile, TrainingConfig, EvaluationConfig, Run]:
    """From a training notebook's parameters to the run: profile, both configurations and the run directory.

    A parameter that is None keeps the profile's value. Raises ValueError, in one sentence, for an unknown name, a
    wrong type, an impossible value, or an arm that is not this notebook's.
    """
    given = parameters(namespace, ("profile", *TRAINING, *EVALUATION))
    if given["arm"] not in arms:
        raise ValueError(f"arm is {given['arm']!r}; this notebook trains {' or '.join(arms)}.")
    profile = load_profile(given["profile"])
    config = profile.training_config(**{name: given[name] for name in TRAINING})
    evaluation = profile.evaluation_config(**{name: given[name] for name in EVALUATION})
    return profile, config, evaluation, profile.run(config)


def label(run: Run) -> str:
    """What a caption says of a run: size, seed, precision, hardware, and whether it is reduced."""
    config, hardware = run.config(), run.record()["provenance"]["hardware"]
    reduced = f"a reduced run, the report took {PAPER_STEPS:,}" if config.steps < PAPER_STEPS else "the report's size"
    processor = hardware["accelerator"] or f"{hardware['processor']}, {config.threads} thread per arm"
    return (
        f"{config.steps:,} steps of {config.batch_size} images ({reduced}), seed {config.seed}, "
        f"{config.precision}, {processor}"
    )
