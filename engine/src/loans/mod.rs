//! Loans: the borrowers of lending protocols, the prices that they depend on, and what is needed to
//! liquidate one.
//!
//! ```text
//! log ─► book ─► touched loans ─┐
//!      └► feed ─► moved feeds ──┴─► strategy: who can be liquidated? ─► order ─► plan
//! pending oracle update ─► supposed feeds ─┘        pending repayment ─► a relieved loan
//! ```
//!
//! The world owns them and writes every change of theirs into its undo log. Health is told at the
//! time of the block that a liquidation would land in.
//!
//! Invariants: a loan's handle is its book's first one plus its place there; nothing is told of a
//! loan that has to be read anew.
//!
//! Temperature: hot.

pub mod aave;
pub mod book;
pub mod comet;
#[cfg(test)]
#[expect(dead_code, reason = "tests of other crates use all of it")]
pub(crate) mod fixture;
pub mod flash;
mod follow;
pub mod morpho;
pub mod order;
pub mod pending;
pub mod reread;
pub mod source;
#[cfg(test)]
mod tests;
mod topics;

use alloc::vec;
use alloc::vec::Vec;

pub use self::book::{Book, Call, Deal, Lender, Relief, Size, Sizes, Times, Want, Way};
pub use self::flash::{FlashLender, Vault};
pub use self::follow::{Heard, Undo};
pub use self::order::Order;
use self::source::Source;
pub use self::topics::Followed;
use crate::ids::{LoanId, TokenId};
use crate::lending::math::Fault;
use crate::lending::price::{FeedId, PriceLimits, Prices};
use crate::lending::trigger::{Budget, Watch};
use crate::limits::{FEEDS_MOVED_MAX, LOANS_TOUCHED_MAX};
use crate::units::BlockNumber;

/// Liquidations of one loan that may revert, as long as nothing changes it.
const REVERTS_MAX: u8 = 2;

/// What has been seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoanCounts {
    /// Events that changed a book.
    pub events: u64,
    /// Events of a known contract that are not what they should be.
    pub malformed: u64,
    /// Pending oracle updates that could land.
    pub transmissions: u64,
    /// Pending repayments, and supplies of collateral, of borrowers.
    pub reliefs: u64,
    /// Other pending transactions to contracts that loans depend on: among them oracle updates that
    /// no aggregator would take, for who sends them may not, or they are out of bounds.
    pub passed_over: u64,
    /// Loans and figures that were read anew.
    pub reread: u64,
    /// Answers to that which came too late.
    pub reread_late: u64,
}

/// Whether what a book says can be believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Trust {
    /// It can.
    #[default]
    Whole,
    /// Its prices may come from elsewhere now: they are to be read first.
    Prices,
    /// It has to be loaded anew.
    Unread,
}

/// What is remembered of a loan beside its book's figures.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    /// How often it was changed.
    version: u32,
    /// Whether we have liquidated it, in a chain that does not contain that (dry-run, backtest).
    is_ours: bool,
    /// How often a liquidation of it has reverted since it was changed.
    reverts: u8,
    /// The round in which it was last listed as touched.
    listed_in: u32,
}

/// All books, and the prices under them.
#[derive(Debug)]
pub struct Loans {
    /// Feeds, and what is made of them.
    pub prices: Prices,
    books: Vec<Book>,
    trusts: Vec<Trust>,
    /// The first loan of each book, and behind the last one how many there are.
    firsts: Vec<u32>,
    sources: Vec<Source>,
    /// They lend, and nobody owes them.
    vaults: Vec<Vault>,
    marks: Vec<Mark>,
    touched: Touched,
    /// When prices that no event tells were read last, and all prices with what they come from.
    read_at: [BlockNumber; 2],
    /// Which load they are of.
    serial: u64,
    /// Feeds that a pending update is supposed to have moved.
    supposed: Vec<FeedId>,
    /// How often a feed was moved by the chain.
    moves: u32,
    counts: LoanCounts,
}

/// What was touched since it was last asked.
#[derive(Debug)]
struct Touched {
    loans: Vec<u32>,
    feeds: Vec<FeedId>,
    /// All loans may be: there was no room, or blocks were left.
    is_all: bool,
    round: u32,
}

impl Loans {
    /// No loans.
    #[must_use]
    pub fn none() -> Self {
        let limits = PriceLimits { feeds: 0, nodes: 0, prices: 0, leaves: 0 };
        Self::new(Prices::new(limits), Vec::new(), Vec::new())
    }

