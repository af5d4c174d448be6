"""What a run takes from another run of the same profile and seed: random_hold draws its steps as often as adaptive."""

from dataclasses import replace

from lib.arms import ARMS
from lib.refusal import Refusal
from lib.runs.run import Run
from lib.runs.settings import TrainingConfig


def recorded_share(config: TrainingConfig, run: Run) -> float | None:
    """The share of steps at which C advanced in the run that this one's arm draws from; None where it draws nothing.

    Raises ValueError unless that run, of the same seed and settings, stands complete beside this one.
    """
    arm = ARMS[config.arm].drawn_from
    if arm is None:
        return None
    other = Run(run.path.with_name(run.path.name.replace(config.arm, arm, 1)))
    if not (other.complete and other.config() == replace(config, arm=arm)):
        raise Refusal(
            f"The arm {config.arm} advances C as often as the run {other.name} did, which is not complete in "
            f"{run.path.parent}; train that first."
        )
    return other.record()["summary"]["share_advanced"]
