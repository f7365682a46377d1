# Needs Python 3.11 or newer, git and make. `make` alone lists what there is.

UV_VERSION := 0.13.9

# The Python that is here, in .venv, exactly as locked, whatever the caller's shell has set.
export UV_PYTHON_DOWNLOADS := never
export UV_PROJECT_ENVIRONMENT := .venv
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME UV_PYTHON

MAKEFLAGS += --no-print-directory
PYTEST := .venv/bin/pytest
ARGS ?=

.PHONY: help demo test check format crash-matrix reversibility tamperings bench
.SUFFIXES:

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1	/p' Makefile | while IFS='	' read -r name text; do printf '%-14s %s\n' "$$name" "$$text"; done

demo: .venv/.runtime ## Show a finding on its way to a proven fix, with no account: make demo ARGS="--json"
	@.venv/bin/runbooks demo $(ARGS)

test: .venv/.development ## Run the tests: make test ARGS="tests/runbooks"
	@$(PYTEST) -n auto --dist loadscope --no-loadscope-reorder $(ARGS)

check: .venv/.development ## Everything CI asks for: format, lint, types, import contracts, tests
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/pyright
	.venv/bin/lint-imports
	@$(MAKE) test

crash-matrix: .venv/.development ## Break the playbook at every point, and bring it home: make crash-matrix ARGS="--sample 50"
	@.venv/bin/python -m tests.crash_matrix $(ARGS)

reversibility: .venv/.development ## Contain and release a thousand generated instances, and compare
	@.venv/bin/python -m tests.tasks.reversibility $(ARGS)

tamperings: .venv/.development ## Ten thousand random tamperings with the record, each to be found
	@TAMPERINGS=10000 $(PYTEST) -o timeout=3000 tests/tasks/test_tampering.py $(ARGS)

bench: .venv/.development ## Measure, beside something to compare with: make bench ARGS="ingest command"
	@.venv/bin/python -m benchmarks $(ARGS)

format: .venv/.development ## Format, and mend what the linter can mend
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

# Two stamps: the demo does not wait for the developers' tools. What is said meanwhile goes to stderr, for `--json`.
.venv/.runtime: pyproject.toml uv.lock
	@$(UV) sync --frozen --all-extras --no-dev --inexact >&2 && touch $@

.venv/.development: pyproject.toml uv.lock
	@$(UV) sync --frozen --all-extras >&2 && touch $@ .venv/.runtime

# uv is taken from PATH, or fetched into .tools once.
UV = uv=$$(uv --version >/dev/null 2>&1 && echo uv || echo .tools/bin/uv); test $$uv = uv || $(FETCH_UV); $$uv

define FETCH_UV
.tools/bin/uv --version >/dev/null 2>&1 || { \
	python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "Python 3.11 or newer is needed as python3." >&2; exit 1; }; \
	python3 -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "This Python cannot make virtual environments. Install python3-venv (Debian, Ubuntu: apt-get install python3-venv), or uv." >&2; exit 1; }; \
	echo "Fetching uv $(UV_VERSION) into .tools" >&2; \
	python3 -m venv .tools >&2 && .tools/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION) >&2 || exit 1; }
endef
