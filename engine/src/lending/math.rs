//! What the lending protocols' arithmetic has in common: products over a divisor, rounded as named.
//!
//! The protocols multiply in 256 bits and revert when that overflows, so here a product that does
//! not fit is a [`Fault`], never a wider number.
//!
//! Temperature: hot.
#![deny(clippy::arithmetic_side_effects, clippy::float_arithmetic)]

use alloy_primitives::U256;

use crate::amm::math::{mul_div_ceil, mul_div_floor, narrow};

/// One, in the fixed point of 18 decimals.
pub const WAD: U256 = U256::from_limbs([1_000_000_000_000_000_000, 0, 0, 0]);
/// One, in the fixed point of 27 decimals (1e27).
pub const RAY: U256 = U256::from_limbs([0x9fd0_803c_e800_0000, 0x033b_2e3c, 0, 0]);
/// A year of 365 days, in seconds.
pub const YEAR_SECONDS: U256 = U256::from_limbs([31_536_000, 0, 0, 0]);

/// Why an account or a liquidation has no figure: the contract would revert, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Fault {
    /// A number needs more bits than the contract has for it, or a divisor is zero.
    Overflow,
    /// A subtraction below zero.
    Underflow,
    /// A feed answers zero or less, or there is no answer.
    NoPrice,
    /// The protocol forbids it in this state (paused, inactive, not for sale, a grace period).
    Forbidden,
    /// The account is healthy.
    Healthy,
    /// What is asked for would leave too little debt or collateral behind.
    Dust,
    /// The account has no such debt or collateral.
    NotHeld,
    /// The reserve does not hold what it would have to pay out.
    NoLiquidity,
    /// It is not known to these tables.
    Unknown,
    /// What it depends on is a block old, and it is too near to tell: it is to be asked again.
    Unsure,
}

/// `left · right / divisor`, rounded down.
///
/// # Errors
/// When the product overflows 256 bits, or the divisor is zero.
#[inline]
pub fn mul_div_down(left: U256, right: U256, divisor: U256) -> Result<U256, Fault> {
    if let Some(quotient) = in_halves(left, right, divisor, mul_div_floor) {
        return Ok(quotient);
    }
    let product = left.checked_mul(right).ok_or(Fault::Overflow)?;
    product.checked_div(divisor).ok_or(Fault::Overflow)
}

/// The quotient by the arithmetic of 128 bits, where all numbers are of that size, as they nearly
/// always are: a product of two always fits 256 bits, so the contract has the same.
#[inline]
fn in_halves(
    left: U256,
    right: U256,
    divisor: U256,
    divide: impl Fn(u128, u128, u128) -> Option<u128>,
) -> Option<U256> {
    divide(narrow(left)?, narrow(right)?, narrow(divisor)?).map(U256::from)
}

/// `left · right / divisor`, rounded up.
///
/// # Errors
/// When the product overflows 256 bits, or the divisor is zero.
#[inline]
pub fn mul_div_up(left: U256, right: U256, divisor: U256) -> Result<U256, Fault> {
    if divisor.is_zero() {
        return Err(Fault::Overflow);
    }
    if let Some(quotient) = in_halves(left, right, divisor, mul_div_ceil) {
        return Ok(quotient);
    }
    let product = left.checked_mul(right).ok_or(Fault::Overflow)?;
    let (quotient, remainder) = product.div_rem(divisor);
    if remainder.is_zero() {
        return Ok(quotient);
    }
    quotient.checked_add(U256::ONE).ok_or(Fault::Overflow)
}

/// `(left · right + divisor / 2) / divisor`: rounded to the nearest, halves up.
///
/// # Errors
/// When the sum overflows 256 bits, or the divisor is zero.
#[inline]
pub fn mul_div_half_up(left: U256, right: U256, divisor: U256) -> Result<U256, Fault> {
    let half = divisor.checked_div(U256::from(2)).ok_or(Fault::Overflow)?;
    let product = left.checked_mul(right).ok_or(Fault::Overflow)?;
    let sum = product.checked_add(half).ok_or(Fault::Overflow)?;
    sum.checked_div(divisor).ok_or(Fault::Overflow)
}

/// `left + right`.
///
/// # Errors
/// When it overflows 256 bits.
#[inline]
pub fn add(left: U256, right: U256) -> Result<U256, Fault> {
    left.checked_add(right).ok_or(Fault::Overflow)
}

/// `left - right`.
///
/// # Errors
/// When it is below zero.
#[inline]
pub fn sub(left: U256, right: U256) -> Result<U256, Fault> {
    left.checked_sub(right).ok_or(Fault::Underflow)
}

/// `left · right`.
///
/// # Errors
/// When it overflows 256 bits.
#[inline]
pub fn mul(left: U256, right: U256) -> Result<U256, Fault> {
    left.checked_mul(right).ok_or(Fault::Overflow)
}

/// `left / right`, rounded down.
///
/// # Errors
/// When the divisor is zero.
#[inline]
pub fn div(left: U256, right: U256) -> Result<U256, Fault> {
    left.checked_div(right).ok_or(Fault::Overflow)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scales_are_powers_of_ten() {
        assert_eq!(WAD, U256::from(10).pow(U256::from(18)));
        assert_eq!(RAY, U256::from(10).pow(U256::from(27)));
    }

    #[test]
    fn a_quotient_is_rounded_as_the_name_says() {
        let [two, three, seven] = [2, 3, 7].map(U256::from);
        assert_eq!(mul_div_down(seven, two, three), Ok(U256::from(4)));
        assert_eq!(mul_div_up(seven, two, three), Ok(U256::from(5)));
        assert_eq!(mul_div_half_up(seven, two, three), Ok(U256::from(5)));
        assert_eq!(mul_div_half_up(three, three, two), Ok(U256::from(5)));
        assert_eq!(mul_div_up(three, two, three), Ok(two));
    }

    #[test]
    fn what_the_contract_would_revert_on_is_a_fault() {
        let two = U256::from(2);
        assert_eq!(mul_div_down(U256::MAX, two, two), Err(Fault::Overflow));
        assert_eq!(mul_div_up(U256::MAX, two, two), Err(Fault::Overflow));
        for rounded in [mul_div_down, mul_div_up, mul_div_half_up] {
            assert_eq!(rounded(two, two, U256::ZERO), Err(Fault::Overflow));
        }
        assert_eq!(sub(U256::ONE, two), Err(Fault::Underflow));
    }
}
