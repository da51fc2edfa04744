# shellcheck shell=bash
# One OpenSearch node of a mode, for tests: start, stop, state. Sourced by services.sh, which sets MODE and POSTGRES_BASE.
#
# Guarantees: reachable on the loopback only, over HTTP without a password. It refuses to run as root, so it runs as the
# user that PostgreSQL runs as, in PostgreSQL's part of .local.

opensearch_folder() { echo "$POSTGRES_BASE/$MODE/opensearch"; }

opensearch_pid() { cat "$LOCAL/$MODE/opensearch.pid" 2>/dev/null || true; }

is_our_opensearch() { process_is "$1" "$(opensearch_folder)/Node.java"; }

opensearch_running() { is_our_opensearch "$(opensearch_pid)"; }

opensearch_address() { echo "127.0.0.1:$(cat "$LOCAL/$MODE/opensearch.port")"; }

OPENSEARCH_JAVA=(java -Xmx768m -XX:+UseSerialGC)

# One attempt, as a process group of its own, for the reason that kafka.sh gives.
opensearch_launch() {
    local libs=$1 folder=$2 port=$3 transport=$4
    set -m
    (become_postgres nohup "${OPENSEARCH_JAVA[@]}" -cp "$libs/*" "$folder/Node.java" "$folder/data" "$port" "$transport") \
        </dev/null >>"$LOCAL/$MODE/opensearch.log" 2>&1 &
    echo $! >"$LOCAL/$MODE/opensearch.pid"
    set +m
}

# The node opens its port last, when it is ready to serve.
opensearch_settled() { is_listening "$1" || is_gone "$(opensearch_pid)"; }

opensearch_start() {
    local libs folder port
    libs=$(opensearch_libs)
    folder=$(opensearch_folder)
    mkdir -p "$folder/data"
    cp "$ROOT/platform/opensearch/Node.java" "$folder/Node.java"
    if [ "$(id -u)" -eq 0 ]; then chown "nobody:$(id -g nobody)" "$folder/data"; fi
    : >"$LOCAL/$MODE/opensearch.log"
    for _ in 1 2 3; do
        port=$(free_port "$(cat "$LOCAL/$MODE/opensearch.port" 2>/dev/null || true)")
        opensearch_launch "$libs" "$folder" "$port" "$(free_port)"
        wait_until 120 opensearch_settled "$port" || break
        if opensearch_running; then
            echo "$port" >"$LOCAL/$MODE/opensearch.port"
            say "OpenSearch $OPENSEARCH_VERSION on $(opensearch_address), data in $folder"
            return
        fi
        # It ended by itself: somebody else may have taken a port between the look and the start.
        rm -f "$LOCAL/$MODE/opensearch.port"
    done
    show_log "$LOCAL/$MODE/opensearch.log"
    opensearch_stop
    fail "OpenSearch did not start"
}

opensearch_stop() {
    local pid
    pid=$(opensearch_pid)
    is_our_opensearch "$pid" || return 0
    kill -TERM "$pid"
    if ! wait_until 30 is_gone "$pid"; then
        say "OpenSearch did not stop within 30 s: killed, it recovers at its next start"
        kill -KILL "$pid"
    fi
    rm -f "$LOCAL/$MODE/opensearch.pid"
    say "OpenSearch stopped"
}
