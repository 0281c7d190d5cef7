//! The state of one market: reserves, categories and accounts, in memory that is taken once.
//!
//! Reserves and categories have the pool's own numbers. Accounts have dense ones, and a table finds
//! them by address; each has room for so many entries. Every change hands its inverse to the
//! caller, who plays them backwards through [`Market::undo`] when the chain does.
//!
//! Balances are never reckoned from a token's events, whose roundings differ by version: an account
//! that one touches is marked, and read anew at the block ([`Market::stale`],
//! [`Market::set_account`]).
//!
//! Invariants: capacities are fixed when the market is made; an account's number stays its own.
//!
//! Temperature: hot.
#![deny(clippy::arithmetic_side_effects, clippy::float_arithmetic)]

use alloc::vec;
use alloc::vec::Vec;

use alloy_primitives::Address;
use hashbrown::HashMap;

use super::index::Grown;
use super::{CATEGORIES, Category, Entry, Position, RESERVES_MAX, Reserve, Rules};
use crate::lending::math::Fault;
use crate::lending::places::Places;
use crate::reserve;
use crate::world::hash::FixedState;

/// How much a market has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Accounts with debt, ever.
    pub accounts: u32,
    /// Reserves that one account may use.
    pub entries: u8,
}

/// The contracts of a market.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contracts {
    /// The pool's proxy.
    pub pool: Address,
    /// The pool configurator's proxy.
    pub configurator: Address,
    /// The oracle.
    pub oracle: Address,
    /// The addresses provider.
    pub provider: Address,
}

/// A reserve's tokens; all zero where there is no reserve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The underlying.
    pub asset: Address,
    /// The collateral token.
    pub a_token: Address,
    /// The debt token.
    pub debt_token: Address,
}

/// What an account is beside its entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Its address.
    pub address: Address,
    /// Its category; 0 is none.
    pub category: u8,
    /// Entries that it has.
    pub(super) count: u8,
    /// Whether something moved since it was read.
    pub is_stale: bool,
    /// Whether it uses more reserves than there is room for; it has no health then.
    pub is_overfull: bool,
}

/// What takes a change back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undo {
    /// The market's rules were these.
    Rules(Option<Rules>),
    /// A reserve was this.
    Reserve(u16, Reserve),
    /// A reserve's tokens were these.
    Listing(u16, Listing),
    /// A category was this.
    Category(u8, Category),
    /// An account was this, beside its entries.
    Account(u32, Account),
    /// An entry of an account was this.
    Entry(u32, u8, Entry),
    /// The newest account was not there.
    Added,
}

/// Why a change was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Refused {
    /// There is no room for another account.
    Full,
    /// The account uses more reserves than there is room for: it is kept, without a health.
    Overfull,
    /// No such reserve, or the number is another reserve's.
    Reserve,
    /// No such account.
    Account,
}

/// How often something did not fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Accounts for which there was no room.
    pub full: u64,
    /// Accounts with more entries than there is room for.
    pub overfull: u64,
    /// Events of a contract that is none of the market's.
    pub strangers: u64,
}

/// One market.
#[derive(Debug)]
pub struct Market {
    pub(super) contracts: Contracts,
    pub(super) rules: Option<Rules>,
    pub(super) reserves: Vec<Reserve>,
    /// What their indices have grown to.
    grown: Vec<Grown>,
    pub(super) listings: Vec<Listing>,
    pub(super) categories: Vec<Category>,
    /// Reserves by the address of their underlying.
    by_asset: HashMap<Address, u16, FixedState>,
    /// Reserves by the addresses of their two tokens.
    by_token: HashMap<Address, u16, FixedState>,
    pub(super) accounts: Vec<Account>,
    /// Those of them that are stale.
    stale: Places,
    by_address: HashMap<Address, u32, FixedState>,
    /// [`Capacity::entries`] for each account.
    entries: Vec<Entry>,
    capacity: Capacity,
    pub(super) counts: Counts,
}

