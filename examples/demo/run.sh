#!/usr/bin/env bash
# Sends the traffic of a simulated shop, in which inventory fails, to a Tracewright that runs, and prints three URLs worth opening.
#
#   run.sh [SECONDS]     how long to send, 20 by default
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
api=http://localhost:${TRACEWRIGHT_QUERY_PORT:-16686}
otlp=localhost:${TRACEWRIGHT_OTLP_GRPC_PORT:-4317}

fail() {
  echo "demo: $*" >&2
  exit 1
}

curl -sf "$api/openapi.yaml" >/dev/null || fail "no Tracewright answers at $api: run make run in another terminal first"
go run ./cmd/tracegen --endpoint "$otlp" --rate 50 --duration "${1:-20}s" --fault inventory:errors=20%

# The newest trace in which inventory failed, once the last traces are complete.
query='{"service": "inventory", "errors": true, "limit": 1}'
for _ in $(seq 30); do
  answer=$(curl -sf -H 'Content-Type: application/json' "$api/traces/search" -d "$query") || fail "the search failed"
  trace=$(grep -o '"trace_id":"[0-9a-f]*"' <<<"$answer" | head -n 1 | cut -d '"' -f 4 || true)
  [ -z "$trace" ] || break
  sleep 1
done
[ -n "$trace" ] || fail "no trace in which inventory failed came out: see the log of Tracewright"

cat <<END

One in five calls of inventory failed. Three answers worth a look:

  $api/traces/$trace
      one request that suffered: its critical path, and the span at which the failure began (error_origins)
  $api/traces/services?start=-5m
      the map: who calls whom, how often, with how many errors; inventory and its callers stand out
  $api/traces/operations?start=-5m&service=inventory
      what inventory does: calls, errors, latency, and how much of the requests' waiting is its own
END
