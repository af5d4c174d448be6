# make report [PROFILE=laptop]               train what is missing, evaluate, write the report, print its path
# make render [PROFILE=...]                  draw all figures and the report again, loading complete runs
# make publish [PROFILE=...]                 copy a finished profile's results to results/published, update README
# make status [PROFILE=...]                   which runs of a profile stand, train or failed, and the time left
# make notebooks                             write notebooks/*.ipynb from their sources, notebooks/*.py, without output
# make lock                                  write requirements.lock anew after a changed version (needs uv)
# make test                                  run the tests

PROFILE ?= laptop
PYTHON ?= python3
CORES ?= 2
BIN := .venv/bin
REPORT := results/runs/$(PROFILE)/report.html
SNAKEMAKE := $(BIN)/snakemake --cores $(CORES) --quiet rules --config profile=$(PROFILE)
# What JupyterLab adds to a notebook that it saves, beside outputs, counts and widgets.
STRIPPED := metadata.language_info cell.metadata.editable cell.metadata.slideshow cell.metadata.jupyter

.DELETE_ON_ERROR:
.PHONY: report render publish status notebooks lock test

report: $(BIN)/.installed
	$(SNAKEMAKE)
	@echo "The report: $(abspath $(REPORT))"

render: $(BIN)/.installed
	$(SNAKEMAKE) --forcerun dataset training analysis report
	@echo "The report: $(abspath $(REPORT))"

publish: $(BIN)/.installed
	$(BIN)/python -m lib.report.publish $(PROFILE)

status: $(BIN)/.installed
	@$(BIN)/python -m lib.runs.status $(PROFILE)

notebooks: $(BIN)/.installed
	$(BIN)/nbstripout --keep-id --extra-keys '$(STRIPPED)' notebooks/*.ipynb
	$(BIN)/jupytext --quiet --to ipynb --update notebooks/*.py

lock:
	cp requirements.lock .requirements.lock.tmp # so that what need not change stays
	uv pip compile pyproject.toml --extra test --universal --python-version 3.11 --generate-hashes --no-annotate --quiet \
		--custom-compile-command 'make lock' --output-file .requirements.lock.tmp
	awk '/^[a-z]/ { kept = !/^(torch|triton|cuda-|nvidia-)/ } /^#/ { kept = 1 } kept' .requirements.lock.tmp >requirements.lock
	rm .requirements.lock.tmp

test: $(BIN)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest

# Every package but torch comes by version and hash. torch, whose build depends on the machine, comes by version, and its
# CUDA libraries, where a build has them, by the versions that it names itself. So do the tools that build this project.
$(BIN)/.installed: pyproject.toml requirements.lock
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@
