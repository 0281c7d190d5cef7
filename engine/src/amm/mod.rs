//! Pools: what a swap pays, to the wei.
//!
//! Everything after the world's state and before a plan's amounts goes through here: the search
//! screens with [`Amm::reach`] and sizes with [`Amm::quote_out`] and [`Amm::least_in`]; the
//! world moves pools with [`Amm::swap_in`] and [`Amm::swap_out`]. A [`PoolView`] is a pool with
//! its ticks at hand.
//!
//! Invariants: quotes equal the contracts' integer arithmetic, rounding included; what a contract
//! would refuse is `None`; floats only ever choose candidates.
//!
//! Temperature: hot.

#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::integer_division,
        clippy::float_arithmetic,
        clippy::as_conversions
    )
)]

mod ahead;
pub mod concentrated;
pub mod constant_product;
pub mod math;
pub mod solidly;
mod swap_math;
pub mod tick_math;
pub mod ticks;

pub use self::concentrated::{Concentrated, ConcentratedState};
pub use self::constant_product::ConstantProduct;
pub use self::solidly::{Solidly, SolidlyState};
pub use self::ticks::{Tick, Ticks};

use crate::ids::Direction;

/// What a swap fixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exact {
    /// What goes in.
    In(u128),
    /// What comes out.
    Out(u128),
}

impl Exact {
    /// How much is fixed.
    #[must_use]
    #[inline]
    pub const fn amount(self) -> u128 {
        match self {
            Self::In(amount) | Self::Out(amount) => amount,
        }
    }
}

/// A swap and the pool after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swapped<P> {
    /// What goes in.
    pub amount_in: u128,
    /// What comes out.
    pub amount_out: u128,
    /// The pool then.
    pub after: P,
}

