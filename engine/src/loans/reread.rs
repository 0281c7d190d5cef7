//! What no event tells is read from a node, at the block that the world stands at.
//!
//! Temperature: warm.

use alloc::vec::Vec;

use alloy_primitives::{Address, B256, I256, U256};

use super::book::{Book, BookUndo};
use super::follow::Undo;
use super::source::Source;
use super::{Loans, Trust};
use crate::ids::LoanId;
use crate::lending::comet::Account as InMarket;
use crate::lending::comet::table::AccountId;
use crate::lending::price::{self, FeedId, PriceId};
use crate::lending::{aave, comet, morpho};
use crate::limits::FEEDS_MOVED_MAX;
use crate::units::BlockNumber;
use crate::world::BlockRef;

/// What was read of books and prices at a block.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Reread {
    /// The block.
    pub block: Option<BlockRef>,
    /// Accounts of Aave's, by the number of their book.
    pub accounts: Vec<(u8, Account)>,
    /// What reserves of Aave's can pay out, by their book and number.
    pub reserves: Vec<(u8, u16, u128)>,
    /// Markets of Morpho's, by their book and name.
    pub markets: Vec<(u8, B256, morpho::Market)>,
    /// Positions in markets of Morpho's, by their book and market.
    pub positions: Vec<(u8, B256, Address, morpho::Position)>,
    /// Accounts in markets of Compound III, by the number of their book.
    pub comet_accounts: Vec<(u8, CometAccount)>,
    /// Totals of markets of Compound III, by the number of their book.
    pub comet_totals: Vec<(u8, CometTotals)>,
    /// Vaults that lend, by their number.
    pub vaults: Vec<(u8, VaultState)>,
    /// Prices as the chain has them; `None` where it has none.
    pub prices: Vec<(PriceId, Option<U256>)>,
    /// What stands behind feeds' proxies, and what it answers.
    pub feeds: Vec<(FeedId, Address, I256)>,
    /// Aggregators whose configuration is another now.
    pub sources: Vec<Source>,
    /// Whether all prices of all books were read.
    pub is_whole: bool,
}

impl Reread {
    /// Whether it says nothing of loans and prices.
    #[must_use]
    pub const fn is_of_vaults_alone(&self) -> bool {
        let Self { block: _, vaults: _, is_whole, accounts, reserves, markets, positions, .. } =
            self;
        let Self { comet_accounts, comet_totals, prices, feeds, sources, .. } = self;
        let is_of_books = !(accounts.is_empty()
            && reserves.is_empty()
            && markets.is_empty()
            && positions.is_empty()
            && comet_accounts.is_empty()
            && comet_totals.is_empty());
        !(*is_whole || is_of_books) && prices.is_empty() && feeds.is_empty() && sources.is_empty()
    }
}

/// An account of Aave's.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Account {
    /// Whose.
    pub user: Address,
    /// Its category; 0 is none.
    pub category: u8,
    /// What it has, each reserve once.
    pub entries: Vec<aave::Entry>,
}

/// An account in a market of Compound III.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CometAccount {
    /// Whose.
    pub owner: Address,
    /// Supplied if positive, borrowed if negative.
    pub principal: i128,
    /// Which kinds of collateral it has, a bit for each.
    pub assets_in: u32,
    /// How much of each, in the market's order.
    pub balances: Vec<u128>,
}

/// What moves of a market of Compound III.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CometTotals {
    /// Indices, sums, and the base tokens that it holds.
    pub totals: comet::Totals,
    /// Of each collateral, in the market's order: what it holds, and what accounts have put in.
    pub stocks: Vec<(u128, u128)>,
}

/// What a vault that lends holds, and what it takes.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct VaultState {
    /// Of a flash loan, in 1e-18 of what is lent.
    pub fee: u64,
    /// Of each token that is followed, in their order; nothing while it lends none.
    pub holds: Vec<u128>,
}

/// Blocks after which prices and vaults that no event tells of are no longer believed, if nobody
/// has read them.
pub(super) const READ_EACH_MAX: u64 = 8;
/// The same of what all prices come from.
const WHOLE_MAX: u64 = 64;

impl Loans {
    /// They were loaded at this block.
    pub(crate) fn loaded_at(&mut self, block: BlockNumber) {
        self.read_at = [block; 2];
        self.vaults.iter_mut().for_each(|vault| vault.loaded_at(block));
    }

