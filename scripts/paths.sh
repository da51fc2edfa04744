# shellcheck shell=bash
# Where everything lives, and how the scripts speak. Sourced by the other scripts; does nothing by itself.
#
#   .local/pg/<version>          PostgreSQL binaries      .local/run/…    servers and data of `make run`
#   .local/kafka/<version>       Apache Kafka's jars      .local/test/…   throw-away servers of `make test`,
#   .local/opensearch/<version>  OpenSearch's, for tests  .local/bench/…  and of `make bench`
#
# PostgreSQL refuses to run as root, so root starts it as the user nobody. Where nobody cannot reach the checkout
# (a clone below /root), its part of .local lives in a folder under /var/tmp that is named after the checkout.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
LOCAL=$ROOT/.local

# Never a reason to fail: when the terminal has gone, what is left to do is to stop the servers.
say() { printf 'souk: %s\n' "$*" >&2 || true; }
fail() {
    say "$@"
    exit 1
}

# pom_property NAME [POM]: the value of a property of platform/pom.xml or of one beside it, which alone name the versions.
pom_property() { sed -n "s|.*<$1>\\(.*\\)</$1>.*|\\1|p" "$ROOT/platform/${2:-pom.xml}"; }

# shellcheck disable=SC2034 # both are used by those who source this
POSTGRES_VERSION=$(pom_property postgres.version)
# shellcheck disable=SC2034
KAFKA_VERSION=$(pom_property kafka.version)
# shellcheck disable=SC2034
OPENSEARCH_VERSION=$(pom_property opensearch.version opensearch/pom.xml)

# Becomes a command that runs as the user that PostgreSQL runs as, in a folder that this user can enter.
become_postgres() {
    cd /
    if [ "$(id -u)" -eq 0 ]; then
        exec setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups -- env HOME=/nonexistent "$@"
    fi
    exec "$@"
}

# Runs a command like that.
as_postgres() (become_postgres "$@")

make_local() {
    [ -d "$LOCAL" ] || mkdir "$LOCAL"
    [ -w "$LOCAL" ] || fail "$LOCAL belongs to another user: start as that user, or remove it"
    if [ "$(id -u)" -eq 0 ]; then chmod 755 "$LOCAL"; fi
}

# Prints the folder that holds PostgreSQL's binaries and data: .local where its user can reach it.
find_postgres_base() {
    if [ "$(id -u)" -ne 0 ] || as_postgres test -x "$LOCAL"; then
        echo "$LOCAL"
        return
    fi
    local base
    base=/var/tmp/souk-$(printf '%s' "$ROOT" | sha256sum | cut -c1-12)
    # /var/tmp is everybody's: a folder or link that somebody else put there is not to be trusted.
    if [ -L "$base" ] || { [ -e "$base" ] && [ ! -O "$base" ]; }; then
        fail "$base exists and belongs to somebody else"
    fi
    echo "$base"
}
