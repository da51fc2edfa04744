# shellcheck shell=bash
# One PostgreSQL server of a mode (run, test or bench): start, stop, state. Sourced by services.sh, which sets MODE and
# POSTGRES_BASE.
#
# Guarantees: durable as shipped (fsync, synchronous_commit and full_page_writes stay on), reachable on the loopback
# only, as user souk without a password; a server that died is started again on its data.

postgres_folder() { echo "$POSTGRES_BASE/$MODE/pg"; }

postgres_pid() { as_postgres sed -n 1p "$(postgres_folder)/data/postmaster.pid" 2>/dev/null || true; }

# Whether the process of that id is the server of our data folder (its children have other command lines).
is_our_postgres() { process_is "$1" -D "$(postgres_folder)/data"; }

postgres_running() { is_our_postgres "$(postgres_pid)"; }

postgres_address() { echo "127.0.0.1:$(cat "$LOCAL/$MODE/postgres.port")"; }

postgres_create() {
    local bin=$1 folder=$2 log=$LOCAL/$MODE/initdb.log
    if [ -d "$folder" ] && ! as_postgres test -O "$folder"; then
        fail "$folder belongs to another user: start as that user, or remove it"
    fi
    if as_postgres test -e "$folder/data/PG_VERSION"; then return; fi
    # A folder without a version is what an interrupted creation left behind.
    rm -rf "$folder"
    mkdir -p "$folder"
    if [ "$(id -u)" -eq 0 ]; then chown "nobody:$(id -g nobody)" "$folder"; fi
    postgres_fill "$bin" "$folder/part" >"$log" 2>&1 || {
        show_log "$log"
        fail "PostgreSQL's data folder could not be made"
    }
    # Named like this last, so that only a whole one counts.
    as_postgres mv "$folder/part" "$folder/data"
    rm -f "$log"
}

postgres_fill() {
    local bin=$1 data=$2
    # Sorting and case by Unicode's rules, built in: the same on every system, whatever locales it has.
    as_postgres "$bin/initdb" -D "$data" -U souk --auth=trust --encoding=UTF8 --locale=C \
        --locale-provider=builtin --builtin-locale=C.UTF-8 --no-instructions || return 1
    # No socket files: their path may not be longer than 107 bytes, that of a checkout may.
    as_postgres tee -a "$data/postgresql.conf" <<'CONF' || return 1
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 300
# as shipped it is 128 MB, of which a catalogue of 100,000 products with its indexes does not leave much
shared_buffers = 512MB
timezone = 'UTC'
log_timezone = 'UTC'
CONF
    # The bundled binaries have no client; a server in single-user mode reads statements from its input.
    as_postgres "$bin/postgres" --single -D "$data" postgres <<'SQL'
create database souk
SQL
}

# One attempt. The port may be taken between the look and the start, so the caller tries again.
postgres_launch() {
    local bin=$1 folder=$2 port pid port_file=$LOCAL/$MODE/postgres.port
    port=$(free_port "$(cat "$port_file" 2>/dev/null || true)") || return 1
    pid=$(postgres_pid)
    # After a restart of the machine that id may be somebody else's, which PostgreSQL would take for a running server.
    # Its own check of the shared memory still refuses a folder that is in use.
    if [ -n "$(command_line "$pid")" ] && ! is_our_postgres "$pid"; then
        as_postgres rm -f "$folder/data/postmaster.pid"
    fi
    if as_postgres "$bin/pg_ctl" start -w -s -t 120 -D "$folder/data" -l "$folder/server.log" -o "-p $port" \
        >/dev/null 2>&1; then
        echo "$port" >"$port_file"
        return 0
    fi
    if [[ $(tail -n 20 "$folder/server.log") == *"could not bind"* ]]; then rm -f "$port_file"; fi
    return 1
}

postgres_start() {
    local bin folder
    bin=$(postgres_binaries)/bin
    folder=$(postgres_folder)
    postgres_create "$bin" "$folder"
    # More than one attempt also because the children of a killed server take a moment to leave.
    wait_until 20 postgres_launch "$bin" "$folder" || {
        show_log "$folder/server.log"
        fail "PostgreSQL did not start"
    }
    say "PostgreSQL $POSTGRES_VERSION on $(postgres_address), data in $folder"
}

postgres_stop() {
    local pid
    pid=$(postgres_pid)
    is_our_postgres "$pid" || return 0
    # Fast shutdown: ends the sessions, writes a checkpoint.
    kill -INT "$pid"
    wait_until 60 is_gone "$pid" || fail "PostgreSQL (process $pid) did not stop"
    say "PostgreSQL stopped"
}
