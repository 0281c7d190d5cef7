//! What users' swaps took of real pairs, against what the engine says that they could have taken.
//!
//! The reserves before a swap are those that the world held before the pair's own `Sync`, so users'
//! amounts are judged in the middle of transactions too.
//!
//! Temperature: cold.

use std::collections::BTreeMap;

use alloy::primitives::Address;
use gannet_engine::amm::{Amm as _, ConstantProduct, Ticks};
use gannet_engine::decode::log::Log;
use gannet_engine::decode::topics::{SWAP, SYNC};
use gannet_engine::ids::Direction;

use super::chain::Replay;
use super::follow::Shaped;
use super::mirror::{Mirror, WETH, reserves_of};
use super::pair::{Because, Pair};
use super::witness::Witness;

/// A block's pairs, before it, whose fee is found, and why others are left out.
pub(crate) struct Probed {
    pub(crate) pairs: Vec<(Pair, u32)>,
    pub(crate) unknown: BTreeMap<Address, Because>,
}

impl Probed {
    /// Probes a block's pairs. The block must have been run: what it reads is known then.
    pub(crate) fn new(witness: &Witness) -> Self {
        let fork = Replay::new(witness).fork();
        let shaped = Shaped::of(witness);
        let mut probed = Self { pairs: vec![], unknown: shaped.unknown.into_iter().collect() };
        for pair in shaped.pairs {
            match pair.fee(&fork) {
                Ok(fee) => probed.pairs.push((pair, fee)),
                Err(reason) => {
                    probed.unknown.insert(pair.address, reason);
                }
            }
        }
        probed
    }
}

/// A block's swaps through V2-shaped pairs.
#[derive(Debug, Default)]
pub(crate) struct Swaps {
    /// Took what the formula gives.
    pub(crate) exact: usize,
    /// Left something in the pair.
    pub(crate) less: usize,
    pub(crate) unknown: BTreeMap<Because, usize>,
    /// Took more than the engine says the pair gives.
    pub(crate) wrong: Vec<String>,
    /// The block's pairs, and the fee in pips of each.
    pub(crate) pairs: Vec<(Pair, u32)>,
}

impl Swaps {
    /// Judges a block's swaps. The block must have been run: what it reads is known then.
    pub(crate) fn new(witness: &Witness) -> Self {
        let Probed { pairs, mut unknown } = Probed::new(witness);
        let mut mirror = Mirror::new(witness, &pairs, WETH);
        let mut swaps = Self { pairs, ..Self::default() };
        mirror.head();
        let mut before = BTreeMap::<Address, [u128; 2]>::new();
        for tx in 0..witness.txs.len() {
            for log in witness.node_logs(tx) {
                let text = log.to_string();
                let parsed = Log::parse(text.as_bytes()).expect("a log as nodes send it");
                match (parsed.topics().first(), mirror.pool(&parsed.address)) {
                    (Some(&SYNC), Some(pool)) => {
                        before.insert(parsed.address, reserves_of(mirror.world.state(pool)));
                    }
                    (Some(&SWAP), Some(pool)) => {
                        let fee_pips = swaps.pairs[pool.index()].1;
                        let held = before.get(&parsed.address).copied();
                        swaps.judge(&parsed, held, fee_pips);
                    }
                    (Some(&SWAP), None) => {
                        let reason = unknown
                            .entry(parsed.address)
                            .or_insert_with(|| Because("it was no pair before the block".into()));
                        *swaps.unknown.entry(reason.clone()).or_default() += 1;
                    }
                    _ => {}
                }
                mirror.log(&log);
            }
        }
        swaps
    }

    fn judge(&mut self, log: &Log<'_>, held: Option<[u128; 2]>, fee_pips: u32) {
        let words = [0, 1, 2, 3].map(|place| log.word_u112(place).ok());
        let (way, amount_in, amount_out) = match words {
            [Some(paid), Some(0), Some(0), Some(taken)] => (Direction::ZeroForOne, paid, taken),
            [Some(0), Some(paid), Some(taken), Some(0)] => (Direction::OneForZero, paid, taken),
            _ => return self.leave_out("it paid or took both tokens"),
        };
        let Some(held) = held else { return self.leave_out("no Sync stands before it") };
        let pool = ConstantProduct::new(held, fee_pips).expect("reserves have 112 bits");
        match pool.quote_out(Ticks::NONE, amount_in, way) {
            Some(quote) if quote == amount_out => self.exact += 1,
            Some(quote) if quote > amount_out => self.less += 1,
            quote => self.wrong.push(format!(
                "transaction {}, log {}: {} took {amount_out}, engine {quote:?}",
                log.tx_index, log.log_index, log.address
            )),
        }
    }

    fn leave_out(&mut self, reason: &str) {
        *self.unknown.entry(Because(reason.into())).or_default() += 1;
    }
}
