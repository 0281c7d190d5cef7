//! What a price is made of, and the contracts' exact arithmetic for it.
//!
//! Three things can come of a price source, and they are told apart: a positive number, `Ok(0)`
//! where the contract answers zero (adapters do for feeds that answer zero or less), and a
//! [`Fault`] where it reverts; a feed that answers less than zero is [`Fault::NoPrice`].
//! What a protocol makes of zero is its own affair: Aave asks its fallback, Comet reverts, Morpho
//! takes it.
//!
//! Sources, by their code: `CLSynchronicityPriceAdapterPegToBase`, `PriceCapAdapterBase`,
//! `PriceCapAdapterStable` and `PendlePriceCapAdapter` of Aave; `ScalingPriceFeed`,
//! `MultiplicativePriceFeed`, `ReverseMultiplicativePriceFeed` and `WstETHPriceFeed` of Comet;
//! `MorphoChainlinkOracleV2`.
//!
//! Temperature: hot.
#![deny(clippy::arithmetic_side_effects, clippy::float_arithmetic)]

use alloy_primitives::U256;

use super::FeedId;
use crate::amm::math::mul_div_256;
use crate::lending::math::{Fault, YEAR_SECONDS};

/// A place in the arena of nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u16);

/// Shares of Aave's adapters are told in this.
const PERCENTAGE_FACTOR: U256 = U256::from_limbs([10_000, 0, 0, 0]);

/// A part of a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// The same at all times.
    Constant(U256),
    /// What a feed answers.
    Feed(FeedId),
    /// `⌊of · multiplier / divisor⌋`: other decimals.
    Scale {
        /// What is scaled.
        of: NodeId,
        /// A power of ten, or 1.
        multiplier: U256,
        /// A power of ten, or 1.
        divisor: U256,
    },
    /// `⌊left · right · multiplier / divisor⌋`; 0 if a part is.
    Product {
        /// The parts.
        of: [NodeId; 2],
        /// The scale of the result.
        multiplier: U256,
        /// The scales of both parts.
        divisor: U256,
    },
    /// `⌊⌊left · multiplier / right⌋ / divisor⌋`; 0 if a part is.
    Quotient {
        /// What is divided, and by what.
        of: [NodeId; 2],
        /// The scales of the result and of what divides.
        multiplier: U256,
        /// The scale of what is divided.
        divisor: U256,
    },
    /// `⌊scale · base / quote⌋` of two products of up to three, the last product of 512 bits.
    Market {
        /// `SCALE_FACTOR`.
        scale: U256,
        /// The vault and the feeds of the collateral; `None` stands for 1.
        base: [Option<NodeId>; 3],
        /// The vault and the feeds of the loan; `None` stands for 1.
        quote: [Option<NodeId>; 3],
    },
    /// `min(of, cap)`; 0 if it is negative.
    Capped {
        /// What is capped.
        of: NodeId,
        /// The cap.
        cap: U256,
    },
    /// `min(ratio, snapshot + growth · (now − since))`.
    GrowthCapped {
        /// The ratio.
        ratio: NodeId,
        /// What it was at `since`.
        snapshot: U256,
        /// How much more it may be with each second.
        growth: U256,
        /// When that was, in seconds.
        since: u64,
    },
    /// `of − ⌊of · ⌊(maturity − now) · per_year / year⌋ / 10,000⌋`.
    Discounted {
        /// What is discounted.
        of: NodeId,
        /// When the discount is over, in seconds.
        maturity: u64,
        /// Ten-thousandths a year.
        per_year: u16,
    },
    /// The first, or the second where the first is 0 or negative.
    Fallback([NodeId; 2]),
}

/// An int256 that is not negative.
#[inline]
pub(super) const fn signed(number: U256) -> Result<U256, Fault> {
    if number.bit(255) { Err(Fault::Overflow) } else { Ok(number) }
}

#[inline]
fn product(left: U256, right: U256) -> Result<U256, Fault> {
    signed(left.checked_mul(right).ok_or(Fault::Overflow)?)
}

#[inline]
fn quotient(left: U256, right: U256) -> Result<U256, Fault> {
    left.checked_div(right).ok_or(Fault::Overflow)
}

