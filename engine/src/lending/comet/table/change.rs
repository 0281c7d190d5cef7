//! How a table of markets changes: by reads that come back, and by logs.
//!
//! Temperature: hot.

use alloy_primitives::Address;

use super::{Account, AccountId, CometTable, MarketId, Place, Record, Undo, Unread};
use crate::lending::comet::events::Event;
use crate::lending::comet::{Asset, Market, Totals};
use crate::lending::math::Fault;

/// What a log does to the tokens that a market holds and to what accounts have put in.
#[derive(Clone, Copy, Debug, Default)]
struct Stock {
    /// Arrives.
    held_up: u128,
    /// Leaves.
    held_down: u128,
    /// Accounts put in.
    total_up: u128,
    /// Accounts take out, or lose.
    total_down: u128,
}

impl Stock {
    const fn held(self, held: u128) -> Option<u128> {
        let Some(more) = held.checked_add(self.held_up) else { return None };
        more.checked_sub(self.held_down)
    }

    const fn total(self, total: u128) -> Option<u128> {
        let Some(more) = total.checked_add(self.total_up) else { return None };
        more.checked_sub(self.total_down)
    }
}

/// Which way an account's collateral moves.
#[derive(Clone, Copy, Debug)]
enum Move {
    In(u128),
    Out(u128),
    /// All of it, and it was this.
    Seized(u128),
}

impl Move {
    const fn of(self, balance: u128) -> Option<u128> {
        match self {
            Self::In(amount) => balance.checked_add(amount),
            Self::Out(amount) => balance.checked_sub(amount),
            Self::Seized(amount) if balance == amount => Some(0),
            Self::Seized(_) => None,
        }
    }
}

impl CometTable {
    /// Takes in all of a market, as read at the block that the table stands at. If a collateral is
    /// another one than before, the balances of all its accounts are to be read.
    ///
    /// # Errors
    /// When the market is unknown, or has more kinds of collateral than there is room for: then
    /// all of it stays to be read.
    #[cold]
    pub fn set_market(
        &mut self,
        id: MarketId,
        market: &Market,
        assets: &[Asset],
        undo: &mut impl FnMut(Undo),
    ) -> Result<(), Fault> {
        let count = u8::try_from(assets.len()).ok().filter(|count| *count <= self.room.assets);
        let count = count.ok_or(Fault::Unknown)?;
        let place = self.place_mut(id)?;
        let Place { market: Market { terms, .. }, asset_count, .. } = *place;
        undo(Undo::Terms { id, terms, assets: asset_count });
        place.market.terms = market.terms;
        place.asset_count = count;
        let mut is_moved = false;
        for (index, (known, read)) in (0_u8..).zip(place.assets.iter_mut().zip(assets)) {
            is_moved |= index < asset_count && known.token != read.token;
            undo(Undo::Asset { id, index, asset: *known });
            *known = *read;
        }
        self.write_totals(id, market.totals, Unread::Nothing, undo)?;
        if is_moved {
            for number in 0..self.account_end().0 {
                if self.record(AccountId(number))?.market == id {
                    self.mark(AccountId(number), undo)?;
                }
            }
        }
        Ok(())
    }

    /// Takes in a market's totals, as read at the block that the table stands at.
    ///
    /// # Errors
    /// When the market is unknown.
    pub fn set_totals(
        &mut self,
        id: MarketId,
        totals: Totals,
        undo: &mut impl FnMut(Undo),
    ) -> Result<(), Fault> {
        let unread = match self.place(id)?.unread {
            Unread::All => Unread::All,
            Unread::Totals | Unread::Nothing => Unread::Nothing,
        };
        self.write_totals(id, totals, unread, undo)
    }

