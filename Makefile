# SPDX-License-Identifier: Apache-2.0
#
# `make demo` and `make test` do everything from nothing; `make help` lists the rest.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

PYTHON ?= /usr/bin/python3
VENV := .venv
PY := $(VENV)/bin/python
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
BOOTSTRAP := PYTHON=$(PYTHON) VENV=$(VENV) scripts/bootstrap.sh

CC ?= gcc
ifeq ($(origin CC),default)
CC := gcc
endif
CFLAGS ?= -O2 -g
STRICT := -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror
# Looked up when a recipe runs: the packages may be installed by this very make.
LIBS := libelf libdw capstone libdeflate
LIB_CFLAGS = $(shell pkg-config --cflags $(LIBS))
LIB_LDLIBS = $(shell pkg-config --libs $(LIBS))

OFFSETS_SRC := $(wildcard offsets/*.c)
COLLECTOR_SRC := $(wildcard collector/*.c)
HEADERS := $(wildcard offsets/*.h collector/*.h bpf_c/*.h)
C_FILES := $(OFFSETS_SRC) $(COLLECTOR_SRC) $(HEADERS) $(wildcard bpf_c/*.c)
OFFSETS_OBJ := $(OFFSETS_SRC:offsets/%.c=build/obj/offsets/%.o)

TRACEE := examples/tracee/tracee
PYTEST_ARGS ?=
# Processes that run tests, a file at a time each. PYTEST_ARGS="-n 0" for one alone, in order.
TEST_JOBS ?= 2
PYTEST = -m pytest -n $(TEST_JOBS) --dist loadfile --no-loadscope-reorder
BENCH_ARGS ?=

##@ The two commands
.PHONY: demo
demo: build packages-demo ## build the example program and trace it, from nothing
	@$(MAKE) --no-print-directory $(TRACEE)
	$(SUDO) $(PY) -m tracer --binary ./$(TRACEE) --func main.ebpfDemo -- ./$(TRACEE) -n 3

.PHONY: demo-services
demo-services: build services packages-demo ## start gRPC and HTTP services, drive them, and show their requests, metrics and headers
	$(SUDO) env PATH="$$PATH" HOME="$$HOME" $(PY) examples/services/demo.py

# Probes need root. Without it the two halves run apart, so that only the tests which put probes run as root.
.PHONY: test
test: build packages-test dev services ## run all tests, from nothing (PYTEST_ARGS="-k name" chooses)
	@$(BOOTSTRAP) toolchains
ifeq ($(SUDO),)
	$(PY) $(PYTEST) $(PYTEST_ARGS)
else
	$(PY) $(PYTEST) -m "not live" $(PYTEST_ARGS)
	$(SUDO) env HOME="$$HOME" PATH="$$PATH" GOPHERSCOPE_TEST_SLOW="$$GOPHERSCOPE_TEST_SLOW" $(PY) -B $(PYTEST) -p no:cacheprovider -m live $(PYTEST_ARGS)
endif

.PHONY: test-all
test-all: export GOPHERSCOPE_TEST_SLOW := 1
test-all: test ## also those that take long

##@ Build
.PHONY: build
build: packages-build ## build the C and the Python package into .venv
	@$(BOOTSTRAP) venv
	@$(MAKE) --no-print-directory build/offsets build/.python build/.bytecode

.PHONY: packages-%
packages-%:
	@$(BOOTSTRAP) packages $*

.PHONY: dev
dev: build
	@$(BOOTSTRAP) dev

.PHONY: services
services: build ## what `services` needs for --prometheus and --otlp, into .venv
	@$(BOOTSTRAP) services

build/obj/offsets/%.o: offsets/%.c
	@mkdir -p $(@D)
	$(CC) $(STRICT) $(CFLAGS) $(LIB_CFLAGS) -MMD -MP -c -o $@ $<

build/offsets: $(OFFSETS_OBJ)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIB_LDLIBS)

# The extension modules and the console command. Offline: what they need is the distribution's.
build/.python: setup.py pyproject.toml $(wildcard tracer/_build_*.py) tracer/__init__.py $(OFFSETS_SRC) $(COLLECTOR_SRC) $(HEADERS) $(VENV)/.made-from
	@mkdir -p $(@D)
	CFLAGS="$(CFLAGS)" $(PY) -m pip install --quiet --no-deps --no-build-isolation --no-index --disable-pip-version-check --editable .
	@touch $@

# As an installation does: more than half of a start, also where nothing may be written there (root on a user's files, PYTHONDONTWRITEBYTECODE).
build/.bytecode: build/.python $(shell find tracer -name '*.py')
	@$(PY) -m compileall -q tracer
	@touch $@

# By file, not by package: Go then leaves version control alone, which refuses a checkout of another owner (sudo, containers).
$(TRACEE): examples/tracee/main.go examples/tracee/go.mod
	cd $(@D) && GOTOOLCHAIN=local go build -o $(@F) main.go

.PHONY: clean
clean: ## remove what make built (not .venv)
	rm -rf build $(TRACEE) tracer/_*.so tracer/_offsets.c tracer/_collector.c *.egg-info .mypy_cache .ruff_cache .pytest_cache
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +

##@ Quality
.PHONY: fmt
fmt: build packages-lint dev ## format C, Python and Go
	clang-format -i $(C_FILES)
	$(PY) -m ruff check --fix-only --quiet .
	$(PY) -m ruff format .
	@if command -v gofmt >/dev/null; then gofmt -l -w examples tests bench; fi

.PHONY: lint
lint: packages-build packages-lint build dev services ## the compilers' warnings as errors, formats, types
	@scripts/lint.sh $(PY)

.PHONY: bench
bench: build packages-demo ## measure, each figure as a ratio within one run (BENCH_ARGS="--only NAME")
	$(SUDO) env PATH="$$PATH" HOME="$$HOME" $(PY) bench/run.py $(BENCH_ARGS)

.PHONY: bench-doc
bench-doc: build packages-demo ## measure everything, other tracers too, and write docs/performance.md (ten minutes)
	$(SUDO) env PATH="$$PATH" HOME="$$HOME" $(PY) bench/run.py $(if $(findstring --only,$(BENCH_ARGS)),,--all) --doc docs/performance.md $(BENCH_ARGS)

.PHONY: bench-services
bench-services: build packages-demo ## measure what `services` costs for each request
	$(SUDO) env PATH="$$PATH" HOME="$$HOME" $(PY) bench/services.py $(BENCH_ARGS)

.PHONY: matrix
matrix: build packages-test dev ## every Go version × every kind of build, value by value; writes docs/matrix.md
	$(SUDO) env PATH="$$PATH" HOME="$$HOME" $(PY) tests/matrix/run.py -o docs/matrix.md

.PHONY: fresh
fresh: packages-fresh ## run the two commands in a minimal Debian made for it (root)
	@$(SUDO) env PATH="$$PATH" HOME="$$HOME" scripts/fresh.sh

.PHONY: runtime-offsets
runtime-offsets: build dev ## read the layout of goroutines out of each Go version, for files without debug information
	$(PY) scripts/runtime_offsets.py

# Seconds for all targets together: `make fuzz FUZZ_SECONDS=60`. What a fuzzer finds stands in build/fuzz/found.
FUZZ_SECONDS ?= 600
FUZZ_TARGETS := elf functions debug types expression plan recording
FUZZ_CFLAGS := -g -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
FUZZ_SRC := $(filter-out offsets/main.c offsets/cmd_%,$(OFFSETS_SRC)) $(COLLECTOR_SRC) $(wildcard tests/fuzz/*.c)
FUZZ_OBJ := $(FUZZ_SRC:%.c=build/fuzz/obj/%.o)
FUZZ_SHARED := $(filter-out build/fuzz/obj/tests/fuzz/fuzz_%,$(FUZZ_OBJ))
.SECONDARY: $(FUZZ_OBJ)
.PHONY: fuzz
fuzz: build packages-lint dev $(TRACEE) ## damaged and made-up files for every reader, FUZZ_SECONDS in all
	@$(MAKE) --no-print-directory $(FUZZ_TARGETS:%=build/fuzz/fuzz_%)
	$(PY) tests/fuzz/corpus.py build/fuzz/corpus $(TRACEE)
	@scripts/fuzz.sh $(FUZZ_SECONDS) $(FUZZ_TARGETS)

build/fuzz/obj/%.o: %.c
	@mkdir -p $(@D)
	clang $(STRICT) $(FUZZ_CFLAGS) $(LIB_CFLAGS) -MMD -MP -c -o $@ $<

build/fuzz/fuzz_%: build/fuzz/obj/tests/fuzz/fuzz_%.o $(FUZZ_SHARED)
	clang -fsanitize=fuzzer,address,undefined -o $@ $^ $(LIB_LDLIBS) -lbcc_bpf -lm -pthread

.PHONY: witness
witness: build packages-test dev ## hold locations and sites of three big programs against other tools (docs/witness.md)
	@$(BOOTSTRAP) toolchains
	PYTHONPATH=tests $(PY) tests/witness/report.py

##@ Install
.PHONY: install
install: build ## put gopherscope on PATH and the package where the system's python3 finds it
	@$(SUDO) env PYTHON=$(PYTHON) scripts/install.sh install

.PHONY: man
man: build ## show the manual page, made of the parser
	@$(PY) -m tracer.manual | man -l -

.PHONY: uninstall
uninstall: ## take it away again
	@$(SUDO) env PYTHON=$(PYTHON) scripts/install.sh uninstall

##@ Stock kernels
KERNEL ?= 6.1
CMD ?= uname -r
VM_ARGS ?=
# As it was typed: by the environment, in which neither make nor a shell looks for quotes and dollars.
.PHONY: vm
vm: export VM_CMD := $(if $(filter environment,$(origin VM_CMD)),$(value VM_CMD),$(value CMD))
vm: packages-vm ## run a command on a stock Debian kernel in QEMU: make vm KERNEL=6.12 CMD='uname -r'
	@$(PYTHON) vm/run.py --kernel $(KERNEL) $(VM_ARGS) -- sh -c "$$VM_CMD"

VM_RUNS ?=
.PHONY: test-vm
test-vm: build packages-test packages-vm dev ## run the tests on stock kernels and on this one (VM_RUNS="6.1 newest" chooses)
	$(PY) scripts/test_vm.py --again $(VM_RUNS) -- $(PYTEST_ARGS)

.PHONY: services-doc
services-doc: build ## make docs/services.md from the rules
	$(PY) scripts/services_doc.py

.PHONY: demo-rewrite
demo-rewrite: build packages-test packages-vm ## change running programs on stock kernels in QEMU, and show what they believed
	$(PY) scripts/demo_rewrite.py

.PHONY: kernels-doc
kernels-doc: ## make docs/kernels.md from what test-vm found
	$(PYTHON) scripts/kernels_doc.py

.PHONY: verbs-doc
verbs-doc: build packages-test dev ## make docs/verbs.md by running what it shows (root)
	@$(BOOTSTRAP) toolchains
	$(SUDO) env PATH="$$PATH" HOME="$$HOME" $(PY) scripts/verbs_doc.py

##@ About
.PHONY: help
help: ## list the targets
	@awk 'BEGIN { FS = ":.*## " } /^##@ / { printf "\n%s\n", substr($$0, 5) } /^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

-include $(OFFSETS_OBJ:.o=.d) $(FUZZ_OBJ:.o=.d)
