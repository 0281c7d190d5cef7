//! The transaction pool, with the rules of a node: gaps are held, a replacement pays a tenth more.
//!
//! Temperature: cold.

use std::collections::{BTreeMap, HashMap, VecDeque};

use alloy_primitives::{Address, B256, U256};

use super::execution::{State, TRANSFER_GAS};
use super::transaction::Tx;

/// Announced transactions that are remembered though they are never mined.
const REMEMBERED_MAX: usize = 1 << 15;

/// What waits to be mined.
#[derive(Debug, Default)]
pub struct Pool {
    /// By sender and nonce, with the order in which they came.
    waiting: BTreeMap<(Address, u64), (u64, Tx)>,
    by_hash: HashMap<B256, (Address, u64)>,
    count: u64,
    /// Known to the node, and never mined.
    idle: HashMap<B256, Tx>,
    idle_order: VecDeque<B256>,
}

impl Pool {
    /// Takes a transaction in.
    ///
    /// # Errors
    /// In geth's words.
    pub fn add(&mut self, tx: Tx, state: &State, chain_id: u64) -> Result<(), String> {
        let refused = |words: &str| Err(words.to_owned());
        let body = &tx.body;
        if self.by_hash.contains_key(&tx.hash) {
            return refused("already known");
        }
        if body.chain_id != chain_id {
            return refused("invalid chain id for signer");
        }
        let next = state.nonce(&tx.from);
        if body.nonce < next {
            return Err(format!("nonce too low: next nonce {next}, tx nonce {}", body.nonce));
        }
        if body.gas_limit < TRANSFER_GAS {
            return refused("intrinsic gas too low");
        }
        if body.max_priority_fee_per_gas > body.max_fee_per_gas {
            return refused("max priority fee per gas higher than max fee per gas");
        }
        let most = U256::from(body.max_fee_per_gas) * U256::from(body.gas_limit) + body.value;
        if state.balance(&tx.from) < most {
            return refused("insufficient funds for gas * price + value");
        }
        let place = (tx.from, body.nonce);
        if let Some((_, old)) = self.waiting.get(&place) {
            let is_more = |new: u128, old: u128| new >= old + old.div_ceil(10);
            let old_body = &old.body;
            if !is_more(body.max_fee_per_gas, old_body.max_fee_per_gas)
                || !is_more(body.max_priority_fee_per_gas, old_body.max_priority_fee_per_gas)
            {
                return refused("replacement transaction underpriced");
            }
            self.by_hash.remove(&old.hash);
        }
        self.by_hash.insert(tx.hash, place);
        self.count += 1;
        self.waiting.insert(place, (self.count, tx));
        Ok(())
    }

    /// Remembers a transaction that is announced and never mined.
    pub fn remember(&mut self, tx: Tx) {
        if self.idle_order.len() == REMEMBERED_MAX
            && let Some(oldest) = self.idle_order.pop_front()
        {
            self.idle.remove(&oldest);
        }
        self.idle_order.push_back(tx.hash);
        self.idle.insert(tx.hash, tx);
    }

    /// A transaction that is waiting, or was announced.
    #[must_use]
    pub fn get(&self, hash: &B256) -> Option<&Tx> {
        let waiting = self.by_hash.get(hash).and_then(|place| self.waiting.get(place));
        waiting.map(|(_, tx)| tx).or_else(|| self.idle.get(hash))
    }

    /// The nonce that follows what an account has waiting without a gap.
    #[must_use]
    pub fn next_nonce(&self, account: &Address, mined: u64) -> u64 {
        let mut next = mined;
        while self.waiting.contains_key(&(*account, next)) {
            next += 1;
        }
        next
    }

    /// How many are waiting.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none is waiting.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// What the next block would take first: per account the next nonce, the best tip first, then
    /// the one that came first.
    #[must_use]
    pub fn best(&self, state: &State, base_fee: u128) -> Option<&Tx> {
        let ready = self.waiting.values().filter(|(_, tx)| state.can_take(tx, base_fee));
        let best = ready.max_by_key(|(order, tx)| (tx.tip(base_fee), u64::MAX - order));
        best.map(|(_, tx)| tx)
    }

    /// Drops what can never be mined any more on this state.
    pub fn forget_used(&mut self, state: &State) {
        let by_hash = &mut self.by_hash;
        self.waiting.retain(|(sender, nonce), (_, tx)| {
            let is_left = *nonce >= state.nonce(sender);
            if !is_left {
                by_hash.remove(&tx.hash);
            }
            is_left
        });
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}
