//! A first look at an account, in floats.
//!
//! Temperature: hot.

use super::{Sums, float_of_half, number_of};
use crate::lending::comet::{Account, Asset, Market, Priced};

/// One, as an index.
const INDEX_SCALE: f64 = 1e15;
const WAD: f64 = 1e18;
/// What rounding may take from one value, in 8 decimals.
const SLOP: f64 = 2.0;

/// What an account owes, about, in base tokens.
#[inline]
fn owed(market: &Market, account: &Account<'_>) -> f64 {
    let principal = account.principal.min(0).unsigned_abs();
    float_of_half(principal) * (float_of_half(market.totals.borrow_index.into()) / INDEX_SCALE)
}

/// What an account owes, about, or as much of it as there is collateral for; in base tokens.
#[must_use]
pub fn covered(
    market: &Market,
    assets: &[Asset],
    account: &Account<'_>,
    prices: &impl Fn(Priced) -> f64,
) -> u128 {
    let worth = |(number, asset, balance): (u8, &Asset, u128)| {
        let unit = prices(Priced::Asset(number)) / float_of_half(asset.scale.into());
        float_of_half(balance) * unit
    };
    let unit = prices(Priced::Base) / float_of_half(market.terms.base_scale.into());
    let collateral = account.collateral(assets).map(worth).sum::<f64>() / unit;
    number_of(owed(market, account).min(collateral))
}

/// Whether an account cannot be absorbed for sure, at the market's indices; `prices` gives what
/// feeds answer, and what is not a number where one fails. Of one that may be, nothing is said.
#[must_use]
#[inline]
pub fn is_surely_healthy(
    market: &Market,
    assets: &[Asset],
    account: &Account<'_>,
    prices: &impl Fn(Priced) -> f64,
) -> bool {
    if account.principal >= 0 {
        // It owes nothing, whatever anything is worth.
        return true;
    }
    let owed = owed(market, account);
    let unit = prices(Priced::Base) / float_of_half(market.terms.base_scale.into());
    // What is owed is rounded down to a unit of the token.
    let mut sums = Sums { support: 0.0, debt: owed * unit, slop: SLOP + unit };
    for (number, asset, balance) in account.collateral(assets) {
        let unit = prices(Priced::Asset(number)) / float_of_half(asset.scale.into());
        let factor = float_of_half(asset.liquidate_factor.into()) / WAD;
        sums.support += float_of_half(balance) * unit * factor;
        sums.slop += SLOP;
    }
    sums.is_safe()
}

#[cfg(test)]
mod tests {
    use alloy_primitives::U256;
    use proptest::prelude::*;

    use super::super::float_of;
    use super::*;
    use crate::lending::comet::health::is_liquidatable;
    use crate::lending::comet::{Terms, Totals};

    proptest! {
        #[test]
        fn nobody_who_can_be_absorbed_is_surely_healthy(
            balances in prop::array::uniform2(0_u128..1 << 90),
            prices in prop::array::uniform3(1_u64..1 << 50),
            decimals in prop::array::uniform3(2_u32..19),
            factor in 1_u64..1_000_000_000_000_000_000,
            borrow_index in 1_000_000_000_000_000_u64..9_000_000_000_000_000,
            off in -5_000_i64..5_000,
        ) {
            let scales = decimals.map(|decimals| 10_u64.pow(decimals));
            let asset = |number: usize| Asset {
                scale: scales[number],
                liquidate_factor: factor,
                ..Asset::default()
            };
            let assets = [asset(0), asset(1)];
            let terms = Terms { base_scale: scales[2], ..Terms::default() };
            let totals = Totals { borrow_index, ..Totals::default() };
            let market = Market { terms, totals };
            let price = |what| U256::from(match what {
                Priced::Base => prices[2],
                Priced::Asset(number) => prices[usize::from(number)],
            });
            let with = |principal: i128| {
                let account = Account { principal: -principal, assets_in: 3, balances: &balances };
                let float = |what| float_of(price(what));
                let is_sure = is_surely_healthy(&market, &assets, &account, &float);
                (is_liquidatable(&market, &assets, &account, &|what| Ok(price(what))), is_sure)
            };
            // As much debt as makes it even, within some units.
            let (mut low, mut high) = (0_i128, 1 << 103);
            while high - low > 1 {
                let middle = low.midpoint(high);
                *(if with(middle).0 == Ok(false) { &mut low } else { &mut high }) = middle;
            }
            let (can, is_sure) = with(low.saturating_add(off.into()).max(1));
            prop_assert!(!is_sure || can != Ok(true));
            // Nobody may owe as much as it takes, where collateral is worth too much.
            prop_assert!(!with(low * 2 + (1 << 40)).1 || low > 1 << 102);
            // A per cent away nobody is in doubt, unless units count.
            let value = float_of(U256::from(low.unsigned_abs()) * U256::from(prices[2]))
                / float_of(U256::from(scales[2]));
            let unit = float_of(U256::from(prices[2])) / float_of(U256::from(scales[2]));
            let is_small = value < 10_000.0 * (unit + 1.0);
            prop_assert!(with(low / 100 * 99).1 || is_small);
            prop_assert!(with(0).1 && with(-5).1, "nothing is owed");
        }
    }

    #[test]
    fn a_price_that_is_not_there_leaves_doubt() {
        let market = Market::default();
        let account = Account { principal: -1, assets_in: 0, balances: &[] };
        assert!(!is_surely_healthy(&market, &[], &account, &|_| f64::NAN));
    }
}
