//! The Solidly pool, volatile and stable: Velodrome V2, Aerodrome and their like.
//!
//! The fee is taken from the input first, rounded down (`x − x·fee/10⁴`), and leaves the pool. A
//! volatile pool then is `x'·R_out / (R_in + x')`; a stable one keeps `x³y + xy³`, scaled to 18
//! decimals, from falling, and finds its new reserve by the contract's own Newton steps
//! (`Pool._get_y`), so that the rounding is the contract's. Aerodrome's form asks `_k` where this
//! one asks `_f`: it gives what is quoted here, also where it quotes a unit more, or nothing.
//!
//! Invariants: reserves have at most 112 bits and tokens at most 24 decimals, beyond which a quote
//! is `None`; so is one whose arithmetic would overflow in the contract or that does not converge.
//!
//! Temperature: hot.

use alloy_primitives::U256;

use super::constant_product::{PIPS, RESERVE_MAX};
use super::math::{mul_div_ceil, mul_div_floor, narrow};
use super::ticks::Ticks;
use super::{Amm, Mobius, Reach, Swapped, least_near};
use crate::ids::Direction;

/// Most decimals of a token: 10 to this power still fits the scales.
pub const DECIMALS_MAX: u8 = 24;
const ONE: U256 = U256::from_limbs([1_000_000_000_000_000_000, 0, 0, 0]);
const WHOLE: u128 = 1_000_000;
const ROUNDS_MAX: u32 = 255;
/// Newton steps in floats: the last of them change nothing.
const FLOAT_ROUNDS: u32 = 16;

/// What a Solidly pool is made of; see [`Solidly::new`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SolidlyState {
    /// Reserves of token 0 and token 1.
    pub reserves: [u128; 2],
    /// Decimals of both tokens.
    pub decimals: [u8; 2],
    /// The fee, in millionths of the input: 100 for each ten-thousandth that the factory names.
    pub fee_pips: u32,
    /// Whether it keeps `x³y + xy³`; otherwise `xy`.
    pub is_stable: bool,
}

/// The state of a Solidly pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Solidly {
    reserves: [u128; 2],
    fee_pips: u32,
    decimals: [u8; 2],
    is_stable: bool,
}

impl Solidly {
    /// Its name in files, tables and reports.
    pub const NAME: &'static str = "solidly";

    /// A pool in this state; `None` if it is past what is computed here.
    #[must_use]
    pub const fn new(state: &SolidlyState) -> Option<Self> {
        let SolidlyState { reserves, decimals, fee_pips, is_stable } = *state;
        if reserves[0] > RESERVE_MAX
            || reserves[1] > RESERVE_MAX
            || fee_pips > PIPS
            || decimals[0] > DECIMALS_MAX
            || decimals[1] > DECIMALS_MAX
        {
            return None;
        }
        Some(Self { reserves, fee_pips, decimals, is_stable })
    }

    /// Its state, taken apart.
    #[must_use]
    pub const fn state(&self) -> SolidlyState {
        SolidlyState {
            reserves: self.reserves,
            decimals: self.decimals,
            fee_pips: self.fee_pips,
            is_stable: self.is_stable,
        }
    }

    /// The same pool with other reserves; empty if they are too large.
    #[must_use]
    pub const fn with_reserves(&self, reserves: [u128; 2]) -> Self {
        let state = SolidlyState { reserves, ..self.state() };
        match Self::new(&state) {
            Some(pool) => pool,
            None => Self { reserves: [0; 2], ..*self },
        }
    }

    /// What of the input is the fee.
    #[inline]
    fn fee_on(&self, amount_in: u128) -> Option<u128> {
        mul_div_floor(amount_in, u128::from(self.fee_pips), WHOLE)
    }

    #[inline]
    fn out_of(&self, amount_in: u128, direction: Direction) -> Option<u128> {
        let (into, from) = (direction.index_in(), direction.index_out());
        let (reserve_in, reserve_out) = (self.reserves[into], self.reserves[from]);
        if reserve_in == 0 || reserve_out == 0 || amount_in > RESERVE_MAX {
            return None;
        }
        let net = amount_in.checked_sub(self.fee_on(amount_in)?)?;
        if !self.is_stable {
            return mul_div_floor(net, reserve_out, reserve_in.checked_add(net)?);
        }
        let (scale_in, scale_out) = (self.scale(into)?, self.scale(from)?);
        let held_in = to_18(U256::from(reserve_in), scale_in)?;
        let held_out = to_18(U256::from(reserve_out), scale_out)?;
        let kept = invariant(held_in, held_out)?;
        let after_in = held_in.checked_add(to_18(U256::from(net), scale_in)?)?;
        let after_out = new_reserve(after_in, kept, held_out)?;
        debug_assert!(
            invariant(after_in, after_out) >= Some(kept),
            "the pool checks this when it has paid, and reverts with `K`"
        );
        let out = held_out.checked_sub(after_out)?.checked_mul(scale_out)?.checked_div(ONE)?;
        narrow(out)
    }

