//! How far a price is from a liquidation, and what becomes of prices when they fall.
//!
//! Temperature: cold.
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use alloy_primitives::{I256, U256};
use gannet_engine::lending::math::{Fault, mul, mul_div_down, sub};

/// Falls of the collateral's prices that are reckoned with, in per cent; none first.
pub(crate) const FALLS_PER_CENT: [u8; 4] = [0, 1, 5, 10];
/// A whole, in parts per million.
const WHOLE_PPM: U256 = U256::from_limbs([1_000_000, 0, 0, 0]);

/// What an account's collateral counts and what it owes, both in the same unit; of all its tokens,
/// or of one alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Scales {
    pub(super) held: U256,
    pub(super) owed: U256,
}

impl Scales {
    /// How far one price can move, in parts per million of itself, until the account is just as
    /// healthy as it must be; below zero if it falls. `part` is what counts at that price. An
    /// account that is past that point needs such a move to come back. `None` if no move of this
    /// price does it.
    pub(super) fn move_ppm(self, part: Self) -> Option<i64> {
        // held + x·part.held = owed + x·part.owed
        let slope = part.owed.abs_diff(part.held);
        let distance = self.held.abs_diff(self.owed);
        let size = mul_div_down(distance, WHOLE_PPM, slope).ok()?;
        let is_rise = (self.held >= self.owed) == (part.owed > part.held);
        if !is_rise && size > WHOLE_PPM {
            return None;
        }
        let size = i64::try_from(size).ok()?;
        if is_rise { Some(size) } else { size.checked_neg() }
    }
}

/// A price after a fall.
pub(super) fn fallen(price: U256, per_cent: u8) -> Result<U256, Fault> {
    let left = sub(U256::from(100), U256::from(per_cent))?;
    Ok(mul(price, left)?.wrapping_div(U256::from(100)))
}

/// What is left of a gain after what it costs; below zero if it costs more.
pub(super) fn profit(gain: U256, cost: U256) -> Result<I256, Fault> {
    let size = I256::try_from(gain.abs_diff(cost)).ok().ok_or(Fault::Overflow)?;
    if gain >= cost { Ok(size) } else { size.checked_neg().ok_or(Fault::Overflow) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scales(held: u64, owed: u64) -> Scales {
        Scales { held: U256::from(held), owed: U256::from(owed) }
    }

    #[test]
    fn collateral_may_fall_and_debt_may_rise() {
        let all = scales(1_000, 800);
        assert_eq!(all.move_ppm(scales(1_000, 0)), Some(-200_000));
        assert_eq!(all.move_ppm(scales(400, 0)), Some(-500_000));
        assert_eq!(all.move_ppm(scales(0, 800)), Some(250_000));
        // Less of it than would be missed, or as much owed as held: no move is enough.
        assert_eq!(all.move_ppm(scales(100, 0)), None);
        assert_eq!(all.move_ppm(scales(400, 400)), None);
        assert_eq!(all.move_ppm(scales(0, 0)), None);
    }

    #[test]
    fn who_is_past_it_needs_the_opposite_move() {
        let all = scales(800, 1_000);
        assert_eq!(all.move_ppm(scales(800, 0)), Some(250_000));
        assert_eq!(all.move_ppm(scales(0, 1_000)), Some(-200_000));
        assert_eq!(scales(800, 800).move_ppm(scales(800, 0)), Some(0));
    }

    #[test]
    fn a_fall_is_taken_off_a_price_and_a_loss_is_below_zero() {
        assert_eq!(fallen(U256::from(1_999), 5), Ok(U256::from(1_899)));
        assert_eq!(fallen(U256::from(1_999), 0), Ok(U256::from(1_999)));
        assert_eq!(fallen(U256::MAX, 5), Err(Fault::Overflow));
        assert_eq!(profit(U256::from(3), U256::from(5)), Ok(I256::try_from(-2).unwrap()));
        assert_eq!(profit(U256::MAX, U256::ZERO), Err(Fault::Overflow));
    }

    proptest! {
        #[test]
        fn just_before_the_move_an_account_is_on_its_side_and_just_behind_it_on_the_other(
            held in 1_u64..1 << 40, owed in 1_u64..1 << 40, share in 1_u64..1_000,
            is_collateral: bool,
        ) {
            let all = scales(held, owed);
            let part = if is_collateral {
                scales(held / 1_000 * share, 0)
            } else {
                scales(0, owed / 1_000 * share)
            };
            // Both sides times a million after a move of the part's price.
            let after = |ppm: i64| {
                let moved = |side: U256, part: U256| {
                    let scale = U256::from(u64::try_from(1_000_000 + ppm).unwrap_or_default());
                    (side - part) * WHOLE_PPM + part * scale
                };
                (moved(all.held, part.held), moved(all.owed, part.owed))
            };
            if let Some(ppm) = all.move_ppm(part) {
                let is_healthy = held >= owed;
                let on_its_side =
                    |(held, owed)| if is_healthy { held >= owed } else { held <= owed };
                let on_the_other =
                    |(held, owed)| if is_healthy { held <= owed } else { held >= owed };
                let step = if is_healthy == is_collateral { -1 } else { 1 };
                prop_assert!(on_its_side(after(ppm)));
                // No price falls below nothing.
                prop_assert!(ppm == -1_000_000 || on_the_other(after(ppm + step)));
            }
        }
    }
}
