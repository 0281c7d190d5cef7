//! What an event of a market changes in its tables.
//!
//! Rates, indices, flags, configuration, categories and grace follow from the event alone, exactly.
//! Balances do not: they are only marked, to be read anew.
//!
//! Temperature: hot.
#![deny(clippy::arithmetic_side_effects, clippy::float_arithmetic)]

use alloy_primitives::Address;

use super::events::{CategoryChange, Event, ReserveChange};
use super::table::{Account, Market, Refused, Undo};
use super::{Category, Entry, Reserve};

/// What an event changed: where healths have to be looked at anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// Nothing that matters to a liquidation.
    Nothing,
    /// A reserve: all accounts that use it.
    Reserve(u16),
    /// An account.
    Account(u32),
    /// Two accounts.
    Accounts(u32, u32),
    /// A category: all accounts that chose it.
    Category(u8),
    /// The source of a reserve's price; `None`: of all.
    Prices(Option<u16>),
    /// A reserve that the tables do not have yet: read its number and configuration, and list it.
    Unlisted(Address),
    /// A contract was replaced: read the pool's revision, and all that hangs on it.
    Upgraded,
}

impl Market {
    /// Applies an event that `emitter` wrote in a block of this time (in seconds).
    ///
    /// # Errors
    /// When there is no room for what it adds, or it is of a reserve that is not listed.
    pub fn apply(
        &mut self,
        emitter: &Address,
        event: &Event,
        at: u64,
        undo: &mut impl FnMut(Undo),
    ) -> Result<Applied, Refused> {
        if !self.may_say(emitter, event) {
            self.counts.strangers = self.counts.strangers.saturating_add(1);
            return Ok(Applied::Nothing);
        }
        match *event {
            Event::Reserve { asset, change } => {
                let number = self.reserve_of(&asset).ok_or(Refused::Reserve)?;
                let was = *self.reserve(number).ok_or(Refused::Reserve)?;
                self.change_reserve(number, reserve_after(was, change, at), undo);
                Ok(Applied::Reserve(number))
            }
            Event::CollateralUse { asset, user, is_used } => {
                self.use_collateral(&asset, &user, is_used, undo)
            }
            Event::UserCategory { user, category } => {
                let Some(number) = self.account_of(&user) else { return Ok(Applied::Nothing) };
                let Some(account) = self.account(number).copied() else {
                    return Ok(Applied::Nothing);
                };
                self.change_account(number, Account { category, ..account }, undo);
                Ok(Applied::Account(number))
            }
            Event::Borrowed { user } => {
                let number = self.add_account(user, undo)?;
                self.mark(number, undo);
                Ok(Applied::Account(number))
            }
            Event::Minted { user } if self.is_debt_token(emitter) => {
                let number = self.add_account(user, undo)?;
                self.mark(number, undo);
                Ok(Applied::Account(number))
            }
            Event::Moved { user }
            | Event::Minted { user }
            | Event::Burnt { user }
            | Event::Liquidated { user, .. } => Ok(self.touch(&user, undo)),
            Event::Transferred { from, to } => {
                Ok(match (self.touch(&from, undo), self.touch(&to, undo)) {
                    (Applied::Account(from), Applied::Account(to)) => Applied::Accounts(from, to),
                    (Applied::Nothing, one) | (one, _) => one,
                })
            }
            Event::Category { category, change } => self.change_category(category, change, undo),
            Event::Listed { asset, .. } => Ok(match self.reserve_of(&asset) {
                Some(number) => Applied::Reserve(number),
                None => Applied::Unlisted(asset),
            }),
            Event::PriceSource { asset } => Ok(match self.reserve_of(&asset) {
                Some(number) => Applied::Prices(Some(number)),
                None => Applied::Nothing,
            }),
            Event::Oracle => Ok(Applied::Prices(None)),
            Event::Upgraded => Ok(Applied::Upgraded),
            Event::Treasury { .. } | Event::Frozen { .. } | Event::Isolation { .. } => {
                Ok(Applied::Nothing)
            }
        }
    }

