//! The mirror of several Comet markets: terms, totals, and the accounts that have collateral.
//!
//! Logs name who moved base tokens but not what their principals became. So a log of that kind
//! makes an account *stale*: it has no health until it was read again, at the hash of the block.
//! Logs about collateral are applied exactly. A log that contradicts the mirror makes what it is
//! about stale instead of being believed.
//!
//! What logs do not say: `accrueAccount` touches the indices in silence, so a market's totals are
//! worth a read at every block (two words); tokens that are sent to the market without a call of it
//! move [`Totals::held`](super::Totals::held) and [`Asset::held`]; and a borrower's transfer of
//! base tokens to another borrower writes no log at all, so an account is read once more before
//! money is put on it.
//!
//! Invariants: nothing is allocated after construction. Every change hands over its inverse, and
//! inverses that are undone last first restore what was, except for the counts.
//!
//! Temperature: hot.

mod change;
#[cfg(test)]
mod tests;
mod undo;

use alloc::vec::Vec;

use alloy_primitives::Address;
use hashbrown::HashMap;

pub use self::undo::Undo;
use super::{ASSETS_MAX, Account, Asset, Market};
use crate::lending::math::Fault;
use crate::lending::places::Places;
use crate::reserve;
use crate::world::hash::FixedState;

/// A market of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MarketId(pub u8);

/// An account of the table: one owner in one market.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId(pub u32);

impl AccountId {
    const fn index(self) -> usize {
        self.0 as usize
    }
}

/// How much the table has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Markets.
    pub markets: u8,
    /// Kinds of collateral in each of them, up to [`ASSETS_MAX`].
    pub assets: u8,
    /// Accounts in all of them.
    pub accounts: u32,
}

/// What of a market is to be read before its figures are right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unread {
    /// Nothing.
    Nothing,
    /// The two words of totals: they are those of the last read, so are the indices.
    Totals,
    /// Terms and collateral too: the market has no figures.
    #[default]
    All,
}

/// What did not go as logs usually do; all since the start, undone changes included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Accounts that found no room: nobody watches them.
    pub dropped: u64,
    /// Logs that contradicted the mirror, or named an unknown collateral.
    pub contradicted: u64,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    address: Address,
    market: Market,
    assets: [Asset; ASSETS_MAX],
    asset_count: u8,
    unread: Unread,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    market: MarketId,
    owner: Address,
    principal: i128,
    assets_in: u32,
}

/// Markets and accounts.
#[derive(Debug)]
pub struct CometTable {
    room: Room,
    markets: Vec<Place>,
    records: Vec<Record>,
    /// As many for each account as a market has room for kinds of collateral.
    balances: Vec<u128>,
    /// Accounts that are to be read.
    stale: Places,
    ids: HashMap<(MarketId, Address), AccountId, FixedState>,
    counts: Counts,
}

impl CometTable {
    /// An empty table.
    ///
    /// # Panics
    /// When a market would have room for more kinds of collateral than [`ASSETS_MAX`].
    #[must_use]
    #[cold]
    pub fn new(room: Room) -> Self {
        assert!(usize::from(room.assets) <= ASSETS_MAX, "an account has no more bits");
        let accounts = room.accounts as usize;
        let key = |number: u64| {
            let mut owner = [0; 20];
            owner[..8].copy_from_slice(&number.to_le_bytes());
            (MarketId(0), Address::new(owner))
        };
        Self {
            room,
            markets: Vec::with_capacity(usize::from(room.markets)),
            records: reserve::list(accounts),
            balances: reserve::list(accounts.saturating_mul(usize::from(room.assets))),
            stale: Places::new(accounts),
            ids: reserve::table(accounts, key),
            counts: Counts::default(),
        }
    }

    /// How much there is room for.
    #[must_use]
    pub const fn room(&self) -> Room {
        self.room
    }

