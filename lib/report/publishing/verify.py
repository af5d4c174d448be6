"""Whether what is published follows: run files, tables, findings, page, notebook and README, each from the last.

Benchmarks, trials and the progress of long trainings are held against their seals, and that against the traces.

    python -m lib.report.publishing.verify                  seconds, without the data set
    python -m lib.report.publishing.verify --paper PROFILE  draws its paper once more, too, and compares it: minutes
    python -m lib.report.publishing.verify --full           draws every paper, and evaluates all published weights anew:
                                                            minutes each
    python -m lib.report.publishing.verify --full RUN ...   evaluates those of these runs

Says of every number that does not follow where it stands, and exits with 1. Pages of older code are compared as far as
today's tables have the same rows.
"""

import multiprocessing
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from lib.data import dataset
from lib.evaluation.evaluate import ENTRIES, evaluate
from lib.evaluation.scores import measure_scores
from lib.evaluation.snapshots import read_snapshots
from lib.files import RESULTS, read_csv, read_json
from lib.recorded_tables import read_recorded
from lib.refusal import Parser, Refusal
from lib.report.analysis import Analysis, gather
from lib.report.findings.all import findings
from lib.report.publishing import readme, shown
from lib.report.publishing.rederived import (
    check_curve,
    check_evaluation,
    check_progress,
    check_record,
    check_scores,
    check_snapshots,
    differences,
)
from lib.report.publishing.redrawn import check_paper
from lib.runs.profiles import Profile, load_profile, published_profiles
from lib.runs.published import HASHES, altered
from lib.runs.run import Run

BESIDE = ("trials.*", "benchmarks/*.csv", "benchmarks/*.json", "published/*/progress.*")
COUNTED = ("rule", "ties")  # of the findings
BENCHMARKS = ("cost", "rounding")  # of the findings
FULL, SCORES = 1e-3, 0.03  # relative or absolute, of weights evaluated anew: other machines round otherwise


def check(profile: Profile) -> Iterator[str]:
    """One sentence for everything in a profile's published results that does not follow."""
    folder = profile.published
    runs, once = ([Run(folder / run.name) for run in part] for part in (profile.runs(), profile.once()))
    yield from _tried(_hashes, folder)
    entropy = read_json(folder / "dataset.json", ("sha256", "entropy_nats"))
    for run in (*runs, *once):
        for one in (check_record, check_curve, check_evaluation, check_scores, check_snapshots):
            yield from _tried(one, run)
        yield from _tried(lambda run: _settings(run, profile, entropy["sha256"]), run)
    yield from _tried(lambda profile: _follows(profile, runs, once, entropy["entropy_nats"]), profile)


def _follows(profile: Profile, runs: list[Run], once: list[Run], entropy: float) -> Iterator[str]:
    """What is computed from all runs: table, findings, and the tables that page and notebook show."""
    snapshots = {run.name: read_snapshots(run) for run in runs}
    a = gather(profile, runs, once, snapshots, entropy, published=True)
    for one in (_table, _findings, _tables_shown):
        yield from _tried(one, a)


def _settings(run: Run, profile: Profile, data_sha256: str) -> Iterator[str]:
    """config.json against profiles.toml, and the data against those that were described."""
    config = run.config()
    settings = profile.training_config(config.arm, config.seed).as_mapping()
    yield from differences(run.path / "config.json", config.as_mapping(), settings, "profiles.toml")
    data = {"provenance": {"data_sha256": data_sha256}}
    yield from differences(run.path / "run.json", run.record(), data, "dataset.json")


def check_readme(profiles: list[Profile]) -> Iterator[str]:
    """One sentence for every line of README's results that is not what the published tables give."""
    text = readme.README.read_text(encoding="utf-8")
    lines = text.partition(readme.START)[2].partition(readme.END)[0].strip().splitlines()
    derived = readme.readme_results(profiles).splitlines()
    for line in [line for line in lines if line not in derived] or [line for line in derived if line not in lines]:
        yield f"{readme.README}: {line!r} does not follow from the published tables."


def check_beside() -> Iterator[str]:
    """One sentence for what does not follow of benchmarks, trials and the progress of the full-size pair."""
    for record in sorted({path.with_suffix(".json") for name in BESIDE for path in RESULTS.glob(name)}):
        yield from _tried(_sealed, record)
    table = RESULTS / "published" / "paper" / "progress.csv"
    for run in map(Run, sorted(path.parent for path in table.parent.glob("*/run.json"))):
        yield from _tried(lambda run: check_progress(table, run), run)


def _sealed(record: Path) -> Iterator[str]:
    """A sealed record, and the table that it is of, if it is of one: reading them says what does not follow."""
    stated, table = read_json(record, ("seal",)), record.with_suffix(".csv")
    if table.exists() or "sha256" in stated:
        read_recorded(table, ("sha256",))
    yield from ()


def evaluated(run: Run) -> list[str]:
    """What `check_weights` says of a run; says when it is done, too."""
    said = list(_tried(lambda run: check_weights(run, progress=False), run))
    print(f"Evaluated anew: {run.path}", file=sys.stderr, flush=True)
    return said


