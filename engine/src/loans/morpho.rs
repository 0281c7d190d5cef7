//! The book of a Morpho Blue.
//!
//! Temperature: hot.
#![deny(clippy::arithmetic_side_effects, clippy::float_arithmetic)]

use alloc::vec;
use alloc::vec::Vec;

use alloy_primitives::{Address, U256};

use super::book::{
    Call, Change, Deal, Lender, Relief, Size, Sizes, Times, Want, Way, budget, watch_price,
};
use crate::decode::log::Log;
use crate::ids::TokenId;
use crate::lending::math::Fault;
use crate::lending::morpho::{
    Event, Market, MarketEntry, MarketId, Position, PositionEntry, PositionId, Request, Table,
    Undo, health, liquidate,
};
use crate::lending::price::{PriceId, Prices};
use crate::lending::screen::morpho::Floats;
use crate::lending::trigger::{Budget, Side, Watch};
use crate::memo::Memo;
use crate::sign::liquidation::{Protocol, Size as Asked};

/// What rounding may take from either side, in units of the loan token.
const ROUNDING: U256 = U256::from_limbs([4, 0, 0, 0]);

/// A deployment's markets, borrowers and prices.
#[derive(Debug)]
pub struct MorphoBook {
    /// Markets and positions.
    pub table: Table,
    /// Morpho.
    address: Address,
    /// Its source of interest.
    curve: Address,
    room: u32,
    /// By the market's handle.
    prices: Vec<Option<PriceId>>,
    /// The loan token and the collateral of each market that are in the universe, by its handle.
    tokens: Vec<[Option<TokenId>; 2]>,
    /// What each market has grown to, by its handle.
    grown: Vec<Memo<(Market, u64), Result<Grown, Fault>>>,
}

impl MorphoBook {
    /// A deployment as it was loaded, with room for so many markets and positions.
    #[must_use]
    #[cold]
    pub fn new(table: Table, [address, curve]: [Address; 2], room: (usize, u32)) -> Self {
        let (markets, room) = room;
        let (prices, tokens) = (vec![None; markets], vec![[None; 2]; markets]);
        Self { table, address, curve, room, prices, tokens, grown: vec![Memo::default(); markets] }
    }

    /// Morpho.
    #[must_use]
    pub const fn address(&self) -> Address {
        self.address
    }

    /// Says what a market's loan token and its collateral are called in the universe, and what its
    /// oracle's price is.
    #[cold]
    pub fn set_market(
        &mut self,
        market: MarketId,
        tokens: [Option<TokenId>; 2],
        price: Option<PriceId>,
    ) {
        if let (Some(held), Some(priced)) =
            (self.tokens.get_mut(market.index()), self.prices.get_mut(market.index()))
        {
            (*held, *priced) = (tokens, price);
        }
    }

    fn whole(&self, place: u32) -> Result<(&MarketEntry, &PositionEntry), Fault> {
        let position = self.table.position(PositionId(place)).ok_or(Fault::NotHeld)?;
        let market = self.table.market(position.market).ok_or(Fault::Unknown)?;
        if market.is_whole && position.is_whole {
            Ok((market, position))
        } else {
            Err(Fault::Unknown)
        }
    }

    /// Whether it is known to owe nothing: anybody can give anybody collateral.
    fn has_no_debt(&self, place: u32) -> bool {
        self.whole(place).is_ok_and(|(_, position)| position.state.borrow_shares == 0)
    }

    fn price_id(&self, market: MarketId) -> Result<PriceId, Fault> {
        // One that was created since has none until all is loaded anew.
        self.prices.get(market.index()).copied().flatten().ok_or(Fault::Unknown)
    }

    fn grown(&self, id: MarketId, market: &Market, at: u64) -> Result<Grown, Fault> {
        let grown = self.grown.get(id.index()).ok_or(Fault::Unknown)?;
        grown.ask((*market, at), || {
            let market = market.accrued(at)?;
            Ok(Grown { market, floats: Floats::of(&market) })
        })
    }

