//! cosmrs with tendermint-rpc as published: the flow of its own `msg_send` example, and looking at what came of it.

use anyhow::{Context, Result, ensure};
use cosmrs::crypto::secp256k1::SigningKey;
use cosmrs::proto::cosmos::auth::v1beta1::{BaseAccount, QueryAccountRequest, QueryAccountResponse};
use cosmrs::proto::traits::Message;
use cosmrs::tx::{self, Fee, Msg, SignDoc, SignerInfo};
use cosmrs::{AccountId, Coin, bank::MsgSend};
use std::env;
use std::process::ExitCode;
use std::time::Duration;
use tendermint_rpc::query::{EventType, Query};
use tendermint_rpc::{Client, HttpClient, Order};

struct Checks {
    rpc: HttpClient,
    chain: String,
    key: SigningKey,
    me: AccountId,
}

fn setting(name: &str) -> Result<String> {
    env::var(name).with_context(|| format!("{name} is not set; tests/clients/run.sh sets it"))
}

fn fee() -> Fee {
    Fee::from_amount_and_gas(Coin { amount: 5_000, denom: "uve".parse().expect("a denom") }, 200_000u64)
}

impl Checks {
    fn new() -> Result<Self> {
        let seed = bip32::Mnemonic::new(setting("VE_MNEMONIC")?, bip32::Language::English)?.to_seed("");
        let key = SigningKey::derive_from_path(seed, &"m/44'/118'/0'/0/0".parse()?)?;
        let me = key.public_key().account_id("virtengine").map_err(|e| anyhow::anyhow!(e))?;
        let rpc = HttpClient::new(setting("VE_RPC")?.as_str())?;
        Ok(Checks { rpc, chain: setting("VE_CHAIN_ID")?, key, me })
    }

    async fn status(&self) -> Result<()> {
        let status = self.rpc.status().await?;
        ensure!(status.node_info.network.as_str() == self.chain, "{}", status.node_info.network);
        let block = self.rpc.latest_block().await?.block;
        ensure!(block.header.chain_id.as_str() == self.chain);
        let results = self.rpc.block_results(status.sync_info.latest_block_height).await?;
        ensure!(results.height == status.sync_info.latest_block_height);
        ensure!(self.rpc.abci_info().await?.last_block_height.value() > 0);
        ensure!(self.rpc.validators(1u32, tendermint_rpc::Paging::All).await?.validators.len() == 1);
        Ok(())
    }

    async fn account(&self) -> Result<BaseAccount> {
        let path = "/cosmos.auth.v1beta1.Query/Account".to_owned();
        let request = QueryAccountRequest { address: self.me.to_string() }.encode_to_vec();
        let answer = self.rpc.abci_query(Some(path), request, None, false).await?;
        ensure!(answer.code.is_ok(), "{}", answer.log);
        let account = QueryAccountResponse::decode(answer.value.as_slice())?.account.context("no account")?;
        ensure!(account.type_url == "/cosmos.auth.v1beta1.BaseAccount", "{}", account.type_url);
        let account = BaseAccount::decode(account.value.as_slice())?;
        ensure!(account.account_number > 0 && account.address == self.me.to_string());
        Ok(account)
    }

    /// A signed transfer of 1 uve to ourselves.
    async fn signed(&self, memo: &str, late: u64) -> Result<Vec<u8>> {
        let account = self.account().await?;
        let amount = vec![Coin { amount: 1, denom: "uve".parse().expect("a denom") }];
        let msg = MsgSend { from_address: self.me.clone(), to_address: self.me.clone(), amount };
        let body = tx::Body::new(vec![msg.to_any().map_err(|e| anyhow::anyhow!(e))?], memo, 0u16);
        let auth = SignerInfo::single_direct(Some(self.key.public_key()), account.sequence + late).auth_info(fee());
        let doc = SignDoc::new(&body, &auth, &self.chain.parse()?, account.account_number).map_err(|e| anyhow::anyhow!(e))?;
        doc.sign(&self.key).and_then(|raw| raw.to_bytes()).map_err(|e| anyhow::anyhow!(e))
    }

    async fn msg_send(&self) -> Result<()> {
        let bytes = self.signed("from cosmrs", 0).await?;
        let sent = self.rpc.broadcast_tx_commit(bytes.clone()).await?;
        ensure!(sent.check_tx.code.is_ok(), "check: {:?}", sent.check_tx);
        ensure!(sent.tx_result.code.is_ok(), "result: {:?}", sent.tx_result);

        let found = loop {
            // The index is written shortly after the block.
            match self.rpc.tx(sent.hash, false).await {
                Ok(found) => break found,
                Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        };
        ensure!(found.hash == sent.hash && found.height == sent.height);
        ensure!(found.tx == bytes);
        let read = cosmrs::Tx::from_bytes(&found.tx).map_err(|e| anyhow::anyhow!(e))?;
        ensure!(read.body.memo == "from cosmrs" && read.auth_info.fee == fee());
        let msg = MsgSend::from_any(&read.body.messages[0]).map_err(|e| anyhow::anyhow!(e))?;
        ensure!(msg.from_address == self.me);

        let query = Query::from(EventType::Tx).and_eq("message.sender", self.me.to_string());
        let query = Query::from(query.to_string().trim_start_matches("tm.event = 'Tx' AND ").parse::<Query>()?);
        let list = self.rpc.tx_search(query, false, 1, 10, Order::Descending).await?;
        ensure!(list.txs.iter().any(|t| t.hash == sent.hash), "{} transactions, ours is not there", list.total_count);
        Ok(())
    }

    async fn refusals(&self) -> Result<()> {
        let refused = self.rpc.broadcast_tx_sync(self.signed("", 9).await?).await?;
        ensure!(refused.code.value() == 32 && refused.codespace == "sdk", "{refused:?}");
        ensure!(refused.log.starts_with("account sequence mismatch, expected "), "{}", refused.log);
        let refused = self.rpc.broadcast_tx_sync(vec![1, 2, 3]).await?;
        ensure!(refused.code.value() == 2 && refused.log.contains("tx parse error"), "{refused:?}");
        let unknown = self.rpc.tx("00".repeat(32).parse()?, false).await;
        ensure!(unknown.is_err_and(|e| e.to_string().contains("not found")));
        Ok(())
    }
}

fn report(name: &str, result: Result<()>) -> bool {
    match &result {
        Ok(()) => println!("ok      {name}"),
        Err(e) => println!("FAILED  {name}: {}", format!("{e:#}").replace('\n', " | ")),
    }
    result.is_ok()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let checks = match Checks::new() {
        Ok(checks) => checks,
        Err(e) => {
            report("connects", Err(e));
            return ExitCode::FAILURE;
        }
    };
    let mut good = report("reads status, blocks and validators", checks.status().await);
    good &= report("reads an account through abci_query", checks.account().await.map(drop));
    good &= report("sends with broadcast_tx_commit, finds and decodes what it sent", checks.msg_send().await);
    good &= report("recognises refusals", checks.refusals().await);
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
