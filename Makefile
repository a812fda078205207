# Needs: Go, make, git. `make test` also: gcc (for -race), Python 3 with venv, Node.js with npm, Java with Maven, curl (for examples and for the
# databases that tests start).
# Everything else is downloaded from the package registries by these commands, pinned.

TOOL := go tool -modfile=internal/tools/go.mod
GO_FOLDERS := $(wildcard cmd connector exporter extension internal processor receiver test)
BUILD_FLAGS := -trimpath -ldflags '-s -w'
# Written by `make test`, read by .ci/run: one JSON line for every event of every test.
TEST_REPORT := .cache/test.json

.PHONY: all build build-agent run run-production demo test test-long bench bench-compare bench-analysis bench-arrival bench-assembly bench-kill bench-production bench-query bench-store eval-rca lint golangci fmt generate check-generated generate-api-docs clean help

all: lint test build

help:
	@echo "make run       build and start Tracewright (config/tracewright.yaml); data below ./data"
	@echo "make run-production"
	@echo "               the same on ClickHouse and Neo4j (config/gateway.yaml), which it starts beside it"
	@echo "make demo      send traffic with a fault to it, and print what is worth a look"
	@echo "make test      run every test"
	@echo "make test-long run those again that take long at full size"
	@echo "make bench           hold the whole product to its targets, stage by stage, and ten minutes at full rate; takes half an hour"
	@echo "make bench-compare BASE=rev"
	@echo "                     what this revision costs beside another one, in turns"
	@echo "make bench-arrival"
	@echo "               how soon and how whole traces are released, for six ways in which spans arrive; fails on a miss"
	@echo "make bench-analysis  hold trace_analysis to its targets: CPU and allocations a span; takes a minute"
	@echo "make bench-assembly  hold trace_assembly to its targets: cost, arrival patterns, kill rounds; takes 25 minutes"
	@echo "make bench-store     hold the embedded store to its targets: cost, disk, queries on 30 days; takes an hour and a half"
	@echo "make bench-query     hold the API to its targets: what is asked of 10 million spans while it is written to; takes five minutes"
	@echo "make bench-kill      kill -9 and power loss, many times: nothing acknowledged is lost, every sum is right"
	@echo "make bench-production  hold the production storage to its targets, on real servers"
	@echo "make eval-rca        20 faults that are known, some windows without: who is named first; fails on a miss"
	@echo "make build     build bin/tracewright and bin/tracewrightctl"
	@echo "make build-agent"
	@echo "               build bin/tracewright-agent, the lean binary for config/agent.yaml"
	@echo "make lint      vet, staticcheck, format, rules of the house"
	@echo "make generate  write generated code anew"
	@echo "make generate-api-docs"
	@echo "               write the answers in docs/api.md anew"

# ocb writes the sources of the distribution to _build/; go build is then incremental.
_build/main.go: builder-config.yaml go.mod go.sum
	@rm -rf _build
	CGO_ENABLED=0 $(TOOL) builder --config builder-config.yaml --skip-compilation

build: _build/main.go
	cd _build && CGO_ENABLED=0 go build $(BUILD_FLAGS) -o ../bin/tracewright .
	CGO_ENABLED=0 go build $(BUILD_FLAGS) -o bin/tracewrightctl ./cmd/tracewrightctl

_build-agent/main.go: builder-config.agent.yaml go.mod go.sum
	@rm -rf _build-agent
	CGO_ENABLED=0 $(TOOL) builder --config builder-config.agent.yaml --skip-compilation

build-agent: _build-agent/main.go
	cd _build-agent && CGO_ENABLED=0 go build $(BUILD_FLAGS) -o ../bin/tracewright-agent .

