//! `virtengine status` and `virtengine version`.

use super::Context;
use super::context::say;
use serde_json::json;

/// CometBFT's own answer, as it is.
pub async fn run(context: &Context) -> anyhow::Result<()> {
    say(context.rpc()?.status().await?);
    Ok(())
}

pub fn version(context: &Context, long: bool) -> anyhow::Result<()> {
    if !long {
        say(app::VERSION);
        return Ok(());
    }
    context.print(&json!({
        "name": "virtengine",
        "server_name": "virtengine",
        "version": app::VERSION,
        "cosmos_sdk_version": app::SDK_VERSION,
        "target": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    }));
    Ok(())
}
