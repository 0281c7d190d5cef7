//! The concentrated pool: Uniswap V3 and its forks (Pancake V3 and others share the arithmetic).
//!
//! A swap walks from price to price: to the next initialised tick or the edge of its bitmap word,
//! whichever is nearer, as the contract's loop does (`UniswapV3Pool.swap`, v3-core 1.0.1), since
//! every step rounds by itself; a step is in `swap_math`.
//!
//! Invariants: the tick is the contract's own (landing on a boundary downwards it is one less than
//! the price's); a swap that would leave the known ticks, need more than 128 bits or more than
//! [`STEPS_MAX`] steps is `None`, and so is one without a price limit of its own that would not be
//! filled whole.
//!
//! Temperature: hot.

use alloy_primitives::{U128, U160, U256};

use super::ahead::Ahead;
use super::math::narrow;
use super::swap_math::{Curve, PIPS};
use super::tick_math::{SQRT_PRICE_MAX, SQRT_PRICE_MIN, sqrt_price_at, tick_at};
use super::ticks::{TICK_MAX, Ticks};
use super::{Amm, Exact, Mobius, Reach, Swapped, least_near};
use crate::ids::Direction;

/// Steps of one swap after which it is refused; a real swap takes a handful.
pub const STEPS_MAX: u32 = 1_024;

/// What a concentrated pool is made of; see [`Concentrated::new`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConcentratedState {
    /// Square root of token 1 per token 0, Q64.96; 0 before it is initialised.
    pub sqrt_price: U256,
    /// The current tick, as the contract has it.
    pub tick: i32,
    /// Liquidity in range.
    pub liquidity: u128,
    /// The fee, in millionths of the input.
    pub fee_pips: u32,
    /// Ticks that liquidity may begin and end at are multiples of it.
    pub tick_spacing: i32,
}

/// The state of a concentrated pool, without its ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concentrated {
    sqrt_price: U160,
    liquidity: U128,
    tick: i32,
    fee_pips: u32,
    tick_spacing: i32,
}

impl Concentrated {
    /// Its name in files, tables and reports.
    pub const NAME: &'static str = "concentrated";

    /// A pool in this state; `None` if no contract can be in it.
    #[must_use]
    pub fn new(state: &ConcentratedState) -> Option<Self> {
        let ConcentratedState { sqrt_price, tick, liquidity, fee_pips, tick_spacing } = *state;
        let has_price = (SQRT_PRICE_MIN..SQRT_PRICE_MAX).contains(&sqrt_price);
        let fits = fee_pips < PIPS && tick_spacing > 0 && tick_spacing < 1 << 15;
        if !fits
            || !(has_price || sqrt_price.is_zero())
            || tick.unsigned_abs() > TICK_MAX.unsigned_abs()
        {
            return None;
        }
        let sqrt_price = U160::from_limbs(*sqrt_price.as_limbs().first_chunk::<3>()?);
        let liquidity = U128::from(liquidity);
        Some(Self { sqrt_price, liquidity, tick, fee_pips, tick_spacing })
    }

    /// Its state, taken apart.
    #[must_use]
    pub fn state(&self) -> ConcentratedState {
        ConcentratedState {
            sqrt_price: self.sqrt_price(),
            tick: self.tick,
            liquidity: self.liquidity(),
            fee_pips: self.fee_pips,
            tick_spacing: self.tick_spacing,
        }
    }

    /// Square root of token 1 per token 0, Q64.96.
    #[must_use]
    #[inline]
    pub const fn sqrt_price(&self) -> U256 {
        let [low, middle, high] = *self.sqrt_price.as_limbs();
        U256::from_limbs([low, middle, high, 0])
    }

    /// Liquidity in range.
    #[must_use]
    #[inline]
    pub fn liquidity(&self) -> u128 {
        self.liquidity.to::<u128>()
    }

    /// The current tick.
    #[must_use]
    pub const fn tick(&self) -> i32 {
        self.tick
    }

