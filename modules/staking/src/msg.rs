//! `cosmos.staking.v1beta1.Msg`: what validators ask.

use crate::types::{Dec, check_commission, check_description, consensus_address_of, consensus_key, timestamp};
use crate::{Error, Staking};
use kernel::{Address, Ctx};
use proto::cosmos::staking::v1beta1::{BondStatus, Commission, Delegation, MsgCreateValidator, MsgCreateValidatorResponse, Validator};

impl Staking {
    /// Makes a validator with its operator's own stake behind it. It begins to make blocks at the end of the block, if it
    /// is among the strongest.
    pub fn create_validator(&self, ctx: &mut Ctx, msg: MsgCreateValidator) -> Result<MsgCreateValidatorResponse, Error> {
        let operator = Address::from_validator(&msg.validator_address).map_err(Error::InvalidAddress)?;
        let pub_key = msg.pubkey.as_ref().ok_or(Error::NoPubKey)?;
        let value = msg.value.as_ref().ok_or_else(|| Error::Invalid("value: expected a coin, got none".into()))?;
        let (denom, stake) = bank::parse_coin(value).map_err(|e| Error::Invalid(format!("invalid delegation amount: {e}")))?;
        let shares = Dec::from_int(stake).ok_or_else(|| Error::Invalid(format!("value.amount: {stake} is too much to stake")))?;
        let description = msg.description.ok_or_else(|| Error::Invalid("empty description".into()))?;
        let commission = msg.commission.ok_or_else(|| Error::Invalid("empty commission".into()))?;
        let rate = check_commission(&commission)?;
        let min_self_delegation = bank::types::parse_amount(&msg.min_self_delegation).filter(|n| *n > 0);
        let min_self_delegation = min_self_delegation.ok_or_else(|| {
            Error::Invalid(format!("minimum self delegation must be a positive integer, got {:?}", msg.min_self_delegation))
        })?;
        if stake < min_self_delegation {
            return Err(Error::SelfDelegationBelowMinimum);
        }
        let params = self.params(ctx)?;
        let min_rate = Dec::from_wire(&params.min_commission_rate).unwrap_or(Dec::ZERO);
        if rate < min_rate {
            return Err(Error::CommissionBelowMinimum(min_rate));
        }
        if self.validators.has(ctx, &operator)? {
            return Err(Error::OperatorExists);
        }
        let key = consensus_key(pub_key)?;
        if self.operator_of(ctx, &consensus_address_of(&key))?.is_some() {
            return Err(Error::PubKeyExists);
        }
        if denom != params.bond_denom {
            return Err(Error::Invalid(format!("invalid coin denomination: got {denom}, expected {}", params.bond_denom)));
        }
        check_description(&description)?;

        let amount = format!("{stake}{denom}");
        self.bank.delegate(ctx, &operator, &Staking::pool(false), &[(denom, stake)])?;
        let now = timestamp(ctx.time());
        let validator = Validator {
            operator_address: msg.validator_address.clone(),
            consensus_pubkey: msg.pubkey,
            jailed: false,
            status: BondStatus::Unbonded.into(),
            tokens: stake.to_string(),
            delegator_shares: shares.to_wire(),
            description: Some(description),
            unbonding_height: 0,
            unbonding_time: Some(timestamp(0)),
            commission: Some(Commission { commission_rates: Some(commission), update_time: Some(now) }),
            min_self_delegation: min_self_delegation.to_string(),
            unbonding_on_hold_ref_count: 0,
            unbonding_ids: Vec::new(),
        };
        self.validators.replace(ctx, &operator, None, Some(&validator))?;
        let delegation = Delegation {
            delegator_address: operator.to_string(),
            validator_address: msg.validator_address.clone(),
            shares: shares.to_wire(),
        };
        self.delegations.replace(ctx, &(operator, operator), None, Some(&delegation))?;
        ctx.emit_plain("create_validator", || vec![("validator", msg.validator_address), ("amount", amount)]);
        Ok(MsgCreateValidatorResponse {})
    }
}
