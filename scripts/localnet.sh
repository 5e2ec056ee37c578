#!/usr/bin/env bash
# A network of validators on this machine, for development, tests and the operations lab: see docs/localnet.md.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

CHAIN_ID=virtengine-localnet-1
DATA=${LOCALNET_DATA:-$ROOT/localnet/data}
[[ $DATA == /* ]] || DATA=$PWD/$DATA
CLIENT=$DATA/client
STAKE=1000000000000uve
FUNDS=1000000000000000
# Node i has every port at an offset of 100·i.
PORT_STEP=100
MAX_NODES=20
START_TIMEOUT=90
STOP_TIMEOUT=20
# A node whose newest block is older than this, in seconds, has stalled.
STALL=15
# Nodes may be this many blocks apart.
SPREAD=5

usage() {
    cat <<EOF
Usage: ./scripts/localnet.sh COMMAND

  start          build what is missing, start the network, wait for a block
  stop           stop every node
  restart        stop, then start
  reset [--yes]  stop, and delete the chain and its keys
  status         height and peers of every node; exit code 0 only if all is in order
  logs [NODE]    the end of a node's log, or of all; followed on a terminal
  env            export lines for a shell that uses the network
  shell          a shell set up so, or run with it what standard input holds
  add-node       start one more full node and wait until it has synced
  test           run the operations lab against the running network
  help           this text

Environment: VALIDATORS (of a new network, default 4), LOCALNET_DATA (default localnet/data),
LOCALNET_PORT_OFFSET (added to every port when the network is started), VIRTENGINE_LOG_LEVEL.
EOF
}

# --- what there is

home() { printf '%s' "$DATA/node$1"; }
# The numbers of the nodes, in order.
nodes() {
    local i
    for ((i = 0; i < MAX_NODES; i++)); do
        [[ ! -d $(home "$i") ]] || echo "$i"
    done
}
exists() { [[ -f $DATA/port-offset ]]; }
need_network() { exists || die "there is no network in $DATA: make one with ./scripts/localnet.sh start"; }

# port BASE NODE
port() { echo $(($1 + OFFSET + PORT_STEP * $2)); }
url() { printf 'http://localhost:%s' "$(port 26657 "$1")"; }
rpc() { curl --silent --fail --max-time 3 "$(url "$1")/$2"; }

# The processes of a node: every one that was started on its home, CometBFT too.
processes() {
    local files
    # The pattern comes from a file, so that grep does not find itself.
    mapfile -t files < <(grep -lzxF -f <(home "$1") /proc/[0-9]*/cmdline 2>/dev/null)
    [[ ${#files[@]} == 0 ]] || grep -lzxF -e start "${files[@]}" 2>/dev/null | cut -d/ -f3 || true
}

# The node's own process; a pid file may be older than the machine's last start.
pid() {
    local file pid
    file=$(home "$1")/node.pid
    [[ -f $file ]] && pid=$(<"$file") && processes "$1" | grep -x "$pid"
}

# --- making a network

# set_toml FILE SECTION KEY VALUE; the section "" is what precedes all others.
set_toml() {
    awk -v section="$2" -v key="$3" -v value="$4" '
        function put() { if (at && !done) { print key " = " value; done = 1 } }
        BEGIN { at = section == "" }
        /^\[/ { put(); at = $0 == "[" section "]" }
        at && $1 == key && $2 == "=" { put(); next }
        { print }
        END { put(); exit !done }' "$1" >"$1.part" || die "$1: there is no section [$2]"
    mv "$1.part" "$1"
}

# Ports and peers of a node: written at every start, so that the port offset can change.
configure() {
    local config other peers=()
    config=$(home "$1")/config
    for other in $(nodes); do
        [[ $other == "$1" ]] || peers+=("$(<"$(home "$other")/node-id")@127.0.0.1:$(port 26656 "$other")")
    done
    local list
    list=$(IFS=,; echo "${peers[*]-}")
    set_toml "$config/config.toml" rpc laddr "\"tcp://127.0.0.1:$(port 26657 "$1")\""
    set_toml "$config/config.toml" p2p laddr "\"tcp://127.0.0.1:$(port 26656 "$1")\""
    set_toml "$config/config.toml" p2p persistent_peers "\"$list\""
    set_toml "$config/config.toml" p2p addr_book_strict false
    set_toml "$config/config.toml" p2p allow_duplicate_ip true
    set_toml "$config/config.toml" consensus timeout_commit '"1s"'
    set_toml "$config/app.toml" '' minimum-gas-prices '"0.025uve"'
    set_toml "$config/app.toml" grpc address "\"127.0.0.1:$(port 9090 "$1")\""
    set_toml "$config/app.toml" api address "\"tcp://127.0.0.1:$(port 1317 "$1")\""
}

# virtengine on the shared keyring, without what the caller's environment says.
ve() {
    env -u VIRTENGINE_HOME -u VIRTENGINE_NODE -u VIRTENGINE_CHAIN_ID -u VIRTENGINE_OUTPUT \
        VIRTENGINE_KEYRING_BACKEND=test VIRTENGINE_KEYRING_DIR="$CLIENT" "$BIN/virtengine" "$@"
}

init_node() {
    local home
    home=$(home "$1")
    ve init "node$1" --chain-id "$CHAIN_ID" --home "$home" >/dev/null
    "$BIN/cometbft" show-node-id --home "$home" >"$home/node-id"
}

add_key() { # NAME MNEMONIC INDEX
    ve keys add "$1" --recover --index "$3" --home "$CLIENT" <<<"$2" >/dev/null 2>"$CLIENT/keys.log" ||
        die "key $1: $(<"$CLIENT/keys.log")"
}

# Everything is made in a directory of its own and moved into place, so that an interrupted start leaves nothing half made.
create() {
    local validators=$1 final=$DATA name mnemonic i genesis
    say "making a network of $validators validators in $final"
    mkdir -p "$(dirname "$final")"
    DATA=$final.new CLIENT=$final.new/client
    rm -rf "$DATA"
    mkdir -p "$CLIENT/config"

    while read -r name mnemonic; do
        [[ -n $name && $name != '#'* ]] || continue
        add_key "$name" "$mnemonic" 0
        [[ $name != validator ]] ||
            for ((i = 1; i < validators; i++)); do add_key "validator$i" "$mnemonic" "$i"; done
    done <"$ROOT/localnet/accounts"
    rm -f "$CLIENT/keys.log"

    for ((i = 0; i < validators; i++)); do init_node "$i"; done
    genesis=$(home 0)/config/genesis.json
    # Parameters of the localnet, over whatever the sections hold.
    jq --slurpfile params "$ROOT/localnet/genesis-params.json" \
        '.app_state |= (. as $state | reduce ($params[0] | to_entries[]) as $p ($state; .[$p.key] = ((.[$p.key] // {}) * $p.value)))' \
        "$genesis" >"$genesis.part"
    mv "$genesis.part" "$genesis"
    ve keys list --home "$CLIENT" --output json |
        jq --arg funds "$FUNDS" 'map({address, coins: [{denom: "uve", amount: $funds}]})' >"$DATA/accounts.json"
    ve genesis bulk-add-genesis-account "$DATA/accounts.json" --home "$(home 0)" >/dev/null
    rm "$DATA/accounts.json"

    mkdir -p "$(home 0)/config/gentx"
    for ((i = 0; i < validators; i++)); do
        name=validator$i
        [[ $i != 0 ]] || name=validator
        [[ $i == 0 ]] || cp "$genesis" "$(home "$i")/config/genesis.json"
        ve genesis gentx "$name" "$STAKE" --chain-id "$CHAIN_ID" --home "$(home "$i")" --p2p-port "$(port 26656 "$i")" \
            --output-document "$(home 0)/config/gentx/node$i.json" 2>/dev/null >&2 || die "the genesis transaction of node$i failed"
    done
    ve genesis collect-gentxs --home "$(home 0)" >/dev/null 2>"$DATA/log" || die "collect-gentxs: $(<"$DATA/log")"
    for ((i = 1; i < validators; i++)); do cp "$genesis" "$(home "$i")/config/genesis.json"; done
    cat >"$CLIENT/config/client.toml" <<EOF
chain-id = "$CHAIN_ID"
keyring-backend = "test"
EOF
    echo "$OFFSET" >"$DATA/port-offset"
    rm -rf "$DATA/log" "$final"
    mv "$DATA" "$final"
    DATA=$final CLIENT=$final/client
}

# --- starting and stopping

in_use() { (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Nothing may be left of a node that was killed, and its ports must be free.
clear_the_way() {
    local left base waited=0
    left=$(processes "$1")
    if [[ -n $left ]]; then
        say "node$1: ending what an earlier run left behind (process ${left//$'\n'/, })"
        # shellcheck disable=SC2086
        kill -9 $left 2>/dev/null || true
    fi
    for base in 26657 26656 9090 1317; do
        while in_use "$(port $base "$1")"; do
            ((waited++ < 20)) || die "node$1 needs port $(port $base "$1"), and another program has it: stop that, or move the network with LOCALNET_PORT_OFFSET=1000"
            sleep 0.1
        done
    done
}

launch() {
    local home
    home=$(home "$1")
    # A session of its own: a signal to it reaches all of the node and nothing else.
    env -u VIRTENGINE_HOME -u VIRTENGINE_NODE -u VIRTENGINE_CHAIN_ID \
        setsid "$BIN/virtengine" start --home "$home" >>"$home/node.log" 2>&1 </dev/null 9>&- &
    echo $! >"$home/node.pid"
}

height() { rpc "$1" status | jq -er '.result.sync_info.latest_block_height'; }

fail_with_log() {
    say "--- the end of $(home "$1")/node.log:"
    tail -n 20 "$(home "$1")/node.log" >&2
    die "$2"
}

# Waits until the node has committed a block since now.
wait_for_block() {
    local deadline=$((SECONDS + START_TIMEOUT)) first='' now
    until now=$(height "$1" 2>/dev/null) && [[ $now -gt ${first:=$now} && $now -gt 0 ]]; do
        pid "$1" >/dev/null || fail_with_log "$1" "node$1 has ended"
        ((SECONDS < deadline)) || fail_with_log "$1" "node$1 has committed no block within ${START_TIMEOUT} s (height ${now:-unknown})"
        sleep 0.2
    done
}

# For what changes the network: one at a time.
lock() {
    mkdir -p "$(dirname "$DATA")"
    exec 9>"$DATA.lock"
    flock -w 5 9 || die "another localnet.sh is at work on $DATA"
}

services() {
    local i
    printf '\n%-7s %-24s %-17s %s\n' node RPC gRPC REST
    for i in $(nodes); do
        printf '%-7s %-24s %-17s %s\n' "node$i" "$(url "$i")" "localhost:$(port 9090 "$i")" "http://localhost:$(port 1317 "$i")"
    done
}

start() {
    local validators=${VALIDATORS:-4} i new=()
    [[ $validators =~ ^[0-9]+$ && $validators -ge 1 && $validators -le $MAX_NODES ]] ||
        die "VALIDATORS=$validators: expected a number from 1 to $MAX_NODES"
    need_network_tools
    build
    lock
    if ! exists; then
        create "$validators"
    elif [[ -n ${VALIDATORS:-} ]]; then
        local have
        have=$(jq '.app_state.genutil.gen_txs | length' "$(home 0)/config/genesis.json")
        [[ $have == "$validators" ]] || die "the network in $DATA has $have validators: ./scripts/localnet.sh reset deletes it, then VALIDATORS=$validators counts"
    fi
    for i in $(nodes); do pid "$i" >/dev/null || new+=("$i"); done
    if ((${#new[@]})); then
        [[ -n $(running) ]] || echo "$OFFSET" >"$DATA/port-offset"
        read_offset
        for i in "${new[@]}"; do clear_the_way "$i"; done
        for i in "${new[@]}"; do configure "$i"; done
        for i in "${new[@]}"; do launch "$i"; done
    fi
    for i in $(nodes); do wait_for_block "$i"; done
    echo "$CHAIN_ID is running: $(nodes | wc -l) nodes, height $(height 0)"
    services
    printf '\nNext: ./scripts/localnet.sh shell, or docs/lab.md\n'
}

running() {
    local i
    for i in $(nodes); do
        if pid "$i" >/dev/null; then echo "$i"; fi
    done
}

# stop_nodes NODE…: asks, waits, and kills what is left.
stop_nodes() {
    local i pids=() all deadline
    for i in "$@"; do
        mapfile -t -O ${#pids[@]} pids < <(pid "$i" || true)
    done
    # A CometBFT that has lost its node ends by itself soon.
    deadline=$((SECONDS + (${#pids[@]} ? STOP_TIMEOUT : 3)))
    ((${#pids[@]} == 0)) || kill "${pids[@]}" 2>/dev/null || true
    while :; do
        all=$(for i in "$@"; do processes "$i"; done)
        [[ -n $all ]] || break
        if ((SECONDS >= deadline)); then
            say "killing what did not stop: process ${all//$'\n'/, }"
            # shellcheck disable=SC2086
            kill -9 $all 2>/dev/null || true
        fi
        sleep 0.1
    done
    for i in "$@"; do rm -f "$(home "$i")/node.pid"; done
}

stop() {
    exists || { echo "there is no network in $DATA" && return; }
    lock
    # shellcheck disable=SC2046
    stop_nodes $(nodes)
    echo "stopped; the chain is kept in $DATA"
}

reset() {
    case ${1:-} in
        --yes | -y) ;;
        '')
            exists || [[ -d $DATA.new ]] || { echo "nothing to reset: there is no network in $DATA" && return; }
            local answer=
            printf 'This stops the network and deletes its chain and keys in %s. Continue? [y/N] ' "$DATA" >&2
            read -r answer || true
            [[ $answer == [yY]* ]] || die "nothing was changed; ./scripts/localnet.sh reset --yes does not ask"
            ;;
        *) die "reset $1: expected --yes or nothing" ;;
    esac
    lock
    # shellcheck disable=SC2046
    stop_nodes $(nodes)
    if exists; then rm -rf "$DATA"; fi
    rm -rf "$DATA.new"
    echo "$DATA is gone; ./scripts/localnet.sh start makes a new network"
}

# --- looking

# app_hash NODE HEIGHT
app_hash() { rpc "$1" "block?height=$2" | jq -er '.result.block.header.app_hash'; }

status() {
    need_network
    need_network_tools
    local i s state peers lowest='' highest=0 problems=() now hash common='' heights=() up=()
    now=$(date +%s)
    printf '%-8s %-9s %9s %6s\n' node state height peers
    for i in $(nodes); do
        s='' state=running peers=-
        if ! pid "$i" >/dev/null; then
            state=stopped
            problems+=("node$i is stopped")
        elif ! s=$(rpc "$i" status); then
            state=silent
            problems+=("node$i runs but does not answer at $(url "$i")")
        fi
        if [[ -z $s ]]; then
            printf '%-8s %-9s %9s %6s\n' "node$i" "$state" - -
            continue
        fi
        local height time syncing
        read -r height time syncing < <(jq -r '.result.sync_info | "\(.latest_block_height) \(.latest_block_time) \(.catching_up)"' <<<"$s")
        peers=$(rpc "$i" net_info | jq -r '.result.n_peers') || peers=0
        heights[i]=$height
        up+=("$i")
        if [[ $syncing == true ]]; then
            state=syncing
            problems+=("node$i is still syncing (height $height)")
        elif ((now - $(date -d "$time" +%s) > STALL)); then
            state=stalled
            problems+=("node$i has stalled at height $height: no block since $time")
        fi
        [[ $peers != 0 || $(nodes | wc -l) == 1 ]] || problems+=("node$i has no peers")
        [[ -n $lowest && $lowest -le $height ]] || lowest=$height
        ((height <= highest)) || highest=$height
        printf '%-8s %-9s %9s %6s\n' "node$i" "$state" "$height" "$peers"
    done
    for i in "${up[@]}"; do
        ((highest - heights[i] <= SPREAD)) || problems+=("node$i is at height ${heights[i]}, others at $highest")
        hash=$(app_hash "$i" "$lowest") || hash=unknown
        : "${common:=$hash}"
        [[ $hash == "$common" && $hash != unknown ]] || problems+=("node$i has app hash $hash at height $lowest, node${up[0]} has $common")
    done
    if ((${#problems[@]})); then
        printf 'NOT in order:\n'
        printf '  %s\n' "${problems[@]}"
        return 1
    fi
    echo "heights agree (${lowest}–${highest}); app hash at height $lowest on all: $common"
    echo "$CHAIN_ID is healthy"
}

logs() {
    need_network
    local files=() follow=()
    if [[ -n ${1:-} ]]; then
        files=("$DATA/node${1#node}/node.log")
        [[ -f ${files[0]} ]] || die "logs $1: expected one of: $(nodes | tr '\n' ' ')"
    else
        files=("$DATA"/node*/node.log)
    fi
    [[ ! -t 1 ]] || follow=(-F)
    exec tail -n 100 "${follow[@]}" "${files[@]}"
}

environment() {
    need_network
    # shellcheck disable=SC2016 # expanded by who reads it
    printf 'export PATH=%q:"$PATH"\n' "$BIN"
    printf 'export %s=%q\n' VIRTENGINE_NODE "$(url 0)" VIRTENGINE_CHAIN_ID "$CHAIN_ID" \
        VIRTENGINE_HOME "$CLIENT" VIRTENGINE_KEYRING_BACKEND test
}

shell() {
    eval "$(environment)"
    # The caller's own settings, then ours: they must not be lost to a .bashrc that sets PATH.
    [[ ! -t 0 ]] || exec bash --rcfile <(
        echo "if [[ -f ~/.bashrc ]]; then . ~/.bashrc; fi"
        environment
        # shellcheck disable=SC2016
        printf 'PS1=%q"$PS1"\n' "($CHAIN_ID) "
    ) -i
    exec bash
}

# --- more

add_node() {
    need_network
    need_network_tools
    build
    lock
    [[ -n $(running) ]] || die "the network is stopped: start it with ./scripts/localnet.sh start"
    local i=0 target deadline
    while [[ -d $(home "$i") ]]; do i=$((i + 1)); done
    ((i < MAX_NODES)) || die "there are $MAX_NODES nodes already"
    clear_the_way "$i"
    init_node "$i"
    cp "$(home 0)/config/genesis.json" "$(home "$i")/config/genesis.json"
    configure "$i"
    target=$(height "$(running | head -n 1)")
    launch "$i"
    say "node$i joins; the network is at height $target"
    deadline=$((SECONDS + 600))
    until rpc "$i" status 2>/dev/null | jq -e --argjson h "$target" '.result.sync_info | (.latest_block_height | tonumber) >= $h and (.catching_up | not)' >/dev/null; do
        pid "$i" >/dev/null || fail_with_log "$i" "node$i has ended"
        ((SECONDS < deadline)) || fail_with_log "$i" "node$i has not caught up within 10 minutes"
        sleep 0.3
    done
    [[ $(app_hash "$i" "$target") == "$(app_hash "$(running | head -n 1)" "$target")" ]] || die "node$i has another app hash at height $target"
    echo "node$i has caught up and agrees at height $target"
    services
}

lab() {
    status >/dev/null || die "the network is not in order: see ./scripts/localnet.sh status"
    build
    cd "$ROOT"
    E2E_RUNNING_NETWORK=1 LOCALNET_DATA=$DATA exec cargo test --release --package e2e --test lab -- --nocapture
}

need_network_tools() { need curl jq; }

# The offset that the network was last started with; the environment's counts when it is started next.
read_offset() {
    OFFSET=${LOCALNET_PORT_OFFSET:-0}
    if exists && { [[ -z ${LOCALNET_PORT_OFFSET:-} ]] || [[ -n $(running) ]]; }; then
        OFFSET=$(<"$DATA/port-offset")
    fi
    [[ $OFFSET =~ ^[0-9]+$ && $OFFSET -le 30000 ]] || die "LOCALNET_PORT_OFFSET=$OFFSET: expected a number from 0 to 30000"
}

read_offset
command=${1:-help}
shift || true
case $command in
    start | stop | status | shell | test | add-node | env | restart)
        (($# == 0)) || die "$command takes no arguments, got: $*"
        ;;
esac
case $command in
    start) start ;;
    stop) stop ;;
    restart)
        stop
        start
        ;;
    reset) reset "$@" ;;
    status) status ;;
    logs) logs "$@" ;;
    env) environment ;;
    shell) shell ;;
    add-node) add_node ;;
    test) lab ;;
    help | -h | --help) usage ;;
    *)
        usage >&2
        die "unknown command $command"
        ;;
esac
