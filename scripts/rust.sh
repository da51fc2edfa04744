# shellcheck shell=bash
# Finds the Rust toolchain: the one in the PATH, else rustup's in the home folder, else the one that install.sh put
# into .local. Sourced by every script that calls cargo.

use_rust() {
    local bin=$LOCAL/rust/cargo/bin
    if command -v cargo >/dev/null; then return; fi
    if [ -x "${HOME:-}/.cargo/bin/cargo" ]; then
        PATH=${HOME:-}/.cargo/bin:$PATH
    elif [ -x "$bin/cargo" ]; then
        export RUSTUP_HOME=$LOCAL/rust/rustup CARGO_HOME=$LOCAL/rust/cargo
        PATH=$bin:$PATH
    fi
}

# The oldest version that the workspace compiles with, as major.minor.
rust_needed() { sed -n 's/^rust-version = "\([0-9.]*\)"$/\1/p' "$ROOT/Cargo.toml"; }

rust_is_new_enough() {
    local have need
    have=$(cargo --version | sed -n 's/^cargo \([0-9]*\)\.\([0-9]*\).*/\1 \2/p')
    need=$(rust_needed)
    [ "${have% *}" -gt "${need%%.*}" ] || { [ "${have% *}" -eq "${need%%.*}" ] && [ "${have#* }" -ge "${need#*.}" ]; }
}

use_rust
