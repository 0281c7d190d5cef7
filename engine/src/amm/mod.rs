//! Pools: what a swap pays, to the wei.
//!
//! Everything after the world's state and before a plan's amounts goes through here: the search
//! screens with [`Amm::mobius`] and sizes with [`Amm::quote_out`] and [`Amm::least_in`]; the
//! world moves pools with [`Amm::after_swap`] and [`Amm::with_reserves`].
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

pub mod constant_product;
pub mod math;

pub use self::constant_product::ConstantProduct;

use crate::ids::Direction;

/// What every kind of pool answers.
pub trait Amm: Copy {
    /// What comes out for exactly `amount_in`; `None` if the contract would refuse the swap.
    fn quote_out(&self, amount_in: u128, direction: Direction) -> Option<u128>;

    /// What the contract's own formula asks for exactly `amount_out` (the router's `getAmountIn`,
    /// which may be one more than needed); `None` if it cannot be had.
    fn quote_in(&self, amount_out: u128, direction: Direction) -> Option<u128>;

    /// The least input for which [`quote_out`](Self::quote_out) gives at least `amount_out`.
    fn least_in(&self, amount_out: u128, direction: Direction) -> Option<u128>;

    /// The pool after a swap of these amounts; `None` if its state could not hold the result.
    /// Not checked against the formula: what the chain did is always right.
    fn after_swap(&self, amount_in: u128, amount_out: u128, direction: Direction) -> Option<Self>;

    /// The pool after the chain reported `reserves`, with our own `overlay` added. What the pool
    /// could not hold makes it empty, so that it trades no more.
    #[must_use]
    fn with_reserves(&self, reserves: [u128; 2], overlay: [i128; 2]) -> Self;

    /// The pool's curve near its present state, without rounding; `None` if it cannot trade.
    fn mobius(&self, direction: Direction) -> Option<Mobius>;
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

        impl Pool {
            /// See [`Amm::quote_out`].
            #[must_use]
            #[inline]
            pub fn quote_out(&self, amount_in: u128, direction: Direction) -> Option<u128> {
                match self { $(Self::$kind(pool) => pool.quote_out(amount_in, direction)),+ }
            }

            /// See [`Amm::quote_in`].
            #[must_use]
            #[inline]
            pub fn quote_in(&self, amount_out: u128, direction: Direction) -> Option<u128> {
                match self { $(Self::$kind(pool) => pool.quote_in(amount_out, direction)),+ }
            }

            /// See [`Amm::least_in`].
            #[must_use]
            #[inline]
            pub fn least_in(&self, amount_out: u128, direction: Direction) -> Option<u128> {
                match self { $(Self::$kind(pool) => pool.least_in(amount_out, direction)),+ }
            }

            /// See [`Amm::after_swap`].
            #[must_use]
            #[inline]
            pub fn after_swap(
                &self,
                amount_in: u128,
                amount_out: u128,
                direction: Direction,
            ) -> Option<Self> {
                match self {
                    $(Self::$kind(pool) => {
                        pool.after_swap(amount_in, amount_out, direction).map(Self::$kind)
                    })+
                }
            }

            /// See [`Amm::with_reserves`].
            #[must_use]
            #[inline]
            pub fn with_reserves(&self, reserves: [u128; 2], overlay: [i128; 2]) -> Self {
                match self {
                    $(Self::$kind(pool) => Self::$kind(pool.with_reserves(reserves, overlay))),+
                }
            }

            /// See [`Amm::mobius`].
            #[must_use]
            #[inline]
            pub fn mobius(&self, direction: Direction) -> Option<Mobius> {
                match self { $(Self::$kind(pool) => pool.mobius(direction)),+ }
            }
        }
    };
}

// ADD A POOL KIND HERE. The compiler or a test names each next step:
//  1. `engine/src/amm/<kind>.rs`: the state (`Copy`, with `NAME`), `impl Amm`, its unit tests;
//  2. the kind's name in this list, in CamelCase, and `pub mod <kind>;` above;
//  3. `engine/testdata/amm/<kind>.json`: golden quotes from the contract or an independent script
//     (`every_kind_has_golden_quotes` fails until it is there, and shows the form);
//  4. its event topics in `engine/src/decode/`, and how they change the state in `world/`;
//  5. its loader in `src/bootstrap/`.
// Strategies need nothing: they see a `Pool` and ask it for quotes.
pools! { ConstantProduct }

#[cfg(test)]
mod tests;
