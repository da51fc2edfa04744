# shellcheck shell=bash
# Processes and ports: is this process ours, is that port free, wait until something holds. Sourced by the servers'
# scripts. Nothing is ever signalled by name: only a recorded pid whose command line names our own data folder.

# The command line of a process, words separated by spaces; empty when there is no such process.
command_line() {
    [ -n "$1" ] || return 0
    if [ -r "/proc/$1/cmdline" ]; then
        tr '\0' ' ' <"/proc/$1/cmdline" 2>/dev/null || true
    elif [ ! -d /proc/self ]; then
        ps -o command= -p "$1" 2>/dev/null || true
    fi
}

# process_is PID WORD…: that process runs and its command line has each of the words.
process_is() {
    local pid=$1 line word
    case $pid in '' | *[!0-9]*) return 1 ;; esac
    line=" $(command_line "$pid") "
    shift
    for word in "$@"; do
        case $line in *" $word "*) ;; *) return 1 ;; esac
    done
}

# A process that nobody has collected yet has no command line either.
is_gone() { [ -z "$(command_line "$1")" ]; }

# wait_until SECONDS COMMAND…: true as soon as the command is, false when the time has passed.
wait_until() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.1
    done
}

is_listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# free_port [WANTED]: the wanted port where nobody listens on it, so that a server that comes back keeps its address;
# else a random one from below the range that systems hand out to outgoing connections.
free_port() {
    local port=${1:-} tries=0
    while [ -z "$port" ] || is_listening "$port"; do
        tries=$((tries + 1))
        [ "$tries" -le 100 ] || fail "no free port found"
        port=$((20000 + (RANDOM % 12000)))
    done
    echo "$port"
}

# interruptible COMMAND…: runs it to its end and returns its status, as a process group of its own. Ctrl-C and SIGTERM
# reach this script alone, at once, and are passed on as one SIGTERM: a shell that waits for a command in its own group
# would hear of a SIGTERM only when the command has ended by itself.
interruptible() {
    local pid status again=yes
    set -m
    "$@" </dev/null &
    pid=$!
    set +m
    # shellcheck disable=SC2064 # the id as it is now
    trap "again=yes; kill -TERM -- -$pid 2>/dev/null || true" INT TERM HUP
    # A signal ends the wait, not the command.
    while [ -n "$again" ]; do
        again=''
        status=0
        wait "$pid" || status=$?
    done
    trap 'exit 143' INT TERM HUP
    return "$status"
}

# show_log FILE: the end of a server's log, for when it did not start.
show_log() {
    say "the end of $1:"
    tail -n 30 "$1" >&2 || true
}