    /// Takes in what a market holds of a collateral and what accounts have put in, as read at the
    /// block that the table stands at: whether it is something else than before.
    ///
    /// # Errors
    /// When the market or the collateral is unknown.
    pub fn set_stock(
        &mut self,
        (id, index): (MarketId, u8),
        (held, total): (u128, u128),
        undo: &mut impl FnMut(Undo),
    ) -> Result<bool, Fault> {
        let place = self.place_mut(id)?;
        if index >= place.asset_count {
            return Err(Fault::Unknown);
        }
        let asset = place.assets.get_mut(usize::from(index)).ok_or(Fault::Unknown)?;
        let is_moved = (held, total) != (asset.held, asset.total);
        if is_moved {
            undo(Undo::Asset { id, index, asset: *asset });
            (asset.held, asset.total) = (held, total);
        }
        Ok(is_moved)
    }

    /// Says that a market is to be read in full: a log of it could not be read, or was missed.
    ///
    /// # Errors
    /// When it is unknown.
    pub fn distrust(&mut self, id: MarketId, undo: &mut impl FnMut(Undo)) -> Result<(), Fault> {
        self.need(id, Unread::All, undo)
    }

    /// Adds the account of an owner, which is to be read; or gives the one that is there. `None`
    /// if there is no room, which is counted.
    ///
    /// # Errors
    /// When the market is unknown.
    pub fn add_account(
        &mut self,
        market: MarketId,
        owner: Address,
        undo: &mut impl FnMut(Undo),
    ) -> Result<Option<AccountId>, Fault> {
        self.place(market)?;
        if let Some(id) = self.account_id(market, owner) {
            return Ok(Some(id));
        }
        let id = self.account_end();
        if id.0 >= self.room.accounts {
            self.counts.dropped = self.counts.dropped.saturating_add(1);
            return Ok(None);
        }
        self.records.push(Record { market, owner, principal: 0, assets_in: 0 });
        self.balances.resize(self.span(id).end, 0);
        self.ids.insert((market, owner), id);
        self.stale.set(id.0, true);
        undo(Undo::Added(id));
        Ok(Some(id))
    }

    /// Takes in an account as read at the block that the table stands at: an answer for an older
    /// one must not come here. Balances past the end of the list are zero.
    ///
    /// # Errors
    /// When the account is unknown, or there are more balances than there is room for.
    pub fn set_account(
        &mut self,
        id: AccountId,
        read: &Account<'_>,
        undo: &mut impl FnMut(Undo),
    ) -> Result<(), Fault> {
        if read.balances.len() > usize::from(self.room.assets) {
            return Err(Fault::Unknown);
        }
        self.write_account(id, read.principal, read.assets_in, undo)?;
        let span = self.span(id);
        let known = self.balances.get_mut(span).ok_or(Fault::Unknown)?;
        let read = read.balances.iter().copied().chain(core::iter::repeat(0));
        for (index, (balance, read)) in (0_u8..).zip(known.iter_mut().zip(read)) {
            if *balance != read {
                undo(Undo::Balance { id, index, balance: *balance });
                *balance = read;
            }
        }
        self.stale.set(id.0, false);
        Ok(())
    }

    /// Says that an account is to be read.
    ///
    /// # Errors
    /// When it is unknown.
    pub fn mark(&mut self, id: AccountId, undo: &mut impl FnMut(Undo)) -> Result<(), Fault> {
        let Record { principal, assets_in, .. } = *self.record(id)?;
        if self.stale.has(id.0) {
            return Ok(());
        }
        undo(Undo::Account { id, principal, assets_in, is_stale: false });
        self.stale.set(id.0, true);
        Ok(())
    }

