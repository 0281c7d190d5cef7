//! The book of a market of Compound III: its borrowers, and its shop.
//!
//! ```text
//! borrower ─ absorbed ─► his collateral is the protocol's ─┐
//! shop: what it took before ───────────────────────────────┴─ bought below its price ─► collateral
//! ```
//!
//! A borrower's loan is liquidated by absorbing him and buying one kind of what he had, in one
//! transaction. What is left of it, and what others have absorbed, is sold in the shop: the book's
//! last place, with nobody to absorb.
//!
//! No event tells the sums of principals, so a market's totals are to be read after each that moves
//! base tokens. Until they were, nothing is sized. Whoever is healthy, or is not, whatever they are
//! is told of all the same: most are, and need not be looked at again when they were read.
//!
//! Temperature: hot.
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::float_arithmetic))]

#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use alloy_primitives::{Address, U256};

use super::book::{
    Call, Change, Deal, Lender, Relief, Size, Sizes, Times, Want, Way, YEARLY_GROWTH_MAX, budget,
    watch_price,
};
use crate::decode::log::Log;
use crate::ids::TokenId;
use crate::lending::comet::accrue::{borrow_principal, present};
use crate::lending::comet::events::Event;
use crate::lending::comet::table::{AccountId, CometTable, MarketId, Undo, Unread};
use crate::lending::comet::{
    ASSETS_MAX, Account, Asset, Market, Priced, Terms, absorb, accrued, buy, collateral_reserves,
    health, is_for_sale, is_liquidatable, most_base, pause,
};
use crate::lending::math::{Fault, WAD, YEAR_SECONDS, add, mul};
use crate::lending::price::{PriceId, Prices};
use crate::lending::screen::comet::{covered, is_surely_healthy};
use crate::lending::trigger::{Budget, Side, Watch};
use crate::memo::Memo;
use crate::sign::liquidation::Protocol;

/// What rounding may take from one value, in 8 decimals: its two divisions round down.
const ROUNDING: u64 = 2;
/// The number of the base token where reserves are numbered: collateral begins at 0.
pub const BASE: u16 = u16::MAX;
/// The collateral that a purchase must bring, in its smallest unit: what the whole program must
/// gain says more.
const LEAST_BOUGHT: u128 = 1;

/// A market with its borrowers and prices.
#[derive(Debug)]
pub struct CometBook {
    /// The market and its accounts.
    pub table: CometTable,
    market: MarketId,
    address: Address,
    /// The base token's first, then that of each collateral.
    prices: Vec<Option<PriceId>>,
    /// Those that are in the universe, in the same order.
    tokens: Vec<Option<TokenId>>,
    /// What the market has grown to.
    grown: Box<Memo<(Market, u64), Result<Market, Fault>>>,
}

impl CometBook {
    /// A market of a table as it was loaded; of others there tells another book.
    #[must_use]
    #[cold]
    pub fn new(table: CometTable, market: MarketId, address: Address) -> Self {
        let count = ASSETS_MAX.saturating_add(1);
        let (prices, tokens) = (vec![None; count], vec![None; count]);
        Self { table, market, address, prices, tokens, grown: Box::default() }
    }

    /// Says what the base token or a collateral is called in the universe, and what its price is.
    #[cold]
    pub fn set_token(&mut self, what: Priced, token: Option<TokenId>, price: Option<PriceId>) {
        let place = place_of(what);
        if let (Some(held), Some(priced)) = (self.tokens.get_mut(place), self.prices.get_mut(place))
        {
            (*held, *priced) = (token, price);
        }
    }

    /// The market's contract.
    #[must_use]
    pub const fn address(&self) -> Address {
        self.address
    }

    /// The market's handle in the table.
    #[must_use]
    pub const fn market(&self) -> MarketId {
        self.market
    }

    /// The place of the shop: the last one.
    #[must_use]
    pub const fn shop(&self) -> u32 {
        self.table.room().accounts
    }

    /// The place of an owner's account.
    #[must_use]
    pub fn account_of(&self, owner: &Address) -> Option<u32> {
        self.table.account_id(self.market, *owner).map(|id| id.0)
    }

    /// The number of a reserve: [`BASE`], or the collateral's.
    #[must_use]
    pub fn reserve_of(&self, token: &Address) -> Option<u16> {
        let (market, assets) = self.table.market(self.market).ok()?;
        if market.terms.base_token == *token {
            return Some(BASE);
        }
        let place = assets.iter().position(|asset| asset.token == *token)?;
        u16::try_from(place).ok()
    }

    fn price_id(&self, what: Priced) -> Result<PriceId, Fault> {
        self.prices.get(place_of(what)).copied().flatten().ok_or(Fault::NoPrice)
    }

