//! Interest: a market carried forward to a block's time.
//!
//! Every change of a market but a deposit of collateral adds the interest first, at the rate that
//! held since the last change, compounded by the first three terms of the exponential's series. A
//! share of it becomes shares of the supply, for whoever receives the fees.
//!
//! Temperature: hot.

use alloy_primitives::U256;

use super::irm::{Rate, borrow_rate};
use super::shares::wad_mul_down;
use super::{Irm, Market, Total, narrow};
use crate::lending::math::{Fault, add, mul, mul_div_down, sub};

const TWO_WAD: U256 = U256::from_limbs([2_000_000_000_000_000_000, 0, 0, 0]);
const THREE_WAD: U256 = U256::from_limbs([3_000_000_000_000_000_000, 0, 0, 0]);

/// A market at a later time, and what has been added on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accrual {
    /// The market then.
    pub market: Market,
    /// The rate that held, per second in WAD.
    pub rate: U256,
    /// What borrowers owe more and lenders own more, in units of the loan token.
    pub interest: u128,
    /// The shares that were made for the fee.
    pub fee_shares: u128,
}

impl Market {
    /// The market at a block's time, in seconds of the chain's clock.
    ///
    /// # Errors
    /// When the time is before the last change, a number overflows, or the market's rate is not
    /// modelled and any time has passed.
    pub fn accrued(&self, at_seconds: u64) -> Result<Self, Fault> {
        self.accrue(at_seconds).map(|accrual| accrual.market)
    }

    /// The same, with what has been added.
    ///
    /// # Errors
    /// As [`Market::accrued`].
    pub fn accrue(&self, at_seconds: u64) -> Result<Accrual, Fault> {
        let elapsed = at_seconds.checked_sub(self.last_update).ok_or(Fault::Underflow)?;
        let none = Accrual { market: *self, rate: U256::ZERO, interest: 0, fee_shares: 0 };
        if elapsed == 0 {
            return Ok(none);
        }
        match self.irm {
            Irm::None => Ok(Accrual { market: Self { last_update: at_seconds, ..*self }, ..none }),
            Irm::Unmodelled => Err(Fault::Unknown),
            Irm::AdaptiveCurve => {
                let (borrowed, supplied) = (self.borrow.assets, self.supply.assets);
                let rate = borrow_rate(borrowed, supplied, self.rate_at_target, elapsed)?;
                self.grown(rate, elapsed, at_seconds)
            }
        }
    }

    fn grown(&self, rate: Rate, elapsed: u64, at_seconds: u64) -> Result<Accrual, Fault> {
        let growth = compounded(rate.average, elapsed)?;
        let interest = narrow(wad_mul_down(U256::from(self.borrow.assets), growth)?)?;
        let borrow = self.borrow.plus(interest, 0).ok_or(Fault::Overflow)?;
        let mut supply = self.supply.plus(interest, 0).ok_or(Fault::Overflow)?;
        let mut fee_shares = 0;
        if self.fee != 0 {
            let fee = wad_mul_down(U256::from(interest), U256::from(self.fee))?;
            // Priced as if the fee were not in the supply yet, where it already is.
            let without = narrow(sub(U256::from(supply.assets), fee)?)?;
            let priced = Total { assets: without, ..supply };
            fee_shares = narrow(priced.to_shares_down(fee)?)?;
            supply = supply.plus(0, fee_shares).ok_or(Fault::Overflow)?;
        }
        let market = Self {
            supply,
            borrow,
            last_update: at_seconds,
            rate_at_target: rate.at_target,
            ..*self
        };
        Ok(Accrual { market, rate: rate.average, interest, fee_shares })
    }
}

/// `e^(rate · seconds) − 1` in WAD, by its first three terms.
///
/// # Errors
/// On overflow.
pub fn compounded(rate: U256, seconds: u64) -> Result<U256, Fault> {
    let first = mul(rate, U256::from(seconds))?;
    let second = mul_div_down(first, first, TWO_WAD)?;
    let third = mul_div_down(second, first, THREE_WAD)?;
    add(add(first, second)?, third)
}

#[cfg(test)]
mod tests {
    use super::super::irm::INITIAL_RATE_AT_TARGET;
    use super::*;

    #[test]
    fn an_hour_of_five_per_cent_compounds() {
        let growth = compounded(U256::from(1_585_489_599), 3_600).unwrap();
        assert_eq!(growth, U256::from(5_707_778_845_706_u64));
        let market = Market {
            supply: Total { assets: 2_000_000_000_000, shares: 2_000_000_000_000_000_000 },
            borrow: Total { assets: 1_000_000_000_000, shares: 990_000_000_000_000_000 },
            irm: Irm::AdaptiveCurve,
            ..Market::default()
        };
        let rate = Rate { average: U256::from(1_585_489_599), at_target: 7 };
        let accrual = market.grown(rate, 3_600, 3_600).unwrap();
        assert_eq!((accrual.interest, accrual.fee_shares), (5_707_778, 0));
        assert_eq!(accrual.market.rate_at_target, 7);
        let taxed = Market { fee: super::super::FEE_MAX, ..market };
        let taxed = taxed.grown(rate, 3_600, 3_600).unwrap();
        assert_eq!(taxed.market.borrow, accrual.market.borrow);
        assert_eq!(taxed.market.supply.assets, accrual.market.supply.assets);
        // 1,426,944 of the interest, in shares of a supply that lacks it.
        assert_eq!(taxed.fee_shares, 1_426_940_945_751);
    }

    #[test]
    fn no_time_changes_nothing_and_time_does_not_run_backwards() {
        let market = Market {
            last_update: 10,
            rate_at_target: INITIAL_RATE_AT_TARGET,
            irm: Irm::AdaptiveCurve,
            ..Market::default()
        };
        assert_eq!(market.accrued(10), Ok(market));
        assert_eq!(market.accrued(9), Err(Fault::Underflow));
        let still = Market { irm: Irm::None, ..market };
        assert_eq!(still.accrued(99), Ok(Market { last_update: 99, ..still }));
        let unknown = Market { irm: Irm::Unmodelled, ..market };
        assert_eq!(unknown.accrued(10), Ok(unknown));
        assert_eq!(unknown.accrued(11), Err(Fault::Unknown));
    }
}
