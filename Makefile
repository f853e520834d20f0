# The two commands of the README, and those a developer needs. Everything happens inside .venv.
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(shell command -v $(name))))
CORES ?= all
VENV := .venv
LAVIS_VENV := .venv-lavis
LLAVA_VENV := .venv-llava
# What `make llava` installs beside the lock; LLAVA_SOURCE names a clone of LLaVA-NeXT where GitHub cannot be reached.
LLAVA := $(shell sed -n 's/^ *- \(llava @ git+.*\)/\1/p' envs/llava.yaml)
LLAVA_SOURCE ?=
DEVICE ?= cuda
SEED ?= 0
COUNT ?= 100
ONLY ?= *
BIN := $(VENV)/bin
UV := $(BIN)/uv
UV_VERSION := 0.13.8
SNAKEMAKE := $(BIN)/snakemake

export PATH := $(abspath $(BIN)):$(PATH)
export HF_HUB_DISABLE_TELEMETRY := 1
# trust what the machine trusts (a company's proxy, say), as pip does
export UV_SYSTEM_CERTS := 1

.PHONY: demo test test-all versions lavis llava lint format lock docs demo-models bench-extract bench-evaluate bench-select \
  bench-plan bench-retake \
  envs-check slurm-check gpu-check chaos fuzz mutate clean help

help:               ## what can be made
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

demo: $(VENV)/demo.done $(BIN)/framesift   ## the whole chain on a synthetic world, to a table of accuracies
	$(SNAKEMAKE) --cores $(CORES) results/tables/demo.csv --quiet host reason
	@$(BIN)/python workflow/scripts/show_table.py results/tables/demo.csv

PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations 10

test: $(VENV)/test.done      ## every test but the slow ones, two at a time (some 30 minutes on two cores)
	$(PYTEST) -m "not slow"

test-all: $(VENV)/test.done  ## every test
	FRAMESIFT_FUZZ=$${FRAMESIFT_FUZZ:-120} $(PYTEST)

lavis: $(LAVIS_VENV)/lavis.done     ## LAVIS in an environment of its own; without it its tests are skipped

llava: $(LLAVA_VENV)/llava.done     ## LLaVA-NeXT in an environment of its own; without it its tests are skipped

lint: $(VENV)/test.done      ## ruff, snakefmt, snakemake --lint, mypy, the layers of the library
	$(BIN)/ruff check workflow tests tools
	$(BIN)/ruff format --check workflow tests tools
	$(BIN)/snakefmt --check Snakefile rules
	$(SNAKEMAKE) --lint
	$(BIN)/mypy
	PYTHONPATH=workflow/scripts $(BIN)/lint-imports

format: $(VENV)/test.done    ## ruff and snakefmt, writing
	$(BIN)/ruff check --fix workflow tests tools
	$(BIN)/ruff format workflow tests tools
	$(BIN)/snakefmt Snakefile rules

versions: $(VENV)/test.done  ## record the outputs that declared versions identify, after one was raised
	PYTHONPATH=workflow/scripts:tests/support $(BIN)/python tests/contract/test_versions.py

docs: $(VENV)/test.done      ## the configuration's schema and key table, from the models
	$(BIN)/python workflow/scripts/document_config.py

lock: $(UV)                  ## new versions for envs/*.lock, envs/*.yaml and the container, together
	cd envs && for what in demo test lavis llava; do \
	  ../$(UV) pip compile --upgrade --prerelease disallow --universal --python-version 3.11 --no-header --no-annotate \
	    --no-emit-index-url --no-emit-find-links --quiet $$what.in --output-file $$what.lock || exit 1; done
	$(BIN)/python envs/pin.py
	$(BIN)/python envs/container.py

demo-models: $(VENV)/demo.done   ## train the demo's models and put them into resources/demo
	for model in clip blip vlm selector_start; do \
	  $(BIN)/python tools/demo_models/train.py $$model --out build/demo_models/$$model || exit 1; done
	cp -R build/demo_models/. resources/demo/

bench-extract: $(BIN)/framesift   ## what scoring costs, against the way of AKS's release (some 10 minutes)
	$(BIN)/python tools/bench_extract.py

bench-evaluate: $(BIN)/framesift  ## what asking costs beside the model
	$(BIN)/python tools/bench_evaluate.py

bench-select: $(BIN)/framesift    ## what choosing frames costs, for every method
	$(BIN)/python tools/bench_select.py

bench-retake: $(BIN)/framesift    ## what compression in the network costs and saves, on this machine's CPU
	$(BIN)/python tools/bench_retake.py

