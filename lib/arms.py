"""The arms of the experiment, one row each: what is added to the reconstruction loss, by which rule, how it is shown.

An arm is a name in settings, profiles and commands; everything else about it stands here, and nowhere else.
"""

from collections.abc import Callable
from dataclasses import dataclass

from lib.objectives import Objective, ObjectiveSettings, controlled
from lib.objectives.capacity import capacity
from lib.objectives.clocks import EarlyRamp, Staircase, always_at_maximum
from lib.objectives.dynamic import dynamic_vae
from lib.objectives.factor import factor_vae
from lib.objectives.information import information, information_alone, linear_to_most
from lib.objectives.tcvae import beta_tcvae
from lib.objectives.weighted import beta_vae, cyclical, kl_annealing, vae
from lib.refusal import Refusal
from lib.schedules import AdaptiveCapacity, LinearCapacity, Schedule, adaptive_then_held, linear_full_length


@dataclass(frozen=True)
class Arm:
    """One row. Constants of an arm (a beta of 4, say) are bound here, in `objective`, and are no settings."""

    name: str
    objective: Callable[[ObjectiveSettings, Callable[..., Schedule] | None], Objective]  # from settings and `schedule`
    schedule: (
        Callable[..., Schedule] | None
    )  # from c_start, c_max (nats per image) and the number of steps; None: no C, or not of these
    label: str
    colour: (
        str  # of Okabe and Ito's, which colour-blind readers can tell apart; a control is the lighter kin of its arm
    )
    line: str  # matplotlib's line style
    cited: str  # numbers of the report's list of references, or where the arm comes from
    notebook: str  # that trains it, without suffix
    least_batch: int = 1  # images; 2 where those of a batch are compared


_ROWS = (
    Arm("linear", controlled, LinearCapacity, "linear", "#0072B2", "-", "[9]", "02_linear_training"),
    Arm("adaptive", controlled, AdaptiveCapacity, "adaptive", "#D55E00", "-", "the report", "03_adaptive_training"),
    # Controls: the same rules with the other's time at C_max.
    Arm("linear_full", controlled, linear_full_length, "linear full-length", "#56B4E9", "--",
        "a control", "02_linear_training"),
    Arm("adaptive_hold", controlled, adaptive_then_held, "adaptive then held", "#E69F00", "--",
        "a control", "03_adaptive_training"),
    # Weighted KL: the clock alone decides beta.
    Arm("vae", vae, None, "VAE", "#000000", "-", "[1]", "05_other_arms"),
    Arm("beta_vae", beta_vae, None, "β-VAE", "#000000", ":", "[4]", "05_other_arms"),
    Arm("kl_annealing", kl_annealing, None, "KL annealing", "#009E73", "-", "[2]", "05_other_arms"),
    Arm("cyclical", cyclical, None, "cyclical annealing", "#009E73", ":", "[3]", "05_other_arms"),
    # The KL held at a capacity by other means than ControlVAE's, and at once.
    Arm("capacity", capacity, LinearCapacity, "capacity, linear C", "#CC79A7", "-", "[6]", "05_other_arms"),
    Arm("capacity_ramp", capacity, EarlyRamp, "capacity, early ramp", "#CC79A7", ":", "[6]", "05_other_arms"),
    Arm("dynamic_vae", dynamic_vae, Staircase, "DynamicVAE", "#D55E00", ":", "Shao et al. 2022", "05_other_arms"),
    Arm("fixed_set_point", controlled, always_at_maximum, "C_max from the start", "#0072B2", ":",
        "a control", "05_other_arms"),
    # The total correlation alone under pressure.
    Arm("beta_tcvae", beta_tcvae, None, "β-TCVAE", "#E69F00", "-", "[12]", "05_other_arms", least_batch=2),
    Arm("factor_vae", factor_vae, None, "FactorVAE", "#E69F00", ":", "[7]", "05_other_arms", least_batch=2),
    # The report's wish: no pressure on the information, by way of C, and literally.
    Arm("information", information, None, "information is free", "#56B4E9", "-", "the report", "05_other_arms",
        least_batch=2),
    Arm("total_correlation", information_alone, linear_to_most, "I held, TC pressed", "#56B4E9", ":",
        "the report, [12]", "05_other_arms", least_batch=2),
)  # fmt: skip
ARMS = {arm.name: arm for arm in _ROWS}


def arm_named(name: str) -> Arm:
    """The arm's row; raises ValueError for an unknown name."""
    if name not in ARMS:
        raise Refusal(f"arm is {name!r}; choose one of {', '.join(ARMS)}.")
    return ARMS[name]


def objective_of(name: str, settings: ObjectiveSettings) -> Objective:
    """What the arm called `name` adds to the reconstruction loss, with these settings.

    Raises ValueError for an unknown arm or impossible settings.
    """
    arm = arm_named(name)
    return arm.objective(settings, arm.schedule)


def schedule_of(name: str, c_start: float, c_max: float, steps: int) -> Schedule:
    """The rule by which C grows in the arm called `name`, in a training of `steps` steps; errors as `objective_of`.

    Raises ValueError for an arm without one, too.
    """
    schedule = arm_named(name).schedule
    if schedule is None:
        raise Refusal(f"The arm {name} has no capacity C that the clock and the controller alone decide.")
    return schedule(c_start, c_max, steps)
