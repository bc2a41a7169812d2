# SPDX-License-Identifier: Apache-2.0
SHELL := /bin/bash -eo pipefail
.DEFAULT_GOAL := help
# One way to compile for tests, tools and images, so that they share the build cache; only the race detector needs another one.
# grpcnotrace leaves out golang.org/x/net/trace, whose templates keep the linker from dropping unused methods: 12 MB of the binary.
# Without DWARF, which only debuggers read, a cold build takes a seventh less time; stack traces do not change. For Delve: GOFLAGS= dlv test.
export GOFLAGS := -mod=readonly -buildvcs=false -trimpath -tags=grpcnotrace -gcflags=all=-dwarf=false
export CGO_ENABLED := 0
# The release of Go that go.mod names, also on a machine whose own Go is older or newer: the Go module proxy serves it.
export GOTOOLCHAIN := $(shell awk '$$1 == "toolchain" { print $$2 }' go.mod)
# An API server of a test may take longer to start than the usual 20 s where all cores are busy.
export KUBEBUILDER_CONTROLPLANE_START_TIMEOUT := 2m

GO   ?= go
LAB  := $(GO) run ./test/lab/cmd/lab
TOOL := $(GO) tool -modfile=hack/tools/go.mod
GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

# The packages whose goroutines meet are tested with the race detector, the rest without: it pays there and costs builds elsewhere.
RACE_PACKAGES := ./announcers/... ./internal/... ./controllers/... ./endpointcopier/... ./cmd/...
UNIT_PACKAGES := $$($(GO) list ./... | grep -vE '/test/e2e|/announcers|/internal/|/controllers/|/endpointcopier|/cmd/')
# The packages whose tests need neither an API server nor rights on the network.
FAST_PACKAGES := ./api/... ./internal/allocation ./internal/election ./internal/installation ./internal/policy ./internal/route ./announcers ./hack/vulncheck

# compile NAME PACKAGES: downloads and compiles programs and says so before the first of it, for "go run" is silent meanwhile.
compile = @hack/progress.sh "$(1): downloading and compiling; minutes on a machine without caches, seconds later" $(GO) build -o /dev/null $(2) ./test/lab/cmd/lab

.PHONY: help
help: ## List all targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

##@ Build

.PHONY: build
build: ## Build the binary into bin/
	$(GO) build -ldflags '-s -w' -o bin/metalsuite .

.PHONY: image
image: ## Build the images of the lab without a container engine, into .lab/
	$(LAB) image

.PHONY: image-all
image-all: ## Build the suite's image for linux/amd64 and linux/arm64 as an OCI layout
	$(LAB) image --all-platforms

##@ Generate

.PHONY: generate
generate: ## Regenerate code, CRDs, RBAC, docs and the bundle
	hack/generate.sh
	hack/manifests.sh
	hack/bundle.sh

.PHONY: bundle
bundle: ## Regenerate the OLM bundle from config/
	hack/bundle.sh

.PHONY: verify
verify: generate vulncheck ## Fail when a generated file is stale or a vulnerability is not accepted
	@stale=$$(git status --porcelain -- api config bundle docs); \
	if [ -n "$$stale" ]; then echo "stale or uncommitted generated files; run 'make generate' and commit:"; echo "$$stale"; exit 1; fi
	@echo "generated files are up to date"

.PHONY: vulncheck
vulncheck: ## Scan the program for known vulnerabilities, offline
	hack/vulncheck.sh

.PHONY: lint
lint: ## Run the linters
	$(GO) run $(GOLANGCI_LINT) run ./...

##@ Test

.PHONY: test
test: verify lint test-unit test-bundle test-e2e ## Run the linters and every test: unit, envtest, bundle and end to end on the lab

.PHONY: test-fast
test-fast: ## Run the tests of the pure packages, in seconds
	$(GO) test $(FAST_PACKAGES)

.PHONY: test-one
test-one: envtest ## Run the tests of one package, with an API server for those that need it (PKG=./controllers/peering FOCUS=)
	export KUBEBUILDER_ASSETS=$$($(LAB) build --only envtest 2>/dev/null | tail -n 1); \
	$(GO) test -count=1 $(PKG) $(if $(FOCUS),-args -ginkgo.focus='$(FOCUS)')

.PHONY: envtest
envtest: ## Build etcd and kube-apiserver for the tests against an API server
	$(LAB) build --only envtest >/dev/null

.PHONY: compiler
compiler: ## Install the C compiler that the race detector needs, if it is missing
	@command -v gcc >/dev/null || { apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev; }

.PHONY: test-unit
test-unit: envtest compiler ## Run the unit tests and those against an API server, without "go vet", which is a part of "make lint"
	export KUBEBUILDER_ASSETS=$$($(LAB) build --only envtest 2>/dev/null | tail -n 1); \
	$(GO) test -vet=off -count=1 -shuffle=on -timeout 10m $(UNIT_PACKAGES); \
	CGO_ENABLED=1 $(GO) test -vet=off -count=1 -shuffle=on -race -timeout 10m $(RACE_PACKAGES); \
	$(GO) test -vet=off -count=1 -run TestChildOverItsMemoryLimit ./announcers/bgp/gobgp # which the race detector's own memory would falsify
	$(GO) test -vet=off -count=1 -run TestRandomHistories ./controllers/service # which have one goroutine, and many more steps without the detector

.PHONY: test-bundle
test-bundle: ## Validate the OLM bundle
	cd test/bundle && $(GO) test -vet=off -count=1 ./...

.PHONY: test-e2e
test-e2e: lab-up ## Run the user stories on the lab
	source .lab/env && $(GO) test -vet=off -count=1 -p 1 -timeout 25m -v ./test/e2e/smoke ./test/e2e/stories -ginkgo.fail-on-pending -ginkgo.no-color
	$(GO) test -vet=off -count=1 ./test/e2e/permissions # after the stories: it reads what they asked of the API server

.PHONY: soak
soak: envtest ## Run what takes longer than a test may: long random histories, fuzzing, many overlaps of leaders (SOAK_STEPS FUZZTIME TRIALS)
	export KUBEBUILDER_ASSETS=$$($(LAB) build --only envtest 2>/dev/null | tail -n 1); hack/soak.sh

.PHONY: bench
bench: lab-up ## Print figures; never passes or fails by time (TRIALS=10)
	$(GO) test -run '^$$' -bench . -benchmem ./internal/...
	$(GO) run ./test/bench

##@ Lab

.PHONY: lab-up
lab-up: ## Start a real Kubernetes of several nodes on this machine (NODES=3 API_SERVERS=1 PROXY_MODE=nftables)
	$(LAB) up

.PHONY: lab-down
lab-down: ## Stop the lab and remove all of it
	$(LAB) down

.PHONY: demo
demo: ## Show the main job on real input: lab, install, Service, failover
	$(call compile,demo,./test/demo)
	$(GO) run ./test/demo

.PHONY: demo-bgp
demo-bgp: ## Show the same with a router: three next hops by BGP, HTTP through them
	$(call compile,demo-bgp,./test/demo/bgp)
	$(GO) run ./test/demo/bgp
