//! The ranges that a swap in a concentrated pool comes to, in floats: what the search screens by.
//!
//! Invariants: floats and bounds only, never an amount that is sent; a bounded number of ranges.
//!
//! Temperature: hot.

use super::concentrated::Concentrated;
use super::swap_math::PIPS;
use super::tick_math::{q96_to_f64, sqrt_ratio};
use super::ticks::Ticks;
use super::{FALLS, Mobius, Reach};
use crate::ids::Direction;

/// The first range with liquidity that a swap comes to, for screening.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ahead {
    is_down: bool,
    /// The square root of the price at which it is entered.
    price: f64,
    pub(super) liquidity: u128,
    tick: i32,
    /// The place of the first tick above it.
    place: usize,
    kept: f64,
}

/// Ranges that are looked at.
const AHEAD_MAX: u32 = 64;
/// Where a price has fallen to nothing.
const FALL_LEAST: f64 = 1e-9;
/// A little more, for rounding.
const ROUNDING: f64 = 1.0 + 1e-8;

impl Ahead {
    #[expect(clippy::float_arithmetic, reason = "chooses candidates only")]
    pub(super) fn of(pool: &Concentrated, ticks: Ticks<'_>, direction: Direction) -> Option<Self> {
        let mut ahead = Self {
            is_down: direction == Direction::ZeroForOne,
            price: q96_to_f64(pool.sqrt_price()),
            liquidity: pool.liquidity(),
            tick: pool.tick(),
            place: 0,
            kept: f64::from(PIPS.saturating_sub(pool.fee_pips())) / 1e6,
        };
        if ahead.price <= 0.0 {
            return None;
        }
        ahead.place = ticks.above(ahead.tick);
        // Nobody's liquidity is between here and the next range; a swap goes there for nothing.
        for _ in 0..AHEAD_MAX {
            if ahead.liquidity > 0 {
                return Some(ahead);
            }
            ahead.cross(ticks)?;
            ahead.price = sqrt_ratio(ahead.tick);
        }
        None
    }

    /// Goes to the next range; `None` if there is no more.
    #[inline]
    fn cross(&mut self, ticks: Ticks<'_>) -> Option<()> {
        let place = if self.is_down { self.place.checked_sub(1)? } else { self.place };
        let (tick, net) = ticks.at(place)?;
        let net = if self.is_down { net.checked_neg()? } else { net };
        self.place = if self.is_down { place } else { place.checked_add(1)? };
        self.tick = tick;
        self.liquidity = self.liquidity.checked_add_signed(net)?;
        Some(())
    }

    /// The curve of a pool that has so much liquidity from here on.
    #[expect(
        clippy::as_conversions,
        clippy::cast_precision_loss,
        clippy::float_arithmetic,
        reason = "chooses candidates only; what is sent is quoted in integers"
    )]
    pub(super) fn curve(&self, liquidity: u128) -> Mobius {
        let liquidity = liquidity as f64;
        // Virtual reserves are L/√P and L·√P.
        let square = self.price * self.price;
        let (price, reserve_in) = if self.is_down {
            (square, liquidity / self.price)
        } else {
            (1.0 / square, liquidity * self.price)
        };
        Mobius { gain: self.kept * price, bend: self.kept / reserve_in }
    }

    /// What the ranges ahead give at most.
    #[expect(clippy::float_arithmetic, reason = "chooses candidates only")]
    pub(super) fn reach(&self, ticks: Ticks<'_>) -> Reach {
        let mut reach = Reach::UNKNOWN;
        let mut stretches = reach.most.iter_mut().zip(&mut reach.alone);
        let mut falls = FALLS.into_iter().peekable();
        let (mut at, mut given) = (*self, Given::NOTHING);
        for _ in 0..AHEAD_MAX {
            let curve = self.curve(at.liquidity);
            let depth = if at.liquidity > 0 { curve.gain / curve.bend } else { 0.0 };
            let has_ended = at.cross(ticks).is_none();
            let end = if has_ended { FALL_LEAST } else { self.fall_to(at.tick) };
            while let Some(fall) = falls.next_if(|fall| *fall >= end) {
                given.go(depth, fall);
                if let Some((most, alone)) = stretches.next() {
                    (*most, *alone) = (given.most, given.start_stretch());
                }
            }
            given.go(depth, end);
            if has_ended {
                for (most, alone) in stretches {
                    (*most, *alone) = (given.most, given.alone);
                }
                break;
            }
        }
        // What is further ahead was not looked at.
        reach
    }

    /// To which share of what it is the square root of the price falls on the way to a tick.
    #[expect(clippy::float_arithmetic, reason = "chooses candidates only")]
    fn fall_to(&self, tick: i32) -> f64 {
        let there = sqrt_ratio(tick);
        if self.is_down { there / self.price } else { self.price / there }
    }
}

