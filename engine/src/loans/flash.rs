//! Flash loans: who lends a token for one transaction, and for least.
//!
//! Aave and Morpho lend what their books say that they have. What a vault of Balancer V2 holds no
//! event that is followed tells: it is read after each block. Anybody may take a part of it before
//! a plan lands, so half of it is believed; and nothing, once nobody has read it for some blocks,
//! or the block that it was read at was left. A block's undo needs no place for it: what was read
//! before is not believed again either.
//!
//! Temperature: hot.

use alloc::vec::Vec;

use alloy_primitives::{Address, U256};

use super::reread::{READ_EACH_MAX, VaultState};
use super::{Book, Lender, Loans, Trust};
use crate::ids::TokenId;
use crate::lending::math::{WAD, mul_div_up};
use crate::sign::liquidation::Funding;
use crate::units::BlockNumber;

/// Of what a vault held when it was read, so much is believed: one part in this.
const BELIEVED_PART: u128 = 2;
/// A basis point, in 1e-18.
const BPS: u64 = 100_000_000_000_000;

/// Who pays until the collateral is sold, and what that takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlashLender {
    /// Who.
    pub funding: Funding,
    /// What is taken, in 1e-18 of what is lent.
    pub fee: u64,
}

impl FlashLender {
    /// One who takes nothing.
    #[must_use]
    pub const fn free(funding: Funding) -> Self {
        Self { funding, fee: 0 }
    }

    /// What is taken for so much, in the same unit; `None` if no number is large enough. Rounded
    /// up, as Balancer's vault does: none of the lenders takes more.
    #[must_use]
    pub fn premium(&self, lent: u128) -> Option<u128> {
        let premium = mul_div_up(U256::from(lent), U256::from(self.fee), WAD).ok()?;
        u128::try_from(premium).ok()
    }
}

/// A vault of Balancer V2's, of which some tokens are followed.
#[derive(Clone, Debug)]
pub struct Vault {
    address: Address,
    /// What it takes, in 1e-18 of what is lent.
    fee: u64,
    /// What it held when it was read.
    holds: Vec<(TokenId, u128)>,
    /// The block that it was read at, as long as that is believed.
    read_at: Option<BlockNumber>,
}

impl Vault {
    /// A vault that was read, of which these tokens are followed. It is believed from when its
    /// loans come into the world.
    #[must_use]
    #[cold]
    pub fn new(address: Address, tokens: &[TokenId], state: &VaultState) -> Self {
        let holds = tokens.iter().map(|token| (*token, 0)).collect();
        let mut vault = Self { address, fee: 0, holds, read_at: None };
        vault.set(state);
        vault
    }

    /// Its contract.
    #[must_use]
    pub const fn address(&self) -> Address {
        self.address
    }

    fn set(&mut self, state: &VaultState) {
        self.fee = state.fee;
        for (place, (_, held)) in self.holds.iter_mut().enumerate() {
            *held = state.holds.get(place).copied().unwrap_or(0);
        }
    }

    /// Takes over what was read at a block.
    pub(super) fn take(&mut self, state: &VaultState, block: BlockNumber) {
        self.set(state);
        self.read_at = Some(block);
    }

    /// Was read at this block.
    pub(super) const fn loaded_at(&mut self, block: BlockNumber) {
        self.read_at = Some(block);
    }

    /// A block was sealed. If it is not above the one that this was read at, that one was left.
    pub(super) fn age(&mut self, block: BlockNumber) {
        let is_good = |read: &BlockNumber| *read < block && block <= read.plus(READ_EACH_MAX);
        self.read_at = self.read_at.filter(is_good);
    }

    /// What it could lend of a token, and for what.
    fn lends(&self, token: TokenId) -> Option<(u128, FlashLender)> {
        self.read_at?;
        let (_, held) = self.holds.iter().find(|(of, _)| *of == token)?;
        let lender = FlashLender { funding: Funding::Balancer(self.address), fee: self.fee };
        Some((held / BELIEVED_PART, lender))
    }
}

impl Loans {
    /// The same, with vaults that lend, too.
    ///
    /// # Panics
    /// When there are more than a byte counts.
    #[must_use]
    #[cold]
    pub fn with_vaults(self, vaults: Vec<Vault>) -> Self {
        assert!(vaults.len() <= usize::from(u8::MAX), "a vault has a number of a byte");
        Self { vaults, ..self }
    }

    /// Vaults that lend, by number.
    #[must_use]
    pub fn vaults(&self) -> &[Vault] {
        &self.vaults
    }

    /// Who lends so much of a token for one transaction for the least, and of those that take the
    /// same, the one that costs the least gas.
    #[must_use]
    pub fn lender(&self, token: TokenId, amount: u128) -> Option<FlashLender> {
        let books = self.books.iter().zip(&self.trusts).filter_map(|(book, trust)| {
            let (most, bps) = book.lends(token).filter(|_| *trust == Trust::Whole)?;
            let funding = match book {
                Book::Aave(book) => Funding::Aave(book.market.contracts().pool),
                Book::Morpho(book) => Funding::Morpho(book.address()),
                Book::Comet(_) => return None,
            };
            Some((most, FlashLender { funding, fee: u64::from(bps).saturating_mul(BPS) }))
        });
        let vaults = self.vaults.iter().filter_map(|vault| vault.lends(token));
        let enough = books.chain(vaults).filter(|(most, _)| *most >= amount);
        let priced = enough.filter_map(|(_, lender)| Some((lender.premium(amount)?, lender)));
        // Fundings are numbered by their gas.
        let least = priced.min_by_key(|(premium, lender)| (*premium, lender.funding.number()));
        least.map(|(_, lender)| lender)
    }
}
