"""What README.md says of the published results: written by `make publish`, never by hand."""

import pandas as pd

from lib.arms import ARMS
from lib.files import ROOT, read_csv, read_json, write_text
from lib.refusal import Refusal
from lib.report.effects import number, side_by_side
from lib.report.findings.answer import answer, untested
from lib.report.findings.contrast import own_size
from lib.report.findings.wording import joined
from lib.report.tables import REPORTED
from lib.runs.profiles import Profile, load_profile, published_profiles

README = ROOT / "README.md"
START, END = "<!-- results: written by make publish -->", "<!-- results end -->"
ANSWER = ("asked", "differences", "controls", "brackets", "untested")  # of `answer`, as README lists them
LONG = 180  # minutes, from which on hours are said
COLUMNS = {
    "MIG, four factors": ("mig_four", number(".3f")),
    "reconstruction": ("reconstruction", number(".1f")),
    "steps": ("steps", number(",.0f")),
}


def readme_results(profiles: list[Profile]) -> str:
    """What the README says of published profiles, in Markdown: the answer, and a table with the report's figures.

    The answer is that of the profile with the most seeds; the rows of the report's own size come first, then its.
    """
    if not profiles:
        raise Refusal("Nothing is published; run make publish PROFILE=... for a profile that is done.")
    steps = load_profile("paper").training["steps"]
    best = max(profiles, key=lambda each: (len(each.seeds), each.training["steps"]))
    ordered = sorted(profiles, key=lambda each: (each.training["steps"] < steps, each != best))
    tables = {profile.name: read_csv(profile.published / "table.csv", index_col="run") for profile in ordered}
    rows, shown = [], []
    for name, table in tables.items():
        labels = table["arm"].map(lambda arm: ARMS[arm].label)
        for arm, row in side_by_side(table, table["arm"], COLUMNS).T.iterrows():
            runs = table[(labels == arm) | (table.index == arm)]
            rows.append(f"| {arm} (`{name}`) | {len(runs)} | {' | '.join(row)} |")
            shown.append(runs)
    for row in REPORTED.itertuples():
        rows.append(f"| {row.arm}, the report | 1 | {row.mig} | {row.reconstruction:.1f} | {steps:,} |")
    paths = {name: f"results/published/{name}" for name in tables}
    links = (
        f"`{name}` ([notebook]({path}/report.ipynb), [page]({path}/report.html), [PDF]({path}/report.pdf))"
        for name, path in paths.items()
    )
    return "\n".join([
        *_answer(best, tables, steps),
        "",
        f"| | seeds | {' | '.join(COLUMNS)} |",
        "|---" * (len(COLUMNS) + 2) + "|",
        *rows,
        "",
        _conditions(pd.concat(shown), steps),
        "",
        f"The reports, with all evidence and other methods: {', '.join(links)}; a page opens offline once downloaded. "
        f"From `{profiles[0].name}`, the latents in use:",
        "",
        f"![Traversals of the latents, linear left, adaptive right]({paths[profiles[0].name]}/figures/traversal.gif)",
    ])  # fmt: skip


def _answer(profile: Profile, tables: dict[str, pd.DataFrame], steps: int) -> list[str]:
    """The five sentences with which the report of the profile begins; after the first, what the report's own size gave.

    tables: each published profile's, in the order of the rows; steps: the report's.
    """
    path = profile.published / "findings.json"
    found = read_json(path) if path.exists() else answer(tables[profile.name], profile)
    whole = next((table for table in tables.values() if (table["steps"] >= steps).all()), None)
    if whole is None or whole is tables[profile.name]:
        return [f"- {found[name]}" for name in ANSWER]
    found |= {
        "own_size": f"{own_size(whole)} The next three sentences are of the reduced runs of `{profile.name}`.",
        "untested": untested(profile, beside_own_size=True),
    }
    return [f"- {found[name]}" for name in ("asked", "own_size", *ANSWER[1:])]


def _conditions(runs: pd.DataFrame, steps: int) -> str:
    """What the numbers of the table have in common."""
    reduced = ""
    if (runs["steps"] < steps).all():
        reduced = ", all **reduced runs** but the report's"
    elif (runs["steps"] < steps).any():
        reduced = f", those of fewer than {steps:,} steps **reduced runs**"
    images = joined(f"{n:,}" for n in runs["images"].unique())
    precision, hardware = (joined(runs[name].unique()) for name in ("precision", "processor"))
    return (
        f"Mean ± standard deviation over seeds{reduced}; nats per image, on {images} images. "
        f"Trained in {precision} on {hardware}, {_durations(runs)} a run."
    )


def _durations(runs: pd.DataFrame) -> str:
    """How long training took, from the runs' records."""
    least, most = runs["training_seconds"].min() / 60, runs["training_seconds"].max() / 60
    if most < LONG:
        return f"{least:.0f} to {most:.0f} minutes"
    return f"{f'{least:.0f} minutes' if least < LONG else f'{least / 60:.0f}'} to {most / 60:.0f} hours"


def update_readme() -> None:
    """Put the published results between the README's two marks."""
    before, rest = README.read_text().split(START)
    after = rest.split(END)[1]
    content = f"{before}{START}\n\n{readme_results(published_profiles())}\n\n{END}{after}"
    write_text(README, content)
