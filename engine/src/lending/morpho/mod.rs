//! Morpho Blue: isolated markets of one loan token against one collateral token.
//!
//! ```text
//! log ─► events ─► table: markets and borrowers, mirrored exactly, every change with its inverse
//!                    │
//!                    ├─► accrue (irm)                  the market as it will be at a block's time
//!                    └─► health, liquidate, preliquidation   what the contract would answer then
//! ```
//!
//! The arithmetic is pure: functions over `Copy` structs, which round and refuse as the contract
//! does. Amounts are the contract's: totals and positions have 128 bits, prices 256.
//!
//! Invariant: health and amounts mean something for a market that is [accrued](Market::accrued) to
//! the time in question.
//!
//! Temperature: hot.
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::float_arithmetic))]

use alloy_primitives::{Address, B256, U256, keccak256};

pub mod accrue;
pub mod events;
pub mod follow;
pub mod health;
pub mod irm;
pub mod liquidate;
pub mod preliquidation;
pub mod shares;
pub mod table;
pub mod topics;

pub use self::accrue::Accrual;
pub use self::events::Event;
pub use self::follow::{Touched, Undo};
pub use self::health::{Health, health};
pub use self::liquidate::{Liquidation, Request, liquidate};
pub use self::preliquidation::{Prices, Terms, pre_liquidate};
pub use self::shares::Total;
pub use self::table::{MarketEntry, MarketId, PositionEntry, PositionId, Table};

use super::math::Fault;

/// One, in an oracle's price: what a unit of collateral is worth in units of the loan, times this.
pub const PRICE_SCALE: U256 =
    U256::from_limbs([0xb34b_9f10_0000_0000, 0x00c0_97ce_7bc9_0715, 0, 0]);
/// One, in the 18 decimals of what fits a word: loan-to-value limits, fees, rates at target.
pub const WAD_U64: u64 = 1_000_000_000_000_000_000;
/// Largest share of the interest that a market's fee may be (a quarter), in WAD.
pub const FEE_MAX: u64 = WAD_U64 / 4;

/// What makes a market: its parameters never change, and their hash is its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Params {
    /// What is lent.
    pub loan_token: Address,
    /// What it is lent against.
    pub collateral_token: Address,
    /// What answers `price()`.
    pub oracle: Address,
    /// What answers `borrowRate()`; zero if no interest is taken.
    pub irm: Address,
    /// Largest loan-to-value of a healthy position, in WAD; less than one.
    pub lltv: u64,
}

impl Params {
    /// The market's name: the hash of its five parameters, as the ABI encodes them.
    #[must_use]
    pub fn id(&self) -> B256 {
        let mut words = [[0; 32]; 5];
        let addresses = [self.loan_token, self.collateral_token, self.oracle, self.irm];
        for (word, address) in words.iter_mut().zip(addresses) {
            *word = address.into_word().0;
        }
        words[4] = U256::from(self.lltv).to_be_bytes();
        keccak256(words.as_flattened())
    }
}

/// Where a market's interest comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[repr(u8)]
pub enum Irm {
    /// There is none.
    #[default]
    None,
    /// Morpho's adaptive curve, whose arithmetic is in [`irm`].
    AdaptiveCurve,
    /// A contract that is not known here: its market cannot be carried forward.
    Unmodelled,
}

/// A market's state, with what the arithmetic needs of its parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Market {
    /// What was lent to it, interest included, and the shares in it.
    pub supply: Total,
    /// What was borrowed, interest included, and the shares in it.
    pub borrow: Total,
    /// When its interest was last added, in seconds of the chain's clock.
    pub last_update: u64,
    /// The share of the interest that is the protocol's, in WAD.
    pub fee: u64,
    /// The adaptive curve's rate at the target utilisation, per second in WAD; 0 before its first
    /// interest.
    pub rate_at_target: u64,
    /// Largest loan-to-value of a healthy position, in WAD.
    pub lltv: u64,
    /// Where its interest comes from.
    pub irm: Irm,
}

/// A borrower in one market. What he lent is not here: no liquidation depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Position {
    /// His shares of what is borrowed.
    pub borrow_shares: u128,
    /// His collateral, in units of the collateral token.
    pub collateral: u128,
}

impl Position {
    /// Neither debt nor collateral.
    pub const EMPTY: Self = Self { borrow_shares: 0, collateral: 0 };

    /// Whether there is neither debt nor collateral.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.borrow_shares == 0 && self.collateral == 0
    }
}

/// A number that the contract keeps in 128 bits.
///
/// # Errors
/// When it has more.
#[inline]
fn narrow(value: U256) -> Result<u128, Fault> {
    u128::try_from(value).map_or(Err(Fault::Overflow), Ok)
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{address, b256};

    use super::*;

    #[test]
    fn the_price_scale_is_a_power_of_ten() {
        assert_eq!(PRICE_SCALE, U256::from(10).pow(U256::from(36)));
    }

    /// The WETH against wstETH market of mainnet with a limit of 94.5 %.
    #[test]
    fn a_market_is_named_by_the_hash_of_its_parameters() {
        let params = Params {
            loan_token: address!("0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2"),
            collateral_token: address!("0x7f39C581F595B53c5cb19bD0b3f8dA6c935E2Ca0"),
            oracle: address!("0x2a01EB9496094dA03c4E364Def50f5aD1280AD72"),
            irm: address!("0x870aC11D48B15DB9a138Cf899d20F13F79Ba00BC"),
            lltv: 945_000_000_000_000_000,
        };
        let id = b256!("0xc54d7acf14de29e0e5527cabd7a576506870346a78a11a6762e2cca66322ec41");
        assert_eq!(params.id(), id);
    }
}
