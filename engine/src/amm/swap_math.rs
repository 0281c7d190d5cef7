//! One step of a concentrated pool's swap: from a price towards another, over the same liquidity.
//!
//! Formulas and rounding are those of `SwapMath` and `SqrtPriceMath` (v3-core 1.0.1). Prices are
//! square roots of token 1 per token 0 in Q64.96; what the contract would revert on is `None`.
//!
//! Temperature: hot.

use alloy_primitives::{U256, U512};

use super::math::{low_half, mul_div_256, mul_div_up_256};

/// A fee of all of it, in pips.
pub(super) const PIPS: u32 = 1_000_000;
const PIPS_WIDE: U256 = U256::from_limbs([1_000_000, 0, 0, 0]);

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
        let to_target =
            if self.ends_before(target, less) { None } else { Some(self.input_between(target)?) };
        let reached = to_target.filter(|to_target| less >= *to_target);
        let price = if reached.is_some() { target } else { self.price_after_input(less)? };
        let amount_in = match reached {
            Some(to_target) => to_target,
            None => self.input_between(price)?,
        };
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

    /// Whether the price falls, but surely not to `target`: without a division, which most steps
    /// can do without. `amount < L·2⁹⁶·(high − low)/(high·low)`, which the contract rounds up.
    #[inline]
    fn ends_before(&self, target: U256, amount: U256) -> bool {
        let Some(width) = self.price.checked_sub(target).filter(|_| self.is_down) else {
            return false;
        };
        // At most 160 bits each, and 128 of amounts and liquidity: 448 and 384 in all.
        let limits = [(amount, 128), (target, 160), (self.price, 160)];
        if limits.iter().any(|(value, bits)| value.bit_len() > *bits) {
            return false;
        }
        let given: U512 = amount.widening_mul(target);
        let wanted: U512 = U256::from(self.liquidity).widening_mul(width);
        given.wrapping_mul(U512::from(self.price)) < wanted.wrapping_shl(96)
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

/// `value · 2⁹⁶`, for values of at most 160 bits.
#[inline]
fn shl_96(value: U256) -> Option<U256> {
    (value.bit_len() <= 160).then(|| value.wrapping_shl(96))
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
    let width = high.checked_sub(low)?;
    let product: U512 = U256::from(liquidity).widening_mul(width);
    // The lower 96 bits are what division by 2⁹⁶ leaves.
    let [first, second, ..] = product.as_limbs();
    let is_exact = *first == 0 && second.trailing_zeros() >= 32;
    let quotient = low_half(product.wrapping_shr(96))?;
    if is_up && !is_exact { quotient.checked_add(U256::ONE) } else { Some(quotient) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Prices of any width that pools can have.
    fn price() -> impl Strategy<Value = U256> {
        (1_u128.., any::<u128>(), 0_u32..=128).prop_map(|(high, low, width)| {
            let wide = (U256::from(high) << 128) | U256::from(low);
            // 32 to 160 bits.
            wide >> (256 - (width + 32))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 20_000,
            failure_persistence: None,
            ..Default::default()
        })]

        #[test]
        fn shifts_by_96_bits_are_products_with_a_power_and_divisions_by_it(
            (high, low, less) in (any::<u128>(), any::<u128>(), 0_u32..256),
            liquidity in any::<u128>(),
        ) {
            let power = U256::ONE << 96;
            let wide = ((U256::from(high) << 128) | U256::from(low)) >> less;
            prop_assert_eq!(shl_96(wide), wide.checked_mul(power));
            let product = |divide: fn(U256, U256, U256) -> Option<U256>| {
                divide(U256::from(liquidity), wide, power)
            };
            let amount = |is_up| amount_1(U256::ZERO, wide, liquidity, is_up);
            prop_assert_eq!(amount(false), product(mul_div_256));
            prop_assert_eq!(amount(true), product(mul_div_up_256));
        }

        #[test]
        fn a_price_that_is_said_not_to_get_there_does_not(
            prices in (price(), price()),
            liquidity in (1_u128.., 0_u32..128).prop_map(|(most, less)| (most >> less).max(1)),
            near in -2_i32..=2,
            any_amount in any::<u128>(),
            is_near in any::<bool>(),
        ) {
            let (low, high) = (prices.0.min(prices.1).max(U256::ONE), prices.0.max(prices.1));
            prop_assume!(low < high);
            let curve = Curve { price: high, liquidity, fee_pips: 3_000, is_down: true };
            let needed = curve.input_between(low).expect("it has an end");
            // Where it matters, and anywhere.
            let amount = if is_near {
                let distance = U256::from(near.unsigned_abs());
                let less = needed.saturating_sub(distance);
                if near < 0 { less } else { needed.saturating_add(distance) }
            } else {
                U256::from(any_amount)
            };
            let is_short = curve.ends_before(low, amount);
            prop_assert!(!is_short || amount < needed);
            // The contract rounds twice: up to two units before the end it may be either.
            let is_sure = amount.bit_len() <= 128 && amount.saturating_add(U256::from(2)) < needed;
            prop_assert!(!is_sure || is_short);
        }
    }
}
