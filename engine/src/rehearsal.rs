//! Going through the motions: what a spinning thread does while nothing comes, so that the path is
//! in its caches when something does.
//!
//! Code and tables that are not used for a millisecond are gone from the caches that this core
//! shares with others, and the first pending swap after it pays for that. So one of those that came
//! last is answered once more now and then: decoded, applied, searched, priced, signed and taken
//! back. Each time it is another one, through other pools: those that are traded most come again
//! soonest, and what was looked up for one swap is no help for a swap of others. Nothing leaves, no
//! plan is counted (searches are), and no strategy hears of it. What is signed is signed with a key
//! that everybody knows.
//!
//! Temperature: hot.

use alloc::vec::Vec;
use core::hint::black_box;

use crate::decode::message::{self, Item, Message};
use crate::ids::PoolId;
use crate::pipeline::Engine;
use crate::plan::Bid;
use crate::search::SearchLimits;
use crate::sign::WalletKey;
use crate::sign::presign::{Maker, SLOT_BYTES};
use crate::strategy::StrategySet;
use crate::world::Stale;

/// Longest announcement that is gone through again, in bytes.
const FRAME_BYTES_MAX: usize = 1 << 13;
/// How many are kept, each through another pool.
const FRAMES_MAX: usize = 64;
/// A key that guards nothing.
const NO_SECRET: [u8; 32] = [1; 32];

/// Announcements of pending swaps, and what a signature is made of that nobody sees.
#[derive(Debug)]
pub(crate) struct Rehearsal {
    /// By the first pool on the way, the last one each; empty while there is none.
    frames: Vec<Vec<u8>>,
    /// Where the next one is that is gone through.
    next: usize,
    /// Where one is that came to a signature.
    signed: usize,
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
        let frames = (0..FRAMES_MAX).map(|_| Vec::with_capacity(FRAME_BYTES_MAX)).collect();
        Self { frames, next: 0, signed: 0, key, half }
    }
}

impl Rehearsal {
    /// Keeps the announcement of a pending swap through this pool first, if it is not too long.
    pub(crate) fn keep(&mut self, frame: &[u8], pool: PoolId) {
        let kept = &mut self.frames[pool.index() % FRAMES_MAX];
        if frame.len() <= FRAME_BYTES_MAX {
            kept.clear();
            kept.extend_from_slice(frame);
        }
    }

    /// Where the next one is that there is.
    fn turn(&mut self) -> usize {
        let places = (self.next..FRAMES_MAX).chain(0..self.next);
        let there = places.into_iter().find(|place| !self.frames[*place].is_empty());
        let place = there.unwrap_or(self.next);
        self.next = (place + 1) % FRAMES_MAX;
        place
    }
}

impl<S: StrategySet> Engine<S> {
    /// Answers one of the last pending swaps once more, without consequences; not while there is
    /// work. Says whether it came to a signature. Where nothing is to be had behind it, one follows
    /// that led there before, for the second half of the path is to stay warm, too.
    pub fn rehearse(&mut self) -> bool {
        if !self.can_trade() || self.has_backlog() {
            return false;
        }
        let place = self.rehearsal.turn();
        if self.rehearse_at(place) {
            self.rehearsal.signed = place;
            return true;
        }
        self.rehearse_at(self.rehearsal.signed)
    }

    fn rehearse_at(&mut self, place: usize) -> bool {
        let frame = core::mem::take(&mut self.rehearsal.frames[place]);
        let is_signed = self.go_through(&frame).is_some();
        self.rehearsal.frames[place] = frame;
        is_signed
    }

    fn go_through(&mut self, frame: &[u8]) -> Option<()> {
        let Ok(Message::Notification { item: Item::PendingTx(tx), .. }) = message::parse(frame)
        else {
            return None;
        };
        black_box((self.mempool.knows(&tx.hash), self.mempool.has_rival(tx.from, tx.nonce)));
        let target = self.target_of(&tx)?;
        black_box(self.senders.next_nonce(&tx.from));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(rehearsal: &mut Rehearsal, turns: usize) -> Vec<Vec<u8>> {
        let places: Vec<_> = (0..turns).map(|_| rehearsal.turn()).collect();
        places.into_iter().map(|place| rehearsal.frames[place].clone()).collect()
    }

    #[test]
    fn swaps_through_several_pools_take_turns_and_of_each_pool_the_last_one_does() {
        let mut rehearsal = Rehearsal::default();
        assert_eq!(kept(&mut rehearsal, 2), [b"", b""], "there is none");
        rehearsal.keep(b"first", PoolId(5));
        rehearsal.keep(b"other", PoolId(9));
        rehearsal.keep(b"again", PoolId(5));
        rehearsal.keep(&[b'x'; FRAME_BYTES_MAX + 1], PoolId(7));
        let turns = kept(&mut rehearsal, 4);
        assert_eq!(turns, [b"again", b"other", b"again", b"other"]);
    }
}
