//! `virtengine status` and `virtengine version`.

use super::context::say;
use super::{Context, Output};
use serde_json::json;

/// CometBFT's own answer: JSON unless text is asked for.
pub async fn run(context: &Context) -> anyhow::Result<()> {
    let status = context.rpc()?.status().await?;
    match context.asked_output {
        Some(Output::Text) => context.print(&status),
        _ => say(status),
    }
    Ok(())
}

/// The number alone, unless more or JSON is asked for.
pub fn version(context: &Context, long: bool) {
    if !long && context.output == Output::Text {
        say(app::VERSION);
        return;
    }
    context.print(&json!({
        "name": "virtengine",
        "server_name": "virtengine",
        "version": app::VERSION,
        "cosmos_sdk_version": app::SDK_VERSION,
        "target": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    }));
}