    /// The fee, in millionths of the input.
    #[must_use]
    pub const fn fee_pips(&self) -> u32 {
        self.fee_pips
    }

    /// Ticks that liquidity may begin and end at are multiples of it.
    #[must_use]
    pub const fn tick_spacing(&self) -> i32 {
        self.tick_spacing
    }

    /// The pool after its liquidity between two ticks has changed; `None` if that cannot be.
    #[must_use]
    pub fn with_liquidity(&self, range: super::ticks::Range) -> Option<Self> {
        if self.tick < range.lower || self.tick >= range.upper {
            return Some(*self);
        }
        let liquidity = self.liquidity().checked_add_signed(range.amount)?;
        Some(Self { liquidity: U128::from(liquidity), ..*self })
    }

    /// Whether a swap may stop at this price: it lies ahead of the pool's, and within what pools
    /// can have (the contract reverts with `SPL` otherwise).
    #[must_use]
    #[inline]
    pub fn is_ahead(&self, price_limit: U256, direction: Direction) -> bool {
        let price = self.sqrt_price();
        match direction {
            Direction::ZeroForOne => price_limit > SQRT_PRICE_MIN && price_limit < price,
            Direction::OneForZero => price_limit > price && price_limit < SQRT_PRICE_MAX,
        }
    }

    /// The swap of an amount that stops at a price (`sqrtPriceLimitX96`, Q64.96), and the pool
    /// after it: what went in and came out may be less than was asked for. `None` if the contract
    /// would refuse it, or as the module says.
    #[must_use]
    pub fn swap_to(
        &self,
        ticks: Ticks<'_>,
        exact: Exact,
        direction: Direction,
        price_limit: U256,
    ) -> Option<Swapped<Self>> {
        if !self.is_ahead(price_limit, direction) {
            return None;
        }
        let walk = self.walk(ticks, exact, direction, price_limit)?;
        let asked = U256::from(exact.amount());
        let (fixed, other) = (narrow(asked.checked_sub(walk.remaining)?)?, narrow(walk.other)?);
        let (amount_in, amount_out) = match exact {
            Exact::In(_) => (fixed, other),
            Exact::Out(_) => (other, fixed),
        };
        Some(Swapped { amount_in, amount_out, after: self.after(&walk)? })
    }

    /// What the pool gives or takes for all of an exact amount, at whatever price.
    #[inline]
    fn swap(&self, ticks: Ticks<'_>, exact: Exact, direction: Direction) -> Option<Walk> {
        // What the routers say when they name no price: the last that a pool can have.
        let price_limit = match direction {
            Direction::ZeroForOne => SQRT_PRICE_MIN.wrapping_add(U256::ONE),
            Direction::OneForZero => SQRT_PRICE_MAX.wrapping_sub(U256::ONE),
        };
        self.walk(ticks, exact, direction, price_limit).filter(|walk| walk.remaining.is_zero())
    }

    /// The loop of `UniswapV3Pool.swap`, to the end of the amount or to the price limit.
    #[inline]
    fn walk(
        &self,
        ticks: Ticks<'_>,
        exact: Exact,
        direction: Direction,
        price_limit: U256,
    ) -> Option<Walk> {
        if self.sqrt_price.is_zero() {
            return None;
        }
        let mut walk = Walk {
            curve: Curve {
                price: self.sqrt_price(),
                liquidity: self.liquidity(),
                fee_pips: self.fee_pips,
                is_down: direction == Direction::ZeroForOne,
            },
            spacing: self.tick_spacing,
            is_exact_in: matches!(exact, Exact::In(_)),
            remaining: U256::from(exact.amount()),
            other: U256::ZERO,
            price_limit,
            tick: self.tick,
            place: 0,
        };
        if walk.remaining.is_zero() {
            return None;
        }
        walk.place = ticks.above(walk.compressed()?.checked_mul(self.tick_spacing)?);
        for _ in 0..STEPS_MAX {
            walk.step(ticks)?;
            if walk.is_done() {
                return Some(walk);
            }
        }
        None
    }

