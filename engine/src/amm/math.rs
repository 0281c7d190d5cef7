//! Wide integer arithmetic with its rounding named.
//!
//! The pools' formulas multiply two 128-bit numbers and divide by a third. `alloy_primitives::U256`
//! does that too, but it wraps in silence and divides in general; here a product is a pair of
//! halves, a quotient that does not fit is `None`, and the division is the one that the formulas
//! need (256 by 128 bits), in two hardware divisions.
//!
//! Nothing here rounds unless its name says how.
//!
//! Temperature: hot.

use alloy_primitives::{U256, U512};

/// A product of two 128-bit numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wide {
    /// The upper 128 bits.
    pub high: u128,
    /// The lower 128 bits.
    pub low: u128,
}

impl Wide {
    /// `left · right`, which always fits.
    #[must_use]
    #[inline]
    pub fn product(left: u128, right: u128) -> Self {
        let (low, high) = left.carrying_mul(right, 0);
        Self { high, low }
    }

    /// `self / divisor` rounded down; `None` if that needs more than 128 bits or `divisor` is 0.
    #[must_use]
    #[inline]
    pub const fn div_floor(self, divisor: u128) -> Option<u128> {
        if self.high == 0 {
            return self.low.checked_div(divisor);
        }
        if self.high >= divisor {
            return None;
        }
        Some(divide(self, divisor).0)
    }

    /// `self / divisor` rounded up; `None` if that needs more than 128 bits or `divisor` is 0.
    #[must_use]
    #[inline]
    pub const fn div_ceil(self, divisor: u128) -> Option<u128> {
        if self.high >= divisor {
            return None;
        }
        let (quotient, remainder) = divide(self, divisor);
        if remainder == 0 { Some(quotient) } else { quotient.checked_add(1) }
    }
}

/// `left · right / divisor` rounded down; `None` if that needs more than 128 bits.
#[must_use]
#[inline]
pub fn mul_div_floor(left: u128, right: u128, divisor: u128) -> Option<u128> {
    Wide::product(left, right).div_floor(divisor)
}

/// `left · right / divisor` rounded up; `None` if that needs more than 128 bits.
#[must_use]
#[inline]
pub fn mul_div_ceil(left: u128, right: u128, divisor: u128) -> Option<u128> {
    Wide::product(left, right).div_ceil(divisor)
}

/// `left · right / divisor` rounded down, in 512 bits between; `None` if the result needs more than
/// 256 bits or `divisor` is 0.
#[must_use]
#[inline]
pub fn mul_div_256(left: U256, right: U256, divisor: U256) -> Option<U256> {
    div_wide(left, right, divisor).map(|(quotient, _)| quotient)
}

/// The same rounded up.
#[must_use]
#[inline]
pub fn mul_div_up_256(left: U256, right: U256, divisor: U256) -> Option<U256> {
    let (quotient, is_exact) = div_wide(left, right, divisor)?;
    if is_exact { Some(quotient) } else { quotient.checked_add(U256::ONE) }
}

/// Quotient of a 512-bit product, and whether nothing remains.
#[inline]
fn div_wide(left: U256, right: U256, divisor: U256) -> Option<(U256, bool)> {
    if divisor.is_zero() {
        return None;
    }
    let (quotient, remainder) = match left.checked_mul(right) {
        // Most products fit 256 bits.
        Some(product) => {
            if let Some(divisor) = narrow(divisor) {
                let dividend = halves(product);
                if dividend.high < divisor {
                    let (quotient, rest) = divide(dividend, divisor);
                    return Some((U256::from(quotient), rest == 0));
                }
            }
            product.div_rem(divisor)
        }
        None => {
            let product: U512 = left.widening_mul(right);
            let [d0, d1, d2, d3] = *divisor.as_limbs();
            let divisor = U512::from_limbs([d0, d1, d2, d3, 0, 0, 0, 0]);
            let (quotient, rest) = product.div_rem(divisor);
            (low_half(quotient)?, low_half(rest)?)
        }
    };
    Some((quotient, remainder.is_zero()))
}

/// The number in 256 bits, if it fits.
#[inline]
pub(super) const fn low_half(value: U512) -> Option<U256> {
    match *value.as_limbs() {
        [a, b, c, d, 0, 0, 0, 0] => Some(U256::from_limbs([a, b, c, d])),
        _ => None,
    }
}

/// The value as a pair of halves.
#[inline]
const fn halves(value: U256) -> Wide {
    let [a, b, c, d] = *value.as_limbs();
    Wide { high: join(d, c), low: join(b, a) }
}

/// The value as a `u128`, if it has no more bits.
#[must_use]
#[inline]
pub const fn narrow(value: U256) -> Option<u128> {
    match *value.as_limbs() {
        [low, high, 0, 0] => Some(join(high, low)),
        _ => None,
    }
}

