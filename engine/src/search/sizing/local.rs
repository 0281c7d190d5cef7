//! A pool's curve around an amount, in floats: where the closed form is looked for.
//!
//! A constant-product pool is one Möbius curve from 0 on. A concentrated pool is one between any
//! two initialised ticks; which, depends on the amount. A stable pool is none, so the curve is the
//! one with its price and curvature at the amount. The gain of a cycle is concave, so whether a
//! curve's own best input lies above or below its amount says where the best of all lies: the way
//! leads from curve to curve, each time to its own best input, and once that was too far, to its
//! end or halfway.
//!
//! Temperature: hot.

use super::Hop;
use crate::amm::tick_math::{q96_to_f64, sqrt_ratio};
use crate::amm::{Concentrated, Mobius, Pool, Solidly, Ticks};
use crate::ids::Direction;
use crate::limits::HOPS_MAX;

/// Curves that are gone through before what was found is taken.
const ROUNDS_MAX: u32 = 64;
/// Of those, how often the way leads halfway instead of to the next range.
const HALVED_EVERY: u32 = 4;
/// Ranges of a concentrated pool that are gone through for one amount.
const RANGES_MAX: u32 = 64;
/// An amount so near to the end of a range counts as in the next.
const NEAR: f64 = 1.0 - 1e-12;
/// Steps smaller than this share of the amount find nothing more.
const STILL: f64 = 1e-12;
/// By this share of the amount before the end of a range, one is surely in it.
const HAIR: f64 = 4e-12;

/// A curve through `(at_in, at_out)`, in their neighbourhood.
#[derive(Clone, Copy, Debug)]
pub(super) struct Local {
    at_in: f64,
    at_out: f64,
    /// How the output goes on from there.
    curve: Mobius,
    /// Between which inputs the curve is the pool's.
    from: f64,
    to: f64,
    /// Whether it is only near.
    is_rough: bool,
}

impl Local {
    const NONE: Self = Self::whole(Mobius::IDENTITY);

    const fn whole(curve: Mobius) -> Self {
        Self { at_in: 0.0, at_out: 0.0, curve, from: 0.0, to: f64::INFINITY, is_rough: false }
    }

    /// What comes out for `amount_in`.
    #[inline]
    pub(super) const fn out(&self, amount_in: f64) -> f64 {
        self.at_out + self.curve.out(amount_in - self.at_in)
    }

    /// What must go in for `amount_out`.
    #[inline]
    pub(super) const fn input_for(&self, amount_out: f64) -> f64 {
        self.at_in + self.curve.input_for(amount_out - self.at_out)
    }

    /// The same curve, from another amount on it.
    fn moved_to(self, amount_in: f64) -> Self {
        let Mobius { gain, bend } = self.curve;
        let share = 1.0 + bend * (amount_in - self.at_in);
        let curve = Mobius { gain: gain / (share * share), bend: bend / share };
        Self { at_out: self.out(amount_in), at_in: amount_in, curve, ..self }
    }

    fn of(hop: &Hop<'_>, amount_in: f64) -> Option<Self> {
        match hop.pool.pool {
            Pool::Solidly(pool) if pool.state().is_stable => stable(pool, hop.direction, amount_in),
            Pool::ConstantProduct(_) | Pool::Solidly(_) => {
                hop.pool.mobius(hop.direction).map(Self::whole)
            }
            Pool::Concentrated(pool) => ranged(pool, hop.pool.ticks, hop.direction, amount_in),
        }
    }
}

/// The curves of a cycle's hops around its best input.
pub(super) type Curves = [Local; HOPS_MAX];

