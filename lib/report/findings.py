"""What the runs say, in sentences: every word that depends on a result is chosen here, by rules that are tested.

`findings` gathers all sentences of a profile; the paper, findings.json and README.md take the same ones.
"""

import numpy as np
import pandas as pd

from lib.arms import ARMS
from lib.report import controller_findings, information_findings
from lib.report.analysis import Analysis
from lib.report.effects import (
    ARRIVAL,
    COMPARED,
    DIFFERENCE,
    LATE_DIFFERENCE,
    RULE,
    effect,
    effect_text,
    has_design,
    how_sure,
    told_from_chance,
)
from lib.report.notebook import PAPER_STEPS
from lib.report.tables import PUBLIC_LOGS, REPORTED, departures
from lib.report.wording import sentences
from lib.runs.profiles import Profile

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
    steps, seed = a.profile.training["steps"], a.profile.seeds[0]
    pair = a.table[a.table["arm"].isin(COMPARED)]
    return {
        **headline_findings(a.table),
        "verdict": how_sure(a.table, "mig_four"),
        "certainty": certainty(a.table),
        "size": size(steps),
        "source": source(a),
        "settings": reasons(a.profile),
        "schedule": controller_findings.schedule(a.profile),
        "training": controller_findings.kept_up(a.table),
        "pressure": controller_findings.pressure(a.table),
        "held": controller_findings.stood_still(a.held(), pair, steps, seed),
        "reconstructions": compared(a.table, "reconstruction", "The loss over all images", ".1f", " nats"),
        "scores": apart_or_not(a.table),
        "estimators": estimators(a.table),
        "measures": measures(a.table),
        "public_logs": public_logs(),
        "limits": limits(steps, a.profile.training["batch_size"], len(a.profile.seeds)),
        "control_arms": control_arms(a.table),
        "design": design(a.table),
        **information_findings.findings(a),
    }


def headline_findings(table: pd.DataFrame) -> dict[str, str]:
    """What README.md says of published runs as well."""
    return {"differences": differences(table), "controls": controls(table), "brackets": brackets(table)}


def differences(table: pd.DataFrame) -> str:
    found = {name: effect_text(table, column, DIFFERENCE, form) for name, column, form in (
        ("mig", "mig_four", ".3f"), ("reconstruction", "reconstruction", ".1f"), ("kl", "kl", ".1f"),
    )}  # fmt: skip
    return (
        f"Adaptive − linear: MIG {found['mig']}, reconstruction {found['reconstruction']} nats, KL {found['kl']} nats."
    )


def controls(table: pd.DataFrame) -> str:
    """What the two control arms say; empty where they are not among the runs."""
    if not has_design(table["arm"]):
        return ""
    rule, arrival, late = (effect_text(table, "mig_four", w, ".3f") for w in (RULE, ARRIVAL, LATE_DIFFERENCE))
    return (
        f"Two control arms tell the rule from the time at capacity. C steered by β instead of by the clock: MIG "
        f"{rule}; C at its maximum only at the end instead of early: {arrival}. Adaptive − linear with the ramp "
        f"stretched over all of training: {late}."
    )


def control_arms(table: pd.DataFrame) -> str:
    return controls(table) or "The two control arms, which would tell them apart, are not both part of these runs."


def brackets(table: pd.DataFrame) -> str:
    if table["seed"].nunique() > 1:
        return "In brackets 95% confidence intervals, paired by seed."
    return "With one seed, chance cannot be told from effect."


def certainty(table: pd.DataFrame) -> str:
    """What the brackets are, where there are any, and how sure the difference in MIG is."""
    return sentences(brackets(table) if table["seed"].nunique() > 1 else "", how_sure(table, "mig_four"))


