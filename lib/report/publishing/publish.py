"""Copy a finished profile's results to results/published, where they are kept, and bring the README's table up to date.

    python -m lib.report.publishing.publish laptop

Published results are never an input to a run. What every file holds is explained in results/README.md.
"""

import shutil
import sys
from pathlib import Path

import pandas as pd

from lib.evaluation import evaluate as evaluation
from lib.evaluation import scores, snapshots
from lib.evaluation.records import kept
from lib.files import replace_folder, restore_folder, write_sealed, writing
from lib.refusal import Parser
from lib.report.analysis import trained_runs
from lib.report.effects import COMPARED
from lib.report.kept_pictures import SAMPLES, TRAVERSALS
from lib.report.page.origin import states_of_code
from lib.report.publishing.documents import print_page, slim_notebook
from lib.report.publishing.readme import END, README, START, update_readme
from lib.runs.profiles import Profile, load_profile
from lib.runs.published import HASHES, hashes_of
from lib.runs.run import Run
from lib.runs.settings import EvaluationConfig
from lib.runs.status import measured_files
from lib.runs.trace_file import write_trace

LIMIT = 30e6  # bytes of results/published in all
TRACE_ROWS = 1_000  # about, of a published trace
WIDEST = 100  # steps between two of them, which takes more rows of a long training


def publish(profile: Profile) -> Path:
    """Publish the profile's runs, figures and report, as page, notebook and PDF; returns the directory.

    Where none of its runs was begun here, the published ones stay, and what was rendered of them is published anew.

    Raises ValueError where something is missing or the published results would exceed 30 MB, and then leaves what was
    published before as it is.
    """
    restore_folder(profile.published)
    again = profile.only_published
    runs, once = trained_runs(profile), profile.once_to_read()
    wanted = [profile.directory / name for name in ("report.html", "table.csv", "findings.json", "dataset.json")]
    animation = profile.directory / "figures" / "traversal.gif"
    notebook = profile.directory / "notebooks" / "04_analysis.ipynb"
    missing = [path for path in (*wanted, animation, notebook) if not path.exists()]
    if missing:
        make = f"make {'render' if again else 'report'} PROFILE={profile.name}"
        raise ValueError(f"{missing[0]} is missing; run {make} first.")
    first = profile.seeds[0]
    trainings = [] if again else [f"training-{arm}-seed{first}" for arm in COMPARED]
    appendices = ("01_dataset", *trainings)
    made = [notebook, *(notebook.with_name(f"{name}.ipynb") for name in appendices)]
    if len(states_of_code(path for path in made if path.exists())) > 1:
        raise ValueError(
            f"The page was made by more than one state of the code; run make render PROFILE={profile.name}."
        )
    if not again and not all(_measured_as_set(run, profile.evaluation_config()) for run in (*runs, *once)):
        raise ValueError(
            f"A run was not measured with the settings of profiles.toml; run make render PROFILE={profile.name} first."
        )
    if not (START in README.read_text() and END in README.read_text()):
        raise ValueError(f"README.md lacks the line {START} or {END}; put both back.")

    target = profile.published
    fresh = target.with_name(f".{target.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        with writing(target):
            fresh.mkdir(parents=True)
            for path in wanted:
                shutil.copy2(path, fresh)
            (fresh / "figures").mkdir()  # the others are in page and notebook
            shutil.copy2(animation, fresh / "figures")
            for path in target.glob("progress.*"):  # of the trainings (lib/training/progress.py)
                shutil.copy2(path, fresh)
            for run in (*runs, *once):
                config = run.config()
                shown = config.seed == profile.seeds[0] and config.arm in COMPARED  # by the report's figures
                if again:
                    shutil.copytree(run.path, fresh / run.name)
                else:
                    _publish_run(run, fresh / run.name, weights=shown)
        slim_notebook(notebook, fresh / "report.ipynb")
        if not_printed := print_page(fresh / "report.html", fresh / "report.pdf"):
            print(not_printed, file=sys.stderr)
        write_hashes(fresh)
        others = [path for path in target.parent.rglob("*") if target not in path.parents and path.is_file()]
        size = sum(path.stat().st_size for path in others)
        if size > LIMIT:
            raise ValueError(
                f"results/published would hold {size / 1e6:.0f} MB, more than {LIMIT / 1e6:.0f}; publish less."
            )
        with writing(target):
            replace_folder(fresh, target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return target


def write_hashes(folder: Path) -> None:
    """Write the SHA-256 of every file of a published profile, by its path there, for `make verify`."""
    write_sealed(folder / HASHES, hashes_of(folder))


def _measured_as_set(run: Run, config: EvaluationConfig) -> bool:
    """Whether all that is measured on a run stands there, and was measured with these settings."""
    for name, settings in (("evaluation.json", evaluation.SETTINGS), ("scores.json", scores.SETTINGS)):
        if kept(run.path / name, config.only(settings)) is None:
            return False
    if not all((run.path / name).exists() for name in measured_files(run.config().arm)):
        return False
    return set(snapshots.chosen_snapshots(run, config)) <= set(snapshots.measured_rows(run, config)["step"])


def _publish_run(run: Run, target: Path, weights: bool) -> None:
    target.mkdir()
    for name in ("config.json", "run.json", "evaluation.json", "scores.json", "snapshots.json", "snapshots.csv"):
        shutil.copy2(run.path / name, target)
    for name in ("samples.json", SAMPLES, TRAVERSALS):  # of an arm that is trained as a sampler; of the first seed
        if (run.path / name).exists():
            shutil.copy2(run.path / name, target)
    if weights:
        shutil.copy2(run.path / "weights.safetensors", target)
    write_trace(target / "advanced.h5", pd.DataFrame(), run.advanced(), {})
    trace = published_trace(run.trace(), run.config().trace_every)
    trace.to_csv(target / "trace.csv.gz", index=False, float_format="%.6g", compression={"method": "gzip", "mtime": 0})


def published_trace(trace: pd.DataFrame, trace_every: int) -> pd.DataFrame:
    """The rows and columns of a trace, with a row every `trace_every` steps, that are published.

    Window means of the full trace become means over the thinned rows' own windows, of the latents' KLs these alone. The
    integral is left out: β gives it, but where it is clipped.
    """
    every = max(1, min(len(trace) // TRACE_ROWS, WIDEST // trace_every))
    means = [name for name in trace if name.endswith("_mean")]
    alone = [name for name in trace if name.startswith("kl_") and name not in means]  # a third of it
    trace = trace.drop(columns=[*alone, "integral", "integral_mean"], errors="ignore")
    means = [name for name in means if name in trace]
    thin = trace.iloc[every - 1 :: every].reset_index(drop=True)
    thin[means] = trace[means].groupby(trace.index // every).mean().iloc[: len(thin)].to_numpy()
    latents = [name for name in means if name.startswith("kl_") and name != "kl_mean"]
    thin[latents] = thin[latents].round(3)  # a third of their bytes
    return thin


def main() -> None:
    parser = Parser(prog="python -m lib.report.publishing.publish", description="Publish a finished profile's results.")
    parser.add_argument("profile")
    try:
        profile = load_profile(parser.parse_args().profile)
        published = publish(profile)
    except ValueError as error:
        sys.exit(f"Nothing was published. {error}")
    try:
        update_readme()
    except ValueError as error:
        sys.exit(f"{published} was published, but README.md was not brought up to date. {error}")
    print(published)


if __name__ == "__main__":
    main()