    /// Whether this contract is the one that writes such events.
    fn may_say(&self, emitter: &Address, event: &Event) -> bool {
        let contracts = self.contracts();
        match event {
            Event::Reserve { change: ReserveChange::Data { .. }, .. }
            | Event::UserCategory { .. }
            | Event::Borrowed { .. }
            | Event::Moved { .. }
            | Event::Liquidated { .. }
            | Event::Treasury { .. }
            | Event::CollateralUse { .. } => *emitter == contracts.pool,
            Event::Minted { .. } | Event::Burnt { .. } | Event::Transferred { .. } => {
                self.reserve_of_token(emitter).is_some()
            }
            Event::Listed { .. }
            | Event::Reserve { .. }
            | Event::Frozen { .. }
            | Event::Category { .. }
            | Event::Isolation { .. } => *emitter == contracts.configurator,
            Event::PriceSource { .. } => *emitter == contracts.oracle,
            Event::Oracle => [contracts.oracle, contracts.provider].contains(emitter),
            Event::Upgraded => {
                [contracts.provider, contracts.pool, contracts.configurator].contains(emitter)
                    || self.reserve_of_token(emitter).is_some()
            }
        }
    }

    fn is_debt_token(&self, token: &Address) -> bool {
        let number = self.reserve_of_token(token);
        let listing = number.and_then(|number| self.listing(number));
        listing.is_some_and(|listing| listing.debt_token == *token)
    }

    /// Marks an account as stale, if it is known.
    fn touch(&mut self, address: &Address, undo: &mut impl FnMut(Undo)) -> Applied {
        let Some(number) = self.account_of(address) else { return Applied::Nothing };
        self.mark(number, undo);
        Applied::Account(number)
    }

    /// Marks an account as stale.
    pub(super) fn mark(&mut self, number: u32, undo: &mut impl FnMut(Undo)) {
        let Some(account) = self.account(number).copied() else { return };
        if !account.is_stale {
            self.change_account(number, Account { is_stale: true, ..account }, undo);
        }
    }

    fn use_collateral(
        &mut self,
        asset: &Address,
        user: &Address,
        is_collateral: bool,
        undo: &mut impl FnMut(Undo),
    ) -> Result<Applied, Refused> {
        let reserve = self.reserve_of(asset).ok_or(Refused::Reserve)?;
        let Some(number) = self.account_of(user) else { return Ok(Applied::Nothing) };
        let mut entries = self.entries(number).iter().zip(0_u8..);
        match entries.find(|(entry, _)| entry.reserve == reserve) {
            Some((&entry, place)) => {
                self.change_entry(number, place, Entry { is_collateral, ..entry }, undo);
            }
            // Its balance came with the same transaction and was not read yet.
            None => self.mark(number, undo),
        }
        Ok(Applied::Account(number))
    }

    fn change_category(
        &mut self,
        number: u8,
        change: CategoryChange,
        undo: &mut impl FnMut(Undo),
    ) -> Result<Applied, Refused> {
        let was = self.category(number).copied().unwrap_or_default();
        let to = match change {
            CategoryChange::Numbers { threshold_bps, bonus_bps, has_price_source } => {
                Category { threshold_bps, bonus_bps, has_price_source, ..was }
            }
            CategoryChange::Collateral { asset, is_collateral } => {
                let reserve = self.reserve_of(&asset).ok_or(Refused::Reserve)?;
                let bit = 1_u128.checked_shl(u32::from(reserve)).ok_or(Refused::Reserve)?;
                let bitmap = was.collateral_bitmap & !bit;
                let collateral_bitmap = if is_collateral { bitmap | bit } else { bitmap };
                Category { collateral_bitmap, ..was }
            }
        };
        self.set_category(number, to, undo);
        Ok(Applied::Category(number))
    }
}

/// A reserve after one of its events, in a block of this time.
const fn reserve_after(was: Reserve, change: ReserveChange, at: u64) -> Reserve {
    match change {
        ReserveChange::Data { liquidity, borrow } => Reserve {
            liquidity_rate: liquidity.0,
            liquidity_index: liquidity.1,
            borrow_rate: borrow.0,
            borrow_index: borrow.1,
            updated_at: at,
            is_available_stale: true,
            ..was
        },
        ReserveChange::Collateral { threshold_bps, bonus_bps } => {
            Reserve { threshold_bps, bonus_bps, ..was }
        }
        ReserveChange::Active(is_active) => Reserve { is_active, ..was },
        ReserveChange::Paused(is_paused) => Reserve { is_paused, ..was },
        ReserveChange::Fee(fee_bps) => Reserve { fee_bps, ..was },
        ReserveChange::Grace(grace_until) => Reserve { grace_until, ..was },
        ReserveChange::Category(category) => Reserve { category, ..was },
    }
}