run: build
	@echo
	@echo "  send spans to   OTLP gRPC :$${TRACEWRIGHT_OTLP_GRPC_PORT:-4317}, OTLP HTTP :$${TRACEWRIGHT_OTLP_HTTP_PORT:-4318}, Jaeger, Zipkin (config/tracewright.yaml)"
	@echo "  ask             http://localhost:$${TRACEWRIGHT_QUERY_PORT:-16686}/traces/{id}, POST …/traces/search"
	@echo "  try             ./examples/shop/run.sh (in another terminal), then the curl lines that it prints"
	@echo "  data            $${TRACEWRIGHT_DATA:-./data}    stop with Ctrl-C"
	@echo
	@exec ./bin/tracewright --config config/tracewright.yaml

# Tracewright on ClickHouse and Neo4j, which come from the package registries (npm, Maven). Needs Node.js with npm, Java with Maven.
run-production: build
	@exec go run ./internal/testservers/production --folder $${TRACEWRIGHT_DATA:-./data}/servers -- ./bin/tracewright --config config/gateway.yaml

# Needs a Tracewright that runs.
demo:
	@./examples/demo/run.sh

# -race needs cgo; the product is built without. The end-to-end test starts bin/tracewright and bin/tracewright-agent.
test: build build-agent
	@mkdir -p $(dir $(TEST_REPORT))
	CGO_ENABLED=1 $(TOOL) gotestsum --format pkgname --jsonfile $(TEST_REPORT) -- -race -timeout 30m ./...

# A million traces of one span, in bounded memory; make test sends 10,000. One trace of a million spans; make test sends 50,000.
# Thirty rounds of kill -9, a hundred of power loss.
test-long: bench-kill
	TRACEWRIGHT_HOSTILE_SPANS=1000000 go test -count 1 -v -timeout 30m -run '^TestTraceOfManySpans$$' ./processor/traceassemblyprocessor
	TRACEWRIGHT_HOSTILE_TRACES=1000000 go test -count 1 -v -timeout 30m -run '^TestManyTraces$$' ./test/hostile

# Kills the process under load, 30 rounds in some 8 minutes, and cuts the power in process, 100 rounds in a minute. Nothing that was
# acknowledged is lost, and every sum is the truth, or it fails.
bench-kill: build
	TRACEWRIGHT_POWER_ROUNDS=100 go test -count 1 -v -timeout 30m -run '^TestPowerLoss$$' ./processor/traceassemblyprocessor
	TRACEWRIGHT_KILL_ROUNDS=30 go test -count 1 -v -timeout 60m -run '^TestKill$$' ./test/e2e

# Five minutes of traffic for each pattern, in virtual time: some 30 s in all. Prints figure, target and pass or fail.
bench-arrival:
	@TRACEWRIGHT_ARRIVAL_DURATION=5m go test -count 1 -v -timeout 30m -run '^TestPatterns$$' ./test/arrival

# Prints figure, target, PASS or FAIL, writes them to docs/performance.md, keeps the profiles of one more round in .cache/profiles, with where
# they say that time goes in .cache/where.txt, and fails where a target is missed. BENCH_FLAGS: see go run ./test/bench whole --help.
bench: build
	CGO_ENABLED=0 go build $(BUILD_FLAGS) -o bin/tracegen ./cmd/tracegen
	@mkdir -p .cache
	go run ./test/bench whole --only cost --rounds 1 --profile .cache/profiles >.cache/where.txt || true
	go run ./test/bench whole --record docs/performance.md $(BENCH_FLAGS)

# The cost of this revision beside that of BASE, in turns. BENCH_FLAGS: see go run ./test/bench compare --help.
bench-compare: build
	@test -n "$(BASE)" || { echo "name a revision: make bench-compare BASE=main"; exit 1; }
	@rm -rf .cache/base && git worktree prune && git worktree add --detach .cache/base $(BASE)
	$(MAKE) -C .cache/base build
	CGO_ENABLED=0 go build $(BUILD_FLAGS) -o bin/tracegen ./cmd/tracegen
	go run ./test/bench compare --base .cache/base/bin/tracewright --base-config .cache/base/config/tracewright.yaml $(BENCH_FLAGS)
	@git worktree remove --force .cache/base

