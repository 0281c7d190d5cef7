//! Floods: pending swaps that are made beforehand and then announced at a rate, so that the node's
//! own work delays nothing else that it says.
//!
//! Temperature: cold.

use std::thread::sleep;
use std::time::{Duration, Instant};

use alloy_primitives::Address;

use crate::json;
use crate::model::Tx;
use crate::model::chain::{Terms, Trade};
use crate::node::Node;
use crate::wire::Kind;

/// Largest share of a pair that a swap takes, in hundredths of a per cent.
const SHARE_BPS_MAX: u128 = 100;
/// Most swaps that one sender announces, one nonce after the other.
const SWAPS_PER_SENDER_MAX: u64 = 3;
/// Of so many swaps one is taken into the pool, and mined.
const MINED_ONE_IN: usize = 64;

/// A swap, and its announcement's text.
#[derive(Debug)]
struct Announcement {
    tx: Tx,
    text: String,
}

/// Swaps that are ready to be announced.
#[derive(Debug, Default)]
pub struct Flood(Vec<Announcement>);

impl Flood {
    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Node {
    /// Makes `count` valid swaps of random sizes; each sender announces one to three.
    #[must_use]
    pub fn prepare_flood(&self, count: usize) -> Flood {
        let mut swaps = Vec::with_capacity(count);
        let mut last: Option<(Address, u64)> = None;
        while swaps.len() < count && !self.is_over() {
            let tx = {
                let mut chain = self.chain();
                let goes_on = last.filter(|(_, nonce)| {
                    nonce + 1 < SWAPS_PER_SENDER_MAX && chain.chance.draw().is_multiple_of(4)
                });
                let (sender, nonce) = match goes_on {
                    Some((sender, nonce)) => (sender, nonce + 1),
                    None => (chain.stranger(), 0),
                };
                last = Some((sender, nonce));
                let share_bps = 1 + u128::from(chain.chance.draw()) % SHARE_BPS_MAX;
                let trade = Trade { share_bps, ..chain.small_trade() };
                let tip = chain.tip();
                chain.swap(&trade, &tip.state, sender, Terms { nonce, ..Terms::default() })
            };
            let text = json::tx(&tx, None).to_string();
            swaps.push(Announcement { tx, text });
        }
        Flood(swaps)
    }

    /// Announces them, `per_second` each second; how long that took.
    pub fn announce_flood(&self, flood: Flood, per_second: u64) -> Duration {
        let start = Instant::now();
        for (number, Announcement { tx, text }) in flood.0.into_iter().enumerate() {
            let due = Duration::from_micros(number as u64 * 1_000_000 / per_second.max(1));
            while start.elapsed() < due && !self.is_over() {
                sleep(Duration::from_millis(1));
            }
            let hash = tx.hash;
            self.remember(tx, number.is_multiple_of(MINED_ONE_IN));
            self.announce_text(&hash, &text);
        }
        start.elapsed()
    }

    /// Waits until the bot has read everything that was announced to it; whether it did within
    /// `limit`. Its answer to a ping says so, for the ping comes last.
    #[must_use]
    pub fn is_heard(&self, limit: Duration) -> bool {
        let (start, before) = (Instant::now(), self.record().pongs);
        self.ping(Kind::Pending, 1);
        while self.record().pongs == before {
            if start.elapsed() > limit {
                return false;
            }
            sleep(Duration::from_millis(1));
        }
        true
    }

    /// Takes a swap into the pool if it `is_mined`; otherwise the node knows it, and no more.
    fn remember(&self, tx: Tx, is_mined: bool) {
        let mut chain = self.chain();
        let (tip, id) = (chain.tip(), chain.id);
        if !is_mined || chain.pool.add(tx.clone(), &tip.state, id).is_err() {
            chain.pool.remember(tx);
        }
    }
}