bench-plan: $(BIN)/framesift      ## what planning costs, for 900 and for 100,000 videos
	$(BIN)/python tools/bench_plan.py

envs-check: $(VENV)/test.done    ## build every file of envs/ from nothing, and make the demo in them
	ENVS_CHECK=1 $(BIN)/python -m pytest tests/unit/test_envs.py tests/endtoend/test_conda.py

slurm-check: $(VENV)/test.done   ## the whole demo on a SLURM of three virtual nodes, with faults (root; slurm-wlm, munge)
	SLURM_CHECK=1 $(BIN)/python -m pytest -s tests/endtoend/test_slurm.py

gpu-check: $(BIN)/framesift     ## what only a GPU can show (docs/gpus.md); DEVICE=cpu goes through it without one
	$(BIN)/python tools/gpu_check.py --device $(DEVICE)

chaos: $(VENV)/test.done     ## kill, fill, cut and flip everything, and compare (docs/survival.md)
	PYTHONPATH=workflow/scripts:tests/support $(BIN)/python tests/chaos/run.py --seed $(SEED)

fuzz: $(VENV)/test.done      ## some 100,000 hostile inputs for whatever reads files (docs/safety.md)
	FRAMESIFT_FUZZ=3100 $(BIN)/python -m pytest -q -n 2 --dist worksteal -rP -k hostile_input tests/safety/test_fuzz.py

mutate: $(VENV)/test.done    ## change the program in COUNT places, and see which changes no test notices (CONTRIBUTING.md)
	$(BIN)/python tools/mutate.py --seed $(SEED) --count $(COUNT) --only "$(ONLY)"

clean:              ## everything the workflow made, the installation excepted
	find results -mindepth 1 -maxdepth 1 ! -name README.md -exec rm -rf {} +
	rm -rf logs benchmarks .snakemake

$(UV):
	@$(or $(PYTHON),false) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { printf '%s\n' >&2 \
	  "make: Framesift needs Python 3.11 or newer; found: $$($(or $(PYTHON),false) -V 2>&1 || echo none)" \
	  "Name one: make $(or $(MAKECMDGOALS),demo) PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/pip install --quiet uv==$(UV_VERSION)

$(VENV)/demo.done: envs/demo.lock | $(UV)
	$(UV) pip install --quiet --python $(BIN)/python -r envs/demo.lock
	touch $@

# The command `framesift`, of this checkout.
$(BIN)/framesift: pyproject.toml setup.py | $(VENV)/demo.done
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/test.done: envs/test.lock $(VENV)/demo.done $(BIN)/framesift | $(UV)
	$(UV) pip install --quiet --python $(BIN)/python -r envs/demo.lock -r envs/test.lock
	touch $@

# The lock is complete, so nothing is resolved again.
$(LAVIS_VENV)/lavis.done: envs/lavis.lock | $(UV)
	$(UV) venv --quiet --clear --python $(PYTHON) $(LAVIS_VENV)
	$(UV) pip install --quiet --no-deps --python $(LAVIS_VENV)/bin/python -r envs/lavis.lock
	touch $@

# `llava` first: where it cannot be had, nothing else is of use. It needs no other package to be installed.
$(LLAVA_VENV)/llava.done: envs/llava.lock envs/llava.yaml | $(UV)
	$(UV) venv --quiet --clear --python $(PYTHON) $(LLAVA_VENV)
ifeq ($(LLAVA_SOURCE),)
	$(UV) pip install --quiet --no-deps --python $(LLAVA_VENV)/bin/python "$(LLAVA)" || { printf '%s\n' >&2 \
	  "make llava: LLaVA-NeXT cannot be fetched from GitHub. Where there is a clone of it that holds its commit" \
	  "$(lastword $(subst @, ,$(LLAVA))): make llava LLAVA_SOURCE=/path/to/LLaVA-NeXT"; exit 1; }
else
	mkdir $(LLAVA_VENV)/source
	git -C "$(LLAVA_SOURCE)" archive $(lastword $(subst @, ,$(LLAVA))) README.md pyproject.toml llava trl \
	  | tar -x -C $(LLAVA_VENV)/source
	$(UV) pip install --quiet --no-deps --python $(LLAVA_VENV)/bin/python ./$(LLAVA_VENV)/source
	rm -rf $(LLAVA_VENV)/source
endif
	$(UV) pip install --quiet --no-deps --python $(LLAVA_VENV)/bin/python -r envs/llava.lock
	touch $@
