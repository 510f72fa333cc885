# Everything that a fresh machine needs: Python 3.11 or 3.12. No compiler.
PYTHON ?= $(shell for python in python3.12 python3.11 python3; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null \
	&& echo $$python && break; done)
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: run test test-all lint context lock clean

run: $(VENV)/.ready
	$(BIN)/raicurate run corpora_manifests/quickstart.yaml --out out/quickstart
	$(BIN)/raicurate trace out/quickstart sample-en-suicide-self-harm-03 --text

test: $(VENV)/.ready
	$(BIN)/python -m pytest

# The tests above need no torch. This sets up the extra `probes` and runs those that do as well.
test-all: test $(VENV)/.ready-probes
	$(BIN)/python -m pytest -m torch

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	.ci/typecheck $(BIN)/mypy

# The packages of CUDA are left out: the build of torch that is installed says which ones it needs.
# What follows from the words of context: the gallery page, and what the models that ship say of them.
context: $(VENV)/.ready
	$(BIN)/python -m raicurate.pipelines.context_gallery > docs/context-gallery.md
	$(BIN)/python -m raicurate.transforms.context_checks

lock:
	uv pip compile pyproject.toml --group dev --extra datatrove --extra llm --universal --python-version 3.11 \
		--no-header --no-annotate --no-emit-index-url -o requirements.lock
	uv pip compile pyproject.toml --group dev --group harness --extra datatrove --extra llm --extra probes \
		--constraint requirements.lock --universal --python-version 3.11 \
		--no-header --no-annotate --no-emit-index-url \
		| grep -v -E '^(cuda-|nvidia-|triton==)' | sed 's/^torch==\([0-9.]*\).*/torch==\1/' | uniq \
		> requirements-probes.lock

clean:
	rm -rf $(VENV) build dist *.egg-info out

$(VENV)/.ready: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || (echo "raicurate needs Python 3.11 or 3.12 on the PATH" >&2; exit 2)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/.ready-probes: requirements-probes.lock $(VENV)/.ready
	$(BIN)/python -m pip install --quiet -r requirements-probes.lock
	touch $@
