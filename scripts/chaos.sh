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

# shellcheck source=scripts/throwaway.sh
. "$(dirname "${BASH_SOURCE[0]}")/throwaway.sh"

cd "$ROOT"
"$ROOT/scripts/install.sh" tests
use_rust

start_throwaway test postgres kafka
export SOUK_CHAOS_ROUNDS="${SOUK_CHAOS_ROUNDS:-100}" SOUK_CHAOS_LONG="${SOUK_CHAOS_LONG:-1}"
[ -n "${SOUK_CHAOS_SEED:-}" ] || unset SOUK_CHAOS_SEED

say "chaos"
# Two at once are plenty: each scenario is a system of several servers.
interruptible cargo test ${CI:+--locked} -p tests --test chaos -- --nocapture --test-threads 2 "$@"