/// What was given on the way from range to range, in units in which the first unit that goes in
/// gives one. Along a range of depth `ℓ` (its virtual reserve, at the price where the way begins),
/// while the square root of the price falls from `q` to `p`, `ℓ·(q − p)` comes out and
/// `ℓ·(1/p − 1/q)` goes in.
#[derive(Clone, Copy, Debug)]
struct Given {
    /// To which share the square root of the price has fallen.
    fall: f64,
    out: f64,
    into: f64,
    /// By what more went in than came out.
    lost: f64,
    /// The greatest depth: nothing needs more.
    deepest: f64,
    /// What [`Reach`] says, so far; `alone` of this stretch.
    most: f64,
    alone: f64,
}

#[expect(clippy::float_arithmetic, reason = "chooses candidates only")]
impl Given {
    const NOTHING: Self =
        Self { fall: 1.0, out: 0.0, into: 0.0, lost: 0.0, deepest: 0.0, most: 0.0, alone: 0.0 };

    /// Goes on along a range until the square root of the price has fallen so far.
    ///
    /// The curve through a point gives at most `1/(1/out − 1/into)`. Its slope has the sign of
    /// `out − fall·into`, which is linear in `fall`, so it turns once within a range at most. What
    /// is gained alone, `(out − fall²·into)/(1 − fall)²`, turns at the same place.
    fn go(&mut self, depth: f64, to: f64) {
        let from = self.fall;
        // A price at the end of its range is beyond it by rounding.
        if to >= from {
            return;
        }
        self.deepest = f64::max(self.deepest, depth);
        if self.out <= 0.0 {
            // Near the start its own depth is more exact.
            (self.most, self.alone) = (depth, depth);
            self.move_to(depth, to);
            return;
        }
        let (whole, rest) = (self.out + depth * from, depth / from - self.into);
        let turn = (whole - depth) / (depth - rest);
        if turn > to && turn < from {
            self.move_to(depth, turn);
        }
        self.move_to(depth, to);
    }

    /// What is gained alone at best in the stretch that ends here; the next begins.
    fn start_stretch(&mut self) -> f64 {
        let next = self.alone_gained();
        core::mem::replace(&mut self.alone, next)
    }

    fn move_to(&mut self, depth: f64, to: f64) {
        let given = depth * (self.fall - to);
        let product = self.fall * to;
        self.out += given;
        self.into += given / product;
        self.lost += given * (1.0 - product) / product;
        self.fall = to;
        self.most = f64::max(self.most, self.most_needed());
        self.alone = f64::max(self.alone, self.alone_gained());
    }

    fn most_needed(&self) -> f64 {
        f64::min(self.out * self.into / self.lost * ROUNDING, self.deepest)
    }

