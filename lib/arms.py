"""The arms of the experiment, one row each: what is added to the reconstruction loss, by which rule, how it is shown.

An arm is a name in settings, profiles and commands; everything else about it stands here, and nowhere else.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from lib.objectives import (
    Objective,
    ObjectiveSettings,
    controlled,
    controlled_as_published,
    controlled_without_lock,
)
from lib.objectives.capacity import capacity
from lib.objectives.clocks import EarlyRamp, Staircase, always_at_maximum
from lib.objectives.dynamic import dynamic_vae
from lib.objectives.factor import factor_vae
from lib.objectives.infogan import InfoGAN, info_gan
from lib.objectives.information import information, information_alone, linear_to_most
from lib.objectives.seam import INFORMATION
from lib.objectives.tcvae import beta_tcvae, beta_tcvae_weighted
from lib.objectives.weighted import beta_vae, cyclical, kl_annealing, vae
from lib.refusal import Refusal
from lib.schedules import (
    AdaptiveCapacity,
    DrawnCapacity,
    LinearCapacity,
    Schedule,
    adaptive_then_held,
    linear_full_length,
    slow_then_hold,
    steps_with_hold,
)


@dataclass(frozen=True)
class Arm:
    """One row. Constants of an arm (a beta of 4, say) are bound here, in `objective`, and are no settings."""

    name: str
    # From settings and `schedule`.
    objective: Callable[[ObjectiveSettings, Callable[..., Schedule] | None], Objective | InfoGAN]
    # From c_start, c_max (nats per image) and the number of steps; None: no C, or not of these alone.
    schedule: Callable[..., Schedule] | None
    label: str
    colour: (
        str  # of Okabe and Ito's, which colour-blind readers can tell apart; a family shares it, or takes a lighter kin
    )
    line: str  # matplotlib's line style
    cited: str  # numbers of the report's list of references, or where the arm comes from
    notebook: str  # that trains it, without suffix
    bottleneck: str  # what it does to the bottleneck, in a sentence
    length: Callable[[float, float, int], int] | None = None  # of its training, from c_start, c_max, others' steps
    beside: str | None = None  # of a control: the arm over whose C(t) its own is drawn
    drawn_from: str | None = None  # the arm whose share of advancing steps, of the same seed, it draws its own with
    of_next_seed: bool = False  # it takes those steps themselves, of the next seed (lib/runs/recorded.py)
    least_batch: int = 1  # images; 2 where those of a batch are compared
    # Whether it presses harder than the evidence lower bound, of beta 1; None: harder first, and then softer.
    beyond_bound: bool | None = True
    held: str = "kl"  # what is to follow C, where there is one: a column of the trace
    sampler: bool = False  # trained as one, without a likelihood (lib/training/gan.py); its samples are measured


_ROWS = (
    Arm("linear", controlled, LinearCapacity, "linear", "#0072B2", "-", "[9]", "02_linear_training",
        "A controller holds the KL at C, which the clock raises."),
    Arm("adaptive", controlled, AdaptiveCapacity, "adaptive", "#D55E00", "-", "the report", "03_adaptive_training",
        "A controller is to hold the KL at C, which rises only while β does not."),
    # Controls: the same rules with the other's time at C_max.
    Arm("linear_full", controlled, linear_full_length, "linear full-length", "#56B4E9", "--",
        "control", "02_linear_training",
        "A controller holds the KL at C, which the clock raises so slowly that it arrives at the end.",
        beside="adaptive"),
    Arm("adaptive_hold", controlled, adaptive_then_held, "adaptive then held", "#E69F00", "--",
        "control", "03_adaptive_training",
        "A controller holds the KL at C, which rises only while β does not, but arrives as early as in linear.",
        beside="linear"),
    # Controls: slow, and then as long at C_max as the linear arm; as many advances as the adaptive arm, at random.
    Arm("slow_then_hold", controlled, slow_then_hold, "slow then held", "#009E73", "-.",
        "control", "02_linear_training",
        "A controller holds the KL at C, which the clock raises slowly and then keeps.",
        beside="linear", length=steps_with_hold),
    Arm("random_hold", controlled, DrawnCapacity, "random hold", "#CC79A7", ":",
        "control", "03_adaptive_training",
        "A controller is to hold the KL at C, which rises as often as in adaptive, but at random.",
        beside="adaptive", drawn_from="adaptive"),
    # What feedback does beyond the curve: the C(t) that another seed's adaptive run made, blind to beta.
    Arm("matched_curve", controlled, DrawnCapacity, "matched curve", "#CC79A7", "-.",
        "control", "05_other_arms",
        "A controller is to hold the KL at the C(t) of another seed's adaptive run.",
        beside="adaptive", drawn_from="adaptive", of_next_seed=True),
    # Weighted KL: the clock alone decides beta.
    Arm("vae", vae, None, "VAE", "#000000", "-", "[1]", "05_other_arms",
        "β stays 1: no pressure beyond the evidence lower bound's own.", beyond_bound=False),
    Arm("beta_vae", beta_vae, None, "beta-VAE", "#000000", "--", "[4]", "05_other_arms",
        "β stays above 1: the same pressure from the first step to the last."),
    Arm("kl_annealing", kl_annealing, None, "KL annealing", "#000000", "-.", "[2]", "05_other_arms",
        "β rises from 0 to 1 and stays there: no pressure at first, then the evidence lower bound's own.",
        beyond_bound=False),
    Arm("cyclical", cyclical, None, "cyclical annealing", "#000000", ":", "[3]", "05_other_arms",
        "β rises from 0 to 1 again and again: the pressure is let go several times.", beyond_bound=False),
    # The KL held at a capacity by other means than ControlVAE's, and at once.
    Arm("capacity", capacity, LinearCapacity, "capacity (linear rule)", "#009E73", "-", "[6]", "05_other_arms",
        "The KL is pressed down to C from above and lifted to it from below; the clock raises C."),
    Arm("capacity_ramp", capacity, EarlyRamp, "capacity (own ramp)", "#009E73", "--", "[6]", "05_other_arms",
        "The KL is pressed down to C from above and lifted to it from below; C is early at its maximum."),
    Arm("dynamic_vae", dynamic_vae, Staircase, "DynamicVAE", "#009E73", ":", "[18]", "05_other_arms",
        "A controller lets β down from far above while the clock raises C: nearly closed at first, then opened.",
        beyond_bound=None),
    Arm("fixed_set_point", controlled_without_lock, always_at_maximum, "C fixed at its maximum", "#56B4E9", ":",
        "control", "05_other_arms",
        "A controller holds the KL at C, which is at its maximum from the first step.",
        beside="linear"),
    Arm("locked", controlled_as_published, always_at_maximum, "C fixed (locks)", "#56B4E9", "-.",
        "[9]", "05_other_arms",
        "C is at its maximum from the first step, and the anti-windup as published, which can lock β at its least.",
        beside="linear", beyond_bound=False),  # the first error is C_max: beyond kp / ki in every profile
    # The total correlation alone under pressure.
    Arm("beta_tcvae", beta_tcvae, None, "beta-TCVAE", "#CC79A7", "-", "[12]", "05_other_arms",
        "The KL has weight 1; more pressure is on the total correlation alone, estimated from the batch, stratified.",
        least_batch=2),
    Arm("beta_tcvae_weighted", beta_tcvae_weighted, None, "beta-TCVAE (weighted)", "#E69F00", "-.", "[12]",
        "05_other_arms",
        "As beta-TCVAE, but a sample's own image counts as one of the batch, and not as one of the data set.",
        least_batch=2),
    Arm("factor_vae", factor_vae, None, "FactorVAE", "#CC79A7", "--", "[7]", "05_other_arms",
        "The KL has weight 1; more pressure is on the total correlation alone, estimated by a discriminator.",
        least_batch=2),
    # The report's wish: no pressure on the information, by way of C, and literally.
    Arm("information", information, None, "information is free", "#D55E00", "--", "the report", "05_other_arms",
        "A controller holds the KL at C, which follows the estimated information: only what exceeds it is pressed.",
        least_batch=2),
    Arm("total_correlation", information_alone, linear_to_most, "I held + TC pressed", "#D55E00", ":",
        "the report, [12]", "05_other_arms",
        "A controller is to hold the estimated information at C; the total correlation is pressed beside it.",
        least_batch=2, held=INFORMATION),
    # No likelihood, and no KL to press on: codes that can be read off the samples of a GAN.
    Arm("info_gan", info_gan, None, "InfoGAN", "#E69F00", ":", "[8]", "05_other_arms",
        "No KL is pressed: codes are tied to the samples of a generator by a lower bound of their information.",
        sampler=True),
)  # fmt: skip
ARMS = {arm.name: arm for arm in _ROWS}


def arm_named(name: str) -> Arm:
    """The arm's row; raises ValueError for an unknown name."""
    if name not in ARMS:
        raise Refusal(f"arm is {name!r}; choose one of {', '.join(ARMS)}.")
    return ARMS[name]