    #[inline]
    fn scale(&self, token: usize) -> Option<U256> {
        Some(U256::from(10_u128.checked_pow(u32::from(*self.decimals.get(token)?))?))
    }

    /// What a stable pool gives for `amount`, without rounding, and the curve that goes on from
    /// there with the same price and curvature; `None` if it cannot trade.
    #[must_use]
    #[expect(clippy::float_arithmetic, reason = "chooses candidates only")]
    pub fn stable_curve(&self, direction: Direction, amount: f64) -> Option<(f64, Mobius)> {
        let [held, start, unit_in, unit_out, kept] = self.scaled(direction);
        if held <= 0.0 || start <= 0.0 || kept <= 0.0 {
            return None;
        }
        let x = held + amount * kept / unit_in;
        let value = |x: f64, y: f64| x * y * (x * x + y * y);
        let target = value(held, start);
        let mut y = start;
        for _ in 0..FLOAT_ROUNDS {
            y -= (value(x, y) - target) / (x * x * x + 3.0 * x * y * y);
            y = y.max(0.0);
        }
        // Along x³y + xy³ = k: y' = −(3x²y + y³) / (x³ + 3xy²), and once more.
        let (top, bottom) = (3.0 * x * x * y + y * y * y, x * x * x + 3.0 * x * y * y);
        let first = -top / bottom;
        let top_first = 6.0 * x * y + (3.0 * x * x + 3.0 * y * y) * first;
        let bottom_first = 3.0 * x * x + 3.0 * y * y + 6.0 * x * y * first;
        let second = -(top_first * bottom - top * bottom_first) / (bottom * bottom);
        let gain = -first * kept * unit_out / unit_in;
        let bend = (second / (2.0 * -first) * kept / unit_in).max(f64::MIN_POSITIVE);
        Some(((start - y) * unit_out, Mobius { gain, bend }))
    }

    /// Reserves with their decimals taken out, and the share of the input that is kept.
    #[expect(
        clippy::as_conversions,
        clippy::cast_precision_loss,
        clippy::float_arithmetic,
        reason = "chooses candidates only"
    )]
    fn scaled(&self, direction: Direction) -> [f64; 5] {
        let (into, from) = (direction.index_in(), direction.index_out());
        let unit = |token: usize| libm::exp10(f64::from(self.decimals[token]));
        let (unit_in, unit_out) = (unit(into), unit(from));
        let kept = f64::from(PIPS.saturating_sub(self.fee_pips)) / 1e6;
        let (x, y) = (self.reserves[into] as f64 / unit_in, self.reserves[from] as f64 / unit_out);
        [x, y, unit_in, unit_out, kept]
    }
}

/// `value · 10¹⁸ / scale`.
#[inline]
fn to_18(value: U256, scale: U256) -> Option<U256> {
    value.checked_mul(ONE)?.checked_div(scale)
}

/// `left · right / 10¹⁸`.
#[inline]
fn times(left: U256, right: U256) -> Option<U256> {
    left.checked_mul(right)?.checked_div(ONE)
}

/// `Pool._f` and, with scaled reserves, `Pool._k`; of one `x` and many `y` see [`Slice`].
#[inline]
fn invariant(x: U256, y: U256) -> Option<U256> {
    invariant_of([x, times(x, x)?], y)
}

/// The same, of `x` and its square.
#[inline]
fn invariant_of([x, x_squared]: [U256; 2], y: U256) -> Option<U256> {
    times(times(x, y)?, x_squared.checked_add(times(y, y)?)?)
}

/// `Pool._f` and `Pool._d` (how fast the invariant grows with `y`) at one `x`, whose powers they
/// ask for at every step.
struct Slice {
    x: U256,
    three_x: U256,
    x_squared: U256,
    x_cubed: U256,
}

impl Slice {
    fn at(x: U256) -> Option<Self> {
        let x_squared = times(x, x)?;
        let (three_x, x_cubed) = (x.checked_mul(U256::from(3))?, times(x_squared, x)?);
        Some(Self { x, three_x, x_squared, x_cubed })
    }

    #[inline]
    fn invariant(&self, y: U256) -> Option<U256> {
        invariant_of([self.x, self.x_squared], y)
    }