    /// What the feeds say at a time.
    fn priced<'p>(
        &'p self,
        prices: &'p Prices,
        at: u64,
    ) -> impl Fn(Priced) -> Result<U256, Fault> + 'p {
        move |what| prices.value(self.price_id(what)?, at)
    }

    /// The same as floats; not a number where they say nothing.
    fn floats<'p>(&'p self, prices: &'p Prices, at: u64) -> impl Fn(Priced) -> f64 + 'p {
        move |what| self.price_id(what).map_or(f64::NAN, |price| prices.float(price, at))
    }

    /// The market with its indices at a time, if that can be told to the unit.
    fn accrued(&self, at: u64) -> Result<Market, Fault> {
        let (market, _) = self.table.market(self.market)?;
        match self.table.unread(self.market)? {
            Unread::Nothing => self.grown.ask((*market, at), || accrued(market, at)),
            Unread::Totals => Err(Fault::Unsure),
            Unread::All => Err(Fault::Unknown),
        }
    }

    /// Whether an account can be absorbed whatever has become of the totals since they were read:
    /// its debt is at least what it was then, and at most that with the most interest.
    fn is_surely_liquidatable(
        &self,
        (market, assets): (&Market, &[Asset]),
        account: &Account<'_>,
        at: u64,
        prices: &Prices,
    ) -> Result<bool, Fault> {
        let prices = self.priced(prices, at);
        let health = health(market, assets, account, &prices)?;
        let most = since_read(market, at)?.grown(health.debt_value)?;
        if health.is_liquidatable {
            Ok(true)
        } else if !is_dear(&market.terms)? && health.collateral_value >= most {
            Ok(false)
        } else {
            Err(Fault::Unsure)
        }
    }

    /// Whether the shop has anything to sell.
    fn sells(&self, at: u64) -> Result<bool, Fault> {
        let market = self.accrued(at)?;
        let (_, assets) = self.table.market(self.market)?;
        let has_any = assets.iter().any(has_reserves);
        Ok(has_any && !market.totals.is_paused(pause::BUY) && is_for_sale(&market)?)
    }

    /// The market and a collateral as they are when it is bought: after the borrower, if there is
    /// one, was absorbed.
    fn on_sale(
        &self,
        (place, way): (u32, Way),
        at: u64,
        prices: &Prices,
    ) -> Result<(Market, (u8, Asset)), Fault> {
        let market = self.accrued(at)?;
        let (_, assets) = self.table.market(self.market)?;
        let index = u8::try_from(way.collateral).or(Err(Fault::NotHeld))?;
        let asset = *assets.get(usize::from(index)).ok_or(Fault::NotHeld)?;
        if place == self.shop() {
            return Ok((market, (index, asset)));
        }
        let account = self.table.account(AccountId(place))?;
        let after = absorb(&market, assets, &account, &self.priced(prices, at))?.market;
        let held = account.collateral(assets).find(|(of, ..)| *of == index);
        let (.., balance) = held.ok_or(Fault::NotHeld)?;
        Ok((after, (index, asset.after_seizing(balance)?)))
    }

    /// Where healths change by what moved these accounts.
    fn change(&self, owners: [&Address; 2]) -> Change {
        match owners.map(|owner| self.account_of(owner)) {
            [Some(first), Some(second)] => Change::Loans(first, second),
            [Some(one), None] | [None, Some(one)] => Change::Loan(one),
            [None, None] => Change::Nothing,
        }
    }
}

/// The place of a token in a book's lists.
fn place_of(what: Priced) -> usize {
    match what {
        Priced::Base => 0,
        Priced::Asset(index) => usize::from(index).saturating_add(1),
    }
}

fn has_reserves(asset: &Asset) -> bool {
    collateral_reserves(asset).is_ok_and(|reserves| reserves > 0)
}

/// From when a market's totals were touched last, as far as is known, until a time.
const fn since_read(market: &Market, until: u64) -> Result<Times, Fault> {
    let from = market.totals.last_accrual;
    if from > until { Err(Fault::Underflow) } else { Ok(Times { from, until }) }
}

/// Whether debts could bear more interest than is reckoned with: as much as when all is lent.
fn is_dear(terms: &Terms) -> Result<bool, Fault> {
    let yearly = mul(U256::from(terms.borrow.rate(WAD)?), YEAR_SECONDS)?;
    Ok(yearly > mul(WAD, U256::from(YEARLY_GROWTH_MAX))?)
}

impl Lender for CometBook {
    type Event = Event;
    type Undo = Undo;

    fn room(&self) -> u32 {
        self.shop().saturating_add(1)
    }

    fn emits(&self, contract: &Address) -> bool {
        self.address == *contract
    }

