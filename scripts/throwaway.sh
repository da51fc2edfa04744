#!/usr/bin/env bash
# Throw-away servers for a script that measures or tests: started by `start_throwaway`, stopped and their data removed
# when the script ends, whatever the end is. Servers that ran before (scripts/services.sh start MODE) are used and left
# alone, and so are those that the environment names. Sourced by test.sh, chaos.sh and bench.sh.

# shellcheck source=scripts/paths.sh
. "$(dirname "${BASH_SOURCE[0]}")/paths.sh"
# shellcheck source=scripts/rust.sh
. "$ROOT/scripts/rust.sh"
# shellcheck source=scripts/process.sh
. "$ROOT/scripts/process.sh"
# shellcheck source=scripts/environment.sh
. "$ROOT/scripts/environment.sh"

STARTED=
STARTED_MODE=

# Quiet, so that the last lines are those of what was run.
stop_throwaway() {
    local log=$LOCAL/$STARTED_MODE-stop.log
    trap '' INT TERM HUP PIPE
    [ -n "$STARTED" ] || return 0
    # shellcheck disable=SC2086 # one word per server
    "$ROOT/scripts/services.sh" clean "$STARTED_MODE" $STARTED >"$log" 2>&1 || cat "$log" >&2
    rm -f "$log"
}

# start_throwaway MODE [SERVER…]: starts what does not run and exports the addresses.
start_throwaway() {
    STARTED_MODE=$1
    STARTED=$("$ROOT/scripts/services.sh" status "$@" | sed -n 's/^\([a-z]*\) stopped.*/\1/p')
    trap stop_throwaway EXIT
    trap 'exit 143' INT TERM HUP
    "$ROOT/scripts/services.sh" start "$@"
    export_environment "$LOCAL/$1/env"
}
