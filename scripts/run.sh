#!/usr/bin/env bash
# `make run`: the whole shop on this machine, in the foreground, in demo mode. Starts PostgreSQL and Kafka where the
# environment names none, builds, migrates, seeds, serves. Ctrl-C or SIGTERM stops the server first, which finishes
# what it has begun, then the servers that this run started; the data stays for the next one.
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

# Whatever ends this script, the servers that it started end too; a second Ctrl-C does not leave them half stopped.
stop_services() {
    trap '' INT TERM HUP PIPE
    # shellcheck disable=SC2086 # one word per server
    if [ -n "$STARTED" ]; then "$ROOT/scripts/services.sh" stop run $STARTED || true; fi
}

cd "$ROOT"
load_environment "$ROOT/.env"
"$ROOT/scripts/install.sh"
use_rust

STARTED=$("$ROOT/scripts/services.sh" status run | sed -n 's/^\([a-z]*\) stopped.*/\1/p')
trap stop_services EXIT
trap 'exit 143' INT TERM HUP
"$ROOT/scripts/services.sh" start run
export_environment "$LOCAL/run/env"
export SOUK_DEMO="${SOUK_DEMO:-true}"

say "building"
interruptible cargo build --release ${CI:+--locked} -p api
interruptible target/release/souk migrate
# Demo data belongs in a demo only.
case $SOUK_DEMO in true | yes | on | 1) interruptible target/release/souk seed ;; esac
interruptible target/release/souk serve
