//! From bytes to a transaction whose stateless rules hold: a [`CheckedTx`] is the only thing that can be executed.

use crate::Msg;
use crate::ante::Asked;
use crate::signing::{AMINO_JSON, DIRECT, Signed};
use bytes::Bytes;
use kernel::{Address, Error};
use prost::Message;
use proto::cosmos::base::v1beta1::Coin;
use proto::cosmos::tx::v1beta1::{AuthInfo, Fee, TxBody};
use proto::{Any, amino};
use std::sync::OnceLock;

/// Messages of one transaction; more only costs gas, but each is decoded before gas is charged.
const MAX_MESSAGES: usize = 1000;
/// The most gas that a transaction can ask for: ABCI counts gas in signed 64-bit numbers.
const MAX_GAS: u64 = i64::MAX as u64;

#[derive(Debug, Clone)]
pub struct Signer {
    pub address: Address,
    /// Absent when the chain knows the key already, and in simulations.
    pub public_key: Option<Any>,
    pub sequence: u64,
    pub signed: Signed,
    /// What its signatures have to prove, once somebody has asked.
    pub(crate) asked: OnceLock<Asked>,
}

/// A decoded transaction whose encoding, fields and signers are in order. Nothing of the state has been looked at.
#[derive(Debug, Clone)]
pub struct CheckedTx {
    /// As it came.
    pub bytes: Bytes,
    pub msgs: Vec<(String, Msg)>,
    pub signers: Vec<Signer>,
    /// The first signer, unless the fee names another.
    pub fee_payer: Address,
    /// Whose allowance pays the fee instead of the payer.
    pub fee_granter: Option<Address>,
    pub fee: Fee,
    pub memo: String,
    pub timeout_height: u64,
    body_bytes: Bytes,
    auth_info_bytes: Bytes,
    /// The body says something that its text does not show.
    has_no_text: bool,
}

fn invalid(log: impl Into<String>) -> Error {
    Error::new("sdk", 18, format!("{}: invalid request", log.into()))
}

fn unparsable(log: impl std::fmt::Display) -> Error {
    Error::new("sdk", 2, format!("{log}: tx parse error"))
}

impl CheckedTx {
    /// `simulate` accepts what wallets send to have gas estimated: no fee, no key, any sign mode, junk signatures.
    pub fn parse(bytes: &[u8], simulate: bool) -> Result<CheckedTx, Error> {
        // A copy of its own: what it came in may be a whole block.
        let bytes = Bytes::copy_from_slice(bytes);
        let raw = proto::strict::transaction(&bytes).map_err(unparsable)?;
        let body = TxBody::decode(raw.body).map_err(unparsable)?;
        let auth = AuthInfo::decode(raw.auth_info).map_err(unparsable)?;
        if body.messages.is_empty() {
            return Err(invalid("must contain at least one message"));
        }
        if body.messages.len() > MAX_MESSAGES {
            return Err(invalid(format!("messages: expected at most {MAX_MESSAGES}, got {}", body.messages.len())));
        }
        let msgs = body.messages.iter().map(|any| Ok((any.type_url.clone(), Msg::decode(any)?))).collect::<Result<Vec<_>, Error>>()?;
        if !body.extension_options.is_empty() {
            return Err(Error::new("sdk", 31, "unknown extension options"));
        }
        if body.unordered || body.timeout_timestamp.is_some() {
            return Err(Error::new("sdk", 37, "unordered transactions are not supported: feature not supported"));
        }
        let fee = match auth.fee {
            Some(fee) => fee,
            None if simulate => Fee::default(),
            None => return Err(invalid("missing fee")),
        };
        if fee.gas_limit > MAX_GAS {
            return Err(invalid(format!("invalid gas supplied; {} > {MAX_GAS}", fee.gas_limit)));
        }
        let address = |field: &str, text: &str| {
            text.parse::<Address>().map_err(|e| Error::new("sdk", 7, format!("fee.{field}: {e}: invalid address")))
        };
        let fee_granter = if fee.granter.is_empty() { None } else { Some(address("granter", &fee.granter)?) };
        if raw.signatures.is_empty() {
            return Err(Error::new("sdk", 15, "no signatures supplied"));
        }

        let mut addresses: Vec<Address> = Vec::new();
        for (_, msg) in &msgs {
            let signer = msg.signer()?;
            if !addresses.contains(&signer) {
                addresses.push(signer);
            }
        }
        let mut fee_payer = addresses[0];
        if !fee.payer.is_empty() {
            fee_payer = address("payer", &fee.payer)?;
            if !addresses.contains(&fee_payer) {
                addresses.push(fee_payer);
            }
        }
        if auth.signer_infos.len() != addresses.len() || raw.signatures.len() != addresses.len() {
            let (expected, signatures) = (addresses.len(), raw.signatures.len());
            let got = if signatures == expected { auth.signer_infos.len() } else { signatures };
            return Err(Error::new("sdk", 4, format!("wrong number of signers; expected {expected}, got {got}: unauthorized")));
        }
        let signers = addresses
            .into_iter()
            .zip(auth.signer_infos)
            .zip(&raw.signatures)
            .map(|((address, info), signature)| {
                let signed = Signed::decode(info.mode_info.as_ref(), signature.to_vec())?;
                Ok(Signer { address, public_key: info.public_key, sequence: info.sequence, signed, asked: OnceLock::new() })
            })
            .collect::<Result<_, Error>>()?;
        Ok(CheckedTx {
            msgs,
            signers,
            fee_payer,
            fee_granter,
            fee,
            memo: body.memo,
            timeout_height: body.timeout_height,
            body_bytes: bytes.slice_ref(raw.body),
            auth_info_bytes: bytes.slice_ref(raw.auth_info),
            has_no_text: raw.non_critical || !body.non_critical_extension_options.is_empty(),
            bytes,
        })
    }

