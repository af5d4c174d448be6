# make report [PROFILE=laptop]               train what is missing, evaluate, write the report, print its path
# make render [PROFILE=...]                  draw all figures and the report again, loading complete or published runs
# make publish [PROFILE=...]                 copy a finished profile's results to results/published, update README
# make verify [QUICK=yes] [PAPER=seeds]      whether what is published follows; all papers are drawn and all weights
#                                            evaluated anew, with QUICK only PAPER is
# make status [PROFILE=...]                   which runs of a profile stand, train or failed, and the time left
# make notebooks                             write notebooks/*.ipynb from their sources, notebooks/*.py, without output
# make lock                                  write requirements.lock anew after a changed version (needs uv)
# make test                                  run the tests
# make test-long                             run the longer campaigns, keep the result in results/benchmarks/test_long.json

PROFILE ?= laptop
PYTHON ?= python3
CORES ?= 2
BIN := .venv/bin
REPORT := results/runs/$(PROFILE)/report.html
# On Linux memory comes in large pages, for less time per step (lib/benchmarks/large_pages.py).
export GLIBC_TUNABLES ?= glibc.malloc.hugetlb=1
# One at a time per profile: a second one waits and says so. The lock ends with its process, where Snakemake's own would stay.
SNAKEMAKE := $(BIN)/python -m lib.locks results/runs/$(PROFILE)/.report.lock \
	$(BIN)/snakemake --nolock --rerun-incomplete --cores $(CORES) --quiet rules --config profile=$(PROFILE)
# torch's CPU build, for Python 3.11 on Linux and x86-64: an index or a folder that has it is asked for it first. PyPI has
# none, and then the build of requirements.lock is taken.
TORCH_CPU := torch==2.13.0+cpu --hash=sha256:6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b
CUDA := triton|cuda-|nvidia-
# What JupyterLab adds to a notebook that it saves, beside outputs, counts and widgets.
STRIPPED := metadata.language_info cell.metadata.editable cell.metadata.slideshow cell.metadata.jupyter

.DELETE_ON_ERROR:
.PHONY: report render publish verify status notebooks lock test test-long

report: $(BIN)/.installed
	$(SNAKEMAKE)
	@echo "The report: $(abspath $(REPORT))"

render: $(BIN)/.installed
	$(SNAKEMAKE) read=published --forcerun dataset training analysis report
	@echo "The report: $(abspath $(REPORT))"

publish: $(BIN)/.installed
	$(BIN)/python -m lib.report.publishing.publish $(PROFILE)

verify: $(BIN)/.installed
	@$(BIN)/python -m lib.report.publishing.verify $(if $(PAPER),--paper $(PAPER)) $(if $(QUICK),,--full)

status: $(BIN)/.installed
	@$(BIN)/python -m lib.runs.status $(PROFILE)

notebooks: $(BIN)/.installed
	$(BIN)/nbstripout --keep-id --extra-keys '$(STRIPPED)' notebooks/*.ipynb
	$(BIN)/jupytext --quiet --to ipynb --update notebooks/*.py

lock:
	cp requirements.lock .requirements.lock.tmp # so that what need not change stays
	uv pip compile pyproject.toml --extra test --universal --python-version 3.11 --generate-hashes --no-annotate --quiet \
		--custom-compile-command 'make lock' --output-file .requirements.lock.tmp
	mv .requirements.lock.tmp requirements.lock

test: $(BIN)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest --numprocesses $(CORES) --dist loadfile # what the tests of a file share is made once

test-long: $(BIN)/.installed
	$(BIN)/python -m pytest -m long --result=results/benchmarks/test_long.json

# Every package comes by version and hash, what builds this project among them; torch's CUDA libraries stay away where its
# CPU build is there. What is missing is said in one line, and a .venv that was not there before goes again.
$(BIN)/.installed: pyproject.toml requirements.lock
	@fail() { echo "$$1" >&2; exit 1; }; \
	trap 'test -z "$$new" || rm -rf .venv; rm -f .install.log' EXIT; trap 'exit 130' INT TERM; \
	test -e .venv || new=yes; \
	command -v $(PYTHON) > /dev/null \
		|| fail "There is no $(PYTHON); install Python 3.11 to 3.13, or name one: make PYTHON=python3.12."; \
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
		|| fail "$(PYTHON) is not Python 3.11 to 3.13; name one that is: make PYTHON=python3.12."; \
	$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null \
		|| fail "$(PYTHON) lacks the module venv; install it (Debian and Ubuntu: apt install python3-venv)."; \
	$(PYTHON) -m venv .venv 2> .install.log \
		|| fail "The environment could not be made in .venv: $$(tail -n 1 .install.log)."; \
	pip="$(BIN)/python -m pip install --quiet --retries 2"; \
	echo '$(TORCH_CPU)' | $$pip --retries 0 --no-deps --require-hashes --requirement /dev/stdin > /dev/null 2>&1 || :; \
	{ if $(BIN)/python -c 'import importlib.metadata as of, sys; sys.exit("cpu" not in of.version("torch"))' 2> /dev/null; \
	then awk '/^[a-z]/ { kept = !/^($(CUDA))/ } /^#/ { kept = 1 } kept' requirements.lock; else cat requirements.lock; fi \
	| $$pip --no-deps --require-hashes --requirement /dev/stdin \
	&& $$pip --no-build-isolation --no-deps --editable .; } 2> .install.log || \
	if grep -qiE 'compiler|(gcc|cc|clang|cl\.exe).*(not found|no such file|failed)' .install.log; \
	then fail "A package has no wheel for this machine and needs a C compiler, which is missing or failed; install one \
	(Debian and Ubuntu: apt install build-essential): $$(grep -i error .install.log | tail -n 1)"; \
	else fail "The packages could not be installed; check the network and try again: $$(grep ERROR .install.log | tail -n 1)"; \
	fi; \
	new=; touch $@
