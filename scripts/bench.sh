#!/usr/bin/env bash
# Measurements beside peers, in one run. Nothing else should run on the machine meanwhile.
#
#   scripts/bench.sh app    the application alone: µs per transaction by phase
#   scripts/bench.sh e2e    one validator under signed bank sends, beside CometBFT's kvstore over a unix socket, and the
#                           Cosmos SDK chain of ../shared/peers where that folder is
#   scripts/bench.sh api    gRPC and REST of one validator: what a query takes, what 1,000 subscriptions and 64 long lists at a
#                           time do to its blocks, and how much memory clients that mean harm make it take
#   scripts/bench.sh market the market: empty blocks over many leases, leases that run dry at one time, the messages of a
#                           lease's life, long lists; LEASES=1000000 for the largest (default 100000)
#
# The same CometBFT, configuration and transaction sizes for all; no WAL or indexer is switched off. Results go to
# bench/results as JSON, and a table to standard output.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

RESULTS=$ROOT/bench/results
ACCOUNTS=${ACCOUNTS:-2000}
ROUNDS=${ROUNDS:-20}
CHAIN=bench-1
BENCH=$CARGO_TARGET_DIR/release/bench
PEERS=$ROOT/../shared/peers
RPC=http://127.0.0.1:36657
WORK=

build_bench() {
    build
    (cd "$ROOT" && cargo build --release --package bench) >&2
    mkdir -p "$RESULTS"
}

clean_up() {
    local pid
    for pid in $(jobs -p); do kill "$pid" 2>/dev/null || true; done
    [[ -z ${WORK:-} ]] || pkill -f -- "--home $WORK" || true
    wait 2>/dev/null || true
    [[ -z $WORK || -n ${KEEP:-} ]] || rm -rf "$WORK"
}
trap clean_up EXIT

# User and system time of a process, in ms.
cpu_ms() { awk -v hz="$(getconf CLK_TCK)" '{ sub(/.*\) /, ""); print ($12 + $13) * 1000 / hz }' "/proc/$1/stat"; }

wait_for_block() {
    for _ in $(seq 1 120); do
        [[ $(curl -s "$RPC/status" | jq -r '.result.sync_info.latest_block_height // "0"' 2>/dev/null) -gt 1 ]] 2>/dev/null && return
        sleep 0.5
    done
    die "no block was committed: see $WORK"
}

# The configuration that every node gets: that of virtengine init, on the ports of this run.
configure() {
    sed -i -e 's#tcp://127.0.0.1:26657#tcp://127.0.0.1:36657#' -e 's#tcp://0.0.0.0:26656#tcp://127.0.0.1:36656#' "$1/config/config.toml"
}

# measure NAME FILE PID…: sends the file, prints one JSON line with tx/s and CPU per committed transaction and process.
measure() {
    local name=$1 file=$2 before=() after=() pid out i
    shift 2
    wait_for_block
    for pid in "$@"; do before+=("$(cpu_ms "$pid")"); done
    out=$("$BENCH" blast --rpc "$RPC" --accounts "$ACCOUNTS" "$file")
    for pid in "$@"; do after+=("$(cpu_ms "$pid")"); done
    for i in "${!before[@]}"; do
        out=$(jq -c --argjson i "$i" --argjson ms "$(awk "BEGIN { print ${after[i]} - ${before[i]} }")" \
            '.cpu_us_per_tx[$i] = (($ms * 100000 / .committed | round) / 100)' <<<"$out")
    done
    jq -c --arg name "$name" '{name: $name} + .' <<<"$out"
}

stop() {
    kill "$@" 2>/dev/null || true
    wait "$@" 2>/dev/null || true
    sleep 1
}

# A new validator with the accounts of the load, until stop; its processes in OURS.
start_ours() {
    local home=$WORK/ours client=$1
    rm -rf "$home"
    local ve=("$BIN/virtengine" --home "$home" --chain-id "$CHAIN" --keyring-backend test)
    "${ve[@]}" init bench >/dev/null
    "${ve[@]}" keys add validator >/dev/null 2>&1
    "$BENCH" accounts "$ACCOUNTS" >"$WORK/accounts.json"
    "${ve[@]}" genesis bulk-add-genesis-account "$WORK/accounts.json"
    "${ve[@]}" genesis add-genesis-account validator 1000000000000uve
    "${ve[@]}" genesis gentx validator 500000000000uve 2>/dev/null
    "${ve[@]}" genesis collect-gentxs 2>/dev/null
    configure "$home"
    VIRTENGINE_ABCI_CLIENT=$client "${ve[@]}" start --grpc.address 127.0.0.1:39090 --api.address 127.0.0.1:31317 --log-level error >"$WORK/ours.log" 2>&1 &
    OURS=("$!")
    sleep 2
    OURS+=("$(pgrep -P "${OURS[0]}" | head -1)")
}

ours() {
    start_ours "$1"
    measure "virtengine, $1 ABCI client" "$WORK/sends.txt" "${OURS[@]}"
    stop "${OURS[0]}"
}

