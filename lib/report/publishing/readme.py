"""What README.md says of the published results: written by `make publish`, never by hand."""

import pandas as pd

from lib.arms import ARMS
from lib.files import ROOT, read_json, write_text
from lib.report.effects import number, side_by_side
from lib.report.findings.contrast import answer
from lib.report.findings.wording import sentences
from lib.report.tables import REPORTED
from lib.runs.profiles import Profile, load_profile, published_profiles

README = ROOT / "README.md"
START, END = "<!-- results: written by make publish -->", "<!-- results end -->"
COLUMNS = {
    "MIG, four factors": ("mig_four", number(".3f")),
    "reconstruction (nats)": ("reconstruction", number(".1f")),
    "KL (nats)": ("kl", number(".2f")),
    "final C (nats)": ("final_capacity", number(".2f")),
    "steps": ("steps", number(",.0f")),
    "n images": ("images", number(",.0f")),
}


def readme_results(profiles: list[Profile]) -> str:
    """What the README says of published profiles, in Markdown: the answer, and a table with the report's figures.

    The answer is that of the profile with the most seeds; the others follow in brief.
    """
    paper_steps = load_profile("paper").training["steps"]
    lines, rows = [], []
    for profile in sorted(profiles, key=lambda each: (-len(each.seeds), -each.training["steps"])):
        table = pd.read_csv(profile.published / "table.csv", index_col="run")
        lines += _in_brief(profile, table, paper_steps) if lines else _answer(profile, table)
        labels = table["arm"].map(lambda arm: ARMS[arm].label)
        for name, row in side_by_side(table, table["arm"], COLUMNS).T.iterrows():
            runs = table[(labels == name) | (table.index == name)]
            hardware = ", ".join([*runs["processor"].unique(), *runs["precision"].unique()])
            rows.append(f"| {name} (`{profile.name}`) | {len(runs)} | {' | '.join(row)} | {hardware} |")
    for row in REPORTED.itertuples():
        rows.append(f"| {row.arm}, the report | 1 | {row.mig} | {row.reconstruction:.1f} | | | {paper_steps:,} | | |")
    lines += ["", f"| | seeds | {' | '.join(COLUMNS)} | hardware |", "|---" * (len(COLUMNS) + 3) + "|", *rows]
    paths = {profile.name: profile.published.relative_to(ROOT) for profile in profiles}
    links = (f"`{name}` ([notebook]({path}/report.ipynb), [page]({path}/report.html))" for name, path in paths.items())
    lines += [
        "",
        f"Read the reports: {', '.join(links)}; a page is one file that opens offline once downloaded. "
        f"From `{profiles[0].name}`:",
        "",
        f"![Traversals of the latents, linear left, adaptive right]({paths[profiles[0].name]}/figures/traversal.gif)",
    ]
    return "\n".join(lines)


def _found(profile: Profile, table: pd.DataFrame) -> dict[str, str]:
    """The paper's own sentences, or made from the table where none were published."""
    path = profile.published / "findings.json"
    return read_json(path) if path.exists() else answer(table, profile)


def _answer(profile: Profile, table: pd.DataFrame) -> list[str]:
    """The five sentences that the report of a published profile begins with, and what other methods say to it."""
    found = _found(profile, table)
    names = ("asked", "differences", "brackets", "controls", "with_more_pressure", "untested")
    listed = [f"- {found[name]}" for name in names if found.get(name)]
    return [f"The runs that tell most, those of the profile `{profile.name}`:", "", *listed]


def _in_brief(profile: Profile, table: pd.DataFrame, paper_steps: int) -> list[str]:
    """What another published profile found."""
    found, steps, n = _found(profile, table), profile.training["steps"], len(profile.seeds)
    reduced = f", a **reduced run** instead of {paper_steps:,}" if steps < paper_steps else ""
    seeds = f"{n} seed{'s' if n > 1 else ''} per arm"
    return ["", sentences(f"`{profile.name}` ({steps:,} steps{reduced}, {seeds}):", found["differences"])]


def update_readme() -> None:
    """Put the published results between the README's two marks."""
    before, rest = README.read_text().split(START)
    after = rest.split(END)[1]
    content = f"{before}{START}\n\n{readme_results(published_profiles())}\n\n{END}{after}"
    write_text(README, content)
