# Every act has one command. `make run` and `make test` need nothing but Python and this folder.
.DEFAULT_GOAL := help
.PHONY: help run dev test test-cluster test-clients test-kind test-keycloak chaos check format bench bench-pages bench-scale growth generate pictures screenshots lock release verify pin clean kind-up kind-down

help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST) | expand -t 16

run: ## the gateway on SQLite with the simulated upstream
	@exec "$$(.dev/venv runtime)/bin/python" -m gateway serve --show-keys --config examples/quickstart.yaml $(ARGS)

dev: ## the same, started again whenever a file of the gateway changes
	@exec "$$(.dev/venv dev)/bin/python" .dev/reload.py gateway examples -- \
	  -m gateway serve --show-keys --config examples/quickstart.yaml $(ARGS)

test: ## everything; with ARGS="tests/flow -k drain" some of it: the arguments are pytest's
	@.dev/test $(ARGS)

test-cluster: ## the stories in a real cluster alone
	@.dev/test tests/cluster $(ARGS)

test-clients: ## the released agent clients, in a network of their own; UPSTREAMS=all: before each kind
	@FAREGATE_TEST_UPSTREAMS=$(UPSTREAMS) .dev/test tests/clients $(ARGS)

test-kind: ## the install pages' way on a real kind, then the cluster's stories; ARGS=way: no stories
	@PYTHONPATH=.:operator "$$(.dev/venv dev)/bin/python" -m tests.cluster.kind $(ARGS)

test-keycloak: ## sign-in to the console by a real Keycloak, from Maven Central
	@FAREGATE_TEST_KEYCLOAK="$$(.dev/setup-keycloak)" .dev/test tests/console/test_identity.py $(ARGS)

chaos: ## faults by a seed under load; each client's record is laid beside the ledger
	@PYTHONPATH=.:operator "$$(.dev/venv dev)/bin/python" -m tests.chaos $(ARGS)

check: ## formatting, lint, types, import directions, what is made of other files, tidiness, docs
	@.dev/check

format: ## put the code into its one form
	@"$$(.dev/venv dev)/bin/ruff" check --quiet --fix-only . ; "$$(.dev/venv dev)/bin/ruff" format .

bench: ## CPU per request and per chunk, next to a bare Go proxy
	@"$$(PYTHON=$$(.dev/system-python) .dev/venv dev)/bin/python" -m tests.bench $(ARGS)

bench-pages: ## CPU of each page of the console over a million entries
	@PYTHONPATH=.:operator "$$(.dev/venv dev)/bin/python" -m tests.bench.pages

bench-scale: ## ten thousand keys in one operator, and four gateways on one database and on four
	@PYTHONPATH=.:operator "$$(.dev/venv dev)/bin/python" -m tests.bench.scale $(ARGS)

growth: ## databases of millions of requests: sizes and costs, and the line to a hundred million
	@PYTHONPATH=.:operator "$$(.dev/venv dev)/bin/python" -m tests.bench.growth $(ARGS)

generate: ## the charts' copies of crds/, their README, the dashboards, the console's catalogues
	@"$$(.dev/venv dev)/bin/python" .dev/charts.py
	@"$$(.dev/venv dev)/bin/python" .dev/messages.py

pictures: ## the pictures of the docs, from the running product
	@PYTHONPATH=.:operator "$$(.dev/venv dev)/bin/python" -m tests.pictures

screenshots: ## every page of the console as a PNG: FOLDER=… (and those of the docs)
	@PYTHONPATH=.:operator "$$(.dev/venv dev)/bin/python" -m tests.screenshots "$(or $(FOLDER),$(error FOLDER is missing))"

lock: ## pin the dependencies again; ARGS are of `uv pip compile`
	@"$$(.dev/venv dev)/bin/python" -m pip install --quiet uv
	@for set in runtime image dev; do \
	  case $$set in runtime) extras=;; \
	    image) extras="--extra operator --extra otel -c .locks/runtime.txt";; \
	    dev) extras="--extra dev --extra operator --extra otel -c .locks/image.txt";; esac; \
	  "$$(.dev/venv dev)/bin/uv" pip compile pyproject.toml --quiet --universal \
	    --python-version 3.11 --generate-hashes --no-emit-index-url --no-header $$extras \
	    $(ARGS) -o .locks/$$set.txt; done
	@for pair in hatchling:build spdx-tools:spdx; do \
	  echo "$${pair%:*}" | "$$(.dev/venv dev)/bin/uv" pip compile - --quiet --universal \
	    --python-version 3.11 --generate-hashes --no-emit-index-url --no-header $(ARGS) \
	    -o ".locks/$${pair#*:}.txt"; done

release: ## wheel, image, charts, SBOM, provenance and checksums: VERSION=X.Y.Z IMAGE=REGISTRY/NAME
	@PYTHONPATH=.dev "$$(.dev/venv dev)/bin/python" -m release build \
	  $(VERSION) $(if $(IMAGE),--image "$(IMAGE)") $(ARGS)

verify: ## a release: RELEASE=FOLDER REPOSITORY=https://… whose workflow signed it
	@PYTHONPATH=.dev "$$(.dev/venv dev)/bin/python" -m release verify \
	  "$(RELEASE)" $(if $(REPOSITORY),--repository "$(REPOSITORY)") $(ARGS)

pin: ## ask the registry for the base image's digest and write it into the Dockerfile
	@PYTHONPATH=.dev "$$(.dev/venv dev)/bin/python" -m release pin $(ARGS)

kind-up: ## a Kubernetes in a container, for `tilt up`
	@.dev/kind up

kind-down: ## takes it away
	@.dev/kind down

clean: ## forget the local data of `make run`
	@rm -rf .faregate