def compared(table: pd.DataFrame, column: str, what: str, form: str, unit: str = "") -> str:
    """Which of the two arms compared has more of a quantity, by how much, and how sure that is."""
    estimate, _ = effect(table, column, DIFFERENCE)
    if np.isnan(estimate):
        return f"{what} was not measured in both arms."
    if estimate == 0:
        return f"{what} is the same in both arms."
    more = "higher" if estimate > 0 else "lower"
    amount = effect_text(table, column, DIFFERENCE, form)
    return f"{what} is {more} in the adaptive arm than in the linear one: {amount}{unit}. {how_sure(table, column)}"


def size(steps: int) -> str:
    if steps < PAPER_STEPS:
        return (
            f"This is a **reduced run** of {steps:,} steps instead of {PAPER_STEPS:,}, with the settings of Table 2: "
            "it shows how the two rules behave, not what the report's own size gives."
        )
    return f"This is the report's own size, {steps:,} steps."


def source(a: Analysis) -> str:
    """Where the results were read, if they are published ones."""
    if not a.published:
        return ""
    return f"The results are the published ones, `results/published/{a.profile.name}`; nothing was measured again."


def reasons(profile: Profile) -> str:
    """Why a profile departs from the report's settings."""
    changed = departures(profile).index
    if not len(changed):
        return "All settings are the report's own."
    gain = profile.training["kp"] / profile.training["ki"] if profile.training["ki"] else np.inf
    why = {
        "steps": "A shorter schedule alone is no miniature: the other changes keep it one.",
        "ki": "The controller sums up its error: with $K_i = 0.001$ it needs as many steps to raise β as in the full "
        "run, of which there are far fewer here, and the adaptive arm would never leave its start.",
        "kp": "$K_p$ is raised with $K_i$, so that the published anti-windup rule still locks at an error of "
        f"$K_p / K_i$ = {gain:.0f} nats, from a sum of zero.",
        "anti_windup": "With the faster controller the published anti-windup rule locks easily: from a sum of zero, "
        "one error above $K_p / K_i$ holds β at its least value for ever (a test shows it). The `conditional` rule "
        "has no such lock.",
        "learning_rate": "The learning rate is raised so that the network follows the shorter schedule.",
        "c_max": "$C_{\\max}$ is lowered because trial runs of about this size with 16 nats (not published) either "
        "left the position spread over several latents, or had the KL stop short of C.",
        "batch_size": "Smaller batches buy more steps in the same time.",
        "precision": "In `bfloat16` only the products are rounded; weights, losses and controller are not.",
    }
    return " ".join(reason for name, reason in why.items() if name in changed)


def apart_or_not(table: pd.DataFrame) -> str:
    """Whether the MIGs of the two arms compared overlap, where an arm has several."""
    if table["seed"].nunique() == 1:
        return how_sure(table, "mig_four")
    linear, adaptive = (table.loc[table["arm"] == arm, "mig_four"] for arm in COMPARED)
    overlap = linear.max() >= adaptive.min() and adaptive.max() >= linear.min()
    every = "overlap" if overlap else "do not overlap"
    return f"The MIGs of the adaptive and the linear runs {every}. {how_sure(table, 'mig_four')}"


def estimators(table: pd.DataFrame) -> str:
    """How far the sampler stands from quadrature, against its own standard error."""
    bias = table["mig_four_monte_carlo"] - table["mig_four"]
    error, n = table["mig_four_monte_carlo_standard_error"], len(table)
    far = int((bias.abs() > 2 * error).sum())
    text = (
        f"The sampled value differs from quadrature by {bias.mean():+.4f} on average over {n} runs "
        f"({bias.min():+.4f} to {bias.max():+.4f}); its standard error is {error.mean():.4f} on average."
    )
    if n >= 6 and (np.sign(bias) == np.sign(bias.iloc[0])).all():  # by chance in one case of 32 at most
        side = "lower" if bias.iloc[0] < 0 else "higher"
        return f"{text} It is {side} in every run: that is bias, of which the standard error says nothing."
    if far:
        return f"{text} In {far} of {n} runs they differ by more than twice that error."
    return f"{text} No run differs by more than twice that error."


