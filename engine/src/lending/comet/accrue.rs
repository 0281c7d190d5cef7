//! Interest: utilisation, rates, and the indices at a later time.
//!
//! An index grows by a straight line from one touch of the market to the next, so where it stands
//! at a target block follows from the last touch and the block's timestamp alone.
//!
//! Rewards have indices of their own. They change no balance and are not mirrored.
//!
//! Temperature: hot.

use alloy_primitives::{I256, U256};

use super::{Curve, INDEX_SCALE, Market, PRINCIPAL_MAX, Totals};
use crate::lending::math::{Fault, WAD, add, mul, mul_div_down, mul_div_up, sub};

/// The first time that the contract has no room for, in seconds.
const TIME_END: u64 = 1 << 40;

impl Curve {
    /// The interest per second at a utilisation, both in 18 decimals.
    ///
    /// # Errors
    /// When it does not fit 64 bits: the contract reverts, too.
    pub fn rate(&self, utilization: U256) -> Result<u64, Fault> {
        let kink = U256::from(self.kink);
        let slope = |slope: u64, along: U256| mul_div_down(U256::from(slope), along, WAD);
        let mut rate = add(U256::from(self.base), slope(self.slope_low, utilization.min(kink))?)?;
        if utilization > kink {
            rate = add(rate, slope(self.slope_high, sub(utilization, kink)?)?)?;
        }
        u64::try_from(rate).ok().ok_or(Fault::Overflow)
    }
}

/// Base tokens that a principal (or a total of them) stands for, rounded down.
///
/// # Errors
/// Never with numbers of the contract's sizes; when the product overflows.
pub fn present(principal: u128, index: u64) -> Result<U256, Fault> {
    mul_div_down(U256::from(principal), U256::from(index), INDEX_SCALE)
}

/// The principal of lent base tokens, rounded down.
///
/// # Errors
/// When it does not fit the contract's 104 bits.
pub fn supply_principal(tokens: U256, index: u64) -> Result<u128, Fault> {
    fit(mul_div_down(tokens, INDEX_SCALE, U256::from(index))?)
}

/// The principal of borrowed base tokens (as a positive number), rounded up.
///
/// # Errors
/// When it does not fit the contract's 104 bits.
pub fn borrow_principal(tokens: U256, index: u64) -> Result<u128, Fault> {
    fit(mul_div_up(tokens, INDEX_SCALE, U256::from(index))?)
}

fn fit(principal: U256) -> Result<u128, Fault> {
    let principal = u128::try_from(principal).ok().ok_or(Fault::Overflow)?;
    if principal > PRINCIPAL_MAX { Err(Fault::Overflow) } else { Ok(principal) }
}

/// Borrowed per lent, in 18 decimals, by the indices as they stand (`getUtilization`).
///
/// # Errors
/// Never with numbers of the contract's sizes; when a product overflows.
pub fn utilization(totals: &Totals) -> Result<U256, Fault> {
    let supply = present(totals.supply, totals.supply_index)?;
    let borrow = present(totals.borrow, totals.borrow_index)?;
    if supply.is_zero() { Ok(U256::ZERO) } else { mul_div_down(borrow, WAD, supply) }
}

/// The market with its indices at time `at`, in seconds: as a touch at that time leaves them.
///
/// # Errors
/// When `at` is before the last touch, or a number outgrows the contract's.
pub fn accrued(market: &Market, at: u64) -> Result<Market, Fault> {
    let totals = &market.totals;
    if at >= TIME_END {
        return Err(Fault::Overflow);
    }
    let elapsed = at.checked_sub(totals.last_accrual).ok_or(Fault::Underflow)?;
    let mut after = *market;
    if elapsed > 0 {
        let utilization = utilization(totals)?;
        let grown = |index: u64, curve: &Curve| {
            let growth = mul(U256::from(curve.rate(utilization)?), U256::from(elapsed))?;
            let growth = mul_div_down(U256::from(index), growth, WAD)?;
            let growth = u64::try_from(growth).ok().ok_or(Fault::Overflow)?;
            index.checked_add(growth).ok_or(Fault::Overflow)
        };
        after.totals.supply_index = grown(totals.supply_index, &market.terms.supply)?;
        after.totals.borrow_index = grown(totals.borrow_index, &market.terms.borrow)?;
        after.totals.last_accrual = at;
    }
    Ok(after)
}

/// Base tokens that are the protocol's own; below zero if it owes more than it has. The market is
/// one that [`accrued`] to the time that is meant.
///
/// # Errors
/// Never with numbers of the contract's sizes; when a product overflows.
pub fn reserves(market: &Market) -> Result<I256, Fault> {
    let totals = &market.totals;
    let owed = present(totals.supply, totals.supply_index)?;
    let owned = add(U256::from(totals.held), present(totals.borrow, totals.borrow_index)?)?;
    let distance = I256::try_from(owned.abs_diff(owed)).ok().ok_or(Fault::Overflow)?;
    if owned >= owed { Ok(distance) } else { distance.checked_neg().ok_or(Fault::Overflow) }
}
