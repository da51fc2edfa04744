#!/usr/bin/env bash
# `make bench`: measures, on throw-away PostgreSQL and Kafka servers of its own (or those that the environment names).
# They are stopped and their data is removed at the end, whatever the end was; servers that ran before
# (scripts/services.sh start bench) are used and left alone. The exit code is 1 when a floor is missed.
#
#   scripts/bench.sh [--quick] [ROW…]   ROW is a part of a row's name; a whole run writes docs/BENCHMARKS.md
set -euo pipefail

# shellcheck source=scripts/paths.sh
. "$(dirname "${BASH_SOURCE[0]}")/paths.sh"
# shellcheck source=scripts/rust.sh
. "$ROOT/scripts/rust.sh"
# shellcheck source=scripts/process.sh
. "$ROOT/scripts/process.sh"
# shellcheck source=scripts/environment.sh
. "$ROOT/scripts/environment.sh"

STARTED=

# Quiet, so that the last lines are the table.
stop_services() {
    local log=$LOCAL/bench-stop.log
    trap '' INT TERM HUP PIPE
    [ -n "$STARTED" ] || return 0
    # shellcheck disable=SC2086 # one word per server
    "$ROOT/scripts/services.sh" clean bench $STARTED >"$log" 2>&1 || cat "$log" >&2
    rm -f "$log"
}

cd "$ROOT"
"$ROOT/scripts/install.sh"
use_rust

# Built before the servers start: a release build takes minutes, and nothing else is to be busy while we measure.
say "building"
interruptible cargo bench ${CI:+--locked} -p tests --bench souk --no-run

STARTED=$("$ROOT/scripts/services.sh" status bench | sed -n 's/^\([a-z]*\) stopped.*/\1/p')
trap stop_services EXIT
trap 'exit 143' INT TERM HUP
"$ROOT/scripts/services.sh" start bench
# Whose version it is we know only where it is ours.
case $("$ROOT/scripts/services.sh" status bench kafka) in
    *external*) ;;
    *) export SOUK_BENCH_KAFKA_VERSION=$KAFKA_VERSION ;;
esac
export_environment "$LOCAL/bench/env"

say "measuring"
interruptible cargo bench ${CI:+--locked} -p tests --bench souk -- "$@"