    /// Whether it is known of all signatures if they hold.
    pub(crate) fn is_settled(&self) -> bool {
        self.signers.iter().all(|signer| signer.asked.get().is_some_and(Asked::is_settled))
    }

    /// What a signer signs; the error is why there is nothing to sign in that mode.
    pub fn sign_bytes(&self, mode: i32, chain_id: &str, account_number: u64, sequence: u64) -> Result<Vec<u8>, String> {
        match mode {
            DIRECT => Ok(proto::cosmos::tx::v1beta1::SignDoc {
                body_bytes: self.body_bytes.to_vec(),
                auth_info_bytes: self.auth_info_bytes.to_vec(),
                chain_id: chain_id.to_string(),
                account_number,
            }
            .encode_to_vec()),
            AMINO_JSON if self.has_no_text => {
                Err("SIGN_MODE_LEGACY_AMINO_JSON does not support protobuf extension options: invalid request".into())
            }
            AMINO_JSON => {
                let body = TxBody::decode(&self.body_bytes[..]).map_err(|e| e.to_string())?;
                amino::sign_bytes(&amino::SignDoc {
                    chain_id,
                    account_number,
                    sequence,
                    fee: &self.fee,
                    memo: &body.memo,
                    messages: &body.messages,
                    timeout_height: body.timeout_height,
                    unordered: body.unordered,
                    timeout_timestamp: body.timeout_timestamp.as_ref(),
                })
                .map_err(|e| e.to_string())
            }
            other => Err(format!("sign mode {other}: expected SIGN_MODE_DIRECT (1) or SIGN_MODE_LEGACY_AMINO_JSON (127)")),
        }
    }
}

/// Gas prices are counted in 10⁻¹⁸.
const UNIT: u128 = 1_000_000_000_000_000_000;

/// The least price of a unit of gas that a node accepts into its mempool, in 10⁻¹⁸ of the denom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GasPrices(pub Vec<(String, u128)>);

impl GasPrices {
    /// `0.025uve`, or several with commas; empty accepts everything.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut prices = Vec::new();
        for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            let split = part.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(part.len());
            let (number, denom) = part.split_at(split);
            let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
            let wrong = || format!("gas price {part:?}: expected a decimal number with at most 18 places and a denom, like 0.025uve");
            if denom.is_empty() || whole.is_empty() || fraction.len() > 18 {
                return Err(wrong());
            }
            let digits = format!("{whole}{fraction:0<18}");
            prices.push((denom.to_string(), digits.parse().map_err(|_| wrong())?));
        }
        Ok(GasPrices(prices))
    }

    /// What this much gas costs, rounded up.
    pub fn fee(&self, gas: u64) -> Vec<Coin> {
        let cost = |(denom, price): &(String, u128)| Coin {
            denom: denom.clone(),
            amount: price.saturating_mul(gas as u128).div_ceil(UNIT).to_string(),
        };
        self.0.iter().filter(|(_, price)| *price > 0).map(cost).collect()
    }

    /// Ok if the fee pays for the gas in one of the denoms; the error is the SDK's.
    pub fn check(&self, fee: &Fee) -> Result<(), Error> {
        let required: Vec<(&str, u128)> = self
            .0
            .iter()
            .filter(|(_, price)| *price > 0)
            .map(|(denom, price)| (denom.as_str(), price.saturating_mul(fee.gas_limit as u128).div_ceil(UNIT)))
            .collect();
        let paid = |denom: &str| -> u128 {
            fee.amount.iter().filter(|c| c.denom == denom).map(|c| c.amount.parse().unwrap_or(0)).max().unwrap_or(0)
        };
        if required.is_empty() || required.iter().any(|(denom, amount)| paid(denom) >= *amount) {
            return Ok(());
        }
        let join = |coins: Vec<String>| coins.join(",");
        let got = join(fee.amount.iter().map(|c| format!("{}{}", c.amount, c.denom)).collect());
        let required = join(required.iter().map(|(denom, amount)| format!("{amount}{denom}")).collect());
        Err(Error::new("sdk", 13, format!("insufficient fees; got: {got} required: {required}: insufficient fee")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fee_below_the_node_price_is_refused_with_what_is_required() {
        let prices = GasPrices::parse("0.025uve").unwrap();
        let fee =
            |amount: &str| Fee { gas_limit: 200_001, amount: vec![Coin { denom: "uve".into(), amount: amount.into() }], ..Fee::default() };
        assert!(prices.check(&fee("5001")).is_ok());
        let log = prices.check(&fee("5000")).unwrap_err().log;
        assert_eq!(log, "insufficient fees; got: 5000uve required: 5001uve: insufficient fee");
        assert!(GasPrices::parse("").unwrap().check(&Fee::default()).is_ok());
        assert!(GasPrices::parse("0.025").is_err());
    }
}
