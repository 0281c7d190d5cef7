//! The trigger index: which positions a move of a feed could make liquidatable, and no others.
//!
//! ```text
//! set ──► a threshold per feed, in that feed's heap ──┐
//!                                  moved(feed, answer) ├──► hits: to be recomputed, and set again
//! set ──► a time, in the list of what is due ──► due ──┘
//! ```
//!
//! A position is handed out when a feed of its own has moved as far as its share of the position's
//! slack ([`watch`]), when its watch has run out, or when a feed has no answer any more; until it
//! is set again it is its owner's business. As long as none of that has happened, it is healthy.
//! [`TriggerIndex::reached`] asks the same of an answer that is only supposed, and changes nothing.
//!
//! Whatever changes an answer must be told here: an update that a reorg takes back is a move, too.
//!
//! Temperature: hot.

mod heap;
#[cfg(test)]
mod tests;
pub mod watch;

use alloc::vec;
use alloc::vec::Vec;

use alloy_primitives::U256;

use self::heap::{Entry, Heaps};
pub use self::watch::{Budget, Side, TERMS_MAX, Watch};
use super::price::FeedId;
use crate::reserve;

/// Owners of entries per position: its terms, and the time at which it is due.
const SLOTS: usize = TERMS_MAX + 1;
const SLOTS_32: u32 = 17;
const DUE_SLOT: usize = TERMS_MAX;
const _: () = assert!(SLOTS_32 as usize == SLOTS, "the same number");
/// Marks a slot whose entry is in no heap.
const NOWHERE: u16 = u16::MAX;

/// Most of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TriggerLimits {
    /// Positions.
    pub positions: usize,
    /// Feeds.
    pub feeds: usize,
    /// Feeds of all positions together.
    pub terms: usize,
}

/// Why a position is not watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Refused {
    /// It is past the limits.
    OutOfRange,
    /// It has more feeds than [`TERMS_MAX`].
    TooManyTerms,
    /// There is no room for its terms.
    Full,
}

/// What has been done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TriggerCounts {
    /// Positions handed out because a feed reached their threshold.
    pub reached: u64,
    /// Positions handed out because their watch had run out.
    pub due: u64,
    /// Positions that were not taken.
    pub refused: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Standing {
    Absent,
    Watched,
    /// Handed out and not set since; what is left of it in heaps is passed over.
    Out,
}

/// Positions that were handed out, in no order.
#[derive(Debug)]
pub struct Hits {
    list: Vec<u32>,
    capacity: usize,
}

impl Hits {
    /// Room for `capacity`.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { list: reserve::list(capacity), capacity }
    }

    /// The positions.
    #[must_use]
    pub fn as_slice(&self) -> &[u32] {
        &self.list
    }

    /// Makes room.
    pub fn clear(&mut self) {
        self.list.clear();
    }

    /// Adds one; `false` if there is no room.
    pub fn push(&mut self, position: u32) -> bool {
        let has_room = self.list.len() < self.capacity;
        if has_room {
            self.list.push(position);
        }
        has_room
    }
}

/// The index.
#[derive(Debug)]
pub struct TriggerIndex {
    limits: TriggerLimits,
    heaps: Heaps,
    standings: Vec<Standing>,
    /// The heap that each slot's entry is in.
    homes: Vec<u16>,
    counts: TriggerCounts,
}

impl TriggerIndex {
    /// Of no positions.
    ///
    /// # Panics
    /// When the limits need more than 16 bits of heaps or pages, or 32 bits of entries.
    #[must_use]
    pub fn new(limits: TriggerLimits) -> Self {
        let TriggerLimits { positions, feeds, terms } = limits;
        // Two for each feed, and the one for what is due.
        let heaps = feeds * 2 + 1;
        let slots = positions * SLOTS;
        assert!(heaps < usize::from(NOWHERE), "a heap has a number of 16 bits");
        assert!(u32::try_from(slots).is_ok(), "an entry has a number of 32 bits");
        // While a position is set anew, it may be in a heap by its old term and by its new one.
        let (each, all) = (positions + SLOTS, terms + positions + SLOTS);
        Self {
            limits,
            heaps: Heaps::new(heaps, each, all, slots),
            standings: vec![Standing::Absent; positions],
            homes: vec![NOWHERE; slots],
            counts: TriggerCounts::default(),
        }
    }

