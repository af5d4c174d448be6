"""Copy a finished profile's results to results/published, where they are kept, and bring the README's table up to date.

    python -m lib.publish laptop

Published results are never an input to a run. What every file holds is explained in results/README.md.
"""

import argparse
import shutil
import sys
from pathlib import Path

import pandas as pd

from lib import evaluation, scores, snapshots
from lib.config import EvaluationConfig
from lib.profiles import RESULTS, Profile, load_profile
from lib.provenance import ROOT
from lib.runs import Run, read_json, read_trace, write_atomically
from lib.tables import REPORTED, departures, trained_runs

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
    runs = trained_runs(profile)
    wanted = [profile.directory / "report.html", profile.directory / "table.csv", profile.directory / "dataset.json"]
    missing = [path for path in wanted if not path.exists()]
    if missing:
        raise ValueError(f"{missing[0]} is missing; run make report PROFILE={profile.name} first.")
    if not all(_measured_as_set(run, profile.evaluation_config()) for run in runs):
        raise ValueError(
            f"A run was not measured with the settings of profiles.toml; run make render PROFILE={profile.name} first."
        )
    if not (START in README.read_text() and END in README.read_text()):
        raise ValueError(f"README.md lacks the line {START} or {END}; put both back.")

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


def _measured_as_set(run: Run, config: EvaluationConfig) -> bool:
    """Whether all that is measured on a run stands there, and was measured with these settings."""
    for name, settings in (("evaluation.json", evaluation.SETTINGS), ("scores.json", scores.SETTINGS)):
        path = run.path / name
        if not path.exists() or read_json(path)["config"] != config.only(settings):
            return False
    return set(snapshots.chosen_snapshots(run, config)) <= set(snapshots.measured_rows(run, config)["step"])


def _publish_run(run: Run, target: Path, weights: bool) -> None:
    target.mkdir()
    for name in ("config.json", "run.json", "evaluation.json", "scores.json", "snapshots.json", "snapshots.csv"):
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


def readme_results(profile: Profile) -> str:
    """What the README says of the published runs, in Markdown: the numbers, and a table with the report's figures."""
    table = pd.read_csv(published_directory(profile) / "table.csv")
    paper_steps = load_profile("paper").training["steps"]
    steps, seeds = profile.training["steps"], len(profile.seeds)
    size = f"a **reduced run** of {steps:,} steps instead of" if steps < paper_steps else "the full"
    mean = table.groupby("arm")[["mig_four", "reconstruction", "kl", "mean_beta"]].mean()
    linear, adaptive = mean.loc["linear"], mean.loc["adaptive"]
    minutes = table["training_seconds"].mean() / 60
    changed = ", ".join(f"`{name}` {row.iloc[1]} ({row.iloc[0]})" for name, row in departures(profile).iterrows())
    lines = [
        f"Published so far: the profile `{profile.name}`, {size} {paper_steps:,}, "
        f"{seeds} seed{'s' if seeds > 1 else ''} per arm, measured on {table['images'].iloc[0]:,} images; "
        f"{table['processor'].iloc[0]}, "
        f"{table['precision'].iloc[0]}, {minutes:.0f} minutes of training per run. "
        f"MIG {adaptive.mig_four:.3f} adaptive against {linear.mig_four:.3f} linear; reconstruction "
        f"{adaptive.reconstruction:.1f} against {linear.reconstruction:.1f} nats; KL {adaptive.kl:.1f} against "
        f"{linear.kl:.1f} nats; mean beta {adaptive.mean_beta:.1f} against {linear.mean_beta:.1f}."
        + (" With one seed, chance cannot be told from effect." if seeds == 1 else "")
        + (f" Changed for all arms alike, the report's value in brackets: {changed}." if changed else ""),
        "",
        "| | MIG, four factors | reconstruction (nats) | KL (nats) | final C (nats) | steps | n images | hardware |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in table.itertuples():
        lines.append(
            f"| {row.arm}, seed {row.seed} (`{profile.name}`) | {row.mig_four:.3f} | {row.reconstruction:.1f} "
            f"| {row.kl:.2f} | {row.final_capacity:.2f} | {row.steps:,} "
            f"| {row.images:,} | {row.processor}, {row.precision} |"
        )
    for row in REPORTED.itertuples():
        lines.append(f"| {row.arm}, the report | {row.mig} | {row.reconstruction:.1f} | | | {paper_steps:,} | | |")
    folder = published_directory(profile).relative_to(ROOT)
    lines += [
        "",
        f"The rendered report: [`{folder}/report.html`]({folder}/report.html), one file that opens offline.",
        "",
        f"![Reconstruction loss, KL, beta and capacity over the training steps]({folder}/figures/traces.png)",
        "",
        f"![Traversals of the latents, linear left, adaptive right]({folder}/figures/traversal.gif)",
    ]
    return "\n".join(lines)


def update_readme(profile: Profile) -> None:
    """Put the published results between the README's two marks."""
    before, rest = README.read_text().split(START)
    after = rest.split(END)[1]
    content = f"{before}{START}\n\n{readme_results(profile)}\n\n{END}{after}"
    write_atomically(README, lambda temporary: temporary.write_text(content))


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
