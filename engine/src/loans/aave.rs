//! The book of an Aave V3 pool.
//!
//! Temperature: hot.
#![deny(clippy::arithmetic_side_effects, clippy::float_arithmetic)]

use alloc::vec;
use alloc::vec::Vec;

use alloy_primitives::{Address, U256};

use super::book::{
    Call, Change, Deal, Lender, Relief, Size, Sizes, Times, Want, Way, YEARLY_GROWTH_MAX, budget,
    watch_price,
};
use crate::decode::log::Log;
use crate::ids::TokenId;
use crate::lending::aave::apply::Applied;
use crate::lending::aave::events::{Event, Malformed, ReserveChange, decode};
use crate::lending::aave::liquidate::Request;
use crate::lending::aave::table::{Market, Undo};
use crate::lending::aave::{
    CATEGORIES, Entry, PERCENT, Position, RESERVES_MAX, index, price_source_key, wide,
};
use crate::lending::math::{Fault, RAY, add, mul};
use crate::lending::price::{PriceId, Prices};
use crate::lending::trigger::{Budget, Side, Watch};
use crate::sign::liquidation::Protocol;

/// Longest data of an event that is read, in words: a category's label is the only text.
const WORDS_MAX: usize = 16;
/// Of a reserve that moved since, so much of what it could pay out is believed: one part in this.
const STALE_PART: u128 = 2;
/// What rounding may take from one value, in base times basis points.
const ROUNDING: u64 = 20_000;
/// Interest of a debt a year, in ray, above which its borrowers are looked at in every block.
const RATE_MAX: U256 = RAY.wrapping_mul(U256::from_limbs([YEARLY_GROWTH_MAX, 0, 0, 0]));

/// A pool's reserves, borrowers and prices.
#[derive(Debug)]
pub struct AaveBook {
    /// Reserves, categories and accounts.
    pub market: Market,
    room: u32,
    /// By the reserve's number.
    prices: Vec<Option<PriceId>>,
    /// Of categories with a price of their own, by number.
    category_prices: Vec<Option<PriceId>>,
    /// By the reserve's number; those that are in the universe.
    tokens: Vec<Option<TokenId>>,
    /// What a flash loan costs, in basis points.
    flash_bps: u16,
    /// Whether the sequencer's sentinel, if there is one, lets liquidations through.
    is_sentinel_open: bool,
}

/// An event with the contract that wrote it.
#[derive(Clone, Copy, Debug)]
pub struct Written {
    emitter: Address,
    event: Event,
}

impl AaveBook {
    /// A market as it was loaded, with room for so many accounts.
    #[must_use]
    #[cold]
    pub fn new(market: Market, room: u32, flash_bps: u16, is_sentinel_open: bool) -> Self {
        let reserves = usize::from(RESERVES_MAX);
        Self {
            market,
            room,
            prices: vec![None; reserves],
            category_prices: vec![None; CATEGORIES],
            tokens: vec![None; reserves],
            flash_bps,
            is_sentinel_open,
        }
    }

    /// Says what a reserve is called in the universe, and what its price is.
    #[cold]
    pub fn set_reserve(&mut self, number: u16, token: Option<TokenId>, price: Option<PriceId>) {
        let number = usize::from(number);
        if let (Some(held), Some(priced)) =
            (self.tokens.get_mut(number), self.prices.get_mut(number))
        {
            (*held, *priced) = (token, price);
        }
    }

    /// Says what the price of a category's own source is.
    #[cold]
    pub fn set_category_price(&mut self, number: u8, price: Option<PriceId>) {
        if let Some(held) = self.category_prices.get_mut(usize::from(number)) {
            *held = price;
        }
    }

    fn price_id(&self, key: u16) -> Result<PriceId, Fault> {
        let own = price_source_key(0);
        let known = match key.checked_sub(own) {
            Some(category) => self.category_prices.get(usize::from(category)),
            None => self.prices.get(usize::from(key)),
        };
        known.copied().flatten().ok_or(Fault::NoPrice)
    }

    /// What the oracle says of a reserve or a category at a time.
    fn priced<'p>(
        &'p self,
        prices: &'p Prices,
        at: u64,
    ) -> impl Fn(u16) -> Result<U256, Fault> + 'p {
        move |key| prices.value(self.price_id(key)?, at)
    }

    /// The same as floats; not a number where it says nothing.
    fn floats<'p>(&'p self, prices: &'p Prices, at: u64) -> impl Fn(u16) -> f64 + 'p {
        move |key| self.price_id(key).map_or(f64::NAN, |price| prices.float(price, at))
    }

    fn position(&self, place: u32, at: u64) -> Result<Position<'_>, Fault> {
        let account = self.market.account(place).ok_or(Fault::Unknown)?;
        if account.is_stale { Err(Fault::Unknown) } else { self.market.position(place, at) }
    }

    const fn request(&self, way: Way, amount: U256) -> Request {
        let is_sentinel_open = self.is_sentinel_open;
        Request { amount, is_sentinel_open, ..Request::whole(way.collateral, way.debt) }
    }

    /// The key of what an entry is priced by: its reserve's, or its category's own.
    fn key_of(position: &Position<'_>, entry: &Entry, has_own: bool) -> Result<u16, Fault> {
        let reserve = position.reserve(entry.reserve)?;
        let is_member = position.category_of(entry.reserve, reserve).is_some();
        let own = price_source_key(position.category);
        Ok(if has_own && is_member { own } else { entry.reserve })
    }

    /// Whether an event says that a debt's interest is higher than what is reckoned with.
    fn is_dear(event: &Event) -> bool {
        matches!(
            event,
            Event::Reserve { change: ReserveChange::Data { borrow, .. }, .. }
                if wide(borrow.0) > RATE_MAX
        )
    }
}