    #[inline]
    fn slope(&self, y: U256) -> Option<U256> {
        times(self.three_x, times(y, y)?)?.checked_add(self.x_cubed)
    }
}

/// `Pool._get_y`: the reserve at which the invariant is `kept` again.
fn new_reserve(x: U256, kept: U256, start: U256) -> Option<U256> {
    let slice = Slice::at(x)?;
    let mut y = start;
    for _ in 0..ROUNDS_MAX {
        let (value, slope) = (slice.invariant(y)?, slice.slope(y)?);
        if value < kept {
            let missing = kept.checked_sub(value)?.checked_mul(ONE)?;
            let mut change = missing.checked_div(slope)?;
            if change.is_zero() {
                let next = y.checked_add(U256::ONE)?;
                if slice.invariant(next)? > kept {
                    return Some(next);
                }
                change = U256::ONE;
            }
            y = y.checked_add(change)?;
        } else {
            let over = value.checked_sub(kept)?.checked_mul(ONE)?;
            let mut change = over.checked_div(slope)?;
            if change.is_zero() {
                if value == kept || slice.invariant(y.checked_sub(U256::ONE)?)? < kept {
                    return Some(y);
                }
                change = U256::ONE;
            }
            y = y.checked_sub(change)?;
        }
    }
    None
}

impl Amm for Solidly {
    #[inline]
    fn quote_out(&self, _ticks: Ticks<'_>, amount_in: u128, direction: Direction) -> Option<u128> {
        let out = self.out_of(amount_in, direction)?;
        let total = self.reserves[direction.index_in()].checked_add(amount_in)?;
        // The pool quotes the whole reserve where its arithmetic rounds to it, and keeps a unit.
        let is_all = out >= self.reserves[direction.index_out()];
        if out == 0 || is_all || total > RESERVE_MAX { None } else { Some(out) }
    }

    fn quote_in(&self, ticks: Ticks<'_>, amount_out: u128, direction: Direction) -> Option<u128> {
        // The contract has no formula for this direction: what is needed is the least that does.
        self.least_in(ticks, amount_out, direction)
    }

    fn least_in(&self, ticks: Ticks<'_>, amount_out: u128, direction: Direction) -> Option<u128> {
        let (into, from) = (direction.index_in(), direction.index_out());
        let left = self.reserves[from].checked_sub(amount_out)?;
        if amount_out == 0 || left == 0 {
            return None;
        }
        let net = if self.is_stable {
            let (scale_in, scale_out) = (self.scale(into)?, self.scale(from)?);
            let held_in = to_18(U256::from(self.reserves[into]), scale_in)?;
            let held_out = to_18(U256::from(self.reserves[from]), scale_out)?;
            let kept = invariant(held_in, held_out)?;
            let after = new_reserve(to_18(U256::from(left), scale_out)?, kept, held_in)?;
            let more = after.saturating_sub(held_in);
            narrow(more.checked_mul(scale_in)?.checked_div(ONE)?)?
        } else {
            mul_div_ceil(self.reserves[into], amount_out, left)?
        };
        // The least input of which `net` remains after the fee.
        let kept = WHOLE.checked_sub(u128::from(self.fee_pips))?;
        let seed = mul_div_floor(net.saturating_sub(1), WHOLE, kept)?.checked_add(1)?;
        least_near(seed, |amount| {
            self.quote_out(ticks, amount, direction).is_some_and(|out| out >= amount_out)
        })
    }

    fn swap_in(
        &self,
        ticks: Ticks<'_>,
        amount_in: u128,
        direction: Direction,
    ) -> Option<Swapped<Self>> {
        let amount_out = self.quote_out(ticks, amount_in, direction)?;
        let net = amount_in.checked_sub(self.fee_on(amount_in)?)?;
        let mut reserves = self.reserves;
        let (into, from) = (direction.index_in(), direction.index_out());
        reserves[into] = reserves[into].checked_add(net)?;
        reserves[from] = reserves[from].checked_sub(amount_out)?;
        let after = Self::new(&SolidlyState { reserves, ..self.state() })?;
        Some(Swapped { amount_in, amount_out, after })
    }

    fn swap_out(
        &self,
        ticks: Ticks<'_>,
        amount_out: u128,
        direction: Direction,
    ) -> Option<Swapped<Self>> {
        let amount_in = self.least_in(ticks, amount_out, direction)?;
        let swapped = self.swap_in(ticks, amount_in, direction)?;
        // What is paid is what was asked for, not what the formula would have given.
        let more = swapped.amount_out.checked_sub(amount_out)?;
        let mut reserves = swapped.after.reserves;
        let left = &mut reserves[direction.index_out()];
        *left = left.checked_add(more)?;
        let after = Self::new(&SolidlyState { reserves, ..self.state() })?;
        Some(Swapped { amount_in, amount_out, after })
    }