# Prints figure, target, PASS or FAIL; fails where one is missed. BENCH_FLAGS: see go run ./test/bench store --help; --quick takes
# some minutes.
bench-store: build
	CGO_ENABLED=0 go build $(BUILD_FLAGS) -o bin/tracegen ./cmd/tracegen
	go run ./test/bench store $(BENCH_FLAGS)

# Prints figure, target, PASS or FAIL; fails where one is missed. BENCH_FLAGS: see go run ./test/bench query --help.
bench-query: build
	CGO_ENABLED=0 go build $(BUILD_FLAGS) -o bin/tracegen ./cmd/tracegen
	go run ./test/bench query $(BENCH_FLAGS)

# Prints figure, target, PASS or FAIL; fails where one is missed. What else measures production storage gets a line here; each runs
# whatever those before it say. CLICKHOUSE_FLAGS: see go run ./test/bench clickhouse --help, --quick takes some minutes instead of an hour;
# BENCH_FLAGS: see go run ./test/bench service-map --help.
bench-production:
	@status=0; \
	go run ./test/bench clickhouse $(CLICKHOUSE_FLAGS) || status=1; \
	go run ./test/bench service-map $(BENCH_FLAGS) || status=1; \
	exit $$status

# The binary of all stages: ours and, for comparison, contrib's processors that hold spans by trace.
_bench/main.go: test/bench/builder-config.yaml go.mod go.sum
	@rm -rf _bench
	CGO_ENABLED=0 $(TOOL) builder --config test/bench/builder-config.yaml --skip-compilation

# Prints figure, target, PASS or FAIL; fails where one is missed. BENCH_FLAGS: see go run ./test/bench assembly --help.
# What else measures assembly gets a line here; each runs whatever those before it say.
bench-assembly: _bench/main.go
	cd _bench && CGO_ENABLED=0 go build $(BUILD_FLAGS) -o ../bin/tracewright-bench .
	CGO_ENABLED=0 go build $(BUILD_FLAGS) -o bin/tracegen ./cmd/tracegen
	@status=0; \
	go run ./test/bench assembly $(BENCH_FLAGS) || status=1; \
	$(MAKE) bench-arrival || status=1; \
	$(MAKE) bench-kill || status=1; \
	exit $$status

# Which faults is decided by the hash of the commit. RCA_FLAGS: see go run ./test/rca --help.
eval-rca:
	@go run ./test/rca $(RCA_FLAGS)

# Prints figure, target, PASS or FAIL; fails where one is missed. BENCH_FLAGS: see go run ./test/bench analysis --help.
bench-analysis:
	@go run ./test/bench analysis $(BENCH_FLAGS)

lint:
	go vet ./...
	$(TOOL) staticcheck ./...
	@unformatted=$$($(TOOL) gofumpt -l $(GO_FOLDERS)); \
	if [ -n "$$unformatted" ]; then echo "not formatted, run make fmt:"; echo "$$unformatted"; exit 1; fi
	go test ./internal/policy/...

# A longer list (.golangci.yml); building golangci-lint takes some minutes the first time.
golangci:
	go tool -modfile=internal/tools/golangci/go.mod golangci-lint run ./...

fmt:
	$(TOOL) gofumpt -w $(GO_FOLDERS)

generate:
	go generate ./...

# Runs the requests of docs/api.md and writes the answers under them; make test compares.
generate-api-docs: build
	go test -count 1 -run '^TestAPIPage$$' ./test/e2e -update

# CI: committed generated code is what the generators write today.
check-generated: generate
	@git diff --exit-code -- '*generated_*' '*/documentation.md' || { echo "generated code is not current: run make generate and commit"; exit 1; }

clean:
	rm -rf _build _build-agent _bench bin .cache