    /// What was counted of those that these take the place of.
    pub(crate) const fn go_on_from(&mut self, before: &Self) {
        self.counts = before.counts;
    }

    /// A block was sealed: what has not been read for too long is not believed until it was.
    pub(crate) fn age(&mut self, block: BlockNumber) {
        self.vaults.iter_mut().for_each(|vault| vault.age(block));
        let [each, whole] = self.read_at;
        let is_old = whole.plus(WHOLE_MAX) < block
            || each.plus(READ_EACH_MAX) < block && self.has_price_to_read();
        if is_old && !self.doubts_prices() {
            (0..self.books.len()).for_each(|book| self.distrust(book, Trust::Prices));
        }
    }

    fn has_price_to_read(&self) -> bool {
        let mut prices = (0..self.prices.price_count()).map(PriceId);
        prices.any(|price| self.prices.own_feed(price).is_some())
    }

    /// Takes over what was read at the block that the tables stand at, whose time (in seconds) this
    /// is.
    pub fn take_reread(&mut self, read: &Reread, at: u64, keep: &mut impl FnMut(Undo)) {
        self.reread_prices(read, at, keep);
        for (number, Account { user, category, entries }) in &read.accounts {
            let book = usize::from(*number);
            let Some(Book::Aave(aave)) = self.books.get_mut(book) else { continue };
            let keep = &mut |undo| keep(Undo::Book(*number, BookUndo::Aave(undo)));
            // One that uses more reserves than there is room for is kept without a health.
            let _counted = aave.market.set_account(*user, *category, entries, keep);
            if let Some(place) = aave.market.account_of(user) {
                self.touch(self.handle(book, place));
            }
        }
        for (number, reserve, available) in &read.reserves {
            let book = self.books.get_mut(usize::from(*number));
            let Some(Book::Aave(aave)) = book else { continue };
            let keep = &mut |undo| keep(Undo::Book(*number, BookUndo::Aave(undo)));
            let _unlisted = aave.market.set_available(*reserve, *available, keep);
        }
        for (number, name, state) in &read.markets {
            let book = self.books.get_mut(usize::from(*number));
            let Some(Book::Morpho(morpho)) = book else { continue };
            let keep = &mut |undo| keep(Undo::Book(*number, BookUndo::Morpho(undo)));
            if let Some(market) = morpho.table.market_id(name) {
                morpho.table.set_market(market, *state, keep);
                // Nothing was told of its borrowers until now.
                self.touch_all();
            }
        }
        for (number, name, user, state) in &read.positions {
            let book = usize::from(*number);
            let Some(Book::Morpho(morpho)) = self.books.get_mut(book) else { continue };
            let keep = &mut |undo| keep(Undo::Book(*number, BookUndo::Morpho(undo)));
            let Some(market) = morpho.table.market_id(name) else { continue };
            if let Ok(Some(place)) = morpho.table.set_position(market, *user, *state, keep) {
                self.touch(self.handle(book, place.0));
            }
        }
        self.reread_comet(read, keep);
        self.reread_vaults(read);
        let figures = [read.accounts.len(), read.reserves.len(), read.prices.len()];
        let figures = figures.iter().sum::<usize>() + read.markets.len() + read.positions.len();
        let figures = figures + read.comet_accounts.len() + read.comet_totals.len();
        let figures = figures + read.vaults.len();
        self.counts.reread += u64::try_from(figures).unwrap_or(u64::MAX);
    }

