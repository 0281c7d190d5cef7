//! The executor's calldata for a liquidation: a packed program, as `abi/Executor.sol` reads it.
//!
//! ```text
//! selector 4 | funding 1 | last block 8
//! profit token 20 | amount in 16 | least profit 16 | tip 16
//! lender 20 | protocol 1 | market 20 | borrower 20 | debt token 20 | paid 16 | size 16
//! oracle 20 | rate model 20 | lltv 8 | exit legs 1
//! exit: collateral 20 | least out 16 | zeros 32 | legs
//! entry, if there is one: profit token 20 | least out 16 | zeros 32 | legs
//! ```
//!
//! All numbers are big-endian; legs are those of [`calldata`](super::calldata).
//!
//! Temperature: hot.

use alloy_primitives::Address;

use super::calldata::Packer;
use crate::limits::{HOPS_MAX, LEG_BYTES, LIQUIDATION_HEADER_BYTES, PATH_HEADER_BYTES};
use crate::plan::Leg;
use crate::units::BlockNumber;
use crate::world::World;

/// First four bytes of `keccak256("liquidate()")`.
pub const LIQUIDATE: [u8; 4] = [0x28, 0xa0, 0x70, 0x25];
/// What stands in a path in the place of fields that only a program of swaps has.
const UNUSED: [u8; 32] = [0; 32];

/// What pays for the debt until the collateral is sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Funding {
    /// What the executor holds.
    Own,
    /// A flash loan of this Morpho Blue, which takes no fee.
    Morpho(Address),
    /// A flash loan of this Balancer V2 vault.
    Balancer(Address),
    /// A flash loan of this Aave V3 pool, which takes a premium.
    Aave(Address),
    /// The collateral itself: the market pays it before it takes the debt. Morpho's markets only.
    Market,
}

impl Funding {
    /// How many kinds there are.
    pub const KINDS: usize = 5;

    /// Its number in programs.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Own => 0,
            Self::Morpho(_) => 1,
            Self::Balancer(_) => 2,
            Self::Aave(_) => 3,
            Self::Market => 4,
        }
    }
}

/// How much is asked of a market of Morpho's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// These shares of the debt are repaid, whatever interest has made of them.
    Shares(u128),
    /// This collateral is seized, in its token's smallest unit.
    Seized(u128),
}

/// What is called, with what only that protocol needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `liquidationCall` of an Aave V3 pool, which takes at most what is to be paid.
    Aave,
    /// `buyCollateral` of a Comet.
    Comet {
        /// Whether the borrower is absorbed first.
        absorbs: bool,
        /// The collateral that must be had, in its token's smallest unit.
        least: u128,
    },
    /// `liquidate` of Morpho Blue.
    Morpho {
        /// The market's oracle.
        oracle: Address,
        /// The market's interest rate model.
        rate_model: Address,
        /// The market's loan-to-value at which it liquidates, in 1e-18.
        lltv: u64,
        /// How much.
        size: Size,
    },
    /// `preLiquidate` of a contract that a borrower of Morpho Blue has authorised.
    PreLiquidation(Size),
}

impl Protocol {
    /// How many numbers there are.
    pub const NUMBERS: usize = 7;

    /// Its number in programs.
    #[must_use]
    pub const fn number(&self) -> u8 {
        match self {
            Self::Aave => 0,
            Self::Comet { absorbs: false, .. } => 1,
            Self::Comet { absorbs: true, .. } => 2,
            Self::Morpho { size: Size::Shares(_), .. } => 3,
            Self::Morpho { size: Size::Seized(_), .. } => 4,
            Self::PreLiquidation(Size::Shares(_)) => 5,
            Self::PreLiquidation(Size::Seized(_)) => 6,
        }
    }

    /// The number that says how much.
    const fn size(&self) -> u128 {
        match *self {
            Self::Aave => 0,
            Self::Comet { least, .. } => least,
            Self::Morpho { size: Size::Shares(size) | Size::Seized(size), .. }
            | Self::PreLiquidation(Size::Shares(size) | Size::Seized(size)) => size,
        }
    }
}

/// Swaps from one token to another, each of which takes what the one before pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    legs: [Leg; HOPS_MAX],
    count: u8,
    /// What must come out at least, in the last token's smallest unit.
    pub least_out: u128,
}

impl Path {
    /// From a token to itself.
    pub const NONE: Self = Self { legs: [Leg::NONE; HOPS_MAX], count: 0, least_out: 0 };

    /// These swaps; `None` if they are more than a path may have.
    #[must_use]
    pub fn new(legs: &[Leg], least_out: u128) -> Option<Self> {
        let mut path = Self { least_out, ..Self::NONE };
        path.legs.get_mut(..legs.len())?.copy_from_slice(legs);
        path.count = u8::try_from(legs.len()).ok()?;
        Some(path)
    }

