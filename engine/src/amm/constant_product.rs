//! The constant-product pool: Uniswap V2 and its forks.
//!
//! `out = in·γ·R_out / (R_in·10⁶ + in·γ)` rounded down, where `γ = 10⁶ − fee_pips`. With
//! γ = 997,000 that is the router's 997/1000 formula to the wei: both sides of the fraction are
//! multiplied by 1,000. The pair itself checks `K` only, so what the formula gives it always pays.
//!
//! Invariants: reserves have at most 112 bits, as in the pair; `fee_pips ≤ 10⁶`. A quote that the
//! pair would refuse (nothing in, nothing out, a reserve past 112 bits) is `None`.
//!
//! Temperature: hot.

use alloy_primitives::U256;

use super::math::{mul_div_ceil, mul_div_floor, narrow};
use super::ticks::Ticks;
use super::{Amm, Mobius, Swapped};
use crate::ids::Direction;

/// A fee of all of it, in pips.
pub const PIPS: u32 = 1_000_000;
/// Largest reserve: the pair keeps it as a `uint112`.
pub const RESERVE_MAX: u128 = (1 << 112) - 1;
/// Below this, a reserve times [`PIPS`] fits 128 bits.
const FAST_RESERVE_MAX: u128 = 1 << 108;
const WHOLE: u128 = 1_000_000;

const _: () = assert!(FAST_RESERVE_MAX.checked_mul(1 << 20).is_none() && PIPS < 1 << 20);
const _: () = assert!((FAST_RESERVE_MAX - 1).checked_mul(WHOLE).is_some());

/// The state of a pool that keeps `x·y` from falling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConstantProduct {
    reserves: [u128; 2],
    fee_pips: u32,
}

impl ConstantProduct {
    /// Its name in files, tables and reports.
    pub const NAME: &'static str = "constant_product";

    /// A pool with nothing in it.
    pub const EMPTY: Self = Self { reserves: [0; 2], fee_pips: 0 };

    /// A pool with these reserves and this fee (3,000 pips is 0.3 %); `None` if a reserve has
    /// more than 112 bits or the fee is more than all of it.
    #[must_use]
    pub const fn new(reserves: [u128; 2], fee_pips: u32) -> Option<Self> {
        if reserves[0] > RESERVE_MAX || reserves[1] > RESERVE_MAX || fee_pips > PIPS {
            return None;
        }
        Some(Self { reserves, fee_pips })
    }

    /// The reserves of token 0 and token 1.
    #[must_use]
    pub const fn reserves(&self) -> [u128; 2] {
        self.reserves
    }

    /// The fee, in millionths of the input.
    #[must_use]
    pub const fn fee_pips(&self) -> u32 {
        self.fee_pips
    }

    /// The pool after a swap of these amounts; `None` if it cannot hold the result. Not checked
    /// against the formula: the pair accepts whatever does not lower the product.
    #[must_use]
    #[inline]
    pub fn after_swap(
        &self,
        amount_in: u128,
        amount_out: u128,
        direction: Direction,
    ) -> Option<Self> {
        let (reserve_in, reserve_out) = self.reserves_along(direction);
        let mut reserves = [0; 2];
        reserves[direction.index_in()] = reserve_in.checked_add(amount_in)?;
        reserves[direction.index_out()] = reserve_out.checked_sub(amount_out)?;
        Self::new(reserves, self.fee_pips)
    }

    /// The same pool with other reserves. What it could not hold makes it empty, so that it trades
    /// no more.
    #[must_use]
    pub const fn with_reserves(&self, reserves: [u128; 2]) -> Self {
        match Self::new(reserves, self.fee_pips) {
            Some(pool) => pool,
            None => Self { reserves: [0; 2], fee_pips: self.fee_pips },
        }
    }

    /// What is kept of a million that go in.
    #[inline]
    fn kept(self) -> u128 {
        WHOLE.saturating_sub(u128::from(self.fee_pips))
    }

    /// The reserves of what goes in and of what comes out.
    #[inline]
    const fn reserves_along(&self, direction: Direction) -> (u128, u128) {
        (self.reserves[direction.index_in()], self.reserves[direction.index_out()])
    }

    /// The same as the fast path, in 256 bits: for reserves past 2¹⁰⁸.
    #[cold]
    fn quote_out_wide(self, amount_in: u128, reserve_in: u128, reserve_out: u128) -> Option<u128> {
        let weighted = U256::from(amount_in).checked_mul(U256::from(self.kept()))?;
        let whole = U256::from(reserve_in).checked_mul(U256::from(WHOLE))?;
        let divisor = whole.checked_add(weighted)?;
        narrow(weighted.checked_mul(U256::from(reserve_out))?.checked_div(divisor)?)
    }