impl Lender for AaveBook {
    type Event = Written;
    type Undo = Undo;

    fn room(&self) -> u32 {
        self.room
    }

    fn emits(&self, contract: &Address) -> bool {
        let contracts = self.market.contracts();
        [contracts.pool, contracts.configurator, contracts.oracle, contracts.provider]
            .contains(contract)
            || self.market.reserve_of_token(contract).is_some()
    }

    fn read(&self, log: &Log<'_>) -> Result<Option<Written>, Fault> {
        // What else these contracts write may be of any length.
        if decode(log.topics(), &[]) == Err(Malformed::Unknown) {
            return Ok(None);
        }
        let mut data = [[0; 32]; WORDS_MAX];
        let words = log.data_bytes().div_ceil(32);
        for (index, word) in data.iter_mut().enumerate().take(words) {
            *word = log.word_bytes(index).or(Err(Fault::Unknown))?;
        }
        let bytes = data.as_flattened();
        let bytes = bytes.get(..words.saturating_mul(32)).ok_or(Fault::Unknown)?;
        match decode(log.topics(), bytes) {
            Ok(event) => Ok(Some(Written { emitter: log.address, event })),
            Err(Malformed::Unknown) => Ok(None),
            Err(Malformed::Topics | Malformed::Data | Malformed::Range) => Err(Fault::Unknown),
        }
    }

    fn apply(
        &mut self,
        Written { emitter, event }: &Written,
        at: u64,
        keep: &mut impl FnMut(Undo),
    ) -> Change {
        let is_data = matches!(event, Event::Reserve { change: ReserveChange::Data { .. }, .. });
        match self.market.apply(emitter, event, at, keep) {
            Ok(Applied::Reserve(_)) if is_data && !Self::is_dear(event) => Change::Nothing,
            Ok(Applied::Reserve(_) | Applied::Category(_)) => Change::All,
            Ok(Applied::Account(place)) => Change::Loan(place),
            Ok(Applied::Accounts(first, second)) => Change::Loans(first, second),
            // What a price is made of is found out when it is loaded.
            Ok(Applied::Prices(_) | Applied::Unlisted(_) | Applied::Upgraded) => Change::Unread,
            // No room for it, which is counted; or of a reserve that is not listed yet, which its
            // listing says, too.
            Ok(Applied::Nothing) | Err(_) => Change::Nothing,
        }
    }

    fn undo(&mut self, change: Undo) {
        self.market.undo(change);
    }

    fn is_liquidatable(&self, place: u32, at: u64, prices: &Prices) -> Result<bool, Fault> {
        let position = self.position(place, at)?;
        if position.is_surely_healthy(self.floats(prices, at)) {
            return Ok(false);
        }
        Ok(position.health(&self.priced(prices, at))?.is_below_one())
    }

    fn watch(
        &self,
        place: u32,
        times: Times,
        prices: &Prices,
    ) -> Result<Option<(Watch, Budget)>, Fault> {
        let position = self.position(place, times.from)?;
        let now = self.priced(prices, times.from);
        let health = position.health(&now)?;
        let has_own = position.category_price(&now)?.is_some_and(|price| !price.is_zero());
        let later = self.priced(prices, times.until);
        let (mut watch, mut rounding, mut owed) = (Watch::new(), 0, U256::ZERO);
        let mut errors =
            if position.rules.averages_threshold { health.collateral_base } else { U256::ZERO };
        for entry in position.entries {
            let price = self.price_id(Self::key_of(&position, entry, has_own)?)?;
            let sides = [(entry.is_collateral, Side::Collateral), (entry.debt != 0, Side::Debt)];
            for (_, side) in sides.into_iter().filter(|(is_held, _)| *is_held) {
                let error = watch_price(&mut watch, (side, price), prices, times.from)?;
                rounding = error.max(rounding);
                errors = add(errors, U256::from(ROUNDING))?;
            }
            if entry.debt != 0 {
                // A price that grows with time is what it will be at the end.
                let debt = Entry { is_collateral: false, ..*entry };
                owed = add(owed, position.value(&debt, &later)?.debt_base)?;
                if wide(position.reserve(entry.reserve)?.borrow_rate) > RATE_MAX {
                    return Ok(None);
                }
            }
        }
        let debt = mul(times.grown(owed)?, PERCENT)?;
        Ok(budget(health.weighted, debt, errors, rounding).map(|budget| (watch, budget)))
    }

