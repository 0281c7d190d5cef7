//! The table follows the contract: each event changes it as the contract changed its storage, and
//! every change is handed out as its inverse first.
//!
//! Markets and borrowers are exact after every log. Two things no log tells: a market without
//! interest also writes down the time of a bare `accrueInterest`, on which nothing depends; and who
//! lends is not followed, only how much is lent.
//!
//! An event that does not fit what is here (more is repaid than is owed) leaves it as it is, marked
//! as not whole, until it is read again.
//!
//! Temperature: hot.

use alloy_primitives::{Address, B256};

use super::events::{Deposit, Event, Flow, Liquidated};
use super::table::{MarketId, PositionEntry, PositionId, Refused, Table};
use super::{Market, Params, Position, Total};

/// What takes one change back. They must be undone last first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undo {
    /// A market's state was this.
    Market {
        /// Which.
        id: MarketId,
        /// What it was.
        before: Market,
        /// Whether it was the contract's.
        was_whole: bool,
    },
    /// The last market was not there.
    MarketAdded,
    /// A position's state was this.
    Position {
        /// Which.
        id: PositionId,
        /// What it was.
        before: Position,
        /// Whether it was the contract's.
        was_whole: bool,
    },
    /// A position was not there.
    PositionOpened {
        /// Which.
        id: PositionId,
        /// Its place had been another's before.
        was_vacant: bool,
    },
    /// A position was there.
    PositionClosed {
        /// Which.
        id: PositionId,
        /// What it was.
        before: PositionEntry,
    },
}

/// What an event changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// The market.
    pub market: Option<MarketId>,
    /// The position; it may be there no more.
    pub position: Option<PositionId>,
}

impl Table {
    /// Changes what an event of the contract, or of its adaptive curve, changed, in a block of this
    /// time (in seconds of the chain's clock).
    pub fn apply(
        &mut self,
        event: &Event,
        at_seconds: u64,
        on_undo: &mut impl FnMut(Undo),
    ) -> Touched {
        match *event {
            Event::CreateMarket(params) => self.create(params, at_seconds, on_undo),
            Event::AccrueInterest { id, interest, fee_shares, .. } => {
                self.change(id, on_undo, |market| {
                    let borrow = market.borrow.plus(interest, 0)?;
                    let supply = market.supply.plus(interest, fee_shares)?;
                    Some(Market { borrow, supply, last_update: at_seconds, ..market })
                })
            }
            Event::BorrowRateUpdate { id, rate_at_target } => {
                self.change(id, on_undo, |market| Some(Market { rate_at_target, ..market }))
            }
            Event::SetFee { id, fee } => self.change(id, on_undo, |market| {
                Some(Market { fee, last_update: at_seconds, ..market })
            }),
            Event::Supply(Flow { id, assets, shares, .. }) => self.change(id, on_undo, |market| {
                let supply = market.supply.plus(assets, shares)?;
                Some(Market { supply, last_update: at_seconds, ..market })
            }),
            Event::Withdraw(Flow { id, assets, shares, .. }) => {
                self.change(id, on_undo, |market| {
                    let supply = market.supply.less(assets, shares)?;
                    Some(Market { supply, last_update: at_seconds, ..market })
                })
            }
            Event::Borrow(flow) => self.borrow(flow, at_seconds, on_undo),
            Event::Repay(flow) => self.repay(flow, at_seconds, on_undo),
            Event::SupplyCollateral(deposit) => self.deposit(deposit, on_undo),
            Event::WithdrawCollateral(deposit) => self.withdraw(deposit, at_seconds, on_undo),
            Event::Liquidate(liquidated) => self.liquidate(liquidated, at_seconds, on_undo),
            Event::SetFeeRecipient(_)
            | Event::SetAuthorization { .. }
            | Event::CreatePreLiquidation { .. }
            | Event::PreLiquidate(_) => Touched::default(),
        }
    }

    /// Puts a market right, as it was read again.
    pub fn set_market(&mut self, id: MarketId, state: Market, on_undo: &mut impl FnMut(Undo)) {
        let Some(entry) = self.markets.get_mut(id.index()) else { return };
        on_undo(Undo::Market { id, before: entry.state, was_whole: entry.is_whole });
        let Market { lltv, irm, .. } = entry.state;
        entry.state = Market { lltv, irm, ..state };
        entry.is_whole = true;
    }

