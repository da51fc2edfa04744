#!/usr/bin/env bash
# `make chaos`: the chaos scenarios (tests/chaos) in their long form, on throw-away PostgreSQL and Kafka servers of its
# own, and on more that single scenarios break. All of them are stopped and their data is removed at the end; servers
# that ran before (scripts/services.sh start test) are used and left alone.
#
#   scripts/chaos.sh [SCENARIO…]   SCENARIO is a part of a test's name: kill, pause, postgres, standby, kafka …
#
# SOUK_CHAOS_SEED repeats the choices of a run; each scenario prints its own. SOUK_CHAOS_ROUNDS is how often processes
# are killed: 100. SOUK_CHAOS_LONG=0 makes faults as short as in `make test`.
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

# Quiet, so that the last lines are those of the scenarios.
stop_services() {
    local log=$LOCAL/chaos-stop.log
    trap '' INT TERM HUP PIPE
    [ -n "$STARTED" ] || return 0
    # shellcheck disable=SC2086 # one word per server
    "$ROOT/scripts/services.sh" clean test $STARTED >"$log" 2>&1 || cat "$log" >&2
    rm -f "$log"
}

cd "$ROOT"
"$ROOT/scripts/install.sh" tests
use_rust

STARTED=$("$ROOT/scripts/services.sh" status test | sed -n 's/^\([a-z]*\) stopped.*/\1/p')
trap stop_services EXIT
trap 'exit 143' INT TERM HUP
"$ROOT/scripts/services.sh" start test
export_environment "$LOCAL/test/env"
export SOUK_CHAOS_ROUNDS="${SOUK_CHAOS_ROUNDS:-100}" SOUK_CHAOS_LONG="${SOUK_CHAOS_LONG:-1}"
[ -n "${SOUK_CHAOS_SEED:-}" ] || unset SOUK_CHAOS_SEED

say "chaos"
# Two at once are plenty: each scenario is a system of several servers.
interruptible cargo test ${CI:+--locked} -p tests --test chaos -- --nocapture --test-threads 2 "$@"
