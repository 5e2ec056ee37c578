//! `cosmos.bank.v1beta1.Msg`: what users ask.

use crate::types::{coins_text, parse_some_coins};
use crate::{Bank, Error};
use kernel::{Address, Ctx, Fault, Text, View};
use proto::cosmos::bank::v1beta1::{MsgMultiSend, MsgMultiSendResponse, MsgSend, MsgSendResponse};
use std::collections::BTreeMap;

fn address(field: &'static str, text: &str) -> Result<Address, Error> {
    text.parse().map_err(|reason| Error::InvalidAddress { field, reason })
}

impl Bank {
    pub fn msg_send(&self, ctx: &mut Ctx, msg: MsgSend) -> Result<MsgSendResponse, Error> {
        let from = address("from", &msg.from_address)?;
        let to = address("to", &msg.to_address)?;
        let coins = parse_some_coins(&msg.amount)?;
        self.check_send_enabled(ctx, &coins)?;
        let receiver = self.auth.kind(ctx, &to)?;
        if Bank::is_blocked(receiver) {
            return Err(Error::Blocked(msg.to_address));
        }
        self.transfer(ctx, &from, &msg.from_address, &to, &msg.to_address, &coins)?;
        if receiver.is_none() {
            self.auth.create(ctx, &to)?;
        }
        ctx.emit_plain("message", || vec![("sender", msg.from_address)]);
        Ok(MsgSendResponse {})
    }

    /// One sender, many receivers, equal sums.
    pub fn msg_multi_send(&self, ctx: &mut Ctx, msg: MsgMultiSend) -> Result<MsgMultiSendResponse, Error> {
        let input = match msg.inputs.as_slice() {
            [] => return Err(Error::NoInputs),
            [input] => input,
            _ => return Err(Error::MultipleSenders),
        };
        if msg.outputs.is_empty() {
            return Err(Error::NoOutputs);
        }
        let from = address("input", &input.address)?;
        let coins = parse_some_coins(&input.coins)?;
        let mut sums = BTreeMap::<String, u128>::new();
        let mut outputs = Vec::with_capacity(msg.outputs.len());
        for output in &msg.outputs {
            let (to, coins) = (address("output", &output.address)?, parse_some_coins(&output.coins)?);
            for (denom, amount) in &coins {
                let sum = sums.entry(denom.clone()).or_default();
                *sum = sum.checked_add(*amount).ok_or_else(|| Error::Overflow(denom.clone()))?;
            }
            outputs.push((to, &output.address, coins));
        }
        if !sums.into_iter().eq(coins.iter().cloned()) {
            return Err(Error::SumsDiffer);
        }
        self.check_send_enabled(ctx, &coins)?;
        for (to, text, _) in &outputs {
            if Bank::is_blocked(self.auth.kind(ctx, to)?) {
                return Err(Error::Blocked(text.to_string()));
            }
        }

        ctx.emit_plain("message", || vec![("sender", input.address.clone())]);
        for (to, ..) in &outputs {
            self.auth.ensure(ctx, to)?;
        }
        self.subtract(ctx, &from, &coins)?;
        ctx.emit_plain("coin_spent", || vec![("spender", input.address.clone()), ("amount", coins_text(&coins))]);
        for (to, text, coins) in &outputs {
            self.add(ctx, to, coins)?;
            let amount = coins_text(coins);
            ctx.emit_plain("coin_received", || vec![("receiver", text.to_string()), ("amount", amount.clone())]);
            ctx.emit_plain("transfer", || vec![("recipient", text.to_string()), ("sender", input.address.clone()), ("amount", amount)]);
        }
        Ok(MsgMultiSendResponse {})
    }

    fn check_send_enabled(&self, view: &View, coins: &[(String, u128)]) -> Result<(), Error> {
        let default = self.is_send_enabled_by_default(view)?;
        for (denom, _) in coins {
            let switch = self.send_enabled.get(view, &Text(denom.clone()))?;
            if !switch.map_or(default, |s| s.0) {
                return Err(Error::SendDisabled(denom.clone()));
            }
        }
        Ok(())
    }

    pub(crate) fn is_send_enabled_by_default(&self, view: &View) -> Result<bool, Fault> {
        Ok(self.default_send_enabled.get(view)?.is_none_or(|s| s.0))
    }
}
