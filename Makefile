# What can be done here. `make` alone says so.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

BIN := $(CURDIR)/.bin
GO ?= go
FUZZTIME ?= 30s
BENCHTIME ?= 1s
RACE ?= -race
DURATION ?= 60s

# Tools, pinned. They are built into $(BIN) once a version.
STATICCHECK_VERSION := v0.8.2
GOFUMPT_VERSION := v0.12.0
STATICCHECK := $(BIN)/staticcheck-$(STATICCHECK_VERSION)
GOFUMPT := $(BIN)/gofumpt-$(GOFUMPT_VERSION)

.PHONY: help
help: ## Describe the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z][a-z0-9-]*:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build the command into .bin/gatehouse
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o $(BIN)/gatehouse ./cmd/gatehouse

.PHONY: core
core: ## Build the command without its optional parts into .bin/gatehouse-core, which must be smaller than 16 MB, and test what it says
	CGO_ENABLED=0 $(GO) build -tags core -trimpath -ldflags '-s -w' -o $(BIN)/gatehouse-core ./cmd/gatehouse
	@size=$$(stat -c %s $(BIN)/gatehouse-core); echo "$$size bytes"; [ "$$size" -lt 16000000 ]
	$(GO) vet -tags core ./...
	$(GO) test -tags core -run Core ./cmd/gatehouse ./internal/config

.PHONY: demo
demo: ## Run a gateway, a session service and an example application
	$(GO) run ./cmd/gatehouse demo

.PHONY: test
test: unit e2e soak ## Run everything that proves the project

.PHONY: unit
unit: ## Run the tests of the main module, with the race detector and without, and those of the benchmarks
	$(GO) test $(RACE) -shuffle=on ./...
	$(GO) test -shuffle=on ./... # allocations are counted, and damaged files mapped, without the race detector only
	cd bench && $(GO) test $(RACE) -shuffle=on ./...

.PHONY: e2e
e2e: ## Run the tests against real clients and servers, which .ci/run installs. The first time, this builds Traefik, which takes minutes
	cd internal/e2e/traefik && $(GO) tool -n traefik
	cd internal/e2e && $(GO) test $(RACE) -shuffle=on ./...

.PHONY: soak
soak: ## Use one gateway for DURATION while what is around it breaks, and look for crossed answers and leaks
	cd internal/e2e && $(GO) test -count=1 -timeout 0 -v ./soak -length $(DURATION) $(SOAK)

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME
	@for pkg in $$($(GO) list ./...); do \
		list=$$($(GO) test -list '^Fuzz' $$pkg); \
		for target in $$(grep '^Fuzz' <<< "$$list" || true); do \
			echo "$$pkg $$target"; $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$pkg; \
		done; \
	done

.PHONY: bench
bench: ## Measure beside other gateways and proxies, and write docs/reference/performance.md. BENCH='-only decision -rounds 5' does less
	cd bench && $(GO) run . $(BENCH)

.PHONY: bench-check
bench-check: ## Fail if a hit allocates, or costs too much beside a bare handler. Counts instructions if valgrind is installed
	$(GO) test -count=1 -run 'Allocate' ./proxy ./sessioncache ./internal/app ./internal/metrics ./internal/policy
	@mkdir -p $(BIN)
	$(GO) test -o $(BIN)/app.test -run '^$$' -bench '^BenchmarkCostOfAHit$$' -benchtime 1x ./internal/app

.PHONY: microbench
microbench: ## Run the Go benchmarks of the hit path
	$(GO) test -run '^$$' -bench . -skip 'CostOfAHit|Counted' -benchmem -benchtime $(BENCHTIME) ./proxy ./internal/app ./internal/policy ./sessioncache

.PHONY: lint
lint: vet staticcheck fmt-check tidy-check ## Run all static checks

.PHONY: vet
vet:
	$(GO) vet ./...
	cd internal/e2e && $(GO) vet ./...
	cd bench && $(GO) vet ./...

.PHONY: staticcheck
staticcheck: $(STATICCHECK)
	$(STATICCHECK) ./...
	cd internal/e2e && $(STATICCHECK) ./...
	cd bench && $(STATICCHECK) ./...

.PHONY: fmt
fmt: $(GOFUMPT) ## Format the code
	$(GOFUMPT) -l -w .

.PHONY: fmt-check
fmt-check: $(GOFUMPT)
	@out=$$($(GOFUMPT) -l .); if [ -n "$$out" ]; then echo "not formatted, run make fmt:"; echo "$$out"; exit 1; fi

.PHONY: tidy-check
tidy-check:
	$(GO) mod tidy -diff
	cd internal/e2e && $(GO) mod tidy -diff
	cd bench && $(GO) mod tidy -diff
	cd internal/e2e/traefik && $(GO) mod tidy -diff

.PHONY: check
check: lint core bench-check test ## Run all that CI runs

.PHONY: clean
clean: ## Remove what was built
	rm -rf $(BIN)

$(STATICCHECK):
	GOBIN=$(BIN) $(GO) install honnef.co/go/tools/cmd/staticcheck@$(STATICCHECK_VERSION)
	mv $(BIN)/staticcheck $@

$(GOFUMPT):
	GOBIN=$(BIN) $(GO) install mvdan.cc/gofumpt@$(GOFUMPT_VERSION)
	mv $(BIN)/gofumpt $@
