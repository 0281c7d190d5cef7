//! The best input of a cycle, in exact integers.
//!
//! The closed form of [`mobius`](super::mobius) ignores that every swap rounds down. Rounding
//! makes the profit a saw-tooth: all inputs that give the same count of some coarse token (one with
//! few decimals) end in the same output, and only the least of them is worth paying. So:
//!
//! 1. seed with the closed form (curve by curve, where a pool has several: see `local`), capped by
//!    `amount_in_max` (the gain is concave, so the cap is the best input below the optimum), and
//!    walk it forward in integers;
//! 2. take the place on the way where the amount has the fewest units, the *pivot*. For each count
//!    at the pivot the least input that reaches it follows backwards by [`PoolView::least_in`], the
//!    output forwards by [`PoolView::quote_out`]. Every input is dominated by the one found so for
//!    its own count, so the true optimum is among these;
//! 3. try the counts next to the seed's exactly. Where a second token is coarse enough to matter,
//!    screen a wider range in floats first and try the most promising.
//!
//! What is lost against the true integer optimum is at most the rounding of the tokens other than
//! the pivot: the worth of one smallest unit of each, the first token's once going in and once
//! coming out. The tests hold it against brute force and an exhaustive search; in 20,000 random
//! cycles (tokens of 2 to 18 decimals) three of four lost nothing and 98 % less than 10⁻⁹.
//!
//! Invariants: amounts are the pools' own integer quotes; never worse than the floored closed
//! form; `amount_in ≤ amount_in_max`; a profit of 0 is no result.
//!
//! Temperature: hot.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::integer_division))]

mod local;

use self::local::Curves;
use crate::amm::PoolView;
use crate::ids::Direction;
use crate::limits::HOPS_MAX;

/// One swap of a cycle.
#[derive(Clone, Copy, Debug)]
pub struct Hop<'w> {
    /// The pool, in the state in which it will be met.
    pub pool: PoolView<'w>,
    /// Which way through it.
    pub direction: Direction,
}

/// A cycle's best input and what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizing {
    /// What goes in first.
    pub amount_in: u128,
    /// What comes out of each hop; places past the last hop are 0.
    pub amounts_out: [u128; HOPS_MAX],
    /// What the last hop gives, less `amount_in`.
    pub profit: u128,
}

/// Parts of a refused seed, as powers of a half, that it is lessened by until it is taken.
const EASED_SHIFTS: [u32; 6] = [46, 42, 38, 34, 30, 26];
/// Counts on either side of the seed that are tried exactly.
const NEAR: u128 = 2;
/// Counts on either side of the seed that are screened in floats if a second token is coarse.
const FAR: u32 = 48;
/// Of those, how many are tried exactly.
const FAR_TRIALS: usize = 3;
/// A second token is coarse if one unit of it is worth more than 2⁻³³ of the profit.
const COARSE_SHIFT: u32 = 33;

