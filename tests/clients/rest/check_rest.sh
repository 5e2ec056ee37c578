#!/usr/bin/env bash
# REST as explorers and wallets ask it: the paths of their block, account, staking and transaction pages, the JSON that
# they read, heights and pages, and what bad requests get.
# shellcheck source=../check.sh
. ./check.sh

ve() { "$VE_BIN" "$@" --home "$VE_HOME" --keyring-backend test --node "$VE_RPC" --chain-id "$VE_CHAIN_ID"; }
address() { "$VE_BIN" keys show "$1" -a --home "$VE_HOME" --keyring-backend test; }
VALIDATOR=$(address validator)

# get PATH JQ-FILTER CURL-FLAG…: the filter's compact answer from a successful request.
get() { curl -gsS --fail-with-body "${@:3}" "$VE_REST$1" | jq -ce "$2"; }
# status PATH CURL-FLAG…: the HTTP status and the error's code.
status() { curl -gsS -o /dev/stdout -w '\n%{http_code}' "${@:2}" "$VE_REST$1" | jq -sc '[.[1], .[0].code?]'; }
message() { curl -gsS "${@:2}" "$VE_REST$1" | jq -r .message; }

OPERATOR=$(get /cosmos/staking/v1beta1/validators '.validators[0].operator_address' | tr -d '"')

blocks() {
    local base=/cosmos/base/tendermint/v1beta1 height
    height=$(get $base/blocks/latest '.block.header.height | tonumber')
    expect "\"$VE_CHAIN_ID\"" "$(get "$base/blocks/$height" .block.header.chain_id)"
    matches "$(get "$base/blocks/$height" .sdk_block.header.proposer_address)" '^"virtenginevalcons1'
    matches "$(get "$base/blocks/$height" .block_id.hash)" '^"[A-Za-z0-9+/]{43}="$'
    get "$base/validatorsets/latest?pagination.limit=300" '.validators[0] | .address, .pub_key.key, .voting_power'
    expect "\"$height\"" "$(get "$base/validatorsets/$height" .block_height)"
    expect false "$(curl -s "$VE_REST$base/syncing" | jq .syncing)"
    matches "$(get $base/node_info .application_version.cosmos_sdk_version)" '^"v0\.53\.'
}
check 'block pages' blocks

node() {
    local said
    said=$(get /cosmos/base/node/v1beta1/status .)
    jq -e '(.height | tonumber) > 0 and (.earliest_store_height | tonumber) > 0 and (.app_hash | length) == 44 and (.validator_hash | length) == 44' <<<"$said"
    # The hash is that of the block's own header.
    expect "$(jq .app_hash <<<"$said")" "$(get "/cosmos/base/tendermint/v1beta1/blocks/$(jq -r .height <<<"$said")" .block.header.app_hash)"
    expect '"0.025uve"' "$(get /cosmos/base/node/v1beta1/config .minimum_gas_price)"
}
check 'status and configuration of the node' node

accounts() {
    expect "\"$VALIDATOR\"" "$(get "/cosmos/auth/v1beta1/accounts/$VALIDATOR" .account.address)"
    expect "\"$VALIDATOR\"" "$(get "/cosmos/auth/v1beta1/account_info/$VALIDATOR" .info.address)"
    get "/cosmos/auth/v1beta1/accounts?pagination.limit=2" '(.accounts | length) == 2 and .pagination.next_key != null'
    get /cosmos/auth/v1beta1/module_accounts '.accounts | map(.name) | contains(["fee_collector", "bonded_tokens_pool"])'
    expect '"virtengine"' "$(get /cosmos/auth/v1beta1/bech32 .bech32_prefix)"
    get "/cosmos/bank/v1beta1/balances/$VALIDATOR" '.balances[0].amount | tonumber > 0'
    get "/cosmos/bank/v1beta1/spendable_balances/$VALIDATOR" '.balances[0].amount | tonumber > 0'
    get "/cosmos/bank/v1beta1/balances/$VALIDATOR/by_denom?denom=uve" '.balance.amount | tonumber > 0'
    get /cosmos/bank/v1beta1/supply '.supply[0].amount | tonumber > 0'
    get '/cosmos/bank/v1beta1/supply/by_denom?denom=uve' '.amount.denom == "uve"'
    get /cosmos/bank/v1beta1/denom_owners/uve '.denom_owners | length > 0'
    get "/cosmos/feegrant/v1beta1/allowances/$VALIDATOR" '.allowances == []'
    get "/cosmos/authz/v1beta1/grants/grantee/$VALIDATOR" '.grants == []'
}
check 'account pages' accounts

