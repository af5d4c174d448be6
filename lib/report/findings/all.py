"""What the runs say, in sentences: every word that depends on a result is chosen here, by rules that are tested.

`findings` gathers all sentences of a profile; the paper, findings.json and README.md take the same ones.
"""

import numpy as np
import pandas as pd
from scipy import stats

from lib.arms import ARMS
from lib.report.analysis import Analysis
from lib.report.effects import COMPARED, DIFFERENCE, effect, number, told_from_chance
from lib.report.findings import (
    answer,
    contrast,
    controller,
    controls,
    encoding,
    factor_order,
    groups,
    information,
    other_arms,
    tradeoff,
    wish,
)
from lib.report.findings.wording import sentences
from lib.report.tables import PUBLIC_LOGS, REPORTED, departures, measured_rounding
from lib.report.tradeoff import NEAR
from lib.runs.profiles import Profile, load_profile

MEASURES = {
    "mig_four": "MIG, four factors",
    "dci_disentanglement": "DCI disentanglement",
    "dci_completeness": "DCI completeness",
    "dci_informativeness": "DCI informativeness",
    "sap": "SAP",
    "factor_vae": "FactorVAE score",
}


def findings(a: Analysis) -> dict[str, str]:
    """All sentences about a profile's runs, by name."""
    c_start, c_max, steps = (a.profile.training[name] for name in ("c_start", "c_max", "steps"))
    return {
        **answer.answer(a.table, a.profile),
        "same_arrival": controls.same_arrival(a.table),
        "seeing_beta": controls.seeing_beta(a.table),
        "slow_clock": controls.slow_clock(a.table),
        "settings": reasons(a.profile),
        "rounding": rounding(a.profile, measured_rounding()),
        "arrival": controller.linear_arrival(c_start, c_max, steps),
        "training": controller.kept_up(a.table, a.traces),
        "by_factor": groups.by_factor(a.table, a.factor_gaps),
        "two_groups": groups.two_groups(a.table, a.factor_gaps),
        "told": contrast.told(a.table),
        "compared": contrast.compared(a.table),
        "at_rest": controller.at_rest(a.table),
        "pressure": controller.pressure(a.table, a.profile.training["anti_windup"]),
        "rule": controller.rule(a.done),
        "ties": controller.ties(a.done),
        "pressure_at_kl": tradeoff.pressure_at_kl(a.pressures),
        "slopes": tradeoff.slopes(a.pressures),
        "squeezed": tradeoff.squeezed(a.squeezes),
        "decided_early": tradeoff.decided_early(a.snapshots),
        "where_it_stopped": tradeoff.where_it_stopped(a.snapshots),
        "unseen": information.unseen(a.snapshots),
        "like_kl": tradeoff.like_kl(a.like_kl),
        "estimators": estimators(a.table),
        "measures": measures(a.table),
        "encoded": encoding.what_is_encoded(a.measured, a.table["arm"]),
        "loss_goes_with": encoding.loss_goes_with(a.measured, a.table["reconstruction"]),
        "order": factor_order.order(a.snapshots),
        "curve_alone": " ".join(
            other_arms.curve_alone(run, a.every_arm, a.table) for run in a.once if ARMS[run.config().arm].of_next_seed
        ),
        "with_more_pressure": other_arms.with_more_pressure(a.every_arm),
        "arms_at_like_kl": other_arms.at_like_kl(a.every_arm),
        "goes_with": other_arms.goes_with(a.every_arm),
        "wish": wish.beside_information(a.measured_once | {arm: a.measured[run.name] for arm, run in a.first.items()}),
        "public_logs": public_logs(a.table),
        **information.findings(a),
    }


def reasons(profile: Profile) -> str:
    """Why a profile departs from the report's settings."""
    changed = departures(profile).index
    if not len(changed):
        return "These are the report's settings."
    gain = profile.training["kp"] / profile.training["ki"] if profile.training["ki"] else np.inf
    unseen = load_profile("paper").training["c_max"] - profile.training["c_max"]
    why = {
        "steps": "A shorter schedule alone is no miniature:",
        "ki": "with $K_i = 0.001$ β would rise too slowly for the adaptive arm ever to leave its start;",
        "kp": f"$K_p$ is raised with it, to $K_p / K_i$ = {gain:.0f} nats, the published ratio;",
        "anti_windup": "at larger errors the published anti-windup would lock;",
        "learning_rate": "a larger learning rate lets the network follow;",
        "cooldown": f"over the last {profile.training['cooldown']:.0%} of steps it falls towards 0, so that "
        "the KL is at rest when weights are measured;",
        "c_max": "at 16 nats the adaptive arm's KL stayed nats below C (`results/trials.csv`), so what the last "
        f"{unseen:g} nats would encode is not seen;",
        "batch_size": "smaller batches buy more steps;",
    }
    text = " ".join(reason for name, reason in why.items() if name in changed)
    return f"{text[:1].upper()}{text[1:].rstrip(';:')}." if text else "Table 2 marks what differs."


