//! Liquidation: a borrower's debt repaid, up to all of it, for collateral that is worth more.
//!
//! What is asked for is shares to repay or collateral to seize; the other follows at the oracle's
//! price and the market's incentive, rounded against the liquidator both ways. When no collateral
//! is left, what is still owed is bad debt: the lenders lose it.
//!
//! Repaying all shares does not depend on the interest between now and inclusion; seizing an amount
//! of collateral does.
//!
//! Temperature: hot.

use alloy_primitives::U256;

use super::health::health;
use super::shares::{mul_div_up, wad_div_down, wad_div_up, wad_mul_down};
use super::{Market, PRICE_SCALE, Position, Total, narrow};
use crate::lending::math::{Fault, WAD, mul_div_down, sub};

/// How much of the distance between the limit and one becomes the incentive.
const CURSOR: U256 = U256::from_limbs([300_000_000_000_000_000, 0, 0, 0]);
/// The largest incentive.
const INCENTIVE_MAX: U256 = U256::from_limbs([1_150_000_000_000_000_000, 0, 0, 0]);

/// What is asked for, exactly one of two; asking for nothing is forbidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// To repay so many of the borrower's shares.
    Shares(u128),
    /// To seize so much of his collateral.
    Seized(u128),
}

/// What a liquidation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Liquidation {
    /// What the liquidator pays, in units of the loan token; one more than is owed at most.
    pub repaid_assets: u128,
    /// The shares that this repays.
    pub repaid_shares: u128,
    /// What he gets, in units of the collateral token.
    pub seized: u128,
    /// What the lenders lose, in units of the loan token.
    pub bad_debt_assets: u128,
    /// The shares that nobody repays.
    pub bad_debt_shares: u128,
    /// The market after it.
    pub market: Market,
    /// The position after it.
    pub position: Position,
}

/// What a liquidator gets for what he pays, in WAD: `1 / (1 − 0.3·(1 − limit))`, at most 1.15.
///
/// # Errors
/// When the limit is above one, which no market's is.
#[inline]
pub fn incentive(lltv: u64) -> Result<U256, Fault> {
    let distance = wad_mul_down(CURSOR, sub(WAD, U256::from(lltv))?)?;
    Ok(wad_div_down(WAD, sub(WAD, distance)?)?.min(INCENTIVE_MAX))
}

/// What the contract would do in this market, accrued to the time in question, at this price.
///
/// # Errors
/// [`Fault::Healthy`]; [`Fault::Forbidden`] if nothing is asked for; [`Fault::Underflow`] if more
/// is asked for than is owed or there; [`Fault::Overflow`], also for collateral that is worth
/// nothing where shares are given.
pub fn liquidate(
    market: &Market,
    position: &Position,
    price: U256,
    request: Request,
) -> Result<Liquidation, Fault> {
    if matches!(request, Request::Shares(0) | Request::Seized(0)) {
        return Err(Fault::Forbidden);
    }
    if health(market, position, price)?.is_healthy() {
        return Err(Fault::Healthy);
    }
    let (seized, repaid_shares) =
        exchanged(&market.borrow, price, incentive(market.lltv)?, request)?;
    let (borrow, repaid_assets) = repay(&market.borrow, repaid_shares)?;
    let mut after = Position {
        borrow_shares: less(position.borrow_shares, repaid_shares)?,
        collateral: less(position.collateral, seized)?,
    };
    let mut market = Market { borrow, ..*market };
    let (mut bad_debt_assets, mut bad_debt_shares) = (0, 0);
    if after.collateral == 0 {
        bad_debt_shares = after.borrow_shares;
        let owed = market.borrow.to_assets_up(U256::from(bad_debt_shares))?;
        bad_debt_assets = narrow(owed.min(U256::from(market.borrow.assets)))?;
        let rest = market.borrow.less(bad_debt_assets, bad_debt_shares);
        market.borrow = rest.ok_or(Fault::Underflow)?;
        market.supply = market.supply.less(bad_debt_assets, 0).ok_or(Fault::Underflow)?;
        after.borrow_shares = 0;
    }
    Ok(Liquidation {
        repaid_assets,
        repaid_shares,
        seized,
        bad_debt_assets,
        bad_debt_shares,
        market,
        position: after,
    })
}

