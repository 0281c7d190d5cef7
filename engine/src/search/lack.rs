//! What pools cannot give: the inverse of what they can, stretch by stretch.
//!
//! A cycle whose prices multiply to `G` and that leads along pools which give no more than `K`,
//! each unit worth `v` at its end, gains at most `(1 − 1/√G)²·K·v`. At its best input no pool's
//! price has fallen by more than `G`, so that `K` counts which holds down to that share of the
//! price. Where one pool is looked at and the others are taken for lines, a lesser `K` does, for
//! then the price falls by `G` exactly.
//!
//! Invariants: rounded so that a pool is never taken for poorer than it is (but for one within a
//! billionth of the end of a range, by what is in that).
//!
//! Temperature: hot.

use crate::amm::{FALLS, Reach};

/// A little less, for rounding to 24 bits.
const LESS: f64 = 1.0 - 1e-6;

/// To which share the price falls in each stretch. Not rounded: where liquidity ends within a
/// stretch, the next one's `alone` is less than what is gained a little before it.
const SHARES: [f64; FALLS.len()] = {
    let mut shares = FALLS;
    let mut place = 0;
    while place < shares.len() {
        shares[place] *= shares[place];
        place += 1;
    }
    shares
};

/// What a gain may take of the square root of the price in each stretch, squared. The last stretch
/// has no end.
const ROOMS: [f64; FALLS.len()] = {
    let mut rooms = FALLS;
    let mut place = 0;
    while place < rooms.len() {
        rooms[place] = (1.0 - rooms[place]) * (1.0 - rooms[place]);
        place += 1;
    }
    rooms
};

/// The inverse of a [`Reach`], by stretches of the price's fall.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Lack {
    lack: [f32; FALLS.len()],
    alone: [f32; FALLS.len()],
}

impl Lack {
    /// That of what gives anything.
    pub(super) const NONE: Self = Self { lack: [0.0; FALLS.len()], alone: [0.0; FALLS.len()] };

    pub(super) fn of(reach: &Reach) -> Self {
        // A pool that gives nothing lacks no more than a number can say.
        let down = |most: f64| down(1.0 / most).min(f32::MAX);
        Self { lack: reach.most.map(down), alone: reach.alone.map(down) }
    }

    /// Whether nothing is known: that of a pool without bounds.
    #[inline]
    pub(super) fn is_unknown(&self) -> bool {
        let [first, ..] = self.lack;
        first <= 0.0
    }

    /// Whether less is lacking in some stretch.
    #[inline]
    pub(super) fn is_less_than(&self, other: &Self) -> bool {
        let is_less = |ours: &[f32], others: &[f32]| ours.iter().zip(others).any(|(a, b)| a < b);
        is_less(&self.lack, &other.lack) || is_less(&self.alone, &other.alone)
    }

    /// What is lacking in a cycle whose prices multiply to `price`.
    #[inline]
    pub(super) fn at(&self, price: f64) -> f64 {
        f64::from(self.lack[stretch_of(price)])
    }

    /// The same, if all else in it is taken for a line.
    #[inline]
    pub(super) fn alone_at(&self, price: f64) -> f64 {
        f64::from(self.alone[stretch_of(price)])
    }

    /// What is left of a price for a share of what is given that has to be gained, whatever the
    /// prices of the cycle multiply to.
    #[inline]
    pub(super) fn left(&self, gain: f64) -> f64 {
        let [.., last] = self.lack;
        f64::max(1.0 - libm::sqrt(gain * f64::from(last)), 0.0)
    }

    /// The same, if they multiply to no more than `price`.
    #[inline]
    pub(super) fn left_at(&self, gain: f64, price: f64) -> f64 {
        f64::max(1.0 - libm::sqrt(gain * self.at(price)), 0.0)
    }

    /// What the prices of a cycle must multiply to so that it can gain `gain` of what is given, all
    /// else being taken for a line.
    #[inline]
    pub(super) fn needed(&self, gain: f64) -> f64 {
        let mut taken = self.alone.iter().map(|lack| gain * f64::from(*lack)).zip(ROOMS);
        let Some(stretch) = taken.position(|(taken, room)| taken <= room) else {
            return f64::INFINITY;
        };
        let left = 1.0 - libm::sqrt(gain * f64::from(self.alone[stretch]));
        let needed = if left > 0.0 { 1.0 / (left * left) } else { f64::INFINITY };
        let from = if stretch == 0 { 1.0 } else { 1.0 / SHARES[stretch - 1] };
        f64::max(needed, from)
    }
}

/// The stretch in which the best input of a cycle lies whose prices multiply to `price`.
#[inline]
fn stretch_of(price: f64) -> usize {
    SHARES.iter().take(SHARES.len() - 1).filter(|share| price * **share >= 1.0).count()
}

/// Rounded down, or nearly.
#[expect(clippy::cast_possible_truncation, reason = "rounding is meant")]
const fn down(value: f64) -> f32 {
    (value * LESS) as f32
}
