#!/usr/bin/env bash
# Two services of one language that send traces to Tracewright: front calls back.
#
#   run.sh go|nodejs|java [REQUESTS]   install what is needed, start both, send requests (10), print each one's trace id, stop
#   run.sh install LANGUAGE            only install
#
# SDK_CACHE names the folder for packages (default: .cache beside this script), OTEL_EXPORTER_OTLP_ENDPOINT the OTLP/HTTP receiver
# (http://localhost:4318), FRONT_PORT and BACK_PORT where the services listen (5011, 5012).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${SDK_CACHE:-$here/.cache}
front=${FRONT_PORT:-5011} back=${BACK_PORT:-5012}
pids=""

export OTEL_EXPORTER_OTLP_ENDPOINT=${OTEL_EXPORTER_OTLP_ENDPOINT:-http://localhost:4318}
export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf
export OTEL_TRACES_EXPORTER=otlp OTEL_METRICS_EXPORTER=none OTEL_LOGS_EXPORTER=none # Tracewright takes traces only
export OTEL_BSP_SCHEDULE_DELAY=500                                                  # send spans every 500 ms
export OTEL_RESOURCE_ATTRIBUTES=service.version=1.0.0,deployment.environment.name=demo
export NO_PROXY="127.0.0.1,localhost${NO_PROXY:+,$NO_PROXY}" no_proxy="127.0.0.1,localhost${no_proxy:+,$no_proxy}"

fail() {
  echo "sdk: $*" >&2
  exit 1
}

listens() { # port
  (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# What was installed is marked by a copy of what names it.
install() { # language
  mkdir -p "$cache/$1"
  case $1 in
  go) (cd "$here/go" && go build -o "$cache/go/service" .) ;;
  nodejs)
    cp "$here/nodejs/service.js" "$cache/nodejs/"
    if cmp -s "$here/nodejs/package.json" "$cache/nodejs/installed.json"; then return; fi
    cp "$here/nodejs/package.json" "$here/nodejs/package-lock.json" "$cache/nodejs/"
    (cd "$cache/nodejs" && npm ci --silent --no-audit --no-fund)
    cp "$here/nodejs/package.json" "$cache/nodejs/installed.json"
    ;;
  java)
    if ! cmp -s "$here/java/pom.xml" "$cache/java/installed.xml"; then
      mvn -q -B -f "$here/java/pom.xml" dependency:copy-dependencies -DoutputDirectory="$cache/java/lib" -Dmdep.stripVersion=true >&2
      mv "$cache/java/lib/opentelemetry-javaagent.jar" "$cache/java/agent.jar"
      cp "$here/java/pom.xml" "$cache/java/installed.xml"
    fi
    javac -cp "$cache/java/lib/*" -d "$cache/java/classes" "$here/java/Service.java"
    ;;
  *) fail "no language $1; there are go, nodejs and java" ;;
  esac
}

start() { # language service port
  local command
  if listens "$3"; then fail "port $3 is in use; set FRONT_PORT and BACK_PORT to free ones"; fi
  case $1 in
  go) command=("$cache/go/service") ;;
  nodejs) command=(node --require @opentelemetry/auto-instrumentations-node/register service.js) ;;
  java) command=(java "-javaagent:$cache/java/agent.jar" -cp "$cache/java/classes:$cache/java/lib/*" Service) ;;
  esac
  (cd "$cache/$1" && OTEL_SERVICE_NAME=$1-$2 PORT=$3 BACK_URL=http://127.0.0.1:$back exec "${command[@]}") >"$cache/$1/$2.log" 2>&1 &
  pids="$pids $!"
  for _ in $(seq 240); do
    if listens "$3"; then return; fi
    kill -0 $! 2>/dev/null || break
    sleep 0.25
  done
  tail -n 20 "$cache/$1/$2.log" >&2
  fail "$1's $2 did not start; the end of $cache/$1/$2.log is above"
}

stop() {
  # shellcheck disable=SC2086 # one word for each process
  if [[ $pids ]]; then kill $pids 2>/dev/null || true; fi
  wait || true
}

case ${1:-} in
install) install "${2:-}" ;;
go | nodejs | java)
  install "$1"
  trap stop EXIT
  start "$1" back "$back"
  start "$1" front "$front"
  for _ in $(seq "${2:-10}"); do
    curl -sS --fail-with-body "http://127.0.0.1:$front/checkout"
  done
  sleep 1 # the SDKs send every half a second; not all send what is left when they are stopped
  ;;
*) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" ;;
esac
