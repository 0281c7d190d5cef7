//! A first look at a borrower, in floats: whoever is far enough from the line is healthy, and only
//! the others are worth exact arithmetic.
//!
//! The weighted collateral `S` and the debt `D` of a borrower are sums of products. In floats of 53
//! bits each product and partial sum is off by at most one part in 2^53, and each factor by at most
//! two. So a sum of [`TERMS_MAX`] products of [`FACTORS_MAX`] factors is off by less than `ERROR`;
//! whoever has more terms is looked at exactly. The protocols round each value by some units
//! besides, which is the `slop`.
//! So a borrower is passed over only when
//!
//! ```text
//! S · (1 − ERROR) − slop ≥ D · (1 + ERROR) + slop
//! ```
//!
//! Floats decide nothing here but whom it is worth to look at.
//!
//! Temperature: hot.

pub mod aave;
pub mod comet;
pub mod morpho;

use alloy_primitives::U256;

use super::math::Fault;

/// Terms of one sum.
pub const TERMS_MAX: usize = 32;
/// Factors of one term.
pub const FACTORS_MAX: usize = 8;
/// A relative error that no sum here reaches: 2^-46.
const ERROR: f64 = 1.0 / 70_368_744_177_664.0;
const _: () = assert!(TERMS_MAX + 3 * FACTORS_MAX < 1 << (53 - 46), "parts in 2^53");

/// A number as it is, and as a float.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure {
    pub(crate) exact: Result<U256, Fault>,
    /// Not a number where there is none.
    pub(crate) float: f64,
}

impl Figure {
    #[inline]
    pub(crate) fn of(exact: Result<U256, Fault>) -> Self {
        Self { exact, float: exact.map_or(f64::NAN, float_of) }
    }
}

/// What a borrower has and owes, in one unit.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sums {
    /// What his collateral counts.
    pub(crate) support: f64,
    /// What he owes.
    pub(crate) debt: f64,
    /// What all roundings of one of them may come to.
    pub(crate) slop: f64,
}

impl Sums {
    /// Whether he is healthy, whatever is rounded; what is not a number is not.
    #[inline]
    pub(crate) fn is_safe(&self) -> bool {
        let Self { support, debt, slop } = self;
        let least = support * (1.0 - ERROR) - slop;
        least.is_finite() && least >= debt * (1.0 + ERROR) + slop
    }
}

/// A number as the nearest float, or one beside it; with up to 256 bits it always fits.
#[must_use]
#[inline]
pub fn float_of(number: U256) -> f64 {
    let [a, b, c, d] = *number.as_limbs();
    let low = float_of_half((u128::from(b) << 64) | u128::from(a));
    if c | d == 0 {
        return low;
    }
    // 2^128, twice over: its power is exact.
    float_of_half((u128::from(d) << 64) | u128::from(c)) * (POWER_64 * POWER_64) + low
}

/// 2^64.
const POWER_64: f64 = 18_446_744_073_709_551_616.0;

/// A float as a number of 128 bits: what is less than one is 0, and what is too large the largest.
#[must_use]
#[inline]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as it says")]
pub const fn number_of(float: f64) -> u128 {
    float as u128
}

/// A number of 128 bits as the nearest float.
#[must_use]
#[inline]
#[expect(clippy::cast_precision_loss, reason = "the error is part of the bound")]
pub const fn float_of_half(number: u128) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_float_is_off_by_less_than_the_bound_allows(bytes in any::<[u8; 32]>(),
            shift in 0..256_usize) {
            let number = U256::from_be_bytes(bytes) >> shift;
            let float = float_of(number);
            let back = U256::from(float);
            let off = back.abs_diff(number);
            prop_assert!(off <= number >> 51_usize, "{number} became {float}");
        }
    }

    #[test]
    fn what_is_not_known_or_too_near_is_not_safe() {
        let sums = |support, debt, slop| Sums { support, debt, slop }.is_safe();
        assert!(sums(1.0, 0.0, 0.0) && sums(1e30, 0.999e30, 1e3) && sums(0.0, 0.0, 0.0));
        assert!(!sums(1.0, 1.0, 0.0) && !sums(1e30, 1e30 - 1e14, 0.0), "a part in 10^16 apart");
        assert!(!sums(100.0, 99.0, 1.0), "it may be rounding");
        for bad in [f64::NAN, f64::INFINITY] {
            assert!(!sums(bad, bad, 0.0) && !sums(1.0, bad, 0.0) && !sums(1.0, 0.0, bad));
        }
    }
}
