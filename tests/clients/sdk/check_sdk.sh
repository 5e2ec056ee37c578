#!/usr/bin/env bash
# Cosmos SDK v0.53's own command line against the node, and the keyring's files between it and virtengine.
# shellcheck source=../check.sh
. ./check.sh

HOME_DIR=$(mktemp -d)
trap 'rm -rf "$HOME_DIR"; ((failed == 0)) || exit 1' EXIT
PASSWORD='correct horse battery'
NODE=(--node "${VE_RPC/http/tcp}")
NET=("${NODE[@]}" --chain-id "$VE_CHAIN_ID")
KEYS=(--home "$HOME_DIR" --keyring-backend test)

SDK=$PWD/sdk
sdk() { "$SDK" "$@"; }
ve() { "$VE_BIN" "$@"; }
# address KEYRING-FLAGS…: the SDK's word for the key `me`.
address() { sdk keys show me -a "$@"; }
# wait_for HASH: the code of a transaction once it is in a block.
wait_for() { timeout 30 ./sdk query wait-tx "$1" "${NODE[@]}" --output json | jq -e .code; }
# The hash of what the mempool took.
accepted() { jq -er 'if .code == 0 then .txhash else error(.raw_log) end'; }

add_key() { sdk keys add me --recover "${KEYS[@]}" --output json <<<"$VE_MNEMONIC"; }
check 'recovers a key from its mnemonic' add_key
ME=$(address "${KEYS[@]}")

balance() { matches "$(sdk query balance "$ME" uve "${NODE[@]}")" '^[0-9]+uve$'; }
check 'reads a balance through abci_query' balance

# The index of transactions is a moment behind the blocks.
patiently() {
    local _
    for _ in {1..20}; do "$@" 2>/dev/null && return; sleep 0.5; done
    "$@"
}

# send FLAG…: with estimated gas, which the SDK asks for with a fee of 0uve.
send() {
    local hash found
    hash=$(sdk tx bank send me "$ME" 5uve "${KEYS[@]}" "${NET[@]}" --gas auto --gas-adjustment 1.5 --gas-prices 0.025uve --yes --output json "$@" | accepted)
    expect 0 "$(wait_for "$hash")"
    found=$(patiently sdk query tx "$hash" "${NODE[@]}" --output json)
    expect "[\"$hash\",0,\"\",\"/cosmos.tx.v1beta1.Tx\"]" "$(jq -c '[.txhash,.code,.raw_log,.tx["@type"]]' <<<"$found")"
}
both_modes() {
    send --sign-mode direct
    send --sign-mode amino-json
}
check 'bank send with estimated gas in both sign modes; wait-tx; query tx' both_modes

search() {
    local found
    found=$(sdk query txs --query "message.sender='$ME'" "${NODE[@]}" --output json)
    matches "$(jq -r .total_count <<<"$found")" '^[2-9]$'
}
check 'query txs by sender' search

by_sequence() {
    local found
    found=$(sdk query tx --type=acc_seq "$ME/0" "${NODE[@]}" --output json)
    expect 0 "$(jq .code <<<"$found")"
}
check 'query tx by account and sequence' by_sequence

offline() {
    local dir=$HOME_DIR hash account sequence mode
    sdk tx bank send "$ME" "$ME" 7uve "${KEYS[@]}" "${NET[@]}" --gas 200000 --fees 5000uve --generate-only >"$dir/unsigned.json"
    for mode in direct amino-json; do
        read -r account sequence < <(curl -s "$VE_REST/cosmos/auth/v1beta1/account_info/$ME" | jq -r '.info | "\(.account_number) \(.sequence)"')
        sdk tx sign "$dir/unsigned.json" --from me "${KEYS[@]}" --chain-id "$VE_CHAIN_ID" --offline --account-number "$account" \
            --sequence "$sequence" --sign-mode "$mode" --output-document "$dir/signed.json"
        sdk tx validate-signatures "$dir/signed.json" "${NET[@]}" --home "$dir"
        hash=$(sdk tx broadcast "$dir/signed.json" "${NET[@]}" --home "$dir" --output json | accepted)
        expect 0 "$(wait_for "$hash")"
    done
}
check 'signs offline, validates, broadcasts' offline

