# `make reproduce` and `make test` work on a fresh machine with Python 3.11+, git, make and a package index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= results
JOBS ?= auto
# What most changes break first, without other processes, drawings and long trainings.
FAST := tests/test_architecture.py tests/test_layers.py tests/circuits tests/experts tests/moe tests/claims \
	tests/routers/test_chebyshev.py tests/routers/test_named_routers.py tests/routers/test_router_controls.py \
	tests/routers/test_router_facts.py tests/routers/test_twin.py tests/data/test_data_scaling.py tests/data/test_data_table.py \
	tests/training/test_compiled_training.py tests/training/test_training_stack.py tests/studies/test_trials.py \
	tests/studies/test_ladder.py tests/engines/test_exact_facts.py tests/engines/test_inputs.py

# Tests start interpreters, and each compiles every module anew where none is kept.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: reproduce quick test test-fast lint kernels format notebooks docs dist check-wheel bench calibrate endurance clean

reproduce: $(VENV)/.installed
	$(BIN)/qmoe reproduce --out $(OUT)

quick: $(VENV)/.installed
	$(BIN)/qmoe reproduce --quick --out $(OUT)-quick

# Types are checked while the kernels are compiled, which each process of the tests would otherwise do for itself.
test: $(VENV)/.installed-dev
	$(MAKE) -j 2 lint kernels
	$(BIN)/pytest -n $(JOBS) --dist worksteal --durations=15

test-fast: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/pytest -q -n $(JOBS) --dist worksteal --durations=5 $(FAST)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

kernels: $(VENV)/.installed-dev
	$(BIN)/python scripts/compile_kernels.py

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

notebooks: $(VENV)/.installed-dev
	$(BIN)/python scripts/execute_notebooks.py

# The documentation as a site, in build/site/index.html. Only the installation needs a network.
docs: $(VENV)/.installed-docs
	@echo "Building the site, for about a minute."
	$(BIN)/python -m website

# The wheel and the source distribution, into dist/.
dist: $(VENV)/.installed-dev
	rm -rf dist
	$(BIN)/python scripts/check_wheel.py --no-install --out dist

# The wheel alone, installed into a fresh environment of each Python: make check-wheel PYTHONS="python3.11 python3.12 python3.13"
PYTHONS ?= $(PYTHON)
check-wheel: $(VENV)/.installed-dev
	$(BIN)/python scripts/check_wheel.py $(PYTHONS:%=--python %)

# Measures for about half an hour; what it finds is worth most on a machine that does nothing else. BENCH=--quick for a quick check.
bench: $(VENV)/.installed-peers
	$(BIN)/python -m benchmarks $(BENCH)

# Tries the judge of claims on 2,000 simulated studies of each known truth, for about a quarter of an hour, and replaces the committed record.
calibrate: $(VENV)/.installed
	$(BIN)/python -m calibration --write
	$(BIN)/python -m calibration --audits --write

# Kills, damages and poisons studies, and times workers, for about an hour; what is done is kept in endurance-work/, and the
# same command goes on. Replaces the committed record.
endurance: $(VENV)/.installed-dev
	$(BIN)/python -m endurance all --write

# constraints.txt pins torch, among others: an unpinned one may be a build several gigabytes large. Modules are compiled when
# they are first imported: pip would spend over a minute on all modules of all packages, most of which nothing here imports.
INSTALL := $(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt

$(VENV)/.installed: pyproject.toml constraints.txt
	@echo "Installing qmoe and what it needs into $(VENV), from a package index: 1.7 GB, a minute or two."
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) -e .
	touch $@

# In one go, because it holds what .installed holds.
$(VENV)/.installed-dev: pyproject.toml constraints.txt
	@echo "Installing qmoe and all that its development needs into $(VENV), from a package index: 3.4 GB, some minutes."
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) -e '.[dev]'
	touch $(VENV)/.installed $(VENV)/.installed-docs $@

$(VENV)/.installed-docs: $(VENV)/.installed
	@echo "Installing what the site is built with into $(VENV)."
	$(INSTALL) -e '.[docs]'
	touch $@

$(VENV)/.installed-peers: $(VENV)/.installed
	$(INSTALL) -e '.[peers]'
	touch $@

clean:
	rm -rf $(VENV) endurance-work build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
