#!/usr/bin/env bash
# `make bench`: measures, on throw-away PostgreSQL and Kafka servers of its own (or those that the environment names).
# They are stopped and their data is removed at the end, whatever the end was; servers that ran before
# (scripts/services.sh start bench) are used and left alone. The exit code is 1 when a floor is missed.
#
#   scripts/bench.sh [--quick] [ROW…]   ROW is a part of a row's name; a whole run writes docs/BENCHMARKS.md
set -euo pipefail

# shellcheck source=scripts/throwaway.sh
. "$(dirname "${BASH_SOURCE[0]}")/throwaway.sh"

cd "$ROOT"
"$ROOT/scripts/install.sh"
use_rust

# Built before the servers start: a release build takes minutes, and nothing else is to be busy while we measure.
say "building"
interruptible cargo bench ${CI:+--locked} -p tests --bench souk --no-run

start_throwaway bench
# Whose version it is we know only where it is ours.
case $("$ROOT/scripts/services.sh" status bench kafka) in
    *external*) ;;
    *) export SOUK_BENCH_KAFKA_VERSION=$KAFKA_VERSION ;;
esac

say "measuring"
interruptible cargo bench ${CI:+--locked} -p tests --bench souk -- "$@"
