//! Going through the motions: what a spinning thread does while nothing comes, so that the path is
//! in its caches when something does.
//!
//! Code and tables that are not used for a millisecond are gone from the caches that this core
//! shares with others, and the first pending swap after it pays for that. So the last one is
//! answered once more now and then: decoded, applied, searched, priced, signed and taken back.
//! Nothing leaves, no plan is counted (searches are), and no strategy hears of it. What is signed
//! is signed with a key that everybody knows.
//!
//! Temperature: hot.

use alloc::vec::Vec;
use core::hint::black_box;

use crate::decode::message::{self, Item, Message};
use crate::pipeline::Engine;
use crate::plan::Bid;
use crate::search::SearchLimits;
use crate::sign::WalletKey;
use crate::sign::presign::{Maker, SLOT_BYTES};
use crate::strategy::StrategySet;
use crate::world::Stale;

/// Longest announcement that is gone through again, in bytes.
const FRAME_BYTES_MAX: usize = 1 << 13;
/// A key that guards nothing.
const NO_SECRET: [u8; 32] = [1; 32];

/// The announcement of the last pending swap, and what a signature is made of that nobody sees.
#[derive(Debug)]
pub(crate) struct Rehearsal {
    frame: Vec<u8>,
    key: Option<WalletKey>,
    half: [u8; SLOT_BYTES],
}

impl Default for Rehearsal {
    #[cold]
    fn default() -> Self {
        let key = WalletKey::new(&NO_SECRET).ok();
        let mut half = [0; SLOT_BYTES];
        if let Some(key) = &key {
            Maker::new(core::slice::from_ref(key)).make(&NO_SECRET, 0).put(&mut half);
        }
        Self { frame: Vec::with_capacity(FRAME_BYTES_MAX), key, half }
    }
}

impl Rehearsal {
    /// Keeps the announcement of a pending swap, if it is not too long.
    pub(crate) fn keep(&mut self, frame: &[u8]) {
        if frame.len() <= FRAME_BYTES_MAX {
            self.frame.clear();
            self.frame.extend_from_slice(frame);
        }
    }
}

impl<S: StrategySet> Engine<S> {
    /// Answers the last pending swap once more, without consequences; not while there is work. Says
    /// whether it came to a signature.
    pub fn rehearse(&mut self) -> bool {
        if !self.can_trade() || self.has_backlog() {
            return false;
        }
        let frame = core::mem::take(&mut self.rehearsal.frame);
        let is_signed = self.go_through(&frame).is_some();
        self.rehearsal.frame = frame;
        is_signed
    }

    fn go_through(&mut self, frame: &[u8]) -> Option<()> {
        let Ok(Message::Notification { item: Item::PendingTx(tx), .. }) = message::parse(frame)
        else {
            return None;
        };
        black_box((self.mempool.knows(&tx.hash), self.mempool.has_rival(tx.from, tx.nonce)));
        let target = self.target_of(&tx)?;
        let raw_bytes = tx.encode_raw(&mut self.scratch.raw).ok()?;
        self.waiting.rehearse(&target);
        let mark = self.apply_in_turn(&target).ok()?;
        let mut found = None;
        let world = &self.world;
        let bid = Bid::Behind(target.follow);
        let least = self.risk.worth_least(world, bid, world.next_block());
        let limits = SearchLimits { worth_least: least, ..SearchLimits::NONE };
        self.strategies.each_searcher(|searcher| {
            let asked = searcher.asked;
            searcher.suppose(&world.pools, world.supposed());
            searcher.search(&world.pools, world.supposed(), &limits, &mut |cycle| {
                found.get_or_insert(*cycle);
            });
            searcher.restore();
            searcher.asked = asked;
        });
        let plan = found.and_then(|found| found.plan(world, bid, world.next_block()));
        if self.world.take_back(mark).is_err() {
            self.world.set_stale(Stale::Lost, true);
        }
        let admitted = self.risk.price(&plan?, &self.world).ok()?;
        let Self { rehearsal, signer, world, scratch, .. } = self;
        let key = (rehearsal.key.as_ref()?, rehearsal.half);
        let signed = signer.rehearse(&admitted, world, key, scratch.raw.get(..raw_bytes)?)?;
        black_box(signed);
        Some(())
    }
}