    /// Puts a position right, as it was read, or loads it; `None` if it is empty.
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn set_position(
        &mut self,
        market: MarketId,
        account: Address,
        state: Position,
        on_undo: &mut impl FnMut(Undo),
    ) -> Result<Option<PositionId>, Refused> {
        let id = match self.position_id(market, account) {
            Some(id) => id,
            None if state.is_empty() => return Ok(None),
            None => self.open(market, account, on_undo).ok_or(Refused::Full)?,
        };
        self.write(id, state, true, on_undo);
        Ok(Some(id))
    }

    /// Takes the last change back that has not been taken back.
    pub fn undo(&mut self, undo: Undo) {
        match undo {
            Undo::Market { id, before, was_whole } => {
                if let Some(entry) = self.markets.get_mut(id.index()) {
                    (entry.state, entry.is_whole) = (before, was_whole);
                }
            }
            Undo::MarketAdded => {
                if let Some(entry) = self.markets.pop() {
                    self.market_ids.remove(&entry.name);
                }
            }
            Undo::Position { id, before, was_whole } => {
                if let Some(entry) = self.positions.get_mut(id.index()) {
                    (entry.state, entry.is_whole) = (before, was_whole);
                    self.broken.set(id.0, !was_whole);
                }
            }
            Undo::PositionOpened { id, was_vacant } => self.unopen(id, was_vacant),
            Undo::PositionClosed { id, before } => {
                let place = self.vacant.pop();
                debug_assert_eq!(place, Some(id), "changes are undone last first");
                if let Some(entry) = self.positions.get_mut(id.index()) {
                    *entry = before;
                    self.broken.set(id.0, !before.is_whole);
                    self.position_ids.insert((before.market, before.account), id);
                }
            }
        }
    }

    fn create(
        &mut self,
        params: Params,
        at_seconds: u64,
        on_undo: &mut impl FnMut(Undo),
    ) -> Touched {
        let name = params.id();
        if let Some(known) = self.market_id(&name) {
            // The contract makes none twice: it was loaded as it was after this.
            return Touched { market: Some(known), position: None };
        }
        let state = Market { last_update: at_seconds, ..Market::default() };
        let market = self.push_market(name, params, state);
        match market {
            Some(_) => on_undo(Undo::MarketAdded),
            None => self.tally.markets_lost = self.tally.markets_lost.saturating_add(1),
        }
        Touched { market, position: None }
    }

    fn borrow(&mut self, flow: Flow, at: u64, on_undo: &mut impl FnMut(Undo)) -> Touched {
        let Flow { id, account, assets, shares } = flow;
        let touched = self.change(id, on_undo, |market| {
            let borrow = market.borrow.plus(assets, shares)?;
            Some(Market { borrow, last_update: at, ..market })
        });
        self.change_position(touched, account, on_undo, |position| {
            // Who borrows has collateral: without it, an event is missing.
            let has_collateral = position.collateral > 0;
            let borrow_shares = position.borrow_shares.checked_add(shares)?;
            has_collateral.then_some(Position { borrow_shares, ..position })
        })
    }

    fn repay(&mut self, flow: Flow, at: u64, on_undo: &mut impl FnMut(Undo)) -> Touched {
        let Flow { id, account, assets, shares } = flow;
        let touched = self.change(id, on_undo, |market| {
            let borrow = market.borrow.repaid(assets, shares)?;
            Some(Market { borrow, last_update: at, ..market })
        });
        self.change_position(touched, account, on_undo, |position| {
            let borrow_shares = position.borrow_shares.checked_sub(shares)?;
            Some(Position { borrow_shares, ..position })
        })
    }

    fn deposit(&mut self, deposit: Deposit, on_undo: &mut impl FnMut(Undo)) -> Touched {
        let Deposit { id, account, collateral } = deposit;
        // The market does not change, not even its time.
        let market = self.known(&id);
        let touched = Touched { market, position: None };
        self.change_position(touched, account, on_undo, |position| {
            let collateral = position.collateral.checked_add(collateral)?;
            Some(Position { collateral, ..position })
        })
    }

