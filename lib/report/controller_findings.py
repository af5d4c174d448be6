"""What the runs say of C, KL and β over training, in sentences."""

import pandas as pd

from lib.report.controller_tables import APART
from lib.report.effects import DIFFERENCE, effect_text, how_sure, number, per_arm
from lib.report.wording import counts
from lib.runs.profiles import Profile
from lib.schedules import linear_reaches_maximum


def schedule(profile: Profile) -> str:
    """When the linear rule reaches C_max with the profile's settings."""
    c_start, c_max, steps = (profile.training[name] for name in ("c_start", "c_max", "steps"))
    reached = linear_reaches_maximum(c_start, c_max, steps)
    if reached == steps:
        return (
            f"With the settings of these runs the linear arm does not reach $C_{{\\max}}$ = {c_max:g} before the end."
        )
    return (
        f"With these settings the linear arm reaches $C_{{\\max}}$ = {c_max:g} at step {reached:,} of "
        f"{steps:,} and spends the other {1 - reached / steps:.0%} of training there."
    )


def kept_up(table: pd.DataFrame) -> str:
    """In how many runs the KL ended at C; arms without a C are left out."""
    distance = (table["kl_last_percent"] - table["final_capacity"]).abs()
    close = (distance <= APART).astype(object).where(distance.notna())
    return (
        f"Over the last 1% of steps the KL was {per_arm(table, 'kl_last_percent', '.2f')} nats, and C ended at "
        f"{per_arm(table, 'final_capacity', '.2f')}. KL and C ended within {APART} nats of each other in: "
        f"{counts(close, table['arm'])}."
    )


def pressure(table: pd.DataFrame) -> str:
    """β at its least value, and whether the controller locked."""
    locked = table["locked_at"].notna().astype(object).where(table["share_frozen"].notna())
    if not locked.dropna().any():
        end = "The controller locked in no run."
    else:
        end = f"The controller locked, and could never again raise β, in: {counts(locked, table['arm'])}."
    mean = effect_text(table, "mean_beta", DIFFERENCE, ".1f")
    return f"Mean β, adaptive − linear: {mean}. {how_sure(table, 'mean_beta')} {end}"


def stood_still(held: pd.DataFrame | None, table: pd.DataFrame, steps: int, seed: int) -> str:
    """How long C stood still in the adaptive arm; held: `lib.report.controller_tables.holds`, None if not published."""
    text = f"C advanced in these shares of all steps: {per_arm(table, 'share_advanced', '.1%')}."
    if held is None:
        return f"{text} For how long at a stretch C stood still was not published."
    if held.empty:
        return f"{text} In the adaptive arm (seed {seed}) C never stood still."
    longest, long = held.loc[held["length"].idxmax()], held[held["length"] >= steps / 100]
    return (
        f"{text} In the adaptive arm (seed {seed}) it stood still for {longest['length']:,.0f} steps at most "
        f"({longest['length'] / steps:.1%} of training), at C = {number('.2f')(longest['capacity'])} nats; holds of at "
        f"least 1% of training: {len(long)}, together {long['length'].sum() / steps:.1%} of it."
    )
