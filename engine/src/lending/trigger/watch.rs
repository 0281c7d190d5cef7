//! What a position is watched for: its feeds, how far each may move, and until when.
//!
//! A position has weighted collateral `S` and debt `D`, and can be liquidated only when `S < D`.
//! Let every feed that can hurt move against it by less than `δ` of its own answer. A price is a
//! product of feeds, some of them divisors, so it loses at most a share `Σ degree · δ`, for
//! `Π (1 − xᵢ) ≥ 1 − Σ xᵢ`; a feed that rises by `u` divides by `1 + u`, and `1 / (1 + u) ≥ 1 − u`.
//! With `x` the largest such sum over the prices of the collateral and `y` the largest over those
//! of the debt, and `e` for all that is lost to rounding,
//!
//! ```text
//! S' ≥ S · (1 − x) − e      D' ≤ D / (1 − y) + e
//! S' ≥ D'  whenever  x + y ≤ (S − D − e) / S
//! ```
//!
//! The right-hand side is the [`Budget`]. It is shared out among the feeds by their weights: one
//! that hardly ever moves needs little of it, and the others get further before they are looked at.
//!
//! Temperature: hot.
#![deny(clippy::arithmetic_side_effects, clippy::float_arithmetic)]

use alloy_primitives::U256;

use crate::amm::math::mul_div_256;
use crate::lending::math::{mul_div_down, mul_div_up};
use crate::lending::price::{FeedId, Leaf};

/// Feeds of one position, each counted once for either way that it can hurt.
pub const TERMS_MAX: usize = 16;

/// Relative moves are told in this: one.
pub const ONE: u64 = 1_000_000_000_000_000_000;

/// No feed gets more than this altogether, so that a price never loses more than half of itself
/// before it is looked at. The bounds of rounding ([`Prices::rounding`]) rest on it.
///
/// [`Prices::rounding`]: crate::lending::price::Prices::rounding
const BUDGET_MAX: u64 = ONE / 2;

/// Which side of a position a price is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Side {
    /// Its fall hurts.
    Collateral,
    /// Its rise hurts.
    Debt,
}

/// Which way a feed has to move to hurt a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Hurts {
    /// Down.
    Falling = 0,
    /// Up.
    Rising = 1,
}

/// What the prices of a position may lose together: a share of its collateral's weighted value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Budget(u64);

impl Budget {
    /// Of a position with weighted collateral `support` and debt `debt`, in the same unit.
    ///
    /// `debt` is what it will be when the watch ends, with interest and with prices that grow with
    /// time; `errors` is what rounding may take from both until then.
    ///
    /// `None` if time or rounding alone could make it liquidatable until then: the watch must end
    /// sooner, or the position be looked at in every block.
    #[must_use]
    #[inline]
    pub fn new(support: U256, debt: U256, errors: U256) -> Option<Self> {
        if debt.is_zero() {
            return Some(Self(BUDGET_MAX));
        }
        let spare = support.checked_sub(debt)?.checked_sub(errors)?;
        let share = mul_div_down(spare, U256::from(ONE), support).ok();
        let share = share.or_else(|| mul_div_256(spare, U256::from(ONE), support));
        let share = share.and_then(|share| u64::try_from(share).ok()).unwrap_or(0);
        Some(Self(share.min(BUDGET_MAX)))
    }

    /// Parts of [`ONE`].
    #[must_use]
    pub const fn parts(self) -> u64 {
        self.0
    }
}

/// How many parts of [`ONE`] `units` are of a sum `of`, rounded up: an error told as a share.
#[must_use]
#[inline]
pub fn parts_of(units: U256, of: U256) -> u64 {
    let parts = mul_div_up(units, U256::from(ONE), of).ok();
    parts.and_then(|parts| u64::try_from(parts).ok()).unwrap_or(u64::MAX).min(ONE)
}

