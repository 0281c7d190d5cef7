//! A look at all positions: floats say which of them could be liquidatable, and only those are
//! worth exact arithmetic.
//!
//! The weighted collateral `S` and the debt `D` of a position are sums of amounts times prices. In
//! floats of 53 bits, each amount, price, product and partial sum is off by at most one part in
//! 2^53; a sum of [`HOLDINGS_MAX`] such products by less than [`ERROR`], which is more than six
//! times as much. The protocols round each value by less than a unit besides, which is the
//! holding's own `slop`. So a position is passed over only when
//!
//! ```text
//! S · (1 − ERROR) − slop ≥ D · (1 + ERROR) + slop
//! ```
//!
//! Floats choose candidates here and decide nothing.
//!
//! Temperature: hot.

use alloc::vec;
use alloc::vec::Vec;

use alloy_primitives::U256;

use super::price::PriceId;
use super::trigger::Side;

/// Holdings of one position; one with more is always a candidate.
pub const HOLDINGS_MAX: usize = 16;
/// A relative error that no sum here reaches: 2^-46, where (16 + 4) · 2^-53 would do.
pub const ERROR: f64 = 1.0 / 70_368_744_177_664.0;

/// What a position has of an asset, or owes: its value is `amount · price`.
#[derive(Clone, Copy, Debug, Default)]
struct Holding {
    /// Below zero for a debt.
    amount: f64,
    price: u32,
}

/// All positions, as floats.
#[derive(Debug)]
pub struct Screen {
    holdings: Vec<Holding>,
    /// How many of each position's places are taken; [`ALWAYS`] for what is not known.
    counts: Vec<u8>,
    /// What rounding may come to, by position, in the unit of its sums.
    slops: Vec<f64>,
    each: usize,
}

/// A position that is always a candidate.
const ALWAYS: u8 = u8::MAX;

impl Screen {
    /// Room for so many positions, with up to `each` holdings.
    ///
    /// # Panics
    /// When `each` is more than [`HOLDINGS_MAX`].
    #[must_use]
    pub fn new(positions: usize, each: usize) -> Self {
        assert!(each <= HOLDINGS_MAX, "the bound of the error is for so many");
        Self {
            holdings: vec![Holding::default(); positions * each],
            counts: vec![0; positions],
            slops: vec![0.0; positions],
            each,
        }
    }

    /// Bytes that it has taken.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.holdings.capacity() * size_of::<Holding>()
            + self.counts.capacity()
            + self.slops.capacity() * size_of::<f64>()
    }

    /// Forgets a position: it is no candidate.
    pub fn remove(&mut self, position: u32) {
        if let Some(count) = self.counts.get_mut(position as usize) {
            *count = 0;
        }
    }

    /// A position with this much of each asset, weighted, so that times the asset's price it is
    /// what counts; `slop` is how much all roundings of its sums may come to.
    ///
    /// One that has more holdings than there is room for is a candidate at all times.
    pub fn set(
        &mut self,
        position: u32,
        holdings: impl Iterator<Item = (Side, PriceId, f64)>,
        slop: f64,
    ) {
        let at = position as usize;
        let Some(count) = self.counts.get_mut(at) else { return };
        *count = ALWAYS;
        self.slops[at] = slop;
        let places = &mut self.holdings[at * self.each..(at + 1) * self.each];
        let mut taken = 0;
        for (side, price, amount) in holdings {
            let Some(place) = places.get_mut(usize::from(taken)) else { return };
            let amount = if side == Side::Debt { -amount } else { amount };
            *place = Holding { amount, price: u32::from(price.0) };
            taken += 1;
        }
        *count = taken;
    }

    /// Visits all positions that could be liquidatable with these prices, by [`PriceId`]; a price
    /// that there is none of is not a number, and makes a candidate of whoever needs it.
    #[inline]
    pub fn candidates(&self, prices: &[f64], mut visit: impl FnMut(u32)) {
        for (at, count) in (0_u32..).zip(&self.counts) {
            if *count == 0 {
                continue;
            }
            if *count == ALWAYS || !self.is_safe(at as usize, usize::from(*count), prices) {
                visit(at);
            }
        }
    }

    #[inline]
    fn is_safe(&self, at: usize, count: usize, prices: &[f64]) -> bool {
        let (mut support, mut debt) = (0.0, 0.0);
        let first = at * self.each;
        for held in &self.holdings[first..first + count] {
            let price = prices.get(held.price as usize).copied().unwrap_or(f64::NAN);
            let value = held.amount * price;
            if held.amount < 0.0 {
                debt -= value;
            } else {
                support += value;
            }
        }
        let slop = self.slops[at];
        // What is not a number is not greater.
        support * (1.0 - ERROR) - slop >= debt * (1.0 + ERROR) + slop
    }
}