impl Request {
    /// The most that can be taken: all shares if the collateral pays for them, else all collateral.
    /// Never refused for its size.
    ///
    /// # Errors
    /// On overflow, or for collateral that is worth nothing.
    pub fn most(market: &Market, position: &Position, price: U256) -> Result<Self, Fault> {
        let Position { borrow_shares, collateral } = *position;
        let paid = repaid_worth(&market.borrow, borrow_shares, incentive(market.lltv)?)?;
        let wanted = mul_div_down(paid, PRICE_SCALE, price)?;
        if wanted <= U256::from(collateral) {
            return Ok(Self::Shares(borrow_shares));
        }
        Ok(Self::Seized(collateral))
    }
}

/// Collateral and shares that are exchanged for one another at a price and an incentive.
#[inline]
pub(super) fn exchanged(
    borrow: &Total,
    price: U256,
    incentive: U256,
    request: Request,
) -> Result<(u128, u128), Fault> {
    match request {
        Request::Shares(shares) => {
            let paid = repaid_worth(borrow, shares, incentive)?;
            Ok((narrow(mul_div_down(paid, PRICE_SCALE, price)?)?, shares))
        }
        Request::Seized(seized) => {
            let worth = mul_div_up(U256::from(seized), price, PRICE_SCALE)?;
            let shares = borrow.to_shares_up(wad_div_up(worth, incentive)?)?;
            Ok((seized, narrow(shares)?))
        }
    }
}

/// What so many shares are worth, with the incentive on top.
fn repaid_worth(borrow: &Total, shares: u128, incentive: U256) -> Result<U256, Fault> {
    wad_mul_down(borrow.to_assets_down(U256::from(shares))?, incentive)
}

/// The total without so many shares, and what they cost.
pub(super) fn repay(borrow: &Total, shares: u128) -> Result<(Total, u128), Fault> {
    let assets = narrow(borrow.to_assets_up(U256::from(shares))?)?;
    Ok((borrow.repaid(assets, shares).ok_or(Fault::Underflow)?, assets))
}

