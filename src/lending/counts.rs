//! What following loans came to, for the summary.
//!
//! Temperature: cold.

use std::fmt;

use gannet_engine::lending::price::{Mark, PriceId};
use gannet_engine::loans::{Book, Loans};
use serde::Serialize;

/// What following loans came to.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct LoanSummary {
    /// Borrowers that are followed.
    pub borrowers: usize,
    /// Events that changed a book of theirs.
    pub events: u64,
    /// Events of known contracts that were not what they should be: should be 0.
    pub malformed: u64,
    /// Borrowers, markets and positions that found no room, and accounts with more reserves than
    /// there is room for: should be 0.
    pub left_out: u64,
    /// Answers of feeds that changed, or were supposed to by a pending update.
    pub answers: u64,
    /// Those of zero or less among them: there is no price then.
    pub not_positive: u64,
    /// Aggregators that were replaced behind their proxies.
    pub rotated: u64,
    /// Prices that are read in each block, for nobody has modelled them.
    pub prices_read: usize,
    /// Pending oracle updates that an aggregator would take.
    pub transmissions: u64,
    /// Pending repayments and supplies of borrowers.
    pub reliefs: u64,
    /// Other pending transactions to contracts that loans depend on.
    pub passed_over: u64,
    /// Figures that were read again.
    pub reread: u64,
    /// Answers to that which came too late.
    pub reread_late: u64,
}

impl LoanSummary {
    /// Of the loans of a world; `None` if none are followed.
    pub(crate) fn of(loans: &Loans) -> Option<Self> {
        if loans.is_empty() {
            return None;
        }
        let borrowers = loans.books().iter().map(|book| match book {
            Book::Aave(book) => book.market.account_count() as usize,
            Book::Morpho(book) => book.table.position_count(),
            Book::Comet(book) => book.table.account_end().0 as usize,
        });
        let prices = (0..loans.prices.price_count()).map(PriceId);
        let is_read = |price: &PriceId| loans.prices.mark(*price) == Mark::ReadEachBlock;
        let (counts, feeds) = (loans.counts(), loans.prices.counts());
        Some(Self {
            borrowers: borrowers.sum(),
            events: counts.events,
            malformed: counts.malformed,
            left_out: loans.books().iter().map(left_out).sum(),
            answers: feeds.moved,
            not_positive: feeds.not_positive,
            rotated: feeds.rotated,
            prices_read: prices.filter(is_read).count(),
            transmissions: counts.transmissions,
            reliefs: counts.reliefs,
            passed_over: counts.passed_over,
            reread: counts.reread,
            reread_late: counts.reread_late,
        })
    }
}

/// What a book had no room for.
const fn left_out(book: &Book) -> u64 {
    match book {
        Book::Aave(book) => {
            let counts = book.market.counts();
            counts.full.saturating_add(counts.overfull)
        }
        Book::Morpho(book) => {
            let tally = book.table.tally();
            tally.markets_lost.saturating_add(tally.positions_lost)
        }
        Book::Comet(book) => book.table.counts().dropped,
    }
}

impl fmt::Display for LoanSummary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { borrowers, events, transmissions, reliefs, reread, .. } = self;
        write!(
            out,
            "{borrowers} borrowers, {events} events, {transmissions} pending oracle updates, \
             {reliefs} pending repayments and supplies, {reread} figures read again"
        )?;
        let odd = [
            (self.malformed, "events were not what they should be"),
            (self.left_out, "borrowers or markets found no room"),
            (self.not_positive, "answers were no price"),
            (self.rotated, "aggregators were replaced"),
        ];
        for (count, what) in odd.iter().filter(|(count, _)| *count > 0) {
            write!(out, ", {count} {what}")?;
        }
        Ok(())
    }
}