    /// These books over these prices; `sources` are the aggregators whose pending updates are
    /// believed.
    ///
    /// # Panics
    /// When there are more loans than a handle counts, or more books than a byte does.
    #[must_use]
    #[cold]
    pub fn new(prices: Prices, books: Vec<Book>, sources: Vec<Source>) -> Self {
        assert!(books.len() <= usize::from(u8::MAX), "a book has a number of a byte");
        let mut firsts = vec![0_u32];
        for book in &books {
            let next = firsts.last().copied().unwrap_or(0).checked_add(book.room());
            #[expect(clippy::expect_used, reason = "said in the documentation")]
            firsts.push(next.expect("a loan has a number of 32 bits"));
        }
        let count = firsts.last().copied().unwrap_or(0) as usize;
        let is_empty = books.is_empty();
        let touched = Touched {
            loans: Vec::with_capacity(if is_empty { 0 } else { LOANS_TOUCHED_MAX }),
            feeds: Vec::with_capacity(if is_empty { 0 } else { FEEDS_MOVED_MAX }),
            is_all: true,
            round: 1,
        };
        Self {
            prices,
            trusts: vec![Trust::Whole; books.len()],
            books,
            firsts,
            sources,
            vaults: Vec::new(),
            marks: vec![Mark::default(); count],
            touched,
            supposed: Vec::with_capacity(if is_empty { 0 } else { FEEDS_MOVED_MAX }),
            moves: 0,
            read_at: [BlockNumber(0); 2],
            serial: 0,
            counts: LoanCounts::default(),
        }
    }

    /// The same, with a number that tells them from those of other loads: what is read again of one
    /// load says nothing of another.
    #[must_use]
    #[cold]
    pub fn with_serial(self, serial: u64) -> Self {
        Self { serial, ..self }
    }

    /// Which load they are of.
    #[must_use]
    pub const fn serial(&self) -> u64 {
        self.serial
    }

