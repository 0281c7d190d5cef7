//! The health of an account: what it has and owes, in the market's base currency.
//!
//! Temperature: hot.
#![deny(clippy::arithmetic_side_effects, clippy::float_arithmetic)]

use alloy_primitives::U256;

use super::{Entry, PERCENT, Position, index, price_source_key};
use crate::lending::math::{Fault, WAD, add, div, mul, mul_div_down, mul_div_half_up, mul_div_up};

/// What one entry adds to its account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Value {
    /// Collateral that counts, in base.
    pub collateral_base: U256,
    /// Debt, in base.
    pub debt_base: U256,
    /// The threshold that its collateral counts with, in basis points.
    pub threshold_bps: u16,
}

/// An account's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// All collateral, in base.
    pub collateral_base: U256,
    /// All debt, in base.
    pub debt_base: U256,
    /// Collateral by its threshold, in base times basis points, summed.
    pub weighted: U256,
    /// In wad; [`U256::MAX`] without debt. Below one, the account can be liquidated.
    pub health_factor: U256,
}

impl Health {
    /// Whether the account can be liquidated.
    #[must_use]
    #[inline]
    pub fn is_below_one(&self) -> bool {
        self.health_factor < WAD
    }
}

impl Position<'_> {
    /// The price of the account's category, where that has a source of its own.
    ///
    /// # Errors
    /// When the source has no price.
    #[inline]
    pub fn category_price<P>(&self, prices: &P) -> Result<Option<U256>, Fault>
    where
        P: Fn(u16) -> Result<U256, Fault>,
    {
        if self.category == 0 || self.rules.has_bitmaps {
            return Ok(None);
        }
        let category = self.categories.get(usize::from(self.category)).ok_or(Fault::Unknown)?;
        if !category.has_price_source {
            return Ok(None);
        }
        prices(price_source_key(self.category)).map(Some)
    }

    /// What one entry adds to the account.
    ///
    /// # Errors
    /// When a price is missing or a number overflows.
    #[inline]
    pub fn value<P>(&self, entry: &Entry, prices: &P) -> Result<Value, Fault>
    where
        P: Fn(u16) -> Result<U256, Fault>,
    {
        let reserve = self.reserve(entry.reserve)?;
        if !entry.is_collateral && entry.debt == 0 {
            return Ok(Value::default());
        }
        let category = self.category_of(entry.reserve, reserve);
        let own = self.category_price(prices)?.filter(|price| !price.is_zero());
        let price = match (category, own) {
            (Some(_), Some(price)) => price,
            _ => prices(entry.reserve)?,
        };
        let unit = reserve.unit()?;
        let mut value = Value::default();
        let has_threshold = reserve.threshold_bps != 0 || self.rules.counts_without_threshold;
        if entry.is_collateral && has_threshold {
            let income = self.income(entry.reserve, reserve).exact?;
            let balance = index::collateral_balance(self.rules, entry.collateral, income)?;
            value.collateral_base = mul_div_down(balance, price, unit)?;
            value.threshold_bps =
                category.map_or(reserve.threshold_bps, |category| category.threshold_bps);
        }
        if entry.debt != 0 {
            let grown = self.debt_index(entry.reserve, reserve).exact?;
            let owed = index::debt_balance(self.rules, entry.debt, grown)?;
            value.debt_base = self.debt_base(owed, price, unit)?;
        }
        Ok(value)
    }

    /// What an amount of debt is worth in base.
    pub(super) fn debt_base(&self, owed: U256, price: U256, unit: U256) -> Result<U256, Fault> {
        if self.rules.is_directed {
            mul_div_up(owed, price, unit)
        } else {
            mul_div_down(owed, price, unit)
        }
    }

    /// The account's health.
    ///
    /// `prices` gives the oracle's price of a reserve, in base, by its number.
    ///
    /// # Errors
    /// When a price is missing, a reserve is not known or a number overflows: the contract would
    /// revert.
    pub fn health<P>(&self, prices: &P) -> Result<Health, Fault>
    where
        P: Fn(u16) -> Result<U256, Fault>,
    {
        let [mut collateral_base, mut debt_base, mut weighted] = [U256::ZERO; 3];
        for entry in self.entries {
            let value = self.value(entry, prices)?;
            collateral_base = add(collateral_base, value.collateral_base)?;
            debt_base = add(debt_base, value.debt_base)?;
            let counted = mul(value.collateral_base, U256::from(value.threshold_bps))?;
            weighted = add(weighted, counted)?;
        }
        let mut health = Health { collateral_base, debt_base, weighted, health_factor: U256::MAX };
        if !debt_base.is_zero() {
            health.health_factor = self.factor(&health)?;
        }
        Ok(health)
    }

    /// Collateral by its threshold over debt, in wad; there is debt.
    fn factor(&self, health: &Health) -> Result<U256, Fault> {
        if !self.rules.averages_threshold {
            let factor = mul_div_half_up(health.weighted, WAD, health.debt_base)?;
            return div(factor, PERCENT);
        }
        let average = health.weighted.checked_div(health.collateral_base).unwrap_or_default();
        let counted = mul_div_half_up(health.collateral_base, average, PERCENT)?;
        mul_div_half_up(counted, WAD, health.debt_base)
    }
}