    fn read(&self, log: &Log<'_>) -> Result<Option<Event>, Fault> {
        Event::of_log(log).or(Err(Fault::Unknown))
    }

    fn apply(&mut self, event: &Event, _at: u64, keep: &mut impl FnMut(Undo)) -> Change {
        let applied = self.table.apply(self.market, event, keep);
        if applied.is_err() || self.table.market(self.market).is_err() {
            // Nothing is told of it any more until all is loaded anew. It is no reason to doubt
            // anything else: tokens that were sent to it are enough to confuse it.
            let is_upgraded = matches!(event, Event::Upgraded { .. });
            return if is_upgraded { Change::Unread } else { Change::Nothing };
        }
        match event {
            Event::Supply { to: owner, .. }
            | Event::Withdraw { from: owner, .. }
            | Event::SupplyCollateral { to: owner, .. }
            | Event::WithdrawCollateral { from: owner, .. }
            | Event::AbsorbDebt { borrower: owner, .. } => self.change([owner, &Address::ZERO]),
            Event::Transfer { from, to } | Event::TransferCollateral { from, to, .. } => {
                self.change([from, to])
            }
            Event::AbsorbCollateral { borrower, .. } => match self.account_of(borrower) {
                Some(place) => Change::Loans(place, self.shop()),
                None => Change::Loan(self.shop()),
            },
            Event::BuyCollateral { .. } | Event::Pause { .. } => Change::Loan(self.shop()),
            // The totals are to be read, and that touches the shop.
            Event::WithdrawReserves { .. } => Change::Nothing,
            Event::Upgraded { .. } => Change::Unread,
        }
    }

    fn undo(&mut self, change: Undo) {
        let undone = self.table.undo(change);
        debug_assert!(undone.is_ok(), "a change is taken back from the table that made it");
    }

    fn is_liquidatable(&self, place: u32, at: u64, prices: &Prices) -> Result<bool, Fault> {
        if place == self.shop() {
            return self.sells(at);
        }
        let (market, assets) = self.table.market(self.market)?;
        let account = self.table.account(AccountId(place))?;
        match self.accrued(at) {
            Ok(market) => {
                if is_surely_healthy(&market, assets, &account, &self.floats(prices, at)) {
                    return Ok(false);
                }
                is_liquidatable(&market, assets, &account, &self.priced(prices, at))
            }
            Err(Fault::Unsure) => {
                self.is_surely_liquidatable((market, assets), &account, at, prices)
            }
            Err(fault) => Err(fault),
        }
    }

    fn watch(
        &self,
        place: u32,
        times: Times,
        prices: &Prices,
    ) -> Result<Option<(Watch, Budget)>, Fault> {
        if place == self.shop() {
            return Ok(None);
        }
        let (market, assets) = self.table.market(self.market)?;
        let account = self.table.account(AccountId(place))?;
        let mut watch = Watch::new();
        if account.principal >= 0 {
            // No price makes him a borrower, and an event tells if he borrows.
            return Ok(Some((watch, Budget::default())));
        }
        if is_dear(&market.terms)? {
            return Ok(None);
        }
        let (market, times) = match self.accrued(times.from) {
            Ok(market) => (market, times),
            Err(Fault::Unsure) => (*market, since_read(market, times.until)?),
            Err(fault) => return Err(fault),
        };
        let health = health(&market, assets, &account, &self.priced(prices, times.from))?;
        let base = self.price_id(Priced::Base)?;
        let mut rounding = watch_price(&mut watch, (Side::Debt, base), prices, times.from)?;
        let mut errors = U256::from(ROUNDING);
        for (index, ..) in account.collateral(assets) {
            // What counts nothing can lose nothing.
            let has_weight =
                health.weighted.get(usize::from(index)).is_some_and(|of| !of.is_zero());
            if has_weight {
                let price = self.price_id(Priced::Asset(index))?;
                let side = (Side::Collateral, price);
                rounding = watch_price(&mut watch, side, prices, times.from)?.max(rounding);
                errors = add(errors, U256::from(ROUNDING))?;
            }
        }
        let debt = times.grown(health.debt_value)?;
        let budget = budget(health.collateral_value, debt, errors, rounding);
        Ok(budget.map(|budget| (watch, budget)))
    }

    fn ways(&self, place: u32, mut visit: impl FnMut(Way)) {
        let Ok((_, assets)) = self.table.market(self.market) else { return };
        let of = |index: u8| Way { collateral: index.into(), debt: 0 };
        if place == self.shop() {
            let numbered = (0_u8..).zip(assets);
            numbered
                .filter(|(_, asset)| has_reserves(asset))
                .for_each(|(index, _)| visit(of(index)));
        } else if let Ok(account) = self.table.account(AccountId(place)) {
            let held = account.collateral(assets).filter(|(.., balance)| *balance > 0);
            held.for_each(|(index, ..)| visit(of(index)));
        }
    }

