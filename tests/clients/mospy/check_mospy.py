"""mospy as published, over REST and over gRPC."""

import os

from check import check
from mospy import Account, Transaction
from mospy.clients import GRPCClient, HTTPClient
from mospy.exceptions.clients import TransactionNotFound
from cosmospy_protobuf.cosmos.base.v1beta1.coin_pb2 import Coin

CHAIN = os.environ["VE_CHAIN_ID"]
HOST, PORT = os.environ["VE_GRPC"].rsplit(":", 1)


def over(name, client):
    account = Account(seed_phrase=os.environ["VE_MNEMONIC"], hrp="virtengine")
    to = Account(hrp="virtengine").address

    def send(amount, gas=200_000, fee=5_000):
        tx = Transaction(
            account=account, gas=gas, fee=Coin(denom="uve", amount=str(fee)), memo=f"mospy over {name}", chain_id=CHAIN
        )
        tx.add_msg(tx_type="transfer", sender=account, recipient=to, amount=amount, denom="uve")
        return tx

    @check(f"{name}: reads account number and sequence")
    def _():
        client.load_account_data(account=account)
        assert account.account_number > 0 and account.next_sequence >= 0

    @check(f"{name}: estimates gas")
    def _():
        tx = send(10)
        gas = client.estimate_gas(transaction=tx)
        assert 30_000 < gas < 200_000, gas

    sent = {}

    @check(f"{name}: broadcasts, and finds what it sent")
    def _():
        tx = send(10)
        result = client.broadcast_transaction(transaction=tx)
        assert result["code"] == 0 and result["log"] is None, result
        found = client.wait_for_tx(tx_hash=result["hash"], timeout=20, poll_period=0.5)
        response = found.get("tx_response") or found["txResponse"]
        assert response["txhash"] == result["hash"] and int(response["height"]) > 0, response
        sent.update(result)

    @check(f"{name}: a transaction that nobody sent is not found")
    def _():
        try:
            client.get_tx(tx_hash="00" * 32)
        except TransactionNotFound:
            return
        raise AssertionError("a transaction that nobody sent")

    @check(f"{name}: a refused transaction is an answer with its code")
    def _():
        account.next_sequence += 7
        result = client.broadcast_transaction(transaction=send(10))
        assert result["code"] == 32, result
        assert result["log"].startswith("account sequence mismatch, expected "), result


over("rest", HTTPClient(api=os.environ["VE_REST"]))
over("grpc", GRPCClient(host=HOST, port=int(PORT)))
