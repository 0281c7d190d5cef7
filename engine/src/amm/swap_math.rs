//! One step of a concentrated pool's swap: from a price towards another, over the same liquidity.
//!
//! Formulas and rounding are those of `SwapMath` and `SqrtPriceMath` (v3-core 1.0.1). Prices are
//! square roots of token 1 per token 0 in Q64.96; what the contract would revert on is `None`.
//!
//! Temperature: hot.

use alloy_primitives::U256;

use super::math::{mul_div_256, mul_div_up_256};

/// A fee of all of it, in pips.
pub(super) const PIPS: u32 = 1_000_000;
const PIPS_WIDE: U256 = U256::from_limbs([1_000_000, 0, 0, 0]);
/// One, as a price.
pub(super) const Q96: U256 = U256::from_limbs([0, 1 << 32, 0, 0]);

/// Where a swap stands, and which way it goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Curve {
    /// The price.
    pub(super) price: U256,
    /// Liquidity at it.
    pub(super) liquidity: u128,
    /// The fee, in millionths of the input.
    pub(super) fee_pips: u32,
    /// Whether the price falls: token 0 goes in.
    pub(super) is_down: bool,
}

/// Amounts of one step, and the price it ends at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// The price.
    pub(super) price: U256,
    /// What goes in, without the fee.
    pub(super) amount_in: U256,
    /// What comes out.
    pub(super) amount_out: U256,
    /// The fee, which goes in too.
    pub(super) fee: U256,
}

impl Curve {
    /// `SwapMath.computeSwapStep` for an exact input of at most 128 bits.
    #[inline]
    pub(super) fn step_in(&self, target: U256, remaining: U256) -> Option<Step> {
        let fee = U256::from(self.fee_pips);
        let kept = PIPS_WIDE.checked_sub(fee)?;
        // At most 128 bits remain, so the product fits.
        let less = remaining.checked_mul(kept)?.checked_div(PIPS_WIDE)?;
        let to_target = self.input_between(target)?;
        let is_reached = less >= to_target;
        let price = if is_reached { target } else { self.price_after_input(less)? };
        let amount_in = if is_reached { to_target } else { self.input_between(price)? };
        let amount_out = self.output_between(price)?;
        let fee = if price == target {
            mul_div_up_256(amount_in, fee, kept)?
        } else {
            remaining.checked_sub(amount_in)?
        };
        Some(Step { price, amount_in, amount_out, fee })
    }

    /// `SwapMath.computeSwapStep` for an exact output.
    #[inline]
    pub(super) fn step_out(&self, target: U256, remaining: U256) -> Option<Step> {
        let fee = U256::from(self.fee_pips);
        let kept = PIPS_WIDE.checked_sub(fee)?;
        let to_target = self.output_between(target)?;
        let is_reached = remaining >= to_target;
        let price = if is_reached { target } else { self.price_after_output(remaining)? };
        let amount_in = self.input_between(price)?;
        let amount_out = if is_reached { to_target } else { self.output_between(price)? };
        let amount_out = amount_out.min(remaining);
        let fee = mul_div_up_256(amount_in, fee, kept)?;
        Some(Step { price, amount_in, amount_out, fee })
    }

    /// What goes in for the price to move to `to`, rounded up.
    #[inline]
    fn input_between(&self, to: U256) -> Option<U256> {
        if self.is_down {
            amount_0(to, self.price, self.liquidity, true)
        } else {
            amount_1(self.price, to, self.liquidity, true)
        }
    }

    /// What comes out while the price moves to `to`, rounded down.
    #[inline]
    fn output_between(&self, to: U256) -> Option<U256> {
        if self.is_down {
            amount_1(to, self.price, self.liquidity, false)
        } else {
            amount_0(self.price, to, self.liquidity, false)
        }
    }

    /// `SqrtPriceMath.getNextSqrtPriceFromInput`.
    #[inline]
    fn price_after_input(&self, amount: U256) -> Option<U256> {
        let liquidity = U256::from(self.liquidity);
        if liquidity.is_zero() {
            return None;
        }
        if !self.is_down {
            return self.price.checked_add(shl_96(amount)?.checked_div(liquidity)?);
        }
        if amount.is_zero() {
            return Some(self.price);
        }
        let weighted = shl_96(liquidity)?;
        let divisor =
            amount.checked_mul(self.price).and_then(|product| weighted.checked_add(product));
        if let Some(divisor) = divisor {
            return mul_div_up_256(weighted, self.price, divisor);
        }
        let divisor = weighted.checked_div(self.price)?.checked_add(amount)?;
        Some(weighted.div_ceil(divisor))
    }

    /// `SqrtPriceMath.getNextSqrtPriceFromOutput`.
    #[inline]
    fn price_after_output(&self, amount: U256) -> Option<U256> {
        let liquidity = U256::from(self.liquidity);
        if liquidity.is_zero() {
            return None;
        }
        if self.is_down {
            let quotient = shl_96(amount)?.div_ceil(liquidity);
            return self.price.checked_sub(quotient).filter(|price| !price.is_zero());
        }
        let weighted = shl_96(liquidity)?;
        let divisor = weighted.checked_sub(amount.checked_mul(self.price)?)?;
        mul_div_up_256(weighted, self.price, divisor)
    }
}

/// `value · 2⁹⁶`, for values of at most 128 bits.
#[inline]
const fn shl_96(value: U256) -> Option<U256> {
    value.checked_mul(Q96)
}

/// `SqrtPriceMath.getAmount0Delta` between a lower and a higher price.
#[inline]
fn amount_0(low: U256, high: U256, liquidity: u128, is_up: bool) -> Option<U256> {
    let weighted = shl_96(U256::from(liquidity))?;
    let width = high.checked_sub(low)?;
    if is_up {
        Some(mul_div_up_256(weighted, width, high)?.div_ceil(low))
    } else {
        mul_div_256(weighted, width, high)?.checked_div(low)
    }
}

/// `SqrtPriceMath.getAmount1Delta` between a lower and a higher price.
#[inline]
fn amount_1(low: U256, high: U256, liquidity: u128, is_up: bool) -> Option<U256> {
    let liquidity = U256::from(liquidity);
    let width = high.checked_sub(low)?;
    if is_up { mul_div_up_256(liquidity, width, Q96) } else { mul_div_256(liquidity, width, Q96) }
}
