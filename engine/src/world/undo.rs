//! The undo log: every change to the world with its inverse, in a bounded ring.
//!
//! A reorg is the log played backwards to the fork; a pending transaction is marked, applied and
//! rolled back through the same log.
//!
//! Temperature: hot.

use alloc::vec::Vec;

use super::pools::{PoolEntry, PoolTable};
use crate::amm::Pool;
use crate::amm::ticks::Range;
use crate::ids::PoolId;
use crate::loans::{self, Loans};
use crate::reserve;

/// A place in the log to which the world can be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(u64);

/// The log no longer reaches back to the mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooFarBack;

#[derive(Clone, Copy, Debug)]
enum Inverse {
    Pool(PoolInverse),
    Loan(loans::Undo),
}

#[derive(Clone, Copy, Debug)]
struct PoolInverse {
    pool: PoolId,
    state: Pool,
    chain: Pool,
    version: u32,
    overlay: [i128; 2],
    /// Its state was not to be trusted: nor is it if it comes back.
    is_quarantined: bool,
    /// The liquidity that was added between two ticks; nothing if its amount is 0.
    range: Range,
}

/// A ring of inverses.
#[derive(Debug)]
pub struct UndoLog {
    ring: Vec<Inverse>,
    capacity: usize,
    /// Changes since the start, less those undone; the ring holds the last `capacity` of them.
    written: u64,
    /// The oldest change that is still in the ring, or would be.
    oldest: u64,
    /// The change that stands, or stood, at the ring's beginning.
    first: u64,
}

impl UndoLog {
    /// A log that reaches back `capacity` changes.
    ///
    /// # Panics
    /// When the capacity is zero.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        assert!(capacity > 0, "an empty log could undo nothing");
        Self { ring: reserve::list(capacity), capacity, written: 0, oldest: 0, first: 0 }
    }

    /// Here.
    #[must_use]
    pub const fn mark(&self) -> Mark {
        Mark(self.written)
    }

    /// Writes down what `entry` is now, before it changes.
    pub fn remember(&mut self, pool: PoolId, entry: &PoolEntry) {
        self.remember_with(pool, entry, Range::default());
    }

    /// The same, where liquidity between two ticks has changed with it.
    pub fn remember_with(&mut self, pool: PoolId, entry: &PoolEntry, range: Range) {
        let PoolEntry { state, chain, version, overlay, is_quarantined, .. } = *entry;
        let inverse = PoolInverse { pool, state, chain, version, overlay, is_quarantined, range };
        self.write(Inverse::Pool(inverse));
    }

    /// Writes down what takes a change of loans or of prices back.
    pub fn remember_loan(&mut self, inverse: loans::Undo) {
        self.write(Inverse::Loan(inverse));
    }

    fn write(&mut self, inverse: Inverse) {
        let at = self.slot(self.written);
        if at < self.ring.len() {
            self.ring[at] = inverse;
        } else {
            self.ring.push(inverse);
        }
        self.written += 1;
        self.oldest = self.oldest.max(self.written.saturating_sub(self.capacity as u64));
    }

    /// Whether the world can still be taken back to `mark`.
    #[must_use]
    pub const fn reaches(&self, mark: Mark) -> bool {
        mark.0 >= self.oldest && mark.0 <= self.written
    }

    /// Takes the pools and the loans back to `mark`.
    ///
    /// # Errors
    /// When the log does not reach that far; nothing is changed then.
    pub fn roll_back(
        &mut self,
        (pools, loans): (&mut PoolTable, &mut Loans),
        mark: Mark,
    ) -> Result<(), TooFarBack> {
        if !self.reaches(mark) {
            return Err(TooFarBack);
        }
        while self.written > mark.0 {
            self.written -= 1;
            match &self.ring[self.slot(self.written)] {
                Inverse::Pool(inverse) => inverse.undo(pools),
                Inverse::Loan(inverse) => loans.undo(*inverse),
            }
        }
        Ok(())
    }

    /// Forgets all that could be undone, and begins anew: of a large ring, only what is used from
    /// then on stays in the processor's caches.
    pub const fn forget(&mut self) {
        self.oldest = self.written;
        self.first = self.written;
    }

    fn slot(&self, sequence: u64) -> usize {
        // The remainder is below `capacity`, which is a usize.
        usize::try_from((sequence - self.first) % self.capacity as u64).unwrap_or(0)
    }
}

impl PoolInverse {
    fn undo(&self, pools: &mut PoolTable) {
        let entry = pools.entry_mut(self.pool);
        entry.state = self.state;
        entry.chain = self.chain;
        entry.version = self.version;
        entry.overlay = self.overlay;
        entry.is_quarantined |= self.is_quarantined;
        let is_quarantined = entry.is_quarantined;
        if self.range.amount != 0 {
            // What was added is there, and its room too; unless the pool was put right since.
            let undone = pools.change_ticks(self.pool, self.range.inverse());
            debug_assert!(undone.is_ok() || is_quarantined, "a change of ticks has an inverse");
            if undone.is_err() {
                pools.entry_mut(self.pool).is_quarantined = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::Address;

    use super::*;
    use crate::amm::ConstantProduct;
    use crate::ids::{FactoryId, TokenId};
    use crate::loans::Loans;

    /// A pool that is changed, and the log of its changes.
    struct Held {
        pools: PoolTable,
        loans: Loans,
        pool: PoolId,
        log: UndoLog,
    }

    impl Held {
        fn with_room_for(capacity: usize) -> Self {
            let mut pools = PoolTable::new(1, 0);
            let state = ConstantProduct::new([1_000, 2_000], 3_000).unwrap().into();
            let tokens = [TokenId(0), TokenId(1)];
            let entry = PoolEntry::new(Address::ZERO, FactoryId(0), tokens, state);
            let pool = pools.insert(entry).unwrap();
            Self { pools, loans: Loans::none(), pool, log: UndoLog::new(capacity) }
        }

        fn change(&mut self) {
            self.log.remember(self.pool, self.pools.get(self.pool));
            self.pools.entry_mut(self.pool).version += 1;
        }

        fn roll_back(&mut self, mark: Mark) -> Result<u32, TooFarBack> {
            self.log.roll_back((&mut self.pools, &mut self.loans), mark)?;
            Ok(self.pools.get(self.pool).version)
        }
    }

    #[test]
    fn the_last_changes_are_taken_back_wherever_in_the_ring_it_began_anew() {
        for forgotten in 0..8 {
            let mut held = Held::with_room_for(3);
            let start = held.log.mark();
            (0..forgotten).for_each(|_| held.change());
            held.log.forget();
            let middle = held.log.mark();
            assert_eq!(held.roll_back(start).is_ok(), forgotten == 0);
            (0..3).for_each(|_| held.change());
            assert_eq!(held.roll_back(middle), Ok(forgotten));
            (0..4).for_each(|_| held.change());
            assert_eq!(held.roll_back(middle), Err(TooFarBack));
        }
    }
}
