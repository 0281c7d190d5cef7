//! Health: what a borrower owes against what his collateral lets him owe.
//!
//! What he owes is rounded up, what he may owe twice down; he is healthy if it is no more.
//!
//! Temperature: hot.

use alloy_primitives::U256;

use super::shares::wad_mul_down;
use super::{Market, PRICE_SCALE, Position};
use crate::lending::math::{Fault, mul_div_down};

/// Both sides of the comparison, in units of the loan token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// What is owed.
    pub borrowed: U256,
    /// What may be owed.
    pub max_borrow: U256,
}

impl Health {
    /// Whether the position cannot be liquidated.
    #[must_use]
    #[inline]
    pub fn is_healthy(&self) -> bool {
        self.max_borrow >= self.borrowed
    }
}

/// The health of a position at its oracle's price, in a market that was accrued.
///
/// # Errors
/// On overflow, on which the contract reverts.
#[inline]
pub fn health(market: &Market, position: &Position, price: U256) -> Result<Health, Fault> {
    let borrowed = market.borrow.to_assets_up(U256::from(position.borrow_shares))?;
    let worth = collateral_worth(position.collateral, price)?;
    Ok(Health { borrowed, max_borrow: wad_mul_down(worth, U256::from(market.lltv))? })
}

/// What so much collateral is worth, in units of the loan token, rounded down.
#[inline]
pub(super) fn collateral_worth(collateral: u128, price: U256) -> Result<U256, Fault> {
    mul_div_down(U256::from(collateral), price, PRICE_SCALE)
}

#[cfg(test)]
mod tests {
    use super::super::Total;
    use super::*;

    #[test]
    fn a_unit_more_than_may_be_owed_is_unhealthy_and_no_debt_is_healthy() {
        let market = Market {
            borrow: Total { assets: 999_999, shares: 999_999_000_000 },
            lltv: 500_000_000_000_000_000,
            ..Market::default()
        };
        let at = |borrow_shares, collateral| {
            health(&market, &Position { borrow_shares, collateral }, PRICE_SCALE).unwrap()
        };
        assert!(at(100_000_000, 200).is_healthy());
        assert!(!at(100_000_001, 200).is_healthy());
        assert_eq!(at(100_000_001, 200).borrowed, U256::from(101));
        assert_eq!(at(100_000_001, 203).max_borrow, U256::from(101));
        assert!(at(0, 0).is_healthy());
        let much = Position { borrow_shares: 0, collateral: 2 };
        assert_eq!(health(&market, &much, U256::MAX), Err(Fault::Overflow));
    }
}
