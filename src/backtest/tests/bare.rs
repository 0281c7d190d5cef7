//! Real blocks of which only the logs are known: what one log of a pool says, the next one must
//! follow from.
//!
//! A pair's reserves before a swap are those of its `Sync` before, so its own `Sync` must be these,
//! plus what it was paid, less what was taken: what it was paid is what it has more. Only where a
//! token shrinks can it have less. A V3 pool's price before a swap is that of its swap
//! before; within one range the next one's amounts must then be quoted to the wei at one fee, the
//! same for all its swaps.
//!
//! Temperature: cold.

use std::collections::BTreeMap;

use alloy_primitives::{Address, U256};
use gannet_engine::amm::{Concentrated, ConcentratedState, Ticks};
use gannet_engine::decode::topics::{BURN, MINT, SWAP, SYNC, V3_BURN, V3_MINT};

use super::ranged::{Said, is_swap};
use crate::backtest::swaps::word;
use crate::recording::RecordedBlock;
use crate::recording::rows::LogRow;

/// Fees that pools of V3's shape have, in pips, and the distances of their ticks.
const FEES: [(u32, i32); 6] =
    [(100, 1), (500, 10), (2_500, 50), (3_000, 60), (10_000, 200), (200, 4)];

/// What was seen of a block.
#[derive(Debug, Default)]
pub(super) struct Bare {
    pub(super) logs: usize,
    /// Swaps that follow from the log before, by kind.
    pub(super) exact: BTreeMap<&'static str, usize>,
    /// Swaps of which nothing can be said, and why.
    pub(super) unknown: BTreeMap<&'static str, usize>,
    pub(super) wrong: Vec<String>,
    pairs: BTreeMap<Address, Reserves>,
    ranged: BTreeMap<Address, Held>,
}

/// A pair: its reserves by its `Sync` before the last one, and by the last.
#[derive(Clone, Copy, Debug, Default)]
struct Reserves {
    before: Option<[U256; 2]>,
    last: Option<[U256; 2]>,
}

/// A V3 pool after its last swap, and the fees that explain all of its swaps so far.
#[derive(Clone, Debug)]
struct Held {
    after: Option<Said>,
    fees: Vec<(u32, i32)>,
}

impl Bare {
    /// Goes through a block; `None` if its logs are not those of its header.
    pub(super) fn new(block: &RecordedBlock) -> Option<Self> {
        let mut bare = Self { logs: block.logs.len(), ..Self::default() };
        block.logs.iter().for_each(|log| bare.take(log));
        (block.header.logs_complete != Some(false)).then_some(bare)
    }

    fn take(&mut self, log: &LogRow) {
        let topic = log.topics.first().copied().unwrap_or_default();
        let word = |place: usize| word(log, place);
        let words = |from: usize| Some([word(from)?, word(from + 1)?]);
        if topic == SYNC && log.topics.len() == 1 {
            let pair = self.pairs.entry(log.address).or_default();
            pair.before = pair.last;
            pair.last = words(0);
        } else if topic == SWAP
            && let (Some(paid), Some(taken)) = (words(0), words(2))
        {
            self.judge_pair(log.address, paid, taken);
        } else if [MINT, BURN].contains(&topic) && log.data.len() == 64 {
            // Its `Sync` stands before it, and says it all.
        } else if [V3_MINT, V3_BURN].contains(&topic) {
            // Liquidity may have changed where the price is.
            if let Some(held) = self.ranged.get_mut(&log.address) {
                held.after = None;
            }
        } else if is_swap(log.topics.first()) {
            self.judge_ranged(log);
        }
    }

    fn judge_pair(&mut self, address: Address, paid: [U256; 2], taken: [U256; 2]) {
        let held = self.pairs.get(&address).copied().unwrap_or_default();
        let (Some(before), Some(last)) = (held.before, held.last) else {
            return self.leave("the pool's first in the block");
        };
        let expected = [0, 1].map(|side: usize| {
            let sum = before[side].checked_add(paid[side]);
            sum.and_then(|sum| sum.checked_sub(taken[side]))
        });
        let follows = |side: usize| expected[side] == Some(last[side]);
        if follows(0) && follows(1) {
            *self.exact.entry("pairs").or_default() += 1;
        } else if [0, 1]
            .into_iter()
            .all(|side| expected[side].is_some_and(|most| most >= last[side]))
        {
            self.leave("a token of the pair shrinks");
        } else {
            self.wrong
                .push(format!("{address}: {before:?} to {last:?}, paid {paid:?}, took {taken:?}"));
        }
    }

    fn judge_ranged(&mut self, log: &LogRow) {
        let Some(said) = Said::of(log) else { return self.leave("it moved nothing") };
        let held = self.ranged.entry(log.address);
        let held = held.or_insert_with(|| Held { after: None, fees: FEES.to_vec() });
        let before = held.after.replace(said);
        let Some(before) = before else { return self.leave("the pool's first in the block") };
        if before.liquidity != said.liquidity {
            return self.leave("it went through ticks");
        }
        let explains = |(fee_pips, tick_spacing): &(u32, i32)| {
            let state = ConcentratedState {
                sqrt_price: before.sqrt_price,
                tick: before.tick,
                liquidity: before.liquidity,
                fee_pips: *fee_pips,
                tick_spacing: *tick_spacing,
            };
            let pool = Concentrated::new(&state);
            pool.is_some_and(|pool| matches!(said.judge(&pool, Ticks::NONE), Some(Ok(()))))
        };
        let fees: Vec<_> = held.fees.iter().copied().filter(explains).collect();
        if fees.is_empty() {
            return self.leave("another fee, or through ticks and back");
        }
        held.fees = fees;
        *self.exact.entry("V3 pools").or_default() += 1;
    }

    fn leave(&mut self, reason: &'static str) {
        *self.unknown.entry(reason).or_default() += 1;
    }
}