/// The input at which `out − in` is largest, at most `cap`, and the curves there; `None` if every
/// input loses.
pub(super) fn best_input(hops: &[Hop<'_>], cap: f64) -> Option<(f64, Curves)> {
    let mut curves = [Local::NONE; HOPS_MAX];
    let mut amount = 0.0_f64;
    let (mut low, mut high) = (0.0, f64::INFINITY);
    for round in 0..ROUNDS_MAX {
        let step = Step::at(hops, amount, &mut curves)?;
        if step.to_best > 0.0 {
            low = amount;
        } else if round == 0 {
            return None;
        } else {
            high = amount;
        }
        if low >= cap || high <= low * (1.0 + 2.0 * HAIR) {
            amount = low;
            break;
        }
        let (wanted, end) = (amount + step.to_best, step.end(amount));
        // Far above the start of its range an amount is too coarse to tell what lies below it.
        let is_above = step.to_best > 0.0 || wanted > (amount + step.down) * (1.0 + HAIR);
        let is_within = is_above && wanted >= amount + step.down && wanted <= amount + step.up;
        let next = if is_within || high == f64::INFINITY {
            wanted
        } else if round % HALVED_EVERY == 0 || end <= low || end >= high {
            low + (high - low) / 2.0
        } else {
            end
        };
        let next = next.max(low).min(high).min(cap);
        let is_still = (next - amount).abs() <= STILL * amount;
        amount = next;
        if is_within && (is_still || !step.is_rough) {
            break;
        }
    }
    Some((amount, curves))
}

/// From an amount, how far it is to the best one, and how far the curves reach.
struct Step {
    to_best: f64,
    down: f64,
    up: f64,
    is_rough: bool,
}

impl Step {
    fn at(hops: &[Hop<'_>], amount: f64, curves: &mut Curves) -> Option<Self> {
        let mut cycle = Mobius::IDENTITY;
        let mut step = Self { to_best: 0.0, down: -amount, up: f64::INFINITY, is_rough: false };
        let mut into = amount;
        for (curve, hop) in curves.iter_mut().zip(hops) {
            let local = Local::of(hop, into)?;
            let here = local.moved_to(into);
            let (down, up) = (cycle.input_for(local.from - into), cycle.input_for(local.to - into));
            // Above 0 by rounding only.
            step.down = step.down.max(down.min(0.0));
            step.up = step.up.min(if up >= 0.0 { up } else { f64::INFINITY });
            step.is_rough |= local.is_rough;
            *curve = local;
            cycle = cycle.then(here.curve);
            into = here.at_out;
        }
        step.to_best = if cycle.bend > 0.0 {
            (libm::sqrt(cycle.gain) - 1.0) / cycle.bend
        } else {
            f64::NEG_INFINITY
        };
        Some(step)
    }

    /// The end of the curves towards the best input, a hair into the next ones when that is below.
    const fn end(&self, amount: f64) -> f64 {
        if self.to_best > 0.0 { amount + self.up } else { (amount + self.down) * (1.0 - HAIR) }
    }
}

/// The range of a concentrated pool in which `amount` ends.
fn ranged(pool: &Concentrated, ticks: Ticks<'_>, way: Direction, amount: f64) -> Option<Local> {
    let is_down = way == Direction::ZeroForOne;
    let kept = 1.0 - f64::from(pool.fee_pips()) / 1e6;
    let mut price = q96_to_f64(pool.sqrt_price());
    if price <= 0.0 {
        return None;
    }
    // Added up exactly: what is left where all positions end is nothing, and not a rounding.
    let mut held = pool.liquidity();
    let mut place = ticks.above(pool.tick());
    let (mut paid, mut got) = (0.0, 0.0);
    for _ in 0..RANGES_MAX {
        let liquidity = float(held);
        let next = if is_down { place.checked_sub(1) } else { Some(place) };
        let (tick, net) =
            next.and_then(|place| ticks.at(place)).map_or((None, 0), |(tick, net)| {
                (Some(tick), if is_down { net.wrapping_neg() } else { net })
            });
        let [lowest, highest] = ticks.known();
        let end = sqrt_ratio(tick.unwrap_or(if is_down { lowest } else { highest }));
        let (room, out) = if is_down {
            (liquidity * (1.0 / end - 1.0 / price) / kept, liquidity * (price - end))
        } else {
            (liquidity * (end - price) / kept, liquidity * (1.0 / price - 1.0 / end))
        };
        let to = paid + room.max(0.0);
        if liquidity > 0.0 && amount < to * NEAR {
            let (square, reserve) = if is_down {
                (price * price, liquidity / price)
            } else {
                (1.0 / (price * price), liquidity * price)
            };
            let curve = Mobius { gain: kept * square, bend: kept / reserve };
            return Some(Local {
                at_in: paid,
                at_out: got,
                curve,
                from: paid,
                to,
                is_rough: false,
            });
        }
        (paid, got, price) = (to, got + out.max(0.0), end);
        let (Some(_), Some(next)) = (tick, held.checked_add_signed(net)) else { break };
        held = next;
        place = if is_down { place.saturating_sub(1) } else { place.saturating_add(1) };
    }
    // Here it ends: more gives nothing.
    let curve = Mobius { gain: 0.0, bend: f64::MIN_POSITIVE };
    Some(Local { at_in: paid, at_out: got, curve, from: paid, to: f64::INFINITY, is_rough: false })
}

/// A stable pool's price and curvature after `amount`.
fn stable(pool: &Solidly, way: Direction, amount: f64) -> Option<Local> {
    let (at_out, curve) = pool.stable_curve(way, amount)?;
    Some(Local { at_in: amount, at_out, curve, from: 0.0, to: f64::INFINITY, is_rough: true })
}

#[expect(clippy::cast_precision_loss, reason = "chooses candidates only")]
const fn float(value: u128) -> f64 {
    value as f64
}
