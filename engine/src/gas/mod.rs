//! What a program of the executor costs in gas: an upper bound for the limit, an expectation for
//! the decision, corrected by receipts.
//!
//! Temperature: hot.

pub mod liquidations;

use crate::amm::{Pool, PoolKind};
use crate::limits::HOPS_MAX;
use crate::units::{Gas, Wei};

/// A transaction with its calldata and the executor's own work; measured on cold state, as is all
/// here.
const BASE: u64 = 38_000;
/// What any transaction costs.
const INTRINSIC: u64 = 21_000;
/// A flash swap's callback and its repayment, where no concentrated pool lends.
const FLASH: u64 = 2_700;
/// One more transfer, through the executor, between two concentrated pools that follow each other.
const NEIGHBOURS: u64 = 10_300;
/// One initialised tick that a concentrated pool crosses: four slots are written.
const CROSSING: u64 = 19_000;
/// What a program that reverts uses at most, without its legs: the dearest reverts measured, and a
/// fifth more.
const REVERT_BASE: u64 = 32_000;
/// The limit is this share of the table, in per cent. Refunds come after execution, tokens'
/// transfers differ, a balance that goes from zero costs 17,100 more, and a pair that was never
/// traded writes two price accumulators for the first time, which costs 40,000 more. A concentrated
/// pool that has moved crosses other ticks than were foreseen: a leg's share is three of them.
const LIMIT_PER_CENT: u64 = 190;
/// Weight of a new receipt in the running expectation: one part in this many.
const SMOOTHING: i64 = 8;

/// Kinds of legs.
const KINDS: usize = Pool::KINDS.len();
/// Numbers of legs by kind, as one index: a digit for each.
#[expect(clippy::cast_possible_truncation, reason = "there are a few kinds")]
const MIXES: usize = (HOPS_MAX + 1).pow(KINDS as u32);

/// What a program of two swaps uses at least, whatever the tokens: less than any that was measured.
const LEAST_OF_TWO: u128 = 80_000;
/// What each further swap adds at least.
const LEAST_OF_ONE_MORE: u128 = 30_000;

/// What a cycle of so many swaps, of [`HOPS_MAX`] at most, must be worth so that it can pay for its
/// gas at this base fee.
#[must_use]
pub const fn worth_least(base_fee: Wei, hop_count: usize) -> Wei {
    let (mut gas, mut hops) = (LEAST_OF_TWO, 2);
    while hops < hop_count && hops < HOPS_MAX {
        (gas, hops) = (gas.saturating_add(LEAST_OF_ONE_MORE), hops.saturating_add(1));
    }
    Wei(base_fee.0.saturating_mul(gas))
}

/// One swap with its token transfer.
const fn leg(kind: PoolKind) -> u64 {
    match kind {
        PoolKind::ConstantProduct => 52_500,
        PoolKind::Concentrated => 62_500,
        PoolKind::Solidly => 61_000,
    }
}

/// What a leg adds to a program that reverts: what it takes to quote it, or to swap where it cannot
/// be quoted.
const fn revert_leg(kind: PoolKind) -> u64 {
    match kind {
        PoolKind::ConstantProduct => 8_000,
        PoolKind::Concentrated => 88_000,
        PoolKind::Solidly => 11_000,
    }
}

/// Whether a pool of this kind pays before it asks, and so cannot be quoted by the executor.
const fn pays_first(kind: PoolKind) -> bool {
    match kind {
        PoolKind::ConstantProduct | PoolKind::Solidly => false,
        PoolKind::Concentrated => true,
    }
}

/// What the gas of a program depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// How many legs are of each kind, in the order of [`Pool::KINDS`].
    pub legs: [u8; KINDS],
    /// How many concentrated pools follow another one directly.
    pub neighbours: u8,
    /// How many initialised ticks are crossed.
    pub crossings: u8,
    /// What the tokens' transfers use beyond a plain token's, in gas; measured when their pools
    /// were tried.
    pub transfers: u32,
    /// Whether a pool is asked to lend.
    pub is_flash: bool,
}

impl Shape {
    /// The shape of a program whose legs are of these kinds; `crossings` ticks are crossed.
    #[must_use]
    pub fn of(kinds: impl Iterator<Item = PoolKind>, crossings: u8, is_flash: bool) -> Self {
        let mut shape = Self { crossings, is_flash, ..Self::default() };
        let mut did_pay_first = false;
        for kind in kinds {
            let held = &mut shape.legs[kind as usize];
            *held = held.saturating_add(1);
            shape.neighbours += u8::from(did_pay_first && pays_first(kind));
            did_pay_first = pays_first(kind);
        }
        shape
    }

