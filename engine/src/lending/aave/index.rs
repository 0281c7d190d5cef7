//! Interest between two updates of a reserve, and scaled balances with it.
//!
//! Rates change only in a reserve's own update, so between two of them everything is closed-form.
//! A reserve is asked about at the time of the block that the question is for.
//!
//! Temperature: hot.
#![deny(clippy::arithmetic_side_effects, clippy::float_arithmetic)]

use alloy_primitives::U256;

use super::{Reserve, Rules, wide};
use crate::lending::math::{
    Fault, RAY, YEAR_SECONDS, add, div, mul, mul_div_down, mul_div_half_up, mul_div_up,
};
use crate::lending::screen::Figure;
use crate::memo::Memo;

const TWO: U256 = U256::from_limbs([2, 0, 0, 0]);
const SIX: U256 = U256::from_limbs([6, 0, 0, 0]);
/// 5^27.
const FIVES: U256 = U256::from_limbs([7_450_580_596_923_828_125, 0, 0, 0]);
/// Half a ray.
const HALF_RAY: U256 = U256::from_limbs([0x4fe8_401e_7400_0000, 0x019d_971e, 0, 0]);

/// What a reserve's indices have grown to, remembered: all that use it ask for the same.
#[derive(Clone, Debug, Default)]
pub struct Grown {
    income: Memo<[u128; 4], Figure>,
    debt: Memo<([u128; 4], bool), Figure>,
}

impl Grown {
    /// As [`income`].
    #[inline]
    pub(super) fn income(&self, reserve: &Reserve, at: u64) -> Figure {
        let Reserve { liquidity_index, liquidity_rate, updated_at, .. } = *reserve;
        let asked = [liquidity_index, liquidity_rate, updated_at.into(), at.into()];
        self.income.ask(asked, || Figure::of(income(reserve, at)))
    }

    /// As [`debt`].
    #[inline]
    pub(super) fn debt(&self, rules: &Rules, reserve: &Reserve, at: u64) -> Figure {
        let Reserve { borrow_index, borrow_rate, updated_at, .. } = *reserve;
        let asked = [borrow_index, borrow_rate, updated_at.into(), at.into()];
        self.debt.ask((asked, rules.is_exponential), || Figure::of(debt(rules, reserve, at)))
    }
}

/// Underlying per scaled collateral at a time, in ray.
///
/// # Errors
/// When the time is before the reserve's last update, or a number overflows.
#[inline]
pub fn income(reserve: &Reserve, at: u64) -> Result<U256, Fault> {
    let index = wide(reserve.liquidity_index);
    let elapsed = at.checked_sub(reserve.updated_at).ok_or(Fault::Underflow)?;
    if elapsed == 0 {
        return Ok(index);
    }
    ray_mul(linear(wide(reserve.liquidity_rate), elapsed)?, index)
}

/// Underlying per scaled debt at a time, in ray.
///
/// # Errors
/// When the time is before the reserve's last update, or a number overflows.
#[inline]
pub fn debt(rules: &Rules, reserve: &Reserve, at: u64) -> Result<U256, Fault> {
    let index = wide(reserve.borrow_index);
    let elapsed = at.checked_sub(reserve.updated_at).ok_or(Fault::Underflow)?;
    if elapsed == 0 {
        return Ok(index);
    }
    let rate = wide(reserve.borrow_rate);
    let factor =
        if rules.is_exponential { exponential(rate, elapsed) } else { binomial(rate, elapsed) }?;
    ray_mul(factor, index)
}

/// Growth without compounding, in ray.
///
/// # Errors
/// When a number overflows.
#[inline]
pub fn linear(rate: U256, elapsed: u64) -> Result<U256, Fault> {
    add(RAY, mul_div_down(rate, U256::from(elapsed), YEAR_SECONDS)?)
}

/// Growth by the first terms of the exponential's series, in ray (revisions 8 and later).
///
/// # Errors
/// When a number overflows.
pub fn exponential(rate: U256, elapsed: u64) -> Result<U256, Fault> {
    let first = mul_div_down(rate, U256::from(elapsed), YEAR_SECONDS)?;
    let higher = ray_mul(first, add(div(first, TWO)?, ray_mul(first, div(first, SIX)?)?)?)?;
    add(add(RAY, first)?, higher)
}

/// Growth by the first terms of a binomial, in ray (revisions 1 to 7).
///
/// # Errors
/// When a number overflows.
pub fn binomial(rate: U256, elapsed: u64) -> Result<U256, Fault> {
    let seconds = U256::from(elapsed);
    let less_one = U256::from(elapsed.saturating_sub(1));
    let less_two = U256::from(elapsed.saturating_sub(2));
    let squared = div(ray_mul(rate, rate)?, mul(YEAR_SECONDS, YEAR_SECONDS)?)?;
    let cubed = div(ray_mul(squared, rate)?, YEAR_SECONDS)?;
    let first = mul_div_down(rate, seconds, YEAR_SECONDS)?;
    let pairs = mul(seconds, less_one)?;
    let second = div(mul(pairs, squared)?, TWO)?;
    let third = div(mul(mul(pairs, less_two)?, cubed)?, SIX)?;
    add(add(add(RAY, first)?, second)?, third)
}

/// What scaled collateral is worth in the underlying.
///
/// # Errors
/// When the product overflows.
#[inline]
pub fn collateral_balance(rules: &Rules, scaled: u128, income: U256) -> Result<U256, Fault> {
    if rules.is_directed {
        Ok(over_ray(mul(wide(scaled), income)?).0)
    } else {
        ray_mul(wide(scaled), income)
    }
}

