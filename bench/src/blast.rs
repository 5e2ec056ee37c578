//! Sends a file of transactions over keep-alive connections, in order per sender, waits until the mempool is empty and
//! reports what was committed per second, by the blocks' own times.

use anyhow::{Context, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::Args;
use client::rpc::Rpc;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::{Duration, Instant};

#[derive(Args)]
pub struct Blast {
    #[arg(long, default_value = "http://127.0.0.1:26657")]
    rpc: String,
    /// Connections
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// Senders in the file: line n is of sender n mod this
    #[arg(long, default_value_t = 2000)]
    accounts: usize,
    file: PathBuf,
}

pub struct Sent {
    pub accepted: usize,
    pub refused: usize,
    pub first_refusal: Option<String>,
}

impl Blast {
    pub async fn run(self) -> anyhow::Result<()> {
        let text = std::fs::read_to_string(&self.file).with_context(|| self.file.display().to_string())?;
        let mut queues = vec![Vec::new(); self.connections];
        for (n, line) in text.lines().enumerate() {
            queues[n % self.accounts % self.connections].push(BASE64_STANDARD.decode(line)?);
        }
        let rpc = Rpc::new(&self.rpc)?;
        let before = height(&rpc).await?;
        let start = Instant::now();
        let tasks: Vec<_> = queues.into_iter().map(|txs| tokio::spawn(send(self.rpc.clone(), txs))).collect();
        let mut sent = Sent { accepted: 0, refused: 0, first_refusal: None };
        for task in tasks {
            let one = task.await??;
            sent.accepted += one.accepted;
            sent.refused += one.refused;
            sent.first_refusal = sent.first_refusal.or(one.first_refusal);
        }
        let send_secs = start.elapsed().as_secs_f64();
        if sent.accepted == 0 {
            bail!("nothing was accepted; the first refusal: {}", sent.first_refusal.unwrap_or_default());
        }
        for _ in 0..480 {
            if rpc.call("num_unconfirmed_txs", json!({})).await?["total"] == json!("0") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let blocks = blocks(&rpc, before + 1, height(&rpc).await?).await?;
        let busy: Vec<_> = blocks.into_iter().filter(|(_, txs)| *txs > 0).collect();
        let (Some(first), Some(last)) = (busy.first(), busy.last()) else { bail!("no block holds a transaction") };
        let committed: u64 = busy.iter().map(|(_, txs)| txs).sum();
        let seconds = (last.0 - first.0).max(1) as f64 / 1000.0;
        // The first block was filled before its time: its transactions do not count.
        let per_second = (committed - first.1) as f64 / seconds;
        println!(
            "{}",
            json!({
                "accepted": sent.accepted, "refused": sent.refused, "first_refusal": sent.first_refusal, "send_secs": round(send_secs),
                "committed": committed, "blocks": busy.len(), "seconds": round(seconds), "tx_per_second": per_second.round(),
            })
        );
        Ok(())
    }
}

fn round(x: f64) -> f64 {
    (x * 10.0).round() / 10.0
}

/// In order, over one connection.
pub async fn send(url: String, txs: Vec<Vec<u8>>) -> anyhow::Result<Sent> {
    let rpc = Rpc::new(&url)?;
    let mut sent = Sent { accepted: 0, refused: 0, first_refusal: None };
    for tx in txs {
        let refusal = match rpc.broadcast(&tx, true).await {
            Ok(answer) if answer.code == 0 => None,
            Ok(answer) => Some(answer.log),
            Err(e) => Some(e.to_string()),
        };
        match refusal {
            None => sent.accepted += 1,
            Some(log) => {
                sent.refused += 1;
                sent.first_refusal.get_or_insert(log);
            }
        }
    }
    Ok(sent)
}

pub async fn height(rpc: &Rpc) -> anyhow::Result<u64> {
    let status = rpc.status().await?;
    Ok(status["sync_info"]["latest_block_height"].as_str().context("latest_block_height")?.parse()?)
}

/// Time in milliseconds and number of transactions of each block.
pub async fn blocks(rpc: &Rpc, from: u64, to: u64) -> anyhow::Result<Vec<(u64, u64)>> {
    let mut all = Vec::new();
    for low in (from..=to).step_by(20) {
        let answer = rpc.call("blockchain", json!({ "minHeight": low.to_string(), "maxHeight": (low + 19).min(to).to_string() })).await?;
        let metas = answer["block_metas"].as_array().cloned().unwrap_or_default();
        for meta in metas.iter().rev() {
            let text = |v: &Value| v.as_str().unwrap_or_default().to_string();
            let time = humantime::parse_rfc3339(&text(&meta["header"]["time"]))?.duration_since(std::time::UNIX_EPOCH)?;
            all.push((u64::try_from(time.as_millis())?, text(&meta["num_txs"]).parse()?));
        }
    }
    Ok(all)
}