    fn tokens(&self, _place: u32, way: Way) -> Option<[TokenId; 2]> {
        let token = |what| self.tokens.get(place_of(what)).copied().flatten();
        let collateral = Priced::Asset(u8::try_from(way.collateral).ok()?);
        Some([token(Priced::Base)?, token(collateral)?])
    }

    fn owes(&self, place: u32, at: u64, prices: &Prices) -> Option<(TokenId, u128)> {
        let market = self.accrued(at).ok()?;
        let (_, assets) = self.table.market(self.market).ok()?;
        let account = self.table.account(AccountId(place)).ok()?;
        let base = self.tokens.get(place_of(Priced::Base)).copied().flatten()?;
        Some((base, covered(&market, assets, &account, &self.floats(prices, at))))
    }

    fn sizes(&self, place: u32, way: Way, at: u64, prices: &Prices) -> Result<Sizes, Fault> {
        let (market, (index, asset)) = self.on_sale((place, way), at, prices)?;
        if market.totals.is_paused(pause::BUY) || !is_for_sale(&market)? {
            return Err(Fault::Forbidden);
        }
        let most = most_base(&market, (index, &asset), &self.priced(prices, at))?;
        let most = u128::try_from(most).ok().ok_or(Fault::Overflow)?;
        let part_most = most;
        Ok(Sizes { most: Size::Debt(most), part_most, whole_least: None, pays_exactly: true })
    }

    fn deal(
        &self,
        place: u32,
        (way, size): (Way, Size),
        at: u64,
        prices: &Prices,
    ) -> Result<Deal, Fault> {
        let Size::Debt(paid) = size else { return Err(Fault::Unknown) };
        let (market, (index, asset)) = self.on_sale((place, way), at, prices)?;
        let bought = buy(&market, (index, &asset), paid, &self.priced(prices, at))?;
        Ok(Deal { paid, seized: bought.collateral_out })
    }

    fn call(&self, place: u32, size: Size) -> Option<Call> {
        let Size::Debt(_) = size else { return None };
        let absorbs = place != self.shop();
        let borrower = match absorbs {
            true => self.table.owner(AccountId(place)).ok()?.1,
            false => Address::ZERO,
        };
        let protocol = Protocol::Comet { absorbs, least: LEAST_BOUGHT };
        Some(Call { market: self.address, borrower, protocol })
    }

    fn relieve(
        &mut self,
        place: u32,
        (number, relief): (u16, Relief),
        at: u64,
        keep: &mut impl FnMut(Undo),
    ) -> Result<(), Fault> {
        let (market, assets) = self.table.market(self.market)?;
        let account = self.table.account(AccountId(place))?;
        if market.totals.is_paused(pause::SUPPLY) {
            return Err(Fault::Forbidden);
        }
        let Account { mut principal, mut assets_in, balances: held } = account;
        let mut balances = [0; ASSETS_MAX];
        let balances = balances.get_mut(..held.len()).ok_or(Fault::Unknown)?;
        balances.copy_from_slice(held);
        match relief {
            Relief::Repay(Size::Debt(amount)) if number == BASE && principal < 0 => {
                let index = accrued(market, at)?.totals.borrow_index;
                let owed = present(principal.unsigned_abs(), index)?;
                let left = borrow_principal(owed.saturating_sub(U256::from(amount)), index)?;
                let left = i128::try_from(left).ok().ok_or(Fault::Overflow)?;
                principal = left.checked_neg().ok_or(Fault::Overflow)?;
            }
            Relief::Supply(amount) if usize::from(number) < assets.len() => {
                let balance = balances.get_mut(usize::from(number)).ok_or(Fault::NotHeld)?;
                *balance = balance.checked_add(amount).ok_or(Fault::Overflow)?;
                assets_in |= 1_u32.checked_shl(u32::from(number)).unwrap_or(0);
            }
            Relief::Repay(_) | Relief::Supply(_) => return Err(Fault::NotHeld),
        }
        let after = Account { principal, assets_in, balances };
        self.table.set_account(AccountId(place), &after, keep)
    }

    /// It lends to nobody who has no collateral.
    fn lends(&self, _token: TokenId) -> Option<(u128, u16)> {
        None
    }

    fn wants(&self, mut visit: impl FnMut(Want)) {
        for id in self.table.stale() {
            if let Ok((_, owner)) = self.table.owner(id) {
                visit(Want::Account(owner));
            }
        }
        if self.table.unread(self.market) == Ok(Unread::Totals) {
            visit(Want::Totals);
        }
    }
}
