"""What flushing denormal numbers saves: `python -m lib.benchmarks.denormals RUNS` (minutes).

Two engines go on from an unfinished run's checkpoint and take turns: one as training does it (lib/training/device.py),
one with denormal numbers as they are. Writes results/benchmarks/denormals.csv and .json, a row per run.
"""

import sys
from dataclasses import replace

import pandas as pd
import torch
from tqdm import tqdm

from lib.benchmarks.floor import seconds_of
from lib.benchmarks.results import last, medians, origin, save
from lib.data import dataset
from lib.data.dataset import Dataset
from lib.refusal import Parser, Refusal
from lib.runs.run import Run
from lib.training.device import reproducible
from lib.training.engine import Engine
from lib.training.lockstep import Lockstep

STEPS, ROUNDS, WARM_UP = 50, 15, 5


def denormal_share(engine: Engine) -> float:
    """Which share of Adam's moments is denormal."""
    moments = [state[name].abs() for state in engine.optimizer.state.values() for name in ("exp_avg", "exp_avg_sq")]
    denormal = sum(((each > 0) & (each < torch.finfo(each.dtype).tiny)).sum().item() for each in moments)
    return denormal / max(1, sum(each.numel() for each in moments))


def check(run: Run) -> None:
    """Raises Refusal where the directory holds no checkpoint."""
    if not run.checkpoint.exists():
        raise Refusal(f"{run.path} holds no checkpoint; give the directory of a run that is being trained.")


def compare(run: Run, data: Dataset, steps: int = STEPS, rounds: int = ROUNDS) -> dict[str, float | int | str]:
    """One row of denormals.csv: medians over rounds in which both took turns, on the CPU, in one thread.

    Raises Refusal where the checkpoint holds no denormal moments.
    """
    config = replace(run.config(), device="cpu")
    engines = {flush: Engine(config, data) for flush in (True, False)}
    for engine in engines.values():
        engine.load_state_dict(run.load_checkpoint()["engine"])  # read anew: what is loaded is not copied
    step, share = engines[True].step, denormal_share(engines[True])
    if share == 0:
        raise Refusal(
            f"{run.path} was trained with denormal numbers as zero; give a checkpoint from before commit 2df616f."
        )
    lockstep = {flush: Lockstep([engine]) for flush, engine in engines.items()}

    def milliseconds(flush: bool, count: int) -> float:
        with reproducible(1):
            torch.set_flush_denormal(flush)
            return 1e3 * seconds_of(lambda: lockstep[flush].run(count), data.packed.device) / count

    for flush in lockstep:
        milliseconds(flush, WARM_UP)
    orders = [(True, False) if number % 2 else (False, True) for number in range(rounds)]
    turns = [{flush: milliseconds(flush, steps) for flush in order} for order in tqdm(orders, desc=run.name)]
    table = pd.DataFrame(turns)
    flushed, kept = (torch.cat([each.detach().flatten() for each in engines[flush].model.parameters()])
                     for flush in (True, False))  # fmt: skip
    return {
        "run": run.name,
        "step": step,
        "denormal_share": share,
        **medians(table[True], table[False], "with_denormals"),
        "steps_trained": engines[True].step - step,
        "weights_that_differ": (flushed != kept).sum().item(),
    }


def finding() -> str:
    """A sentence of what denormals.csv holds."""
    table, record, where = last("denormals")
    differ, trained = table["weights_that_differ"].sum(), table["steps_trained"].min()
    return (
        f"Denormal numbers count as zero while a run trains. In the checkpoints of steps "
        f"{' and '.join(f'{step:,}' for step in table['step'])} from before, {table['denormal_share'].min():.0%} to "
        f"{table['denormal_share'].max():.0%} of Adam's moments were denormal; from there on a step in "
        f"{record['precision']} takes {table['ratio'].min():.2f} to {table['ratio'].max():.2f} of the time that it "
        f"takes with them, and after {trained:,} steps {'no weight' if differ == 0 else f'{differ:,} weights'} "
        f"differed; {where}."
    )


def main() -> None:
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Run, help="directories of runs with a checkpoint")
    runs, record = parser.parse_args().runs, origin(torch.device("cpu"))
    try:
        for run in runs:
            check(run)  # before any work
        data = dataset.load(dataset.ensure("rendered"))
        table = pd.DataFrame([compare(run, data) for run in runs])
    except ValueError as error:
        sys.exit(str(error))
    precision = " and ".join(sorted({run.config().precision for run in runs}))
    save("denormals", table, record | {"steps": STEPS, "rounds": ROUNDS, "precision": precision})
    print(table.to_string(index=False, float_format="%.4g"))


if __name__ == "__main__":
    main()
