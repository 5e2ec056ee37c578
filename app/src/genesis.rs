//! The genesis document's `app_state`: one section per module, in the shapes of the Cosmos SDK where it has them.

use crate::Modules;
use crate::ante::Mode;
use crate::block::run_tx;
use crate::tx::CheckedTx;
use crate::verify::Verifier;
use kernel::{Ctx, Error, Module, View};
use serde_json::{Map, Value};

/// Sections by module name, plus `genutil.gen_txs`.
pub type AppState = Map<String, Value>;

fn refuse(log: impl Into<String>) -> Error {
    Error::new("genesis", 1, log)
}

/// Writes the genesis state and runs its validators' transactions.
pub fn init(on: &Modules, ctx: &mut Ctx, state: &AppState, verifier: &Verifier) -> Result<(), Error> {
    for module in on.ordered() {
        let section = state.get(module.name()).unwrap_or(&Value::Null);
        module.init_genesis(ctx, section).map_err(|e| Error { log: format!("app_state.{}: {}", module.name(), e.log), ..e })?;
    }
    let gentxs = state.get("genutil").and_then(|g| g.get("gen_txs")).and_then(Value::as_array);
    for (index, gentx) in gentxs.into_iter().flatten().enumerate() {
        let named = |e: &dyn std::fmt::Display| refuse(format!("app_state.genutil.gen_txs[{index}]: {e}"));
        let bytes = tx_bytes(gentx).map_err(|e| named(&e))?;
        let tx = CheckedTx::parse(&bytes, false).map_err(|e| named(&e))?;
        let outcome = run_tx(on, ctx, &tx, &Mode::Deliver, verifier);
        if let Some(e) = outcome.result {
            return Err(named(&e));
        }
    }
    ctx.begin(u64::MAX);
    // The validators of genesis are bonded before the first block, not at its end.
    on.staking.end_block(ctx)?;
    ctx.take_events();
    Ok(())
}

/// A transaction's JSON, as `genesis gentx` writes it, to the bytes that were signed.
fn tx_bytes(json: &Value) -> Result<Vec<u8>, String> {
    use base64::Engine;
    use prost::Message;
    let part = |name: &str, full: &str| -> Result<Vec<u8>, String> {
        let value = json.get(name).ok_or_else(|| format!("{name}: missing"))?;
        proto::json::from_value(full, value).map_err(|e| format!("{name}: {e}"))
    };
    let signatures = json.get("signatures").and_then(Value::as_array).ok_or("signatures: expected a list")?;
    let signatures = signatures
        .iter()
        .map(|s| {
            s.as_str()
                .and_then(|s| base64::engine::general_purpose::STANDARD.decode(s).ok())
                .ok_or("signatures: expected base64".to_string())
        })
        .collect::<Result<_, String>>()?;
    let raw = proto::cosmos::tx::v1beta1::TxRaw {
        body_bytes: part("body", "cosmos.tx.v1beta1.TxBody")?,
        auth_info_bytes: part("auth_info", "cosmos.tx.v1beta1.AuthInfo")?,
        signatures,
    };
    Ok(raw.encode_to_vec())
}

/// The state as a genesis that starts the same chain again.
pub fn export(on: &Modules, view: &View) -> Result<AppState, Error> {
    let mut state = AppState::new();
    for module in on.ordered() {
        state.insert(module.name().to_string(), module.export_genesis(view)?);
    }
    state.insert("genutil".into(), serde_json::json!({ "gen_txs": [] }));
    Ok(state)
}

/// Whether a chain can start from this state; the error names the section and field.
pub fn check(chain_id: &str, state: &AppState) -> Result<(), Error> {
    let block = kernel::BlockInfo { chain_id: chain_id.into(), ..Default::default() };
    let view = View::new(std::sync::Arc::new(kernel::MemBase::default()), block, kernel::Gas::unlimited());
    let on = Modules::new();
    let mut ctx = Ctx::new(view);
    init(&on, &mut ctx, state, &Verifier::default())?;
    match on.broken(&ctx)?.first() {
        Some(broken) => Err(refuse(broken.clone())),
        None => Ok(()),
    }
}
