# shellcheck shell=bash
# One Apache Kafka server of a mode (run, test or bench): start, stop, state. Sourced by services.sh, which sets MODE.
#
# Guarantees: broker and controller in one process, reachable on the loopback only, topics are made by Souk and never
# by a typing mistake (auto-creation is off), nothing expires; a server that died is started again on its data.

kafka_folder() { echo "$LOCAL/$MODE/kafka"; }

kafka_pid() { cat "$(kafka_folder)/pid" 2>/dev/null || true; }

is_our_kafka() { process_is "$1" "kafka.Kafka $(kafka_folder)/server.properties"; }

kafka_running() { is_our_kafka "$(kafka_pid)"; }

kafka_address() { echo "127.0.0.1:$(cat "$LOCAL/$MODE/kafka.port")"; }

# Warnings and errors go to the server's log: without them a broker that cannot start says nothing.
KAFKA_JAVA=(java -Xmx512m -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -Dorg.slf4j.simpleLogger.showDateTime=true
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX")

# One node: everything that Kafka keeps for itself has one copy. Its internal topics have few partitions, because each
# is a folder with files of its own and one client uses one of them.
kafka_properties() {
    local broker=$1 controller=$2
    cat <<CONF
process.roles=broker,controller
node.id=1
listeners=BROKER://127.0.0.1:$broker,CONTROLLER://127.0.0.1:$controller
advertised.listeners=BROKER://127.0.0.1:$broker,CONTROLLER://127.0.0.1:$controller
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=BROKER
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=127.0.0.1:$controller
log.dirs=$(kafka_folder)/data
log.retention.ms=-1
auto.create.topics.enable=false
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=8
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=16777216
CONF
}

kafka_create() {
    local libs=$1 folder=$2 id
    [ -e "$folder/data/meta.properties" ] && return
    rm -rf "$folder/data"
    id=$("${KAFKA_JAVA[@]}" -cp "$libs/*" kafka.tools.StorageTool random-uuid 2>>"$folder/server.log") \
        && "${KAFKA_JAVA[@]}" -cp "$libs/*" kafka.tools.StorageTool format --standalone -t "$id" \
            -c "$folder/server.properties" >>"$folder/server.log" 2>&1 && return
    show_log "$folder/server.log"
    fail "Kafka's data folder could not be made"
}

# One attempt, as a process group of its own, so that Ctrl-C at the terminal does not reach the server before those
# who use it have ended.
kafka_launch() {
    local libs=$1 folder=$2
    set -m
    nohup "${KAFKA_JAVA[@]}" -cp "$libs/*" kafka.Kafka "$folder/server.properties" \
        </dev/null >>"$folder/server.log" 2>&1 &
    echo $! >"$folder/pid"
    set +m
}

# The broker opens its port last, when it is ready to serve.
kafka_settled() { is_listening "$1" || is_gone "$(kafka_pid)"; }

kafka_start() {
    local libs folder broker controller
    libs=$(kafka_libs)
    folder=$(kafka_folder)
    mkdir -p "$folder"
    : >"$folder/server.log"
    for _ in 1 2 3; do
        broker=$(free_port "$(cat "$LOCAL/$MODE/kafka.port" 2>/dev/null || true)")
        controller=$(free_port)
        kafka_properties "$broker" "$controller" >"$folder/server.properties"
        kafka_create "$libs" "$folder"
        kafka_launch "$libs" "$folder"
        wait_until 120 kafka_settled "$broker" || break
        if kafka_running; then
            echo "$broker" >"$LOCAL/$MODE/kafka.port"
            say "Apache Kafka $KAFKA_VERSION on $(kafka_address), data in $folder"
            return
        fi
        # It ended by itself: somebody else may have taken a port between the look and the start.
        rm -f "$LOCAL/$MODE/kafka.port"
    done
    show_log "$folder/server.log"
    kafka_stop
    fail "Kafka did not start"
}

kafka_stop() {
    local pid
    pid=$(kafka_pid)
    is_our_kafka "$pid" || return 0
    kill -TERM "$pid"
    if ! wait_until 60 is_gone "$pid"; then
        say "Kafka did not stop within 60 s: killed, it recovers at its next start"
        kill -KILL "$pid"
    fi
    rm -f "$(kafka_folder)/pid"
    say "Kafka stopped"
}
