//! Newtypes for what must not be mixed up, and their only conversions.
//!
//! Amounts of tokens are `u128` in the token's smallest unit: a V2 reserve has 112 bits, and an
//! amount that does not fit is refused where it enters.
//!
//! Temperature: hot.

use core::fmt;

/// A block's height.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockNumber(pub u64);

impl BlockNumber {
    /// The height `count` blocks later.
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }
}

/// A point in time, in nanoseconds from a start that the feed chose. Only differences mean anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Nanos(pub u64);

impl Nanos {
    /// Time since `earlier`, in nanoseconds; 0 if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// An amount of the chain's native token, in wei.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Wei(pub u128);

impl Wei {
    /// The price of `gas` units at `self` wei per unit; saturates, so a cap still holds.
    #[must_use]
    pub const fn times_gas(self, gas: Gas) -> Self {
        Self(self.0.saturating_mul(gas.0 as u128))
    }

    /// Sum; saturates, so a cap still holds.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// What remains after `other`, or nothing if it is more.
    #[must_use]
    pub const fn less(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(rest) => Some(Self(rest)),
            None => None,
        }
    }
}

impl fmt::Debug for Wei {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} wei", self.0)
    }
}

/// Units of gas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Gas(pub u64);

/// A share in basis points: 10,000 is all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bps(pub u16);

impl Bps {
    /// All of it.
    pub const ALL: Self = Self(10_000);

    /// This share of `amount`, rounded down.
    #[must_use]
    pub const fn of(self, amount: u128) -> u128 {
        // Split, so that the product cannot overflow.
        let (whole, rest) = (amount / 10_000, amount % 10_000);
        whole.saturating_mul(self.0 as u128).saturating_add(rest * self.0 as u128 / 10_000)
    }
}
