#!/usr/bin/env bash
# grpcurl as published: reflection (v1, then v1alpha), unary calls, heights in metadata, statuses.
# shellcheck source=../check.sh
. ./check.sh

grpc() { ./grpcurl -plaintext "$@"; }
VALIDATOR=$("$VE_BIN" keys show validator -a --home "$VE_HOME" --keyring-backend test)
HEIGHT=$(curl -s "$VE_RPC/status" | jq -r .result.sync_info.latest_block_height)

lists() {
    local services
    services=$(grpc "$VE_GRPC" list)
    for s in cosmos.auth.v1beta1.Query cosmos.bank.v1beta1.Query cosmos.tx.v1beta1.Service cosmos.staking.v1beta1.Query \
        cosmos.base.tendermint.v1beta1.Service cosmos.base.node.v1beta1.Service cosmos.feegrant.v1beta1.Query \
        cosmos.authz.v1beta1.Query grpc.health.v1.Health grpc.reflection.v1.ServerReflection virtengine.market.v1.Query; do
        grep -qx "$s" <<<"$services" || { echo "$s is not listed" && return 1; }
    done
    [[ $(grpc "$VE_GRPC" list cosmos.bank.v1beta1.Query | wc -l) -ge 10 ]]
}
check 'lists services and their methods' lists

describes() {
    local service
    # Every listed service and every type that it mentions can be described.
    for service in $(grpc "$VE_GRPC" list); do grpc "$VE_GRPC" describe "$service" >/dev/null; done
    matches "$(grpc "$VE_GRPC" describe cosmos.bank.v1beta1.MsgSend)" 'cosmos.base.v1beta1.Coin amount'
    matches "$(grpc "$VE_GRPC" describe virtengine.market.v1.MsgCreateBid)" 'message MsgCreateBid'
}
check 'describes every service, and messages' describes

unknown() {
    local said
    said=$(refused grpc "$VE_GRPC" describe cosmos.bank.v1beta1.Nothing)
    matches "$said" 'ymbol not found: cosmos.bank.v1beta1.Nothing'
}
check 'says that a symbol is unknown' unknown

balance() { grpc "${@:2}" -d "{\"address\":\"$1\",\"denom\":\"uve\"}" "$VE_GRPC" cosmos.bank.v1beta1.Query/Balance; }
calls() {
    matches "$(balance "$VALIDATOR" | jq -r .balance.amount)" '^[0-9]+$'
    expect "$VE_CHAIN_ID" "$(grpc "$VE_GRPC" cosmos.base.tendermint.v1beta1.Service/GetNodeInfo | jq -r .defaultNodeInfo.network)"
    expect "$VALIDATOR" "$(grpc -d "{\"address\":\"$VALIDATOR\"}" "$VE_GRPC" cosmos.auth.v1beta1.Query/Account | jq -r .account.address)"
}
check 'calls, and resolves an Any by reflection' calls

at_height() {
    local said
    said=$(balance "$VALIDATOR" -v -H "x-cosmos-block-height: $HEIGHT")
    matches "$said" "x-cosmos-block-height: $HEIGHT"
    matches "$(balance "$VALIDATOR" -v)" 'x-cosmos-block-height: [0-9]+'
    said=$(refused balance "$VALIDATOR" -H 'x-cosmos-block-height: 99999999')
    matches "$said" 'codespace sdk code 26: invalid height: cannot query with height in the future'
}
check 'calls at a height, and is told the height of an answer' at_height

statuses() {
    local said
    said=$(refused grpc -d '{"address":"virtengine1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqp8vwl3"}' "$VE_GRPC" cosmos.auth.v1beta1.Query/Account)
    matches "$said" 'Code: (NotFound|InvalidArgument|Unknown)'
    said=$(refused grpc -d '{"address":"","denom":"uve"}' "$VE_GRPC" cosmos.bank.v1beta1.Query/Balance)
    matches "$said" 'Code: InvalidArgument'
    said=$(refused grpc -d '{"hash":"00"}' "$VE_GRPC" cosmos.tx.v1beta1.Service/GetTx)
    matches "$said" 'Code: (NotFound|Unknown)'
}
check 'statuses have the codes that clients know' statuses

healthy() { expect SERVING "$(grpc "$VE_GRPC" grpc.health.v1.Health/Check | jq -r .status)"; }
check 'asks for health' healthy
