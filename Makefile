# Two commands matter: `make book` builds the site, `make test` proves it.

# The first Python on the PATH that the pinned packages support.
PYTHON ?= $(firstword $(foreach p,python3 python3.13 python3.12 python3.11,$(shell \
	$(p) -c 'import sys; (3, 11) <= sys.version_info[:2] <= (3, 13) and print("$(p)")' 2>/dev/null)))
VENV := .venv
PY := $(VENV)/bin/python
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYTHONHASHSEED := 0
# One thread a process: results that hold to the last digit, and no cores fighting over small arrays.
export OMP_NUM_THREADS := 1
# How many processes share the tests; a file, or a chapter, stays with one of them.
JOBS ?= 2
SPREAD := -n $(JOBS) --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help book pdf install test execute serve data student teacher clean

help: ## Say what each target does
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(PY):
	@test -n "$(PYTHON)" || { echo "ecgbook needs Python 3.11, 3.12 or 3.13, and none is on the PATH: install one, or name it with make $(MAKECMDGOALS) PYTHON=/path/to/python" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) comes without venv or ensurepip: install them (on Debian or Ubuntu: apt install python3-venv), or name another Python with make $(MAKECMDGOALS) PYTHON=/path/to/python" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.site: requirements-site.txt pyproject.toml | $(PY)
	@echo "Installing what the site needs into $(VENV) ..."
	@$(PY) -m pip install -q -r requirements-site.txt
	@$(PY) -m pip install -q --no-deps -e .
	@touch $@

$(VENV)/.full: requirements.txt requirements-site.txt pyproject.toml | $(PY)
	@echo "Installing the full environment into $(VENV) (a few minutes, about 7 GB: torch) ..."
	@$(PY) -m pip install -q -r requirements.txt
	@$(PY) -m pip install -q --no-deps -e .
	@touch $(VENV)/.site $@

book: $(VENV)/.site ## Build the site into _build/html (no data set and no GPU needed)
	@$(VENV)/bin/jupyter-book build . -W -n --keep-going -q
	@echo "The book stands: open _build/html/index.html"

pdf: $(VENV)/.site ## Print the whole book into _build/ecgbook.pdf (needs Chromium or Chrome; some minutes)
	@$(PY) _ext/pdf/book_pdf.py --check
	@$(MAKE) --no-print-directory book
	@$(PY) _ext/pdf/book_pdf.py

install: $(VENV)/.full ## Install the full environment into .venv
	@echo "Ready: $(VENV)/bin/ecgbook --help"

test: install ## Lint, types, doctests, tests, every notebook against its stored outputs, site checks
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(MAKE) --no-print-directory book
	$(PY) -m pytest $(SPREAD) --doctest-modules ecgbook tests
	$(PY) -m pytest $(SPREAD) --nbval --nbval-current-env --nbval-sanitize-with tests/nbval-sanitize.cfg book

execute: install ## Re-run chapters and store outputs and stamps (CHAPTERS="book/a.py ..." for some)
	$(PY) -m ecgbook.publish $(CHAPTERS)

serve: book ## Serve the site on http://127.0.0.1:8000
	@echo "The book: http://127.0.0.1:8000"
	@$(PY) -m http.server --bind 127.0.0.1 --directory _build/html 8000

data: install ## Download and verify the real pages (about 194 MB)
	$(VENV)/bin/ecgbook data fetch eicp

student: install ## Pack the chapters for a class: no solutions, blanks and checks (dist/ecgbook-student.zip)
	@$(PY) -m ecgbook.classroom student

teacher: install ## Pack the chapters with solutions and a table of exercises (dist/ecgbook-teacher.zip)
	@$(PY) -m ecgbook.classroom teacher

clean: ## Remove the built site (not the environment, not the data)
	rm -rf _build