    /// Both together, one after the other.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        for (held, more) in self.legs.iter_mut().zip(other.legs) {
            *held = held.saturating_add(more);
        }
        self.neighbours = self.neighbours.saturating_add(other.neighbours);
        self.crossings = self.crossings.saturating_add(other.crossings);
        self.transfers = self.transfers.saturating_add(other.transfers);
        self
    }

    fn sum(&self, of: impl Fn(PoolKind) -> u64) -> u64 {
        let counts = self.legs.iter().zip(Pool::KINDS);
        counts.map(|(count, kind)| of(*kind).saturating_mul(u64::from(*count))).sum()
    }

    /// Where the table has its receipts: by legs of each kind, and funding.
    fn place(&self) -> [usize; 2] {
        let digits = self.legs.iter().map(|count| usize::from(*count).min(HOPS_MAX));
        [digits.fold(0, |index, digit| index * (HOPS_MAX + 1) + digit), self.is_flash.into()]
    }

    /// What it costs by the table.
    fn table(&self) -> u64 {
        let lends = self.is_flash && self.sum(|kind| pays_first(kind).into()) == 0;
        let flash = if lends { FLASH } else { 0 };
        BASE + flash + self.swaps()
    }

    /// The swaps alone, by the table.
    fn swaps(&self) -> u64 {
        self.sum(leg)
            + NEIGHBOURS * u64::from(self.neighbours)
            + self.ticks()
            + u64::from(self.transfers)
    }

    fn ticks(&self) -> u64 {
        CROSSING * u64::from(self.crossings)
    }

    /// What it uses at most if it reverts, unless it meets more ticks than were foreseen.
    #[must_use]
    pub fn revert(&self) -> Gas {
        Gas(REVERT_BASE + self.sum(revert_leg) + self.ticks() + u64::from(self.transfers))
    }
}

/// What the gas of anything that the executor does depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// A program of swaps.
    Swaps(Shape),
    /// A liquidation with its swaps.
    Liquidation(liquidations::Shape),
}

impl Work {
    /// What it uses at most if it reverts.
    #[must_use]
    pub fn revert(&self) -> Gas {
        match self {
            Self::Swaps(shape) => shape.revert(),
            Self::Liquidation(shape) => shape.revert(),
        }
    }
}

/// Expected gas of all that the executor does.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    swaps: GasTable,
    liquidations: liquidations::GasTable,
}

impl Tables {
    /// What it is expected to use.
    #[must_use]
    pub fn expected(&self, work: &Work) -> Gas {
        match work {
            Work::Swaps(shape) => self.swaps.expected(shape),
            Work::Liquidation(shape) => self.liquidations.expected(shape),
        }
    }

    /// The gas limit that is signed.
    #[must_use]
    pub fn limit(&self, work: &Work) -> Gas {
        match work {
            Work::Swaps(shape) => self.swaps.limit(shape),
            Work::Liquidation(shape) => self.liquidations.limit(shape),
        }
    }

    /// What no cycle of so many swaps, [`HOPS_MAX`] at most, is expected to use less than.
    #[must_use]
    pub fn least(&self, hop_count: usize) -> GasUnits {
        self.swaps.least(hop_count)
    }

    /// Learns from the receipt of what landed.
    pub fn learn(&mut self, work: &Work, used: Gas, limit: Gas) {
        match work {
            Work::Swaps(shape) => self.swaps.learn(shape, used, limit),
            Work::Liquidation(shape) => self.liquidations.learn(shape, used, limit),
        }
    }
}

/// How far receipts of one kind of program are from the table, in gas.
#[derive(Clone, Copy, Debug, Default)]
struct Learnt(i64);

impl Learnt {
    fn expected(self, table: u64) -> Gas {
        Gas(table.saturating_add_signed(self.0).max(INTRINSIC))
    }

    fn limit(self, table: u64) -> Gas {
        let expected = self.expected(table).0.max(table);
        Gas(expected.saturating_mul(LIMIT_PER_CENT) / 100)
    }

    fn learn(&mut self, table: u64, used: Gas, limit: Gas) {
        let used = used.0.min(limit.0).max(INTRINSIC);
        let seen = i64::try_from(used).unwrap_or(i64::MAX);
        let seen = seen.saturating_sub_unsigned(table);
        self.0 = self.0.saturating_add(seen.saturating_sub(self.0) / SMOOTHING);
    }
}