    /// The market at a time, the position and the price.
    fn at(&self, place: u32, at: u64, prices: &Prices) -> Result<(Market, Position, U256), Fault> {
        let (market, position) = self.whole(place)?;
        let price = prices.value(self.price_id(position.market)?, at)?;
        let Grown { market, .. } = self.grown(position.market, &market.state, at)?;
        Ok((market, position.state, price))
    }
}

/// A market at a later time.
#[derive(Clone, Copy, Debug)]
struct Grown {
    market: Market,
    floats: Floats,
}

/// In the words of the contract.
const fn request(size: Size) -> Result<Request, Fault> {
    match size {
        Size::Shares(shares) => Ok(Request::Shares(shares)),
        Size::Seized(seized) => Ok(Request::Seized(seized)),
        Size::Debt(_) => Err(Fault::Unknown),
    }
}

/// A position with so many shares of its debt repaid: more than it has the contract does not take.
fn repaid(state: Position, shares: U256) -> Result<Position, Fault> {
    let shares = u128::try_from(shares).ok().ok_or(Fault::Overflow)?;
    let borrow_shares = state.borrow_shares.checked_sub(shares).ok_or(Fault::Underflow)?;
    Ok(Position { borrow_shares, ..state })
}

impl Lender for MorphoBook {
    type Event = Event;
    type Undo = Undo;

    fn room(&self) -> u32 {
        self.room
    }

    fn emits(&self, contract: &Address) -> bool {
        [self.address, self.curve].contains(contract)
    }

    fn read(&self, log: &Log<'_>) -> Result<Option<Event>, Fault> {
        let event = Event::of_log(log).or(Err(Fault::Unknown))?;
        // The curve writes of its rates alone, and Morpho of everything else.
        let is_rate = matches!(event, Some(Event::BorrowRateUpdate { .. }));
        Ok(event.filter(|_| is_rate == (log.address == self.curve)))
    }

    fn apply(&mut self, event: &Event, at: u64, keep: &mut impl FnMut(Undo)) -> Change {
        let touched = self.table.apply(event, at, keep);
        touched.position.map_or(Change::Nothing, |position| Change::Loan(position.0))
    }

    fn undo(&mut self, change: Undo) {
        self.table.undo(change);
    }

    fn is_liquidatable(&self, place: u32, at: u64, prices: &Prices) -> Result<bool, Fault> {
        if self.has_no_debt(place) {
            return Ok(false);
        }
        let (market, position) = self.whole(place)?;
        let (id, state) = (position.market, position.state);
        let Grown { floats, .. } = self.grown(id, &market.state, at)?;
        if floats.is_surely_healthy(&state, prices.float(self.price_id(id)?, at)) {
            return Ok(false);
        }
        let (market, position, price) = self.at(place, at, prices)?;
        Ok(!health(&market, &position, price)?.is_healthy())
    }

    fn watch(
        &self,
        place: u32,
        times: Times,
        prices: &Prices,
    ) -> Result<Option<(Watch, Budget)>, Fault> {
        if self.has_no_debt(place) {
            // Nothing hurts it, whatever its oracle says, until it borrows.
            let nothing = Budget::new(U256::ZERO, U256::ZERO, U256::ZERO);
            return Ok(nothing.map(|budget| (Watch::new(), budget)));
        }
        let (market, position, price) = self.at(place, times.from, prices)?;
        let id = self.price_id(self.whole(place)?.1.market)?;
        let health = health(&market, &position, price)?;
        let mut watch = Watch::new();
        let error = watch_price(&mut watch, (Side::Collateral, id), prices, times.from)?;
        let debt = times.grown(health.borrowed)?;
        let budget = budget(health.max_borrow, debt, ROUNDING, error);
        Ok(budget.map(|budget| (watch, budget)))
    }

    fn ways(&self, place: u32, mut visit: impl FnMut(Way)) {
        if self.whole(place).is_ok() {
            visit(Way::default());
        }
    }

