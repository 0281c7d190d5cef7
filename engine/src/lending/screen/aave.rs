//! A first look at an account, in floats.
//!
//! Temperature: hot.

use super::{Sums, TERMS_MAX, float_of_half, number_of};
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
        if (self.category != 0 && !self.rules.has_bitmaps) || self.entries.len() > TERMS_MAX {
            // It may have a price of its own, or the error may be larger.
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

    /// The largest debt, about, or as much of it as there is collateral for: its reserve, and how
    /// much it is in the underlying.
    #[must_use]
    pub fn largest_debt(&self, price: impl Fn(u16) -> f64) -> Option<(u16, u128)> {
        let (mut largest, mut collateral) = (None, 0.0);
        let mut most = 0.0;
        for entry in self.entries {
            let Terms { support, debt, .. } = self.terms(entry, &price)?;
            collateral += support;
            if debt > most {
                (most, largest) = (debt, Some(entry));
            }
        }
        let Entry { reserve: number, debt, .. } = *largest?;
        let index = self.debt_index(number, self.reserve(number).ok()?).float / RAY;
        let part = (collateral / most).min(1.0);
        Some((number, number_of(float_of_half(debt) * index * part)))
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
    use alloy_primitives::U256;
    use proptest::prelude::*;

    use super::super::float_of;
    use super::*;
    use crate::lending::aave::health::tests::{ENTRIES, position, prices, reserves};
    use crate::lending::aave::{Category, Reserve, Rules, wide};
    use crate::lending::math::WAD;

    fn floats(reserve: u16) -> f64 {
        float_of(prices(reserve).unwrap())
    }

    /// A reserve of any decimals and indices.
    fn any_reserve() -> impl Strategy<Value = (Reserve, u64)> {
        let ray = 10_u128.pow(27);
        let indices = prop::array::uniform2(ray..3 * ray);
        let rates = prop::array::uniform2(0..ray);
        (indices, rates, 0_u8..=24, 0_u16..=10_000, 1_u64..1 << 50, 0_u64..4_000_000).prop_map(
            |(
                [liquidity_index, borrow_index],
                [liquidity_rate, borrow_rate],
                decimals,
                bps,
                price,
                age,
            )| {
                let reserve = Reserve {
                    liquidity_index,
                    borrow_index,
                    liquidity_rate,
                    borrow_rate,
                    updated_at: 4_000_000 - age,
                    threshold_bps: bps,
                    decimals,
                    is_active: true,
                    ..Reserve::default()
                };
                (reserve, price)
            },
        )
    }

    fn any_entry() -> impl Strategy<Value = (u128, u128, bool, u32)> {
        (0_u128..1 << 90, 0_u128..1 << 90, any::<bool>(), 0_u32..70)
    }

    proptest! {
        #[test]
        fn nobody_who_can_be_liquidated_is_surely_healthy(
            revision in 1_u64..=11,
            made in prop::array::uniform3(any_reserve()),
            held in prop::array::uniform3(any_entry()),
            owing in 0_u16..3,
            category_bps in 1_u16..=10_000,
            bitmap in 0_u128..8,
            has_category in any::<bool>(),
            off in -5_000_i64..5_000,
        ) {
            let rules = Rules::of(revision).unwrap();
            let reserves = made.map(|(reserve, _)| reserve);
            let price = |reserve: u16| Ok(U256::from(made[usize::from(reserve)].1));
            let float = |reserve: u16| float_of(U256::from(made[usize::from(reserve)].1));
            let category = Category {
                collateral_bitmap: bitmap,
                threshold_bps: category_bps,
                ..Category::default()
            };
            let categories = [Category::default(), category];
            let with = |debt: u128| {
                let mut entries = [Entry::default(); 3];
                for (reserve, (entry, of)) in (0_u16..).zip(entries.iter_mut().zip(held)) {
                    let (collateral, owed, is_collateral, shift) = of;
                    let debt = if reserve == owing { debt } else { owed >> shift };
                    let collateral = collateral >> shift;
                    *entry = Entry { collateral, debt, reserve, is_collateral };
                }
                let position = Position {
                    entries: &entries,
                    category: u8::from(has_category && rules.has_bitmaps),
                    at: 4_000_000,
                    ..position(&rules, &reserves, &categories)
                };
                (position.health(&price), position.is_surely_healthy(float))
            };
            // As much more debt as makes it even, within some units.
            let (mut low, mut high) = (0_u128, 1 << 120);
            while high - low > 1 {
                let middle = low.midpoint(high);
                let is_healthy = with(middle).0.is_ok_and(|health| health.health_factor >= WAD);
                *(if is_healthy { &mut low } else { &mut high }) = middle;
            }
            let (health, is_sure) = with(low.saturating_add_signed(off.into()));
            prop_assert!(!is_sure || health.is_ok_and(|health| !health.is_below_one()));
        }

        #[test]
        fn a_per_cent_further_away_nobody_is_in_doubt(
            revision in 1_u64..=11,
            collateral in 1_u128 << 50..1 << 100,
        ) {
            let (rules, reserves) = (Rules::of(revision).unwrap(), reserves());
            let with = |debt: u128| {
                let mut entries = ENTRIES;
                (entries[0].collateral, entries[1].debt) = (collateral, debt);
                let position = Position { entries: &entries, ..position(&rules, &reserves, &[]) };
                (position.health(&prices).unwrap(), position.is_surely_healthy(floats))
            };
            let (mut low, mut high) = (0_u128, 1 << 110);
            while high - low > 1 {
                let middle = low.midpoint(high);
                let is_healthy = !with(middle).0.is_below_one();
                *(if is_healthy { &mut low } else { &mut high }) = middle;
            }
            let (health, is_sure) = with(low / 100 * 99);
            prop_assert!(is_sure || health.weighted < wide(1 << 40), "{health:?}");
            prop_assert!(!with(low.saturating_mul(2).max(2)).1);
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
        let later = [Reserve { updated_at: 1, ..reserves[0] }];
        assert!(!Position { at: 0, reserves: &later, ..healthy }.is_surely_healthy(floats));
        let many = [ENTRIES[0]; TERMS_MAX + 1];
        assert!(!Position { entries: &many, ..healthy }.is_surely_healthy(floats));
    }

    #[test]
    fn a_debt_counts_as_far_as_there_is_collateral_for_it() {
        let (rules, reserves) = (Rules::of(10).unwrap(), reserves());
        let whole = position(&rules, &reserves, &[]);
        assert_eq!(
            whole.largest_debt(floats).map(|(reserve, owed)| (reserve, owed >> 20)),
            Some((1, 16_830_109_510 >> 20))
        );
        let bare = Position { entries: &ENTRIES[1..], ..whole };
        assert_eq!(bare.largest_debt(floats), Some((1, 0)));
        assert_eq!(Position { entries: &ENTRIES[..1], ..whole }.largest_debt(floats), None);
    }
}
