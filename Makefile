.DEFAULT_GOAL := help
.PHONY: help install mysql run test faults siege brokers explore coverage matrix build lint bench mutants format clean

PYTHON := .venv/bin/python

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: ## Create .venv with the locked dependencies (quick when nothing changed)
	@sh dev/install.sh

mysql: install ## Add MariaDB's driver, for its tests (compiled: needs a C compiler and libmariadb-dev)
	@UV_PROJECT_ENVIRONMENT=.venv .venv/bin/uv sync --locked --quiet --group mysql --python $(PYTHON)

run: install ## Start the whole system; Ctrl-C stops it ("make run WEB_PORT=8001" moves a port)
	@exec $(PYTHON) -m dev up

test: install ## Run the tests ("make test ARGS='-k smoke -x'" passes options to pytest, "-n 0" one by one)
	@$(PYTHON) -m pytest -n auto --dist loadfile $(ARGS)
	@$(PYTHON) -m tests.on_postgres -n auto --dist loadfile $(ARGS)

faults: install ## Break processes, brokers and databases on purpose and count what is lost
	@$(PYTHON) -m pytest tests/faults tests/reports/test_hostile_run.py tests/reports/runs/test_interleavings.py -m "" $(ARGS)

siege: install ## Bring the load that strangers bring, on PostgreSQL, and print what it costs ("QUICK=1": a tenth)
	@SIEGE=$(if $(QUICK),quick,whole) $(PYTHON) -m pytest tests/siege $(ARGS)

brokers: install ## Run behind RabbitMQ what runs behind Valkey: the contract suite and the faults
	@$(PYTHON) -m pytest tests/hybrid_tasks/contract tests/faults -m every_broker $(ARGS)

explore: install ## Try histories of a simulated fleet ("make explore SEED=… MINUTES=10 DATABASE=postgres")
	@$(PYTHON) -m tests.world $(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES)) \
		$(if $(HISTORIES),--histories $(HISTORIES)) $(if $(DATABASE),--database $(DATABASE)) $(ARGS)

coverage: install ## Run the tests and report what of hybrid_tasks they never reach
	@$(PYTHON) -m coverage erase
	@$(PYTHON) -m coverage run -m pytest $(ARGS)
	@$(PYTHON) -m coverage combine -q
	@$(PYTHON) -m coverage report

matrix: install ## Test hybrid_tasks on each Python and Django ("QUICK=1", "ONLY=3.13/6.1", "ARGS='-k admin'")
	@$(PYTHON) -m dev.matrix $(if $(QUICK),--quick) --only "$(ONLY)" -- $(ARGS)

build: install ## Make a wheel and an sdist of hybrid_tasks, in dist/
	@.venv/bin/uv build --quiet --python $(PYTHON) --out-dir dist --clear
	@ls dist

lint: install ## Check style, types and import directions
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy
	@$(PYTHON) -m mypy --strict --follow-imports=silent hybrid_tasks
	@.venv/bin/lint-imports

bench: install ## Measure what a task costs, side by side with the alternatives
	@UV_PROJECT_ENVIRONMENT=.venv .venv/bin/uv sync --locked --quiet --group bench --python $(PYTHON)
	@$(PYTHON) -m bench
	@$(PYTHON) -m bench.outbox

mutants: install ## Plant small faults in runner, states, execution and outbox; the tests must notice
	@UV_PROJECT_ENVIRONMENT=.venv .venv/bin/uv sync --locked --quiet --group mutation --python $(PYTHON)
	@$(PYTHON) -m mutmut run $(ARGS); $(PYTHON) -m mutmut results

format: install ## Let ruff rewrite what it can
	@$(PYTHON) -m ruff check --fix .
	@$(PYTHON) -m ruff format .

clean: ## Remove .venv and caches; var/ (your data) stays
	rm -rf .venv .matrix dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache .coverage* mutants