    fn tokens(&self, place: u32, _way: Way) -> Option<[TokenId; 2]> {
        let position = self.table.position(PositionId(place))?;
        let [loan, collateral] = self.tokens.get(position.market.index())?;
        Some([(*loan)?, (*collateral)?])
    }

    fn owes(&self, place: u32, at: u64, prices: &Prices) -> Option<(TokenId, u128)> {
        let (market, position) = self.whole(place).ok()?;
        let price = prices.float(self.price_id(position.market).ok()?, at);
        let Grown { floats, .. } = self.grown(position.market, &market.state, at).ok()?;
        let [loan, _] = self.tokens.get(position.market.index())?;
        Some(((*loan)?, floats.covered(&position.state, price)))
    }

    fn sizes(&self, place: u32, _way: Way, at: u64, prices: &Prices) -> Result<Sizes, Fault> {
        let (market, position, price) = self.at(place, at, prices)?;
        if health(&market, &position, price)?.is_healthy() {
            return Err(Fault::Healthy);
        }
        let (most, part_most) = match Request::most(&market, &position, price)? {
            Request::Shares(shares) => (Size::Shares(shares), shares),
            Request::Seized(seized) => (Size::Seized(seized), seized),
        };
        Ok(Sizes { most, part_most, whole_least: None, pays_exactly: false })
    }

    fn deal(
        &self,
        place: u32,
        (_, size): (Way, Size),
        at: u64,
        prices: &Prices,
    ) -> Result<Deal, Fault> {
        let (market, position, price) = self.at(place, at, prices)?;
        let done = liquidate(&market, &position, price, request(size)?)?;
        Ok(Deal { paid: done.repaid_assets, seized: done.seized })
    }

    fn call(&self, place: u32, size: Size) -> Option<Call> {
        let (market, position) = self.whole(place).ok()?;
        let size = match request(size).ok()? {
            Request::Shares(shares) => Asked::Shares(shares),
            Request::Seized(seized) => Asked::Seized(seized),
        };
        let params = &market.params;
        let (oracle, rate_model, lltv) = (params.oracle, params.irm, params.lltv);
        let protocol = Protocol::Morpho { oracle, rate_model, lltv, size };
        Some(Call { market: self.address, borrower: position.account, protocol })
    }

    fn relieve(
        &mut self,
        place: u32,
        (_, relief): (u16, Relief),
        at: u64,
        keep: &mut impl FnMut(Undo),
    ) -> Result<(), Fault> {
        let (market, &PositionEntry { state, account, market: id, .. }) = self.whole(place)?;
        let market = market.state.accrued(at)?;
        let after = match relief {
            Relief::Repay(Size::Shares(shares)) => repaid(state, U256::from(shares))?,
            Relief::Repay(Size::Debt(assets)) => {
                repaid(state, market.borrow.to_shares_down(U256::from(assets))?)?
            }
            Relief::Repay(Size::Seized(_)) => return Err(Fault::Unknown),
            Relief::Supply(amount) => {
                let collateral = state.collateral.checked_add(amount).ok_or(Fault::Overflow)?;
                Position { collateral, ..state }
            }
        };
        self.table.set_position(id, account, after, keep).or(Err(Fault::Unknown)).map(|_| ())
    }

    fn lends(&self, token: TokenId) -> Option<(u128, u16)> {
        // It has at least what was lent to its markets and not borrowed from them.
        let markets = self.table.markets().iter().zip(&self.tokens);
        let idle =
            markets.filter(|(market, [loan, _])| *loan == Some(token) && market.is_whole).map(
                |(market, _)| market.state.supply.assets.saturating_sub(market.state.borrow.assets),
            );
        Some((idle.fold(0, u128::saturating_add), 0))
    }

    fn wants(&self, mut visit: impl FnMut(Want)) {
        for market in self.table.markets().iter().filter(|market| !market.is_whole) {
            visit(Want::Market(market.name));
        }
        for position in self.table.broken() {
            if let Some(market) = self.table.market(position.market) {
                visit(Want::Position(market.name, position.account));
            }
        }
    }
}
