//! Who is watched, and for what: finds whoever an event makes liquidatable without a look at
//! everybody else.
//!
//! ```text
//! block ─► feeds that moved, watches that ran out, loans that were touched ─► struck
//!              └─ afterwards: whoever is healthy is watched, the others stand open
//! pending oracle update ─► watches that it reaches, and whoever is open ─► struck
//! ```
//!
//! Temperature: hot.

use alloc::vec::Vec;

use gannet_engine::ids::LoanId;
use gannet_engine::lending::math::Fault;
use gannet_engine::lending::price::FeedId;
use gannet_engine::lending::trigger::{Budget, Hits, TriggerIndex, TriggerLimits, Watch};
use gannet_engine::limits::{FEEDS_MOVED_MAX, LOANS_OPEN_MAX, LOANS_STRUCK_MAX, LOANS_TOUCHED_MAX};
use gannet_engine::loans::Times;
use gannet_engine::world::World;

use super::size;

/// How long a healthy loan is watched before it is looked at again, in seconds.
const WATCH_SECONDS: u64 = 1_800;
/// How long before its end a watch is renewed, in seconds: five blocks of Ethereum's, so that it
/// seldom ends in a block that has something to be done.
const RENEWED_SECONDS: u64 = 60;
const _: () = assert!(RENEWED_SECONDS < WATCH_SECONDS, "a new watch is not renewed at once");
/// Loans that one block can have looked at before they are watched again.
const LOOKED_AT_MAX: usize = LOANS_STRUCK_MAX + LOANS_TOUCHED_MAX;
/// Feeds of a loan, on average, that the index has room for.
const TERMS_EACH: usize = 6;

/// Who is watched, and for what.
#[derive(Debug)]
pub struct Watchlist {
    triggers: TriggerIndex,
    hits: Hits,
    room: usize,
    feeds: usize,
    /// Loans that can be liquidated, or are so near that they are looked at in every block.
    open: Vec<LoanId>,
    /// Feeds that a block has moved, of which the index was not told yet.
    moved: Vec<FeedId>,
    /// Loans that were looked at after a block, and are not watched yet.
    looked_at: Vec<LoanId>,
    /// All were.
    is_all_looked_at: bool,
    /// Loans that an event makes liquidatable.
    struck: Vec<LoanId>,
}

impl Watchlist {
    /// Of nobody yet, with room for the world's loans.
    #[must_use]
    #[cold]
    pub fn of(world: &World) -> Self {
        let room = world.loans.room();
        let feeds = world.loans.prices.feeds().count();
        let terms = room.saturating_mul(TERMS_EACH);
        let limits = TriggerLimits { positions: room, feeds, terms };
        Self {
            triggers: TriggerIndex::new(limits),
            hits: Hits::new(LOANS_STRUCK_MAX),
            room,
            feeds,
            open: Vec::with_capacity(LOANS_OPEN_MAX),
            moved: Vec::with_capacity(FEEDS_MOVED_MAX),
            looked_at: Vec::with_capacity(LOOKED_AT_MAX),
            is_all_looked_at: false,
            struck: Vec::with_capacity(LOANS_STRUCK_MAX),
        }
    }

    /// Whether it has room for the world's loans: they may have been loaded anew.
    #[must_use]
    pub fn fits(&self, world: &World) -> bool {
        self.room == world.loans.room() && self.feeds == world.loans.prices.feeds().count()
    }

    /// The loans that the last event makes liquidatable.
    #[must_use]
    pub fn struck(&self) -> &[LoanId] {
        &self.struck
    }

    /// After a block: finds whom it leaves liquidatable, or did already. Whoever was looked at is
    /// not watched any more until [`Self::settle`] is called, which must be before the next event.
    pub fn sealed(&mut self, world: &World) {
        let loans = &world.loans;
        if self.is_all_looked_at || !self.looked_at.is_empty() || !self.moved.is_empty() {
            self.settle(world);
        }
        self.struck.clear();
        if loans.is_all_touched() {
            self.is_all_looked_at = true;
            self.strike_open(world);
            for loan in (0..u32::try_from(self.room).unwrap_or(u32::MAX)).map(LoanId) {
                // Among all there are many that nobody will ever liquidate.
                if can_be_liquidated(world, loan) && !size::is_dust(world, loan) {
                    self.strike(world, loan);
                }
            }
            self.sort_struck();
            return;
        }
        self.moved.extend_from_slice(loans.moved());
        for place in 0..self.moved.len() {
            let feed = self.moved[place];
            // Taking them out of the index can wait.
            if !self.strike_reached(world, feed) {
                self.each_batch(world, true, |triggers, hits| triggers.lost(feed, hits));
            }
        }
        let at = world.loan_time();
        self.each_batch(world, true, |triggers, hits| triggers.due(at, hits));
        self.looked_at.extend(loans.touched());
        self.strike_open(world);
        for place in 0..self.looked_at.len() {
            self.strike(world, self.looked_at[place]);
        }
        self.sort_struck();
    }

    fn strike_open(&mut self, world: &World) {
        for place in 0..self.open.len() {
            self.strike(world, self.open[place]);
        }
    }

    fn sort_struck(&mut self) {
        self.struck.sort_unstable();
        self.struck.dedup();
    }