/// Gas that is expected, and that is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GasUnits {
    /// The limit that is signed.
    pub limit: Gas,
    /// What is used, likely.
    pub expected: Gas,
}

impl GasUnits {
    const MOST: Self = Self { limit: Gas(u64::MAX), expected: Gas(u64::MAX) };

    fn least(self, other: Self) -> Self {
        Self { limit: self.limit.min(other.limit), expected: self.expected.min(other.expected) }
    }
}

/// Expected gas by the legs of a program.
#[derive(Clone, Debug)]
pub struct GasTable {
    /// How far receipts are from the table.
    off: [[Learnt; 2]; MIXES],
    /// The least of any program with so many legs.
    least: [GasUnits; HOPS_MAX + 1],
}

impl Default for GasTable {
    fn default() -> Self {
        let least = [GasUnits::MOST; HOPS_MAX + 1];
        let mut table = Self { off: [[Learnt::default(); 2]; MIXES], least };
        table.find_least();
        table
    }
}

impl GasTable {
    /// What a program is expected to use.
    #[must_use]
    pub fn expected(&self, shape: &Shape) -> Gas {
        let [mix, funding] = shape.place();
        self.off[mix][funding].expected(shape.table())
    }

    /// The gas limit that is signed: an upper bound, never learnt from receipts alone.
    #[must_use]
    pub fn limit(&self, shape: &Shape) -> Gas {
        let [mix, funding] = shape.place();
        self.off[mix][funding].limit(shape.table())
    }

    /// Learns from the receipt of a program that landed. What no program can have used (less than
    /// any transaction, more than `limit`, which was signed) is moved to that bound.
    pub fn learn(&mut self, shape: &Shape, used: Gas, limit: Gas) {
        let [mix, funding] = shape.place();
        self.off[mix][funding].learn(shape.table(), used, limit);
        self.find_least();
    }

    /// What no program of so many legs, [`HOPS_MAX`] at most, is expected to use less than.
    #[must_use]
    pub fn least(&self, leg_count: usize) -> GasUnits {
        self.least[leg_count.min(HOPS_MAX)]
    }

    fn find_least(&mut self) {
        self.least = [GasUnits::MOST; HOPS_MAX + 1];
        for mix in 0..MIXES {
            let legs = legs_of(mix);
            let leg_count = legs.iter().copied().map(usize::from).sum::<usize>();
            if leg_count > HOPS_MAX {
                continue;
            }
            for is_flash in [false, true] {
                let shape = Shape { legs, is_flash, ..Shape::default() };
                let gas = GasUnits { limit: self.limit(&shape), expected: self.expected(&shape) };
                self.least[leg_count] = self.least[leg_count].least(gas);
            }
        }
    }
}

