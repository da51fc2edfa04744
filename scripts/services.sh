#!/usr/bin/env bash
# The PostgreSQL and Kafka servers that Souk runs on: started, stopped and looked at.
#
#   scripts/services.sh start  run|test [postgres|kafka]   starts what does not run, waits until it is ready
#   scripts/services.sh stop   run|test [postgres|kafka]   stops what runs; the data stays
#   scripts/services.sh clean  run|test                    stops both and removes their data
#   scripts/services.sh status run|test                    one line per server: running, stopped or external
#   scripts/services.sh env    run|test                    DATABASE_URL and KAFKA_BROKERS, as in .local/<mode>/env
#
# A server named by DATABASE_URL or KAFKA_BROKERS in the environment is used as it is and never started or stopped.
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

MODE=
SERVERS="postgres kafka"

# The address that we give out for a server of ours; empty before its first start.
own_address() {
    [ -e "$LOCAL/$MODE/$1.port" ] || return 0
    case $1 in
        postgres) echo "postgres://souk@$(postgres_address)/souk" ;;
        kafka) kafka_address ;;
    esac
}

# The address of a server of somebody else's; empty where the environment names none. Our own address does not count:
# it is there when somebody has read our env file.
external_address() {
    local given
    case $1 in
        postgres) given=${DATABASE_URL:-} ;;
        kafka) given=${KAFKA_BROKERS:-} ;;
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
}

start() {
    local server
    make_local
    [ -w "$LOCAL" ] || fail "$LOCAL belongs to another user: start as that user, or remove it"
    mkdir -p "$LOCAL/$MODE"
    # One at a time: two starts at once would both find nothing running. The servers do not inherit the lock (9>&-).
    exec 9>"$LOCAL/$MODE/lock"
    if command -v flock >/dev/null; then flock 9; fi
    for server in $SERVERS; do
        case $(state "$server") in
            external) say "$server: the one that the environment names" ;;
            running) say "$server: already running on $(own_address "$server")" ;;
            stopped) "${server}_start" 9>&- ;;
        esac
    done
    # An address from outside may hold a password.
    (umask 077 && environment >"$LOCAL/$MODE/env.part")
    mv "$LOCAL/$MODE/env.part" "$LOCAL/$MODE/env"
    exec 9>&-
}

# In the opposite order: Kafka first.
stop() {
    local server
    for server in kafka postgres; do
        case " $SERVERS " in *" $server "*) if [ "$(state "$server")" = running ]; then "${server}_stop"; fi ;; esac
    done
}

clean() {
    stop
    rm -rf "$(postgres_base)/$MODE" "${LOCAL:?}/$MODE"
    say "the data of $MODE is removed"
}

status() {
    local server
    for server in $SERVERS; do echo "$server $(state "$server") $(address "$server")"; done
}

usage() { sed -n 's/^#   //p' "${BASH_SOURCE[0]}" >&2 && exit 2; }

main() {
    case ${2:-} in run | test) MODE=$2 ;; *) usage ;; esac
    case ${3:-} in '') ;; postgres | kafka) SERVERS=$3 ;; *) usage ;; esac
    case $1 in
        start | stop | clean | status) "$1" ;;
        env) environment ;;
        *) usage ;;
    esac
}

main "$@"