    fn withdraw(
        &mut self,
        deposit: Deposit,
        at_seconds: u64,
        on_undo: &mut impl FnMut(Undo),
    ) -> Touched {
        let Deposit { id, account, collateral } = deposit;
        let touched =
            self.change(id, on_undo, |market| Some(Market { last_update: at_seconds, ..market }));
        self.change_position(touched, account, on_undo, |position| {
            let collateral = position.collateral.checked_sub(collateral)?;
            Some(Position { collateral, ..position })
        })
    }

    fn liquidate(
        &mut self,
        liquidated: Liquidated,
        at_seconds: u64,
        on_undo: &mut impl FnMut(Undo),
    ) -> Touched {
        let Liquidated { id, borrower, repaid_assets, repaid_shares, seized, .. } = liquidated;
        let Liquidated { bad_debt_assets, bad_debt_shares, .. } = liquidated;
        let touched = self.change(id, on_undo, |market| {
            let repaid = market.borrow.repaid(repaid_assets, repaid_shares)?;
            let borrow = repaid.less(bad_debt_assets, bad_debt_shares)?;
            let supply: Total = market.supply.less(bad_debt_assets, 0)?;
            Some(Market { borrow, supply, last_update: at_seconds, ..market })
        });
        self.change_position(touched, borrower, on_undo, |position| {
            let owed = position.borrow_shares.checked_sub(repaid_shares)?;
            let borrow_shares = owed.checked_sub(bad_debt_shares)?;
            Some(Position { borrow_shares, collateral: position.collateral.checked_sub(seized)? })
        })
    }

    /// The market of this name, if it is followed; counts it if not.
    fn known(&mut self, name: &B256) -> Option<MarketId> {
        let id = self.market_id(name);
        if id.is_none() {
            self.tally.strangers = self.tally.strangers.saturating_add(1);
        }
        id
    }

    /// Changes a market; one that the change does not fit stays as it is and is no longer whole.
    fn change(
        &mut self,
        name: B256,
        on_undo: &mut impl FnMut(Undo),
        change: impl FnOnce(Market) -> Option<Market>,
    ) -> Touched {
        let market = self.known(&name);
        let entry = market.and_then(|id| self.markets.get_mut(id.index()));
        if let (Some(id), Some(entry)) = (market, entry) {
            on_undo(Undo::Market { id, before: entry.state, was_whole: entry.is_whole });
            if let Some(after) = change(entry.state) {
                entry.state = after;
            } else {
                entry.is_whole = false;
                self.tally.misfits = self.tally.misfits.saturating_add(1);
            }
        }
        Touched { market, position: None }
    }

    /// Changes an account's position in a market that is followed; one that the change does not fit
    /// stays as it is and is no longer whole.
    fn change_position(
        &mut self,
        touched: Touched,
        account: Address,
        on_undo: &mut impl FnMut(Undo),
        change: impl FnOnce(Position) -> Option<Position>,
    ) -> Touched {
        let Some(market) = touched.market else { return touched };
        let known = self.position_id(market, account);
        let entry = known.and_then(|id| self.positions.get(id.index())).copied();
        let (before, was_whole) = match entry {
            Some(entry) => (entry.state, entry.is_whole),
            // Part of it may have been lost when there was no room.
            None => (Position::EMPTY, self.tally.positions_lost == 0),
        };
        let (after, is_whole) = match change(before) {
            Some(after) => (after, was_whole),
            None => {
                self.tally.misfits = self.tally.misfits.saturating_add(1);
                (before, false)
            }
        };
        if known.is_none() && after.is_empty() {
            // Nothing was there and nothing came, or what it needs was never seen.
            let lost = u64::from(!is_whole);
            self.tally.positions_lost = self.tally.positions_lost.saturating_add(lost);
            return touched;
        }
        let Some(id) = known.or_else(|| self.open(market, account, on_undo)) else {
            self.tally.positions_lost = self.tally.positions_lost.saturating_add(1);
            return touched;
        };
        self.write(id, after, is_whole, on_undo);
        Touched { position: Some(id), ..touched }
    }

    /// A place for a position that is not there; `None` if there is no room.
    fn open(
        &mut self,
        market: MarketId,
        account: Address,
        on_undo: &mut impl FnMut(Undo),
    ) -> Option<PositionId> {
        let entry = PositionEntry { account, market, ..PositionEntry::VACANT };
        let vacant = self.vacant.pop();
        let id = match vacant {
            Some(id) => {
                *self.positions.get_mut(id.index())? = entry;
                id
            }
            None if self.positions.len() >= self.positions_max => return None,
            None => {
                let id = PositionId(u32::try_from(self.positions.len()).ok()?);
                self.positions.push(entry);
                id
            }
        };
        self.position_ids.insert((market, account), id);
        on_undo(Undo::PositionOpened { id, was_vacant: vacant.is_some() });
        Some(id)
    }