    fn after(&self, walk: &Walk) -> Option<Self> {
        let tick = match walk.tick_if_landed() {
            Some(tick) => tick,
            None => tick_at(walk.curve.price)?,
        };
        Self::new(&ConcentratedState {
            sqrt_price: walk.curve.price,
            tick,
            liquidity: walk.curve.liquidity,
            ..self.state()
        })
    }
}

/// A swap under way.
#[derive(Clone, Copy, Debug)]
struct Walk {
    curve: Curve,
    spacing: i32,
    is_exact_in: bool,
    /// What is still to go in, or to come out.
    remaining: U256,
    /// What has come out, or has gone in.
    other: U256,
    /// The price at which it ends in any case.
    price_limit: U256,
    /// [`TICK_UNKNOWN`] if the price is between ticks and no longer where it was.
    tick: i32,
    /// In the pool's list, the place of the first tick above the current one.
    place: usize,
}

const TICK_UNKNOWN: i32 = i32::MAX;

impl Walk {
    const fn tick_if_landed(&self) -> Option<i32> {
        if self.tick == TICK_UNKNOWN { None } else { Some(self.tick) }
    }

    fn is_done(&self) -> bool {
        self.remaining.is_zero() || self.curve.price == self.price_limit
    }

    /// The tick in units of the spacing, rounded down.
    const fn compressed(&self) -> Option<i32> {
        self.tick.checked_div_euclid(self.spacing)
    }

    /// The next tick to stop at, its net liquidity, and whether it is initialised.
    #[inline]
    fn next_tick(&self, ticks: Ticks<'_>) -> Option<(i32, Option<i128>)> {
        let spacing = self.spacing;
        let compressed = self.compressed()?;
        if self.curve.is_down {
            let edge = compressed.wrapping_shr(8).wrapping_shl(8).checked_mul(spacing)?;
            let found = self.place.checked_sub(1).and_then(|place| ticks.at(place));
            match found {
                Some((tick, net)) if tick >= edge => Some((tick, Some(net))),
                _ => Some((edge.max(TICK_MAX.checked_neg()?), None)),
            }
        } else {
            let first = compressed.checked_add(1)?;
            let edge = (first | 0xff).checked_mul(spacing)?;
            match ticks.at(self.place) {
                Some((tick, net)) if tick <= edge => Some((tick, Some(net))),
                _ => Some((edge.min(TICK_MAX), None)),
            }
        }
    }

    #[inline]
    fn step(&mut self, ticks: Ticks<'_>) -> Option<()> {
        let (next, net) = self.next_tick(ticks)?;
        let boundary = sqrt_price_at(next)?;
        let target = if self.curve.is_down {
            boundary.max(self.price_limit)
        } else {
            boundary.min(self.price_limit)
        };
        let step = if self.is_exact_in {
            self.curve.step_in(target, self.remaining)?
        } else {
            self.curve.step_out(target, self.remaining)?
        };
        let paid = step.amount_in.checked_add(step.fee)?;
        if self.is_exact_in {
            self.remaining = self.remaining.checked_sub(paid)?;
            self.other = self.other.checked_add(step.amount_out)?;
        } else {
            self.remaining = self.remaining.checked_sub(step.amount_out)?;
            self.other = self.other.checked_add(paid)?;
        }
        let has_moved = step.price != self.curve.price;
        self.curve.price = step.price;
        if self.curve.price == boundary {
            self.land(next, net)?;
            let [lowest, highest] = ticks.known();
            let is_out = if self.curve.is_down { next <= lowest } else { next >= highest };
            if is_out && !self.is_done() {
                return None;
            }
        } else if has_moved {
            self.tick = TICK_UNKNOWN;
            // More than one step within a range happens only if a step is cut by its own rounding.
            if !self.is_done() {
                self.tick = tick_at(self.curve.price)?;
            }
        }
        Some(())
    }

