//! What pools cannot give: the inverse of what they can, stretch by stretch.
//!
//! A cycle whose prices multiply to `G` and that leads along pools which give no more than `K`,
//! each unit worth `v` at its end, gains at most `(1 − 1/√G)²·K·v`. At its best input no pool's
//! price has fallen by more than `G`, so that `K` counts which holds down to that share of the
//! price.
//!
//! Invariants: rounded so that a pool is never taken for poorer than it is; a stretch goes further
//! than the one before and lacks no more.
//!
//! Temperature: hot.

use crate::amm::{Reach, STRETCHES};

/// A little less, for rounding to 24 bits.
const LESS: f64 = 1.0 - 1e-6;

/// The inverse of a [`Reach`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Lack {
    /// One by what is given at most: in stretches of the price's fall.
    lack: [f32; STRETCHES],
    /// To which share of the price each is known.
    share: [f32; STRETCHES],
}

impl Lack {
    /// That of what gives anything.
    pub(super) const NONE: Self = Self { lack: [0.0; STRETCHES], share: [0.0; STRETCHES] };

    pub(super) fn of(reach: &Reach) -> Self {
        Self {
            lack: reach.most.map(|most| down(1.0 / most)),
            share: reach.share.map(|share| if share > 0.0 { up(share) } else { 0.0 }),
        }
    }

    /// What is lacking in a cycle whose prices multiply to `price`.
    #[inline]
    pub(super) fn at(&self, price: f64) -> f64 {
        for (lack, share) in self.lack.iter().zip(&self.share) {
            if price * f64::from(*share) < 1.0 {
                return f64::from(*lack);
            }
        }
        0.0
    }

    /// What is left of a price for a share of what is given that has to be gained, whatever the
    /// prices of the cycle multiply to.
    #[inline]
    pub(super) fn left(&self, gain: f64) -> f64 {
        let [.., last] = self.lack;
        let is_to_end = self.share[STRETCHES - 1] <= 0.0;
        if is_to_end { f64::max(1.0 - libm::sqrt(gain * f64::from(last)), 0.0) } else { 1.0 }
    }

    /// The same, if they multiply to no more than `price`.
    #[inline]
    pub(super) fn left_at(&self, gain: f64, price: f64) -> f64 {
        f64::max(1.0 - libm::sqrt(gain * self.at(price)), 0.0)
    }

    /// What the prices of a cycle must multiply to so that it can gain `gain` of what is given.
    #[inline]
    pub(super) fn needed(&self, gain: f64) -> f64 {
        let mut from = 1.0;
        for (lack, share) in self.lack.iter().zip(&self.share) {
            let left = 1.0 - libm::sqrt(gain * f64::from(*lack));
            let needed = if left > 0.0 { 1.0 / (left * left) } else { f64::INFINITY };
            let to = 1.0 / f64::from(*share);
            if needed <= to {
                return f64::max(needed, from);
            }
            from = to;
        }
        from
    }
}

/// Rounded down, or nearly.
#[expect(clippy::cast_possible_truncation, reason = "rounding is meant")]
const fn down(value: f64) -> f32 {
    (value * LESS) as f32
}

/// Rounded up, or nearly; a share is at most 1.
#[expect(clippy::cast_possible_truncation, reason = "rounding is meant")]
const fn up(value: f64) -> f32 {
    (value / LESS) as f32
}
