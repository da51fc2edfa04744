#!/usr/bin/env bash
# `make test`: every test of the workspace, on throw-away PostgreSQL, Kafka and OpenSearch servers of its own (or those that
# the environment names). They are stopped and their data is removed at the end, whatever the end was; servers that ran
# before (scripts/services.sh start test) are used and left alone. The exit code is that of the tests.
set -euo pipefail

# shellcheck source=scripts/throwaway.sh
. "$(dirname "${BASH_SOURCE[0]}")/throwaway.sh"

cd "$ROOT"
"$ROOT/scripts/install.sh" tests
use_rust

start_throwaway test

say "testing"
interruptible cargo test --workspace ${CI:+--locked}