    /// The price has reached a tick.
    #[inline]
    fn land(&mut self, next: i32, net: Option<i128>) -> Option<()> {
        if let Some(net) = net {
            let net = if self.curve.is_down { net.checked_neg()? } else { net };
            self.curve.liquidity = self.curve.liquidity.checked_add_signed(net)?;
            self.place = if self.curve.is_down {
                self.place.checked_sub(1)?
            } else {
                self.place.checked_add(1)?
            };
        }
        self.tick = if self.curve.is_down { next.checked_sub(1)? } else { next };
        Some(())
    }
}

impl Amm for Concentrated {
    #[inline]
    fn quote_out(&self, ticks: Ticks<'_>, amount_in: u128, direction: Direction) -> Option<u128> {
        let out = narrow(self.swap(ticks, Exact::In(amount_in), direction)?.other)?;
        if out == 0 { None } else { Some(out) }
    }

    #[inline]
    fn quote_in(&self, ticks: Ticks<'_>, amount_out: u128, direction: Direction) -> Option<u128> {
        narrow(self.swap(ticks, Exact::Out(amount_out), direction)?.other)
    }

    #[inline]
    fn least_in(&self, ticks: Ticks<'_>, amount_out: u128, direction: Direction) -> Option<u128> {
        // An exact output rounds the price in the pool's favour; a unit or two less may do.
        let seed = self.quote_in(ticks, amount_out, direction)?;
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
        let walk = self.swap(ticks, Exact::In(amount_in), direction)?;
        Some(Swapped { amount_in, amount_out: narrow(walk.other)?, after: self.after(&walk)? })
    }

    fn swap_out(
        &self,
        ticks: Ticks<'_>,
        amount_out: u128,
        direction: Direction,
    ) -> Option<Swapped<Self>> {
        let walk = self.swap(ticks, Exact::Out(amount_out), direction)?;
        Some(Swapped { amount_in: narrow(walk.other)?, amount_out, after: self.after(&walk)? })
    }

    #[inline]
    fn mobius(&self, ticks: Ticks<'_>, direction: Direction) -> Option<Mobius> {
        let ahead = Ahead::of(self, ticks, direction)?;
        Some(ahead.curve(ahead.liquidity))
    }

