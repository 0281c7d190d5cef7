//! A first look at a position, in floats.
//!
//! Temperature: hot.

use super::{Sums, float_of_half, number_of};
use crate::lending::morpho::shares::{VIRTUAL_ASSETS, VIRTUAL_SHARES};
use crate::lending::morpho::{Market, Position};

/// One, in an oracle's price.
const PRICE_SCALE: f64 = 1e36;
const WAD: f64 = 1e18;
/// What rounding may take from either side, in units of the loan token.
const SLOP: f64 = 4.0;

/// What a market's borrowers have in common, as floats.
#[derive(Clone, Copy, Debug)]
pub struct Floats {
    /// Units of the loan token that a share of the debt comes to.
    share: f64,
    /// Of collateral's worth, so much may be owed.
    limit: f64,
}

impl Floats {
    /// Of a market that was accrued.
    #[must_use]
    pub fn of(market: &Market) -> Self {
        let Market { borrow, lltv, .. } = market;
        let assets = float_of_half(borrow.assets) + float_of_half(VIRTUAL_ASSETS.into());
        let shares = float_of_half(borrow.shares) + float_of_half(VIRTUAL_SHARES.into());
        let limit = float_of_half((*lltv).into()) / WAD / PRICE_SCALE;
        Self { share: assets / shares, limit }
    }

    /// What a position owes, about, or as much of it as there is collateral for at its oracle's
    /// price; in units of the loan token.
    #[must_use]
    #[inline]
    pub fn covered(&self, position: &Position, price: f64) -> u128 {
        let collateral = float_of_half(position.collateral) * price / PRICE_SCALE;
        number_of((float_of_half(position.borrow_shares) * self.share).min(collateral))
    }

    /// Whether a position is surely healthy at its oracle's price; of one that is not, nothing is
    /// said.
    #[must_use]
    #[inline]
    pub fn is_surely_healthy(&self, position: &Position, price: f64) -> bool {
        let support = float_of_half(position.collateral) * price * self.limit;
        let debt = float_of_half(position.borrow_shares) * self.share;
        Sums { support, debt, slop: SLOP }.is_safe()
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::U256;
    use proptest::prelude::*;

    use super::super::float_of;
    use super::*;
    use crate::lending::morpho::{Total, health};

    proptest! {
        #[test]
        fn nobody_who_can_be_liquidated_is_surely_healthy(
            assets in 1_u128..1 << 100,
            per_share in 1_u128..3_000_000,
            shares in 1_u128..1 << 100,
            price in 1_u128..u128::MAX,
            lltv in 1_u64..1_000_000_000_000_000_000,
            off in -5_000_i64..5_000,
        ) {
            let borrow = Total { assets, shares: assets.saturating_mul(per_share) };
            let market = Market { borrow, lltv, ..Market::default() };
            let price = U256::from(price) << 20;
            let floats = Floats::of(&market);
            let with = |collateral: u128| {
                let position = Position { borrow_shares: shares, collateral };
                let is_sure = floats.is_surely_healthy(&position, float_of(price));
                (health(&market, &position, price).map(|health| health.is_healthy()), is_sure)
            };
            // As little collateral as makes it even, within some units.
            let (mut low, mut high) = (0_u128, 1 << 118);
            while high - low > 1 {
                let middle = low.midpoint(high);
                *(if with(middle).0 == Ok(false) { &mut low } else { &mut high }) = middle;
            }
            let (is_healthy, is_sure) = with(high.saturating_add_signed(off.into()));
            prop_assert!(!is_sure || is_healthy != Ok(false));
            let (is_healthy, is_sure) = with(low / 2);
            prop_assert!(is_healthy != Ok(false) || !is_sure);
            // A per cent further away nobody is in doubt, unless units count.
            let more = high.saturating_add(high / 50);
            let is_small = high < 1_000_000 || shares < 1_000_000_000;
            prop_assert!(with(more).1 || is_small || high == 1 << 118);
        }
    }
}
