//! The ranges that a swap in a concentrated pool comes to, in floats: what the search screens by.
//!
//! Invariants: floats and bounds only, never an amount that is sent; a bounded number of ranges.
//!
//! Temperature: hot.

use super::concentrated::Concentrated;
use super::swap_math::PIPS;
use super::tick_math::{q96_to_f64, sqrt_ratio};
use super::ticks::Ticks;
use super::{Mobius, Reach, STRETCHES};
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

/// Ranges that are looked at for the greatest liquidity ahead.
const AHEAD_MAX: u32 = 64;
/// Ticks in which the stretches of [`Reach`] end: the price falls by 0.6 %, 3 %, 14 % and to the
/// end.
const STRETCH_TICKS: [u32; STRETCHES] = [60, 300, 1_500, u32::MAX];
/// A little less than what a tick does to a price's logarithm.
const LN_TICK: f64 = 0.9999e-4;

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

    /// What the ranges ahead give at most: in each stretch no more than if all liquidity up to its
    /// end were as great as the greatest.
    #[expect(clippy::float_arithmetic, reason = "chooses candidates only")]
    pub(super) fn reach(&self, ticks: Ticks<'_>) -> Reach {
        let mut reach = Reach { most: [0.0; STRETCHES], share: [0.0; STRETCHES] };
        let (mut at, mut greatest) = (*self, self.liquidity);
        let (mut steps, mut distance, mut has_ended) = (0, 0, false);
        let stretches = reach.most.iter_mut().zip(&mut reach.share).zip(STRETCH_TICKS);
        for ((most, share), end) in stretches {
            // Ranges that begin before the stretch ends are in it.
            while !has_ended && distance < end {
                greatest = greatest.max(at.liquidity);
                if steps == AHEAD_MAX {
                    break;
                }
                steps = steps.saturating_add(1);
                has_ended = at.cross(ticks).is_none();
                // The price may be anywhere within its tick.
                distance = at.tick.abs_diff(self.tick).saturating_sub(1);
            }
            let curve = self.curve(greatest);
            *most = curve.gain / curve.bend;
            *share = match has_ended {
                true => 0.0,
                false => libm::exp(-f64::from(distance.min(end)) * LN_TICK),
            };
        }
        reach
    }
}
