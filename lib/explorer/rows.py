"""What the explorers say of their sliders, one row for each: the latents that it moves, to be read and to be heard."""

from dataclasses import dataclass
from typing import Any

from lib.arms import ARMS
from lib.refusal import Refusal
from lib.report.latents import IN_USE, latent_table
from lib.runs.run import Run

FOLDED = f"Latents without information: KL of at most {IN_USE} nats in every arm"  # what the fold is called


@dataclass(frozen=True)
class Row:
    """The latents with the `rank`-th largest KL of every arm (rank = 1, 2, ...), which one slider moves."""

    rank: int
    latents: dict[str, Any]  # arm -> row of its `latent_table`

    @property
    def in_use(self) -> bool:
        """Whether the latent of any arm carries information."""
        return any(_in_use(latent) for latent in self.latents.values())

    @property
    def notes(self) -> dict[str, str]:
        """Arm -> the latent's number, its KL and, where it is in use, the factor it knows most about; in nats."""
        return {
            arm: f"{latent.latent}: KL {latent.kl:.2f}"
            + (f", {latent.factor} {latent.information:.2f}" if _in_use(latent) else "")
            for arm, latent in self.latents.items()
        }

    @property
    def name(self) -> str:
        """The slider's name for a screen reader."""
        latents = [f"{ARMS[arm].label} latent {note}" for arm, note in self.notes.items()]
        return f"Slider {self.rank}, {'; '.join(latents)}"

    @property
    def meaning(self) -> str:
        """What the slider changes, in few words, to be said with each of its values."""
        factors = {arm: latent.factor if _in_use(latent) else "nothing" for arm, latent in self.latents.items()}
        if len(set(factors.values())) == 1:
            return next(iter(factors.values()))
        return ", ".join(f"{ARMS[arm].label} {factor}" for arm, factor in factors.items())


def slider_rows(runs: dict[str, Run]) -> list[Row]:
    """The rows of an explorer, largest KL first; runs: arm -> measured run.

    Raises Refusal where the runs have different numbers of latents.
    """
    tables = {arm: latent_table(run) for arm, run in runs.items()}
    if len({len(table) for table in tables.values()}) != 1:
        raise Refusal("The runs have different numbers of latents; explore runs with the same number.")
    ranked = zip(*(table.itertuples() for table in tables.values()), strict=True)
    return [Row(rank, dict(zip(tables, latents, strict=True))) for rank, latents in enumerate(ranked, start=1)]


def _in_use(latent: Any) -> bool:
    return latent.kl > IN_USE