staking() {
    local base=/cosmos/staking/v1beta1
    get "$base/validators?status=BOND_STATUS_BONDED&pagination.limit=300" '.validators[0] | .tokens == "1000000000000" and .consensus_pubkey["@type"] == "/cosmos.crypto.ed25519.PubKey"'
    expect '"1000000000000.000000000000000000"' "$(get "$base/validators/$OPERATOR" .validator.delegator_shares)"
    get "$base/validators/$OPERATOR/delegations" '.delegation_responses[0].balance.denom == "uve"'
    get "$base/delegations/$VALIDATOR" '.delegation_responses | length == 1'
    get "$base/delegators/$VALIDATOR/validators" '.validators | length == 1'
    get "$base/delegators/$VALIDATOR/unbonding_delegations" '.unbonding_responses == []'
    get "$base/delegators/$VALIDATOR/redelegations" '.redelegation_responses == []'
    get $base/pool '.pool.bonded_tokens == "1000000000000"'
    get $base/params '.params.unbonding_time == "1814400s" and .params.min_commission_rate == "0.000000000000000000"'
    get "/cosmos/distribution/v1beta1/delegators/$VALIDATOR/rewards" '.total == [] and .rewards[0].reward == []'
    get "/cosmos/distribution/v1beta1/validators/$OPERATOR/commission" '.commission.commission == []'
    get /cosmos/distribution/v1beta1/params '.params.community_tax == "0.000000000000000000"'
    expect '[404,5]' "$(status "$base/validators/$OPERATOR/delegations/$(address charlie)")"
}
check 'staking pages' staking

transactions() {
    local base=/cosmos/tx/v1beta1 to sent hash tx height
    to=$("$VE_BIN" keys add fresh --keyring-backend test --home "$(mktemp -d)" --output json 2>/dev/null | jq -r .address)
    sent=$(ve tx bank send rest "$to" 31uve --yes --output json --note 'over REST' 2>/dev/null)
    hash=$(jq -er .txhash <<<"$sent")
    tx=$(get "$base/txs/$hash" .)
    expect "[\"$hash\",0,\"\",[],\"/cosmos.tx.v1beta1.Tx\"]" "$(jq -c '.tx_response | [.txhash, .code, .raw_log, .logs, .tx["@type"]]' <<<"$tx")"
    matches "$(jq -r .tx_response.timestamp <<<"$tx")" '^[0-9-]{10}T[0-9:]{8}Z$'
    matches "$(jq -r .tx_response.data <<<"$tx")" '^[0-9A-F]+$'
    expect '[false,null,"over REST"]' "$(jq -c '.tx.body | [.unordered, .timeout_timestamp, .memo]' <<<"$tx")"
    jq -e '.tx.auth_info | has("tip") and .tip == null' <<<"$tx"
    height=$(jq -r .tx_response.height <<<"$tx")
    get "$base/txs/block/$height" '.txs | length > 0'
    get "$base/txs?query=transfer.recipient='$to'" '.total == "1" and .pagination == null and (.tx_responses | length) == 1'
    get "$base/txs?query=tx.height=$height&order_by=ORDER_BY_DESC&limit=1" '.tx_responses | length == 1'
    expect '"31"' "$(get "/cosmos/bank/v1beta1/balances/$to" '.balances[0].amount')"
    # Before its block the money was not there.
    expect '[]' "$(get "/cosmos/bank/v1beta1/balances/$to" .balances -H "x-cosmos-block-height: $((height - 1))")"
}
check 'transaction pages, search, and a balance at a height' transactions

