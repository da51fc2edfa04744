# shellcheck shell=bash
# Fetches the servers' binaries from Maven Central once per version. Sourced by the servers' scripts. Each lands in a
# folder of its own that is renamed when it is complete, so that an interrupted fetch starts over and is never used.

# The name of this machine in PostgreSQL's artifacts.
postgres_platform() {
    case "$(uname -s)-$(uname -m)" in
        Linux-x86_64) echo linux-amd64 ;;
        Linux-aarch64 | Linux-arm64) echo linux-arm64v8 ;;
        Darwin-x86_64) echo darwin-amd64 ;;
        Darwin-arm64) echo darwin-arm64v8 ;;
        *) fail "no PostgreSQL binaries for $(uname -sm): set DATABASE_URL to a server of yours" ;;
    esac
}

# from_maven POM GOAL INTO [PROPERTY…]: runs a goal of a pom in platform. Maven's own cache stays in the checkout too, and
# is dropped when the goal has succeeded; a failed one resumes from it.
from_maven() {
    local pom=$1 goal=$2 into=$3 cache=$LOCAL/maven-${2##*@}
    shift 3
    if ! mvn -B -ntp -C -f "$ROOT/platform/$pom" -Dmaven.repo.local="$cache" -Dinto="$into" "$@" "$goal" \
        >"$cache.log" 2>&1; then
        show_log "$cache.log"
        fail "Maven Central did not give what is needed; the next try resumes"
    fi
    rm -rf "$cache" "$cache.log"
}

fetch_postgres() {
    local home=$1 part=$1.part platform
    platform=$(postgres_platform)
    say "fetching PostgreSQL $POSTGRES_VERSION for $platform into $home"
    rm -rf "$part" "$home"
    mkdir -p "$part"
    from_maven pom.xml dependency:unpack@postgres "$part" -Dpostgres.platform="$platform"
    (cd "$part" && tar -xJf postgres-*.txz && rm -rf postgres-*.txz META-INF)
    chmod -R a+rX "$part"
    mv "$part" "$home"
}

# Prints the folder that holds PostgreSQL's bin, lib and share, fetching it first where it is missing.
postgres_binaries() {
    local home=$LOCAL/pg/$POSTGRES_VERSION reachable=$POSTGRES_BASE/pg/$POSTGRES_VERSION
    if [ ! -x "$home/bin/postgres" ]; then fetch_postgres "$home"; fi
    if [ "$reachable" != "$home" ] && [ ! -x "$reachable/bin/postgres" ]; then
        say "PostgreSQL's user cannot reach $LOCAL: it runs in $POSTGRES_BASE"
        rm -rf "$reachable.part"
        mkdir -p "$reachable.part"
        cp -R "$home/." "$reachable.part"
        mv "$reachable.part" "$reachable"
    fi
    echo "$reachable"
}

# Prints the folder that holds Kafka's jars, fetching them first where they are missing.
kafka_libs() {
    local home=$LOCAL/kafka/$KAFKA_VERSION part
    if [ ! -d "$home" ]; then
        say "fetching Apache Kafka $KAFKA_VERSION into $home"
        part=$home.part
        rm -rf "$part"
        mkdir -p "$part"
        from_maven pom.xml dependency:copy-dependencies@kafka "$part"
        mv "$part" "$home"
    fi
    echo "$home"
}

# Prints the folder that holds OpenSearch's jars where the user that it runs as can reach them, fetching them first where
# they are missing.
opensearch_libs() {
    local home=$LOCAL/opensearch/$OPENSEARCH_VERSION reachable=$POSTGRES_BASE/opensearch/$OPENSEARCH_VERSION part
    if [ ! -d "$home" ]; then
        say "fetching OpenSearch $OPENSEARCH_VERSION into $home"
        part=$home.part
        rm -rf "$part"
        mkdir -p "$part"
        from_maven opensearch/pom.xml dependency:copy-dependencies@opensearch "$part"
        chmod -R a+rX "$part"
        mv "$part" "$home"
    fi
    if [ ! -d "$reachable" ]; then
        rm -rf "$reachable.part"
        mkdir -p "$reachable.part"
        cp -R "$home/." "$reachable.part"
        mv "$reachable.part" "$reachable"
    fi
    echo "$reachable"
}
