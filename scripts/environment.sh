# shellcheck shell=bash
# Reads files of NAME=value lines, such as .env, into the environment. Sourced by run.sh and test.sh.

# unquoted VALUE: without one pair of quotes around it.
unquoted() {
    case $1 in
        \"*\") set -- "${1#\"}" && printf '%s' "${1%\"}" ;;
        \'*\') set -- "${1#\'}" && printf '%s' "${1%\'}" ;;
        *) printf '%s' "$1" ;;
    esac
}

# each_setting COMMAND FILE: calls the command with name and value of every setting. Nothing in the file is executed.
each_setting() {
    local line
    [ -e "$2" ] || return 0
    while IFS= read -r line || [ -n "$line" ]; do
        line=${line%$'\r'}
        line=${line#export }
        if [[ $line =~ ^[A-Za-z_][A-Za-z0-9_]*= ]]; then "$1" "${line%%=*}" "$(unquoted "${line#*=}")"; fi
    done <"$2"
}

export_setting() { export "$1=$2"; }
default_setting() { if [ -z "${!1:-}" ] && [ -n "$2" ]; then export "$1=$2"; fi; }

# What the environment has already wins, as with any .env file.
load_environment() { each_setting default_setting "$1"; }

# The file wins: what the servers answer to now.
export_environment() { each_setting export_setting "$1"; }
