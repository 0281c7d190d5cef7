//! Going through the motions: what a spinning thread does while nothing comes, so that the path is
//! in its caches when something does.
//!
//! Code and tables that are not used for a millisecond are gone from the caches that this core
//! shares with others, and the first pending swap after it pays for that. So one of those that came
//! last is answered once more now and then: decoded, applied, searched, priced, signed and taken
//! back. They take turns, the last one through each pool: what was looked up for one swap is no
//! help for a swap through other pools, and pools that were traded are the likeliest to be traded
//! next. Nothing leaves, no plan is counted (searches are), and no strategy hears of it. What is
//! signed is signed with a key that everybody knows.
//!
//! Temperature: hot.

use alloc::vec::Vec;
use core::hint::black_box;

use crate::decode::message::{Item, Message};
use crate::ids::PoolId;
use crate::pipeline::{Engine, read};
use crate::plan::Bid;
use crate::reserve;
use crate::search::SearchLimits;
use crate::sign::WalletKey;
use crate::sign::presign::{Maker, SLOT_BYTES};
use crate::strategy::StrategySet;
use crate::world::Stale;

/// Longest announcement that is gone through again, in bytes.
const FRAME_BYTES_MAX: usize = 1 << 13;
/// How many are kept; of pools that share a place, the last one.
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
    signed: Option<usize>,
    /// The last one came to none.
    is_unsigned: bool,
    key: Option<WalletKey>,
    half: [u8; SLOT_BYTES],
}

/// How far an announcement came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    /// It does not apply any more, or is no swap.
    Nowhere,
    /// Nothing was to be had behind it.
    ToNothing,
    ToSignature,
}

impl Default for Rehearsal {
    #[cold]
    fn default() -> Self {
        let key = WalletKey::new(&NO_SECRET).ok();
        let mut half = [0; SLOT_BYTES];
        if let Some(key) = &key {
            Maker::new(core::slice::from_ref(key)).make(&NO_SECRET, 0).put(&mut half);
        }
        let frames = (0..FRAMES_MAX).map(|_| reserve::list(FRAME_BYTES_MAX)).collect();
        Self { frames, next: 0, signed: None, is_unsigned: false, key, half }
    }
}

impl Rehearsal {
    /// Keeps the announcement of a pending swap through this pool first, if it is not too long.
    pub(crate) fn keep(&mut self, frame: &[u8], pool: PoolId) {
        let place = pool.index() % FRAMES_MAX;
        if frame.len() <= FRAME_BYTES_MAX {
            self.frames[place].clear();
            self.frames[place].extend_from_slice(frame);
            self.signed = self.signed.filter(|signed| *signed != place);
        }
    }

    /// Whose turn it is; `None` if there is none. Behind one that came to no signature it is that
    /// of one that did, for the second half of the path is to stay warm, too.
    fn turn(&mut self) -> Option<usize> {
        if core::mem::take(&mut self.is_unsigned) && self.signed.is_some() {
            return self.signed;
        }
        let mut places = (self.next..FRAMES_MAX).chain(0..self.next);
        let place = places.find(|place| !self.frames[*place].is_empty())?;
        self.next = (place + 1) % FRAMES_MAX;
        Some(place)
    }

    /// Notes how far the one at a place came.
    fn note(&mut self, place: usize, came: Came) {
        self.is_unsigned = came != Came::ToSignature;
        if came == Came::Nowhere {
            self.frames[place].clear();
        }
        if came == Came::ToSignature {
            self.signed = Some(place);
        } else {
            self.signed = self.signed.filter(|signed| *signed != place);
        }
    }
}

impl<S: StrategySet> Engine<S> {
    /// Answers one of the last pending swaps once more, without consequences; not while there is
    /// work. Says whether it came to a signature.
    pub fn rehearse(&mut self) -> bool {
        if !self.can_trade() || self.has_backlog() {
            return false;
        }
        let Some(place) = self.rehearsal.turn() else { return false };
        let frame = core::mem::take(&mut self.rehearsal.frames[place]);
        let mut came = Came::Nowhere;
        self.go_through(&frame, &mut came);
        self.rehearsal.frames[place] = frame;
        self.rehearsal.note(place, came);
        came == Came::ToSignature
    }

    /// Goes as far as it leads; `None` if that is not to the end.
    fn go_through(&mut self, frame: &[u8], came: &mut Came) -> Option<()> {
        let mut message = Message::NONE;
        read(frame, &mut message, &self.world.pools).ok()?;
        let Message::Notification { item: Item::PendingTx(tx), .. } = message else { return None };
        black_box((self.mempool.knows(&tx.hash), self.mempool.has_rival(tx.from, tx.nonce)));
        let target = self.target_of(&tx)?;
        black_box(self.senders.next_nonce(&tx.from));
        let raw_bytes = tx.encode_raw(&mut self.scratch.raw).ok()?;
        self.waiting.rehearse(&target);
        let mark = self.apply_in_turn(&target).ok()?;
        *came = Came::ToNothing;
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
        *came = Came::ToSignature;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whose turns come, if each comes so far.
    fn turns(rehearsal: &mut Rehearsal, came: Came, count: usize) -> Vec<Vec<u8>> {
        let turn = |_| {
            let place = rehearsal.turn()?;
            let frame = rehearsal.frames[place].clone();
            rehearsal.note(place, came);
            Some(frame)
        };
        (0..count).filter_map(turn).collect()
    }

    #[test]
    fn swaps_through_several_pools_take_turns_and_of_each_pool_the_last_one_does() {
        let mut rehearsal = Rehearsal::default();
        assert_eq!(rehearsal.turn(), None);
        rehearsal.keep(b"first", PoolId(5));
        rehearsal.keep(b"other", PoolId(9));
        rehearsal.keep(b"again", PoolId(5));
        rehearsal.keep(&[b'x'; FRAME_BYTES_MAX + 1], PoolId(7));
        let order = turns(&mut rehearsal, Came::ToSignature, 4);
        assert_eq!(order, [b"again", b"other", b"again", b"other"]);
    }

    #[test]
    fn what_comes_to_nothing_is_followed_by_what_was_signed_and_what_is_dead_is_dropped() {
        let mut rehearsal = Rehearsal::default();
        rehearsal.keep(b"good", PoolId(1));
        assert_eq!(turns(&mut rehearsal, Came::ToSignature, 1), [b"good"]);
        rehearsal.keep(b"idle", PoolId(2));
        rehearsal.keep(b"dead", PoolId(3));
        assert_eq!(turns(&mut rehearsal, Came::ToNothing, 1), [b"idle"]);
        assert_eq!(turns(&mut rehearsal, Came::ToSignature, 1), [b"good"]);
        assert_eq!(turns(&mut rehearsal, Came::Nowhere, 1), [b"dead"]);
        let order = turns(&mut rehearsal, Came::ToSignature, 3);
        assert_eq!(order, [b"good", b"good", b"idle"]);
        // Another one in its place was never signed.
        rehearsal.keep(b"new", PoolId(2));
        assert_eq!(rehearsal.signed, None);
    }
}
