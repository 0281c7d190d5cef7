//! What a program of the executor costs in gas: an upper bound for the limit, an expectation for
//! the decision, corrected by receipts.
//!
//! Temperature: hot.

use crate::limits::HOPS_MAX;
use crate::units::Gas;

/// A transaction with its calldata and the executor's own work; measured on cold state, as is all
/// here.
const BASE: u64 = 38_000;
/// What any transaction costs.
const INTRINSIC: u64 = 21_000;
/// One constant-product swap with its token transfer.
const LEG: u64 = 52_200;
/// A flash swap's callback and its repayment.
const FLASH: u64 = 3_000;
/// What a program that reverts uses at most: the dearest revert measured (51,000), and some.
pub const REVERT: Gas = Gas(60_000);
/// The limit is this share of the table, in per cent. Refunds come after execution, tokens'
/// transfers differ, a balance that goes from zero costs 17,100 more, and a pair that was never
/// traded writes two price accumulators for the first time, which costs 40,000 more.
const LIMIT_PER_CENT: u64 = 190;
/// Weight of a new receipt in the running expectation: one part in this many.
const SMOOTHING: u64 = 8;

/// Expected gas by number of legs and funding.
#[derive(Clone, Copy, Debug)]
pub struct GasTable {
    expected: [[u64; 2]; HOPS_MAX + 1],
}

impl Default for GasTable {
    fn default() -> Self {
        let expected = core::array::from_fn(|legs| {
            let own = BASE + LEG * legs as u64;
            [own, own + FLASH]
        });
        Self { expected }
    }
}

impl GasTable {
    /// What a program of `legs` swaps is expected to use.
    #[must_use]
    pub fn expected(&self, legs: usize, is_flash: bool) -> Gas {
        Gas(self.expected[legs.min(HOPS_MAX)][usize::from(is_flash)])
    }

    /// The gas limit that is signed: an upper bound, never learnt from receipts alone.
    #[must_use]
    pub fn limit(&self, legs: usize, is_flash: bool) -> Gas {
        let table = Self::default().expected(legs, is_flash).0;
        Gas(table.max(self.expected(legs, is_flash).0).saturating_mul(LIMIT_PER_CENT) / 100)
    }

    /// Learns from the receipt of a program that landed. What no program can have used (less than
    /// any transaction, more than `limit`, which was signed) is moved to that bound.
    pub fn learn(&mut self, legs: usize, is_flash: bool, used: Gas, limit: Gas) {
        let held = &mut self.expected[legs.min(HOPS_MAX)][usize::from(is_flash)];
        let used = used.0.min(limit.0).max(INTRINSIC);
        *held = held.saturating_mul(SMOOTHING - 1).saturating_add(used).div_ceil(SMOOTHING);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_above_the_expectation_and_does_not_fall_with_cheap_receipts() {
        let mut table = GasTable::default();
        let limit = table.limit(3, true);
        for _ in 0..100 {
            table.learn(3, true, Gas(100_000), limit);
        }
        assert_eq!(table.limit(3, true), limit);
        assert!(table.expected(3, true).0 < 101_000);
    }

    #[test]
    fn the_expectation_follows_receipts_upwards() {
        let mut table = GasTable::default();
        for _ in 0..100 {
            table.learn(2, false, Gas(400_000), Gas(1_000_000));
        }
        assert!(table.expected(2, false).0 > 390_000);
        assert!(table.limit(2, false).0 > 600_000);
    }

    #[test]
    fn an_odd_receipt_teaches_no_more_than_what_was_signed() {
        let mut table = GasTable::default();
        let limit = table.limit(2, true);
        for _ in 0..100 {
            table.learn(2, true, Gas(u64::MAX), limit);
        }
        assert!(table.expected(2, true) <= limit);
        for _ in 0..100 {
            table.learn(2, true, Gas(0), limit);
        }
        assert!(table.expected(2, true) >= Gas(INTRINSIC));
    }
}
