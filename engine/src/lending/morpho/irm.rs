//! The adaptive curve: the rate of interest that most markets take.
//!
//! ```text
//! err  = (utilisation − 0.9) / (0.1 above the target, 0.9 below it)
//! rate = average rate at target · (1 + err · (3 above the target, 0.75 below it))
//! ```
//!
//! The rate at target grows or shrinks exponentially with `err` and time, at 50 a year, between
//! 0.1 % and 200 % a year; its average is the trapezoidal rule over two halves of the time. All of
//! it is signed, in WAD, per second, and every division rounds toward zero.
//!
//! Temperature: hot.

use alloy_primitives::{I256, U256};

use crate::lending::math::{Fault, WAD as WAD_UNSIGNED, mul_div_down};

/// The rate at target of a market that has taken no interest yet: 4 % a year.
pub const INITIAL_RATE_AT_TARGET: u64 = 40_000_000_000_000_000 / YEAR_SECONDS;
/// The least rate at target: 0.1 % a year.
pub const MIN_RATE_AT_TARGET: u64 = 1_000_000_000_000_000 / YEAR_SECONDS;
/// The largest rate at target: 200 % a year.
pub const MAX_RATE_AT_TARGET: u64 = 2_000_000_000_000_000_000 / YEAR_SECONDS;

const YEAR_SECONDS: u64 = 31_536_000;
const WAD: I256 = signed(1_000_000_000_000_000_000);
/// Share of the supply that is meant to be borrowed.
const TARGET: I256 = signed(900_000_000_000_000_000);
const ABOVE_TARGET: I256 = signed(100_000_000_000_000_000);
/// How fast the rate at target moves, per second and unit of `err`: 50 a year.
const SPEED: I256 = signed(50_000_000_000 * 1_000_000_000 / YEAR_SECONDS_WIDE);
const YEAR_SECONDS_WIDE: u128 = YEAR_SECONDS as u128;
/// The curve's slope above the target (its steepness is 4), and below it.
const SLOPE_ABOVE: I256 = signed(3_000_000_000_000_000_000);
const SLOPE_BELOW: I256 = signed(750_000_000_000_000_000);

const LN_2: I256 = signed(693_147_180_559_945_309);
const HALF_LN_2: I256 = signed(693_147_180_559_945_309 / 2);
/// The logarithm of the smallest number above zero, without its sign: below it, nothing is left.
const LN_WEI_MAGNITUDE: I256 = signed(41_446_531_673_892_822_312);
/// From here the exponential is cut, so that it can be multiplied by one in WAD.
const EXP_INPUT_MAX: I256 = signed(93_859_467_695_000_404_319);
/// What it is cut to: 57716089161558943949701069502944508345128.422502756744429568.
const EXP_MAX: I256 = I256::from_raw(U256::from_limbs([0, 0, 0x31d8_1650_c7d8_8b80, 0x9]));
const TWO: I256 = signed(2);
const FOUR: I256 = signed(4);

/// A non-negative number with its sign.
#[expect(clippy::cast_possible_truncation, reason = "both halves are taken")]
const fn signed(value: u128) -> I256 {
    I256::from_raw(U256::from_limbs([value as u64, (value >> 64) as u64, 0, 0]))
}

/// What the curve answers for a time that has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The average over that time, per second in WAD.
    pub average: U256,
    /// The rate at target at its end, per second in WAD.
    pub at_target: u64,
}

/// The rate of a market of which so much was borrowed and supplied since it last changed.
///
/// # Errors
/// On overflow, which takes more to be borrowed than can be.
pub fn borrow_rate(
    borrowed: u128,
    supplied: u128,
    rate_at_target: u64,
    elapsed_seconds: u64,
) -> Result<Rate, Fault> {
    let error = target_error(borrowed, supplied)?;
    if rate_at_target == 0 {
        let start = signed(u128::from(INITIAL_RATE_AT_TARGET));
        return Ok(Rate { average: curve(start, error)?, at_target: INITIAL_RATE_AT_TARGET });
    }
    let start = signed(u128::from(rate_at_target));
    let speed = mul_wad(SPEED, error)?;
    let change = product(speed, signed(u128::from(elapsed_seconds)))?;
    if change.is_zero() {
        return Ok(Rate { average: curve(start, error)?, at_target: rate_at_target });
    }
    let end = moved(start, change)?;
    let middle = moved(start, quotient(change, TWO)?)?;
    let sum = total(total(start, end)?, product(TWO, middle)?)?;
    // It was cut to a range that a word holds.
    let at_target = u64::try_from(end).map_or(Err(Fault::Overflow), Ok)?;
    Ok(Rate { average: curve(quotient(sum, FOUR)?, error)?, at_target })
}

/// How far utilisation is off its target, as a share of how far it can be.
fn target_error(borrowed: u128, supplied: u128) -> Result<I256, Fault> {
    let utilisation = match supplied {
        0 => U256::ZERO,
        _ => mul_div_down(U256::from(borrowed), WAD_UNSIGNED, U256::from(supplied))?,
    };
    let utilisation = I256::from_raw(utilisation);
    let most = if utilisation > TARGET { ABOVE_TARGET } else { TARGET };
    let off = utilisation.checked_sub(TARGET).ok_or(Fault::Overflow)?;
    quotient(product(off, WAD)?, most)
}

/// The rate for a rate at target.
fn curve(rate_at_target: I256, error: I256) -> Result<U256, Fault> {
    let slope = if error.is_negative() { SLOPE_BELOW } else { SLOPE_ABOVE };
    let factor = total(mul_wad(slope, error)?, WAD)?;
    // Not negative: below the target, the slope and the error are both less than one.
    Ok(mul_wad(factor, rate_at_target)?.into_raw())
}