/// What every kind of pool answers. `ticks` are the pool's own; kinds without any ignore them.
pub trait Amm: Copy {
    /// What comes out for exactly `amount_in`; `None` if the contract would refuse the swap, or
    /// would not take all of it.
    fn quote_out(&self, ticks: Ticks<'_>, amount_in: u128, direction: Direction) -> Option<u128>;

    /// What is asked for exactly `amount_out` by the contract or, where it has no such swap, by
    /// its router (`getAmountIn`, which may be one more than needed); `None` if it cannot be had.
    fn quote_in(&self, ticks: Ticks<'_>, amount_out: u128, direction: Direction) -> Option<u128>;

    /// The least input for which [`quote_out`](Self::quote_out) gives at least `amount_out`.
    fn least_in(&self, ticks: Ticks<'_>, amount_out: u128, direction: Direction) -> Option<u128>;

    /// The swap of exactly `amount_in`, and the pool after it.
    fn swap_in(
        &self,
        ticks: Ticks<'_>,
        amount_in: u128,
        direction: Direction,
    ) -> Option<Swapped<Self>>;

    /// The swap that gives exactly `amount_out`, and the pool after it.
    fn swap_out(
        &self,
        ticks: Ticks<'_>,
        amount_out: u128,
        direction: Direction,
    ) -> Option<Swapped<Self>>;

    /// The pool's curve for the first of an input, without rounding; `None` if it cannot trade.
    fn mobius(&self, ticks: Ticks<'_>, direction: Direction) -> Option<Mobius>;

    /// The same curve, and what the pool can give at most; `None` if it cannot trade.
    fn reach(&self, ticks: Ticks<'_>, direction: Direction) -> Option<(Mobius, Reach)> {
        self.mobius(ticks, direction).map(|curve| (curve, Reach::of(curve)))
    }
}

/// The least amount that is enough, looked for around `seed`; `None` if none is found within a
/// bounded number of trials. What is more than enough is enough.
fn least_near(seed: u128, is_enough: impl Fn(u128) -> bool) -> Option<u128> {
    let (mut low, mut high) = (0, seed.max(1));
    let mut stride = 1_u128;
    if is_enough(high) {
        // Down, in strides that double, to something that is not enough.
        while high.saturating_sub(low) > 1 {
            let trial = high.saturating_sub(stride).max(low.saturating_add(1));
            stride = stride.saturating_mul(2);
            if is_enough(trial) {
                high = trial;
            } else {
                low = trial;
                break;
            }
        }
    } else {
        loop {
            low = high;
            high = high.checked_add(stride)?;
            stride = stride.checked_mul(2)?;
            if is_enough(high) {
                break;
            }
            if stride > STRIDE_MAX {
                return None;
            }
        }
    }
    while high.saturating_sub(low) > 1 {
        let middle = low.midpoint(high);
        if is_enough(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    Some(high)
}

/// A seed that is further off than this is no seed.
const STRIDE_MAX: u128 = 1 << 40;

/// A pool with its ticks: what quotes are asked of.
#[derive(Clone, Copy, Debug)]
pub struct PoolView<'w> {
    /// The pool.
    pub pool: &'w Pool,
    /// Its ticks.
    pub ticks: Ticks<'w>,
}

impl PoolView<'_> {
    /// See [`Amm::quote_out`].
    #[must_use]
    #[inline]
    pub fn quote_out(&self, amount_in: u128, direction: Direction) -> Option<u128> {
        self.pool.quote_out(self.ticks, amount_in, direction)
    }

    /// See [`Amm::quote_in`].
    #[must_use]
    #[inline]
    pub fn quote_in(&self, amount_out: u128, direction: Direction) -> Option<u128> {
        self.pool.quote_in(self.ticks, amount_out, direction)
    }

    /// See [`Amm::least_in`].
    #[must_use]
    #[inline]
    pub fn least_in(&self, amount_out: u128, direction: Direction) -> Option<u128> {
        self.pool.least_in(self.ticks, amount_out, direction)
    }

    /// See [`Amm::swap_in`].
    #[must_use]
    #[inline]
    pub fn swap_in(&self, amount_in: u128, direction: Direction) -> Option<Swapped<Pool>> {
        self.pool.swap_in(self.ticks, amount_in, direction)
    }

    /// See [`Amm::swap_out`].
    #[must_use]
    #[inline]
    pub fn swap_out(&self, amount_out: u128, direction: Direction) -> Option<Swapped<Pool>> {
        self.pool.swap_out(self.ticks, amount_out, direction)
    }

    /// See [`Amm::mobius`].
    #[must_use]
    #[inline]
    pub fn mobius(&self, direction: Direction) -> Option<Mobius> {
        self.pool.mobius(self.ticks, direction)
    }

    /// See [`Amm::reach`].
    #[must_use]
    #[inline]
    pub fn reach(&self, direction: Direction) -> Option<(Mobius, Reach)> {
        self.pool.reach(self.ticks, direction)
    }
}

/// The curve `out = gain·in / (1 + bend·in)`: any constant-product segment without its rounding.
///
/// `gain` is the price after the fee of an infinitely small swap; `1 / bend` is the input that
/// halves it. Cycles of such curves are composed in [`search::mobius`](crate::search::mobius).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mobius {
    /// Output per input where the input goes to 0, after the fee.
    pub gain: f64,
    /// How fast the price worsens, per unit of input.
    pub bend: f64,
}

/// Where the stretches of a price's fall end for which a pool's [`Reach`] is known apart, as the
/// share of it to which its square root has fallen.
pub const FALLS: [f64; 6] = [0.997, 0.985, 0.927, 0.8, 0.6, 0.0];

/// What a pool can give at most, stretch by stretch (see [`FALLS`]); infinite if that is not known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reach {
    /// Until the stretch ends it gives no more than the curve that starts at its price and gives
    /// this for an endless input.
    pub most: [f64; FALLS.len()],
    /// Of a cycle in which all else is a line, and whose prices multiply to `G`, it makes a gain of
    /// at most `(1 − 1/√G)²` times this, if `1/√G` is in the stretch.
    pub alone: [f64; FALLS.len()],
}

impl Reach {
    /// That of a pool that is this curve to its end.
    #[must_use]
    #[inline]
    #[expect(clippy::float_arithmetic, reason = "chooses candidates only")]
    pub fn of(curve: Mobius) -> Self {
        let most = [curve.gain / curve.bend; FALLS.len()];
        Self { most, alone: most }
    }

    /// That of a pool of which nothing is known.
    pub const UNKNOWN: Self =
        Self { most: [f64::INFINITY; FALLS.len()], alone: [f64::INFINITY; FALLS.len()] };
}

macro_rules! pools {
    ($($kind:ident),+ $(,)?) => {
        /// A pool of any kind, by value.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Pool {
            $(#[doc = concat!("A [`", stringify!($kind), "`] pool.")] $kind($kind)),+
        }

        /// The kind of a pool, without its state.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum PoolKind {
            $(#[doc = concat!("[`", stringify!($kind), "`].")] $kind),+
        }

        impl Pool {
            /// Every kind there is.
            pub const KINDS: &'static [PoolKind] = &[$(PoolKind::$kind),+];

            /// What kind it is.
            #[must_use]
            pub const fn kind(&self) -> PoolKind {
                match self { $(Self::$kind(_) => PoolKind::$kind),+ }
            }
        }

        impl PoolKind {
            /// The kind's name in files, tables and reports.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $kind::NAME),+ }
            }
        }

        $(impl From<$kind> for Pool {
            fn from(pool: $kind) -> Self {
                Self::$kind(pool)
            }
        })+

        impl Amm for Pool {
            #[inline]
            fn quote_out(
                &self,
                ticks: Ticks<'_>,
                amount_in: u128,
                direction: Direction,
            ) -> Option<u128> {
                match self { $(Self::$kind(pool) => pool.quote_out(ticks, amount_in, direction)),+ }
            }

            #[inline]
            fn quote_in(
                &self,
                ticks: Ticks<'_>,
                amount_out: u128,
                direction: Direction,
            ) -> Option<u128> {
                match self { $(Self::$kind(pool) => pool.quote_in(ticks, amount_out, direction)),+ }
            }

            #[inline]
            fn least_in(
                &self,
                ticks: Ticks<'_>,
                amount_out: u128,
                direction: Direction,
            ) -> Option<u128> {
                match self { $(Self::$kind(pool) => pool.least_in(ticks, amount_out, direction)),+ }
            }

            #[inline]
            fn swap_in(
                &self,
                ticks: Ticks<'_>,
                amount_in: u128,
                direction: Direction,
            ) -> Option<Swapped<Self>> {
                match self {
                    $(Self::$kind(pool) => {
                        pool.swap_in(ticks, amount_in, direction).map(Swapped::any_kind)
                    })+
                }
            }

            #[inline]
            fn swap_out(
                &self,
                ticks: Ticks<'_>,
                amount_out: u128,
                direction: Direction,
            ) -> Option<Swapped<Self>> {
                match self {
                    $(Self::$kind(pool) => {
                        pool.swap_out(ticks, amount_out, direction).map(Swapped::any_kind)
                    })+
                }
            }

            #[inline]
            fn mobius(&self, ticks: Ticks<'_>, direction: Direction) -> Option<Mobius> {
                match self { $(Self::$kind(pool) => pool.mobius(ticks, direction)),+ }
            }

            #[inline]
            fn reach(&self, ticks: Ticks<'_>, direction: Direction) -> Option<(Mobius, Reach)> {
                match self { $(Self::$kind(pool) => pool.reach(ticks, direction)),+ }
            }
        }
    };
}

impl<P: Into<Pool>> Swapped<P> {
    #[inline]
    fn any_kind(self) -> Swapped<Pool> {
        let Self { amount_in, amount_out, after } = self;
        Swapped { amount_in, amount_out, after: after.into() }
    }
}

impl Pool {
    /// What a pool that lives on reserves holds; `None` for one that lives on a price.
    #[must_use]
    pub const fn reserves(&self) -> Option<[u128; 2]> {
        match self {
            Self::ConstantProduct(pool) => Some(pool.reserves()),
            Self::Solidly(pool) => Some(pool.state().reserves),
            Self::Concentrated(_) => None,
        }
    }

