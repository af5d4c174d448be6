"""The five sentences that answer the report's question."""

import pandas as pd

from lib.report.effects import COMPARED
from lib.report.findings.contrast import beside_the_report, found, how_sure_overall
from lib.report.findings.controls import controls
from lib.report.findings.wording import sentences
from lib.runs.profiles import Profile, load_profile


def answer(table: pd.DataFrame, profile: Profile) -> dict[str, str]:
    """The five sentences, in the order in which they are read."""
    return {
        "asked": "Asked: do the factors separate better when the capacity C grows only while the controller's weight β "
        "does not rise (adaptive) than when it grows by the clock (linear)?",
        **evidence(table),
        "untested": untested(profile),
    }


def evidence(table: pd.DataFrame) -> dict[str, str]:
    """Those of the five that the runs' table alone decides; README.md takes them too."""
    return {
        "differences": sentences(found(table), beside_the_report(table)),
        "brackets": how_sure_overall(table),
        "controls": controls(table),
    }


def untested(profile: Profile, beside_own_size: bool = False) -> str:
    """What these runs do not test; beside_own_size: whether runs of the report's own size, of fewer seeds, stand by."""
    training, paper = profile.training, load_profile("paper").training
    if training["steps"] >= paper["steps"]:
        without = "controls of this size, " if len(profile.arms) == len(COMPARED) else ""
        return f"Not tested: {without}other networks, data sets and seeds than these."
    seen, whole = (each["steps"] * each["batch_size"] for each in (training, paper))
    c_max = training["c_max"]
    several, this = " (one pair: `paper`)", "this is a **reduced run**"
    if beside_own_size:
        several, this = " over several seeds", f"those of `{profile.name}` are **reduced runs**"
    return (
        f"Not tested: the report's own size{several}; {this} of {training['steps']:,} steps instead of "
        f"{paper['steps']:,} ({seen:,} images instead of {whole:,}) with a faster controller"
        + (f" and $C_{{\\max}}$ = {c_max:g} instead of {paper['c_max']:g} nats." if c_max != paper["c_max"] else ".")
    )
