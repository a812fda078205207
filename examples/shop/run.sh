#!/usr/bin/env bash
# The shop: three services in Python that send traces to Tracewright.
#
#   run.sh [--keep] [OPTION...]   start the services, send requests, stop; --keep: go on until Ctrl-C
#   run.sh install                only install the packages
#   run.sh serve                  only start the services, until Ctrl-C
#   run.sh drive [OPTION...]      only send requests to services that run
#
# OPTION... is for drive.py, see run.sh drive --help. README.md names the environment variables.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv=${SHOP_VENV:-$here/.venv}
pids=""

export SHOP_FRONTEND_PORT=${SHOP_FRONTEND_PORT:-5001}
export SHOP_ORDERS_PORT=${SHOP_ORDERS_PORT:-5002}
export SHOP_INVENTORY_PORT=${SHOP_INVENTORY_PORT:-5003}

export OTEL_EXPORTER_OTLP_ENDPOINT=${OTEL_EXPORTER_OTLP_ENDPOINT:-http://localhost:4318}
export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf
export OTEL_TRACES_EXPORTER=otlp OTEL_METRICS_EXPORTER=none OTEL_LOGS_EXPORTER=none # Tracewright takes traces only
export OTEL_BSP_SCHEDULE_DELAY=${OTEL_BSP_SCHEDULE_DELAY:-500}                      # send spans every 500 ms
export OTEL_SEMCONV_STABILITY_OPT_IN=http,database                                  # the stable attribute names
export OTEL_PYTHON_FLASK_EXCLUDED_URLS=healthz
resource=service.version=1.0.0,deployment.environment.name=demo
export OTEL_RESOURCE_ATTRIBUTES=$resource${OTEL_RESOURCE_ATTRIBUTES:+,$OTEL_RESOURCE_ATTRIBUTES}
export NO_PROXY="127.0.0.1,localhost${NO_PROXY:+,$NO_PROXY}"
export no_proxy=$NO_PROXY

fail() {
  echo "shop: $*" >&2
  exit 1
}

listens() { # host port
  (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null
}

install() {
  if cmp -s "$here/requirements.txt" "$venv/installed.txt"; then return; fi
  local python=${SHOP_PYTHON:-python3}
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 9))' ||
    fail "$python is not Python 3.9 or newer; set SHOP_PYTHON"
  echo "Installing the packages into $venv"
  "$python" -m venv "$venv" || fail "could not make $venv (on Debian: apt install python3-venv)"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt" || fail "pip failed"
  cp "$here/requirements.txt" "$venv/installed.txt"
}

start() { # service port
  if listens 127.0.0.1 "$2"; then
    fail "port $2 is in use, $1 needs it; set SHOP_FRONTEND_PORT, SHOP_ORDERS_PORT, SHOP_INVENTORY_PORT to free ones"
  fi
  # This is all of the instrumentation: the services' own code makes only the spans of business.
  OTEL_SERVICE_NAME=$1 "$venv/bin/opentelemetry-instrument" "$venv/bin/python" "$here/$1.py" >"$logs/$1.log" 2>&1 &
  pids="$pids $!"
  wait_until_healthy "$1" "http://127.0.0.1:$2/healthz" $!
}

wait_until_healthy() { # service url pid
  for _ in $(seq 120); do
    "$venv/bin/python" -c 'import sys, urllib.request as u; u.urlopen(sys.argv[1], timeout=2)' "$2" 2>/dev/null && return
    kill -0 "$3" 2>/dev/null || break
    sleep 0.25
  done
  tail -n 20 "$logs/$1.log" >&2
  fail "$1 did not start; the end of $logs/$1.log is above"
}

serve() {
  local address=${OTEL_EXPORTER_OTLP_ENDPOINT#*://}
  address=${address%%/*}
  if [[ $address == *:* ]] && ! listens "${address%:*}" "${address##*:}"; then
    fail "nothing listens on $OTEL_EXPORTER_OTLP_ENDPOINT; start Tracewright first, or set OTEL_EXPORTER_OTLP_ENDPOINT"
  fi
  logs=${SHOP_LOGS:-$(mktemp -d "${TMPDIR:-/tmp}/shop.XXXXXX")}
  mkdir -p "$logs"
  trap stop EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  echo "Starting the services; logs in $logs"
  start inventory "$SHOP_INVENTORY_PORT"
  start orders "$SHOP_ORDERS_PORT"
  start frontend "$SHOP_FRONTEND_PORT"
  echo "The shop is open at http://127.0.0.1:$SHOP_FRONTEND_PORT"
}

stop() {
  if [[ -z $pids ]]; then return; fi
  echo "Stopping the services; they send their last spans now"
  # shellcheck disable=SC2086 # one word for each process
  kill $pids 2>/dev/null || true
  wait || true
}

case "${1:-}" in
install) install ;;
serve)
  install
  serve
  wait
  ;;
drive)
  shift
  install
  exec "$venv/bin/python" "$here/drive.py" "$@"
  ;;
-h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" ;;
*)
  keep=""
  if [[ ${1:-} == --keep ]]; then keep=yes && shift; fi
  install
  serve
  # In the background, so that a signal ends this script at once.
  "$venv/bin/python" "$here/drive.py" "$@" &
  services=$pids pids="$pids $!"
  wait $!
  pids=$services
  if [[ $keep ]]; then echo "Ctrl-C stops the services." && wait; fi
  ;;
esac