/// A number as the nearest float, or one beside it; with up to 256 bits it always fits.
#[must_use]
#[inline]
pub fn float_of(number: U256) -> f64 {
    let [a, b, c, d] = *number.as_limbs();
    let low = (u128::from(b) << 64) | u128::from(a);
    let high = (u128::from(d) << 64) | u128::from(c);
    #[expect(clippy::cast_precision_loss, reason = "the error is part of the bound")]
    {
        // 2^128, twice over: its power is exact.
        high as f64 * (u64::MAX as f64 * u64::MAX as f64) + low as f64
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    /// A price of 8 decimals, as the contracts multiply and divide by it.
    fn exact(holdings: &[(bool, u64, u64)], prices: &[u64]) -> [U256; 2] {
        let mut sums = [U256::ZERO; 2];
        for (place, (is_debt, amount, weight)) in holdings.iter().enumerate() {
            let product = U256::from(*amount) * U256::from(prices[place]);
            let value = product / U256::from(1_000_000_u64);
            sums[usize::from(*is_debt)] += value * U256::from(*weight);
        }
        sums
    }

    fn candidates(holdings: &[(bool, u64, u64)], prices: &[f64], each: usize) -> Vec<u32> {
        let mut screen = Screen::new(2, each);
        let told = holdings.iter().enumerate().map(|(place, (is_debt, amount, weight))| {
            let side = if *is_debt { Side::Debt } else { Side::Collateral };
            let weighted = U256::from(*amount) * U256::from(*weight);
            (side, PriceId(u16::try_from(place).unwrap()), float_of(weighted) / 1e6)
        });
        let slop = holdings.iter().map(|(_, _, weight)| float_of(U256::from(*weight))).sum();
        screen.set(1, told, slop);
        let mut found = Vec::new();
        screen.candidates(prices, |position| found.push(position));
        found
    }

    proptest! {
        #[test]
        fn no_liquidatable_position_is_passed_over(
            mut holdings in proptest::collection::vec(
                (any::<bool>(), 1..u64::MAX, 1..10_000_u64), 1..8),
            prices in proptest::collection::vec(1..u64::MAX, 8),
            off in -3_i64..3,
        ) {
            // The last holding makes it even, within a few units.
            let [support, debt] = exact(&holdings, &prices);
            let gap = support.abs_diff(debt) * U256::from(1_000_000) / U256::from(prices[7]);
            let last = u64::try_from(gap).unwrap_or(u64::MAX).saturating_add_signed(off).max(1);
            holdings.push((support > debt, last, 1));
            let mut prices = prices;
            prices[holdings.len() - 1] = prices[7];
            let [support, debt] = exact(&holdings, &prices);
            let floats: Vec<_> = prices.iter().map(|price| float_of(U256::from(*price))).collect();
            let found = candidates(&holdings, &floats, 8);
            prop_assert!(!found.contains(&0), "nobody is there");
            prop_assert!(support >= debt || found == [1]);
        }

        #[test]
        fn a_float_is_off_by_less_than_the_bound_allows(bytes in any::<[u8; 32]>(),
            shift in 0..256_usize) {
            let number = U256::from_be_bytes(bytes) >> shift;
            let float = float_of(number);
            let back = U256::from(float);
            let off = back.abs_diff(number);
            prop_assert!(off <= number >> 51_usize, "{number} became {float}");
        }
    }

    #[test]
    fn what_is_not_known_is_a_candidate() {
        let one = [(false, 1_000, 1), (true, 1, 1)];
        assert_eq!(candidates(&one, &[1e6, 1e6], 2), Vec::<u32>::new());
        assert_eq!(candidates(&one, &[1e6, f64::NAN], 2), [1], "a price that is not there");
        assert_eq!(candidates(&one, &[1e6], 2), [1]);
        assert_eq!(candidates(&one, &[1e6, 1e6], 1), [1], "more holdings than room");
        assert_eq!(candidates(&one, &[1e6, 1e9], 2), [1], "it is liquidatable");
    }
}
