.DEFAULT_GOAL := help
SHELL   := /bin/bash
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

# All is built in one way, so that what lint compiles serves the binary too, and the tests that build it. Only the race detector needs C.
export CGO_ENABLED := 0
BUILD_FLAGS        := -trimpath

# How long `make fuzz` spends on each target.
FUZZTIME ?= 60s

# What the tests run beside Go: a real nginx with Nchan, a real Redis, a real browser, a real terminal, machines that Ansible sets up,
# Prometheus's promtool, applications in Django and Node that put jobs; the race detector needs a C compiler.
# Where they come from elsewhere than from apt, `make test PACKAGES=` skips the check.
PACKAGES ?= nginx libnginx-mod-nchan libnginx-mod-http-set-misc redis-server jq chromium tmux openssl gcc libc6-dev iproute2 libfaketime \
           ansible ansible-lint debootstrap systemd-container openssh-client prometheus \
           python3-django python3-redis nodejs node-redis
INSTALL   = apt-get install -y --no-install-recommends

# What `make bench` measures, and which scenarios `make faults` plays: parts of tests, such as TestPerformance/latency or
# TestRedis/redis_killed.
RUN ?=

# How many readers `make crowd` connects.
READERS ?= 200000

# What `make faults` draws its faults from. 0 is another one each time, which a failure prints.
SEED ?= 0

# The release of Debian that the machines of `make machines` run.
SUITE ?= bookworm

# A file with stages of one's own, which is built in the place of stages/own.go: docs/stages.md. Its tests are in the file beside it
# whose name ends in _test.go.
STAGES     ?=
STAGE_TESTS = $(wildcard $(STAGES:.go=_test.go))
overlay     = $(if $(STAGES),-overlay <(echo '{"Replace":{"$(CURDIR)/stages/own.go":"$(abspath $(STAGES))"$(if $(STAGE_TESTS),$(comma)"$(CURDIR)/stages/own_test.go":"$(abspath $(STAGE_TESTS))")}}'))
comma      := ,

# Where the binary goes.
BIN ?= bin/pushglue

.PHONY: help build stages test deps lint vuln demo bench crowd faults machines release e2e fuzz golden clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## the static binary: bin/pushglue; STAGES=FILE: with stages of your own
	go build $(BUILD_FLAGS) $(overlay) -ldflags '-X main.version=$(VERSION)' -o $(BIN) ./cmd/pushglue

stages: ## test the stages of your own: STAGES=FILE
	go test $(BUILD_FLAGS) $(overlay) -run "^($$(sed -n 's/^func \(Test[A-Za-z0-9_]*\).*/\1/p' $(STAGE_TESTS) | paste -sd'|'))$$" ./stages

# Tests wait more than they compute, so packages are three at a time, also on two cores.
test: deps ## every test, with the race detector; screenshots go to artifacts/
	mkdir -p artifacts
	CGO_ENABLED=1 go test -race -p 3 -timeout 60m -artifacts -outputdir artifacts ./...

# The services that the packages bring are not started: policy-rc.d forbids it while they are installed.
deps: ## install what the tests need (Debian, as root), or say what is missing
	@missing=; for p in $(PACKAGES); do \
	  [[ $$(dpkg-query -Wf '$${db:Status-Status}' $$p 2>/dev/null) == installed* ]] || missing+=" $$p"; \
	done; \
	[[ $$missing ]] || exit 0; \
	if [[ $$EUID != 0 ]] || ! command -v apt-get >/dev/null; then \
	  echo "The tests need these Debian packages:$$missing"; \
	  echo "Install them with: sudo $(INSTALL)$$missing"; exit 1; \
	fi; \
	policy=/usr/sbin/policy-rc.d; \
	[[ -e $$policy ]] || { trap "rm $$policy" EXIT; printf '#!/bin/sh\nexit 101\n' >$$policy; chmod +x $$policy; }; \
	echo "Installing:$$missing"; \
	apt-get update -q && DEBIAN_FRONTEND=noninteractive $(INSTALL)$$missing

lint: ## golangci-lint, the version in tools/go.mod (its first build takes a minute)
	GOFLAGS=$(BUILD_FLAGS) go tool -modfile=tools/go.mod golangci-lint run ./...

vuln: ## govulncheck, the version in tools/go.mod: known vulnerabilities in what the code calls; asks a database on the internet
	go tool -modfile=tools/go.mod govulncheck ./...

# Not with go run, to which Ctrl-C is an error however well the demo ends.
demo: build ## the whole path on this machine, in one process
	@bin/pushglue demo

# Its tables are those of docs/performance.md; with PUSH_STREAM_MODULE they are about push-stream, else about Nchan.
bench: ## measure everything, in some 15 minutes; the tables go to artifacts/ too
	@$(MAKE) --no-print-directory deps PACKAGES="$(PACKAGES) wrk"
	mkdir -p artifacts
	go test -C cmd/pushglue -tags performance -run '$(or $(RUN),TestPerformance)' -count 1 -timeout 60m -artifacts -outputdir $(CURDIR)/artifacts

# A million takes READERS=1000000, 32 GiB, and no conntrack on loopback.
crowd: deps ## connect 200,000 readers to one push host on this machine, as root, and send to all of them: docs/capacity.md
	go test -C cmd/pushglue -tags performance -run TestCrowd -count 1 -timeout 60m -args -readers $(READERS)

# As root it also plays what needs network namespaces and a small disk; with PUSH_STREAM_MODULE, all of it on push-stream too.
faults: deps ## kill, cut off and fill up every part under load, for some 20 minutes (a short form is part of test)
	CGO_ENABLED=1 go test -race -timeout 60m -count 1 -run '$(RUN)' ./cmd/pushglue/faults -args -long -seed $(SEED)

# As root, with PUSH_STREAM_MODULE on push-stream too.
machines: deps ## apply the Ansible roles to fresh machines and restart them under 5,000 readers, in an hour or more (a short form is part of test)
	go test -v -timeout 120m -count 1 -run '$(or $(RUN),TestRoles|TestGlue)' ./ansible -args -long -suite $(SUITE)

RELEASE = go tool -modfile=tools/release/go.mod goreleaser
release: deps ## all of a release, without publishing it: artifacts/release/; its package is installed on a fresh machine, as root
	$(RELEASE) check
	$(RELEASE) release --snapshot --clean
	go test -v -tags release -run TestPackage -count 1 -timeout 20m ./ansible

# What docker-compose.yml is called with, and which services of its profile monitoring are tested, with their images from elsewhere.
COMPOSE    ?= docker-compose
MONITORING ?= prometheus,grafana

e2e: ## bring docker-compose.yml up, use it as people do, take it down again: needs Docker and Chromium, some 5 minutes the first time
	mkdir -p artifacts
	go test -v -tags e2e -timeout 30m -count 1 -run '$(or $(RUN),TestE2E)' -artifacts -outputdir artifacts ./compose -args -compose '$(COMPOSE)' -monitoring '$(MONITORING)'

fuzz: ## each fuzz target for FUZZTIME (60s)
	@grep -rHo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sed 's|/[^/]*:func | |' | \
	while read -r dir target; do \
	  echo "$$dir $$target"; \
	  go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$dir </dev/null || exit 1; \
	done

golden: ## rewrite the golden files: read the diff before you commit it
	grep -rl --include='*_test.go' 'flag.Bool("update"' . | xargs -r dirname | sort -u | xargs -r -I{} go test {} -update

clean: ## remove what the other targets made
	rm -rf bin artifacts coverage.*
