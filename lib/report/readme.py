"""What README.md says of the published results: written by `make publish`, never by hand."""

import pandas as pd

from lib.files import ROOT, read_json, write_text
from lib.report.effects import number, side_by_side
from lib.report.findings import headline_findings
from lib.report.tables import REPORTED
from lib.report.wording import sentences
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
    """What the README says of published profiles, in Markdown: the numbers, and a table with the report's figures."""
    paper_steps = load_profile("paper").training["steps"]
    lines, rows = [], []
    for profile in profiles:
        table = pd.read_csv(profile.published / "table.csv", index_col="run")
        lines += [f"- {_summary(profile, table, paper_steps)}"]
        hardware, n = f"{table['processor'].iloc[0]}, {table['precision'].iloc[0]}", len(profile.seeds)
        for name, row in side_by_side(table, table["arm"], COLUMNS).T.iterrows():
            rows.append(f"| {name} (`{profile.name}`) | {n} | {' | '.join(row)} | {hardware} |")
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


def _summary(profile: Profile, table: pd.DataFrame, paper_steps: int) -> str:
    """A published profile in some sentences: the paper's own, or made from the table where none were published."""
    path = profile.published / "findings.json"
    found = read_json(path) if path.exists() else headline_findings(table)
    steps, n = profile.training["steps"], len(profile.seeds)
    reduced = f", a **reduced run** instead of {paper_steps:,}" if steps < paper_steps else ""
    return sentences(
        f"`{profile.name}`, {steps:,} steps{reduced}, {n} seed{'s' if n > 1 else ''} per arm.",
        *(found[name] for name in ("differences", "controls", "brackets")),
    )


def update_readme() -> None:
    """Put the published results between the README's two marks."""
    before, rest = README.read_text().split(START)
    after = rest.split(END)[1]
    content = f"{before}{START}\n\n{readme_results(published_profiles())}\n\n{END}{after}"
    write_text(README, content)
