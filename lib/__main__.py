"""Train and measure a profile's runs without notebooks, from a plain checkout:

    python -m lib paper --seeds 1 2 3 --set precision=tf32 --minutes 60

Needs torch, numpy, h5py, pandas, safetensors and tqdm alone. Runs go where the notebooks look for them,
results/runs/<profile>; complete ones are left as they are, those complete in another profile are copied from there,
interrupted ones continue. On a GPU all runs train together (lib/training/lockstep.py), on a CPU one after the other:
start one command per arm to use more cores. On Linux, GLIBC_TUNABLES=glibc.malloc.hugetlb=1 before the command, as in
the Makefile, makes a step faster (lib/benchmarks/large_pages.py).

Ctrl-C and SIGTERM end a training after the step at hand or the next few (LOOK in lib/training/train.py), with a
checkpoint; a second one ends it at once, and the last checkpoint stands. The exit code is then 130 or 143.
--minutes does so, too, after that time; with --so-far the weight snapshots of what is unfinished are measured then.
"""

import sys
import time
from dataclasses import fields
from itertools import groupby
from typing import Any

from lib.arms import ARMS
from lib.data import dataset
from lib.evaluation.evaluate import evaluate
from lib.evaluation.samples import measure_samples
from lib.evaluation.snapshots import measure_snapshots, measure_snapshots_so_far
from lib.refusal import Parser, Refusal
from lib.runs.profiles import load_profile
from lib.runs.reuse import take_over
from lib.runs.run import Run
from lib.runs.settings import EvaluationConfig, TrainingConfig
from lib.training.device import device_of
from lib.training.signals import Ended, ending
from lib.training.train import train_together


def changed_settings(assignments: list[str]) -> dict[str, Any]:
    """["name=value", ...] -> values of the settings' types; raises ValueError for what is no setting or no value."""
    types = {field.name: field.type for kind in (TrainingConfig, EvaluationConfig) for field in fields(kind)}
    known = [name for name in types if name not in ("arm", "seed")]
    settings = {}
    for assignment in assignments:
        name, _, value = assignment.partition("=")
        if name not in known:
            raise Refusal(f"There is no setting {name!r} to --set; the settings are {', '.join(known)}.")
        if name in settings:
            raise Refusal(f"{name} is set twice; --set it once.")
        try:
            settings[name] = types[name](value)
        except ValueError:
            raise Refusal(f"{name} is {value!r}; give {'an integer' if types[name] is int else 'a number'}.") from None
    return settings


def plan(
    profile_name: str, arms: list[str] | None, seeds: list[int] | None, settings: dict[str, Any]
) -> tuple[list[TrainingConfig], list[Run], EvaluationConfig]:
    """Configurations and directories, arm by arm for every seed, and how they are measured.

    Raises ValueError for an unknown profile, an impossible value, or a device or data file that is not there.
    """
    for option, values in (("--arms", arms or []), ("--seeds", seeds or [])):
        if len(set(values)) < len(values):
            raise Refusal(f"{option} is {' '.join(map(str, values))}; list each once.")
    profile = load_profile(profile_name)
    training = {field.name: settings.get(field.name) for field in fields(TrainingConfig)}
    evaluation = {field.name: settings.get(field.name) for field in fields(EvaluationConfig)}
    configs = [
        profile.training_config(**(training | {"arm": arm, "seed": seed})) for arm, seed in profile.planned(arms, seeds)
    ]
    device_of(configs[0])
    dataset.check_source(configs[0].data)
    return configs, [profile.run(config) for config in configs], profile.evaluation_config(**evaluation)


def _draws(planned: tuple[TrainingConfig, Run]) -> bool:
    return ARMS[planned[0].arm].drawn_from is not None


def train_profile(
    configs: list[TrainingConfig], runs: list[Run], evaluation: EvaluationConfig, minutes: float, so_far: bool = False
) -> list[Run]:
    """Train the runs and measure those that are complete; returns the runs for which `minutes` did not suffice.

    so_far: whether the snapshots of unfinished runs are measured, after that time. Measuring is not cut short. Raises
    FloatingPointError, at the end, where a run has diverged.
    """
    deadline = time.perf_counter() + 60 * minutes
    data = dataset.load(dataset.ensure(configs[0].data))
    diverged: list[FloatingPointError] = []
    done: list[Run] = []
    planned = sorted(zip(configs, runs, strict=True), key=_draws)  # last those that need others complete
    groups = (
        [list(part) for _, part in groupby(planned, _draws)]
        if device_of(configs[0]).type == "cuda"
        else [[each] for each in planned]
    )
    for group in groups:
        try:
            for config, run in group:
                take_over(config, run, data.sha256)
            left = deadline - time.perf_counter()
            train_together(*map(list, zip(*group, strict=True)), data, time_limit=left)
        except FloatingPointError as error:
            diverged.append(error)
    for run in runs:
        if run.complete and time.perf_counter() < deadline:
            record = run.record()["provenance"]
            measured = evaluate(run, data, evaluation)
            measure_snapshots(run, data, evaluation)
            if ARMS[run.config().arm].sampler:
                measure_samples(run, data, evaluation)
            done.append(run)
            print(
                f"{run.name}: {run.config().steps:,} steps in {record['seconds'] / 60:.1f} minutes; "
                f"reconstruction {measured['reconstruction']:.2f} nats, "
                f"KL {measured['kl']:.2f} nats, MIG {measured['mig_four']['quadrature']:.4f}"
            )
        elif so_far and not run.complete and run.checkpoint.exists() and run.snapshots():
            measure_snapshots_so_far(run, data, evaluation)
    if diverged:
        raise diverged[0]
    return [run for run in runs if run not in done]


def main() -> None:
    parser = Parser(prog="python -m lib", description="Train and measure a profile's runs.")
    parser.add_argument("profile", help="a section of profiles.toml")
    parser.add_argument("--arms", nargs="+", choices=ARMS, help="instead of the profile's")
    parser.add_argument("--seeds", nargs="+", type=int, help="instead of the profile's")
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="NAME=VALUE", help="settings that depart from the profile"
    )
    parser.add_argument("--minutes", type=float, default=float("inf"), help="then leave checkpoints and end")
    parser.add_argument("--so-far", action="store_true", help="after --minutes, measure unfinished runs' snapshots")
    arguments = parser.parse_args()
    try:
        if not arguments.minutes >= 0:
            raise Refusal(f"--minutes is {arguments.minutes}; give a number of 0 or more.")
        if arguments.so_far and arguments.minutes == float("inf"):
            raise Refusal("--so-far measures what runs have when --minutes are over; give --minutes, too.")
        with ending():
            planned = plan(arguments.profile, arguments.arms, arguments.seeds, changed_settings(arguments.set))
            unfinished = train_profile(*planned, arguments.minutes, arguments.so_far)
    except (ValueError, FloatingPointError) as error:
        sys.exit(str(error))
    except Ended as ended:
        if isinstance(ended.__context__, (ValueError, FloatingPointError)):  # what else went wrong while it ended
            print(ended.__context__, file=sys.stderr)
        print(f"Ended by {ended}. The same command continues.", file=sys.stderr)
        sys.exit(128 + ended.number)
    if unfinished:
        print(f"Unfinished: {', '.join(run.name for run in unfinished)}. The same command continues.")


if __name__ == "__main__":
    main()
