//! Arbitrages that somebody made in a recorded block, read from its logs.
//!
//! The rule: a transaction with two swaps or more whose summed flows leave the trader with less of
//! no token, and with more of at least one. Gas and what the block's producer was paid are not
//! subtracted.
//!
//! Temperature: cold.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256};

use super::swaps::{Swap, by_transaction};
use crate::recording::rows::LogRow;

/// An arbitrage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arbitrage {
    pub(crate) block: u64,
    pub(crate) tx_index: u32,
    pub(crate) tx_hash: B256,
    /// In order.
    pub(crate) swaps: Vec<Swap>,
    /// What the trader has more of each token, in the token's smallest unit.
    pub(crate) gross_profit: BTreeMap<Address, u128>,
    /// Of the first swap.
    token_in: Address,
}

impl Arbitrage {
    /// The token that its profit is compared in: the wrapped native one if the trader took some, or
    /// else what went in first, or else any that the trader took.
    pub(crate) fn base(&self, wrapped_native: Address) -> Address {
        let choices = [wrapped_native, self.token_in].into_iter();
        let mut choices = choices.chain(self.gross_profit.keys().copied());
        let chosen = choices.find(|token| self.gross_profit.contains_key(token));
        chosen.unwrap_or(wrapped_native)
    }

    /// Its pools, each once, in the order in which they were swapped through.
    pub(crate) fn pools(&self) -> Vec<Address> {
        let mut pools = Vec::new();
        for swap in &self.swaps {
            if !pools.contains(&swap.pool) {
                pools.push(swap.pool);
            }
        }
        pools
    }
}

/// The arbitrages of a block. A transaction with a pool whose tokens are not known is passed over.
pub(crate) fn arbitrages(
    logs: &[LogRow],
    tokens: &BTreeMap<Address, [Address; 2]>,
) -> Vec<Arbitrage> {
    by_transaction(logs).filter_map(|logs| arbitrage(logs, tokens)).collect()
}

fn arbitrage(logs: &[LogRow], tokens: &BTreeMap<Address, [Address; 2]>) -> Option<Arbitrage> {
    let swaps: Vec<Swap> = logs.iter().filter_map(Swap::of).collect();
    if swaps.len() < 2 {
        return None;
    }
    let mut flows: BTreeMap<Address, i128> = BTreeMap::new();
    for swap in &swaps {
        let pair = tokens.get(&swap.pool)?;
        for (side, token) in pair.iter().enumerate() {
            let flow = flows.entry(*token).or_default();
            *flow = flow.checked_add_unsigned(swap.given[side])?;
            *flow = flow.checked_sub_unsigned(swap.paid[side])?;
        }
    }
    if flows.values().any(|flow| *flow < 0) {
        return None;
    }
    let gained = flows.into_iter().map(|(token, flow)| (token, flow.unsigned_abs()));
    let gross_profit: BTreeMap<_, _> = gained.filter(|(_, flow)| *flow > 0).collect();
    if gross_profit.is_empty() {
        return None;
    }
    let (first, log) = (swaps.first()?, logs.first()?);
    let token_in = tokens.get(&first.pool)?[first.side_in().unwrap_or(0)];
    Some(Arbitrage {
        block: log.block_number,
        tx_index: log.transaction_index,
        tx_hash: log.transaction_hash,
        swaps,
        gross_profit,
        token_in,
    })
}