/// What scaled debt comes to in the underlying.
///
/// # Errors
/// When the product overflows.
#[inline]
pub fn debt_balance(rules: &Rules, scaled: u128, index: U256) -> Result<U256, Fault> {
    if rules.is_directed {
        let (whole, has_rest) = over_ray(mul(wide(scaled), index)?);
        if has_rest { add(whole, U256::ONE) } else { Ok(whole) }
    } else {
        ray_mul(wide(scaled), index)
    }
}

/// Scaled collateral that an amount of the underlying takes away.
///
/// # Errors
/// When the product overflows.
#[inline]
pub fn collateral_scaled(rules: &Rules, amount: U256, income: U256) -> Result<U256, Fault> {
    if rules.is_directed {
        mul_div_up(amount, RAY, income)
    } else {
        mul_div_half_up(amount, RAY, income)
    }
}

/// Scaled debt that a repaid amount of the underlying takes away.
///
/// # Errors
/// When the product overflows.
#[inline]
pub fn repaid_scaled(rules: &Rules, amount: U256, index: U256) -> Result<U256, Fault> {
    if rules.is_directed {
        mul_div_down(amount, RAY, index)
    } else {
        mul_div_half_up(amount, RAY, index)
    }
}

fn ray_mul(left: U256, right: U256) -> Result<U256, Fault> {
    let product = mul(left, right)?;
    Ok(over_ray(add(product, HALF_RAY)?).0)
}

/// A number over a ray, rounded down, and whether there is a rest.
///
/// A ray is 2^27 · 5^27: a shift and a division by one limb take a fraction of a division by two.
#[inline]
fn over_ray(number: U256) -> (U256, bool) {
    let [low, ..] = number.into_limbs();
    let (quotient, rest) = number.wrapping_shr(27).div_rem(FIVES);
    (quotient, !rest.is_zero() || low.trailing_zeros() < 27)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 5.7 percent a year.
    const RATE: u128 = 57_000_000_000_000_000_000_000_000;

    fn number(digits: &str) -> U256 {
        digits.parse().unwrap()
    }

    #[test]
    fn a_day_at_five_point_seven_percent_grows_as_the_reference_says() {
        let rate = wide(RATE);
        let of = [exponential, binomial, linear].map(|growth| growth(rate, 86_400).unwrap());
        let wanted = [
            "1000156176577853728757355077",
            "1000156176577615314986278838",
            "1000156164383561643835616438",
        ];
        assert_eq!(of, wanted.map(number));
    }

    #[test]
    fn a_number_over_a_ray_is_what_a_division_says() {
        assert_eq!(add(HALF_RAY, HALF_RAY), Ok(RAY));
        assert_eq!(FIVES.wrapping_shl(27), RAY);
        let mut number = U256::from(7);
        for step in 0..5_000_u64 {
            let (quotient, rest) = number.div_rem(RAY);
            assert_eq!(over_ray(number), (quotient, !rest.is_zero()));
            let whole = quotient.wrapping_mul(RAY);
            let odd = U256::from(0x9e37_79b9_7f4a_7c15_u64.wrapping_add(step));
            assert_eq!(over_ray(whole), (quotient, false));
            number = number.wrapping_mul(odd) ^ whole.wrapping_shr(3);
        }
        assert_eq!(over_ray(U256::MAX).0, div(U256::MAX, RAY).unwrap());
    }

    #[test]
    fn no_time_is_no_growth() {
        let reserve = Reserve {
            liquidity_index: 3,
            borrow_index: 5,
            liquidity_rate: RATE,
            borrow_rate: RATE,
            updated_at: 7,
            ..Reserve::default()
        };
        for revision in 1..=11 {
            let rules = Rules::of(revision).unwrap();
            assert_eq!(income(&reserve, 7), Ok(wide(3)));
            assert_eq!(debt(&rules, &reserve, 7), Ok(wide(5)));
            assert_eq!(debt(&rules, &reserve, 6), Err(Fault::Underflow));
        }
        assert_eq!(income(&reserve, 6), Err(Fault::Underflow));
        for seconds in [1, 2] {
            // Neither the square nor the cube counts yet.
            let grown = binomial(wide(RATE), seconds).unwrap();
            assert!(grown >= linear(wide(RATE), seconds).unwrap());
        }
    }

    #[test]
    fn newer_revisions_round_for_the_pool() {
        let [old, new] = [8, 9].map(|revision| Rules::of(revision).unwrap());
        let index = add(RAY, div(RAY, SIX).unwrap()).unwrap();
        // One is 1.1666.
        assert_eq!(collateral_balance(&new, 1, index), Ok(U256::ONE));
        assert_eq!(debt_balance(&new, 1, index), Ok(TWO));
        assert_eq!(debt_balance(&old, 1, index), Ok(U256::ONE));
        assert_eq!(collateral_balance(&old, 5, index), Ok(U256::from(6)));
        assert_eq!(collateral_balance(&new, 5, index), Ok(U256::from(5)));
        assert_eq!(collateral_scaled(&new, TWO, index), Ok(TWO));
        assert_eq!(collateral_scaled(&old, TWO, index), Ok(TWO));
        assert_eq!(repaid_scaled(&new, TWO, index), Ok(U256::ONE));
        assert_eq!(repaid_scaled(&old, TWO, index), Ok(TWO));
    }
}