    /// Adds a market, of which all is to be read.
    ///
    /// # Errors
    /// When there is no room, or it is there already.
    #[cold]
    pub fn insert_market(&mut self, address: Address) -> Result<MarketId, Fault> {
        let next = u8::try_from(self.markets.len()).ok().ok_or(Fault::Unknown)?;
        if next >= self.room.markets || self.market_id(&address).is_some() {
            return Err(Fault::Unknown);
        }
        self.markets.push(Place {
            address,
            market: Market::default(),
            assets: [Asset::default(); ASSETS_MAX],
            asset_count: 0,
            unread: Unread::All,
        });
        Ok(MarketId(next))
    }

    /// The market at an address.
    #[must_use]
    pub fn market_id(&self, address: &Address) -> Option<MarketId> {
        // There are a handful of markets on a chain: no table is faster.
        let numbered = (0_u8..).zip(&self.markets);
        numbered
            .into_iter()
            .find(|(_, place)| place.address == *address)
            .map(|(id, _)| MarketId(id))
    }

    /// A market and its collateral. While [`Self::unread`] says that the totals are to be read,
    /// these are those of the last read.
    ///
    /// # Errors
    /// When it is unknown, or all of it is to be read.
    pub fn market(&self, id: MarketId) -> Result<(&Market, &[Asset]), Fault> {
        let place = self.place(id)?;
        if place.unread == Unread::All {
            return Err(Fault::Unknown);
        }
        let assets = place.assets.get(..usize::from(place.asset_count)).ok_or(Fault::Unknown)?;
        Ok((&place.market, assets))
    }

    /// What of a market is to be read.
    ///
    /// # Errors
    /// When it is unknown.
    pub fn unread(&self, id: MarketId) -> Result<Unread, Fault> {
        Ok(self.place(id)?.unread)
    }

    /// Every market with its address.
    pub fn markets(&self) -> impl Iterator<Item = (MarketId, Address)> {
        (0_u8..).map(MarketId).zip(self.markets.iter().map(|place| place.address))
    }

    /// The account of an owner in a market.
    #[must_use]
    pub fn account_id(&self, market: MarketId, owner: Address) -> Option<AccountId> {
        self.ids.get(&(market, owner)).copied()
    }

    /// An account.
    ///
    /// # Errors
    /// When it is unknown, or stale: it is to be read first.
    pub fn account(&self, id: AccountId) -> Result<Account<'_>, Fault> {
        let record = self.record(id)?;
        if self.stale.has(id.0) {
            return Err(Fault::Unknown);
        }
        let (principal, assets_in) = (record.principal, record.assets_in);
        Ok(Account { principal, assets_in, balances: self.balances_of(id)? })
    }

    /// Whose an account is, and in which market.
    ///
    /// # Errors
    /// When it is unknown.
    pub fn owner(&self, id: AccountId) -> Result<(MarketId, Address), Fault> {
        let record = self.record(id)?;
        Ok((record.market, record.owner))
    }

    /// Every account's handle is below this one's.
    #[must_use]
    pub fn account_end(&self) -> AccountId {
        // There is no room for more accounts than a u32 counts.
        AccountId(u32::try_from(self.records.len()).unwrap_or(u32::MAX))
    }

    /// The accounts that are to be read, in order. Each stays one of them until it was: see
    /// [`Self::set_account`].
    pub fn stale(&self) -> impl Iterator<Item = AccountId> + '_ {
        self.stale.iter().map(AccountId)
    }

    /// What did not go as usual.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    fn place(&self, id: MarketId) -> Result<&Place, Fault> {
        self.markets.get(usize::from(id.0)).ok_or(Fault::Unknown)
    }

    fn record(&self, id: AccountId) -> Result<&Record, Fault> {
        self.records.get(id.index()).ok_or(Fault::Unknown)
    }

    fn span(&self, id: AccountId) -> core::ops::Range<usize> {
        let width = usize::from(self.room.assets);
        let start = id.index().saturating_mul(width);
        start..start.saturating_add(width)
    }

    fn balances_of(&self, id: AccountId) -> Result<&[u128], Fault> {
        self.balances.get(self.span(id)).ok_or(Fault::Unknown)
    }
}