exchange() {
    local dir=$HOME_DIR hash
    # Signed by ours, sent by theirs.
    ve tx sign "$dir/unsigned.json" --from me --home "$dir" --keyring-backend test --node "$VE_RPC" --chain-id "$VE_CHAIN_ID" --output json >"$dir/ours.json"
    sdk tx validate-signatures "$dir/ours.json" "${NET[@]}" --home "$dir"
    hash=$(sdk tx broadcast "$dir/ours.json" "${NET[@]}" --home "$dir" --output json | accepted)
    expect 0 "$(wait_for "$hash")"
    # Signed by theirs, encoded by both, sent by ours.
    sdk tx sign "$dir/unsigned.json" --from me "${KEYS[@]}" "${NET[@]}" --output-document "$dir/theirs.json"
    expect "$(sdk tx encode "$dir/theirs.json")" "$(ve tx encode "$dir/theirs.json")"
    ve tx broadcast "$dir/theirs.json" --home "$dir" --node "$VE_RPC" --chain-id "$VE_CHAIN_ID" --output json | jq -e '.code == 0'
}
check 'transactions as files go from virtengine to the SDK and back' exchange

refusal() {
    local said
    said=$(sdk tx bank send me "$ME" 5uve "${KEYS[@]}" "${NET[@]}" --gas 200000 --yes --output json)
    expect '[13,"sdk"]' "$(jq -c '[.code,.codespace]' <<<"$said")"
}
check 'a fee too low is refused with code 13' refusal

validators() { expect 1 "$(sdk query comet-validator-set "${NODE[@]}" --output json | jq '.validators | length')"; }
check 'reads the validator set' validators

# --- keyrings

same() { expect "$ME" "$(jq -r 'if type == "array" then .[] else . end | select(.name == "me") | .address')"; }
test_theirs() { ve keys list "${KEYS[@]}" --output json | same; }
check 'virtengine reads a test keyring of the SDK' test_theirs

test_ours() {
    local ours=$HOME_DIR/ours
    ve keys add me --recover --home "$ours" --keyring-backend test --output json <<<"$VE_MNEMONIC"
    sdk keys list --home "$ours" --keyring-backend test --output json | same
    # The private key too: it signs.
    sdk tx sign "$HOME_DIR/unsigned.json" --from me --home "$ours" --keyring-backend test --chain-id "$VE_CHAIN_ID" --offline --account-number 1 --sequence 0 | jq -e '.signatures[0]'
}
check 'the SDK reads a test keyring of virtengine' test_ours

file_theirs() {
    local dir=$HOME_DIR/file-theirs
    printf '%s\n' "$VE_MNEMONIC" "$PASSWORD" "$PASSWORD" | sdk keys add me --recover --home "$dir" --keyring-backend file --output json
    ve keys list --home "$dir" --keyring-backend file --output json <<<"$PASSWORD" | same
    ve tx sign "$HOME_DIR/unsigned.json" --from me --home "$dir" --keyring-backend file --chain-id "$VE_CHAIN_ID" --offline --account-number 1 \
        --sequence 0 --output json <<<"$PASSWORD" | jq -e '.signatures[0]'
    refused ve keys list --home "$dir" --keyring-backend file <<<'another password'
}
check 'virtengine opens a file keyring of the SDK with its password alone' file_theirs

file_ours() {
    local dir=$HOME_DIR/file-ours
    printf '%s\n' "$VE_MNEMONIC" "$PASSWORD" "$PASSWORD" | ve keys add me --recover --home "$dir" --keyring-backend file --output json
    sdk keys list --home "$dir" --keyring-backend file --output json <<<"$PASSWORD" | same
    sdk tx sign "$HOME_DIR/unsigned.json" --from me --home "$dir" --keyring-backend file --chain-id "$VE_CHAIN_ID" --offline --account-number 1 \
        --sequence 0 <<<"$PASSWORD" | jq -e '.signatures[0]'
    refused sdk keys show me --home "$dir" --keyring-backend file <<<'another password'
}
check 'the SDK opens a file keyring of virtengine with its password alone' file_ours

