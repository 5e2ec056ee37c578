"""cosmpy as published, over gRPC and over REST."""

import os

import grpc
from check import check
from cosmpy.aerial.client import LedgerClient, NetworkConfig, ValidatorStatus
from cosmpy.aerial.client.utils import prepare_basic_transaction
from cosmpy.aerial.client.bank import create_bank_send_msg
from cosmpy.aerial.exceptions import NotFoundError, OutOfGasError, BroadcastError
from cosmpy.aerial.tx import Transaction
from cosmpy.aerial.client import TxFee
from cosmpy.aerial.wallet import LocalWallet
from cosmpy.crypto.address import Address
from packaging.version import Version

CHAIN = os.environ["VE_CHAIN_ID"]
WALLET = LocalWallet.from_mnemonic(os.environ["VE_MNEMONIC"], prefix="virtengine")


def over(url):
    name = url.split("+")[0]
    config = NetworkConfig(
        chain_id=CHAIN, url=url, fee_minimum_gas_price=0.025, fee_denomination="uve", staking_denomination="uve"
    )
    client = LedgerClient(config, query_interval_secs=1)
    me = WALLET.address()

    def fresh():
        return LocalWallet.generate(prefix="virtengine").address()

    @check(f"{name}: reads chain id, height, block and node")
    def _():
        assert client.query_chain_id() == CHAIN
        height = client.query_height()
        assert height > 0
        assert client.query_block(height).height == height
        info = client.query_node_info()
        assert Version("0.53.0") <= info.cosmos_sdk_version < Version("0.54.0"), info
        assert info.app_name == "virtengine", info

    @check(f"{name}: reads consensus parameters")
    def _():
        gas = int(client.query_consensus_params().params.block.max_gas)
        assert gas == -1 or gas > 0, gas

    @check(f"{name}: reads an account")
    def _():
        account = client.query_account(me)
        assert account.number > 0 and account.address == me, account

    @check(f"{name}: a missing account is not found")
    def _():
        address = fresh()
        try:
            client.query_account(address)
        except grpc.RpcError as e:
            assert e.code() == grpc.StatusCode.NOT_FOUND and e.details() == f"account {address} not found", e
        except RuntimeError as e:
            assert f"account {address} not found" in str(e), e
        else:
            raise AssertionError("an account that nobody has")

    @check(f"{name}: reads balances")
    def _():
        balance = client.query_bank_balance(me)
        assert balance > 0
        assert [(c.denom, int(c.amount)) for c in client.query_bank_all_balances(me)] == [("uve", balance)]
        assert client.query_bank_balance(fresh()) == 0
        assert client.query_bank_all_balances(fresh()) == []

    sent = {}

    @check(f"{name}: estimates gas, sends and waits")
    def _():
        to = fresh()
        tx = client.send_tokens(to, 4321, "uve", WALLET, memo=f"over {name}").wait_to_complete()
        response = tx.response
        assert response.is_successful() and response.height > 0, response
        assert 0 < response.gas_used <= response.gas_wanted, response
        assert response.events["transfer"]["recipient"] == str(to), response.events
        assert client.query_bank_balance(to) == 4321
        sent["hash"] = tx.tx_hash

    @check(f"{name}: finds a transaction, and says when there is none")
    def _():
        found = client.query_tx(sent["hash"])
        assert found.code == 0 and found.raw_log == "" and found.timestamp is not None, found
        try:
            client.query_tx("00" * 32)
        except NotFoundError:
            return
        raise AssertionError("a transaction that nobody sent")

    @check(f"{name}: running out of gas is recognised")
    def _():
        tx = client.send_tokens(fresh(), 1, "uve", WALLET, fee=TxFee("2500uve", 30000))
        try:
            tx.wait_to_complete()
        except OutOfGasError as e:
            assert e.gas_wanted == 30000 and e.gas_used > 30000, e
            return
        raise AssertionError("30,000 gas were enough")

    @check(f"{name}: a used sequence is refused at broadcast")
    def _():
        account = client.query_account(me)
        account.sequence -= 1
        tx = Transaction()
        tx.add_message(create_bank_send_msg(me, fresh(), 1, "uve"))
        tx = prepare_basic_transaction(client, tx, WALLET, account=account, fee=TxFee("5000uve", 200000))
        try:
            client.broadcast_tx(tx)
        except BroadcastError as e:
            text = f"account sequence mismatch, expected {account.sequence + 1}, got {account.sequence}: incorrect account sequence"
            assert text in str(e), e
            return
        raise AssertionError("a sequence was used twice")

    @check(f"{name}: reads validators")
    def _():
        validators = client.query_validators()
        assert len(validators) == 1, validators
        assert validators[0].tokens == 10**12 and validators[0].status == ValidatorStatus.BONDED, validators
        assert str(validators[0].address).startswith("virtenginevaloper1"), validators
        assert client.query_validators(ValidatorStatus.UNBONDED) == []

    @check(f"{name}: reads what an account has staked")
    def _():
        summary = client.query_staking_summary(me)
        assert summary.total_staked == 0 and summary.current_positions == [], summary
        # The validator's own account delegates to it.
        operator = client.query_validators()[0].address
        delegator = Address(bytes(operator), prefix="virtengine")
        summary = client.query_staking_summary(delegator)
        assert summary.total_staked == 10**12, summary
        assert summary.total_rewards == 0, summary


over(f"grpc+http://{os.environ['VE_GRPC']}")
over(f"rest+{os.environ['VE_REST']}")