    fn reread_comet(&mut self, read: &Reread, keep: &mut impl FnMut(Undo)) {
        for (number, CometAccount { owner, principal, assets_in, balances }) in &read.comet_accounts
        {
            let book = usize::from(*number);
            let Some(Book::Comet(comet)) = self.books.get_mut(book) else { continue };
            let keep = &mut |undo| keep(Undo::Book(*number, BookUndo::Comet(undo)));
            // One that is not listed any more went with the block that had listed it.
            let Some(place) = comet.account_of(owner) else { continue };
            let (principal, assets_in) = (*principal, *assets_in);
            let read = InMarket { principal, assets_in, balances };
            if comet.table.set_account(AccountId(place), &read, keep).is_ok() {
                self.touch(self.handle(book, place));
            }
        }
        for (number, CometTotals { totals, stocks }) in &read.comet_totals {
            let book = usize::from(*number);
            let Some(Book::Comet(comet)) = self.books.get_mut(book) else { continue };
            let keep = &mut |undo| keep(Undo::Book(*number, BookUndo::Comet(undo)));
            let (market, shop) = (comet.market(), comet.shop());
            let _listed = comet.table.set_totals(market, *totals, keep);
            let mut is_moved = false;
            for (index, stock) in (0_u8..).zip(stocks) {
                is_moved |= comet.table.set_stock((market, index), *stock, keep) == Ok(true);
            }
            // Nobody else's figures are others for it: who was told of meanwhile was told rightly,
            // and who was not is looked at in every block.
            if is_moved {
                self.touch(self.handle(book, shop));
            }
        }
    }

    /// Needs no undo: a vault is not believed once the block that it was read at was left.
    fn reread_vaults(&mut self, read: &Reread) {
        let Some(block) = read.block else { return };
        for (number, state) in &read.vaults {
            if let Some(vault) = self.vaults.get_mut(usize::from(*number)) {
                vault.take(state, block.number);
            }
        }
    }

    fn reread_prices(&mut self, read: &Reread, at: u64, keep: &mut impl FnMut(Undo)) {
        let Self { prices, touched, moves, sources, trusts, read_at, .. } = self;
        let mut is_remodelled = false;
        let mut keep = |undo| {
            match &undo {
                price::Undo::Feed(before) => {
                    touched.feed(before.feed);
                    *moves = moves.wrapping_add(1);
                }
                // Its leaves are others now.
                price::Undo::Mark(..) | price::Undo::Node(..) => is_remodelled = true,
            }
            keep(Undo::Price(undo));
        };
        let feeds = prices.feeds().count();
        for (feed, aggregator, answer) in read.feeds.iter().filter(|it| it.0.index() < feeds) {
            prices.rotate(*feed, *aggregator, *answer, &mut keep);
        }
        let count = prices.price_count();
        for (price, value) in read.prices.iter().filter(|(price, _)| price.0 < count) {
            prices.verify(*price, *value, at, &mut keep);
        }
        for source in &read.sources {
            let held = sources.iter_mut().find(|held| held.aggregator == source.aggregator);
            if let Some(Source { config, bounds, senders, newest, .. }) = held {
                *newest = if *config == source.config { *newest } else { 0 };
                (*config, *bounds) = (source.config, source.bounds);
                // In its place: there is room, unless more than ever may transmit.
                senders.clone_from(&source.senders);
            } else if sources.len() < FEEDS_MOVED_MAX {
                sources.push(source.clone());
            }
        }
        let here = read.block.map_or(BlockNumber(0), |block| block.number);
        let [each, whole] = read_at;
        *each = if read.prices.is_empty() { *each } else { here };
        *whole = if read.is_whole { here } else { *whole };
        if read.is_whole {
            for trust in trusts.iter_mut().filter(|trust| **trust == Trust::Prices) {
                *trust = Trust::Whole;
                is_remodelled = true;
            }
        }
        if is_remodelled {
            touched.is_all = true;
        }
    }

    /// An answer came too late.
    pub(crate) const fn note_late(&mut self) {
        self.counts.reread_late += 1;
    }

    /// The handle of a borrower's position in a book: of an account of Aave's, in a market of
    /// Morpho's, or in one of Compound III, where zero stands for the shop.
    #[must_use]
    pub fn loan_of(&self, book: u8, market: Option<&B256>, user: &Address) -> Option<LoanId> {
        let number = usize::from(book);
        let place = match (self.books.get(number)?, market) {
            (Book::Aave(aave), None) => aave.market.account_of(user)?,
            (Book::Morpho(morpho), Some(name)) => {
                let market = morpho.table.market_id(name)?;
                morpho.table.position_id(market, *user)?.0
            }
            (Book::Comet(comet), None) if user.is_zero() => comet.shop(),
            (Book::Comet(comet), None) => comet.account_of(user)?,
            (Book::Aave(_) | Book::Comet(_), Some(_)) | (Book::Morpho(_), None) => return None,
        };
        Some(self.handle(number, place))
    }
}