    /// Applies a market's log.
    ///
    /// # Errors
    /// When the market is unknown.
    pub fn apply(
        &mut self,
        id: MarketId,
        event: &Event,
        undo: &mut impl FnMut(Undo),
    ) -> Result<(), Fault> {
        self.place(id)?;
        match *event {
            Event::Supply { to, amount } => {
                self.base_moved(id, Stock { held_up: amount, ..Stock::default() }, undo)?;
                self.mark_owner(id, to, undo)
            }
            Event::Withdraw { from, amount } => {
                self.base_moved(id, Stock { held_down: amount, ..Stock::default() }, undo)?;
                self.mark_owner(id, from, undo)
            }
            Event::Transfer { from, to } => {
                self.base_moved(id, Stock::default(), undo)?;
                self.mark_owner(id, from, undo)?;
                self.mark_owner(id, to, undo)
            }
            Event::AbsorbDebt { borrower, .. } => {
                self.base_moved(id, Stock::default(), undo)?;
                self.mark_owner(id, borrower, undo)
            }
            Event::WithdrawReserves { amount } => {
                self.base_moved(id, Stock { held_down: amount, ..Stock::default() }, undo)
            }
            Event::Pause { bits } => {
                let Place { market: Market { totals, .. }, unread, .. } = *self.place(id)?;
                self.write_totals(id, Totals { pause: bits, ..totals }, unread, undo)
            }
            Event::Upgraded { .. } => self.need(id, Unread::All, undo),
            Event::BuyCollateral { asset, base_amount, collateral_amount } => {
                let base = Stock { held_up: base_amount, ..Stock::default() };
                self.base_moved(id, base, undo)?;
                let sold = Stock { held_down: collateral_amount, ..Stock::default() };
                self.stock_moved(id, asset, sold, undo).map(|_index| ())
            }
            Event::SupplyCollateral { .. }
            | Event::TransferCollateral { .. }
            | Event::WithdrawCollateral { .. }
            | Event::AbsorbCollateral { .. } => self.apply_collateral(id, event, undo),
        }
    }

    fn apply_collateral(
        &mut self,
        id: MarketId,
        event: &Event,
        undo: &mut impl FnMut(Undo),
    ) -> Result<(), Fault> {
        match *event {
            Event::SupplyCollateral { to, asset, amount } => {
                let stock = Stock { held_up: amount, total_up: amount, ..Stock::default() };
                let index = self.stock_moved(id, asset, stock, undo)?;
                self.collateral_moved(id, to, (index, Move::In(amount)), undo)
            }
            Event::TransferCollateral { from, to, asset, amount } => {
                let index = self.stock_moved(id, asset, Stock::default(), undo)?;
                self.collateral_moved(id, from, (index, Move::Out(amount)), undo)?;
                self.collateral_moved(id, to, (index, Move::In(amount)), undo)
            }
            Event::WithdrawCollateral { from, asset, amount } => {
                let stock = Stock { held_down: amount, total_down: amount, ..Stock::default() };
                let index = self.stock_moved(id, asset, stock, undo)?;
                self.collateral_moved(id, from, (index, Move::Out(amount)), undo)
            }
            Event::AbsorbCollateral { borrower, asset, amount } => {
                let stock = Stock { total_down: amount, ..Stock::default() };
                let index = self.stock_moved(id, asset, stock, undo)?;
                self.collateral_moved(id, borrower, (index, Move::Seized(amount)), undo)
            }
            Event::Supply { .. }
            | Event::Withdraw { .. }
            | Event::Transfer { .. }
            | Event::AbsorbDebt { .. }
            | Event::BuyCollateral { .. }
            | Event::Pause { .. }
            | Event::WithdrawReserves { .. }
            | Event::Upgraded { .. } => Ok(()),
        }
    }

    /// Base tokens moved: the sums of principals are to be read, what the market holds is known.
    fn base_moved(
        &mut self,
        id: MarketId,
        stock: Stock,
        undo: &mut impl FnMut(Undo),
    ) -> Result<(), Fault> {
        let Place { market: Market { totals, .. }, unread, .. } = *self.place(id)?;
        let held = stock.held(totals.held);
        if held.is_none() && unread != Unread::All {
            self.contradicted();
        }
        let held = held.unwrap_or(totals.held);
        self.write_totals(id, Totals { held, ..totals }, unread.max(Unread::Totals), undo)
    }

    /// A collateral moved: gives its number. `None` if the mirror cannot follow; what is to be read
    /// then is marked.
    fn stock_moved(
        &mut self,
        id: MarketId,
        token: Address,
        stock: Stock,
        undo: &mut impl FnMut(Undo),
    ) -> Result<Option<u8>, Fault> {
        let place = self.place_mut(id)?;
        let is_read = place.unread != Unread::All;
        let assets = (0_u8..place.asset_count).zip(&mut place.assets);
        let known = assets.into_iter().find(|(_, asset)| asset.token == token);
        if let Some((index, asset)) = known
            && let (Some(held), Some(total)) = (stock.held(asset.held), stock.total(asset.total))
        {
            if (held, total) != (asset.held, asset.total) {
                undo(Undo::Asset { id, index, asset: *asset });
                (asset.held, asset.total) = (held, total);
            }
            return Ok(Some(index));
        }
        if is_read {
            self.contradicted();
        }
        self.need(id, Unread::All, undo)?;
        Ok(None)
    }

