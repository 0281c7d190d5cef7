//! Pending swaps that have not landed yet: those that the strategies have still to see, and those
//! that may stand before us in the next block.
//!
//! Bounded; when it is full, the swap that moves least gives way, for an opportunity behind it
//! would be the smallest. What a swap moves is found out behind the answer to it, or as soon as it
//! has to be told which of several comes first.
//!
//! Temperature: hot.

use alloc::vec::Vec;
use core::cmp::Reverse;

use alloy_primitives::{Address, B256};

use crate::flight::Admitted;
use crate::ids::PoolId;
use crate::limits::PENDING_QUEUE_MAX;
use crate::plan::Follow;
use crate::tally::Gone;
use crate::target::Target;
use crate::units::{BlockNumber, Nanos, Wei};

/// One more than stay: until it has a rank, nobody gives way to who came last.
const PLACES: usize = PENDING_QUEUE_MAX + 1;
/// A pending swap is forgotten when it has not landed for this many blocks.
const BLOCKS_MAX: u64 = 3;

/// How far a swap has come on its way to the strategies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Look {
    /// Whether its nonce is next is to be checked.
    New,
    /// Its sender's nonce was asked for.
    Asked,
    /// Another transaction of its sender must land first.
    Early,
    /// Its nonce is next; it waits for a world that may be traded on.
    Due,
    /// The strategies saw it.
    Seen,
}

/// What a swap is worth to us: what it moves, in wei, then what it tips, then who came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    worth: Wei,
    tip: Wei,
    arrival: Reverse<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    look: Look,
    /// Since when it could have been looked at.
    due_at: Nanos,
    /// The block that was next when it was announced.
    next_block: BlockNumber,
    target: Target,
}

/// What most scans want to know of an entry, so that they go through a few kilobytes: parts of what
/// it is known by, which may be another's as well.
#[derive(Clone, Copy, Debug)]
struct Brief {
    hash: u64,
    sender: u64,
    max_fee: Wei,
    rank: Rank,
    /// Whether it does something to loans or to their prices.
    has_loans: bool,
}

impl Brief {
    fn of(target: &Target, rank: Rank) -> Self {
        let Follow { hash, max_fee, .. } = &target.follow;
        Self {
            hash: start_of(hash.as_slice()),
            sender: start_of(target.sender.as_slice()),
            max_fee: *max_fee,
            rank,
            has_loans: target.route.loans().next().is_some(),
        }
    }
}

/// The first bytes of an address or a hash.
fn start_of(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |start| u64::from_be_bytes(*start))
}

/// A set of pools in one word: it may seem to hold one that it does not, never the other way.
#[derive(Clone, Copy, Debug)]
struct Pools(u64);

impl Pools {
    fn of(pools: impl Iterator<Item = PoolId>) -> Self {
        Self(pools.fold(0, |bits, pool| bits | (1 << (pool.0 % u64::BITS))))
    }