def measures(table: pd.DataFrame) -> str:
    """In which arm each measure of disentanglement is higher, and which differences can be told from chance."""
    found = {name: effect(table, column, DIFFERENCE) for column, name in MEASURES.items()}
    text = " ".join(
        f"Higher in the {ARMS[arm].label} arm: {', '.join(names)}."
        for arm, sign in (("adaptive", 1), ("linear", -1))
        if (names := [name for name, (estimate, _) in found.items() if sign * estimate > 0])
    )
    if table["seed"].nunique() == 1:
        return sentences(text, "With one seed per arm, no such order can be told from chance.")
    sure = [name for name, (estimate, half) in found.items() if told_from_chance(estimate, half)]
    return sentences(text, f"Told from chance, each taken alone: {', '.join(sure) or 'none'}.")


def design(table: pd.DataFrame) -> str:
    """What the 2 x 2 design says of the MIG and the KL; empty where its arms are not among the runs."""
    if not has_design(table["arm"]):
        return ""
    sure = tuple(told_from_chance(*effect(table, "mig_four", weights)) for weights in (RULE, ARRIVAL))
    verdict = {
        (True, True): "Both effects on the MIG can be told from chance.",
        (True, False): "Of the two effects on the MIG, only the rule's can be told from chance.",
        (False, True): "Of the two effects on the MIG, only the arrival's can be told from chance.",
        (False, False): "Neither effect on the MIG can be told from chance.",
    }[sure]
    mig = {name: effect_text(table, "mig_four", weights, ".3f") for name, weights in (
        ("rule", RULE), ("arrival", ARRIVAL), ("late", LATE_DIFFERENCE), ("report", DIFFERENCE),
    )}  # fmt: skip
    kl = {name: effect_text(table, "kl", weights, ".2f") for name, weights in (("rule", RULE), ("arrival", ARRIVAL))}
    return (
        f"The rule changed the MIG by {mig['rule']} and the KL by {kl['rule']} nats, the arrival the MIG by "
        f"{mig['arrival']} and the KL by {kl['arrival']} nats. Between the two arms that arrive at the end the MIG "
        f"differs by {mig['late']}, between the two that the report compared by {mig['report']}. {verdict}"
    )


def public_logs() -> str:
    """Whether the report's linear arm can have been at a KL of 16 nats, from other people's logs."""
    vae, beta_vae = PUBLIC_LOGS.itertuples()
    linear, adaptive = REPORTED["reconstruction"]
    return (
        f"Public logs of another network (YannDubs/disentangling-vae, commit fe65e19, learning rate 5e-4, one seed "
        f"each) have a reconstruction loss of {vae.reconstruction} nats at a KL of {vae.kl:.2f} with β = 1, and of "
        f"{beta_vae.reconstruction} at {beta_vae.kl} with β = 4: the report's {linear:.1f} nats do not fit a KL of 16, "
        f"its {adaptive:.1f} do. A controller locked at β = 1 in its linear arm would explain it, and its trace of β "
        "would tell; the other network keeps this a guess."
    )


def limits(steps: int, batch_size: int, seeds: int) -> str:
    """What the runs cannot show."""
    spread = (
        "With one seed per arm there is no spread to hold a difference against."
        if seeds == 1
        else f"Spreads and intervals are over {seeds} seeds."
    )
    if steps >= PAPER_STEPS:
        return spread
    return (
        "The runs show how both rules, the controller and the measures work, and how long the adaptive rule waits. "
        f"They cannot show what {PAPER_STEPS:,} steps give: the network saw {steps * batch_size:,} images, the "
        f"report's {PAPER_STEPS * 64:,}, and the changes of Table 2 alter the controller's speed against the "
        f"network's. The difference in MIG is thus no test of the report's conclusion. {spread}"
    )