    /// The swaps.
    #[must_use]
    pub fn legs(&self) -> &[Leg] {
        self.legs.get(..usize::from(self.count)).unwrap_or_default()
    }

    fn packed_bytes(&self) -> usize {
        PATH_HEADER_BYTES + usize::from(self.count) * LEG_BYTES
    }

    fn write(&self, token_in: Address, world: &World, text: &mut Packer<'_>) -> Option<()> {
        text.put(token_in.as_slice())?;
        text.put(&self.least_out.to_be_bytes())?;
        text.put(&UNUSED)?;
        self.legs().iter().try_for_each(|leg| text.put_leg(leg, world))
    }
}

/// A liquidation by the executor, with the swaps before and after it, before it is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Liquidation {
    /// What pays until the collateral is sold.
    pub funding: Funding,
    /// Later than this block it reverts.
    pub last_block: BlockNumber,
    /// The token that it starts from and ends in.
    pub profit_token: Address,
    /// What is lent, and what goes into the entry, in the profit token's smallest unit; 0 if there
    /// is neither.
    pub amount_in: u128,
    /// Below this profit, in the profit token's smallest unit, it reverts.
    pub least_profit: u128,
    /// Paid to the block's producer by a call, in wei.
    pub tip: u128,
    /// How the market is called.
    pub protocol: Protocol,
    /// The contract that liquidates.
    pub market: Address,
    /// Whose position it is.
    pub borrower: Address,
    /// What is repaid.
    pub debt_token: Address,
    /// What is had for it.
    pub collateral: Address,
    /// What is paid to the market, in the debt token's smallest unit: exactly that by a Comet, at
    /// most that by the others.
    pub paid: u128,
    /// From the collateral to the profit token.
    pub exit: Path,
    /// From the profit token to the debt token.
    pub entry: Path,
}

impl Liquidation {
    /// Its length when it is packed, in bytes.
    #[must_use]
    pub fn packed_bytes(&self) -> usize {
        let entry = if self.has_entry() { self.entry.packed_bytes() } else { 0 };
        LIQUIDATION_HEADER_BYTES + self.exit.packed_bytes() + entry
    }

    /// Packs it into `out`, with the addresses and fees of the pools in `world`; `None` if that is
    /// not as long as it.
    #[must_use]
    pub fn write(&self, world: &World, out: &mut [u8]) -> Option<()> {
        if out.len() != self.packed_bytes() {
            return None;
        }
        let mut text = Packer::into(out);
        text.put(&LIQUIDATE)?;
        text.put(&[self.funding.number()])?;
        text.put(&self.last_block.0.to_be_bytes())?;
        text.put(self.profit_token.as_slice())?;
        for amount in [self.amount_in, self.least_profit, self.tip] {
            text.put(&amount.to_be_bytes())?;
        }
        text.put(self.lender().as_slice())?;
        self.write_call(&mut text)?;
        text.put(&[self.exit.count])?;
        self.exit.write(self.collateral, world, &mut text)?;
        if self.has_entry() {
            self.entry.write(self.profit_token, world, &mut text)?;
        }
        text.end()
    }

    fn write_call(&self, text: &mut Packer<'_>) -> Option<()> {
        text.put(&[self.protocol.number()])?;
        for address in [self.market, self.borrower, self.debt_token] {
            text.put(address.as_slice())?;
        }
        for amount in [self.paid, self.protocol.size()] {
            text.put(&amount.to_be_bytes())?;
        }
        let (oracle, rate_model, lltv) = match self.protocol {
            Protocol::Morpho { oracle, rate_model, lltv, .. } => (oracle, rate_model, lltv),
            Protocol::Aave | Protocol::Comet { .. } | Protocol::PreLiquidation(_) => {
                (Address::ZERO, Address::ZERO, 0)
            }
        };
        text.put(oracle.as_slice())?;
        text.put(rate_model.as_slice())?;
        text.put(&lltv.to_be_bytes())
    }

    const fn lender(&self) -> Address {
        match self.funding {
            Funding::Own => Address::ZERO,
            Funding::Morpho(lender) | Funding::Balancer(lender) | Funding::Aave(lender) => lender,
            Funding::Market => self.market,
        }
    }

    /// An entry that does nothing is left out.
    const fn has_entry(&self) -> bool {
        self.entry.count != 0
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::keccak256;

    use super::*;

    #[test]
    fn the_selector_is_that_of_liquidate() {
        assert_eq!(LIQUIDATE, keccak256("liquidate()")[..4]);
    }

    #[test]
    fn a_path_has_as_many_legs_as_a_cycle_at_most() {
        let legs = [Leg::NONE; HOPS_MAX + 1];
        assert_eq!(Path::new(&legs, 1), None);
        let path = Path::new(&legs[1..], 1).unwrap();
        assert_eq!((path.legs().len(), path.least_out), (HOPS_MAX, 1));
        assert_eq!(Path::new(&[], 0), Some(Path::NONE));
    }
}