    const fn may_meet(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// Pending swaps.
#[derive(Debug)]
pub(crate) struct Waiting {
    entries: Vec<Entry>,
    /// One for each entry, in the same order.
    briefs: Vec<Brief>,
    /// Which pools each moves: most plans meet none of them.
    pools: Vec<Pools>,
    /// Where the last one is; nowhere, once it has gone.
    newest: usize,
    /// The last one's place, while it has no rank.
    unrated: Option<usize>,
    /// Where the least valuable of those with a rank is, if that is known.
    least: Option<usize>,
    arrivals: u64,
    /// How many there are of each [`Look`].
    counts: [usize; 5],
    /// Why swaps left before the strategies saw them, since the start.
    gone: [u64; Gone::ALL.len()],
}

impl Default for Waiting {
    fn default() -> Self {
        Self {
            entries: Vec::with_capacity(PLACES),
            briefs: Vec::with_capacity(PLACES),
            pools: Vec::with_capacity(PLACES),
            newest: 0,
            unrated: None,
            least: None,
            arrivals: 0,
            counts: [0; 5],
            gone: [0; Gone::ALL.len()],
        }
    }
}

impl Waiting {
    /// Remembers a swap, which is to be [rated](Self::rate) before the next one comes. Swaps of its
    /// sender that had to wait for it are to be checked again.
    pub(crate) fn push(&mut self, target: &Target, next: BlockNumber, at: Nanos) {
        debug_assert_eq!(self.unrated, None, "what came before has its rank");
        if self.counts[Look::Early as usize] > 0 {
            self.wake(Some(&target.sender), at);
        }
        self.arrivals += 1;
        let tip = target.follow.priority_fee;
        let rank = Rank { worth: Wei(0), tip, arrival: Reverse(self.arrivals) };
        let look = Look::New;
        self.newest = self.entries.len();
        self.unrated = Some(self.newest);
        self.entries.push(Entry { look, due_at: at, next_block: next, target: *target });
        self.briefs.push(Brief::of(target, rank));
        self.pools.push(Pools::of(target.hops().iter().map(|hop| hop.pool)));
        debug_assert_eq!(self.entries.len(), self.briefs.len(), "one each");
        debug_assert_eq!(self.entries.len(), self.pools.len(), "one each");
        self.counts[look as usize] += 1;
    }

    /// The swap that has no rank yet.
    pub(crate) fn unrated(&self) -> Option<&Target> {
        self.unrated.map(|place| &self.entries[place].target)
    }

    /// Drops the swap that has no rank yet, uncounted: it was not what was announced.
    pub(crate) fn drop_newest(&mut self) {
        if let Some(place) = self.unrated {
            self.remove(place);
            self.arrivals -= 1;
        }
    }

    /// Writes a swap to where the next one will stand, so that the place is in the caches; it does
    /// not wait there.
    pub(crate) fn rehearse(&mut self, target: &Target) {
        let entry = Entry {
            look: Look::New,
            due_at: Nanos(0),
            next_block: BlockNumber(0),
            target: *target,
        };
        if let Some(place) = self.entries.spare_capacity_mut().first_mut() {
            place.write(entry);
        }
    }

    /// The swap that came last, if it has not gone.
    pub(crate) fn newest(&self) -> Option<&Target> {
        self.entries.get(self.newest).map(|entry| &entry.target)
    }

    /// How many swaps came, since the start.
    pub(crate) const fn arrivals(&self) -> u64 {
        self.arrivals
    }

    /// Notes what the swap without a rank moves; when there are too many, the least valuable gives
    /// way.
    pub(crate) fn rate(&mut self, worth: Wei) {
        let Some(place) = self.unrated.take() else { return };
        self.briefs[place].rank.worth = worth;
        let least = if self.is_full() { self.least_but(place) } else { None };
        match least {
            Some(least) if self.briefs[place].rank < self.briefs[least].rank => {
                self.leave(place, Gone::Outranked);
            }
            Some(least) => self.leave(least, Gone::Outranked),
            None => self.least = None,
        }
    }

    /// Where the most valuable swap is that can be looked at now: checked, and if the world
    /// `can_trade`, shown to the strategies.
    pub(crate) fn next(&self, can_trade: bool) -> Option<usize> {
        let count = self.next_count(can_trade);
        if count == 0 {
            return None;
        }
        let is_next = |look| look == Look::New || can_trade && look == Look::Due;
        if count == 1 && self.entries.get(self.newest).is_some_and(|newest| is_next(newest.look)) {
            return Some(self.newest);
        }
        let places = self.entries.iter().enumerate().filter(|(_, entry)| is_next(entry.look));
        let places = places.map(|(place, _)| place);
        places.max_by_key(|place| self.briefs[*place].rank)
    }

    /// How many there are of which one can be looked at now.
    const fn next_count(&self, can_trade: bool) -> usize {
        let due = if can_trade { self.counts[Look::Due as usize] } else { 0 };
        self.counts[Look::New as usize] + due
    }

    /// Whether there is one.
    pub(crate) const fn has_next(&self, can_trade: bool) -> bool {
        self.next_count(can_trade) > 0
    }

    /// Whether one too many waits, so that somebody is to give way.
    pub(crate) const fn is_full(&self) -> bool {
        self.entries.len() > PENDING_QUEUE_MAX
    }

    /// Whether there are several, of which the most valuable comes first.
    pub(crate) const fn has_choice(&self, can_trade: bool) -> bool {
        self.next_count(can_trade) > 1
    }

    /// The swap at a place, and since when it could have been looked at.
    pub(crate) fn at(&self, place: usize) -> (Target, Nanos) {
        let Entry { target, due_at, .. } = self.entries[place];
        (target, due_at)
    }

    /// Notes how far the swap at a place has come.
    pub(crate) fn set_look(&mut self, place: usize, look: Look) {
        let before = core::mem::replace(&mut self.entries[place].look, look);
        self.counts[before as usize] -= 1;
        self.counts[look as usize] += 1;
    }

    /// Those of a sender, or all, are to be checked again: something has changed at `at`.
    pub(crate) fn wake(&mut self, sender: Option<&Address>, at: Nanos) {
        let start = sender.map(|sender| start_of(sender.as_slice()));
        for place in 0..self.entries.len() {
            if start.is_some_and(|start| self.briefs[place].sender != start) {
                continue;
            }
            let Entry { look, target, .. } = &self.entries[place];
            let is_meant = sender.is_none_or(|sender| target.sender == *sender);
            // What a pending oracle update strikes may only be known by now.
            let is_open = *look != Look::Seen || sender.is_none() && target.route.has_report();
            if is_meant && is_open {
                self.set_look(place, Look::New);
                self.entries[place].due_at = at;
            }
        }
    }

    /// Drops swaps, for this reason.
    pub(crate) fn forget(&mut self, why: Gone, mut is_gone: impl FnMut(&Target) -> bool) {
        self.drop_entries(why, |entry| is_gone(&entry.target));
    }

    /// Drops the swaps that did not land for too long.
    pub(crate) fn expire(&mut self, next_block: BlockNumber) {
        self.drop_entries(Gone::Expired, |entry| next_block >= entry.next_block.plus(BLOCKS_MAX));
    }

    /// How many left for this reason before the strategies saw them, since the start.
    pub(crate) const fn gone(&self, why: Gone) -> u64 {
        self.gone[why as usize]
    }

    /// Swaps that the strategies have still to see.
    pub(crate) const fn unseen_count(&self) -> usize {
        self.entries.len() - self.counts[Look::Seen as usize]
    }

    /// A swap, by its hash.
    pub(crate) fn get(&self, hash: &B256) -> Option<&Target> {
        // Mostly it has just come.
        if let Some(newest) = self.newest().filter(|newest| newest.follow.hash == *hash) {
            return Some(newest);
        }
        let start = start_of(hash.as_slice());
        let those = self.those(move |brief| brief.hash == start);
        those.map(|entry| &entry.target).find(|target| target.follow.hash == *hash)
    }

    /// A swap, by its sender and nonce.
    pub(crate) fn of_sender(&self, sender: &Address, nonce: u64) -> Option<&Target> {
        let start = start_of(sender.as_slice());
        let those = self.those(move |brief| brief.sender == start);
        those
            .map(|entry| &entry.target)
            .find(|target| target.nonce == nonce && target.sender == *sender)
    }

    /// All swaps, the most valuable first.
    pub(crate) fn best_first(&self) -> impl Iterator<Item = &Target> {
        let mut order = [0; PLACES];
        order.iter_mut().zip(0..).for_each(|(place, number)| *place = number);
        let count = self.entries.len();
        order[..count].sort_unstable_by_key(|place: &usize| Reverse(self.briefs[*place].rank));
        order.into_iter().take(count).map(|place| &self.entries[place].target)
    }

    /// What may stand before a transaction of ours in the same block and move a pool or a feed of
    /// its plan: it pays more by one rule or the other (the fee cap or the tip), and may land at
    /// all. Whoever helps the borrower whom we would liquidate is among them whatever it pays: the
    /// borrower is left to it. What must land before the transaction that is followed belongs to it
    /// and is not among them.
    pub(crate) fn ahead_of<'a>(&'a self, ours: &'a Admitted) -> impl Iterator<Item = &'a Target> {
        let (max_fee, tip) = (ours.fees.max_fee, ours.fees.priority_fee);
        let followed = ours.plan.follows().and_then(|follow| self.get(&follow.hash));
        let pools = Pools::of(ours.plan.legs().iter().map(|leg| leg.pool));
        let loan = ours.plan.order.map(|order| order.loan);
        let places = self.pools.iter().map(move |theirs| theirs.may_meet(pools)).enumerate();
        let places = places.filter(move |(_, may_meet)| *may_meet || loan.is_some());
        let may_matter = places.filter_map(move |(place, may_meet)| {
            let brief = self.briefs.get(place)?;
            let has_loans = loan.is_some() && brief.has_loans;
            let pays_more = brief.max_fee > max_fee || brief.rank.tip > tip;
            let may_matter = has_loans || (pays_more && may_meet);
            self.entries.get(place).filter(|_| may_matter)
        });
        let can_land = may_matter.filter(|entry| entry.look != Look::Early);
        can_land.map(|entry| &entry.target).filter(move |target| {
            let moves_ours = target
                .hops()
                .iter()
                .any(|hop| ours.plan.legs().iter().any(|leg| leg.pool == hop.pool));
            let leads_to = |followed: &Target| {
                followed.sender == target.sender && target.nonce <= followed.nonce
            };
            let Follow { max_fee: cap, priority_fee, .. } = target.follow;
            let pays_more = cap > max_fee || priority_fee > tip;
            let relieves = loan.is_some_and(|loan| target.route.relieves(loan));
            let reports = loan.is_some() && target.route.has_report();
            let matters = relieves || (pays_more && (moves_ours || reports));
            matters && !followed.is_some_and(leads_to)
        })
    }

    /// Those whose brief is so.
    fn those(&self, is_so: impl Fn(&Brief) -> bool) -> impl Iterator<Item = &Entry> {
        let both = self.briefs.iter().zip(&self.entries);
        both.filter(move |(brief, _)| is_so(brief)).map(|(_, entry)| entry)
    }

    /// Where the least valuable is of all but one.
    fn least_but(&mut self, one: usize) -> Option<usize> {
        if self.least.is_none() {
            let others = self.briefs.iter().enumerate().filter(|(place, _)| *place != one);
            self.least = others.min_by_key(|(_, brief)| brief.rank).map(|(place, _)| place);
        }
        self.least
    }

    fn drop_entries(&mut self, why: Gone, mut is_gone: impl FnMut(&Entry) -> bool) {
        let mut place = 0;
        // Each round drops one or goes on by one.
        while place < self.entries.len() {
            if is_gone(&self.entries[place]) {
                self.leave(place, why);
            } else {
                place += 1;
            }
        }
    }

    /// Drops one, for this reason.
    fn leave(&mut self, place: usize, why: Gone) {
        let look = self.remove(place);
        self.gone[why as usize] += u64::from(look != Look::Seen);
    }

    /// Drops one; the last one takes its place. Returns how far it came.
    fn remove(&mut self, place: usize) -> Look {
        let Entry { look, .. } = self.entries.swap_remove(place);
        self.briefs.swap_remove(place);
        self.pools.swap_remove(place);
        let last = self.entries.len();
        if place < last || self.least == Some(place) {
            self.least = None;
        }
        self.newest = match self.newest {
            newest if newest == place => usize::MAX,
            newest if newest == last => place,
            newest => newest,
        };
        self.unrated = match self.unrated {
            Some(unrated) if unrated == place => None,
            Some(unrated) if unrated == last => Some(place),
            unrated => unrated,
        };
        self.counts[look as usize] -= 1;
        look
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Route;

    fn push(waiting: &mut Waiting, sender: u8) {
        let follow =
            Follow { hash: B256::repeat_byte(sender), max_fee: Wei(1), priority_fee: Wei(1) };
        let sender = Address::repeat_byte(sender);
        let target = Target { follow, sender, nonce: 0, route: Route::new() };
        waiting.push(&target, BlockNumber(1), Nanos(0));
        waiting.rate(Wei(1));
    }

    #[test]
    fn the_newest_is_who_came_last_and_nobody_once_it_has_gone() {
        let mut waiting = Waiting::default();
        (1..=3).for_each(|sender| push(&mut waiting, sender));
        let newest = |waiting: &Waiting| waiting.newest().map(|target| target.sender[0]);
        assert_eq!(newest(&waiting), Some(3));
        // It moves into the place of who has gone.
        waiting.forget(Gone::Landed, |target| target.sender[0] == 1);
        assert_eq!(newest(&waiting), Some(3));
        // Another one moves into its own.
        waiting.forget(Gone::Landed, |target| target.sender[0] == 3);
        assert_eq!(newest(&waiting), None);
        push(&mut waiting, 4);
        assert_eq!(newest(&waiting), Some(4));
    }
}