impl Market {
    /// An empty market at a revision of its pool.
    #[must_use]
    #[cold]
    pub fn new(contracts: Contracts, revision: u64, capacity: Capacity) -> Self {
        let room = capacity.accounts as usize;
        let reserves = usize::from(RESERVES_MAX);
        let entries = room.saturating_mul(usize::from(capacity.entries));
        let key = |number: u64| Address::from_word(alloy_primitives::U256::from(number).into());
        Self {
            contracts,
            rules: Rules::of(revision),
            reserves: vec![Reserve::default(); reserves],
            grown: vec![Grown::default(); reserves],
            listings: vec![Listing::default(); reserves],
            categories: vec![Category::default(); CATEGORIES],
            by_asset: reserve::table(reserves, key),
            by_token: reserve::table(reserves.saturating_mul(2), key),
            accounts: reserve::list(room),
            stale: Places::new(room),
            by_address: reserve::table(room, key),
            entries: vec![Entry::default(); entries],
            capacity,
            counts: Counts::default(),
        }
    }

    /// The rules of the pool's revision; `None` if it is not known: nothing has a health then.
    #[must_use]
    pub const fn rules(&self) -> Option<&Rules> {
        self.rules.as_ref()
    }

    /// Goes over to another revision of the pool.
    pub fn set_revision(&mut self, revision: u64, undo: &mut impl FnMut(Undo)) {
        undo(Undo::Rules(self.rules));
        self.rules = Rules::of(revision);
    }

    /// What did not fit so far.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// The contracts of the market.
    #[must_use]
    pub const fn contracts(&self) -> &Contracts {
        &self.contracts
    }

    /// The number of the reserve with this underlying.
    #[must_use]
    #[inline]
    pub fn reserve_of(&self, asset: &Address) -> Option<u16> {
        self.by_asset.get(asset).copied()
    }

    /// The number of the reserve with this collateral or debt token.
    #[must_use]
    #[inline]
    pub fn reserve_of_token(&self, token: &Address) -> Option<u16> {
        self.by_token.get(token).copied()
    }

    /// A reserve, if there is one of this number.
    #[must_use]
    #[inline]
    pub fn reserve(&self, number: u16) -> Option<&Reserve> {
        self.listing(number)?;
        self.reserves.get(usize::from(number))
    }

    /// A reserve's tokens, if there is one of this number.
    #[must_use]
    #[inline]
    pub fn listing(&self, number: u16) -> Option<&Listing> {
        self.listings.get(usize::from(number)).filter(|listing| !listing.asset.is_zero())
    }

    /// A category.
    #[must_use]
    #[inline]
    pub fn category(&self, number: u8) -> Option<&Category> {
        self.categories.get(usize::from(number))
    }

    /// Lists a reserve under the pool's number for it, or reads it in anew.
    ///
    /// # Errors
    /// When the number is too large, or one of the two is another reserve's.
    #[cold]
    pub fn set_reserve(
        &mut self,
        number: u16,
        listing: Listing,
        reserve: Reserve,
        undo: &mut impl FnMut(Undo),
    ) -> Result<(), Refused> {
        let Some(was) = self.listings.get(usize::from(number)).copied() else {
            return Err(Refused::Reserve);
        };
        let known = self.reserve_of(&listing.asset).is_some_and(|other| other != number);
        let taken = !was.asset.is_zero() && was != listing;
        if known || taken || listing.asset.is_zero() {
            return Err(Refused::Reserve);
        }
        if was != listing {
            undo(Undo::Listing(number, was));
            self.put_listing(number, listing);
        }
        self.change_reserve(number, reserve, undo);
        Ok(())
    }

    /// Sets a category.
    pub fn set_category(&mut self, number: u8, to: Category, undo: &mut impl FnMut(Undo)) {
        if let Some(category) = self.categories.get_mut(usize::from(number)) {
            undo(Undo::Category(number, *category));
            *category = to;
        }
    }

