//! Vaults of Balancer V2: what each holds of the tokens that are lent, and what it takes for it.
//!
//! Temperature: cold.

use alloy::sol_types::SolCall;
use alloy_primitives::{Address, Bytes, U256};
use anyhow::{Context, Result};
use gannet_engine::loans::reread::VaultState;

use super::abi::{FeesCollector, Token, Vault};
use super::calls::{Call, view};
use super::not_there;
use crate::bootstrap::Reader;
use crate::config::BalancerVault;

/// What reading a vault takes.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    pub(super) address: Address,
    /// What it asks for its fee.
    collector: Address,
    /// The tokens that are lent, in their order.
    tokens: Vec<Address>,
}

/// Reads a vault, and how it is read again.
pub(super) fn read(
    reader: &mut Reader<'_>,
    BalancerVault { name, address }: &BalancerVault,
    tokens: &[Address],
) -> Result<(Scope, VaultState)> {
    let told = || not_there("vault of Balancer V2", *address, "balancer");
    let asked = Vault::getProtocolFeesCollectorCall {};
    let collector = view(reader, name, *address, asked).with_context(told)?;
    let scope = Scope { address: *address, collector, tokens: tokens.to_vec() };
    let [state] = &mut again(reader, std::slice::from_ref(&scope))?[..] else {
        anyhow::bail!("{name}: as many answers as questions");
    };
    let state = state.take().with_context(|| {
        format!("{name}: it does not say whether it is paused, or its collector what it takes")
    });
    Ok((scope, state.with_context(told)?))
}

/// What vaults hold now, in order; `None` where one does not say what it takes.
pub(super) fn again(reader: &mut Reader<'_>, scopes: &[Scope]) -> Result<Vec<Option<VaultState>>> {
    let mut calls = Vec::new();
    for Scope { address, collector, tokens } in scopes {
        let fee = FeesCollector::getFlashLoanFeePercentageCall {};
        calls.push(Call::new(*collector, &fee, 1)?);
        calls.push(Call::new(*address, &Vault::getPausedStateCall {}, 3)?);
        for token in tokens {
            calls.push(Call::new(*token, &Token::balanceOfCall { user: *address }, 1)?);
        }
    }
    let mut answers = reader.ask("vaults", &calls)?.into_iter().map(Option::flatten);
    let state = |scope: &Scope| {
        let fee = told::<FeesCollector::getFlashLoanFeePercentageCall>(answers.next()?);
        let paused = told::<Vault::getPausedStateCall>(answers.next()?);
        // Of a token that does not answer it has nothing, and no more than a number counts.
        let holds = answers.by_ref().take(scope.tokens.len()).map(|answer| {
            told::<Token::balanceOfCall>(answer).map_or(0, |amount: U256| amount.saturating_to())
        });
        let mut holds: Vec<u128> = holds.collect();
        if paused?.paused {
            holds.fill(0);
        }
        // No fee is as high as what has no room here.
        Some(VaultState { fee: u64::try_from(fee?).ok()?, holds })
    };
    Ok(scopes.iter().map(state).collect())
}

fn told<C: SolCall>(answer: Option<Bytes>) -> Option<C::Return> {
    C::abi_decode_returns(&answer?).ok()
}
