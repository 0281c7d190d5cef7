//! Logs change loans and feeds; every change is handed out with what takes it back.
//!
//! Temperature: hot.

use super::book::{BookUndo, Change, Event};
use super::source::Report;
use super::{Lender, Loans, Relief, Touched, Trust};
use crate::decode::log::Log;
use crate::ids::LoanId;
use crate::lending::math::Fault;
use crate::lending::price::{self, Answered, FeedId};
use crate::limits::{FEEDS_MOVED_MAX, LOANS_TOUCHED_MAX};

/// What a log says that loans depend on.
#[derive(Clone, Copy, Debug)]
pub enum Heard {
    /// A feed answers something else.
    Feed(Answered),
    /// Something about a book.
    Book(u8, Event),
    /// Something about a book that cannot be read: its contracts are others than are known here.
    Malformed(u8),
    /// Something about a feed that cannot be read. It changes nothing: anybody can write a feed,
    /// and what it answers is held against the chain now and then.
    OddFeed,
}

/// What takes a change back. The latest is to be taken back first.
#[derive(Clone, Copy, Debug)]
pub enum Undo {
    /// Of feeds and prices.
    Price(price::Undo),
    /// Of a book.
    Book(u8, BookUndo),
}

impl Loans {
    /// What a log says; `None` if it is of a contract that no loan depends on, or says nothing that
    /// matters. One that is not what its event says is no reason to doubt the block that it is in.
    #[must_use]
    pub fn hear(&self, log: &Log<'_>) -> Option<Heard> {
        if self.is_empty() {
            return None;
        }
        let mut numbered = (0_u8..).zip(&self.books);
        // Whatever calls one of a book's contracts a feed's: it is the book's.
        if let Some((number, book)) = numbered.find(|(_, book)| book.emits(&log.address)) {
            let event = book.read(log).map_err(|_fault| Heard::Malformed(number));
            return event.map_or_else(Some, |event| event.map(|it| Heard::Book(number, it)));
        }
        if !self.prices.has_aggregator(&log.address) {
            return None;
        }
        let answered = Answered::parse(log);
        answered.map_or(Some(Heard::OddFeed), |answered| answered.map(Heard::Feed))
    }

    /// Applies what a log says in a block of this time (in seconds).
    pub fn apply(&mut self, heard: &Heard, at: u64, keep: &mut impl FnMut(Undo)) {
        match heard {
            Heard::Feed(answered) => {
                let Self { prices, touched, moves, .. } = self;
                prices.answered(answered, &mut |undo| {
                    if let price::Undo::Feed(before) = &undo {
                        touched.feed(before.feed);
                        *moves = moves.wrapping_add(1);
                    }
                    keep(Undo::Price(undo));
                });
            }
            Heard::Book(number, event) => {
                self.counts.events += 1;
                let Some(book) = self.books.get_mut(usize::from(*number)) else { return };
                let change = book.apply(event, at, &mut |undo| keep(Undo::Book(*number, undo)));
                self.note(*number, change);
            }
            Heard::OddFeed => self.counts.malformed += 1,
            Heard::Malformed(number) => {
                self.counts.malformed += 1;
                self.note(*number, Change::Unread);
            }
        }
    }

    fn note(&mut self, number: u8, change: Change) {
        let book = usize::from(number);
        match change {
            Change::Nothing => {}
            Change::Loan(place) => self.touch(self.handle(book, place)),
            Change::Loans(first, second) => {
                self.touch(self.handle(book, first));
                self.touch(self.handle(book, second));
            }
            Change::All => self.touch_all(),
            Change::Unread => self.distrust(book, Trust::Unread),
        }
    }

    /// From now on nothing is told of a book's loans. A reorg does not take that back: whatever it
    /// was that came, it may come again.
    pub(super) fn distrust(&mut self, book: usize, trust: Trust) {
        if let Some(held) = self.trusts.get_mut(book).filter(|held| **held != Trust::Unread) {
            *held = trust;
        }
        self.touch_all();
    }

    /// Events may have been missed: nothing is told of any loan until all are loaded anew.
    pub fn distrust_all(&mut self) {
        for book in 0..self.trusts.len() {
            self.distrust(book, Trust::Unread);
        }
    }

    pub(super) fn touch(&mut self, loan: LoanId) {
        let Self { marks, touched, .. } = self;
        let Some(mark) = marks.get_mut(loan.index()) else { return };
        mark.version = mark.version.wrapping_add(1);
        (mark.is_ours, mark.reverts) = (false, 0);
        if mark.listed_in == touched.round {
            return;
        }
        if touched.loans.len() == LOANS_TOUCHED_MAX {
            touched.is_all = true;
            return;
        }
        mark.listed_in = touched.round;
        touched.loans.push(loan.0);
    }

    /// Takes a change back.
    pub fn undo(&mut self, change: Undo) {
        match change {
            Undo::Price(change) => self.prices.undo(change),
            Undo::Book(number, change) => {
                if let Some(book) = self.books.get_mut(usize::from(number)) {
                    book.undo(change);
                }
            }
        }
    }

    /// Supposes that a pending oracle update has landed; its feeds join [`Self::supposed`].
    pub fn suppose(&mut self, report: &Report, keep: &mut impl FnMut(Undo)) {
        let Self { prices, supposed, sources, .. } = self;
        let Some(source) = sources.get(usize::from(report.source)) else { return };
        prices.answer(&source.aggregator, (report.answer, report.route), &mut |undo| {
            if let price::Undo::Feed(before) = &undo
                && supposed.len() < FEEDS_MOVED_MAX
                && !supposed.contains(&before.feed)
            {
                supposed.push(before.feed);
            }
            keep(Undo::Price(undo));
        });
    }

    /// Supposes that somebody has helped a borrower.
    ///
    /// # Errors
    /// When there is nothing to be helped, or it is not known.
    pub fn relieve(
        &mut self,
        loan: LoanId,
        relief: (u16, Relief),
        at: u64,
        keep: &mut impl FnMut(Undo),
    ) -> Result<(), Fault> {
        let number = self.number_of(loan).ok_or(Fault::Unknown)?;
        let place = loan.0.wrapping_sub(self.firsts.get(number).copied().unwrap_or(0));
        let book = self.books.get_mut(number).ok_or(Fault::Unknown)?;
        let number = u8::try_from(number).or(Err(Fault::Unknown))?;
        book.relieve(place, relief, at, &mut |undo| keep(Undo::Book(number, undo)))
    }
}

impl Touched {
    pub(super) fn feed(&mut self, feed: FeedId) {
        if self.feeds.contains(&feed) {
            return;
        }
        if self.feeds.len() == FEEDS_MOVED_MAX {
            self.is_all = true;
        } else {
            self.feeds.push(feed);
        }
    }
}