#[cfg(test)]
pub(in crate::lending) mod tests {
    use super::super::{Category, Reserve, Rules, wide};
    use super::*;

    pub(in crate::lending) const RAY_ONE: u128 = 1_000_000_000_000_000_000_000_000_000;

    /// The reference's reserves: WETH and USDC, an hour after their last update.
    pub(in crate::lending) fn reserves() -> [Reserve; 2] {
        let weth = Reserve {
            liquidity_index: RAY_ONE / 100 * 105,
            liquidity_rate: RAY_ONE / 100 * 2,
            borrow_index: RAY_ONE,
            available: u128::MAX,
            threshold_bps: 8_300,
            bonus_bps: 10_500,
            fee_bps: 1_000,
            decimals: 18,
            is_active: true,
            ..Reserve::default()
        };
        let usdc = Reserve {
            liquidity_index: RAY_ONE,
            borrow_index: RAY_ONE / 10 * 11,
            borrow_rate: RAY_ONE / 1_000 * 57,
            threshold_bps: 7_800,
            bonus_bps: 10_450,
            decimals: 6,
            is_active: true,
            ..Reserve::default()
        };
        [weth, usdc]
    }

    /// The reference's account: 10 scaled WETH against 15,300 scaled USDC.
    pub(in crate::lending) const ENTRIES: [Entry; 2] = [
        Entry { collateral: 10_000_000_000_000_000_000, debt: 0, reserve: 0, is_collateral: true },
        Entry { collateral: 0, debt: 15_300_000_000, reserve: 1, is_collateral: false },
    ];

    #[expect(clippy::unnecessary_wraps, reason = "as prices are asked for")]
    pub(in crate::lending) fn prices(reserve: u16) -> Result<U256, Fault> {
        Ok([wide(190_000_000_000), wide(99_990_000)][usize::from(reserve)])
    }

    pub(in crate::lending) fn position<'a>(
        rules: &'a Rules,
        reserves: &'a [Reserve],
        categories: &'a [Category],
    ) -> Position<'a> {
        let entries = &ENTRIES;
        Position { rules, entries, reserves, grown: &[], categories, category: 0, at: 3_600 }
    }

    #[test]
    fn the_references_account_has_the_references_health() {
        let rules = Rules::of(11).unwrap();
        let reserves = reserves();
        let position = position(&rules, &reserves, &[]);
        let income = index::income(&reserves[0], 3_600).unwrap();
        let balance = index::collateral_balance(&rules, ENTRIES[0].collateral, income).unwrap();
        assert_eq!(balance, wide(10_500_023_972_602_739_726));
        let grown = index::debt(&rules, &reserves[1], 3_600).unwrap();
        let owed = index::debt_balance(&rules, ENTRIES[1].debt, grown).unwrap();
        assert_eq!(owed, wide(16_830_109_511));
        let health = position.health(&prices).unwrap();
        assert_eq!(health.collateral_base, wide(1_995_004_554_794));
        assert_eq!(health.debt_base, wide(1_682_842_650_005));
        assert_eq!(health.health_factor, wide(983_962_333_301_987_674));
        assert!(health.is_below_one());
    }

    #[test]
    fn without_debt_nothing_is_healthier() {
        let reserves = reserves();
        for revision in 1..=11 {
            let rules = Rules::of(revision).unwrap();
            let all = position(&rules, &reserves, &[]);
            let health = Position { entries: &ENTRIES[..1], ..all }.health(&prices).unwrap();
            assert_eq!(health.health_factor, U256::MAX);
            let none = Position { entries: &ENTRIES[1..], ..all }.health(&prices).unwrap();
            assert_eq!(none.health_factor, U256::ZERO);
        }
    }

    #[test]
    fn a_category_gives_its_threshold_to_its_collateral_only() {
        let mut reserves = reserves();
        reserves[1].category = 1;
        let category = |bitmap| Category {
            collateral_bitmap: bitmap,
            threshold_bps: 9_500,
            bonus_bps: 10_100,
            has_price_source: true,
        };
        for revision in [4, 5] {
            let rules = Rules::of(revision).unwrap();
            for (number, is_member) in [(0, false), (1, true)] {
                let categories = [Category::default(), category(if is_member { 1 } else { 2 })];
                reserves[0].category = number;
                let position = Position { category: 1, ..position(&rules, &reserves, &categories) };
                let found = position.category_of(0, &reserves[0]).is_some();
                assert_eq!(found, is_member, "revision {revision}");
                let source = position.category_price(&|key| {
                    assert_eq!(key, price_source_key(1));
                    Ok(WAD)
                });
                assert_eq!(source, Ok((revision == 4).then_some(WAD)));
            }
        }
    }
}
