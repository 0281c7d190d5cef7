//! Swaps of a block's transactions, read from its logs; and which tokens a pool trades, where only
//! the logs can tell.
//!
//! Temperature: cold.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, I256, U256};
use gannet_engine::decode::topics::{PANCAKE_V3_SWAP, SWAP, SYNC, TRANSFER, V3_SWAP};

use crate::recording::rows::LogRow;

/// The shape of a swap's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    V2,
    V3,
}

/// A swap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Swap {
    pub(crate) log_index: u32,
    pub(crate) shape: Shape,
    pub(crate) pool: Address,
    /// What the pool was paid of each of its tokens, and what it gave.
    pub(crate) paid: [u128; 2],
    pub(crate) given: [u128; 2],
}

impl Swap {
    /// Reads a log; `None` if it is no swap, or not what its topic says.
    pub(crate) fn of(log: &LogRow) -> Option<Self> {
        let topic = log.topics.first()?;
        let swap = |shape, paid, given| {
            let (log_index, pool) = (log.log_index, log.address);
            Some(Self { log_index, shape, pool, paid, given })
        };
        if *topic == SWAP && log.topics.len() == 3 && log.data.len() == 128 {
            let [paid0, paid1, given0, given1] = [0, 1, 2, 3].map(|place| amount(log, place));
            return swap(Shape::V2, [paid0?, paid1?], [given0?, given1?]);
        }
        let is_v3 = *topic == V3_SWAP && log.data.len() == 160
            || *topic == PANCAKE_V3_SWAP && log.data.len() == 224;
        if is_v3 && log.topics.len() == 3 {
            let [first, second] = [0, 1].map(|place| signed(log, place));
            let (first, second) = (first?, second?);
            let [paid, given] = [1, -1].map(|sign: i128| {
                [first, second]
                    .map(|amount| u128::try_from(amount.saturating_mul(sign)).unwrap_or(0))
            });
            return swap(Shape::V3, paid, given);
        }
        None
    }

    /// Which of the tokens goes in, if one does and the other comes out.
    pub(crate) const fn side_in(&self) -> Option<usize> {
        if self.paid[0] > 0 && self.given[1] > 0 {
            Some(0)
        } else if self.paid[1] > 0 && self.given[0] > 0 {
            Some(1)
        } else {
            None
        }
    }
}

pub(crate) fn word(log: &LogRow, place: usize) -> Option<U256> {
    let bytes = log.data.get(place.checked_mul(32)?..)?.get(..32)?;
    Some(U256::from_be_slice(bytes))
}

/// What has more than 128 bits is no amount of any token.
fn amount(log: &LogRow, place: usize) -> Option<u128> {
    word(log, place)?.try_into().ok()
}

fn signed(log: &LogRow, place: usize) -> Option<i128> {
    I256::from_raw(word(log, place)?).try_into().ok()
}

/// A transfer of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Transfer {
    pub(crate) token: Address,
    pub(crate) from: Address,
    pub(crate) to: Address,
    pub(crate) amount: U256,
}

impl Transfer {
    /// Reads a log of ERC-20's event.
    pub(crate) fn of(log: &LogRow) -> Option<Self> {
        let [topic, from, to] = log.topics[..] else { return None };
        (topic == TRANSFER && log.data.len() >= 32).then_some(())?;
        let [from, to] = [from, to].map(Address::from_word);
        Some(Self { token: log.address, from, to, amount: word(log, 0)? })
    }
}

/// The reserves that a log of V2's `Sync` reports.
pub(crate) fn sync(log: &LogRow) -> Option<[u128; 2]> {
    (log.topics[..] == [SYNC] && log.data.len() == 64).then_some(())?;
    Some([amount(log, 0)?, amount(log, 1)?])
}

/// The logs of each transaction, in order.
pub(crate) fn by_transaction(logs: &[LogRow]) -> impl Iterator<Item = &[LogRow]> {
    logs.chunk_by(|first, second| first.transaction_index == second.transaction_index)
}

/// The tokens of the pools that swapped, as far as the transfers around the swaps leave no choice.
pub(crate) fn tokens(logs: &[LogRow]) -> BTreeMap<Address, [Address; 2]> {
    let mut candidates: BTreeMap<Address, [Option<BTreeSet<Address>>; 2]> = BTreeMap::new();
    for logs in by_transaction(logs) {
        let transfers: Vec<Transfer> = logs.iter().filter_map(Transfer::of).collect();
        for swap in logs.iter().filter_map(Swap::of) {
            let sides = candidates.entry(swap.pool).or_default();
            for (side, held) in sides.iter_mut().enumerate() {
                let (paid, given) = (U256::from(swap.paid[side]), U256::from(swap.given[side]));
                let is_it = |moved: &&Transfer| {
                    let is_paid = moved.to == swap.pool && moved.amount == paid;
                    let is_given = moved.from == swap.pool && moved.amount == given;
                    !moved.amount.is_zero() && (is_paid || is_given)
                };
                let seen: BTreeSet<Address> =
                    transfers.iter().filter(is_it).map(|moved| moved.token).collect();
                // A token that charges for transfers moves other amounts than the pool sees.
                if seen.is_empty() {
                    continue;
                }
                *held = Some(match held.take() {
                    None => seen,
                    Some(before) => before.intersection(&seen).copied().collect(),
                });
            }
        }
    }
    let only = |pool: (Address, [Option<BTreeSet<Address>>; 2])| {
        let [first, second] = pool.1.map(Option::unwrap_or_default);
        // Both kinds of factory sort a pool's tokens.
        let pairs = first.iter().flat_map(|token| second.iter().map(move |other| [*token, *other]));
        let mut pairs = pairs.filter(|[token, other]| token < other);
        let pair = pairs.next()?;
        pairs.next().is_none().then_some((pool.0, pair))
    };
    candidates.into_iter().filter_map(only).collect()
}