    fn alone_gained(&self) -> f64 {
        let (square, left) = (self.fall * self.fall, 1.0 - self.fall);
        let gained = self.out * (1.0 - square) - square * self.lost;
        f64::min(gained / (left * left) * ROUNDING, self.deepest)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::amm::tick_math::sqrt_price_at;
    use crate::amm::ticks::{Tick, TickArena};
    use crate::amm::{Amm, ConcentratedState};
    use crate::ids::PoolId;

    /// Ranges as they are met: to which share of its square root the price falls in each, and the
    /// virtual reserve there.
    fn ranges_of(ends: &[i32], depths: &[u64]) -> Vec<(f64, f64)> {
        let falls = ends.iter().map(|end| sqrt_ratio(-end));
        falls.zip(depths).map(|(fall, depth)| (fall, *depth as f64 * 1e12)).collect()
    }

    /// What comes out, and how much more goes in, until the price has fallen so far.
    fn given(ranges: &[(f64, f64)], fall: f64) -> (f64, f64) {
        let (mut from, mut sums) = (1.0, (0.0, 0.0));
        for (end, depth) in ranges {
            let to = f64::max(*end, fall);
            if to < from {
                sums = (
                    sums.0 + depth * (from - to),
                    sums.1 + depth * (from - to) * (1.0 / (from * to) - 1.0),
                );
                from = to;
            }
        }
        sums
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn bounds_of_a_ladder_hold_everywhere_and_are_reached(
            first in 1_u64..1_000_000,
            steps in proptest::collection::vec(
                (1_i32..1_500, prop_oneof![Just(0_u64), 1_u64..100, 1_u64..1_000_000]), 0..12,
            ),
            width in 1_i32..1_500,
            is_down in any::<bool>(),
        ) {
            let (mut ends, mut depths) = (Vec::from([width]), Vec::from([first]));
            for (width, depth) in steps {
                ends.push(ends[ends.len() - 1] + width);
                depths.push(depth);
            }
            // From price 1 down, or up: the same ladder.
            let sign = if is_down { -1 } else { 1 };
            let unit = 1_000_000_000_000_i128;
            let mut before = 0;
            let places = core::iter::once(&-1).chain(&ends);
            let mut ticks: Vec<_> = places
                .zip(depths.iter().chain(&[0]))
                .map(|(place, depth)| {
                    let depth = i128::from(*depth) * unit;
                    let net = i128::from(sign) * (depth - before);
                    before = depth;
                    Tick { index: sign * place, net, gross: net.unsigned_abs() }
                })
                .filter(|tick| tick.net != 0)
                .collect();
            ticks.sort_by_key(|tick| tick.index);
            let mut arena = TickArena::new(1, 32);
            arena.load(PoolId(0), &ticks).unwrap();
            let pool = Concentrated::new(&ConcentratedState {
                sqrt_price: sqrt_price_at(0).unwrap(),
                tick: 0,
                liquidity: u128::from(first) * unit.unsigned_abs(),
                fee_pips: 500,
                tick_spacing: 1,
            });
            let way = if is_down { Direction::ZeroForOne } else { Direction::OneForZero };
            let (_, reach) = pool.unwrap().reach(arena.of(PoolId(0)), way).unwrap();

            let ranges = ranges_of(&ends, &depths);
            let mut found = [(0.0, 0.0); FALLS.len()];
            let inner = (1..20_000).map(|step| 1.0 - f64::from(step) / 20_000.0);
            for fall in inner.chain(FALLS).chain(ranges.iter().map(|(end, _)| *end)) {
                let (out, lost) = given(&ranges, fall);
                let square = fall * fall;
                let alone = if fall > 0.0 { out * (1.0 - square) - square * lost } else { out };
                let alone = alone / (1.0 - fall).powi(2);
                let most = if lost < f64::INFINITY { out * (out + lost) / lost } else { out };
                let stretch = FALLS.iter().position(|end| fall >= *end).unwrap();
                // Where one stretch ends, the next begins.
                let is_end = fall > 0.0 && fall <= FALLS[stretch];
                for held in &mut found[stretch..=stretch + usize::from(is_end)] {
                    *held = (f64::max(held.0, most), f64::max(held.1, alone));
                }
            }
            let mut most = 0.0;
            for (stretch, (needed, alone)) in found.into_iter().enumerate() {
                most = f64::max(most, needed);
                prop_assert!(most <= reach.most[stretch] * (1.0 + 1e-7), "{stretch} {reach:?}");
                prop_assert!(alone <= reach.alone[stretch] * (1.0 + 1e-7), "{stretch} {reach:?}");
                // At the very start both are the first depth.
                let start = if stretch == 0 { depths[0] as f64 * 1e12 } else { 0.0 };
                prop_assert!(reach.most[stretch] <= f64::max(most, start) * 1.05, "{reach:?}");
                prop_assert!(reach.alone[stretch] <= f64::max(alone, start) * 1.05, "{reach:?}");
            }
        }
    }
}
