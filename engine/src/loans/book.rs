//! What a lending protocol's tables must be able to say, and the one list of protocols.
//!
//! ADD A PROTOCOL HERE: its arithmetic and tables in `lending/`, a file beside this one that makes
//! them a [`Lender`], and a line in the list at the end of this file.
//!
//! Temperature: hot.

use alloy_primitives::{Address, B256, U256};

use super::aave::AaveBook;
use super::comet::CometBook;
use super::morpho::MorphoBook;
use crate::decode::log::Log;
use crate::ids::TokenId;
use crate::lending::math::{Fault, YEAR_SECONDS, mul_div_up};
use crate::lending::price::{FeedId, Leaf, PriceId, Prices};
use crate::lending::trigger::watch::share_of;
use crate::lending::trigger::{Budget, Side, Watch};
use crate::sign::liquidation::Protocol;

/// Interest that debts are taken to bear at most until they are looked at again, a year: 800 %. A
/// reserve that takes more has its borrowers looked at in every block.
pub const YEARLY_GROWTH_MAX: u64 = 8;

/// Which of a borrower's debts is repaid for which of his collateral, by the book's own numbers; a
/// protocol that has but one of each has zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Way {
    /// What is taken.
    pub collateral: u16,
    /// What is repaid.
    pub debt: u16,
}

/// How much is liquidated, in the unit that the protocol is asked in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Size {
    /// Debt to repay, in its token's smallest unit.
    Debt(u128),
    /// Shares of a debt to repay.
    Shares(u128),
    /// Collateral to take, in its token's smallest unit.
    Seized(u128),
}

impl Size {
    /// Another amount in the same unit.
    #[must_use]
    pub const fn with(self, amount: u128) -> Self {
        match self {
            Self::Debt(_) => Self::Debt(amount),
            Self::Shares(_) => Self::Shares(amount),
            Self::Seized(_) => Self::Seized(amount),
        }
    }
}

/// Sizes that the protocol takes: two intervals of amounts, both ends included; between them too
/// little would be left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// In this unit, and all that can be taken.
    pub most: Size,
    /// From one to this; nothing if it is 0.
    pub part_most: u128,
    /// From this to all; nothing if there is none.
    pub whole_least: Option<u128>,
    /// Whether exactly what a deal says is paid, whenever it lands: nothing of it grows.
    pub pays_exactly: bool,
}

/// What a liquidation takes and gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deal {
    /// What is paid, in the debt token's smallest unit.
    pub paid: u128,
    /// What is had for it, in the collateral token's smallest unit.
    pub seized: u128,
}

/// What is called to liquidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// The contract.
    pub market: Address,
    /// Whose position it is.
    pub borrower: Address,
    /// How it is called.
    pub protocol: Protocol,
}

/// What somebody is about to do for a borrower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relief {
    /// Repays debt; with Aave, more than there is stands for all.
    Repay(Size),
    /// Adds collateral, in its token's smallest unit.
    Supply(u128),
}

/// What an event changed: where healths have to be looked at anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing that a health depends on.
    Nothing,
    /// A loan, by its place in the book.
    Loan(u32),
    /// Two of them.
    Loans(u32, u32),
    /// Any of the book's.
    All,
    /// More than an event tells: the book has to be loaded anew.
    Unread,
}

/// The book of a deployment: its loans by their places, and what they depend on.
pub trait Lender {
    /// What a log says.
    type Event: Copy;
    /// What takes a change back; the latest is to be taken back first.
    type Undo: Copy;

    /// Loans that it has room for: places are below this.
    fn room(&self) -> u32;

    /// Whether this contract is one of the deployment's.
    fn emits(&self, contract: &Address) -> bool;