def objective_of(name: str, settings: ObjectiveSettings, advances: Tensor | None = None) -> Objective | InfoGAN:
    """What the arm called `name` adds to the reconstruction loss, with these settings.

    advances: bool [steps], when C advances in an arm whose steps are drawn; without them it cannot be trained.
    Raises ValueError for an unknown arm or impossible settings.
    """
    arm = arm_named(name)
    return arm.objective(settings, _schedule(arm, advances))


def schedule_of(name: str, c_start: float, c_max: float, steps: int, advances: Tensor | None = None) -> Schedule:
    """The rule by which C grows in the arm called `name`, in a training of `steps` steps; see `objective_of`.

    Raises ValueError for an arm without one, too.
    """
    schedule = _schedule(arm_named(name), advances)
    if schedule is None:
        raise Refusal(f"The arm {name} has no capacity C that the clock and the controller alone decide.")
    return schedule(c_start, c_max, steps)


def _schedule(arm: Arm, advances: Tensor | None) -> Callable[..., Schedule] | None:
    return partial(arm.schedule, advances=advances) if arm.drawn_from else arm.schedule


def arrival(settings: ObjectiveSettings) -> int | None:
    """The step from which C is at C_max whatever beta does, if the training is that long; None also without a C."""
    if ARMS[settings.arm].schedule is None:
        return None
    reached = schedule_of(settings.arm, settings.c_start, settings.c_max, settings.steps).arrival
    return reached if 0 < reached <= settings.steps else None
