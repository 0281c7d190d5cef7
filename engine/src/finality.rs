//! Ends that a reorg may still take back.
//!
//! A submission that was mined is booked at once, and kept until its block is so deep that it is
//! final. If a reorg leaves the block before that, the entry is reversed and the submission is
//! followed anew: it may land again, elsewhere, or not at all. The same happens to everything that
//! is not final when a process takes up the state of an earlier one, or when the world had to be
//! loaded anew: whatever it was, its receipt is asked for again.
//!
//! Temperature: warm.

use alloc::vec::Vec;

use crate::books::Books;
use crate::flight::{Admitted, Flight, Outcome, Settled};
use crate::guard::{Guard, GuardLimits, Losses};
use crate::limits::{FLIGHTS_MAX, SETTLED_MAX};
use crate::note::Note;
use crate::pipeline::Engine;
use crate::query::{Queries, Query};
use crate::reserve;
use crate::strategy::StrategySet;
use crate::world::World;

/// Submissions that are mined but not final, those that must be looked at again, and the books of
/// those that are final.
#[derive(Debug)]
pub struct Finality {
    /// Blocks on top of another until nobody expects a reorg below.
    pub depth: u64,
    /// The books of what is final: what outlives the process.
    pub books: Books,
    /// Losses of what is final.
    pub guard: Guard,
    /// Serial numbers of submissions that ended for good since this was cleared last.
    pub closed: Vec<u64>,
    settled: Vec<Settled>,
    /// They wait for a place in the table of flights.
    doubtful: Vec<Flight>,
}

impl Finality {
    /// Nothing yet.
    #[must_use]
    #[cold]
    pub fn new(depth: u64) -> Self {
        let unfinal = SETTLED_MAX.saturating_add(FLIGHTS_MAX);
        Self {
            depth,
            books: Books::default(),
            guard: Guard::new(GuardLimits::NONE),
            closed: reserve::list(unfinal),
            settled: reserve::list(SETTLED_MAX),
            doubtful: reserve::list(unfinal),
        }
    }

    /// Submissions that were mined but are not final.
    #[must_use]
    pub fn settled(&self) -> &[Settled] {
        &self.settled
    }

    /// Whether some submissions wait to be looked at again.
    #[must_use]
    pub const fn has_doubtful(&self) -> bool {
        !self.doubtful.is_empty()
    }

    /// A submission ended for good.
    pub(crate) fn close(&mut self, settled: &Settled, world: &World) {
        let Settled { flight, end, .. } = settled;
        let rank = world.tokens.base_rank(flight.admitted.plan.profit_token).map(usize::from);
        let has_left = end.outcome != Outcome::Unsent;
        self.books.line_mut(flight.admitted.plan.strategy).sent += u64::from(has_left);
        self.books.settle(flight, end, rank);
        self.guard.on_end(&flight.admitted.plan, end);
        if self.closed.len() < self.closed.capacity() {
            self.closed.push(flight.serial);
        }
    }

    /// A submission was mined.
    pub(crate) fn add(&mut self, settled: &Settled, world: &World) {
        if self.settled.len() == SETTLED_MAX {
            // The table holds one of every wallet in every block that can be undone, so the
            // oldest cannot be taken back any more.
            let oldest = (0..SETTLED_MAX).min_by_key(|at| self.settled[*at].block.number);
            let oldest = self.settled.swap_remove(oldest.unwrap_or(0));
            self.close(&oldest, world);
        }
        self.settled.push(*settled);
    }
}

/// What an earlier run left behind.
#[derive(Clone, Debug, Default)]
pub struct Legacy {
    /// The books of what was final.
    pub books: Books,
    /// Losses of what was final.
    pub losses: Losses,
    /// The highest serial number that was given when the books were written.
    pub booked_serial: u64,
    /// The highest serial number that was given.
    pub newest_serial: u64,
    /// What was not final: on its way, or mined in a block that could still be left.
    pub flights: Vec<Flight>,
}

impl<S: StrategySet> Engine<S> {
    /// Takes up what an earlier run left behind. Until its submissions have ended, they keep their
    /// wallets and pools; nothing is traded while some of them have no place in the table.
    #[cold]
    pub fn take_up(&mut self, legacy: &Legacy) {
        self.books = legacy.books;
        self.finality.books = legacy.books;
        self.finality.guard.losses = legacy.losses;
        self.risk.guard.losses = legacy.losses;
        self.flights.number_from(legacy.newest_serial);
        for flight in &legacy.flights {
            let line = self.books.line_mut(flight.admitted.plan.strategy);
            line.sent += 1;
            // One that was made after its books were written is counted in none of them.
            line.opportunities += u64::from(flight.serial > legacy.booked_serial);
            self.finality.doubtful.push(flight.anew());
            let Some(wallet) = self.risk.wallets.get_mut(flight.admitted.wallet.index()) else {
                continue;
            };
            // What waits in the node's pool is ours: its end is followed.
            wallet.ours_until = wallet.ours_until.max(flight.admitted.nonce.saturating_add(1));
            if wallet.waits_for <= wallet.ours_until {
                wallet.waits_for = wallet.mined;
            }
        }
        self.relaunch();
    }

    /// After a seal: what is deep enough is final, and what was left by a reorg is reversed.
    pub(crate) fn review_settled(&mut self, is_world_new: bool) {
        let tip = self.world.tip().number;
        let mut index = 0;
        while let Some(settled) = self.finality.settled.get(index).copied() {
            if is_world_new || !self.world.holds(&settled.block) {
                self.finality.settled.swap_remove(index);
                self.reverse(&settled);
            } else if settled.block.number.plus(self.finality.depth) <= tip {
                self.finality.settled.swap_remove(index);
                self.finality.close(&settled, &self.world);
            } else {
                index += 1;
            }
        }
        self.relaunch();
    }

    fn reverse(&mut self, settled: &Settled) {
        let Settled { flight, end, day, .. } = settled;
        let plan = &flight.admitted.plan;
        let rank = self.world.tokens.base_rank(plan.profit_token).map(usize::from);
        self.books.reverse(flight, end, rank);
        self.risk.guard.on_reversal(plan, end, *day);
        self.notes.add(Note::Reversed(*flight, *end));
        self.finality.doubtful.push(flight.anew());
    }

    /// Gives those that must be looked at again a place in the table of flights.
    fn relaunch(&mut self) {
        while let Some(flight) = self.finality.doubtful.last().copied() {
            let Some(ticket) = self.flights.next_ticket() else { break };
            self.finality.doubtful.pop();
            let flight = Flight { ticket, ..flight };
            self.flights.launch(flight);
            // Its nonce is its own until it ends, also once it is mined again.
            let Admitted { wallet, nonce, .. } = flight.admitted;
            if let Some(wallet) = self.risk.wallets.get_mut(wallet.index()) {
                wallet.nonce = wallet.nonce.max(nonce.saturating_add(1));
            }
            ask_for_receipts(&flight, &mut self.queries);
        }
        self.risk.is_resuming = self.finality.has_doubtful();
    }
}

/// Asks for the receipt of each transaction of a submission.
pub(crate) fn ask_for_receipts(flight: &Flight, queries: &mut Queries) {
    for (attempt, hash) in flight.attempts() {
        queries.ask(Query::Receipt(attempt, hash));
    }
}
