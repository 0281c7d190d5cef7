//! A first look at an account, in floats.
//!
//! Temperature: hot.

use super::{Sums, float_of_half};
use crate::lending::aave::{Entry, Position};

/// A ray.
const RAY: f64 = 1e27;
/// All of it, in basis points.
const WHOLE_BPS: f64 = 10_000.0;
/// Powers of ten.
const UNITS: [f64; 39] = {
    let mut units = [1.0; 39];
    let mut power = 1_u128;
    let mut place = 1;
    while place < units.len() {
        power *= 10;
        units[place] = float_of_half(power);
        place += 1;
    }
    units
};

impl Position<'_> {
    /// Whether the account is surely healthy; `price` gives the oracle's price of a reserve by its
    /// number, and what is not a number where there is none. Of one that is not, nothing is said.
    #[must_use]
    #[inline]
    pub fn is_surely_healthy(&self, price: impl Fn(u16) -> f64) -> bool {
        if self.category != 0 && !self.rules.has_bitmaps {
            // It may have a price of its own.
            return false;
        }
        let mut sums = Sums::default();
        let mut collateral = 0.0;
        for entry in self.entries {
            match self.terms(entry, &price) {
                Some(Terms { support, threshold, debt, slop }) => {
                    sums.support += support * threshold;
                    sums.debt += debt * WHOLE_BPS;
                    sums.slop += slop;
                    collateral += support;
                }
                None => return false,
            }
        }
        if self.rules.averages_threshold {
            // A basis point of it, and what the average is rounded to.
            sums.slop += collateral + WHOLE_BPS;
        }
        sums.is_safe()
    }

    /// What one entry adds, in base.
    #[inline]
    fn terms(&self, entry: &Entry, price: &impl Fn(u16) -> f64) -> Option<Terms> {
        let mut terms = Terms { support: 0.0, threshold: 0.0, debt: 0.0, slop: 0.0 };
        if !entry.is_collateral && entry.debt == 0 {
            return Some(terms);
        }
        let number = entry.reserve;
        let reserve = self.reserve(number).ok()?;
        let unit = price(number) / UNITS.get(usize::from(reserve.decimals))?;
        // Its balance is rounded to one of these, and its value to one in base.
        terms.slop = (unit + 1.0) * WHOLE_BPS;
        let has_threshold = reserve.threshold_bps != 0 || self.rules.counts_without_threshold;
        if entry.is_collateral && has_threshold {
            let category = self.category_of(number, reserve);
            let bps = category.map_or(reserve.threshold_bps, |category| category.threshold_bps);
            let income = self.income(number, reserve).float / RAY;
            terms.support = float_of_half(entry.collateral) * income * unit;
            terms.threshold = bps.into();
        }
        if entry.debt != 0 {
            let index = self.debt_index(number, reserve).float / RAY;
            terms.debt = float_of_half(entry.debt) * index * unit;
        }
        Some(terms)
    }
}

struct Terms {
    support: f64,
    threshold: f64,
    debt: f64,
    slop: f64,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::float_of;
    use super::*;
    use crate::lending::aave::health::tests::{ENTRIES, position, prices, reserves};
    use crate::lending::aave::{Reserve, Rules, wide};

    fn floats(reserve: u16) -> f64 {
        float_of(prices(reserve).unwrap())
    }

    proptest! {
        #[test]
        fn nobody_who_can_be_liquidated_is_surely_healthy(
            revision in 1_u64..=11,
            collateral in 1_u128..1 << 100,
            off in -5_000_i64..5_000,
            tiny in any::<bool>(),
        ) {
            let collateral = if tiny { collateral >> 50 } else { collateral };
            let (rules, reserves) = (Rules::of(revision).unwrap(), reserves());
            let all = position(&rules, &reserves, &[]);
            let with = |debt: u128| {
                let mut entries = ENTRIES;
                (entries[0].collateral, entries[1].debt) = (collateral, debt);
                let position = Position { entries: &entries, ..all };
                (position.health(&prices).unwrap(), position.is_surely_healthy(floats))
            };
            // As much debt as makes it even, within some units.
            let scaled = |debt: u128| with(debt).0.health_factor;
            let (mut low, mut high) = (0_u128, 1 << 110);
            while high - low > 1 {
                let middle = low.midpoint(high);
                let is_healthy = scaled(middle) >= crate::lending::math::WAD;
                *(if is_healthy { &mut low } else { &mut high }) = middle;
            }
            let (health, is_sure) = with(low.saturating_add_signed(off.into()));
            prop_assert!(!is_sure || !health.is_below_one(), "{health:?}");
            // A per cent further away nobody is in doubt.
            let (health, is_sure) = with(low / 100 * 99);
            let is_small = health.weighted < wide(1 << 40);
            prop_assert!(is_sure || is_small, "{health:?}");
            let (_, is_sure) = with(low.saturating_mul(2).max(2));
            prop_assert!(!is_sure);
        }
    }

    #[test]
    fn what_is_not_known_is_in_doubt() {
        let (rules, reserves) = (Rules::of(4).unwrap(), reserves());
        let healthy = Position { entries: &ENTRIES[..1], ..position(&rules, &reserves, &[]) };
        assert!(healthy.is_surely_healthy(floats));
        assert!(!healthy.is_surely_healthy(|_| f64::NAN));
        assert!(!Position { category: 1, ..healthy }.is_surely_healthy(floats));
        assert!(!Position { at: 0, reserves: &[], ..healthy }.is_surely_healthy(floats));
        let old = Position { at: 0, ..healthy };
        let later = [Reserve { updated_at: 1, ..reserves[0] }];
        assert!(!Position { reserves: &later, ..old }.is_surely_healthy(floats));
    }
}
