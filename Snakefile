# dataset -> training(arm, seed) -> analysis -> report, each notebook run by papermill.
#
#     snakemake --cores 2 --config profile=laptop
#
# Runs what is missing. A training that stands complete is loaded, not repeated, also where its rule runs again: the
# run's own directory decides that (lib/training/train.py), so its files are outputs that are updated, never deleted first.

import sys

from lib.arms import ARMS
from lib.report.effects import COMPARED
from lib.runs.profiles import load_profile
from lib.runs.provenance import code_state
from lib.runs.recorded import next_seed
from lib.runs.status import measured_files

if unknown := sorted(set(config) - {"profile", "read"}):
    sys.exit(f"There is no --config {unknown[0]}; give profile=NAME, and read=published to show published runs.")
if config.get("read", "published") != "published":
    sys.exit(f"read is {config['read']!r}; give read=published, or nothing.")
try:
    PROFILE = load_profile(config.get("profile", "laptop"))
except ValueError as error:
    sys.exit(str(error))
RUNS = f"results/runs/{PROFILE.name}"
NOTEBOOKS = f"{RUNS}/notebooks"
# With `read=published` runs that were not trained here are shown as they were published, without training notebooks.
PUBLISHED = config.get("read") == "published" and PROFILE.only_published
# The appendices of the report: the training notebooks of its own arms, of the first seed.
APPENDICES = ["01_dataset"] + [f"training-{arm}-seed{PROFILE.seeds[0]}" for arm in COMPARED if not PUBLISHED]
CODE = code_state()  # a changed lib or notebook runs every rule again; complete runs are loaded
# --log-output lets the lines of progress through, on stderr; cells and their other output stay in the notebook.
PAPERMILL = f"{sys.executable} -m lib.report.notebooks.execute --log-output --log-level WARNING --no-progress-bar"


def seed_taken(wildcards) -> int:
    """Of the run whose steps a run of the arm takes."""
    seed = int(wildcards.seed)
    return next_seed(seed, PROFILE.seeds) if ARMS[wildcards.arm].of_next_seed else seed


rule report:
    input:
        main=f"{NOTEBOOKS}/04_analysis.ipynb",
        appendices=expand(f"{NOTEBOOKS}/{{name}}.ipynb", name=APPENDICES),
    output:
        f"{RUNS}/report.html",
    params:
        code=CODE,
    shell:
        "echo 'Writing the report.' && "
        "{sys.executable} -m lib.report.page.build {output} {input.main} {input.appendices}"


rule dataset:
    input:
        "notebooks/01_dataset.ipynb",
    output:
        notebook=f"{NOTEBOOKS}/01_dataset.ipynb",
        facts=update(f"{RUNS}/dataset.json"),
    params:
        data=PROFILE.training["data"],  # a changed source runs the rule again
        code=CODE,
    threads: 2
    shell:
        "echo 'The data set.' && {PAPERMILL} {input} {output.notebook} -p profile {PROFILE.name}"


rule training:
    input:
        notebook=lambda wildcards: f"notebooks/{ARMS[wildcards.arm].notebook}.ipynb",
        dataset=f"{NOTEBOOKS}/01_dataset.ipynb",
        drawn_from=lambda wildcards: (
            f"{RUNS}/{ARMS[wildcards.arm].drawn_from}-seed{seed_taken(wildcards)}/evaluation.json"
            if ARMS[wildcards.arm].drawn_from
            else []
        ),
    output:
        notebook=f"{NOTEBOOKS}/training-{{arm}}-seed{{seed}}.ipynb",
        measured=[update(f"{RUNS}/{{arm}}-seed{{seed}}/{name}") for name in measured_files("linear")],
    wildcard_constraints:
        arm="|".join(ARMS),
        seed="[0-9]+",
    params:
        settings=PROFILE.training | PROFILE.evaluation,  # a changed profile runs the rule again
        code=CODE,
        own=lambda wildcards: "-p published False" if ARMS[wildcards.arm].notebook == "05_other_arms" else "",
    threads: PROFILE.training["threads"]
    shell:
        "echo 'Training and measuring: {wildcards.arm}, seed {wildcards.seed}.' && "
        "{PAPERMILL} {input.notebook} {output.notebook}"
        " -p profile {PROFILE.name} -p arm {wildcards.arm} -p seed {wildcards.seed} {params.own}"


rule analysis:
    input:
        notebook="notebooks/04_analysis.ipynb",
        dataset=f"{RUNS}/dataset.json",
        measured=[] if PUBLISHED else [f"{RUNS}/{arm}-seed{seed}/{name}" for arm, seed in PROFILE.planned() for name in measured_files("linear")],
    output:
        f"{NOTEBOOKS}/04_analysis.ipynb",
    params:
        code=CODE,
    shell:
        "echo 'Analysis.' && {PAPERMILL} {input.notebook} {output} -p profile {PROFILE.name}"
