//! What users' swaps took of real pairs, against what the engine says that they could have taken.
//!
//! The reserves before a swap are those that the world held before the pair's own `Sync`, so users'
//! amounts are judged in the middle of transactions too.
//!
//! Temperature: cold.

use std::collections::BTreeMap;

use alloy_primitives::Address;
use gannet_engine::amm::{Amm as _, ConstantProduct, Ticks};
use gannet_engine::decode::topics::{SWAP, SYNC};
use gannet_engine::ids::Direction;

use super::mirror::{Mirror, reserves_of};
use super::shaped::{LaidOut, Probed};
use crate::backtest::swaps::Swap;
use crate::evm::Scene;
use crate::recording::rows::LogRow;
use crate::venue::Because;

/// A block's swaps through V2-shaped pairs.
#[derive(Debug, Default)]
pub(super) struct Swaps {
    /// Took what the formula gives.
    pub(super) exact: usize,
    /// Left something in the pair.
    pub(super) less: usize,
    pub(super) unknown: BTreeMap<Because, usize>,
    /// Took more than the engine says the pair gives.
    pub(super) wrong: Vec<String>,
    /// The block's pairs, and the fee in pips of each.
    pub(super) pairs: Vec<(LaidOut, u32)>,
}

impl Swaps {
    /// Judges a block's swaps. The block must have been run: what it reads is known then.
    pub(super) fn new(scene: &Scene<'_>) -> Self {
        let probed = Probed::new(scene);
        let mut mirror = Mirror::new(scene.block, &probed.venues());
        let Probed { pairs, mut unknown } = probed;
        let mut swaps = Self { pairs, ..Self::default() };
        mirror.head();
        let mut before = BTreeMap::<Address, [u128; 2]>::new();
        for log in &scene.block.logs {
            match (log.topics.first(), mirror.pool(&log.address)) {
                (Some(&SYNC), Some(pool)) => {
                    before.insert(log.address, reserves_of(mirror.world.state(pool)));
                }
                (Some(&SWAP), Some(pool)) => {
                    let fee_pips = swaps.pairs[pool.index()].1;
                    let held = before.get(&log.address).copied();
                    swaps.judge(log, held, fee_pips);
                }
                (Some(&SWAP), None) => {
                    let reason = unknown
                        .entry(log.address)
                        .or_insert_with(|| Because("it was no pair before the block".into()));
                    *swaps.unknown.entry(reason.clone()).or_default() += 1;
                }
                _ => {}
            }
            mirror.log(log);
        }
        swaps
    }

    fn judge(&mut self, log: &LogRow, held: Option<[u128; 2]>, fee_pips: u32) {
        let swap = Swap::of(log).map(|swap| (swap.paid, swap.given));
        let (way, amount_in, amount_out) = match swap {
            Some(([paid, 0], [0, taken])) => (Direction::ZeroForOne, paid, taken),
            Some(([0, paid], [taken, 0])) => (Direction::OneForZero, paid, taken),
            _ => return self.leave_out("it paid or took both tokens"),
        };
        let Some(held) = held else { return self.leave_out("no Sync stands before it") };
        let pool = ConstantProduct::new(held, fee_pips).expect("reserves have 112 bits");
        match pool.quote_out(Ticks::NONE, amount_in, way) {
            Some(quote) if quote == amount_out => self.exact += 1,
            Some(quote) if quote > amount_out => self.less += 1,
            quote => self.wrong.push(format!(
                "transaction {}, log {}: {} took {amount_out}, engine {quote:?}",
                log.transaction_index, log.log_index, log.address
            )),
        }
    }

    fn leave_out(&mut self, reason: &str) {
        *self.unknown.entry(Because(reason.into())).or_default() += 1;
    }
}
