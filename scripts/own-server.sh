#!/usr/bin/env bash
# Servers that one test has for itself, because it breaks them: made, served in the foreground, and removed. The same
# binaries and settings as those of `make run` and `make test`. NAME is the test's; the data lie in chaos/NAME of .local
# (of PostgreSQL's part of it, see paths.sh).
#
#   scripts/own-server.sh create NAME postgres                      makes the data, prints their folder
#   scripts/own-server.sh create NAME kafka BROKER CONTROLLER       the same, listening on these two ports
#   scripts/own-server.sh create NAME redis                         the same
#   scripts/own-server.sh serve NAME postgres PORT [NAME=VALUE…]    becomes the server, with these settings
#   scripts/own-server.sh serve NAME kafka
#   scripts/own-server.sh serve NAME redis PORT                     keeps nothing when it ends
#   scripts/own-server.sh serve NAME redis-tls PORT                 the same over TLS, by a certificate of authority.crt
#   scripts/own-server.sh remove NAME                               removes the data of a server that has ended
#   scripts/own-server.sh toxiproxy                                 prints where toxiproxy is, fetching it first
set -euo pipefail

# shellcheck source=scripts/paths.sh
. "$(dirname "${BASH_SOURCE[0]}")/paths.sh"
# shellcheck source=scripts/process.sh
. "$ROOT/scripts/process.sh"
# shellcheck source=scripts/binaries.sh
. "$ROOT/scripts/binaries.sh"
# shellcheck source=scripts/postgres.sh
. "$ROOT/scripts/postgres.sh"
# shellcheck source=scripts/kafka.sh
. "$ROOT/scripts/kafka.sh"

# The last one that the Go of Debian 12 builds.
TOXIPROXY_VERSION=2.7.0

umask 022

# shellcheck disable=SC2034 # for the servers' scripts
MODE=
POSTGRES_BASE=

create() {
    local libs
    mkdir -p "$LOCAL/$MODE" "$POSTGRES_BASE/$MODE"
    case $1 in
        postgres)
            postgres_create "$(postgres_binaries)/bin" "$(postgres_folder)"
            postgres_folder
            ;;
        kafka)
            libs=$(kafka_libs)
            mkdir -p "$(kafka_folder)"
            kafka_properties "$2" "$3" >"$(kafka_folder)/server.properties"
            kafka_create "$libs" "$(kafka_folder)"
            kafka_folder
            ;;
        redis)
            mkdir -p "$(redis_folder)"
            redis_folder
            ;;
    esac
}

serve_postgres() {
    local port=$1 settings=() setting
    shift
    for setting in "$@"; do settings+=(-c "$setting"); done
    become_postgres "$(postgres_binaries)/bin/postgres" -D "$(postgres_folder)/data" -p "$port" "${settings[@]}"
}

serve_kafka() { exec "${KAFKA_JAVA[@]}" -cp "$(kafka_libs)/*" kafka.Kafka "$(kafka_folder)/server.properties"; }

redis_folder() { echo "$LOCAL/$MODE/redis"; }

# The system's own; unlike the others it is not one that Souk needs.
serve_redis() {
    command -v redis-server >/dev/null || fail "missing: redis-server. As root: apt-get install redis-server"
    exec redis-server --bind 127.0.0.1 --port "$1" --dir "$(redis_folder)" --save '' --appendonly no
}

# For the address alone; whoever is to trust it is told of the authority in this folder.
redis_certificates() {
    local key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)
    [ ! -e server.crt ] || return 0
    openssl req -x509 "${key[@]}" -keyout authority.key -out authority.crt -days 2 -subj '/CN=Authority of a test'
    openssl req "${key[@]}" -keyout server.key -out server.csr -subj '/CN=Redis of a test'
    openssl x509 -req -in server.csr -CA authority.crt -CAkey authority.key -CAcreateserial -days 2 \
        -extfile <(echo 'subjectAltName=IP:127.0.0.1') -out server.crt
}

serve_redis-tls() {
    command -v redis-server >/dev/null || fail "missing: redis-server. As root: apt-get install redis-server"
    command -v openssl >/dev/null || fail "missing: openssl. As root: apt-get install openssl"
    cd "$(redis_folder)"
    redis_certificates
    exec redis-server --bind 127.0.0.1 --port 0 --tls-port "$1" --tls-auth-clients no --tls-ca-cert-file authority.crt \
        --tls-cert-file server.crt --tls-key-file server.key --save '' --appendonly no
}

remove() { rm -rf "${LOCAL:?}/${MODE:?}" "${POSTGRES_BASE:?}/${MODE:?}"; }

# By Go's own client, which checks what it fetches against Go's public list of checksums.
toxiproxy() {
    local into=$LOCAL/tools/toxiproxy-$TOXIPROXY_VERSION
    if [ ! -x "$into/server" ]; then
        command -v go >/dev/null || fail "missing: go, to build toxiproxy with. As root: apt-get install golang-go"
        say "building toxiproxy $TOXIPROXY_VERSION into $into"
        GOBIN=$into GOFLAGS=-modcacherw go install "github.com/Shopify/toxiproxy/v2/cmd/server@v$TOXIPROXY_VERSION" >&2
    fi
    echo "$into/server"
}

usage() { sed -n 's/^#   //p' "${BASH_SOURCE[0]}" >&2 && exit 2; }

main() {
    make_local
    if [ "${1:-}" = toxiproxy ]; then
        toxiproxy
        return
    fi
    [[ ${2:-} =~ ^[a-z0-9-]+$ ]] || usage
    MODE=chaos/$2
    POSTGRES_BASE=$(find_postgres_base)
    case $1:${3:-} in
        create:postgres | create:kafka | create:redis) create "${@:3}" ;;
        serve:postgres | serve:kafka | serve:redis | serve:redis-tls) "serve_$3" "${@:4}" ;;
        remove:) remove ;;
        *) usage ;;
    esac
}

main "$@"
