//! Measurements: load for a running node, and the application on its own. `scripts/bench.sh` puts them together.

mod api;
mod application;
mod blast;
mod chain;
mod load;
mod market;

use clap::{Parser, Subcommand};
use std::path::PathBuf;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Accounts for `genesis bulk-add-genesis-account`, as JSON
    Accounts { count: usize },
    /// Signed bank sends, one base64 a line, in an order that keeps sequences valid
    Txs {
        #[arg(long)]
        chain_id: String,
        /// The account number of the first account
        #[arg(long)]
        first: u64,
        #[arg(long, default_value_t = 2000)]
        accounts: usize,
        /// Transactions per account
        #[arg(long)]
        rounds: usize,
        out: PathBuf,
    },
    /// `key=value` transactions for CometBFT's kvstore, as long as the bank sends
    Kvs {
        #[arg(long)]
        count: usize,
        #[arg(long)]
        size: usize,
        out: PathBuf,
    },
    /// Send a file of transactions and report what was committed
    Blast(blast::Blast),
    /// Queries of a running node, alone and under load, and its memory under attack, as JSON
    Api(api::Api),
    /// The application alone: µs per transaction by phase, as JSON
    App {
        #[arg(long, default_value_t = 2000)]
        accounts: usize,
        #[arg(long, default_value_t = 20)]
        blocks: usize,
        /// Transactions per block
        #[arg(long, default_value_t = 2000)]
        txs: usize,
    },
    /// Empty blocks and list pages over 0, 1,000, 100,000 and 1,000,000 leases
    SettleIdle {
        #[arg(long, default_value_t = 100_000)]
        leases: u64,
    },
    /// Leases that run dry at one time
    ExpireStorm {
        #[arg(long, default_value_t = 100_000)]
        leases: u64,
    },
    /// Each message of a lease's life
    FinalizeMarket {
        #[arg(long, default_value_t = 10_000)]
        leases: u64,
    },
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Accounts { count } => {
            println!("{}", load::balances(&load::keys(count), load::FUNDS));
            Ok(())
        }
        Command::Txs { chain_id, first, accounts, rounds, out } => load::write(&chain_id, first, accounts, rounds, &out),
        Command::Kvs { count, size, out } => load::write_kvs(count, size, &out),
        Command::Blast(blast) => tokio::runtime::Runtime::new()?.block_on(blast.run()),
        Command::Api(api) => tokio::runtime::Runtime::new()?.block_on(api.run()),
        Command::App { accounts, blocks, txs } => application::run(accounts, blocks, txs),
        Command::SettleIdle { leases } => market::idle(leases),
        Command::ExpireStorm { leases } => market::storm(leases),
        Command::FinalizeMarket { leases } => market::life(leases),
    }
}