def rounding(profile: Profile, measured: pd.DataFrame) -> str:
    """What bfloat16 does, where a profile trains in it; measured: `lib.report.tables.measured_rounding`."""
    if profile.training["precision"] != "bfloat16":
        return ""
    return (
        "`bfloat16`, which rounds products alone, moves z by at most "
        f"{measured['z_moved'].max():.2f} of its posterior's width (rms), the loss by "
        f"{measured['reconstruction_difference'].abs().max():.2f} nats (`results/benchmarks/rounding.csv`)."
    )


def estimators(table: pd.DataFrame) -> str:
    """How far the sampler stands from quadrature, against its own standard error."""
    bias = table["mig_four_monte_carlo"] - table["mig_four"]
    error, n = table["mig_four_monte_carlo_standard_error"], len(table)
    write = number("+.4f")
    far = int((bias.abs() > 2 * error).sum())
    text = (
        f"Sampled − quadrature: {write(bias.mean())} on average over {n} runs "
        f"({write(bias.min())} to {write(bias.max())}), at a standard error of {error.mean():.4f}."
    )
    runs = f"In {far} of {n} runs they differ" if far else "No run differs"
    text = f"{text} {runs} by more than twice that error."
    lower = int((bias < 0).sum())
    side, most = ("lower", lower) if 2 * lower >= n else ("higher", n - lower)
    if stats.binomtest(most, n).pvalue >= 0.05:
        return text
    return (
        f"{text} It is {side} in {most} of {n} runs, which chance hardly explains: bias, or the one seed by which all "
        "runs are sampled."
    )


def measures(table: pd.DataFrame) -> str:
    """Which of the two arms is higher in each measure, what is told from chance, and where adaptive leads all."""
    found = {name: effect(table, column, DIFFERENCE) for column, name in MEASURES.items()}
    text = " ".join(
        f"Higher in {ARMS[arm].label} than in {ARMS[other].label}: {', '.join(names)}."
        for arm, other, sign in (("adaptive", "linear", 1), ("linear", "adaptive", -1))
        if (names := [name for name, (estimate, _) in found.items() if sign * estimate > 0])
    )
    if all(np.isnan(half) for _, half in found.values()):
        return text
    sure = [name for name, (estimate, half) in found.items() if told_from_chance(estimate, half)]
    means = table.groupby("arm")[list(MEASURES)].mean()
    best = [MEASURES[column] for column, arm in means.idxmax().items() if arm == "adaptive"]
    controls = f"Of all {len(means)} arms adaptive has the highest mean in: {', '.join(best) or 'none'}."
    return sentences(
        text,
        f"Told from chance, each taken alone: {', '.join(sure) or 'none'}.",
        controls if len(means) > len(COMPARED) else "",
    )


def public_logs(table: pd.DataFrame) -> str:
    """Whether the report's linear arm can have been at a KL of 16 nats: other people's logs, and runs of its own size.

    table: `lib.report.tables.run_table`; empty for runs of another size.
    """
    report = load_profile("paper").training
    whole = table[(table["arm"] == "linear") & (table["steps"] >= report["steps"])]
    if whole.empty:
        return ""
    vae, beta_vae = PUBLIC_LOGS.itertuples()
    linear, adaptive = REPORTED["reconstruction"]
    text = (
        f"In public logs of another network (YannDubs/disentangling-vae, commit fe65e19) a KL of {vae.kl:.2f} (β = 1) "
        f"goes with a loss of {vae.reconstruction} nats, one of {beta_vae.kl} (β = 4) with {beta_vae.reconstruction}: "
        f"the report's {adaptive:.1f} nats would fit a KL of 16, its {linear:.1f} one near 25, as with a controller "
        "locked at β = 1."
    )
    loss, kl = whole["reconstruction"].mean(), whole["kl"].mean()
    here = f"Here linear, trained as long as the report's, has {loss:.1f} nats at a KL of {kl:.2f}"
    if abs(kl - report["c_max"]) <= NEAR and abs(loss - linear) < abs(loss - beta_vae.reconstruction):
        return f"{text} {here}: no lock is needed."
    return f"{text} {here}, which leaves that open."
