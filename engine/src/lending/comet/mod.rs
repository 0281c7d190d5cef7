//! Compound III ("Comet"): one base asset that is lent, and collateral that is not.
//!
//! ```text
//! logs ──► events ──► table ──► accrue (to the target block) ──► health ──► absorb ──► store
//! ```
//!
//! [`accrue`] moves a market's indices to a timestamp, [`health`](mod@health) says who can be
//! absorbed and what an absorption leaves behind, [`store`] sells what the protocol took. All three
//! are functions of what they are given. [`events`] and [`layout`] read logs and storage words,
//! [`table`] keeps the mirror of several markets, with an inverse for every change.
//!
//! The judge is the deployed bytecode: `tests/it/comet.rs` holds every figure against it.
//!
//! Temperature: hot.
#![deny(clippy::arithmetic_side_effects, clippy::float_arithmetic)]

pub mod accrue;
pub mod events;
pub mod health;
pub mod layout;
pub mod store;
pub mod table;
#[cfg(test)]
mod tests;
pub mod topics;

use alloy_primitives::{Address, U256};

pub use self::accrue::{accrued, reserves, utilization};
pub use self::health::{Absorbed, Health, absorb, health, is_liquidatable};
pub use self::store::{Bought, buy, collateral_reserves, is_for_sale, most_base, quote_collateral};
use super::math::Fault;

/// Kinds of collateral that a market can have: as many as an account has bits for.
pub const ASSETS_MAX: usize = 24;
/// One, as an interest index.
pub const INDEX_SCALE: U256 = U256::from_limbs([1_000_000_000_000_000, 0, 0, 0]);
/// The largest principal: the contract keeps it in 104 bits with a sign.
pub const PRINCIPAL_MAX: u128 = (1 << 103) - 1;
/// The largest total of principals: the contract keeps it in 104 bits.
pub const TOTAL_MAX: u128 = (1 << 104) - 1;

/// Bits of [`Totals::pause`].
pub mod pause {
    /// Nothing can be supplied, nor repaid.
    pub const SUPPLY: u8 = 1;
    /// Nothing can be transferred.
    pub const TRANSFER: u8 = 1 << 1;
    /// Nothing can be withdrawn, nor borrowed.
    pub const WITHDRAW: u8 = 1 << 2;
    /// Nobody can be absorbed.
    pub const ABSORB: u8 = 1 << 3;
    /// No collateral is sold.
    pub const BUY: u8 = 1 << 4;
}

/// Interest per second as a function of utilisation; all in 18 decimals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Curve {
    /// Where the slope changes.
    pub kink: u64,
    /// Added per unit of utilisation up to the kink.
    pub slope_low: u64,
    /// Added per unit of utilisation above the kink.
    pub slope_high: u64,
    /// The rate when nothing is borrowed.
    pub base: u64,
}

/// What is fixed in an implementation's code; an upgrade may change all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The token that is lent.
    pub base_token: Address,
    /// The feed of its price.
    pub base_feed: Address,
    /// One whole base token, in its smallest unit.
    pub base_scale: u64,
    /// What lenders get.
    pub supply: Curve,
    /// What borrowers pay.
    pub borrow: Curve,
    /// The part of the liquidation penalty that buyers of collateral get, in 18 decimals.
    pub store_front_price_factor: u64,
    /// Base tokens of its own from which on the protocol no longer sells collateral.
    pub target_reserves: u128,
}

/// What a market's storage and its balance of base tokens say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Totals {
    /// Base tokens per unit of positive principal, in 15 decimals.
    pub supply_index: u64,
    /// Base tokens per unit of negative principal, in 15 decimals.
    pub borrow_index: u64,
    /// The sum of all positive principals.
    pub supply: u128,
    /// The sum of all negative principals, as a positive number.
    pub borrow: u128,
    /// The time that the indices stand at, in seconds.
    pub last_accrual: u64,
    /// What is paused: bits of [`pause`].
    pub pause: u8,
    /// Base tokens that the market holds.
    pub held: u128,
}

impl Totals {
    /// Whether any of the actions of `bits` (of [`pause`]) is paused.
    #[must_use]
    pub const fn is_paused(&self, bits: u8) -> bool {
        self.pause & bits != 0
    }
}

/// A market without its collateral.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Market {
    /// What is fixed.
    pub terms: Terms,
    /// What moves.
    pub totals: Totals,
}

/// A kind of collateral in a market.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asset {
    /// The token.
    pub token: Address,
    /// The feed of its price.
    pub feed: Address,
    /// One whole token, in its smallest unit.
    pub scale: u64,
    /// The part of its value that keeps an account from being absorbed, in 18 decimals.
    pub liquidate_factor: u64,
    /// The part of its value that an absorbed account is credited with, in 18 decimals.
    pub liquidation_factor: u64,
    /// What accounts have put in.
    pub total: u128,
    /// What the market holds; what is above the total is for sale.
    pub held: u128,
}

impl Asset {
    /// What is left when an absorbed account's `balance` has become the protocol's.
    ///
    /// # Errors
    /// When accounts have put in less.
    pub fn after_seizing(&self, balance: u128) -> Result<Self, Fault> {
        let total = self.total.checked_sub(balance).ok_or(Fault::Underflow)?;
        Ok(Self { total, ..*self })
    }
}

/// An account in a market.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account<'a> {
    /// Supplied if positive, borrowed if negative; an index makes it base tokens.
    pub principal: i128,
    /// Which kinds of collateral it has, a bit for each.
    pub assets_in: u32,
    /// How much of each; those past the end are zero.
    pub balances: &'a [u128],
}

impl<'a> Account<'a> {
    /// The kinds of collateral that it has with its balance of each, in the market's order.
    pub fn collateral<'m>(
        &self,
        assets: &'m [Asset],
    ) -> impl Iterator<Item = (u8, &'m Asset, u128)> + use<'a, 'm> {
        let Self { assets_in, balances, .. } = *self;
        let numbered = (0_u8..).zip(assets.iter().take(ASSETS_MAX));
        numbered.filter_map(move |(index, asset)| {
            let has = assets_in.checked_shr(u32::from(index)).unwrap_or(0) & 1 == 1;
            let balance = balances.get(usize::from(index)).copied().unwrap_or(0);
            has.then_some((index, asset, balance))
        })
    }
}

/// Whose price is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Priced {
    /// The base token's.
    Base,
    /// That of the collateral of this number.
    Asset(u8),
}

/// The price of `what`, which the contract takes only if it is positive and fits a signed word.
fn price(what: Priced, prices: &impl Fn(Priced) -> Result<U256, Fault>) -> Result<U256, Fault> {
    let price = prices(what)?;
    if price.is_zero() || price.bit(255) { Err(Fault::NoPrice) } else { Ok(price) }
}

/// `value`, if it fits a signed word.
const fn signed(value: U256) -> Result<U256, Fault> {
    if value.bit(255) { Err(Fault::Overflow) } else { Ok(value) }
}

/// `value` in 128 bits.
fn narrow(value: U256) -> Result<u128, Fault> {
    u128::try_from(value).ok().ok_or(Fault::Overflow)
}