/// The rate at target, moved by a factor whose logarithm is `change`, within its bounds.
fn moved(start: I256, change: I256) -> Result<I256, Fault> {
    let end = mul_wad(start, exp_wad(change)?)?;
    Ok(end.clamp(signed(u128::from(MIN_RATE_AT_TARGET)), signed(u128::from(MAX_RATE_AT_TARGET))))
}

/// The contract's approximation of `e^x`, in WAD: `2^q · e^r` where `x = q·ln 2 + r` and `e^r` is a
/// polynomial of the second degree.
///
/// # Errors
/// Never in fact: what could overflow is cut.
pub fn exp_wad(x: I256) -> Result<I256, Fault> {
    if x < LN_WEI_MAGNITUDE.wrapping_neg() {
        return Ok(I256::ZERO);
    }
    if x >= EXP_INPUT_MAX {
        return Ok(EXP_MAX);
    }
    let half = if x.is_negative() { HALF_LN_2.wrapping_neg() } else { HALF_LN_2 };
    let power = quotient(total(x, half)?, LN_2)?;
    let rest = x.checked_sub(product(power, LN_2)?).ok_or(Fault::Overflow)?;
    let square = quotient(quotient(product(rest, rest)?, WAD)?, TWO)?;
    let base = total(total(WAD, rest)?, square)?;
    let shift = usize::try_from(power.unsigned_abs()).map_or(Err(Fault::Overflow), Ok)?;
    // Positive, so that shifting right is a division; at most 136 bits to the left of its 61.
    let base = base.into_raw();
    let shifted =
        if power.is_negative() { base.wrapping_shr(shift) } else { base.wrapping_shl(shift) };
    Ok(I256::from_raw(shifted))
}

fn mul_wad(left: I256, right: I256) -> Result<I256, Fault> {
    quotient(product(left, right)?, WAD)
}

fn product(left: I256, right: I256) -> Result<I256, Fault> {
    left.checked_mul(right).ok_or(Fault::Overflow)
}

fn quotient(left: I256, right: I256) -> Result<I256, Fault> {
    left.checked_div(right).ok_or(Fault::Overflow)
}

fn total(left: I256, right: I256) -> Result<I256, Fault> {
    left.checked_add(right).ok_or(Fault::Overflow)
}

#[cfg(test)]
mod tests {
    use std::string::ToString as _;

    use super::*;

    const SUPPLIED: u128 = 1_000_000_000_000;

    fn rate(borrowed: u128) -> (U256, u64) {
        let Rate { average, at_target } =
            borrow_rate(borrowed, SUPPLIED, INITIAL_RATE_AT_TARGET, 86_400).unwrap();
        (average, at_target)
    }

    #[test]
    fn the_constants_are_the_contracts() {
        assert_eq!(INITIAL_RATE_AT_TARGET, 1_268_391_679);
        assert_eq!(MIN_RATE_AT_TARGET, 31_709_791);
        assert_eq!(MAX_RATE_AT_TARGET, 63_419_583_967);
        assert_eq!(SPEED, signed(1_585_489_599_188));
        let text = "57716089161558943949701069502944508345128422502756744429568";
        assert_eq!(EXP_MAX, text.parse().unwrap());
    }

    #[test]
    fn a_day_above_and_below_the_target_moves_the_rate() {
        assert_eq!(rate(950_000_000_000), (U256::from(3_282_363_632_u64), 1_358_243_031));
        assert_eq!(rate(500_000_000_000), (U256::from(820_441_068), 1_193_519_224));
    }

    #[test]
    fn the_error_is_a_share_of_the_way_to_the_end() {
        let error = |borrowed| target_error(borrowed, SUPPLIED).unwrap().to_string();
        assert_eq!(error(950_000_000_000), "500000000000000000");
        assert_eq!(error(500_000_000_000), "-444444444444444444");
        assert_eq!(error(900_000_000_000), "0");
        assert_eq!(target_error(1, 0), target_error(0, 1));
    }

    #[test]
    fn a_market_at_its_target_or_without_a_past_keeps_its_rate() {
        let steady = Rate { average: U256::from(INITIAL_RATE_AT_TARGET), at_target: 1_268_391_679 };
        assert_eq!(borrow_rate(9, 10, INITIAL_RATE_AT_TARGET, 1 << 40), Ok(steady));
        assert_eq!(borrow_rate(9, 10, 0, 86_400), Ok(steady));
        let first = borrow_rate(10, 10, 0, 86_400).unwrap();
        assert_eq!(first.average, U256::from(4 * INITIAL_RATE_AT_TARGET));
    }

    #[test]
    fn the_rate_at_target_stays_within_its_bounds() {
        let after = |borrowed| borrow_rate(borrowed, 10, 1_268_391_679, u64::MAX).unwrap();
        assert_eq!(after(0).at_target, MIN_RATE_AT_TARGET);
        assert_eq!(after(10).at_target, MAX_RATE_AT_TARGET);
    }

    #[test]
    fn the_exponential_is_the_contracts_approximation() {
        let exp = |x: I256| exp_wad(x).unwrap().to_string();
        assert_eq!(exp(WAD), "2707864291678420188");
        assert_eq!(exp(WAD.wrapping_neg()), "370113253479550356");
        assert_eq!(exp(I256::ZERO), "1000000000000000000");
        assert_eq!(exp_wad(I256::MIN), Ok(I256::ZERO));
        assert_eq!(exp_wad(I256::MAX), Ok(EXP_MAX));
        assert_eq!(exp_wad(EXP_INPUT_MAX), Ok(EXP_MAX));
        assert!(exp_wad(LN_WEI_MAGNITUDE.wrapping_neg()).unwrap() <= I256::ONE);
    }
}