/// A share of a sum, rounded up: an error told in the sum's unit.
#[must_use]
#[inline]
pub fn share_of(parts: u64, of: U256) -> U256 {
    mul_div_up(of, U256::from(parts), U256::from(ONE)).unwrap_or(U256::MAX)
}

/// A feed of a position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) feed: u16,
    pub(super) is_rising: bool,
    /// Its share of the budget is as this to the weights of all that move a price together.
    weight: u8,
    /// Its answer when the position was looked at.
    answer: U256,
}

/// The feeds of one position.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    terms: [Term; TERMS_MAX],
    count: u8,
    /// The largest sum of weighted degrees of a price, by side.
    loads: [u32; 2],
    is_full: bool,
}

impl Watch {
    /// Of no feeds.
    #[must_use]
    pub const fn new() -> Self {
        let none = Term { feed: 0, is_rising: false, weight: 0, answer: U256::ZERO };
        Self { terms: [none; TERMS_MAX], count: 0, loads: [0; 2], is_full: false }
    }

    /// Adds a price by its leaves; `feed` says what weight a feed has and what it answers now.
    ///
    /// A feed without an answer weighs in all the same: when it has one, [`TriggerIndex::lost`]
    /// has handed the position out.
    ///
    /// [`TriggerIndex::lost`]: super::TriggerIndex::lost
    #[inline]
    pub fn add(&mut self, side: Side, leaves: &[Leaf], feed: impl Fn(FeedId) -> (u8, U256)) {
        let mut load = 0_u32;
        for leaf in leaves {
            let (weight, answer) = feed(leaf.feed);
            let weight = weight.max(1);
            let degree = u32::from(leaf.up).saturating_add(u32::from(leaf.down));
            load = load.saturating_add(degree.saturating_mul(u32::from(weight)));
            let hurts = match side {
                Side::Collateral => [(leaf.up, Hurts::Falling), (leaf.down, Hurts::Rising)],
                Side::Debt => [(leaf.up, Hurts::Rising), (leaf.down, Hurts::Falling)],
            };
            for (degree, hurts) in hurts {
                if degree > 0 {
                    self.note(leaf.feed, hurts, (weight, answer));
                }
            }
        }
        let side = &mut self.loads[side as usize];
        *side = load.max(*side);
    }

    #[inline]
    fn note(&mut self, feed: FeedId, hurts: Hurts, (weight, answer): (u8, U256)) {
        let term = Term { feed: feed.0, is_rising: hurts == Hurts::Rising, weight, answer };
        let is_same = |it: &Term| it.feed == term.feed && it.is_rising == term.is_rising;
        let count = usize::from(self.count);
        if self.terms.iter().take(count).any(is_same) {
            return;
        }
        match self.terms.get_mut(count) {
            Some(place) => {
                *place = term;
                self.count = self.count.saturating_add(1);
            }
            None => self.is_full = true,
        }
    }

    /// Whether there are more feeds than it has room for.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.is_full
    }

    #[inline]
    pub(super) fn terms(&self) -> &[Term] {
        self.terms.get(..usize::from(self.count)).unwrap_or(&self.terms)
    }

    /// The answer at which a term is reached: it may be early, and is never late.
    #[inline]
    pub(super) fn threshold(&self, term: &Term, budget: Budget) -> U256 {
        let [collateral, debt] = self.loads;
        let load = u128::from(collateral.saturating_add(debt).max(1));
        let share = u128::from(budget.0).saturating_mul(u128::from(term.weight));
        let slack = share.checked_div(load).unwrap_or(0);
        // Rounded down, so that less than this is less than the slack.
        let room = mul_div_down(term.answer, U256::from(slack), U256::from(ONE));
        let room = room.unwrap_or(U256::ZERO);
        if term.is_rising {
            term.answer.saturating_add(room)
        } else {
            term.answer.saturating_sub(room)
        }
    }
}

impl Default for Watch {
    fn default() -> Self {
        Self::new()
    }
}
