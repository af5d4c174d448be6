"""Copy a finished profile's results to results/published, where they are kept, and bring the README's table up to date.

    python -m lib.publish laptop

Published results are never an input to a run. What every file holds is explained in results/README.md.
"""

import argparse
import shutil
import sys
from pathlib import Path

import pandas as pd

from lib.profiles import RESULTS, Profile, load_profile
from lib.provenance import ROOT
from lib.runs import Run, read_trace
from lib.tables import REPORTED

README = ROOT / "README.md"
START, END = "<!-- results: written by make publish -->", "<!-- results end -->"
LIMIT = 30e6  # bytes of results/published in all
TRACE_ROWS = 1_000  # of a published trace


def published_directory(profile: Profile) -> Path:
    return RESULTS / "published" / profile.name


def publish(profile: Profile) -> Path:
    """Publish the profile's runs, figures and report; returns the directory.

    Raises ValueError where something is missing or the published results would exceed 30 MB, and then leaves what was
    published before as it is.
    """
    runs = profile.runs()
    wanted = [profile.directory / "report.html", profile.directory / "table.csv", profile.directory / "dataset.json"]
    missing = [path for path in [*wanted, *(run.path / "evaluation.json" for run in runs)] if not path.exists()]
    if missing:
        raise ValueError(f"{missing[0]} is missing; run make report PROFILE={profile.name} first.")

    target = published_directory(profile)
    fresh = target.with_name(f".{target.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for path in wanted:
        shutil.copy2(path, fresh)
    shutil.copytree(profile.directory / "figures", fresh / "figures")
    for run in runs:
        _publish_run(run, fresh / run.name, weights=run.config().seed == profile.seeds[0])

    others = [path for path in target.parent.rglob("*") if target not in path.parents and path.is_file()]
    size = sum(path.stat().st_size for path in others)
    if size > LIMIT:
        shutil.rmtree(fresh)
        raise ValueError(
            f"results/published would hold {size / 1e6:.0f} MB, more than {LIMIT / 1e6:.0f}; publish less."
        )
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)
    return target


def _publish_run(run: Run, target: Path, weights: bool) -> None:
    target.mkdir()
    for name in ("config.json", "run.json", "evaluation.json"):
        shutil.copy2(run.path / name, target)
    if weights:  # of the first seed, which the figures show
        shutil.copy2(run.path / "weights.safetensors", target)
    trace = read_trace(run.path / "trace.h5")
    every = max(1, len(trace) // TRACE_ROWS)
    # Window means of the full trace become means over the thinned rows' own windows.
    means = [name for name in trace if name.endswith("_mean")]
    thin = trace.iloc[every - 1 :: every].reset_index(drop=True)
    thin[means] = trace[means].groupby(trace.index // every).mean().iloc[: len(thin)].to_numpy()
    thin.to_csv(target / "trace.csv.gz", index=False, float_format="%.6g", compression={"method": "gzip", "mtime": 0})


def readme_table(profile: Profile) -> str:
    """The README's table: the published runs beside the report's own figures, in Markdown."""
    table = pd.read_csv(published_directory(profile) / "table.csv")
    lines = [
        "| | MIG, four factors | reconstruction (nats) | KL (nats) | final C (nats) | steps | n images | hardware |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in table.itertuples():
        lines.append(
            f"| {row.arm}, seed {row.seed} (`{profile.name}`) | {row.mig_four:.3f} | {row.reconstruction:.1f} "
            f"| {row.kl:.2f} | {row.final_capacity:.2f} | {row.steps:,} | {row.images:,} | {row.processor}, {row.precision} |"
        )
    for row in REPORTED.itertuples():
        lines.append(f"| {row.arm}, the report | {row.mig} | {row.reconstruction:.1f} | | | 1,500,000 | | |")
    return "\n".join(lines)


def update_readme(profile: Profile) -> None:
    """Put the published table between the README's two marks; raises ValueError where a mark is missing."""
    text = README.read_text()
    if START not in text or END not in text:
        raise ValueError(f"README.md lacks the line {START} or {END}; put both back.")
    before, rest = text.split(START)
    after = rest.split(END)[1]
    README.write_text(f"{before}{START}\n{readme_table(profile)}\n{END}{after}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lib.publish", description="Publish a finished profile's results.")
    parser.add_argument("profile")
    try:
        profile = load_profile(parser.parse_args().profile)
        print(publish(profile))
        update_readme(profile)
    except ValueError as error:
        sys.exit(f"Nothing was published. {error}")


if __name__ == "__main__":
    main()