    fn unopen(&mut self, id: PositionId, was_vacant: bool) {
        let Some(entry) = self.positions.get_mut(id.index()) else { return };
        self.position_ids.remove(&(entry.market, entry.account));
        if was_vacant {
            *entry = PositionEntry::VACANT;
            self.vacant.push(id);
        } else {
            debug_assert_eq!(self.positions.len(), id.index().saturating_add(1));
            self.positions.pop();
        }
    }

    /// Writes a position's state, and closes it if it is empty.
    fn write(
        &mut self,
        id: PositionId,
        state: Position,
        is_whole: bool,
        on_undo: &mut impl FnMut(Undo),
    ) {
        let Some(entry) = self.positions.get_mut(id.index()) else { return };
        if state.is_empty() {
            on_undo(Undo::PositionClosed { id, before: *entry });
            self.position_ids.remove(&(entry.market, entry.account));
            *entry = PositionEntry::VACANT;
            self.broken.set(id.0, false);
            self.vacant.push(id);
        } else {
            on_undo(Undo::Position { id, before: entry.state, was_whole: entry.is_whole });
            (entry.state, entry.is_whole) = (state, is_whole);
            self.broken.set(id.0, !is_whole);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::super::table::{MarketEntry, Tally};
    use super::super::{FEE_MAX, WAD_U64};
    use super::*;

    const MARKETS: usize = 2;
    const POSITIONS: usize = 3;

    fn params(number: u8) -> Params {
        let loan_token = Address::repeat_byte(number);
        Params { loan_token, lltv: WAD_U64 / 2, ..Params::default() }
    }

    fn account(number: u8) -> Address {
        Address::repeat_byte(number)
    }

    fn collateral(market: u8, who: u8, collateral: u128) -> Event {
        let (id, account) = (params(market).id(), account(who));
        Event::SupplyCollateral(Deposit { id, account, collateral })
    }

    fn flow(market: u8, who: u8, [assets, shares]: [u128; 2]) -> Flow {
        Flow { id: params(market).id(), account: account(who), assets, shares }
    }

    /// Events that fit and events that do not, of markets that are there and others.
    fn any_event() -> impl Strategy<Value = Event> {
        let parts = (0_u8..13, 0_u8..4, 0_u8..6, [0_u128..100, 0_u128..100]);
        parts.prop_map(|(kind, market, who, numbers)| {
            let (id, flow) = (params(market).id(), flow(market, who, numbers));
            let [first, second] = numbers;
            let deposit = Deposit { id, account: flow.account, collateral: first };
            match kind {
                0 => Event::CreateMarket(params(market)),
                1 => Event::Supply(flow),
                2 => Event::Withdraw(flow),
                3 | 4 => Event::Borrow(flow),
                5 => Event::Repay(flow),
                6..=8 => Event::SupplyCollateral(deposit),
                9 => Event::WithdrawCollateral(deposit),
                10 => Event::AccrueInterest {
                    id,
                    rate: Default::default(),
                    interest: first,
                    fee_shares: second,
                },
                11 => Event::SetFee { id, fee: FEE_MAX },
                _ => Event::Liquidate(Liquidated {
                    id,
                    liquidator: Address::ZERO,
                    borrower: flow.account,
                    repaid_assets: first,
                    repaid_shares: first,
                    seized: second,
                    bad_debt_assets: 0,
                    bad_debt_shares: 0,
                }),
            }
        })
    }

    /// All that a table holds, its places and indices too.
    type Inside = (Vec<MarketEntry>, Vec<PositionEntry>, Vec<PositionId>, [usize; 2]);

    fn inside(table: &Table) -> Inside {
        for (id, entry) in table.positions() {
            assert_eq!(table.position_id(entry.market, entry.account), Some(id));
        }
        let broken = table.positions().filter(|(_, entry)| !entry.is_whole);
        assert!(broken.map(|(_, entry)| entry).eq(table.broken()));
        let counts = [table.market_ids.len(), table.position_ids.len()];
        (table.markets.clone(), table.positions.clone(), table.vacant.clone(), counts)
    }

    proptest! {
        #[test]
        fn whatever_happens_can_be_taken_back(
            events in proptest::collection::vec(any_event(), 1..80)
        ) {
            let mut table = Table::new(MARKETS, POSITIONS, Address::ZERO);
            let (mut log, mut marks) = (Vec::new(), Vec::new());
            for (event, at) in events.iter().zip(0..) {
                marks.push((log.len(), inside(&table)));
                table.apply(event, at, &mut |undo| log.push(undo));
                prop_assert!(table.positions.len() <= POSITIONS);
                prop_assert_eq!(table.positions().count(), table.position_count());
            }
            for (length, before) in marks.into_iter().rev() {
                while log.len() > length {
                    table.undo(log.pop().unwrap());
                }
                prop_assert_eq!(inside(&table), before);
            }
        }
    }

    fn with_one_market() -> Table {
        let mut table = Table::new(MARKETS, POSITIONS, Address::ZERO);
        table.apply(&Event::CreateMarket(params(1)), 5, &mut drop);
        table
    }

    #[test]
    fn a_full_table_counts_what_it_loses_and_trusts_none_of_it_later() {
        let mut table = with_one_market();
        for number in 2..4 {
            table.apply(&Event::CreateMarket(params(number)), 5, &mut drop);
        }
        for who in 0..4 {
            table.apply(&collateral(1, who, 10), 6, &mut drop);
        }
        let lost = Tally { markets_lost: 1, positions_lost: 1, ..Tally::default() };
        assert_eq!((table.tally(), table.position_count()), (lost, POSITIONS));
        let (id, account) = (params(1).id(), account(0));
        let all = Deposit { id, account, collateral: 10 };
        table.apply(&Event::WithdrawCollateral(all), 7, &mut drop);
        let touched = table.apply(&collateral(1, 3, 10), 8, &mut drop);
        let entry = *table.position(touched.position.unwrap()).unwrap();
        assert!(!entry.is_whole && entry.state.collateral == 10);
        let read = Position { borrow_shares: 1, collateral: 20 };
        let id = table.set_position(entry.market, entry.account, read, &mut drop).unwrap().unwrap();
        let right = *table.position(id).unwrap();
        assert!(right.is_whole && right.state == read);
    }

    #[test]
    fn what_does_not_fit_is_left_alone_and_marked() {
        let mut table = with_one_market();
        table.apply(&collateral(1, 1, 10), 6, &mut drop);
        let before = table.markets()[0].state;
        let touched = table.apply(&Event::Repay(flow(1, 1, [1, 1])), 7, &mut drop);
        let market = table.market(touched.market.unwrap()).unwrap();
        assert!(!market.is_whole && market.state == before);
        assert!(!table.position(touched.position.unwrap()).unwrap().is_whole);
        assert_eq!(table.tally().misfits, 2);
        let id = table.market_id(&params(1).id()).unwrap();
        table.set_market(id, Market { fee: 3, ..before }, &mut drop);
        let market = table.market(id).unwrap();
        assert!(market.is_whole && market.state.fee == 3 && market.state.lltv == WAD_U64 / 2);
        table.apply(&Event::SetFee { id: params(3).id(), fee: 1 }, 8, &mut drop);
        assert_eq!(table.tally().strangers, 1);
    }

    #[test]
    fn a_market_can_be_loaded_once_and_be_told_what_prices_it() {
        let mut table = Table::new(1, 1, Address::repeat_byte(1));
        let curved = Params { irm: Address::repeat_byte(1), ..params(1) };
        let id = table.load_market(curved, Market::default()).unwrap();
        assert_eq!(table.load_market(curved, Market::default()), Err(Refused::Known));
        assert_eq!(table.load_market(params(2), Market::default()), Err(Refused::Full));
        let oracle = super::super::table::OracleId(7);
        table.set_oracle(id, Some(oracle));
        let entry = table.market(id).unwrap();
        assert_eq!(
            (entry.oracle, entry.state.irm),
            (Some(oracle), super::super::Irm::AdaptiveCurve)
        );
        assert_eq!(
            table.irm_of(&Params { irm: Address::repeat_byte(2), ..curved }),
            super::super::Irm::Unmodelled
        );
    }
}