/// What an adapter that looks for "zero or less" makes of it.
#[inline]
pub(super) fn or_zero(value: Result<U256, Fault>) -> Result<U256, Fault> {
    if value == Err(Fault::NoPrice) { Ok(U256::ZERO) } else { value }
}

/// The value of `of · multiplier / divisor`.
#[inline]
pub(super) fn scaled(of: U256, multiplier: U256, divisor: U256) -> Result<U256, Fault> {
    quotient(product(of, multiplier)?, divisor)
}

/// The value of [`Node::Product`].
#[inline]
pub(super) fn multiplied(
    [left, right]: [U256; 2],
    multiplier: U256,
    divisor: U256,
) -> Result<U256, Fault> {
    if left.is_zero() || right.is_zero() {
        return Ok(U256::ZERO);
    }
    quotient(product(product(left, right)?, multiplier)?, divisor)
}

/// The value of [`Node::Quotient`].
#[inline]
pub(super) fn divided(
    [left, right]: [U256; 2],
    multiplier: U256,
    divisor: U256,
) -> Result<U256, Fault> {
    if left.is_zero() || right.is_zero() {
        return Ok(U256::ZERO);
    }
    quotient(quotient(product(left, multiplier)?, right)?, divisor)
}

/// The value of [`Node::Market`]: unsigned, as the contract has it.
#[inline]
pub(super) fn market(scale: U256, base: [U256; 3], quote: [U256; 3]) -> Result<U256, Fault> {
    let all = |parts: [U256; 3]| {
        let [first, second, third] = parts;
        first.checked_mul(second).and_then(|two| two.checked_mul(third)).ok_or(Fault::Overflow)
    };
    mul_div_256(scale, all(base)?, all(quote)?).ok_or(Fault::Overflow)
}

/// The most that a ratio may be at `at`, in seconds.
#[inline]
pub(super) fn growth_cap(snapshot: U256, growth: U256, since: u64, at: u64) -> Result<U256, Fault> {
    let passed = at.checked_sub(since).ok_or(Fault::Underflow)?;
    let grown = growth.checked_mul(U256::from(passed)).ok_or(Fault::Overflow)?;
    signed(snapshot.checked_add(grown).ok_or(Fault::Overflow)?)
}

/// What is left of a value that is discounted until `maturity`.
#[inline]
pub(super) fn discounted(
    value: U256,
    maturity: u64,
    per_year: u16,
    at: u64,
) -> Result<U256, Fault> {
    let left = U256::from(maturity.saturating_sub(at));
    let discount = quotient(product(left, U256::from(per_year))?, YEAR_SECONDS)?;
    let off = quotient(product(value, discount)?, PERCENTAGE_FACTOR)?;
    // Past the whole of it the contract's difference is negative, which no protocol takes.
    value.checked_sub(off).ok_or(Fault::NoPrice)
}

impl Node {
    /// What it is made of.
    pub(super) fn operands(&self) -> impl Iterator<Item = NodeId> + use<> {
        let (first, second) = match *self {
            Self::Constant(_) | Self::Feed(_) => ([None; 3], [None; 3]),
            Self::Scale { of, .. }
            | Self::Capped { of, .. }
            | Self::Discounted { of, .. }
            | Self::GrowthCapped { ratio: of, .. } => ([Some(of), None, None], [None; 3]),
            Self::Product { of: [left, right], .. }
            | Self::Quotient { of: [left, right], .. }
            | Self::Fallback([left, right]) => ([Some(left), Some(right), None], [None; 3]),
            Self::Market { base, quote, .. } => (base, quote),
        };
        first.into_iter().chain(second).flatten()
    }

    /// Whether its value is rounded.
    pub(super) const fn is_rounded(&self) -> bool {
        match self {
            Self::Constant(_)
            | Self::Feed(_)
            | Self::Capped { .. }
            | Self::GrowthCapped { .. }
            | Self::Fallback(_) => false,
            Self::Scale { .. }
            | Self::Product { .. }
            | Self::Quotient { .. }
            | Self::Market { .. }
            | Self::Discounted { .. } => true,
        }
    }
}