    /// The pool as it is once trades of ours that the chain does not contain are laid over it, in
    /// token units: added to reserves, or swapped. What it could not hold makes it empty.
    #[must_use]
    pub fn with_overlay(&self, ticks: Ticks<'_>, overlay: [i128; 2]) -> Self {
        if overlay == [0; 2] {
            return *self;
        }
        let held = |reserves: [u128; 2]| {
            let ours = |token: usize| reserves[token].checked_add_signed(overlay[token]);
            ours(0).zip(ours(1)).map_or([0; 2], |(first, second)| [first, second])
        };
        match self {
            Self::ConstantProduct(pool) => pool.with_reserves(held(pool.reserves())).into(),
            Self::Solidly(pool) => pool.with_reserves(held(pool.state().reserves)).into(),
            Self::Concentrated(pool) => {
                let (direction, amount) = match overlay {
                    [paid, taken] if paid > 0 && taken <= 0 => (Direction::ZeroForOne, paid),
                    [_, paid] => (Direction::OneForZero, paid.max(0)),
                };
                let swapped = pool.swap_in(ticks, amount.unsigned_abs(), direction);
                swapped.map_or(*pool, |swapped| swapped.after).into()
            }
        }
    }
}

// ADD A POOL KIND HERE. The compiler or a test names each next step:
//  1. `engine/src/amm/<kind>.rs`: the state (`Copy`, with `NAME`), `impl Amm`, its unit tests;
//  2. the kind's name in this list, in CamelCase, and `pub mod <kind>;` above;
//  3. `engine/testdata/amm/<kind>.json`: golden quotes from the contract or an independent script
//     (`every_kind_has_golden_quotes` fails until it is there, and shows the form);
//  4. its event topics in `engine/src/decode/`, and how they change the state in `world/`;
//  5. its loader in `src/bootstrap/`.
// Strategies need nothing: they see a `Pool` and ask it for quotes.
pools! { ConstantProduct, Concentrated, Solidly }

#[cfg(test)]
mod tests;