# Estimates for a transfer of the account `rest`, of what wallets leave out and of what cannot work.
estimates() {
    local base=/cosmos/tx/v1beta1 from tx sequence said
    from=$(address rest)
    sequence=$(get "/cosmos/auth/v1beta1/account_info/$from" .info.sequence | tr -d '"')
    tx=$(ve tx bank send rest "$VALIDATOR" 1uve --generate-only --gas 1 --output json)
    # estimate JQ-FILTER: a request with the filtered transaction.
    estimate() {
        jq -c --arg sequence "$sequence" '.signatures = [""] | .auth_info.fee = { amount: [], gas_limit: "0" }
            | .auth_info.signer_infos = [{ mode_info: { single: { mode: "SIGN_MODE_DIRECT" } }, sequence: $sequence }] | '"$1 | { tx: . }" <<<"$tx"
    }
    for change in . '.signatures = ["anVuaw=="]' '.auth_info.signer_infos[0].mode_info.single.mode = (0, 99)' '.auth_info.fee = null'; do
        while read -r said; do
            get $base/simulate '.gas_info | .gas_wanted == "18446744073709551615" and (.gas_used | tonumber) > 20000' -d "$said"
        done < <(estimate "$change")
    done
    refusal() { # FILTER TEXT
        said=$(estimate "$1")
        expect '[500,2]' "$(status $base/simulate -d "$said")"
        matches "$(message $base/simulate -d "$said")" "$2 with gas used: '[0-9]+'\$"
    }
    refusal '.auth_info.signer_infos[0].sequence = "99"' "account sequence mismatch, expected $sequence, got 99: incorrect account sequence"
    refusal '.auth_info.fee.amount = [{ denom: "uve", amount: "999999999999999" }]' ': insufficient funds'
    refusal '.auth_info.fee.gas_limit = "9223372036854775808"' 'invalid gas supplied; 9223372036854775808 > 9223372036854775807: invalid request'
    refusal '.body.memo = "x" * 300' 'maximum number of characters is 256 but received 300 characters: memo too large'
    refusal '.body.timeout_height = "1"' ', timeout height: 1: tx timeout height'
    refusal '.signatures = []' 'no signatures supplied'
    refusal '.body.messages = []' 'must contain at least one message: invalid request'
    refusal '.body.messages[0] = { "@type": "/cosmos.authz.v1beta1.MsgExec", grantee: .body.messages[0].from_address, msgs: [] }' 'messages cannot be empty: invalid request'

    said=$(get $base/encode . -d "$(estimate '.body.memo = "encoded"')")
    expect '"encoded"' "$(get $base/decode .tx.body.memo -d "$said")"
    expect "$said" "$(get $base/encode . -d "$(get $base/decode . -d "$said")")"
    expect '[400,3]' "$(status $base/decode -d '{}')"
    expect '[500,2]' "$(status $base/decode -d '{"tx_bytes":"AQID"}')"
    matches "$(message $base/decode -d '{"tx_bytes":"AQID"}')" '^codespace sdk code 2: tx parse error: '
    expect '[501,12]' "$(status $base/decode/amino -d '{}')"
}
check 'estimates and their refusals; transactions encoded and decoded' estimates

missing() {
    local base=/cosmos/staking/v1beta1 other
    other=$(address charlie)
    expect '[500,2]' "$(status "/cosmos/authz/v1beta1/grants?granter=$VALIDATOR&grantee=$other&msg_type_url=/x")"
    expect 'codespace authz code 2: authorization not found: authorization not found for /x type' \
        "$(message "/cosmos/authz/v1beta1/grants?granter=$VALIDATOR&grantee=$other&msg_type_url=/x")"
    expect '[500,13]' "$(status "/cosmos/feegrant/v1beta1/allowance/$VALIDATOR/$other")"
    expect '[500,13]' "$(status "$base/delegators/$other/validators/$OPERATOR")"
    expect '[500,13]' "$(status "$base/delegators/$VALIDATOR/redelegations?src_validator_addr=$OPERATOR&dst_validator_addr=$OPERATOR")"
    expect '[500,2]' "$(status $base/validators/xyz)"
    expect 'decoding bech32 failed: invalid bech32 string length 3' "$(message $base/validators/xyz)"
    matches "$(message "$base/validators/${OPERATOR%?}!")" '^decoding bech32 failed: invalid character not part of charset: 33$'
}
check 'grants, delegations and addresses that are not there' missing

