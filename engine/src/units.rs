//! Newtypes for what must not be mixed up, and their only conversions.
//!
//! Amounts of tokens are `u128` in the token's smallest unit: a V2 reserve has 112 bits, and an
//! amount that does not fit is refused where it enters.
//!
//! Temperature: hot.

use core::fmt;

/// A block's height.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct BlockNumber(pub u64);

impl BlockNumber {
    /// The height `count` blocks later.
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }
}

/// A point in time, in nanoseconds from a start that the feed chose. Only differences mean
/// anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Nanos(pub u64);

impl Nanos {
    /// Time since `earlier`, in nanoseconds; 0 if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// So many nanoseconds later; saturates.
    #[must_use]
    pub const fn plus(self, nanos: u64) -> Self {
        Self(self.0.saturating_add(nanos))
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

/// Why a text is no amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AmountError {
    /// Not a number and a unit.
    Shape,
    /// A unit other than wei, gwei and ether.
    Unit,
    /// Digits below one wei.
    TooFine,
    /// More than 2^128 − 1 wei.
    TooLarge,
}

impl fmt::Display for AmountError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Shape => "no amount; write for example \"0.05 ether\" or \"30 gwei\"",
            Self::Unit => "no such unit; use wei, gwei or ether",
            Self::TooFine => "finer than one wei",
            Self::TooLarge => "more than 2^128 wei",
        })
    }
}

impl core::error::Error for AmountError {}

impl core::str::FromStr for Wei {
    type Err = AmountError;

    /// Reads an amount as people write it: `0.05 ether`, `30 gwei`, `1 wei`. Exact; nothing is
    /// rounded.
    fn from_str(text: &str) -> Result<Self, AmountError> {
        let (number, unit) = text.trim().split_once(' ').ok_or(AmountError::Shape)?;
        let decimals = match unit.trim() {
            "ether" => 18,
            "gwei" => 9,
            "wei" => 0,
            _ => return Err(AmountError::Unit),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() {
            return Err(AmountError::Shape);
        }
        if fraction.len() > decimals {
            return Err(AmountError::TooFine);
        }
        let zeros = core::iter::repeat_n(b'0', decimals - fraction.len());
        let digits = whole.bytes().chain(fraction.bytes()).chain(zeros);
        digits
            .into_iter()
            .try_fold(0_u128, |sum, digit| {
                let digit =
                    digit.is_ascii_digit().then(|| digit - b'0').ok_or(AmountError::Shape)?;
                let shifted = sum.checked_mul(10).ok_or(AmountError::TooLarge)?;
                shifted.checked_add(u128::from(digit)).ok_or(AmountError::TooLarge)
            })
            .map(Self)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Wei {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(AmountText)
    }
}

/// Takes an amount's text from a deserialiser.
#[cfg(feature = "serde")]
struct AmountText;

#[cfg(feature = "serde")]
impl serde::de::Visitor<'_> for AmountText {
    type Value = Wei;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an amount such as \"0.05 ether\" or \"30 gwei\"")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Wei, E> {
        text.parse().map_err(E::custom)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact() {
        let wei = |text: &str| text.parse::<Wei>().unwrap().0;
        assert_eq!(wei("0.05 ether"), 50_000_000_000_000_000);
        assert_eq!(wei("30 gwei"), 30_000_000_000);
        assert_eq!(wei("1 wei"), 1);
        assert_eq!(wei("0.000000000000000001 ether"), 1);
        assert_eq!(wei("1.5 gwei"), 1_500_000_000);
        assert_eq!(wei("340282366920938463463374607431768211455 wei"), u128::MAX);
    }

    #[test]
    fn what_is_no_amount_is_refused_with_a_reason() {
        for (text, reason) in [
            ("1", AmountError::Shape),
            ("1 eth", AmountError::Unit),
            ("-1 ether", AmountError::Shape),
            ("1e3 wei", AmountError::Shape),
            (". ether", AmountError::Shape),
            ("1..2 ether", AmountError::Shape),
            ("0.5 wei", AmountError::TooFine),
            ("999999999999999999999999 ether", AmountError::TooLarge),
        ] {
            assert_eq!(text.parse::<Wei>(), Err(reason), "{text}");
        }
    }

    #[test]
    fn a_share_never_overflows() {
        assert_eq!(Bps(5_000).of(u128::MAX), u128::MAX / 2);
        assert_eq!(Bps(1).of(9_999), 0);
        assert_eq!(Bps::ALL.of(12_345), 12_345);
    }
}