/// The input that gains most over `hops`, with at most `amount_in_max` going in; `None` if no
/// input gains.
#[must_use]
pub fn best_input(hops: &[Hop<'_>], amount_in_max: u128) -> Option<Sizing> {
    debug_assert!((2..=HOPS_MAX).contains(&hops.len()), "a cycle has two to HOPS_MAX swaps");
    if amount_in_max == 0 {
        return None;
    }
    let (seed, curves) = local::best_input(hops, float(amount_in_max))?;
    let seed = whole(seed).clamp(1, amount_in_max);
    let mut search = Trials::around(hops, taken(hops, seed), amount_in_max);
    search.try_near();
    if search.is_second_token_coarse() {
        search.try_far(&curves);
    }
    let amount_in = search.best?.amount_in;
    // The least input for a count at the pivot may give more than that count.
    let amounts_out = walk(hops, amount_in);
    let profit = amounts_out.get(hops.len().checked_sub(1)?)?.checked_sub(amount_in)?;
    Some(Sizing { amount_in, amounts_out, profit })
}

/// What the best input of at most `amount_in_max` gains over `hops`, before any rounding; `None` if
/// every input loses.
pub(super) fn estimate(hops: &[Hop<'_>], amount_in_max: f64) -> Option<f64> {
    let (amount_in, curves) = local::best_input(hops, amount_in_max)?;
    let curves = curves.iter().take(hops.len());
    Some(curves.fold(amount_in, |into, curve| curve.out(into)) - amount_in)
}

/// The input, or a little less where the last range of a pool ends at it: rounded, it may lie
/// beyond, and what a pool cannot take whole it refuses.
fn taken(hops: &[Hop<'_>], mut amount_in: u128) -> (u128, [u128; HOPS_MAX]) {
    let mut amounts = walk(hops, amount_in);
    for shift in EASED_SHIFTS {
        if amounts[hops.len().saturating_sub(1)] > 0 {
            break;
        }
        amount_in = amount_in.saturating_sub((amount_in >> shift).max(1));
        amounts = walk(hops, amount_in);
    }
    (amount_in, amounts)
}

/// What comes out of each hop for `amount_in`; 0 from where a pool refuses.
#[inline]
fn walk(hops: &[Hop<'_>], amount_in: u128) -> [u128; HOPS_MAX] {
    let mut amounts = [0; HOPS_MAX];
    let mut amount = amount_in;
    for (out, hop) in amounts.iter_mut().zip(hops) {
        let Some(quoted) = hop.pool.quote_out(amount, hop.direction) else { break };
        amount = quoted;
        *out = amount;
    }
    amounts
}

/// An input that was tried, and what it gains.
#[derive(Clone, Copy, Debug)]
struct Trial {
    amount_in: u128,
    profit: u128,
}

/// The search over counts at the pivot.
struct Trials<'h, 'w> {
    /// The hops that lead to the pivot, and those that lead on from it.
    before: &'h [Hop<'w>],
    after: &'h [Hop<'w>],
    amount_in_max: u128,
    /// The seed's count at the pivot.
    count: u128,
    /// The fewest units at any other place.
    second_count: u128,
    seed: u128,
    best: Option<Trial>,
}

impl<'h, 'w> Trials<'h, 'w> {
    fn around(
        hops: &'h [Hop<'w>],
        (seed, amounts): (u128, [u128; HOPS_MAX]),
        amount_in_max: u128,
    ) -> Self {
        let (mut pivot, mut count, mut second_count) = (0, seed, u128::MAX);
        // The last amount is in the first token again.
        for (place, amount) in (1..hops.len()).zip(amounts) {
            if amount < count {
                (pivot, second_count, count) = (place, count, amount);
            } else {
                second_count = second_count.min(amount);
            }
        }
        let (before, after) = hops.split_at(pivot);
        Self { before, after, amount_in_max, count, second_count, seed, best: None }
    }

    /// Tries a count at the pivot. Of equal profits the lesser input is kept.
    #[inline]
    fn attempt(&mut self, count: u128) {
        let Some(trial) = self.trial(count) else { return };
        let is_better = self
            .best
            .is_none_or(|best| (trial.profit, best.amount_in) > (best.profit, trial.amount_in));
        if is_better {
            self.best = Some(trial);
        }
    }

    #[inline]
    fn trial(&self, count: u128) -> Option<Trial> {
        let mut amount_in = count;
        for hop in self.before.iter().rev() {
            amount_in = hop.pool.least_in(amount_in, hop.direction)?;
        }
        if amount_in > self.amount_in_max {
            return None;
        }
        let mut amount_out = count;
        for hop in self.after {
            amount_out = hop.pool.quote_out(amount_out, hop.direction)?;
        }
        let profit = amount_out.checked_sub(amount_in)?;
        if profit == 0 { None } else { Some(Trial { amount_in, profit }) }
    }

    fn try_near(&mut self) {
        let first = self.count.saturating_sub(NEAR).max(1);
        for count in first..=self.count.saturating_add(NEAR) {
            self.attempt(count);
        }
    }

    /// Whether a unit of the second token is worth more than a trifle of the profit.
    fn is_second_token_coarse(&self) -> bool {
        let trifle = self.best.map_or(0, |best| best.profit >> COARSE_SHIFT);
        // A unit is worth about `seed / second_count`.
        self.second_count.saturating_mul(trifle) < self.seed
    }

    fn try_far(&mut self, curves: &Curves) {
        let (before, after) = curves.split_at(self.before.len());
        let after = &after[..self.after.len()];
        let middle = float(self.count);
        let mut chosen = [(f64::MIN, 0.0); FAR_TRIALS];
        for step in 0..=FAR.saturating_mul(2) {
            let count = middle - f64::from(FAR) + f64::from(step);
            let amount_in =
                before.iter().rev().fold(count, |out, curve| ceil(curve.input_for(out)));
            let amount_out = after.iter().fold(count, |into, curve| floor(curve.out(into)));
            let gain = amount_out - amount_in;
            if gain > chosen[FAR_TRIALS - 1].0 && count >= 1.0 {
                chosen[FAR_TRIALS - 1] = (gain, count);
                chosen.sort_unstable_by(|left, right| right.0.total_cmp(&left.0));
            }
        }
        for (_, count) in chosen {
            self.attempt(whole(count));
        }
    }
}

/// The integer part, saturating; 0 if it is not a number.
#[inline]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturating is meant")]
const fn whole(value: f64) -> u128 {
    value as u128
}

#[inline]
#[expect(clippy::cast_precision_loss, reason = "chooses candidates only")]
const fn float(value: u128) -> f64 {
    value as f64
}

/// Rounded down, for amounts; from 2⁵³ on every f64 is whole.
#[inline]
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "below 2⁵³")]
const fn floor(value: f64) -> f64 {
    if value.abs() < WHOLE_FROM { (value as i64) as f64 } else { value }
}

/// Rounded up, for amounts.
#[inline]
const fn ceil(value: f64) -> f64 {
    let floor = floor(value);
    if floor < value { floor + 1.0 } else { floor }
}

/// 2⁵³: from here on every f64 is whole.
const WHOLE_FROM: f64 = 9_007_199_254_740_992.0;

#[cfg(test)]
mod tests;