    /// An account's collateral moved. Whoever has collateral may borrow, so an unknown owner is
    /// taken in; whoever is stale stays as it is, because all of it is to be read.
    fn collateral_moved(
        &mut self,
        market: MarketId,
        owner: Address,
        (index, by): (Option<u8>, Move),
        undo: &mut impl FnMut(Undo),
    ) -> Result<(), Fault> {
        let Some(id) = self.add_account(market, owner, undo)? else { return Ok(()) };
        let Record { principal, assets_in, .. } = *self.record(id)?;
        if self.stale.has(id.0) {
            return Ok(());
        }
        let Some(index) = index else { return self.mark(id, undo) };
        let balance = *self.balance_mut(id, index)?;
        let Some(after) = by.of(balance) else {
            self.contradicted();
            return self.mark(id, undo);
        };
        if after == balance {
            return Ok(());
        }
        undo(Undo::Balance { id, index, balance });
        *self.balance_mut(id, index)? = after;
        let bit = 1_u32.checked_shl(u32::from(index)).unwrap_or(0);
        let bits = if after == 0 { assets_in & !bit } else { assets_in | bit };
        if bits != assets_in {
            self.write_account(id, principal, bits, undo)?;
        }
        Ok(())
    }

    fn mark_owner(
        &mut self,
        market: MarketId,
        owner: Address,
        undo: &mut impl FnMut(Undo),
    ) -> Result<(), Fault> {
        // Nobody without collateral can borrow, so whoever is unknown has no debt.
        self.account_id(market, owner).map_or(Ok(()), |id| self.mark(id, undo))
    }

    fn need(
        &mut self,
        id: MarketId,
        unread: Unread,
        undo: &mut impl FnMut(Undo),
    ) -> Result<(), Fault> {
        let place = self.place(id)?;
        self.write_totals(id, place.market.totals, unread.max(place.unread), undo)
    }

    fn write_totals(
        &mut self,
        id: MarketId,
        totals: Totals,
        unread: Unread,
        undo: &mut impl FnMut(Undo),
    ) -> Result<(), Fault> {
        let place = self.place_mut(id)?;
        if (totals, unread) != (place.market.totals, place.unread) {
            undo(Undo::Totals { id, totals: place.market.totals, unread: place.unread });
            (place.market.totals, place.unread) = (totals, unread);
        }
        Ok(())
    }

    fn write_account(
        &mut self,
        id: AccountId,
        principal: i128,
        assets_in: u32,
        undo: &mut impl FnMut(Undo),
    ) -> Result<(), Fault> {
        let is_stale = self.stale.has(id.0);
        let record = self.record_mut(id)?;
        let (was, had) = (record.principal, record.assets_in);
        undo(Undo::Account { id, principal: was, assets_in: had, is_stale });
        (record.principal, record.assets_in) = (principal, assets_in);
        Ok(())
    }

    const fn contradicted(&mut self) {
        self.counts.contradicted = self.counts.contradicted.saturating_add(1);
    }

    pub(super) fn place_mut(&mut self, id: MarketId) -> Result<&mut Place, Fault> {
        self.markets.get_mut(usize::from(id.0)).ok_or(Fault::Unknown)
    }

    pub(super) fn record_mut(&mut self, id: AccountId) -> Result<&mut Record, Fault> {
        self.records.get_mut(id.index()).ok_or(Fault::Unknown)
    }

    pub(super) fn balance_mut(&mut self, id: AccountId, index: u8) -> Result<&mut u128, Fault> {
        let span = self.span(id);
        let balances = self.balances.get_mut(span).ok_or(Fault::Unknown)?;
        balances.get_mut(usize::from(index)).ok_or(Fault::Unknown)
    }
}
