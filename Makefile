# What can be done here: `make help`.
SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# The binary is static and has Go's own Olm; only the race detector wants C.
export CGO_ENABLED := 0
export GOFLAGS := -tags=goolm

FUZZTIME ?= 30s

.PHONY: help
help: ## show what can be done
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build the static binary into build/, as it is released
	go build -trimpath -ldflags="-s -w -buildid=" -o build/matrix-connector ./cmd/matrix-connector

.PHONY: release
release: ## build what is published of the commit into dist/; needs Go and git alone
	@go run ./scripts/release -into dist

.PHONY: demo
demo: ## let a few people chat and export what they said to demo-out/; needs Go alone
	@cd e2e && go run ./demo

.PHONY: test
test: setup vet unit race packaging e2e ## everything, on real parts; installs what is missing

.PHONY: setup
setup: ## install what the tests need
	@scripts/setup

.PHONY: vet
vet: ## go vet in every module
	go vet ./...
	cd e2e && go vet ./...

.PHONY: unit
unit: ## unit tests, goldens and fuzz seeds; no network, no services
	go test ./...

.PHONY: race
race: ## the same under the race detector
	CGO_ENABLED=1 go test -race ./...

# Four stories at once on two cores: they wait more than they compute.
.PHONY: e2e
e2e: setup ## stories on Dendrite, Synapse, RabbitMQ and OpenCTI's own importer
	cd e2e && go test -count=1 -parallel=4 -timeout=30m ./...

# It takes hours. SOAK narrows it to one test, KILLS is how many random kills.
SOAK ?= .
KILLS ?= 1000
.PHONY: soak
soak: setup ## the long forms: a death at every write, random kills, bad networks
	cd e2e && go test ./soak -count=1 -v -run='$(SOAK)' -parallel=3 -timeout=8h -soak -kills=$(KILLS)

# The second build shares nothing with the first but the commit. Its caches stay, so
# that it takes minutes once and seconds later.
.PHONY: reproduce
reproduce: ## make the release twice, apart, and compare
	@go run ./scripts/release -into build/reproduce/first -twice build/reproduce/second
	@go list ./... >/dev/null # its caches lie in this tree, and must be no packages of it

.PHONY: packaging
packaging: setup reproduce ## check image, systemd unit, Kubernetes manifest and release
	@scripts/packaging build/reproduce/first

.PHONY: image
image: ## build the container image, with its version; needs Docker
	docker build --build-arg VERSION="$$(git describe --tags --always)" --build-arg COMMIT="$$(git rev-parse HEAD)" \
	  --build-arg COMMITTED="$$(git show -s --format=%cI)" --tag matrix-connector:latest .

.PHONY: fuzz
fuzz: ## fuzz every target for FUZZTIME (30s)
	@for p in $$(grep -rl --include='*_test.go' '^func Fuzz' internal | xargs -n1 dirname | sort -u); do \
	  for f in $$(grep -ho '^func Fuzz[A-Za-z0-9_]*' $$p/*_test.go | cut -d' ' -f2); do \
	    echo "$$p $$f"; go test ./$$p -run='^$$' -fuzz="^$$f$$" -fuzztime=$(FUZZTIME); \
	  done; \
	done

.PHONY: golden
golden: ## rewrite expected outputs and the tables in the docs; the diff is the review
	go test ./internal ./internal/cli ./internal/config ./internal/mapping ./internal/telemetry -update

.PHONY: generate
generate: ## rewrite the small schemas from the full ones in OPENCTI_SCHEMAS
	@test -d "$(OPENCTI_SCHEMAS)" || { echo "set OPENCTI_SCHEMAS to the folder of the full schemas" >&2; exit 1; }
	go test ./internal/opencti/openctitest -run=Schema -update

.PHONY: lint
lint: ## golangci-lint in every module
	GOFLAGS= go tool -modfile=tools/go.mod golangci-lint run ./...
	cd e2e && GOFLAGS= go tool -modfile=../tools/go.mod golangci-lint run ./...

# BENCH=Texts is one row alone, PROFILE=1 leaves profiles in build/profile, and
# BENCH_UPDATE=1 writes what was measured into docs/performance.md.
BENCH ?= .
.PHONY: bench
bench: ## measure the built binary, each figure of docs/performance.md
	cd e2e && go test ./bench -run='^$$' -bench='$(BENCH)' -benchtime=1x -timeout=30m $(BENCH_ARGS)

.PHONY: bench-parts
bench-parts: ## benchmarks of the packages, ten runs each, for benchstat
	go test -run='^$$' -bench=. -count=10 ./...

.PHONY: clean
clean: ## remove what was built, installed and exported
	rm -rf build dist demo-out internal/mapping/testdata/renderer/node_modules e2e/element/node_modules
