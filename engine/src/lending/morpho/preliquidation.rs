//! Pre-liquidation: a contract to which a borrower has given the right to repay some of his debt
//! for some of his collateral while he is still healthy, at terms that grow with his loan-to-value.
//!
//! ```text
//! quotient  = (loan-to-value − threshold) / (the market's limit − threshold)
//! incentive = first + quotient · (second − first); the share of the debt that may be repaid alike
//! ```
//!
//! The contract repays through the market and takes the collateral out of it, so the position must
//! be healthy afterwards, too, by the market's own oracle, which need not be the terms' one.
//!
//! Temperature: hot.

use alloy_primitives::{Address, U256};

use super::health::{collateral_worth, health};
use super::liquidate::{Liquidation, Request, exchanged, less, repay};
use super::shares::{wad_div_down, wad_div_up, wad_mul_down};
use super::{Market, Position};
use crate::lending::math::{Fault, add, sub};

/// The terms of one pre-liquidation contract. Shares and factors are in WAD.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The loan-to-value above which it may act; less than the market's limit.
    pub threshold: u64,
    /// The share of the debt that may be repaid at once, at the threshold and at the limit. It may
    /// be more than all.
    pub close_factors: [u128; 2],
    /// What the liquidator gets for what he pays, at the threshold and at the limit.
    pub incentives: [u128; 2],
    /// What answers `price()` for it.
    pub oracle: Address,
}

/// The prices that a pre-liquidation depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prices {
    /// The answer of the terms' oracle.
    pub terms: U256,
    /// The answer of the market's oracle.
    pub market: U256,
}

/// What the terms are at a position's loan-to-value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// What the liquidator gets for what he pays, in WAD.
    pub incentive: U256,
    /// The share of the debt that may be repaid at once, in WAD.
    pub close_factor: U256,
}

impl Terms {
    /// What may be done to a position, by the price of the terms' oracle.
    ///
    /// # Errors
    /// [`Fault::Healthy`] below the threshold, [`Fault::Forbidden`] above the market's limit, where
    /// it is the market's to liquidate.
    pub fn offer(&self, market: &Market, position: &Position, price: U256) -> Result<Offer, Fault> {
        let worth = collateral_worth(position.collateral, price)?;
        let borrowed = market.borrow.to_assets_up(U256::from(position.borrow_shares))?;
        if borrowed > wad_mul_down(worth, U256::from(market.lltv))? {
            return Err(Fault::Forbidden);
        }
        if borrowed <= wad_mul_down(worth, U256::from(self.threshold))? {
            return Err(Fault::Healthy);
        }
        self.offer_at(wad_div_up(borrowed, worth)?, market.lltv)
    }

    /// The terms at a loan-to-value.
    fn offer_at(&self, loan_to_value: U256, lltv: u64) -> Result<Offer, Fault> {
        let threshold = U256::from(self.threshold);
        let window = sub(U256::from(lltv), threshold)?;
        let quotient = wad_div_down(sub(loan_to_value, threshold)?, window)?;
        let between = |[first, second]: [u128; 2]| {
            let first = U256::from(first);
            add(wad_mul_down(quotient, sub(U256::from(second), first)?)?, first)
        };
        Ok(Offer {
            incentive: between(self.incentives)?,
            close_factor: between(self.close_factors)?,
        })
    }
}

/// What the contract of these terms would do in this market, accrued to the time in question. It
/// makes no bad debt.
///
/// # Errors
/// As [`Terms::offer`]; [`Fault::Forbidden`] too if nothing, or less than one unit, would move, if
/// more is repaid than may be, or if the position were unhealthy afterwards;
/// [`Fault::Underflow`] if more is asked for than is owed or there; [`Fault::Overflow`].
pub fn pre_liquidate(
    market: &Market,
    position: &Position,
    prices: Prices,
    terms: &Terms,
    request: Request,
) -> Result<Liquidation, Fault> {
    if matches!(request, Request::Shares(0) | Request::Seized(0)) {
        return Err(Fault::Forbidden);
    }
    let offer = terms.offer(market, position, prices.terms)?;
    let (seized, repaid_shares) =
        exchanged(&market.borrow, prices.terms, offer.incentive, request)?;
    let most = wad_mul_down(U256::from(position.borrow_shares), offer.close_factor)?;
    if U256::from(repaid_shares) > most || repaid_shares == 0 {
        return Err(Fault::Forbidden);
    }
    let (borrow, repaid_assets) = repay(&market.borrow, repaid_shares)?;
    let borrow_shares = less(position.borrow_shares, repaid_shares)?;
    if seized == 0 {
        return Err(Fault::Forbidden);
    }
    let after = Position { borrow_shares, collateral: less(position.collateral, seized)? };
    let market = Market { borrow, ..*market };
    // Without debt, the market does not ask its oracle.
    if after.borrow_shares != 0 && !health(&market, &after, prices.market)?.is_healthy() {
        return Err(Fault::Forbidden);
    }
    Ok(Liquidation {
        repaid_assets,
        repaid_shares,
        seized,
        bad_debt_assets: 0,
        bad_debt_shares: 0,
        market,
        position: after,
    })
}