    /// Says what a reserve can pay out.
    ///
    /// # Errors
    /// When there is no such reserve.
    pub fn set_available(
        &mut self,
        number: u16,
        available: u128,
        undo: &mut impl FnMut(Undo),
    ) -> Result<(), Refused> {
        let reserve = *self.reserve(number).ok_or(Refused::Reserve)?;
        let to = Reserve { available, is_available_stale: false, ..reserve };
        self.change_reserve(number, to, undo);
        Ok(())
    }

    pub(super) fn change_reserve(&mut self, number: u16, to: Reserve, undo: &mut impl FnMut(Undo)) {
        if let Some(reserve) = self.reserves.get_mut(usize::from(number)) {
            undo(Undo::Reserve(number, *reserve));
            *reserve = to;
        }
    }

    fn put_listing(&mut self, number: u16, to: Listing) {
        let Some(listing) = self.listings.get_mut(usize::from(number)) else { return };
        let was = core::mem::replace(listing, to);
        if !was.asset.is_zero() {
            self.by_asset.remove(&was.asset);
            self.by_token.remove(&was.a_token);
            self.by_token.remove(&was.debt_token);
        }
        if !to.asset.is_zero() {
            self.by_asset.insert(to.asset, number);
            self.by_token.insert(to.a_token, number);
            self.by_token.insert(to.debt_token, number);
        }
    }

    /// How many accounts there are: their numbers are below this.
    #[must_use]
    pub fn account_count(&self) -> u32 {
        u32::try_from(self.accounts.len()).unwrap_or(u32::MAX)
    }

    /// The number of an account.
    #[must_use]
    #[inline]
    pub fn account_of(&self, address: &Address) -> Option<u32> {
        self.by_address.get(address).copied()
    }

    /// An account.
    #[must_use]
    #[inline]
    pub fn account(&self, number: u32) -> Option<&Account> {
        self.accounts.get(number as usize)
    }

    /// What an account has.
    #[must_use]
    #[inline]
    pub fn entries(&self, number: u32) -> &[Entry] {
        let count = self.account(number).map_or(0, |account| usize::from(account.count));
        let first = self.first_entry(number);
        self.entries.get(first..first.saturating_add(count)).unwrap_or_default()
    }

    const fn first_entry(&self, number: u32) -> usize {
        (number as usize).saturating_mul(self.capacity.entries as usize)
    }

