//! The inverses of a table's changes, and how they are applied.
//!
//! Temperature: hot.

use super::{AccountId, CometTable, MarketId, Record, Unread};
use crate::lending::comet::{Asset, Terms, Totals};
use crate::lending::math::Fault;

/// The inverse of one change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undo {
    /// An account was added.
    Added(AccountId),
    /// An account's principal, bits or staleness changed.
    Account {
        /// Whose.
        id: AccountId,
        /// What it was.
        principal: i128,
        /// What they were.
        assets_in: u32,
        /// What it was.
        is_stale: bool,
    },
    /// An account's balance of a collateral changed.
    Balance {
        /// Whose.
        id: AccountId,
        /// Of which collateral.
        index: u8,
        /// What it was.
        balance: u128,
    },
    /// A market's totals changed.
    Totals {
        /// Of which market.
        id: MarketId,
        /// What they were.
        totals: Totals,
        /// What was to be read.
        unread: Unread,
    },
    /// A market's terms changed.
    Terms {
        /// Of which market.
        id: MarketId,
        /// What they were.
        terms: Terms,
        /// How many kinds of collateral there were.
        assets: u8,
    },
    /// A collateral changed.
    Asset {
        /// Of which market.
        id: MarketId,
        /// Of which number.
        index: u8,
        /// What it was.
        asset: Asset,
    },
}

const _: () = assert!(size_of::<Undo>() <= 192, "undo logs hold many of them");

impl CometTable {
    /// Takes one change back. Changes are taken back last first.
    ///
    /// # Errors
    /// When it is not a change of this table; nothing is changed then.
    pub fn undo(&mut self, change: Undo) -> Result<(), Fault> {
        match change {
            Undo::Added(id) => self.remove(id),
            Undo::Account { id, principal, assets_in, is_stale } => {
                let record = self.record_mut(id)?;
                (record.principal, record.assets_in) = (principal, assets_in);
                self.stale.set(id.0, is_stale);
                Ok(())
            }
            Undo::Balance { id, index, balance } => {
                *self.balance_mut(id, index)? = balance;
                Ok(())
            }
            Undo::Totals { id, totals, unread } => {
                let place = self.place_mut(id)?;
                (place.market.totals, place.unread) = (totals, unread);
                Ok(())
            }
            Undo::Terms { id, terms, assets } => {
                let place = self.place_mut(id)?;
                (place.market.terms, place.asset_count) = (terms, assets);
                Ok(())
            }
            Undo::Asset { id, index, asset } => {
                let place = self.place_mut(id)?;
                *place.assets.get_mut(usize::from(index)).ok_or(Fault::Unknown)? = asset;
                Ok(())
            }
        }
    }

    /// Takes out the account that was added last.
    fn remove(&mut self, id: AccountId) -> Result<(), Fault> {
        let Record { market, owner, .. } = *self.record(id)?;
        if id.0.checked_add(1) != Some(self.account_end().0) {
            return Err(Fault::Unknown);
        }
        self.stale.set(id.0, false);
        self.ids.remove(&(market, owner));
        self.balances.truncate(self.span(id).start);
        self.records.pop();
        Ok(())
    }
}