    /// `R_in·out·10⁶` and `(R_out − out)·γ`, whose quotient is the input; in 256 bits, rounded up.
    #[cold]
    fn least_in_wide(self, amount_out: u128, reserve_in: u128, left: u128) -> Option<u128> {
        let product = U256::from(reserve_in).checked_mul(U256::from(amount_out))?;
        let dividend = product.checked_mul(U256::from(WHOLE))?;
        let divisor = U256::from(left).checked_mul(U256::from(self.kept()))?;
        if divisor.is_zero() {
            return None;
        }
        narrow(dividend.div_ceil(divisor))
    }
}

impl Amm for ConstantProduct {
    #[inline]
    fn quote_out(&self, _ticks: Ticks<'_>, amount_in: u128, direction: Direction) -> Option<u128> {
        let (reserve_in, reserve_out) = self.reserves_along(direction);
        let total = reserve_in.checked_add(amount_in)?;
        if total > RESERVE_MAX || amount_in == 0 || reserve_in == 0 {
            return None;
        }
        let amount_out = if total < FAST_RESERVE_MAX {
            let weighted = amount_in.checked_mul(self.kept())?;
            let divisor = reserve_in.checked_mul(WHOLE)?.checked_add(weighted)?;
            mul_div_floor(weighted, reserve_out, divisor)?
        } else {
            self.quote_out_wide(amount_in, reserve_in, reserve_out)?
        };
        debug_assert!(amount_out <= reserve_out, "a swap pays from the reserve");
        if amount_out == 0 { None } else { Some(amount_out) }
    }

    #[inline]
    fn quote_in(&self, _ticks: Ticks<'_>, amount_out: u128, direction: Direction) -> Option<u128> {
        let (reserve_in, reserve_out) = self.reserves_along(direction);
        let left = reserve_out.checked_sub(amount_out)?;
        // The router rounds down and adds 1, so that an exact quotient is one more than needed.
        let dividend = U256::from(reserve_in)
            .checked_mul(U256::from(amount_out))?
            .checked_mul(U256::from(WHOLE))?;
        let divisor = U256::from(left).checked_mul(U256::from(self.kept()))?;
        let amount_in = narrow(dividend.checked_div(divisor)?)?.checked_add(1)?;
        let fits = reserve_in.checked_add(amount_in)? <= RESERVE_MAX;
        if fits && amount_out > 0 && reserve_in > 0 { Some(amount_in) } else { None }
    }

    #[inline]
    fn least_in(&self, _ticks: Ticks<'_>, amount_out: u128, direction: Direction) -> Option<u128> {
        let (reserve_in, reserve_out) = self.reserves_along(direction);
        let left = reserve_out.checked_sub(amount_out)?;
        if amount_out == 0 || reserve_in == 0 || left == 0 {
            return None;
        }
        let amount_in = if reserve_out < FAST_RESERVE_MAX {
            let divisor = left.checked_mul(self.kept())?;
            mul_div_ceil(reserve_in, amount_out.checked_mul(WHOLE)?, divisor)?
        } else {
            self.least_in_wide(amount_out, reserve_in, left)?
        };
        if reserve_in.checked_add(amount_in)? <= RESERVE_MAX { Some(amount_in) } else { None }
    }

    #[inline]
    fn swap_in(
        &self,
        ticks: Ticks<'_>,
        amount_in: u128,
        direction: Direction,
    ) -> Option<Swapped<Self>> {
        let amount_out = self.quote_out(ticks, amount_in, direction)?;
        let after = self.after_swap(amount_in, amount_out, direction)?;
        Some(Swapped { amount_in, amount_out, after })
    }

    #[inline]
    fn swap_out(
        &self,
        ticks: Ticks<'_>,
        amount_out: u128,
        direction: Direction,
    ) -> Option<Swapped<Self>> {
        let amount_in = self.quote_in(ticks, amount_out, direction)?;
        let after = self.after_swap(amount_in, amount_out, direction)?;
        Some(Swapped { amount_in, amount_out, after })
    }

    #[inline]
    #[expect(
        clippy::as_conversions,
        clippy::cast_precision_loss,
        clippy::float_arithmetic,
        reason = "chooses candidates only; what is sent is quoted in integers"
    )]
    fn mobius(&self, _ticks: Ticks<'_>, direction: Direction) -> Option<Mobius> {
        let (reserve_in, reserve_out) = self.reserves_along(direction);
        if reserve_in == 0 || reserve_out == 0 || self.fee_pips >= PIPS {
            return None;
        }
        let bend = f64::from(PIPS.saturating_sub(self.fee_pips)) / (reserve_in as f64 * 1e6);
        Some(Mobius { gain: bend * reserve_out as f64, bend })
    }
}