    /// Accounts that have to be read anew, in order.
    pub fn stale(&self) -> impl Iterator<Item = (u32, Address)> + '_ {
        let accounts =
            self.stale.iter().map(|number| Some((number, self.account(number)?.address)));
        accounts.flatten()
    }

    /// Reserves whose means have to be read anew, by number.
    pub fn stale_reserves(&self) -> impl Iterator<Item = u16> + '_ {
        let reserves = self.reserves.iter().zip(0_u16..);
        reserves.filter(|(reserve, _)| reserve.is_available_stale).map(|(_, number)| number)
    }

    /// Adds an account that has to be read, or finds the one there is.
    ///
    /// # Errors
    /// When there is no room; that is counted.
    pub fn add_account(
        &mut self,
        address: Address,
        undo: &mut impl FnMut(Undo),
    ) -> Result<u32, Refused> {
        if let Some(number) = self.account_of(&address) {
            return Ok(number);
        }
        let number = self.account_count();
        if number >= self.capacity.accounts {
            self.counts.full = self.counts.full.saturating_add(1);
            return Err(Refused::Full);
        }
        undo(Undo::Added);
        self.accounts.push(Account { address, is_stale: true, ..Account::default() });
        self.stale.set(number, true);
        self.by_address.insert(address, number);
        Ok(number)
    }

    /// Takes over what was read of an account at a block: all that it has, each reserve once.
    /// Empty entries may be among them and are left out.
    ///
    /// # Errors
    /// When there is no room for the account, or it uses more reserves than there is room for.
    pub fn set_account(
        &mut self,
        address: Address,
        category: u8,
        entries: &[Entry],
        undo: &mut impl FnMut(Undo),
    ) -> Result<u32, Refused> {
        let number = self.add_account(address, undo)?;
        let mut count = 0_u8;
        let mut is_overfull = false;
        let used = |entry: &&Entry| entry.debt != 0 || entry.collateral != 0;
        for entry in entries.iter().filter(used) {
            if count == self.capacity.entries {
                is_overfull = true;
                self.counts.overfull = self.counts.overfull.saturating_add(1);
                break;
            }
            self.change_entry(number, count, *entry, undo);
            count = count.saturating_add(1);
        }
        let to = Account { address, category, count, is_stale: false, is_overfull };
        self.change_account(number, to, undo);
        if is_overfull { Err(Refused::Overfull) } else { Ok(number) }
    }

    /// Takes over what was read of an account in one reserve. The account stays stale, if it is.
    ///
    /// # Errors
    /// When there is no such account, or no room for another entry.
    pub fn set_entry(
        &mut self,
        number: u32,
        entry: Entry,
        undo: &mut impl FnMut(Undo),
    ) -> Result<(), Refused> {
        let account = *self.account(number).ok_or(Refused::Account)?;
        let same = |other: &Entry| other.reserve == entry.reserve;
        if let Some(place) = self.entries(number).iter().position(same) {
            let place = u8::try_from(place).ok().ok_or(Refused::Account)?;
            self.change_entry(number, place, entry, undo);
            return Ok(());
        }
        if account.count == self.capacity.entries {
            self.counts.overfull = self.counts.overfull.saturating_add(1);
            self.change_account(number, Account { is_overfull: true, ..account }, undo);
            return Err(Refused::Overfull);
        }
        self.change_entry(number, account.count, entry, undo);
        let count = account.count.saturating_add(1);
        self.change_account(number, Account { count, ..account }, undo);
        Ok(())
    }

    pub(super) fn change_account(&mut self, number: u32, to: Account, undo: &mut impl FnMut(Undo)) {
        if let Some(account) = self.accounts.get_mut(number as usize) {
            undo(Undo::Account(number, *account));
            *account = to;
            self.stale.set(number, to.is_stale);
        }
    }

    pub(super) fn change_entry(
        &mut self,
        number: u32,
        place: u8,
        to: Entry,
        undo: &mut impl FnMut(Undo),
    ) {
        let at = self.first_entry(number).saturating_add(usize::from(place));
        if let Some(entry) = self.entries.get_mut(at) {
            undo(Undo::Entry(number, place, *entry));
            *entry = to;
        }
    }

    /// An account with all that its health depends on but the prices, at a time in seconds.
    ///
    /// # Errors
    /// When there is no such account, it is overfull, or the pool's revision is not known.
    pub fn position(&self, number: u32, at: u64) -> Result<Position<'_>, Fault> {
        let account = self.account(number).ok_or(Fault::Unknown)?;
        if account.is_overfull {
            return Err(Fault::Unknown);
        }
        Ok(Position {
            rules: self.rules.as_ref().ok_or(Fault::Unknown)?,
            entries: self.entries(number),
            reserves: &self.reserves,
            grown: &self.grown,
            categories: &self.categories,
            category: account.category,
            at,
        })
    }

    /// Takes the last change that was not taken back yet back. What was counted stays so.
    pub fn undo(&mut self, change: Undo) {
        match change {
            Undo::Rules(rules) => self.rules = rules,
            Undo::Reserve(number, was) => self.change_reserve(number, was, &mut |_| ()),
            Undo::Listing(number, was) => self.put_listing(number, was),
            Undo::Category(number, was) => self.set_category(number, was, &mut |_| ()),
            Undo::Account(number, was) => self.change_account(number, was, &mut |_| ()),
            Undo::Entry(number, place, was) => {
                self.change_entry(number, place, was, &mut |_| ());
            }
            Undo::Added => {
                if let Some(account) = self.accounts.pop() {
                    self.by_address.remove(&account.address);
                    self.stale.set(self.account_count(), false);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
