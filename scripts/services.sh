#!/usr/bin/env bash
# The PostgreSQL and Kafka servers that Souk runs on, and the OpenSearch of its tests: started, stopped and looked at.
#
#   scripts/services.sh start  run|test|bench [SERVER…]   starts what does not run, waits until it is ready
#   scripts/services.sh stop   run|test|bench [SERVER…]   stops what runs; the data stays
#   scripts/services.sh clean  run|test|bench [SERVER…]   stops what runs and removes its data
#   scripts/services.sh status run|test|bench [SERVER…]   one line each: running, stopped or external, and the address
#   scripts/services.sh env    run|test|bench             their addresses, as written to .local/<mode>/env
#
# run, test and bench are three sets of servers, each with its own data. SERVER is postgres, kafka or opensearch; without
# one, the first two, and for tests all. A server named by DATABASE_URL, KAFKA_BROKERS or OPENSEARCH_URL in the environment
# is used as it is and never started or stopped.
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
# shellcheck source=scripts/opensearch.sh
. "$ROOT/scripts/opensearch.sh"

# As root the servers' folders have to be open to PostgreSQL's user, however strict the caller is.
umask 022

MODE=
POSTGRES_BASE=
SERVERS="postgres kafka"

# The address that we give out for a server of ours; empty before its first start.
own_address() {
    [ -e "$LOCAL/$MODE/$1.port" ] || return 0
    case $1 in
        postgres) echo "postgres://souk@$(postgres_address)/souk" ;;
        kafka) kafka_address ;;
        opensearch) echo "http://$(opensearch_address)" ;;
    esac
}

# The address of a server of somebody else's; empty where the environment names none. Our own address does not count:
# it is there when somebody has read our env file.
external_address() {
    local given
    case $1 in
        postgres) given=${DATABASE_URL:-} ;;
        kafka) given=${KAFKA_BROKERS:-} ;;
        opensearch) given=${OPENSEARCH_URL:-} ;;
    esac
    if [ "$given" != "$(own_address "$1")" ]; then echo "$given"; fi
}

state() {
    if [ -n "$(external_address "$1")" ]; then
        echo external
    elif "$1_running"; then
        echo running
    else
        echo stopped
    fi
}

address() {
    local given
    given=$(external_address "$1")
    echo "${given:-$(own_address "$1")}"
}

environment() {
    echo "DATABASE_URL=$(address postgres)"
    echo "KAFKA_BROKERS=$(address kafka)"
    if [ "$MODE" = test ]; then echo "OPENSEARCH_URL=$(address opensearch)"; fi
}

# One at a time per mode: two starts at once would both find nothing running. Held until this script ends.
lock() {
    exec 9>"$LOCAL/$MODE.lock"
    if command -v flock >/dev/null; then flock 9; fi
}

start() {
    local server
    lock
    mkdir -p "$LOCAL/$MODE"
    [ -d "$POSTGRES_BASE" ] || mkdir "$POSTGRES_BASE"
    for server in $SERVERS; do
        case $(state "$server") in
            external) say "$server: the one that the environment names" ;;
            running) say "$server: already running on $(own_address "$server")" ;;
            stopped) "${server}_start" 9>&- ;; # the server does not inherit the lock
        esac
    done
    # An address from outside may hold a password.
    (umask 077 && environment >"$LOCAL/$MODE/env.part")
    mv "$LOCAL/$MODE/env.part" "$LOCAL/$MODE/env"
}

# Those of ours, whatever the environment names, and in the opposite order.
stop_servers() {
    local server
    for server in opensearch kafka postgres; do
        case " $SERVERS " in *" $server "*) if "${server}_running"; then "${server}_stop"; fi ;; esac
    done
}

stop() {
    lock
    stop_servers
}

clean() {
    local server folder
    lock
    stop_servers
    for server in $SERVERS; do
        folder=$("${server}_folder")
        # With the database go the secrets that demo mode made for it; those made for a database of others stay.
        if [ "$server" = postgres ] && [ -e "$folder" ]; then rm -rf "${LOCAL:?}/$MODE/secrets"; fi
        rm -rf "$folder" "${LOCAL:?}/$MODE/$server.port" "${LOCAL:?}/$MODE/$server.log"
    done
    say "data removed: $SERVERS of $MODE"
    for server in postgres kafka opensearch; do if [ -e "$("${server}_folder")" ]; then return; fi; done
    rm -f "$LOCAL/$MODE/env" "$LOCAL/$MODE/initdb.log"
    if [ -d "$LOCAL/$MODE" ]; then rmdir "$LOCAL/$MODE" 2>/dev/null || true; fi
    # Outside the checkout nothing stays behind, not even the binaries.
    if [ "$POSTGRES_BASE" != "$LOCAL" ]; then
        rm -rf "${POSTGRES_BASE:?}/$MODE"
        for folder in run test bench; do if [ -e "$POSTGRES_BASE/$folder" ]; then return; fi; done
        rm -rf "${POSTGRES_BASE:?}"
    fi
}

status() {
    local server
    for server in $SERVERS; do echo "$server $(state "$server") $(address "$server")"; done
}

usage() { sed -n 's/^#   //p' "${BASH_SOURCE[0]}" >&2 && exit 2; }

main() {
    local server
    case ${2:-} in run | test | bench) MODE=$2 ;; *) usage ;; esac
    if [ "$MODE" = test ]; then SERVERS="$SERVERS opensearch"; fi
    if [ $# -gt 2 ]; then SERVERS=${*:3}; fi
    for server in $SERVERS; do case $server in postgres | kafka | opensearch) ;; *) usage ;; esac; done
    make_local
    POSTGRES_BASE=$(find_postgres_base)
    case $1 in
        start | stop | clean | status) "$1" ;;
        env) environment ;;
        *) usage ;;
    esac
}

main "$@"