/// Quotient and remainder of `dividend / divisor`, for `dividend.high < divisor`.
///
/// Knuth's algorithm D with two 64-bit digits of quotient; the divisor is shifted so that its top
/// bit is set, which makes each estimate at most 2 too large.
#[inline]
#[expect(clippy::arithmetic_side_effects, reason = "the divisor is above `high`, so it is not 0")]
const fn divide(dividend: Wide, divisor: u128) -> (u128, u128) {
    debug_assert!(dividend.high < divisor, "the quotient has 128 bits");
    if dividend.high == 0 {
        let quotient = dividend.low.wrapping_div(divisor);
        return (quotient, dividend.low.wrapping_sub(quotient.wrapping_mul(divisor)));
    }
    let shift = divisor.leading_zeros();
    let divisor = divisor.wrapping_shl(shift);
    let high = match shift {
        0 => dividend.high,
        _ => {
            dividend.high.wrapping_shl(shift)
                | dividend.low.wrapping_shr(128_u32.wrapping_sub(shift))
        }
    };
    let low = dividend.low.wrapping_shl(shift);
    let (upper, rest) = divide_digit(high, upper_half(low), divisor);
    let (lower, rest) = divide_digit(rest, lower_half(low), divisor);
    (join(upper, lower), rest.wrapping_shr(shift))
}

/// One digit: `(rest · 2⁶⁴ + next) / divisor` and what remains, for `rest < divisor` and a divisor
/// whose top bit is set.
#[inline]
#[expect(clippy::arithmetic_side_effects, reason = "`top` has its top bit set, so it is not 0")]
const fn divide_digit(rest: u128, next: u64, divisor: u128) -> (u64, u128) {
    let (top, bottom) = (upper_half(divisor), lower_half(divisor));
    let (mut digit, mut remainder) = if upper_half(rest) >= top {
        // The true digit is below 2⁶⁴, so the largest is the best estimate.
        (u64::MAX, rest.wrapping_sub(wide_mul(u64::MAX, top)))
    } else {
        let digit = lower_half(rest.wrapping_div(widen(top)));
        (digit, rest.wrapping_sub(wide_mul(digit, top)))
    };
    // At most two steps; past 64 bits the remainder exceeds every product of two digits.
    while upper_half(remainder) == 0 && wide_mul(digit, bottom) > join(lower_half(remainder), next)
    {
        digit = digit.wrapping_sub(1);
        remainder = remainder.wrapping_add(widen(top));
    }
    // Modulo 2¹²⁸: the true value is below `divisor`.
    let whole = join(lower_half(rest), next);
    (digit, whole.wrapping_sub(widen(digit).wrapping_mul(divisor)))
}

#[inline]
const fn wide_mul(left: u64, right: u64) -> u128 {
    widen(left).wrapping_mul(widen(right))
}

#[inline]
#[expect(clippy::as_conversions, reason = "widens; `From` is not const")]
const fn widen(value: u64) -> u128 {
    value as u128
}

#[inline]
const fn upper_half(value: u128) -> u64 {
    lower_half(value.wrapping_shr(64))
}

#[inline]
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "the lower half is meant"
)]
const fn lower_half(value: u128) -> u64 {
    value as u64
}

#[inline]
const fn join(high: u64, low: u64) -> u128 {
    widen(high).wrapping_shl(64) | widen(low)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Numbers of every width, with runs of ones and zeros, where digit estimates go wrong.
    fn any_width() -> impl Strategy<Value = u128> {
        (any::<u128>(), 0_u32..128, 0_u32..128, any::<bool>()).prop_map(
            |(bits, low, high, ones)| {
                let run = (u128::MAX >> low) & (u128::MAX << high);
                if ones { (bits >> low) | run } else { (bits >> low) & !run }
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig {
        cases: 20_000,
        failure_persistence: None,
        ..Default::default()
    })]

        #[test]
        fn division_agrees_with_512_bit_arithmetic(
            left in any_width(), right in any_width(), divisor in any_width(),
        ) {
            let product = U512::from(left) * U512::from(right);
            let floor = product.checked_div(U512::from(divisor));
            let ceil = floor.map(|floor| {
                let is_exact = floor * U512::from(divisor) == product;
                floor + U512::from(u8::from(!is_exact))
            });
            let fit = |value: Option<U512>| value.and_then(|value| u128::try_from(value).ok());
            prop_assert_eq!(mul_div_floor(left, right, divisor), fit(floor));
            prop_assert_eq!(mul_div_ceil(left, right, divisor), fit(ceil));
        }
    }

    #[test]
    fn division_by_zero_is_refused() {
        assert_eq!(mul_div_floor(1, 1, 0), None);
        assert_eq!(mul_div_ceil(0, 1, 0), None);
        assert_eq!(mul_div_floor(u128::MAX, u128::MAX, 0), None);
    }

    #[test]
    fn narrowing_refuses_what_has_more_than_128_bits() {
        assert_eq!(narrow(U256::from(u128::MAX)), Some(u128::MAX));
        assert_eq!(narrow(U256::from(u128::MAX) + U256::from(1)), None);
    }
}