    /// Bytes that it has taken.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.heaps.bytes()
            + self.standings.capacity()
            + self.homes.capacity() * size_of::<u16>()
            + size_of::<Self>()
    }

    /// What it has done.
    #[must_use]
    pub const fn counts(&self) -> TriggerCounts {
        self.counts
    }

    /// Whether a position is watched.
    #[must_use]
    pub fn is_watched(&self, position: u32) -> bool {
        self.standings.get(position as usize) == Some(&Standing::Watched)
    }

    /// Watches a position that is healthy now, through `valid_until` (in seconds).
    ///
    /// What was known of it before is replaced.
    ///
    /// # Errors
    /// When it cannot be watched: it is not, then, and is to be recomputed at every change.
    #[inline]
    pub fn set(
        &mut self,
        position: u32,
        watch: &Watch,
        budget: Budget,
        valid_until: u64,
    ) -> Result<(), Refused> {
        let outcome = self.try_set(position, watch, budget, valid_until);
        if outcome.is_err() {
            self.counts.refused += 1;
            self.remove(position);
        }
        outcome
    }

    fn try_set(
        &mut self,
        position: u32,
        watch: &Watch,
        budget: Budget,
        valid_until: u64,
    ) -> Result<(), Refused> {
        let at = position as usize;
        if at >= self.limits.positions {
            return Err(Refused::OutOfRange);
        }
        if watch.is_full() {
            return Err(Refused::TooManyTerms);
        }
        let terms = watch.terms();
        for (slot, term) in terms.iter().enumerate() {
            let feed = usize::from(term.feed);
            if feed >= self.limits.feeds {
                return Err(Refused::OutOfRange);
            }
            let code = code(watch.threshold(term, budget));
            let key = if term.is_rising { code } else { !code };
            self.place(at * SLOTS + slot, heap_of(feed, term.is_rising), key)?;
        }
        for slot in terms.len()..TERMS_MAX {
            self.displace(at * SLOTS + slot);
        }
        let due = self.limits.feeds * 2;
        self.place(at * SLOTS + DUE_SLOT, due, valid_until.saturating_add(1))?;
        self.standings[at] = Standing::Watched;
        Ok(())
    }

    /// Forgets a position.
    pub fn remove(&mut self, position: u32) {
        let at = position as usize;
        if at >= self.limits.positions {
            return;
        }
        for slot in 0..SLOTS {
            self.displace(at * SLOTS + slot);
        }
        self.standings[at] = Standing::Absent;
    }

    /// A feed answers something else: hands out the positions that this could hurt.
    ///
    /// `false` if there was no room for all; the rest comes when it is called again.
    #[inline]
    pub fn moved(&mut self, feed: FeedId, answer: U256, hits: &mut Hits) -> bool {
        self.pop_both(feed, code(answer), hits)
    }

    /// A feed has no answer any more, or has one again: hands out all positions that need it.
    ///
    /// `false` if there was no room for all; the rest comes when it is called again.
    pub fn lost(&mut self, feed: FeedId, hits: &mut Hits) -> bool {
        if feed.index() >= self.limits.feeds {
            return true;
        }
        [false, true].into_iter().all(|is_rising| {
            self.pop(heap_of(feed.index(), is_rising), u64::MAX, hits, |counts| {
                counts.reached += 1;
            })
        })
    }

    /// Time has passed: hands out the positions whose watch had run out at `at_seconds`.
    ///
    /// `false` if there was no room for all; the rest comes when it is called again.
    #[inline]
    pub fn due(&mut self, at_seconds: u64, hits: &mut Hits) -> bool {
        self.pop(self.limits.feeds * 2, at_seconds, hits, |counts| counts.due += 1)
    }

    /// Visits the positions that [`Self::moved`] would hand out, and changes nothing. Where a feed
    /// can hurt both ways, a position may be visited twice.
    #[inline]
    pub fn reached(&self, feed: FeedId, answer: U256, mut visit: impl FnMut(u32)) {
        if feed.index() >= self.limits.feeds {
            return;
        }
        let code = code(answer);
        for (is_rising, bound) in [(false, !code), (true, code)] {
            self.heaps.walk(heap_of(feed.index(), is_rising), bound, |entry| {
                let position = position_of(entry.owner);
                if self.is_watched(position) {
                    visit(position);
                }
            });
        }
    }

    fn pop_both(&mut self, feed: FeedId, code: u64, hits: &mut Hits) -> bool {
        let feed = feed.index();
        if feed >= self.limits.feeds {
            return true;
        }
        let count = |counts: &mut TriggerCounts| counts.reached += 1;
        self.pop(heap_of(feed, false), !code, hits, count)
            && self.pop(heap_of(feed, true), code, hits, count)
    }

    #[inline]
    fn pop(
        &mut self,
        heap: usize,
        bound: u64,
        hits: &mut Hits,
        count: impl Fn(&mut TriggerCounts),
    ) -> bool {
        while let Some(entry) = self.heaps.first(heap).filter(|entry| entry.key <= bound) {
            let position = position_of(entry.owner);
            if self.is_watched(position) {
                if !hits.push(position) {
                    return false;
                }
                self.standings[position as usize] = Standing::Out;
                count(&mut self.counts);
            }
            self.displace(entry.owner as usize);
        }
        true
    }

    /// Puts a slot's entry into a heap, out of any other.
    #[inline]
    fn place(&mut self, slot: usize, heap: usize, key: u64) -> Result<(), Refused> {
        #[expect(clippy::cast_possible_truncation, reason = "both fit by the limits")]
        let (owner, home) = (slot as u32, heap as u16);
        if self.homes[slot] == home {
            self.heaps.rekey(heap, Entry { key, owner });
            return Ok(());
        }
        self.displace(slot);
        if !self.heaps.push(heap, Entry { key, owner }) {
            return Err(Refused::Full);
        }
        self.homes[slot] = home;
        Ok(())
    }

    /// Takes a slot's entry out of its heap, if it is in one.
    #[inline]
    fn displace(&mut self, slot: usize) {
        let home = core::mem::replace(&mut self.homes[slot], NOWHERE);
        if home != NOWHERE {
            #[expect(clippy::cast_possible_truncation, reason = "it fits by the limits")]
            self.heaps.remove(usize::from(home), slot as u32);
        }
    }
}

#[inline]
const fn heap_of(feed: usize, is_rising: bool) -> usize {
    feed * 2 + is_rising as usize
}

/// The position that has a slot.
#[inline]
const fn position_of(owner: u32) -> u32 {
    owner / SLOTS_32
}

/// Bits of a number that its code keeps.
const CODE_BITS: usize = 57;

/// A number as 64 bits in the same order: exact below 2^57, and above it with the first 57 bits.
///
/// `a ≤ b` gives `code(a) ≤ code(b)`, so that what is compared by codes is found early, by at most
/// one part in 2^56, and never late.
#[inline]
fn code(number: U256) -> u64 {
    let shift = number.bit_len().saturating_sub(CODE_BITS);
    let first = (number >> shift).as_limbs()[0];
    // At most (199 + 2) · 2^56, which 64 bits hold.
    ((shift as u64) << (CODE_BITS - 1)) + first
}
