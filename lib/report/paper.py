"""What notebook 04 displays: text, figures and tables, their words filled from the values of an analysis."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from IPython.display import HTML, Markdown, display
from matplotlib.figure import Figure

from lib.files import write_csv, write_json
from lib.report import figures
from lib.report.analysis import Analysis
from lib.report.effects import COMPARED, per_arm
from lib.report.findings import findings
from lib.report.notebook import PAPER_STEPS, label
from lib.report.tables import REPORTED
from lib.report.wording import fill

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

    def figure(self, figure: Figure, name: str, caption: str) -> None:
        figures.show(figure, self.folder / name, fill(caption, self.values))

    def table(self, table: pd.DataFrame, caption: str) -> None:
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
    return Paper(named_values(a) | found, a.folder)


def named_values(a: Analysis) -> dict[str, str]:
    """Numbers and labels that captions and texts name, as text."""
    n, settings = len(a.profile.seeds), a.settings
    grid = int(next(iter(a.snapshots.values()))["images"].iloc[0])
    pair = a.table[a.table["arm"].isin(COMPARED)]
    dci = settings["dci_samples"]
    fewer = f" (**reduced**: [15] take {PUBLISHED_DCI:,}: not to be set beside published values)"
    return {
        "seed": str(a.profile.seeds[0]),
        "profile": a.profile.name,
        "origin": f"n = {n} run{'s' if n > 1 else ''} per arm; {label(*a.runs)}",
        "one_seed": label(*a.pair.values()),
        "each_column": f"mean ± standard deviation over {n} seeds" if n > 1 else "one column per run",
        "images": f"{a.table['images'].iloc[0]:,}",
        "paper_steps": f"{PAPER_STEPS:,}",
        "entropy": f"{a.entropy:.2f}",
        "above": f"{16 - a.entropy:.2f}",  # of the report's C_max
        "grid": f"{grid:,}",
        "grid_bound": f"{math.log(grid):.2f}",
        "every": EVERY[settings["snapshot_position_stride"]],
        "snapshots": str(len(next(iter(a.snapshots.values())))),
        "sampler_images": f"{settings['monte_carlo_samples']:,}",
        "split_samples": f"{settings['decomposition_samples']:,}",
        "dci_images": f"{dci:,}{fewer if dci < PUBLISHED_DCI else ''}",
        "reported_mig": " and ".join(f"{mig:.4f}" for mig in REPORTED["mig"]),
        "reported_loss": " and ".join(f"{loss:.1f}" for loss in REPORTED["reconstruction"]),
        "mig": per_arm(pair, "mig_four", ".3f"),
        "kl": per_arm(pair, "kl", ".2f"),
        "final_capacity": per_arm(pair, "final_capacity", ".1f"),
        "mean_beta": per_arm(pair, "mean_beta", ".2f"),
        "information": per_arm(pair, "mutual_information", ".2f"),
    }
