//! `virtengine debug` and `virtengine export`: reading the state of a node that is stopped.

use super::Context;
use super::context::{read_json, say};
use anyhow::{Context as _, anyhow};
use app::{App, Config};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::process::ExitCode;

#[derive(Subcommand)]
pub enum Debug {
    /// Check every invariant of the newest state
    Invariants,
    /// The ICS23 specs of this chain's proofs
    ProofSpecs,
}

#[derive(Args)]
pub struct Export {}

fn open(context: &Context) -> anyhow::Result<App> {
    App::open(&context.home.join("data/application"), Config::default()).map_err(|e| anyhow!("{e}"))
}

impl Debug {
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        match self {
            Debug::ProofSpecs => {
                say(app::Specs::json());
                Ok(ExitCode::SUCCESS)
            }
            Debug::Invariants => {
                let app = open(context)?;
                let broken = app.broken().map_err(|e| anyhow!("{e}"))?;
                context.print(&json!({ "height": app.store().height().to_string(), "broken": broken }));
                Ok(if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
            }
        }
    }
}

impl Export {
    pub fn run(self, context: &Context) -> anyhow::Result<()> {
        let app = open(context)?;
        let mut document = read_json(&context.genesis_path())?;
        document["app_state"] = Value::Object(app.export().map_err(|e| anyhow!("{e}"))?);
        // The first block gets this time, and time must not run backwards over what the state holds.
        let time = app.view(0).map_err(|e| anyhow!("{e}"))?.time();
        document["genesis_time"] = json!(proto::shown_time(time));
        document["initial_height"] = json!((app.store().height() + 1).to_string());
        say(serde_json::to_string_pretty(&document).context("genesis document")?);
        Ok(())
    }
}