api() {
    build_bench
    WORK=$(mktemp -d)
    "$BENCH" txs --chain-id "$CHAIN" --first 1 --accounts "$ACCOUNTS" --rounds 24 "$WORK/sends.txt"
    start_ours own
    wait_for_block
    # The clients would be on other machines: they get what the node leaves.
    nice -n 10 "$BENCH" api --rpc "${RPC#http://}" --grpc 127.0.0.1:39090 --rest 127.0.0.1:31317 --pid "${OURS[0]}" "$WORK/sends.txt" |
        tee "$RESULTS/api.json"
    stop "${OURS[0]}"
}

kvstore() {
    local home=$WORK/kv app pid
    rm -rf "$home"
    "$BIN/virtengine" --home "$home" --chain-id "$CHAIN" init bench >/dev/null
    configure "$home"
    # A validator of CometBFT's own making, for an application that knows nothing of staking.
    jq --slurpfile key "$home/config/priv_validator_key.json" '.app_state = {} | .validators = [{address: $key[0].address, pub_key: $key[0].pub_key, power: "10", name: ""}]' \
        "$home/config/genesis.json" >"$home/config/g" && mv "$home/config/g" "$home/config/genesis.json"
    "$WORK/abci-kvstore" "$WORK/kv.sock" >"$WORK/kvapp.log" 2>&1 &
    app=$!
    sleep 1
    VIRTENGINE_ABCI_CLIENT=stock "$BIN/cometbft" start --home "$home" --proxy_app "unix://$WORK/kv.sock" >"$WORK/kv.log" 2>&1 &
    pid=$!
    measure 'kvstore, unix socket, stock ABCI client' "$WORK/kvs.txt" "$app" "$pid"
    stop "$pid" "$app"
}

sdk() {
    local home=$WORK/sdk pid
    export PEER_PREFIX=virtengine
    local peer=("$WORK/sdkpeer" --home "$home")
    "${peer[@]}" init bench --chain-id "$CHAIN" --default-denom uve >/dev/null 2>&1
    "${peer[@]}" keys add validator --keyring-backend test >/dev/null 2>&1
    "${peer[@]}" genesis add-genesis-account validator 1000000000000uve --keyring-backend test >/dev/null 2>&1
    # After it: this leaves the supply to be computed. The accounts are numbered from 1.
    "${peer[@]}" load-accounts "$home/config/genesis.json" "$ACCOUNTS"
    "${peer[@]}" genesis gentx validator 500000000000uve --chain-id "$CHAIN" --keyring-backend test >/dev/null 2>&1
    "${peer[@]}" genesis collect-gentxs >/dev/null 2>&1
    cp "$WORK/ours/config/config.toml" "$home/config/config.toml"
    "$BENCH" txs --chain-id "$CHAIN" --first 1 --accounts "$ACCOUNTS" --rounds "$((ROUNDS / 4 + 1))" "$WORK/sdk.txt"
    "${peer[@]}" start --minimum-gas-prices 0.025uve >"$WORK/sdk.log" 2>&1 &
    pid=$!
    measure 'Cosmos SDK v0.53' "$WORK/sdk.txt" "$pid"
    stop "$pid"
}

e2e() {
    build_bench
    WORK=$(mktemp -d)
    (cd "$ROOT/node/cometbft" && go build -o "$WORK/abci-kvstore" ./kvstore) >&2
    "$BENCH" txs --chain-id "$CHAIN" --first 1 --accounts "$ACCOUNTS" --rounds "$ROUNDS" "$WORK/sends.txt"
    local size
    size=$(head -1 "$WORK/sends.txt" | base64 -d | wc -c)
    "$BENCH" kvs --count "$((ACCOUNTS * ROUNDS))" --size "$size" "$WORK/kvs.txt"
    # No pipe here: what runs in a subshell is out of clean_up's reach.
    {
        ours own
        kvstore
        ours stock
        if [[ -d $PEERS/cosmos-sdk ]]; then
            (cd "$PEERS/cosmos-sdk" && go build -o "$WORK/sdkpeer" .) >&2
            sdk
        fi
    } >"$WORK/lines"
    jq -s --arg cometbft "$("$BIN/cometbft" version)" --argjson size "$size" --rawfile config "$WORK/ours/config/config.toml" \
        '{cometbft: $cometbft, transaction_bytes: $size, runs: ., config: $config}' "$WORK/lines" >"$RESULTS/e2e.json"
    jq -r '"| node | tx/s | CPU µs per tx |", "|---|---|---|", (.runs[] | "| \(.name) | \(.tx_per_second) | \(.cpu_us_per_tx | join(" + ")) |")' "$RESULTS/e2e.json" |
        tee "$RESULTS/e2e.md"
}

case ${1:-} in
app)
    build_bench
    "$BENCH" app | tee "$RESULTS/app.json"
    ;;
e2e) e2e ;;
api) api ;;
market)
    build_bench
    for what in finalize-market settle-idle expire-storm; do
        count=()
        [[ $what == finalize-market ]] || count=(--leases "${LEASES:-100000}")
        "$BENCH" "$what" "${count[@]}" | tee "$RESULTS/$what.json"
    done
    ;;
*) sed -n '2,/^set -e/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" ;;
esac