    #[expect(clippy::float_arithmetic, reason = "chooses candidates only")]
    fn mobius(&self, _ticks: Ticks<'_>, direction: Direction) -> Option<Mobius> {
        let [x, y, unit_in, unit_out, kept] = self.scaled(direction);
        if x <= 0.0 || y <= 0.0 || kept <= 0.0 {
            return None;
        }
        if self.is_stable {
            return self.stable_curve(direction, 0.0).map(|(_, curve)| curve);
        }
        let (gain, bend) = (y / x * kept * unit_out / unit_in, kept / (x * unit_in));
        Some(Mobius { gain, bend })
    }

    /// A stable pool stays near its price nearly to its end, so no curve bounds it.
    fn reach(&self, ticks: Ticks<'_>, direction: Direction) -> Option<(Mobius, Reach)> {
        let curve = self.mobius(ticks, direction)?;
        Some((curve, if self.is_stable { Reach::UNKNOWN } else { Reach::of(curve) }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pool(reserves: [u128; 2], decimals: [u8; 2], is_stable: bool) -> Solidly {
        Solidly::new(&SolidlyState { reserves, decimals, fee_pips: 500, is_stable }).unwrap()
    }

    #[test]
    fn a_stable_quote_is_the_references() {
        let pool = pool([5_000_000_000_000, 4_800_000_000_000_000_000_000_000], [6, 18], true);
        let out = pool.quote_out(Ticks::NONE, 10_000_000_000, Direction::ZeroForOne);
        assert_eq!(out, Some(9_994_802_876_115_632_270_050));
    }

    #[test]
    fn what_the_contract_would_refuse_is_refused() {
        let empty = pool([0, 5], [18, 18], true);
        assert_eq!(empty.quote_out(Ticks::NONE, 1, Direction::ZeroForOne), None);
        let state = empty.state();
        assert_eq!(Solidly::new(&SolidlyState { decimals: [25, 6], ..state }), None);
        assert_eq!(Solidly::new(&SolidlyState { reserves: [RESERVE_MAX + 1, 1], ..state }), None);
        let dust = pool([1, 1], [18, 18], true);
        assert_eq!(dust.quote_out(Ticks::NONE, 1_000, Direction::ZeroForOne), None);
        // All of a reserve is no output.
        let small = pool([52_128_780_688, 18], [18, 18], true);
        let much = 76_729_178_506_968_946_919_050_969;
        assert_eq!(small.quote_out(Ticks::NONE, much, Direction::ZeroForOne), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 2_000,
            failure_persistence: None,
            ..Default::default()
        })]

        #[test]
        fn the_least_input_is_enough_and_one_less_is_not(
            left in 1_u128..1_000_000_000, right in 1_u128..1_000_000_000,
            share in 1_u128..900, is_stable in any::<bool>(), decimals in (6_u8..=18, 6_u8..=18),
        ) {
            let scale = |whole: u128, decimals: u8| whole * 10_u128.pow(decimals.into());
            let reserves = [scale(left, decimals.0), scale(right, decimals.1)];
            let pool = pool(reserves, [decimals.0, decimals.1], is_stable);
            let wanted = (reserves[1] / 1_000 * share).max(1);
            let Some(least) = pool.least_in(Ticks::NONE, wanted, Direction::ZeroForOne) else {
                return Ok(());
            };
            let quote = |amount| pool.quote_out(Ticks::NONE, amount, Direction::ZeroForOne);
            prop_assert!(quote(least).unwrap() >= wanted);
            prop_assert!(quote(least - 1).unwrap_or(0) < wanted);
        }

        #[test]
        fn the_curve_is_the_quote_for_small_amounts(
            left in 1_000_u128..1_000_000_000, tilt in 1_u128..400, is_stable in any::<bool>(),
        ) {
            let ether = 1_000_000_000_000_000_000;
            let pool = pool([left * ether, left * tilt * ether / 20], [18, 18], is_stable);
            let amount = left * ether / 2_000;
            let out = pool.quote_out(Ticks::NONE, amount, Direction::ZeroForOne).unwrap() as f64;
            let Mobius { gain, bend } = pool.mobius(Ticks::NONE, Direction::ZeroForOne).unwrap();
            let estimate = gain * amount as f64 / bend.mul_add(amount as f64, 1.0);
            prop_assert!((estimate / out - 1.0).abs() < 1e-5, "{estimate} {out}");
        }
    }
}
