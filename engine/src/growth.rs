//! The universe grows: pools that were created while the bot flies.
//!
//! ```text
//! cold: factories' events ─► states, tables of the larger universe ─► Growth ─┐
//! hot:  pools enter in quarantine ◄───────────────────────────────────────────┘
//!         ├─► put right by the audit, once their logs are followed
//!         └─► searched when the new tables are full
//! ```
//!
//! Everything that is costly is made off the hot thread: it takes over what fits the room that its
//! tables have had from the start, and gives the box back to be freed.
//!
//! Invariants: handles that were given stay valid, so nothing ever leaves the universe; a growth
//! that does not fit as a whole changes nothing.
//!
//! Temperature: warm.

use alloc::boxed::Box;
use alloc::vec::Vec;

use alloy_primitives::Address;

use crate::amm::Tick;
use crate::limits::{FILL_POOLS_MAX, GROWTH_POOLS_MAX};
use crate::pipeline::Engine;
use crate::search::Tables;
use crate::strategy::StrategySet;
use crate::units::{Nanos, Wei};
use crate::world::pools::{PairIndex, PoolEntry, Refused};
use crate::world::{Standing, World};

/// Time between two times that tables are filled, so that a flood of ticks does not hasten it.
const FILL_EVERY_NS: u64 = 5_000_000;

/// What the universe grows by.
#[derive(Debug, Default)]
pub struct Growth {
    /// How many pools and tokens it is built on: those that there are.
    pub follows: [usize; 2],
    /// New tokens and their decimals, in the order of the handles that they get.
    pub tokens: Vec<(Address, u8)>,
    /// New pools with their ticks, in the order of the handles that they get; no more than
    /// [`GROWTH_POOLS_MAX`].
    pub pools: Vec<(PoolEntry, Vec<Tick>)>,
    /// All pairs there are then.
    pub pairs: PairIndex,
    /// The base fee that the tables take for granted: cycles that cannot pay its gas are left out.
    pub base_fee: Wei,
    /// Tables of all pools there are then, for each searcher of the strategies that are on.
    pub tables: Vec<Option<Box<Tables>>>,
    /// What came of it.
    pub outcome: Option<Result<(), Refused>>,
}

impl World {
    /// Takes new pools in: not to be traded with until they were tried and put right.
    ///
    /// # Errors
    /// When the tables have no room, or it was built on another universe; nothing is changed then.
    #[cold]
    pub fn grow(&mut self, growth: &mut Growth) -> Result<(), Refused> {
        self.check(growth)?;
        for (address, decimals) in &growth.tokens {
            self.tokens.insert(*address, *decimals)?;
        }
        for (entry, ticks) in &growth.pools {
            let entry = PoolEntry { standing: Standing::Untried, is_quarantined: true, ..*entry };
            match self.pools.insert_with_ticks(entry, ticks) {
                // In quarantine it stays, as long as there is no room.
                Err(Refused::Ticks) => self.pools.insert(entry),
                inserted => inserted,
            }?;
        }
        self.pools.swap_pairs(&mut growth.pairs);
        Ok(())
    }

    /// Whether all of it can be taken in.
    fn check(&self, growth: &Growth) -> Result<(), Refused> {
        let (pool_count, token_count) = (self.pools.len(), self.tokens.len());
        if growth.follows != [pool_count, token_count] {
            return Err(Refused::OutOfTurn);
        }
        let has_room = growth.pools.len() <= GROWTH_POOLS_MAX
            && pool_count + growth.pools.len() <= self.pools.capacity()
            && token_count + growth.tokens.len() <= self.tokens.capacity();
        if !has_room {
            return Err(Refused::Full);
        }
        let tokens = token_count + growth.tokens.len();
        for (place, (entry, _)) in growth.pools.iter().enumerate() {
            let [first, second] = entry.tokens;
            if first == second {
                return Err(Refused::SameToken);
            }
            if first.index().max(second.index()) >= tokens {
                return Err(Refused::OutOfTurn);
            }
            let mut before = growth.pools[..place].iter();
            if self.pools.id_of(&entry.address).is_some()
                || before.any(|(other, _)| other.address == entry.address)
            {
                return Err(Refused::Known);
            }
        }
        for (place, (address, _)) in growth.tokens.iter().enumerate() {
            let mut before = growth.tokens[..place].iter();
            if self.tokens.id_of(address).is_some() || before.any(|(other, _)| other == address) {
                return Err(Refused::Known);
            }
        }
        Ok(())
    }
}

impl<S: StrategySet> Engine<S> {
    /// The longest cycle of each searcher, in swaps: what tables of a larger universe are made for.
    #[cold]
    pub fn searched_hops(&mut self) -> Vec<usize> {
        let mut hops = Vec::new();
        self.strategies.each_searcher(|searcher| hops.push(searcher.index().hops_max()));
        hops
    }

    /// Pools that were created meanwhile.
    #[cold]
    pub(crate) fn grow(&mut self, mut growth: Box<Growth>) {
        let outcome = self.world.grow(&mut growth);
        growth.outcome = Some(outcome);
        if outcome.is_ok() {
            let mut tables = growth.tables.iter_mut();
            self.strategies.each_searcher(|searcher| {
                if let Some(place) = tables.next()
                    && let Some(tables) = place.take()
                {
                    *place = searcher.adopt(tables);
                }
            });
        }
        self.grown = Some(growth);
    }

    /// Fills new tables a little more, or brings those in use up to date with the gas.
    pub(crate) fn fill(&mut self, at: Nanos) {
        if at.since(self.filled_at) < FILL_EVERY_NS {
            return;
        }
        self.filled_at = at;
        let pools = &self.world.pools;
        self.strategies.each_searcher(|searcher| searcher.fill(pools, FILL_POOLS_MAX));
    }

    /// What the universe grew by last, after the hot thread has taken from it what it needs.
    pub const fn grown(&mut self) -> Option<Box<Growth>> {
        self.grown.take()
    }

    /// Tables that no search uses any more.
    pub fn spent(&mut self, mut take: impl FnMut(Box<Tables>)) {
        self.strategies.each_searcher(|searcher| {
            if let Some(spent) = searcher.spent() {
                take(spent);
            }
        });
    }
}