    fn ways(&self, place: u32, mut visit: impl FnMut(Way)) {
        let entries = self.market.entries(place);
        for collateral in entries.iter().filter(|entry| entry.is_collateral) {
            for debt in entries.iter().filter(|entry| entry.debt != 0) {
                visit(Way { collateral: collateral.reserve, debt: debt.reserve });
            }
        }
    }

    fn tokens(&self, _place: u32, way: Way) -> Option<[TokenId; 2]> {
        let token = |reserve: u16| self.tokens.get(usize::from(reserve)).copied().flatten();
        Some([token(way.debt)?, token(way.collateral)?])
    }

    fn owes(&self, place: u32, at: u64, prices: &Prices) -> Option<(TokenId, u128)> {
        let position = self.position(place, at).ok()?;
        let (reserve, amount) = position.largest_debt(self.floats(prices, at))?;
        Some((self.tokens.get(usize::from(reserve)).copied().flatten()?, amount))
    }

    fn sizes(&self, place: u32, way: Way, at: u64, prices: &Prices) -> Result<Sizes, Fault> {
        let position = self.position(place, at)?;
        let request = self.request(way, U256::MAX);
        let choices = position.choices(&request, &self.priced(prices, at))?;
        let narrow = |amount: U256| u128::try_from(amount).ok().ok_or(Fault::Overflow);
        let most = narrow(choices.most)?;
        let whole_least = choices.whole_least.map(narrow).transpose()?;
        let (most, part_most) = (Size::Debt(most), narrow(choices.part_most)?);
        Ok(Sizes { most, part_most, whole_least, pays_exactly: false })
    }

    fn deal(
        &self,
        place: u32,
        (way, size): (Way, Size),
        at: u64,
        prices: &Prices,
    ) -> Result<Deal, Fault> {
        let Size::Debt(amount) = size else { return Err(Fault::Unknown) };
        let position = self.position(place, at)?;
        let request = self.request(way, wide(amount));
        let done = position.liquidation(&request, &self.priced(prices, at))?;
        let held = self.market.reserve(way.collateral).ok_or(Fault::Unknown)?;
        // It moved since it was read, and will be read in a moment.
        if held.is_available_stale && done.collateral_seized > wide(held.available / STALE_PART) {
            return Err(Fault::Unsure);
        }
        let narrow = |amount: U256| u128::try_from(amount).ok().ok_or(Fault::Overflow);
        Ok(Deal { paid: narrow(done.debt_repaid)?, seized: narrow(done.collateral_seized)? })
    }

    fn call(&self, place: u32, _size: Size) -> Option<Call> {
        let borrower = self.market.account(place)?.address;
        Some(Call { market: self.market.contracts().pool, borrower, protocol: Protocol::Aave })
    }

    fn relieve(
        &mut self,
        place: u32,
        (number, relief): (u16, Relief),
        at: u64,
        keep: &mut impl FnMut(Undo),
    ) -> Result<(), Fault> {
        let rules = *self.market.rules().ok_or(Fault::Unknown)?;
        let reserve = *self.market.reserve(number).ok_or(Fault::Unknown)?;
        let held = self.market.entries(place).iter().find(|entry| entry.reserve == number);
        let held = held.copied().unwrap_or(Entry { reserve: number, ..Entry::default() });
        let entry = match relief {
            Relief::Repay(Size::Debt(amount)) => {
                let grown = index::debt(&rules, &reserve, at)?;
                let repaid = index::repaid_scaled(&rules, wide(amount), grown)?;
                let left = wide(held.debt).saturating_sub(repaid);
                Entry { debt: u128::try_from(left).ok().ok_or(Fault::Overflow)?, ..held }
            }
            Relief::Repay(Size::Shares(_) | Size::Seized(_)) => return Err(Fault::Unknown),
            Relief::Supply(amount) => {
                let income = index::income(&reserve, at)?;
                let more = index::collateral_scaled(&rules, wide(amount), income)?;
                let more = u128::try_from(more).ok().ok_or(Fault::Overflow)?;
                let collateral = held.collateral.checked_add(more).ok_or(Fault::Overflow)?;
                // The first supply is used as collateral; later ones as the first one is.
                let is_collateral = held.is_collateral || held.collateral == 0;
                Entry { collateral, is_collateral, ..held }
            }
        };
        self.market.set_entry(place, entry, keep).or(Err(Fault::Unknown))
    }

    fn lends(&self, token: TokenId) -> Option<(u128, u16)> {
        let place = self.tokens.iter().position(|held| *held == Some(token))?;
        let reserve = self.market.reserve(u16::try_from(place).ok()?)?;
        let can = reserve.is_active && !reserve.is_paused && !reserve.is_available_stale;
        can.then_some((reserve.available, self.flash_bps))
    }

    fn wants(&self, mut visit: impl FnMut(Want)) {
        self.market.stale().for_each(|(_, user)| visit(Want::Account(user)));
        self.market.stale_reserves().for_each(|number| visit(Want::Reserve(number)));
    }
}