    /// Reads a log of one of its contracts; `None` if it says nothing that matters.
    ///
    /// # Errors
    /// When it is not what its event says: the contract is not the one that is known here.
    fn read(&self, log: &Log<'_>) -> Result<Option<Self::Event>, Fault>;

    /// Applies an event of a block of this time (in seconds); `keep` is handed what it changed.
    fn apply(&mut self, event: &Self::Event, at: u64, keep: &mut impl FnMut(Self::Undo)) -> Change;

    /// Takes a change back.
    fn undo(&mut self, change: Self::Undo);

    /// Whether a loan can be liquidated in a block of this time.
    ///
    /// # Errors
    /// When that is not known: it has to be read anew, or a price is missing.
    fn is_liquidatable(&self, place: u32, at: u64, prices: &Prices) -> Result<bool, Fault>;

    /// What a loan that is healthy depends on until a time, and how far it may move; `None` if it
    /// has to be looked at in every block.
    ///
    /// # Errors
    /// As [`Self::is_liquidatable`].
    fn watch(
        &self,
        place: u32,
        times: Times,
        prices: &Prices,
    ) -> Result<Option<(Watch, Budget)>, Fault>;

    /// Visits every way in which a loan could be liquidated.
    fn ways(&self, place: u32, visit: impl FnMut(Way));

    /// The debt's token and the collateral's, if both are in the universe.
    fn tokens(&self, place: u32, way: Way) -> Option<[TokenId; 2]>;

    /// The largest debt of a loan, about, or as much of it as there is collateral for, with its
    /// token: what it is ranked by among many. `None` if nobody owes anything, or that is not
    /// known.
    fn owes(&self, place: u32, at: u64, prices: &Prices) -> Option<(TokenId, u128)>;

    /// The sizes that the protocol takes.
    ///
    /// # Errors
    /// Where the protocol would revert whatever the size.
    fn sizes(&self, place: u32, way: Way, at: u64, prices: &Prices) -> Result<Sizes, Fault>;

    /// What a liquidation does.
    ///
    /// # Errors
    /// Where the protocol would revert.
    fn deal(
        &self,
        place: u32,
        choice: (Way, Size),
        at: u64,
        prices: &Prices,
    ) -> Result<Deal, Fault>;

    /// What is called.
    fn call(&self, place: u32, size: Size) -> Option<Call>;

    /// Supposes that somebody has helped a borrower, as far as his health goes.
    ///
    /// # Errors
    /// When there is nothing to be helped, or it is not known.
    fn relieve(
        &mut self,
        place: u32,
        relief: (u16, Relief),
        at: u64,
        keep: &mut impl FnMut(Self::Undo),
    ) -> Result<(), Fault>;

    /// What a flash loan of the deployment could give of a token at least, and what it takes for
    /// it, in basis points; `None` if it lends none.
    fn lends(&self, token: TokenId) -> Option<(u128, u16)>;

    /// Visits what has to be read anew.
    fn wants(&self, visit: impl FnMut(Want));
}

/// What has to be read of a book at the block that the world stands at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// An account of Aave's, or of a market of Compound III.
    Account(Address),
    /// What a reserve of Aave's can pay out.
    Reserve(u16),
    /// A market of Morpho's.
    Market(B256),
    /// A position in a market of Morpho's.
    Position(B256, Address),
    /// The totals of a market of Compound III, and what it holds.
    Totals,
}

/// From when until when a loan is watched, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// The time of the block that a liquidation would land in.
    pub from: u64,
    /// The last time that the watch is good for.
    pub until: u64,
}

impl Times {
    /// A debt at the end, with the most interest that is reckoned with.
    pub(super) fn grown(self, debt: U256) -> Result<U256, Fault> {
        let seconds = self.until.saturating_sub(self.from).saturating_mul(YEARLY_GROWTH_MAX);
        let more = mul_div_up(debt, U256::from(seconds), YEAR_SECONDS)?;
        debt.checked_add(more).ok_or(Fault::Overflow)
    }
}

/// Adds a price to what a loan is watched for; the error of its rounding, as parts of one.
pub(super) fn watch_price(
    watch: &mut Watch,
    (side, price): (Side, PriceId),
    prices: &Prices,
    at: u64,
) -> Result<u64, Fault> {
    let feed = |feed: FeedId| {
        let feed = prices.feed(feed);
        (feed.weight, feed.price().unwrap_or_default())
    };
    match prices.own_feed(price) {
        Some(own) => watch.add(side, &[Leaf { feed: own, up: 1, down: 0 }], feed),
        None => watch.add(side, prices.leaves(price), feed),
    }
    prices.rounding(price, at)
}

/// What prices may lose: of a loan with so much support and debt, of which `errors` may be lost to
/// rounding and each price be off by so many parts of one.
pub(super) fn budget(support: U256, debt: U256, errors: U256, rounding: u64) -> Option<Budget> {
    let of_prices = share_of(rounding, support).checked_add(share_of(rounding, debt))?;
    Budget::new(support, debt, errors.checked_add(of_prices)?)
}