def check_weights(run: Run, progress: bool = True) -> Iterator[str]:
    """Evaluate a published run's weights with the settings of its evaluation.json, and compare, to FULL.

    The scores, some of them counts of votes and of trees' branches, to SCORES.
    """
    published, scores = read_json(run.path / "evaluation.json", ENTRIES), read_json(run.path / "scores.json")
    profile = load_profile(run.path.parent.name)
    with tempfile.TemporaryDirectory() as folder:
        copy = Run(Path(folder) / run.name)
        copy.path.mkdir()
        for name in ("config.json", "run.json", "weights.safetensors"):
            if not (run.path / name).exists():
                raise Refusal(f"{run.path / name} is not published; name a run with weights, such as seed 1 of linear.")
            shutil.copy(run.path / name, copy.path)
        images = dataset.load(dataset.ensure(copy.config().data))
        config = profile.evaluation_config(**scores["config"] | published["config"])
        again, scored = evaluate(copy, images, config, progress), measure_scores(copy, config, progress)
    own = ("seconds", "provenance", "posterior_sha256")  # of that machine: another gives other last bits
    kept = {name: again[name] for name in again if name in published and name not in own}  # the first files lack some
    yield from differences(run.path / "evaluation.json", published, kept, "the weights", FULL)
    kept = {name: scored[name] for name in ("dci", "sap", "factor_vae")}
    yield from differences(run.path / "scores.json", scores, kept, "the weights", SCORES)


def _hashes(folder: Path) -> Iterator[str]:
    for name in altered(folder):
        yield f"{folder / name} is not what was published: its SHA-256 is not the one in {HASHES}."


def _table(a: Analysis) -> Iterator[str]:
    path = a.profile.published / "table.csv"
    published = read_csv(path, index_col="run")
    both = [column for column in a.table if column in published]
    stated, derived = (table[both].to_dict("index") for table in (published, a.table))
    yield from differences(path, stated, derived, "the runs' files")


def _findings(a: Analysis) -> Iterator[str]:
    """Numbers alone: the words may have changed since. Those in `BENCHMARKS` are no results of the runs.

    What counts single steps, in `COUNTED`, does not follow from a thinned trace of a run that did not count them.
    """
    path = a.profile.published / "findings.json"
    stated = read_json(path) if path.exists() else {}
    for name, sentence in findings(a).items():
        elsewhere = name in BENCHMARKS or (a.sampled and name in COUNTED)
        if name in stated and not elsewhere and shown.numbers(stated[name]) != shown.numbers(sentence):
            yield f"{path}: {name} is {stated[name]!r}, but the runs' files give {sentence!r}."


def _tables_shown(a: Analysis) -> Iterator[str]:
    derived = shown.rows_derived(a)
    for path in (a.profile.published / "report.html", a.profile.published / "report.ipynb"):
        compared = 0
        for label, cells in shown.rows_shown(shown.tables_of(path)):
            alike = [row for row in derived.get(label, []) if shown.comparable(cells, row)]
            compared += len(alike)
            if alike and not any(all(map(shown.agree, cells, row)) for row in alike):
                yield f"{path}: {label!r} shows {', '.join(cells)}, but table.csv gives {', '.join(alike[0])}."
        if not compared:
            yield f"{path} shows none of the paper's tables."


def _tried(one: Callable[[Any], Iterator[str]], subject: Any) -> Iterator[str]:
    """What a check says, a refusal to read among it."""
    try:
        yield from one(subject)
    except ValueError as error:
        yield str(error)
    except Exception as error:  # of an entry that is missing, or of another kind, somewhere in a file that can be read
        name = getattr(subject, "path", getattr(subject, "name", subject))
        yield f"{name} could not be checked ({type(error).__name__}: {error}); restore what was published."


def _published(name: str, profiles: list[Profile]) -> Profile:
    for profile in profiles:
        if profile.name == name:
            return profile
    sys.exit(f"{name} is not published; name one of {', '.join(profile.name for profile in profiles)}.")


def main() -> None:
    parser = Parser(
        prog="python -m lib.report.publishing.verify",
        description="Check that the published results follow from one another.",
    )
    parser.add_argument(
        "--full",
        metavar="RUN",
        type=Path,
        nargs="*",
        help="published runs whose weights to evaluate anew; none: those of all, and every paper is drawn anew",
    )
    parser.add_argument("--paper", metavar="PROFILE", help="a published profile whose paper to draw once more")
    arguments = parser.parse_args()
    try:
        profiles = published_profiles()
    except Refusal as error:
        sys.exit(str(error))
    drawn = [_published(arguments.paper, profiles)] if arguments.paper is not None else []
    if arguments.full == []:
        drawn = profiles
    found = [problem for profile in profiles for problem in _tried(check, profile)]
    found += _tried(check_readme, profiles)
    found += check_beside()
    found += [problem for profile in drawn for problem in _tried(check_paper, profile)]
    if arguments.full is not None:
        everywhere = [path.parent for profile in profiles for path in profile.published.glob("*/weights.safetensors")]
        with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:  # of one thread each
            for said in pool.map(evaluated, map(Run, arguments.full or sorted(everywhere))):
                found += said
    if found:
        sys.exit("\n".join(found))
    print(f"All that is published follows: {', '.join(profile.name for profile in profiles)}, and README.md.")


if __name__ == "__main__":
    main()
