//! How much of a debt to repay: the bonus grows with it evenly, what the exit costs grows faster.
//!
//! Their difference is concave, but for rounding; so its highest point is found by narrowing the
//! interval in which it lies. What a protocol allows is an interval and single points beside it
//! (all of the debt, all of the collateral), because it forbids leaving dust behind.
//!
//! Temperature: warm.
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::float_arithmetic))]

use crate::amm::math::mul_div_floor;

/// Narrowing steps: each leaves 0.62 of the interval, so 40 leave less than one part in 10⁸.
const STEPS_MAX: u32 = 40;
/// The golden ratio's inverse, as a fraction of two consecutive Fibonacci numbers.
const GOLDEN: (u128, u128) = (10_946, 17_711);
/// How far below the upper end it is looked whether the worth still rises: one part in this many.
const SLOPE_PART: u128 = 1_024;

/// The amount from `low` to `high`, both included, that is worth most, and what it is worth;
/// `None` if none of those that were looked at can be had. `worth` must be concave but for
/// rounding; where it is `None` it is taken to be worth less than anything.
///
/// The upper end comes first: liquidations are rarely deeper than the pools.
pub fn best_amount(
    (low, high): (u128, u128),
    worth: impl Fn(u128) -> Option<i128>,
) -> Option<(u128, i128)> {
    if low > high {
        return None;
    }
    let told = |amount| worth(amount).map(|worth| (amount, worth));
    let width = high.saturating_sub(low);
    let most = told(high);
    let step = width.checked_div(SLOPE_PART).unwrap_or(0).max(1).min(width);
    let below = told(high.saturating_sub(step));
    if most.is_some() && at_most(below, most) {
        return most;
    }
    let mut best = higher(most, below);
    let (mut low, mut high) = (low, high);
    best = higher(best, told(low));
    let inner = |low: u128, high: u128| {
        let width = high.saturating_sub(low);
        mul_div_floor(width, GOLDEN.0, GOLDEN.1).unwrap_or(width)
    };
    let mut left = told(high.saturating_sub(inner(low, high)));
    let mut right = told(low.saturating_add(inner(low, high)));
    for _ in 0..STEPS_MAX {
        best = higher(higher(best, left), right);
        if high.saturating_sub(low) < 3 {
            break;
        }
        // What cannot be had is on the side of the larger amounts.
        if right.is_none() || at_most(right, left) {
            high = low.saturating_add(inner(low, high));
            right = left;
            left = told(high.saturating_sub(inner(low, high)));
        } else {
            low = high.saturating_sub(inner(low, high));
            left = right;
            right = told(low.saturating_add(inner(low, high)));
        }
    }
    best
}

/// Whether the first is worth no more than the second.
fn at_most(first: Option<(u128, i128)>, second: Option<(u128, i128)>) -> bool {
    first.map(|(_, worth)| worth) <= second.map(|(_, worth)| worth)
}

fn higher(first: Option<(u128, i128)>, second: Option<(u128, i128)>) -> Option<(u128, i128)> {
    if at_most(second, first) { first } else { second }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A bonus of 5 % of what is repaid, and an exit through a pool of this depth.
    fn market(depth: u128) -> impl Fn(u128) -> Option<i128> {
        move |repaid| {
            let seized = repaid.checked_mul(105)? / 100;
            let sold = mul_div_floor(seized, depth, depth.checked_add(seized)?)?;
            i128::try_from(sold).ok()?.checked_sub_unsigned(repaid)
        }
    }

    #[test]
    fn a_debt_that_is_small_beside_the_pool_is_repaid_whole() {
        assert_eq!(best_amount((1, 1_000), market(1_000_000)).unwrap().0, 1_000);
    }

    #[test]
    fn a_debt_that_is_large_beside_the_pool_is_repaid_in_part() {
        let (repaid, worth) = best_amount((1, 1 << 66), market(1 << 60)).unwrap();
        // Where the pool's price after the sale is what the bonus leaves: d·(√1.05 − 1)/1.05.
        let best = (1_u128 << 60) * 23_519 / 1_000_000;
        assert!(repaid.abs_diff(best) < best / 1_000, "{repaid} and not about {best}");
        assert!(worth > 0);
    }

    #[test]
    fn what_cannot_be_had_is_not_chosen() {
        let capped = |repaid| (repaid <= 700).then(|| i128::try_from(repaid).unwrap());
        let (repaid, _) = best_amount((1, 1_000), capped).unwrap();
        assert!((690..=700).contains(&repaid), "{repaid}");
        assert_eq!(best_amount((1, 1_000), |_| None), None);
        assert_eq!(best_amount((2, 1), |_| Some(1)), None);
        assert_eq!(best_amount((5, 5), |_| Some(1)), Some((5, 1)));
    }

    proptest! {
        /// Amounts of real tokens, against the whole interval in a thousand steps and against the
        /// best amount in closed form.
        #[test]
        fn no_amount_is_worth_more_than_a_millionth_above(
            depth in 1_000_000_000_u128..1 << 90,
            share in 1_u128..1_000,
        ) {
            let worth = market(depth);
            let high = depth / 1_000 * share;
            let (_, found) = best_amount((1, high), &worth).unwrap();
            let steps = (1..=1_000).filter_map(|step| worth((high / 1_000 * step).max(1)));
            let closed = worth((depth / 1_000_000 * 23_519).min(high));
            let most = steps.chain(closed).max().unwrap();
            prop_assert!(found + found / 1_000_000 + 1 >= most, "{found} and not {most}");
        }
    }
}