macro_rules! books {
    ($($(#[$doc:meta])* $name:ident($book:ty),)+) => {
        /// The book of a deployment of any protocol.
        #[derive(Debug)]
        pub enum Book { $($(#[$doc])* $name($book)),+ }

        /// What a log of a book's contracts says.
        #[derive(Clone, Copy, Debug)]
        pub enum Event { $($(#[$doc])* $name(<$book as Lender>::Event)),+ }

        /// What takes a change of a book back.
        #[derive(Clone, Copy, Debug)]
        pub enum BookUndo { $($(#[$doc])* $name(<$book as Lender>::Undo)),+ }

        impl Lender for Book {
            type Event = Event;
            type Undo = BookUndo;

            fn room(&self) -> u32 {
                match self { $(Self::$name(book) => book.room()),+ }
            }

            fn emits(&self, contract: &Address) -> bool {
                match self { $(Self::$name(book) => book.emits(contract)),+ }
            }

            fn read(&self, log: &Log<'_>) -> Result<Option<Event>, Fault> {
                match self { $(Self::$name(book) => Ok(book.read(log)?.map(Event::$name))),+ }
            }

            fn apply(
                &mut self,
                event: &Event,
                at: u64,
                keep: &mut impl FnMut(BookUndo),
            ) -> Change {
                match (self, event) {
                    $((Self::$name(book), Event::$name(event)) => {
                        book.apply(event, at, &mut |undo| keep(BookUndo::$name(undo)))
                    })+
                    // Each is read by the book that it is applied to.
                    _ => Change::Unread,
                }
            }

            fn undo(&mut self, change: BookUndo) {
                match (self, change) {
                    $((Self::$name(book), BookUndo::$name(change)) => book.undo(change),)+
                    _ => debug_assert!(false, "a change is taken back by the book that made it"),
                }
            }

            fn is_liquidatable(
                &self,
                place: u32,
                at: u64,
                prices: &Prices,
            ) -> Result<bool, Fault> {
                match self { $(Self::$name(book) => book.is_liquidatable(place, at, prices)),+ }
            }

            fn watch(
                &self,
                place: u32,
                times: Times,
                prices: &Prices,
            ) -> Result<Option<(Watch, Budget)>, Fault> {
                match self { $(Self::$name(book) => book.watch(place, times, prices)),+ }
            }

            fn ways(&self, place: u32, visit: impl FnMut(Way)) {
                match self { $(Self::$name(book) => book.ways(place, visit)),+ }
            }

            fn tokens(&self, place: u32, way: Way) -> Option<[TokenId; 2]> {
                match self { $(Self::$name(book) => book.tokens(place, way)),+ }
            }

            fn owes(&self, place: u32, at: u64, prices: &Prices) -> Option<(TokenId, u128)> {
                match self { $(Self::$name(book) => book.owes(place, at, prices)),+ }
            }

            fn sizes(
                &self,
                place: u32,
                way: Way,
                at: u64,
                prices: &Prices,
            ) -> Result<Sizes, Fault> {
                match self { $(Self::$name(book) => book.sizes(place, way, at, prices)),+ }
            }

            fn deal(
                &self,
                place: u32,
                choice: (Way, Size),
                at: u64,
                prices: &Prices,
            ) -> Result<Deal, Fault> {
                match self { $(Self::$name(book) => book.deal(place, choice, at, prices)),+ }
            }

            fn call(&self, place: u32, size: Size) -> Option<Call> {
                match self { $(Self::$name(book) => book.call(place, size)),+ }
            }

            fn relieve(
                &mut self,
                place: u32,
                relief: (u16, Relief),
                at: u64,
                keep: &mut impl FnMut(BookUndo),
            ) -> Result<(), Fault> {
                match self {
                    $(Self::$name(book) => {
                        book.relieve(place, relief, at, &mut |undo| keep(BookUndo::$name(undo)))
                    })+
                }
            }

            fn lends(&self, token: TokenId) -> Option<(u128, u16)> {
                match self { $(Self::$name(book) => book.lends(token)),+ }
            }

            fn wants(&self, visit: impl FnMut(Want)) {
                match self { $(Self::$name(book) => book.wants(visit)),+ }
            }
        }
    };
}

books! {
    /// Aave V3.
    Aave(AaveBook),
    /// Morpho Blue.
    Morpho(MorphoBook),
    /// Compound III.
    Comet(CometBook),
}