heights() {
    local headers
    headers=$(curl -sS -D - -o /dev/null "$VE_REST/cosmos/bank/v1beta1/params" -H 'x-cosmos-block-height: 2' | tr -d '\r' | tr '[:upper:]' '[:lower:]')
    matches "$headers" 'x-cosmos-block-height: 2'
    matches "$headers" 'grpc-metadata-x-cosmos-block-height: 2'
    expect '[500,2]' "$(status /cosmos/bank/v1beta1/params -H 'x-cosmos-block-height: 99999999')"
    matches "$(message /cosmos/bank/v1beta1/params -H 'x-cosmos-block-height: 99999999')" '^codespace sdk code 26: invalid height: cannot query with height in the future'
    local invalid='codespace sdk code 18: invalid request:' path=/cosmos/bank/v1beta1/params
    expect '[500,2]' "$(status $path -H 'x-cosmos-block-height: -1')"
    expect "$invalid cannot query with height < 0; please provide a valid height" "$(message $path -H 'x-cosmos-block-height: -1')"
    expect '[500,2]' "$(status $path -H 'x-cosmos-block-height: soon')"
    matches "$(message $path -H 'x-cosmos-block-height: soon')" "^$invalid Baseapp.RegisterGRPCServer: invalid height header "
}
check 'heights in and out; future and malformed ones' heights

