# make report [PROFILE=laptop]               train what is missing, evaluate, write the report, print its path
# make render [PROFILE=...]                  draw all figures and the report again, loading complete runs
# make publish [PROFILE=...]                 copy a finished profile's results to results/published, update README
# make status [PROFILE=...]                   which runs of a profile stand, train or failed, and the time left
# make notebooks                             write notebooks/*.ipynb from their sources, notebooks/*.py
# make test                                  run the tests

PROFILE ?= laptop
PYTHON ?= python3
CORES ?= 2
BIN := .venv/bin
REPORT := results/runs/$(PROFILE)/report.html
SNAKEMAKE := $(BIN)/snakemake --cores $(CORES) --quiet rules --config profile=$(PROFILE)

.DELETE_ON_ERROR:
.PHONY: report render publish status notebooks test

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
	$(BIN)/jupytext --quiet --to ipynb --update notebooks/*.py

test: $(BIN)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest

$(BIN)/.installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@