    fn reach(&self, ticks: Ticks<'_>, direction: Direction) -> Option<(Mobius, Reach)> {
        let ahead = Ahead::of(self, ticks, direction)?;
        Some((ahead.curve(ahead.liquidity), ahead.reach(ticks)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amm::ticks::{Tick, TickArena};
    use crate::ids::PoolId;

    fn number(text: &str) -> U256 {
        text.parse().unwrap()
    }

    /// The pool of the reference's vectors, and its ticks.
    fn stage() -> (Concentrated, TickArena) {
        const E21: i128 = 1_000_000_000_000_000_000_000;
        let tick = |index, net: i128| Tick { index, net, gross: net.unsigned_abs() };
        let mut arena = TickArena::new(1, 8);
        let ticks = [tick(-600, E21), tick(-60, 5 * E21), tick(60, -5 * E21), tick(600, -E21)];
        arena.load(PoolId(0), &ticks).unwrap();
        let pool = Concentrated::new(&ConcentratedState {
            sqrt_price: U256::ONE << 96,
            tick: 0,
            liquidity: 6_000_000_000_000_000_000_000,
            fee_pips: 3_000,
            tick_spacing: 60,
        });
        (pool.unwrap(), arena)
    }

    #[test]
    fn swaps_within_a_range_and_through_a_tick_are_the_contracts() {
        const ETHER: u128 = 1_000_000_000_000_000_000;
        let (pool, arena) = stage();
        for (direction, amount, out, price, tick) in [
            (1, ETHER, 996_834_359_357_286_797, "79214999621827177310914120107", -4),
            (0, ETHER, 996_834_359_357_286_797, "79241327593935457850974077555", 3),
            (1, 30 * ETHER, 29_646_596_786_350_097_543, "78065899472254557428090234357", -296),
            (0, 30 * ETHER, 29_646_596_786_350_097_543, "80407729595399445921488344674", 295),
        ] {
            let direction =
                if direction == 1 { Direction::ZeroForOne } else { Direction::OneForZero };
            let swapped = pool.swap_in(arena.of(PoolId(0)), amount, direction).unwrap();
            assert_eq!((swapped.amount_out, swapped.after.tick()), (out, tick));
            assert_eq!(swapped.after.sqrt_price(), number(price));
        }
    }

    #[test]
    fn a_swap_that_would_leave_the_known_ticks_is_refused() {
        const ETHER: u128 = 1_000_000_000_000_000_000;
        let (pool, mut arena) = stage();
        arena.set_known(PoolId(0), [-60, 60]);
        let quote = |arena: &TickArena, amount| {
            pool.quote_out(arena.of(PoolId(0)), amount, Direction::ZeroForOne)
        };
        assert!(quote(&arena, 10 * ETHER).is_some());
        assert_eq!(quote(&arena, 30 * ETHER), None);
        arena.set_known(PoolId(0), [-TICK_MAX, TICK_MAX]);
        assert!(quote(&arena, 30 * ETHER).is_some());
        assert_eq!(quote(&arena, 100 * ETHER), None, "the liquidity ends");
    }

    #[test]
    fn a_swap_stops_at_its_price_and_takes_no_more_than_leads_there() {
        const ETHER: u128 = 1_000_000_000_000_000_000;
        let (pool, arena) = stage();
        let ticks = arena.of(PoolId(0));
        let to = |exact, tick: i32, direction| {
            pool.swap_to(ticks, exact, direction, sqrt_price_at(tick).unwrap())
        };
        let whole = pool.swap_in(ticks, 30 * ETHER, Direction::ZeroForOne);
        assert_eq!(to(Exact::In(30 * ETHER), -300, Direction::ZeroForOne), whole);
        let part = to(Exact::In(30 * ETHER), -100, Direction::ZeroForOne).unwrap();
        assert_eq!(part.after.sqrt_price(), sqrt_price_at(-100).unwrap());
        assert_eq!((part.after.tick(), part.after.liquidity()), (-100, 1_000 * ETHER));
        assert!(part.amount_in < 30 * ETHER && part.amount_out < whole.unwrap().amount_out);
        // What leads there fills whole, and one more does not.
        assert_eq!(to(Exact::In(part.amount_in), -100, Direction::ZeroForOne), Some(part));
        let out = to(Exact::Out(30 * ETHER), -100, Direction::ZeroForOne).unwrap();
        assert_eq!(out, part);
        // Landing on an initialised tick crosses it.
        let on_tick = to(Exact::In(30 * ETHER), 60, Direction::OneForZero).unwrap();
        assert_eq!((on_tick.after.tick(), on_tick.after.liquidity()), (60, 1_000 * ETHER));
        for (limit, direction) in [
            (pool.sqrt_price(), Direction::ZeroForOne),
            (pool.sqrt_price(), Direction::OneForZero),
            (SQRT_PRICE_MIN, Direction::ZeroForOne),
            (SQRT_PRICE_MAX, Direction::OneForZero),
            (U256::ZERO, Direction::ZeroForOne),
        ] {
            assert_eq!(pool.swap_to(ticks, Exact::In(1), direction, limit), None);
        }
    }

    #[test]
    fn a_state_that_no_contract_has_is_refused() {
        let (pool, _) = stage();
        let good = pool.state();
        for bad in [
            ConcentratedState { sqrt_price: SQRT_PRICE_MAX, ..good },
            ConcentratedState { sqrt_price: U256::from(1), ..good },
            ConcentratedState { tick: TICK_MAX + 1, ..good },
            ConcentratedState { fee_pips: PIPS, ..good },
            ConcentratedState { tick_spacing: 0, ..good },
        ] {
            assert_eq!(Concentrated::new(&bad), None, "{bad:?}");
        }
        assert!(Concentrated::new(&ConcentratedState { sqrt_price: U256::ZERO, ..good }).is_some());
    }
}