pages() {
    local base=/cosmos/auth/v1beta1/accounts key at
    get "$base?pagination.limit=1" '.pagination.total == "0"'
    get $base '.pagination.total | tonumber > 5'
    get "$base?pagination.limit=1&pagination.count_total=true" '.pagination.total | tonumber > 5'
    get "$base?pagination.limit=1&pagination.countTotal=true" '.pagination.total | tonumber > 5'
    # At one height: others send meanwhile.
    at=(-H "x-cosmos-block-height: $(get /cosmos/base/node/v1beta1/status .height | tr -d '"')")
    key=$(get "$base?pagination.limit=1" .pagination.next_key "${at[@]}" | tr -d '"\n' | jq -sRr '@uri')
    expect "$(get "$base?pagination.limit=1&pagination.offset=1" .accounts "${at[@]}")" "$(get "$base?pagination.limit=1&pagination.key=$key" .accounts "${at[@]}")"
    expect "$(get "$base?pagination.reverse=true&pagination.limit=1" '.accounts[0]' "${at[@]}")" "$(get $base '.accounts[-1]' "${at[@]}")"
    get "$base?pagination.limit=18446744073709551615&unknown=parameter" '.accounts | length > 5'
    expect '[400,3]' "$(status "$base?pagination.limit=ten")"
    expect '[400,3]' "$(status "$base?pagination.limit=-1")"
    expect '[400,3]' "$(status "$base?pagination.limit=99999999999999999999")"
    expect '[500,13]' "$(status "/cosmos/tx/v1beta1/txs?query=tx.height%3E0&page=9999")"
    matches "$(message "/cosmos/tx/v1beta1/txs?query=tx.height%3E0&page=9999")" '^page should be within \[1, [0-9]+\] range, given 9999'
}
check 'pages by key, offset, reverse and total; huge and malformed ones' pages

mistakes() {
    local tx=/cosmos/tx/v1beta1
    expect '[501,12]' "$(status /cosmos/nothing/v1/here)"
    expect '[501,12]' "$(status /ibc/apps/transfer/v1/params)"
    expect '[400,3]' "$(status /cosmos/bank/v1beta1/spendable_balances/test)"
    expect '[500,2]' "$(status /cosmos/auth/v1beta1/accounts/xyz)"
    expect '[404,5]' "$(status "$tx/txs/$(printf '0%.0s' {1..64})")"
    expect '[500,13]' "$(status "$tx/txs?events=message.sender='x'")"
    expect '[500,13]' "$(status "$tx/txs?query=)(")"
    expect '[400,3]' "$(status $tx/simulate -d '{}')"
    expect '[400,3]' "$(status $tx/simulate -d '{"tx_bytes"')"
    expect '[400,3]' "$(status $tx/simulate -d '[]' -H 'content-type: application/xml')"
    expect '[400,3]' "$(status $tx/txs -d '{"tx_bytes":"","mode":"BROADCAST_MODE_SYNC"}')"
    expect '[500,2]' "$(status $tx/txs -d '{"tx_bytes":"AQ=="}')"
    expect '[200,2,"sdk"]' "$(curl -s -w '\n%{http_code}' "$VE_REST$tx/txs" -d '{"tx_bytes":"AQID","mode":"BROADCAST_MODE_SYNC"}' | jq -sc '[.[1], .[0].tx_response.code, .[0].tx_response.codespace]')"
    expect '[400,3]' "$(head -c 8000000 /dev/zero | tr '\0' x | curl -s -w '\n%{http_code}' "$VE_REST$tx/simulate" --data-binary @- | jq -sc '[.[1], .[0].code]')"
    expect '[501,12]' "$(status /cosmos/bank/v1beta1/params -X DELETE)"
}
check 'what bad requests get' mistakes

abci_query() {
    local said
    ask() { curl -gs "$VE_RPC/abci_query?path=\"$1\"&data=0x$2&prove=${3:-false}&height=${4:-0}" | jq -c '.result.response | [.code, .codespace, .log]'; }
    expect '[6,"sdk","unknown query path: unknown request"]' "$(ask /cosmos.none.v1.Query/X '')"
    expect '[18,"sdk","rpc error: code = InvalidArgument desc = tx hash cannot be empty: invalid request"]' "$(ask /cosmos.tx.v1beta1.Service/GetTx '')"
    expect '[18,"sdk","rpc error: code = InvalidArgument desc = empty txBytes is not allowed: invalid request"]' "$(ask /cosmos.tx.v1beta1.Service/Simulate '')"
    # QueryValidatorRequest{validator_addr: "xyz"}
    expect '[18,"sdk","decoding bech32 failed: invalid bech32 string length 3: invalid request"]' "$(ask /cosmos.staking.v1beta1.Query/Validator 0a0378797a)"
    expect '[4,"store","no such store: nothing: unknown request"]' "$(ask /store/nothing/key 00)"
    expect '[18,"sdk"]' "$(ask /store/bank/key 00 true 1 | jq -c '.[:2]')"
    expect '[0,"","version does not exist"]' "$(ask /store/bank/key 00 false 99999999)"
    expect '[18,"sdk"]' "$(ask /store/bank/key 00 true 99999999 | jq -c '.[:2]')"
    expect '[18,"sdk"]' "$(ask /store/bank/key 00 false -1 | jq -c '.[:2]')"
    said=$(ask /cosmos.auth.v1beta1.Query/Account ffff)
    expect '[18,"sdk"]' "$(jq -c '.[:2]' <<<"$said")"
}
check 'abci_query refuses as the SDK does' abci_query

documents() {
    get /swagger/openapi.json '.paths | has("/cosmos/bank/v1beta1/balances/{address}") and has("/cosmos/authz/v1beta1/grants")'
    matches "$(curl -s "$VE_REST/swagger")" '<html'
    expect true "$(get /swagger/openapi.json '[.paths[][].operationId] | length == (unique | length)')"
    expect 2 "$(get /virtengine/proofs/v1/specs length)"
    expect "$(get /virtengine/proofs/v1/specs .)" "$(curl -gs "$VE_RPC/abci_query?path=\"/app/proof-specs\"" | jq -r .result.response.value | base64 -d | jq -c .)"
    matches "$(curl -s -D - -o /dev/null -H 'Origin: https://a.example' "$VE_REST/cosmos/bank/v1beta1/params" | tr '[:upper:]' '[:lower:]')" 'access-control-allow-origin: \*'
}
check 'documents and CORS' documents
