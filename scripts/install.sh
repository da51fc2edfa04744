#!/usr/bin/env bash
# Installs what building and running Souk needs and this machine does not have: compilers, Java and Maven by apt, a
# Rust toolchain by rustup. Says what it does, touches nothing that is there, and where it may not install says what
# is missing. What does not come from apt stays in .local.
#
#   scripts/install.sh [tests]   with `tests`, also what only they need: Go, which builds toxiproxy, and Redis
set -euo pipefail

# shellcheck source=scripts/paths.sh
. "$(dirname "${BASH_SOURCE[0]}")/paths.sh"
# shellcheck source=scripts/rust.sh
. "$ROOT/scripts/rust.sh"

# What Kafka needs.
JAVA_NEEDED=17

FOR=${1:-}

has() { command -v "$1" >/dev/null 2>&1; }

# includes COMPILER LANGUAGE HEADER: a compiler without the library's headers is there in name only.
includes() { has "$1" && echo "#include <$3>" | "$1" -x "$2" -fsyntax-only - 2>/dev/null; }

# On macOS there is a `java` without a Java: it only says where to get one.
has_java() {
    local version
    version=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p')
    [ "${version:-0}" -ge "$JAVA_NEEDED" ]
}

# The packages that are missing, by Debian's names, one per line. A server that the environment names needs no Java.
missing_packages() {
    includes gcc c stdlib.h || printf '%s\n' gcc libc6-dev
    includes g++ c++ vector || echo g++
    local tool
    for tool in make cmake perl curl pkg-config; do has "$tool" || echo "$tool"; done
    has xz || echo xz-utils
    [ ! -e /etc/debian_version ] || [ -e /etc/ssl/certs/ca-certificates.crt ] || echo ca-certificates
    if [ -z "${KAFKA_BROKERS:-}" ]; then has_java || echo default-jre-headless; fi
    if [ -z "${DATABASE_URL:-}" ] || [ -z "${KAFKA_BROKERS:-}" ]; then has mvn || echo maven; fi
    # Tests that break their servers start some of their own, and a proxy that is written in Go.
    if [ "$FOR" = tests ]; then
        has_java || echo default-jre-headless
        has mvn || echo maven
        has go || echo golang-go
        has redis-server || echo redis-server
    fi
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

may_be_root() { [ "$(id -u)" -eq 0 ] || { has sudo && { [ -t 0 ] || sudo -n true 2>/dev/null; }; }; }

APT_UPDATED=
apt_update() {
    [ -z "$APT_UPDATED" ] || return 0
    APT_UPDATED=yes
    say "apt-get update"
    as_root apt-get -qq update || say "apt-get update failed: going on with the lists that are here"
}

apt_install() {
    apt_update
    say "apt-get install $*"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" >/dev/null
}

install_packages() {
    local packages
    packages=$(missing_packages | sort -u | xargs)
    [ -n "$packages" ] || return 0
    if [ "$(uname -s)" = Darwin ]; then
        fail "missing: $packages. Try: xcode-select --install; brew install cmake pkg-config xz openjdk maven"
    elif ! has apt-get; then
        fail "missing, by Debian's names: $packages"
    elif ! may_be_root; then
        fail "missing: $packages. As root: apt-get install --no-install-recommends $packages"
    fi
    # shellcheck disable=SC2086 # one word per package
    apt_install $packages
    packages=$(missing_packages | sort -u | xargs)
    [ -z "$packages" ] || fail "still missing or too old after the installation: $packages"
}

apt_has() { has apt-cache && [[ $(apt-cache policy "$1") == *"Candidate: "[0-9]* ]]; }

# Rust's own installer, into the checkout. Here as below it is the version that the workspace is written for: a newer
# one builds it too, but its lints may ask for more.
download_rustup() {
    local host part=$LOCAL/rust.part url
    case "$(uname -s)-$(uname -m)" in
        Linux-x86_64) host=x86_64-unknown-linux-gnu ;;
        Linux-aarch64) host=aarch64-unknown-linux-gnu ;;
        Darwin-x86_64) host=x86_64-apple-darwin ;;
        Darwin-arm64) host=aarch64-apple-darwin ;;
        *) fail "missing: a Rust toolchain; see https://rustup.rs" ;;
    esac
    url=https://static.rust-lang.org/rustup/dist/$host/rustup-init
    say "installing Rust into $LOCAL/rust, from $url"
    rm -rf "$part" && mkdir -p "$part"
    curl --proto '=https' --tlsv1.2 -fsS --retry 3 -o "$part/rustup-init" "$url"
    chmod +x "$part/rustup-init"
    RUSTUP_HOME=$LOCAL/rust/rustup CARGO_HOME=$LOCAL/rust/cargo RUSTUP_INIT_SKIP_PATH_CHECK=yes \
        "$part/rustup-init" -y -q --no-modify-path --default-toolchain "$(rust_needed)" --profile minimal \
        --component clippy,rustfmt >/dev/null
    rm -rf "$part"
}

install_rust() {
    if ! has rustup && ! has cargo && apt_has rustup && may_be_root; then apt_install rustup; fi
    if ! has rustup && ! has cargo; then download_rustup; fi
    use_rust
    if ! cargo --version >/dev/null 2>&1; then
        say "installing Rust $(rust_needed) by rustup"
        rustup -q toolchain install "$(rust_needed)" --profile minimal --component clippy,rustfmt >/dev/null
        rustup -q default "$(rust_needed)" >/dev/null
    fi
    rust_is_new_enough || fail "Rust $(rust_needed) or later is needed, here is $(cargo --version). Try: rustup update stable"
}

make_local
install_packages
install_rust