#[cfg(test)]
mod tests {
    use super::super::liquidate::liquidate;
    use super::super::{PRICE_SCALE, Total};
    use super::*;

    const TERMS: Terms = Terms {
        threshold: 800_000_000_000_000_000,
        close_factors: [100_000_000_000_000_000, 500_000_000_000_000_000],
        incentives: [1_010_000_000_000_000_000, 1_040_000_000_000_000_000],
        oracle: Address::ZERO,
    };

    /// Eight thousand three hundred owed for ten thousand, at one share for a millionth.
    fn example() -> (Market, Position, Prices) {
        let market = Market {
            borrow: Total { assets: 99_999, shares: 99_999_000_000 },
            lltv: 860_000_000_000_000_000,
            ..Market::default()
        };
        let position = Position { borrow_shares: 8_300_000_000, collateral: 10_000 };
        (market, position, Prices { terms: PRICE_SCALE, market: PRICE_SCALE })
    }

    #[test]
    fn half_way_through_the_window_the_terms_are_half_way() {
        let (market, position, prices) = example();
        let offer = TERMS.offer(&market, &position, prices.terms).unwrap();
        assert_eq!(offer.incentive, U256::from(1_025_000_000_000_000_000_u64));
        assert_eq!(offer.close_factor, U256::from(300_000_000_000_000_000_u64));
    }

    #[test]
    fn no_more_is_repaid_than_the_close_factor_allows() {
        let (market, position, prices) = example();
        let of = |request| pre_liquidate(&market, &position, prices, &TERMS, request);
        let done = of(Request::Shares(2_490_000_000)).unwrap();
        assert_eq!((done.repaid_assets, done.seized), (2_490, 2_552));
        assert_eq!(done.position.collateral, 10_000 - 2_552);
        assert_eq!(of(Request::Shares(2_490_000_001)), Err(Fault::Forbidden));
        let seized = of(Request::Seized(2_552)).unwrap();
        assert_eq!((seized.repaid_assets, seized.repaid_shares), (2_490, 2_490_000_000));
        assert_eq!(of(Request::Shares(0)), Err(Fault::Forbidden));
        assert_eq!(of(Request::Shares(1)), Err(Fault::Forbidden), "it seizes nothing");
    }

    #[test]
    fn it_acts_between_the_threshold_and_the_markets_limit_alone() {
        let (market, position, prices) = example();
        let ask = |borrow_shares| {
            let position = Position { borrow_shares, ..position };
            pre_liquidate(&market, &position, prices, &TERMS, Request::Shares(100_000_000))
        };
        assert_eq!(ask(8_000_000_000), Err(Fault::Healthy));
        assert!(ask(8_000_000_001).is_ok());
        assert!(ask(8_600_000_000).is_ok());
        assert_eq!(ask(8_600_000_001), Err(Fault::Forbidden));
        let beyond = Position { borrow_shares: 8_600_000_001, ..position };
        assert!(liquidate(&market, &beyond, PRICE_SCALE, Request::Shares(100_000_000)).is_ok());
    }

    #[test]
    fn the_markets_own_price_must_leave_the_position_healthy() {
        let (market, position, prices) = example();
        let low =
            Prices { market: PRICE_SCALE.wrapping_mul(U256::from(9)) / U256::from(10), ..prices };
        let ask = |prices| {
            pre_liquidate(&market, &position, prices, &TERMS, Request::Shares(100_000_000))
        };
        assert!(ask(prices).is_ok());
        assert_eq!(ask(low), Err(Fault::Forbidden));
    }
}