# Keys of one keyring, whose members sign here and there: a multisig key of which both have to.
multisig() {
    local here=(--home "$HOME_DIR/multisig" --keyring-backend test) there=(--home "$HOME_DIR/member" --keyring-backend test) team
    local numbers=(--chain-id "$VE_CHAIN_ID" --offline --account-number 9 --sequence 3)
    cd "$HOME_DIR"
    ve keys add me --recover "${here[@]}" <<<"$VE_MNEMONIC"
    sdk keys add other "${there[@]}"
    ve keys add other --pubkey "$(sdk keys show other --pubkey "${there[@]}")" "${here[@]}"
    ve keys add team --multisig me,other --multisig-threshold 2 "${here[@]}"
    team=$(ve keys show team -a "${here[@]}")
    expect "$team" "$(sdk keys show team -a "${here[@]}")"
    expect '["local","multi","offline"]' "$(sdk keys list "${here[@]}" --output json | jq -c 'map(.type) | sort')"
    sdk tx bank send "$team" "$ME" 7uve "${here[@]}" "${numbers[@]:2}" --generate-only --gas 200000 --fees 5000uve >team.json
    sdk keys add team --pubkey "$(ve keys show team --pubkey "${here[@]}")" "${there[@]}"
    sdk tx sign team.json --from other --multisig "$team" "${there[@]}" "${numbers[@]}" --output-document other.sig
    ve tx sign team.json --from me --multisig team "${here[@]}" "${numbers[@]}" >me.sig
    ve tx multi-sign team.json team me.sig other.sig "${here[@]}" "${numbers[@]}" >ours.json
    sdk tx multi-sign team.json team me.sig other.sig "${here[@]}" "${numbers[@]}" --output-document theirs.json
    expect "$(jq -cS . theirs.json)" "$(jq -cS . ours.json)"
    expect "$(sdk tx encode theirs.json)" "$(ve tx encode ours.json)"
}
check 'a multisig key: the keyring of virtengine, signatures of both, joined by both' multisig

armor_ours() {
    local dir=$HOME_DIR/armor-ours
    ve keys export me "${KEYS[@]}" <<<"$PASSWORD" >"$HOME_DIR/ours.asc"
    sdk keys import me "$HOME_DIR/ours.asc" --home "$dir" --keyring-backend test <<<"$PASSWORD"
    sdk keys list --home "$dir" --keyring-backend test --output json | same
}
check 'the SDK imports a key that virtengine exported' armor_ours

armor() {
    local dir=$HOME_DIR/armor
    printf '%s\n' "$PASSWORD" "$PASSWORD" | sdk keys export me "${KEYS[@]}" >"$HOME_DIR/theirs.asc" 2>&1
    sed -n '/BEGIN/,/END/p' "$HOME_DIR/theirs.asc" >"$HOME_DIR/key.asc"
    ve keys import me "$HOME_DIR/key.asc" --home "$dir" --keyring-backend test <<<"$PASSWORD"
    ve keys list --home "$dir" --keyring-backend test --output json | same
}
check 'virtengine imports a key that the SDK exported' armor

# The secret service: a session bus for each command, which starts gnome-keyring on demand. The collection is made here, without
# a password, because the service would ask for one in a window.
SECRETS=$HOME_DIR/secrets
mkdir -p "$SECRETS/keyrings"
printf '%s\n' '[keyring]' display-name=virtengine ctime=0 mtime=0 lock-on-idle=false lock-after=false >"$SECRETS/keyrings/virtengine.keyring"
in_session() { XDG_DATA_HOME=$SECRETS XDG_RUNTIME_DIR=$SECRETS dbus-run-session -- "$@"; }
os_signs() {
    in_session "$1" tx sign "$HOME_DIR/unsigned.json" --from me --home "$SECRETS" --keyring-backend os --chain-id "$VE_CHAIN_ID" --offline \
        --account-number 1 --sequence 0 --output json | jq -e '.signatures[0]'
}

os_theirs() {
    in_session ./sdk keys add me --recover --home "$SECRETS" --keyring-backend os --output json <<<"$VE_MNEMONIC"
    # Where a session has no secret service, the SDK takes something else.
    grep -q me.info "$SECRETS/keyrings/virtengine.keyring"
    in_session "$VE_BIN" keys list --home "$SECRETS" --keyring-backend os --output json | same
    os_signs "$VE_BIN"
}
check 'virtengine reads a secret service keyring of the SDK' os_theirs

os_ours() {
    in_session "$VE_BIN" keys delete me --yes --home "$SECRETS" --keyring-backend os
    refused in_session ./sdk keys show me --home "$SECRETS" --keyring-backend os
    in_session "$VE_BIN" keys add me --recover --home "$SECRETS" --keyring-backend os --output json <<<"$VE_MNEMONIC"
    in_session ./sdk keys list --home "$SECRETS" --keyring-backend os --output json | same
    os_signs ./sdk
}
check 'the SDK reads a secret service keyring of virtengine' os_ours
