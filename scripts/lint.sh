#!/usr/bin/env bash
# `make lint`: what has to be clean besides the tests: format, clippy, documentation, and the licences, bans and sources
# of all dependencies. Advisories are left out: their database is fetched anew each time and changes without us.
set -euo pipefail

# shellcheck source=scripts/paths.sh
. "$(dirname "${BASH_SOURCE[0]}")/paths.sh"
# shellcheck source=scripts/rust.sh
. "$ROOT/scripts/rust.sh"

CARGO_DENY_VERSION=0.20.2

# A cargo-deny that is there is used; else one is built once into .local.
install_cargo_deny() {
    PATH=$PATH:$LOCAL/tools/bin
    if command -v cargo-deny >/dev/null; then return; fi
    say "building cargo-deny $CARGO_DENY_VERSION into .local/tools; this takes minutes, once"
    cargo install --quiet --locked --root "$LOCAL/tools" --version "$CARGO_DENY_VERSION" cargo-deny
}

install_components() {
    if cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1; then return; fi
    say "rustup component add rustfmt clippy"
    rustup -q component add rustfmt clippy
}

step() {
    say "$*"
    "$@"
}

cd "$ROOT"
"$ROOT/scripts/install.sh"
use_rust
install_components
step cargo fmt --all --check
step cargo clippy --workspace --all-targets ${CI:+--locked} -- -D warnings
RUSTDOCFLAGS="-D warnings" step cargo doc --workspace --no-deps ${CI:+--locked}
install_cargo_deny
step cargo deny --all-features check bans licenses sources