    /// Takes what the index hands out, in as many batches as it takes. Whoever there is no room for
    /// is settled at once, and struck before that, if this is about whom to strike.
    fn each_batch(
        &mut self,
        world: &World,
        strikes: bool,
        more: impl Fn(&mut TriggerIndex, &mut Hits) -> bool,
    ) {
        loop {
            let is_done = more(&mut self.triggers, &mut self.hits);
            for place in 0..self.hits.as_slice().len() {
                let loan = LoanId(self.hits.as_slice()[place]);
                if self.looked_at.len() < LOANS_STRUCK_MAX {
                    self.looked_at.push(loan);
                } else {
                    if strikes {
                        self.strike(world, loan);
                    }
                    self.look_at(world, loan);
                }
            }
            self.hits.clear();
            if is_done {
                break;
            }
        }
    }

    fn settle_looked_at(&mut self, world: &World) {
        for place in 0..self.looked_at.len() {
            self.look_at(world, self.looked_at[place]);
        }
        self.looked_at.clear();
    }

    fn strike(&mut self, world: &World, loan: LoanId) {
        if self.struck.len() < LOANS_STRUCK_MAX && can_be_liquidated(world, loan) {
            self.struck.push(loan);
        }
    }

    /// Watches whoever was looked at after the last block, and whose watch runs out soon: what is
    /// not in the way of a liquidation.
    pub fn settle(&mut self, world: &World) {
        if core::mem::take(&mut self.is_all_looked_at) {
            self.looked_at.clear();
            self.moved.clear();
            self.open.clear();
            let all = u32::try_from(self.room).unwrap_or(u32::MAX);
            (0..all).for_each(|loan| self.look_at(world, LoanId(loan)));
            return;
        }
        for place in 0..self.moved.len() {
            let feed = self.moved[place];
            if let Ok(answer) = world.loans.prices.feed(feed).price() {
                self.each_batch(world, false, |triggers, hits| triggers.moved(feed, answer, hits));
            }
        }
        self.moved.clear();
        self.settle_looked_at(world);
        let soon = world.loan_time().saturating_add(RENEWED_SECONDS);
        self.each_batch(world, false, |triggers, hits| triggers.due(soon, hits));
        self.settle_looked_at(world);
        // Those that stood open: whoever is healthy again is watched.
        let mut place = 0;
        while let Some(loan) = self.open.get(place).copied() {
            self.open.swap_remove(place);
            let before = self.open.len();
            self.look_at(world, loan);
            // It was put at the end: what was there is looked at next.
            let is_kept = self.open.len() > before;
            if is_kept {
                let last = self.open.len() - 1;
                self.open.swap(place, last);
                place += 1;
            }
        }
    }

    /// Looks at a loan: it is watched if it is healthy, and kept open if it is not, or nearly not.
    fn look_at(&mut self, world: &World, loan: LoanId) {
        let from = world.loan_time();
        let times = Times { from, until: from.saturating_add(WATCH_SECONDS) };
        match world.loans.is_liquidatable(loan, from) {
            Ok(false) => match world.loans.watch(loan, times) {
                Ok(Some((watch, budget))) => {
                    let set = self.triggers.set(loan.0, &watch, budget, times.until);
                    if set.is_err() {
                        self.keep_open(loan, times);
                    }
                }
                Ok(None) | Err(Fault::NoPrice | Fault::Unsure) => self.keep_open(loan, times),
                Err(_) => self.triggers.remove(loan.0),
            },
            // There are many that nobody will ever liquidate: they are not in others' way.
            Ok(true) if size::is_dust(world, loan) => self.put_off(loan, times),
            Ok(true) => self.keep_struck(world, loan, times),
            Err(Fault::NoPrice | Fault::Unsure) => self.keep_open(loan, times),
            // It is not there, or has to be read first: it is touched then.
            Err(_) => self.triggers.remove(loan.0),
        }
    }

    fn keep_open(&mut self, loan: LoanId, times: Times) {
        if self.open.contains(&loan) {
            self.triggers.remove(loan.0);
        } else if self.open.len() < LOANS_OPEN_MAX {
            self.triggers.remove(loan.0);
            self.open.push(loan);
        } else {
            self.put_off(loan, times);
        }
    }

    /// Keeps one open that can be liquidated: if there is no room, in the place of one that cannot.
    fn keep_struck(&mut self, world: &World, loan: LoanId, times: Times) {
        if self.open.len() == LOANS_OPEN_MAX {
            let cannot = |held: &LoanId| !can_be_liquidated(world, *held);
            if let Some(place) = self.open.iter().position(cannot) {
                let other = self.open.swap_remove(place);
                self.put_off(other, times);
            }
        }
        self.keep_open(loan, times);
    }

    /// Looks at a loan again when it is touched, or after a while.
    fn put_off(&mut self, loan: LoanId, times: Times) {
        let set = self.triggers.set(loan.0, &Watch::new(), Budget::default(), times.until);
        debug_assert!(set.is_ok(), "what has no feeds has room");
    }

    /// Before a block: finds whom the answers make liquidatable that are supposed to be in it.
    pub fn supposed(&mut self, world: &World) {
        self.struck.clear();
        self.strike_open(world);
        for feed in world.loans.supposed() {
            self.strike_reached(world, *feed);
        }
        self.sort_struck();
    }

    /// Strikes whoever a feed's answer makes liquidatable; the index stays as it is. Says whether
    /// it has one.
    fn strike_reached(&mut self, world: &World, feed: FeedId) -> bool {
        let Ok(answer) = world.loans.prices.feed(feed).price() else { return false };
        let Self { triggers, struck, .. } = self;
        triggers.reached(feed, answer, |position| {
            let loan = LoanId(position);
            if struck.len() < LOANS_STRUCK_MAX && can_be_liquidated(world, loan) {
                struck.push(loan);
            }
        });
        true
    }
}

fn can_be_liquidated(world: &World, loan: LoanId) -> bool {
    world.loans.is_liquidatable(loan, world.loan_time()) == Ok(true)
}