/// The numbers of legs by kind whose index is `mix`.
fn legs_of(mut mix: usize) -> [u8; KINDS] {
    let mut legs = [0; KINDS];
    for count in legs.iter_mut().rev() {
        // A digit is no more than HOPS_MAX.
        *count = u8::try_from(mix % (HOPS_MAX + 1)).unwrap_or(u8::MAX);
        mix /= HOPS_MAX + 1;
    }
    legs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(legs: usize, is_flash: bool) -> Shape {
        Shape::of(core::iter::repeat_n(PoolKind::ConstantProduct, legs), 0, is_flash)
    }

    #[test]
    fn the_limit_is_above_the_expectation_and_does_not_fall_with_cheap_receipts() {
        let mut table = GasTable::default();
        let shape = pairs(3, true);
        let limit = table.limit(&shape);
        for _ in 0..100 {
            table.learn(&shape, Gas(100_000), limit);
        }
        assert_eq!(table.limit(&shape), limit);
        assert!(table.expected(&shape).0 < 101_000);
    }

    #[test]
    fn the_expectation_follows_receipts_upwards_and_of_its_own_mix_only() {
        let mut table = GasTable::default();
        for _ in 0..100 {
            table.learn(&pairs(2, false), Gas(400_000), Gas(1_000_000));
        }
        assert!(table.expected(&pairs(2, false)).0 > 390_000);
        assert!(table.limit(&pairs(2, false)).0 > 600_000);
        for other in [pairs(2, true), pairs(3, false)] {
            assert_eq!(table.expected(&other), GasTable::default().expected(&other));
        }
    }

    #[test]
    fn no_cycle_is_asked_for_more_gas_than_the_cheapest_program_of_its_swaps_uses() {
        let table = GasTable::default();
        for legs in 2..=HOPS_MAX {
            let cheapest = table.expected(&pairs(legs, false)).0;
            let asked = worth_least(Wei(1), legs).0;
            assert!(asked < u128::from(cheapest) * 3 / 5, "{legs} swaps: {asked} of {cheapest}");
            assert!(asked > worth_least(Wei(1), legs - 1).0 || legs == 2);
        }
        assert_eq!(worth_least(Wei(3), HOPS_MAX + 1), worth_least(Wei(3), HOPS_MAX));
    }

    #[test]
    fn the_least_of_so_many_legs_is_that_of_the_cheapest_mix_also_once_receipts_are_known() {
        let mut table = GasTable::default();
        let mixes = |table: &GasTable, leg_count: usize| {
            let shapes = Pool::KINDS.iter().flat_map(move |last| {
                let kinds = core::iter::repeat_n(PoolKind::ConstantProduct, leg_count - 1);
                let kinds = kinds.chain([*last]);
                [false, true].map(|is_flash| Shape::of(kinds.clone(), 0, is_flash))
            });
            let gas =
                |shape| GasUnits { limit: table.limit(&shape), expected: table.expected(&shape) };
            shapes.map(gas).reduce(GasUnits::least).unwrap()
        };
        for leg_count in 2..=HOPS_MAX {
            assert_eq!(table.least(leg_count), mixes(&table, leg_count));
        }
        let cheap = Shape::of([PoolKind::ConstantProduct, PoolKind::Solidly].into_iter(), 0, true);
        for _ in 0..100 {
            table.learn(&cheap, Gas(90_000), Gas(1_000_000));
        }
        assert!(table.least(2).expected.0 < 91_000);
        assert_eq!(table.least(2), mixes(&table, 2));
        assert_eq!(table.least(3), GasTable::default().least(3));
    }

    /// A repayment of Aave's from own funds, with these swaps around it.
    fn liquidation(swaps: Shape) -> Work {
        Work::Liquidation(liquidations::Shape::from_parts([0, 0, 1], swaps).unwrap())
    }

    #[test]
    fn each_kind_of_work_has_a_table_of_its_own() {
        let swaps = Work::Swaps(pairs(1, false));
        let (order, fresh) = (liquidation(pairs(1, false)), Tables::default());
        let mut tables = Tables::default();
        let limit = tables.limit(&order);
        assert!(limit > tables.expected(&order) && tables.expected(&order) > Gas(400_000));
        for _ in 0..100 {
            tables.learn(&order, Gas(600_000), limit);
        }
        assert!(tables.expected(&order) > Gas(590_000));
        assert_eq!(tables.expected(&swaps), fresh.expected(&swaps));
        let known = tables.expected(&order);
        for _ in 0..100 {
            tables.learn(&swaps, Gas(300_000), Gas(1_000_000));
        }
        assert!(tables.expected(&swaps) > Gas(290_000));
        assert_eq!(tables.expected(&order), known);
    }

    #[test]
    fn a_liquidation_costs_what_its_swaps_cost_more_and_reverts_within_its_limit() {
        let tables = Tables::default();
        let [none, two] = [pairs(0, false), pairs(2, false)].map(liquidation);
        let more = tables.expected(&two).0 - tables.expected(&none).0;
        assert_eq!(more, 2 * leg(PoolKind::ConstantProduct));
        for work in [none, two] {
            assert!(work.revert() > tables.expected(&work));
            assert!(work.revert() < tables.limit(&work));
        }
        let swaps = pairs(2, false);
        assert_eq!(Work::Swaps(swaps).revert(), swaps.revert());
    }

    #[test]
    fn two_paths_together_are_the_sum_of_both() {
        let concentrated =
            |count| Shape::of(core::iter::repeat_n(PoolKind::Concentrated, count), 2, false);
        let both = concentrated(2).and(&pairs(1, false));
        assert_eq!((both.neighbours, both.crossings), (1, 2));
        assert_eq!(both.swaps(), concentrated(2).swaps() + pairs(1, false).swaps());
    }

    #[test]
    fn an_odd_receipt_teaches_no_more_than_what_was_signed() {
        let mut table = GasTable::default();
        let shape = pairs(2, true);
        let limit = table.limit(&shape);
        for _ in 0..100 {
            table.learn(&shape, Gas(u64::MAX), limit);
        }
        assert!(table.expected(&shape) <= limit);
        for _ in 0..100 {
            table.learn(&shape, Gas(0), limit);
        }
        assert!(table.expected(&shape) >= Gas(INTRINSIC));
    }
}
