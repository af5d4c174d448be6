"""What notebook 04 displays: text, figures and tables, their words filled from the values of an analysis."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from IPython.display import HTML, Markdown, display
from matplotlib.figure import Figure

from lib.files import write_csv, write_json
from lib.report.analysis import Analysis
from lib.report.effects import per_arm
from lib.report.figures.style import show
from lib.report.findings.all import findings
from lib.report.findings.wording import fill, joined
from lib.report.notebooks.shared import label, show_origin
from lib.report.tradeoff import NEAR
from lib.runs.run import Run

EVERY = {1: "all images", 2: "every second x and y", 4: "every fourth x and y", 8: "every eighth x and y",
         16: "every sixteenth x and y"}  # fmt: skip
PUBLISHED_DCI = 10_000  # images that DCI's trees learn from in [15]


@dataclass(frozen=True)
class Paper:
    """Displays the parts of a paper; {names} in texts and captions are filled from `values`."""

    values: Mapping[str, str]
    folder: Path  # of the figures

    def text(self, template: str) -> None:
        display(Markdown(fill(template, self.values)))

    def points(self, titles: Mapping[str, str]) -> None:
        """A list of the sentences named, as far as there is something to say, each behind its title."""
        said = [f"- **{title}.** {self.values[name]}" for name, title in titles.items() if self.values[name]]
        if said:
            display(Markdown("\n".join(said)))

    def figure(self, figure: Figure, name: str, caption: str) -> None:
        show(figure, self.folder / name, fill(caption, self.values))

    def table(self, table: pd.DataFrame, caption: str) -> None:
        with pd.option_context("display.max_colwidth", None):  # else longer cells end in "..."
            display(table)
        self.text(caption)

    def html(self, html: str, caption: str) -> None:
        display(HTML(html))
        self.text(caption)


def write_paper(a: Analysis) -> Paper:
    """The paper of an analysis; writes table.csv and findings.json, what it says, into the profile's directory."""
    found = findings(a)
    write_csv(a.profile.directory / "table.csv", a.table.reset_index())
    write_json(a.profile.directory / "findings.json", found)
    folder = "/".join(("results", *a.runs[0].path.parent.parts[-2:]))
    show_origin(data=a.runs[0].record()["provenance"]["data_sha256"], runs=folder)
    return Paper(named_values(a) | found, a.folder)


def named_values(a: Analysis) -> dict[str, str]:
    """Numbers and labels that captions and texts name, as text."""
    settings = a.settings
    images = {int(frame["images"].iloc[0]) for frame in a.snapshots.values()}
    dci = settings["dci_samples"]
    fewer = f" (**reduced**: [15] take {PUBLISHED_DCI:,})"
    return {
        "profile": a.profile.name,
        "near": f"{NEAR:g}",
        "conditions": conditions(a),
        "entropy": f"{a.entropy:.2f}",
        "above": f"{16 - a.entropy:.2f}",  # of the report's C_max
        "grid": joined(f"{count:,}" for count in sorted(images)),
        "grid_bound": joined(f"{math.log(count):.2f}" for count in sorted(images)),
        "every": EVERY[settings["snapshot_position_stride"]],
        "sampler_images": f"{settings['monte_carlo_samples']:,}",
        "with_intervals": ", means with 95% intervals" if len(a.profile.seeds) > 1 else "",
        "dci_images": f"{dci:,}{fewer if dci < PUBLISHED_DCI else ''}",
    }


def conditions(a: Analysis) -> str:
    """What holds for every figure and table, said once."""
    n, other = len(a.profile.seeds), a.table[a.table["steps"] != a.profile.training["steps"]]
    mig = f"MIG {per_arm(a.table.loc[[run.name for run in a.pair.values()]], 'mig_four', '.3f')}"
    return (
        f"Everywhere: n = {n} run{'s' if n > 1 else ''} per arm{' (other methods: 1)' if n > 1 and a.once else ''}; "
        f"{label(*a.runs)}"
        + (f"; {pieces}" if (pieces := trained_in_pieces(*a.runs)) else "")
        + (f"; longer: {per_arm(other, 'steps', ',.0f')} steps" if len(other) else "")
        + (f"; tables show means ± standard deviations, pictures seed {a.profile.seeds[0]} ({mig})" if n > 1 else "")
        + "; losses, KL and C are in nats per image."
    )


def trained_in_pieces(*runs: Run) -> str:
    """How many processes trained each run one after the other, which run.json has; empty where one did."""
    pieces = [len(run.segments()) for run in runs]
    least, most = min(pieces), max(pieces)
    if most == 1:
        return ""
    return f"trained in {least if least == most else f'{least} to {most}'} segments each (`run.json`)"