/// What remains of a position's number.
pub(super) fn less(held: u128, taken: u128) -> Result<u128, Fault> {
    held.checked_sub(taken).ok_or(Fault::Underflow)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::WAD_U64;
    use super::*;
    use crate::lending::math::mul;

    /// A market of a million against which fifteen thousand are owed, for nine of the collateral
    /// that is worth 1,900 each.
    pub(in super::super) fn example() -> (Market, Position, U256) {
        let market = Market {
            supply: Total { assets: 2_000_000_000_000, shares: 2_000_000_000_000_000_000 },
            borrow: Total { assets: 1_000_005_707_778, shares: 990_000_000_000_000_000 },
            lltv: 860_000_000_000_000_000,
            ..Market::default()
        };
        let nine = 9_000_000_000_000_000_000;
        let position = Position { borrow_shares: 15_000_000_000_000_000, collateral: nine };
        let price = U256::from(1_900) * U256::from(10).pow(U256::from(24));
        (market, position, price)
    }

    #[test]
    fn the_incentive_grows_with_the_distance_of_the_limit_from_one() {
        for (lltv, expected) in [
            (945_000_000_000_000_000, 1_016_776_817_488_561_260),
            (860_000_000_000_000_000, 1_043_841_336_116_910_229),
            (770_000_000_000_000_000, 1_074_113_856_068_743_286),
            (385_000_000_000_000_000, 1_150_000_000_000_000_000),
            (0, 1_150_000_000_000_000_000_u64),
        ] {
            assert_eq!(incentive(lltv), Ok(U256::from(expected)));
        }
        assert_eq!(incentive(WAD_U64 + 1), Err(Fault::Underflow));
    }

    #[test]
    fn repaying_all_shares_seizes_what_they_are_worth_and_the_incentive() {
        let (market, position, price) = example();
        let health = health(&market, &position, price).unwrap();
        assert_eq!(health.borrowed, U256::from(15_151_601_633_u64));
        assert_eq!(health.max_borrow, U256::from(14_706_000_000_u64));
        let most = Request::most(&market, &position, price).unwrap();
        assert_eq!(most, Request::Shares(position.borrow_shares));
        let done = liquidate(&market, &position, price, most).unwrap();
        assert_eq!(done.seized, 8_324_141_100_526_315_789);
        assert_eq!(done.repaid_assets, 15_151_601_633);
        assert_eq!((done.bad_debt_assets, done.position.borrow_shares), (0, 0));
        assert_eq!(done.market.borrow.shares, market.borrow.shares - position.borrow_shares);
    }

    #[test]
    fn seizing_all_needs_more_shares_than_are_owed() {
        let (market, position, price) = example();
        let all = Request::Seized(position.collateral);
        assert_eq!(liquidate(&market, &position, price, all), Err(Fault::Underflow));
        let factor = incentive(market.lltv).unwrap();
        let (_, shares) = exchanged(&market.borrow, price, factor, all).unwrap();
        assert_eq!(shares, 16_217_889_432_877_653);
    }

    #[test]
    fn what_collateral_does_not_pay_for_is_bad_debt() {
        let (market, position, price) = example();
        let poor = Position { collateral: position.collateral / 2, ..position };
        let most = Request::most(&market, &poor, price).unwrap();
        assert_eq!(most, Request::Seized(poor.collateral));
        let done = liquidate(&market, &poor, price, most).unwrap();
        assert_eq!(done.position, Position::EMPTY);
        assert_eq!(done.bad_debt_shares, poor.borrow_shares - done.repaid_shares);
        assert!(done.bad_debt_assets > 0);
        assert_eq!(done.market.supply.assets, market.supply.assets - done.bad_debt_assets);
    }

    #[test]
    fn the_healthy_and_those_who_ask_for_nothing_are_refused() {
        let (market, position, price) = example();
        let dear = mul(price, U256::from(2)).unwrap();
        let all = Request::Shares(position.borrow_shares);
        assert_eq!(liquidate(&market, &position, dear, all), Err(Fault::Healthy));
        for nothing in [Request::Shares(0), Request::Seized(0)] {
            assert_eq!(liquidate(&market, &position, price, nothing), Err(Fault::Forbidden));
        }
        let more = Request::Shares(position.borrow_shares + 1);
        assert_eq!(liquidate(&market, &position, price, more), Err(Fault::Underflow));
        assert_eq!(liquidate(&market, &position, U256::ZERO, all), Err(Fault::Overflow));
        let gift = liquidate(&market, &position, U256::ZERO, Request::Seized(1)).unwrap();
        assert_eq!((gift.repaid_assets, gift.repaid_shares), (0, 0));
    }

    proptest! {
        #[test]
        fn the_most_that_can_be_taken_is_never_too_much(
            assets in 1_u128..1 << 100, per_cent in 50_u128..=100, share in 1_u128..=1_000,
            collateral in 1_u128..1 << 100, price in 1_u128.., shift in 0_usize..27,
        ) {
            let shares = assets * 10_000 * per_cent;
            let market = Market {
                supply: Total { assets, shares },
                borrow: Total { assets, shares },
                lltv: 860_000_000_000_000_000,
                ..Market::default()
            };
            let position = Position { borrow_shares: shares / 1_000 * share, collateral };
            let price = U256::from(price) << shift;
            let most = Request::most(&market, &position, price).unwrap();
            match liquidate(&market, &position, price, most) {
                Ok(done) => prop_assert!(done.position.is_empty() || done.bad_debt_shares == 0),
                Err(fault) => prop_assert!(
                    fault == Fault::Healthy || position.borrow_shares == 0, "{:?}", fault
                ),
            }
        }
    }
}
