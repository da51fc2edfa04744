#!/usr/bin/env bash
# `make test`: every test of the workspace, on throw-away PostgreSQL and Kafka servers of its own (or those that the
# environment names). They are stopped and their data is removed at the end, whatever the end was; servers that ran
# before (scripts/services.sh start test) are used and left alone. The exit code is that of the tests.
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

# Quiet, so that the last lines are those of the tests.
stop_services() {
    local log=$LOCAL/test-stop.log
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

say "testing"
interruptible cargo test --workspace ${CI:+--locked}