    /// Whether none are followed.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.books.is_empty()
    }

    /// What is followed of the chain for them, beside pools.
    #[must_use]
    pub fn followed(&self) -> Followed {
        if self.is_empty() {
            Followed::Pools
        } else if self.books.iter().any(|book| matches!(book, Book::Comet(_))) {
            Followed::LoansAndTransfers
        } else {
            Followed::Loans
        }
    }

    /// How many loans there is room for: handles are below this.
    #[must_use]
    pub const fn room(&self) -> usize {
        self.marks.len()
    }

    /// The books, by number.
    #[must_use]
    pub fn books(&self) -> &[Book] {
        &self.books
    }

    /// What has been seen.
    #[must_use]
    pub const fn counts(&self) -> LoanCounts {
        self.counts
    }

    /// Whether a book has to be loaded anew.
    #[must_use]
    pub fn is_unread(&self) -> bool {
        self.trusts.contains(&Trust::Unread)
    }

    /// The aggregators whose pending updates are believed.
    #[must_use]
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    fn place(&self, loan: LoanId) -> Result<(&Book, u32), Fault> {
        // A chain has a handful of deployments.
        let number = self.firsts.iter().take_while(|first| **first <= loan.0).count();
        let number = number.checked_sub(1).ok_or(Fault::Unknown)?;
        if self.trusts.get(number) != Some(&Trust::Whole) {
            return Err(Fault::Unknown);
        }
        let (book, first) = (self.books.get(number), self.firsts.get(number));
        match (book, first) {
            (Some(book), Some(first)) => Ok((book, loan.0.wrapping_sub(*first))),
            _ => Err(Fault::Unknown),
        }
    }

    fn number_of(&self, loan: LoanId) -> Option<usize> {
        let number = self.firsts.iter().take_while(|first| **first <= loan.0).count();
        number.checked_sub(1).filter(|number| *number < self.books.len())
    }

    fn handle(&self, book: usize, place: u32) -> LoanId {
        LoanId(self.firsts.get(book).copied().unwrap_or(u32::MAX).saturating_add(place))
    }

    /// Whether a loan can be liquidated in a block of this time; one that we have liquidated
    /// already cannot.
    ///
    /// # Errors
    /// When that is not known.
    pub fn is_liquidatable(&self, loan: LoanId, at: u64) -> Result<bool, Fault> {
        if self.marks.get(loan.index()).is_some_and(|mark| mark.is_ours) {
            return Ok(false);
        }
        let (book, place) = self.place(loan)?;
        book.is_liquidatable(place, at, &self.prices)
    }

    /// What a healthy loan depends on, and how far that may move; `None` if it has to be looked at
    /// in every block.
    ///
    /// # Errors
    /// When that is not known.
    pub fn watch(&self, loan: LoanId, times: Times) -> Result<Option<(Watch, Budget)>, Fault> {
        let (book, place) = self.place(loan)?;
        book.watch(place, times, &self.prices)
    }

    /// Visits every way in which a loan could be liquidated, with the debt's token and the
    /// collateral's; those alone whose tokens are in the universe.
    pub fn ways(&self, loan: LoanId, mut visit: impl FnMut(Way, [TokenId; 2])) {
        if let Ok((book, place)) = self.place(loan) {
            book.ways(place, |way| {
                if let Some(tokens) = book.tokens(place, way) {
                    visit(way, tokens);
                }
            });
        }
    }

    /// The largest debt of a loan, about, or as much of it as there is collateral for, with its
    /// token: what it is ranked by among many. `None` if nobody owes anything, or that is not
    /// known.
    #[must_use]
    pub fn owes(&self, loan: LoanId, at: u64) -> Option<(TokenId, u128)> {
        let (book, place) = self.place(loan).ok()?;
        book.owes(place, at, &self.prices)
    }

    /// The sizes that the protocol takes.
    ///
    /// # Errors
    /// Where it would revert whatever the size.
    pub fn sizes(&self, loan: LoanId, way: Way, at: u64) -> Result<Sizes, Fault> {
        let (book, place) = self.place(loan)?;
        book.sizes(place, way, at, &self.prices)
    }

    /// What a liquidation does in a block of this time.
    ///
    /// # Errors
    /// Where the protocol would revert.
    pub fn deal(&self, loan: LoanId, choice: (Way, Size), at: u64) -> Result<Deal, Fault> {
        if self.marks.get(loan.index()).is_some_and(|mark| mark.is_ours) {
            return Err(Fault::NotHeld);
        }
        let (book, place) = self.place(loan)?;
        book.deal(place, choice, at, &self.prices)
    }

    /// What is called to liquidate a loan.
    #[must_use]
    pub fn call(&self, loan: LoanId, size: Size) -> Option<Call> {
        let (book, place) = self.place(loan).ok()?;
        book.call(place, size)
    }

    /// What a loan has been through: other than before if it, or a feed, was moved by the chain.
    #[must_use]
    pub fn version(&self, loan: LoanId) -> (u32, u32) {
        (self.marks.get(loan.index()).map_or(0, |mark| mark.version), self.moves)
    }

    /// Notes that we have liquidated a loan in a chain that does not contain it: it cannot be again
    /// until the chain changes it.
    pub fn take(&mut self, loan: LoanId) {
        if let Some(mark) = self.marks.get_mut(loan.index()) {
            mark.is_ours = true;
        }
    }

    /// Notes that a liquidation of ours has reverted: a loan of which that happens again is not as
    /// it is held here, and is left until the chain changes it.
    pub fn reverted(&mut self, loan: LoanId) {
        if let Some(mark) = self.marks.get_mut(loan.index()) {
            mark.reverts = mark.reverts.saturating_add(1);
            mark.is_ours |= mark.reverts >= REVERTS_MAX;
        }
    }

    /// The loans that the chain has changed since [`Self::clear_touched`], each once; if
    /// [`Self::is_all_touched`], any may have been.
    pub fn touched(&self) -> impl Iterator<Item = LoanId> + '_ {
        self.touched.loans.iter().copied().map(LoanId)
    }

    /// Whether a loan is among those.
    #[must_use]
    pub fn is_touched(&self, loan: LoanId) -> bool {
        self.touched.is_all || self.touched.loans.contains(&loan.0)
    }

    /// Whether any loan may have been changed.
    #[must_use]
    pub const fn is_all_touched(&self) -> bool {
        self.touched.is_all
    }

    /// The feeds that the chain has moved since [`Self::clear_touched`], each once.
    #[must_use]
    pub fn moved(&self) -> &[FeedId] {
        &self.touched.feeds
    }

    /// Starts new lists.
    pub fn clear_touched(&mut self) {
        let touched = &mut self.touched;
        touched.loans.clear();
        touched.feeds.clear();
        touched.is_all = false;
        touched.round = touched.round.wrapping_add(1).max(1);
    }

    /// Any loan may have been changed: blocks were left, or all was read anew.
    pub const fn touch_all(&mut self) {
        self.touched.is_all = true;
    }

    /// The feeds that the pending update which is supposed to have landed moves.
    #[must_use]
    pub fn supposed(&self) -> &[FeedId] {
        &self.supposed
    }

    /// Starts a new list of supposed feeds.
    pub fn suppose_nothing(&mut self) {
        self.supposed.clear();
    }

    /// Visits what has to be read anew, with the number of its book.
    pub fn wants(&self, mut visit: impl FnMut(u8, Want)) {
        for (number, book) in (0_u8..).zip(&self.books) {
            book.wants(|want| visit(number, want));
        }
    }

    /// Whether prices have to be read: some always are, and some may come from elsewhere now.
    #[must_use]
    pub fn doubts_prices(&self) -> bool {
        self.trusts.contains(&Trust::Prices)
    }
}
