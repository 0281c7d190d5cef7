//! Loans in a world that follows a chain: what is told of them is what the chain left, whatever
//! was supposed, reread or taken back in between.
//!
//! Temperature: cold.

use std::string::String;
use std::vec::Vec;
use std::{format, vec};

use alloy_primitives::{Address, B256, Bloom, I256, U256};
use proptest::prelude::*;

use super::fixture::{
    AAVE, AAVE_BOOK, AGGREGATORS, COMET, COMET_BOOK, CONFIG, CURVE, ETH, FEEDS, FORWARDER, MORPHO,
    MORPHO_BOOK, PRICES, SHARES, Town, USD, USDC_RESERVE, WETH_RESERVE, Written, aave_repay,
    aave_supply, answered, borrowed, deposited, dollars, entries, forwarded, lent, minted,
    morpho_repay, morpho_supply, params, repaid, reserve_data, tokens_of, town, transmit, used,
    user, withdrawn,
};
use super::pending::Pending;
use super::reread::{Account, Reread, VaultState};
use super::*;
use crate::amm::ConstantProduct;
use crate::chain::ChainSpec;
use crate::decode::head::Head;
use crate::decode::list::Rows;
use crate::decode::log::Log;
use crate::flight::tests::liquidation;
use crate::ids::{FactoryId, NodeId};
use crate::input::Source as Link;
use crate::lending::morpho;
use crate::lending::transmission::Route as By;
use crate::plan::{Bid, Follow, Plan};
use crate::query::Queries;
use crate::sign::liquidation::Funding;
use crate::taken::fingerprint;
use crate::target::{Route, Target};
use crate::units::{BlockNumber, Nanos, Wei};
use crate::world::follow::{LogFate, Word};
use crate::world::pools::{PoolEntry, PoolTable};
use crate::world::tokens::TokenTable;
use crate::world::{BlockRef, Stale, Tip, Unfit, Universe, World};

const TIME: u64 = 1_800_000_000;
const ANCHOR: u64 = 100;
const NODE: NodeId = NodeId(0);
const WETH: Address = Address::repeat_byte(0x01);
const USDC: Address = Address::repeat_byte(0x02);

fn hash(name: u64) -> B256 {
    B256::from(U256::from(name))
}

/// The name of the one market of Morpho's.
fn market() -> B256 {
    params([WETH, USDC]).id()
}

fn empty_world() -> World {
    let mut tokens = TokenTable::new(2);
    let bases = vec![tokens.insert(WETH, 18).unwrap(), tokens.insert(USDC, 6).unwrap()];
    tokens.set_bases(&bases);
    let mut pools = PoolTable::new(1, 0);
    let state = ConstantProduct::new([1_000 * ETH, 2_000_000 * USD], 3_000).unwrap().into();
    let pair = [bases[0], bases[1]];
    pools.insert(PoolEntry::new(Address::repeat_byte(0x11), FactoryId(0), pair, state)).unwrap();
    pools.index_pairs();
    let number = BlockNumber(ANCHOR);
    let anchor = Tip { number, hash: hash(ANCHOR), timestamp: TIME, ..Tip::default() };
    World::new(Universe {
        chain: ChainSpec::ethereum(1, WETH),
        tokens,
        pools,
        factories: Vec::new(),
        routers: Vec::new(),
        native: bases[0],
        bases,
        anchor,
    })
}

/// A chain as a test tells it, and the world with loans that follows it.
struct Story {
    world: World,
    queries: Queries,
}

fn story(town: &Town) -> Story {
    let mut world = empty_world();
    let loans = Town { since: TIME, ..town.clone() }.build(&world);
    world.lend(loans);
    let mut story = Story { world, queries: Queries::default() };
    for link in [Link::Chain, Link::Rpc] {
        story.world.on_link((NODE, link), true, &mut story.queries);
    }
    story.world.clear_touched();
    story
}

/// One borrower each, 3 % from being liquidated.
fn two() -> Town {
    town().owes(AAVE_BOOK, 1, ETH, 1_600 * USD).owes(MORPHO_BOOK, 1, ETH, 1_665 * USD)
}

impl Story {
    /// Announces a block; `name` is its hash.
    fn head(&mut self, number: u64, name: u64, parent: u64) {
        let (hash, parent_hash) = (hash(name), hash(parent));
        let timestamp = TIME + 12 * (number - ANCHOR);
        let bloom = Bloom::repeat_byte(0xff);
        let head = Head { number, hash, parent_hash, timestamp, bloom, ..Head::default() };
        let word = Word::Announced(NODE);
        self.world.on_head(&head, word, Nanos(0), &mut self.queries).unwrap();
    }

    /// Seals the open block by its list.
    fn list(&mut self, name: u64, events: &[Written]) {
        let block = hash(name);
        let logs: Vec<Log<'_>> =
            events.iter().zip(0..).map(|(event, index)| event.log(block, index)).collect();
        let rows = Rows { logs: &logs, is_empty: logs.is_empty() };
        self.world.on_rows((&block, &rows), Nanos(0), &mut self.queries, None).unwrap();
    }

    /// A block on top of the tip, from its head to its seal; its name is its number.
    fn block(&mut self, events: &[Written]) {
        let tip = *self.world.tip();
        let number = tip.number.0 + 1;
        self.head(number, number, u64::try_from(U256::from_be_bytes(tip.hash.0)).unwrap());
        self.list(number, events);
        assert_eq!(self.world.tip().number.0, number, "it is sealed");
    }

    fn log(&mut self, name: u64, index: u32, event: &Written) -> LogFate {
        self.world.on_log(&event.log(hash(name), index)).unwrap()
    }

    fn loan(&self, book: u8, who: u8) -> LoanId {
        let market = market();
        let name = (book == MORPHO_BOOK).then_some(&market);
        self.world.loans.loan_of(book, name, &user(who)).unwrap()
    }

    fn is_liquidatable(&self, book: u8, who: u8) -> Result<bool, Fault> {
        let loan = self.loan(book, who);
        self.world.loans.is_liquidatable(loan, self.world.loan_time())
    }

    fn both(&self) -> [Result<bool, Fault>; 2] {
        [AAVE_BOOK, MORPHO_BOOK].map(|book| self.is_liquidatable(book, 1))
    }

    fn here(&self) -> BlockRef {
        let Tip { number, hash, .. } = *self.world.tip();
        BlockRef { number, hash }
    }

    /// What calldata of a pending transaction is read as.
    fn read(&self, from: Address, to: Address, calldata: &[u8]) -> Option<Pending> {
        self.world.loans.pending([from, to], calldata)
    }

    fn suppose(&mut self, pending: Pending) -> Result<crate::world::undo::Mark, Unfit> {
        let follow = Follow { hash: hash(7), max_fee: Wei(u128::MAX), priority_fee: Wei(3) };
        let route = Route::of_loans(pending);
        self.world.apply_target(&Target { follow, sender: user(9), nonce: 0, route })
    }
}

/// All that can be told of loans, but for what is counted.
fn image(loans: &Loans) -> String {
    let feeds: Vec<_> =
        loans.prices.feeds().map(|(id, feed)| (id, feed.answer, feed.aggregator)).collect();
    let marks = PRICES.map(|price| loans.prices.mark(price));
    let books: Vec<_> = loans.books().iter().map(image_of).collect();
    format!("{feeds:?} {marks:?}\n{}", books.join("\n"))
}

fn image_of(book: &Book) -> String {
    match book {
        Book::Aave(book) => {
            let market = &book.market;
            let numbers = 0..market.account_count();
            let accounts: Vec<_> = numbers
                .map(|number| (market.account(number).unwrap(), market.entries(number)))
                .collect();
            let reserves = [0, 1].map(|number| market.reserve(number));
            let found: Vec<_> = (0..16).map(|who| market.account_of(&user(who))).collect();
            format!("{accounts:?} {reserves:?} {found:?}")
        }
        Book::Morpho(book) => {
            let positions: Vec<_> = book.table.positions().collect();
            format!("{:?} {positions:?}", book.table.markets())
        }
        Book::Comet(book) => format!("{:?}", book.table),
    }
}

mod handles {
    use super::*;

    #[test]
    fn a_handle_is_its_books_first_plus_its_place() {
        let town = two().owes(AAVE_BOOK, 2, ETH, USD).owes(MORPHO_BOOK, 3, ETH, USD);
        let story = story(&Town { rooms: [5, 7], ..town });
        assert_eq!(story.loan(AAVE_BOOK, 1), LoanId(0));
        assert_eq!(story.loan(AAVE_BOOK, 2), LoanId(1));
        assert_eq!(story.loan(MORPHO_BOOK, 1), LoanId(5));
        assert_eq!(story.loan(MORPHO_BOOK, 3), LoanId(6));
        let loans = &story.world.loans;
        assert_eq!(loans.room(), 12);
        assert_eq!(loans.loan_of(AAVE_BOOK, Some(&market()), &user(1)), None);
        assert_eq!(loans.loan_of(MORPHO_BOOK, None, &user(1)), None);
        assert_eq!(loans.loan_of(2, None, &user(1)), None);
    }

    #[test]
    fn each_loan_is_called_as_its_protocol_is() {
        let story = story(&two());
        let loans = &story.world.loans;
        let call = loans.call(story.loan(AAVE_BOOK, 1), Size::Debt(1)).unwrap();
        assert_eq!((call.market, call.borrower), (AAVE.pool, user(1)));
        let call = loans.call(story.loan(MORPHO_BOOK, 1), Size::Shares(1)).unwrap();
        assert_eq!((call.market, call.borrower), (MORPHO, user(1)));
        assert!(loans.call(story.loan(MORPHO_BOOK, 1), Size::Debt(1)).is_none());
    }

    #[test]
    fn an_unknown_handle_is_a_fault_and_no_panic() {
        for town in [two(), Town { rooms: [0, 0], ..town() }, Town { rooms: [3, 0], ..town() }] {
            if town.rooms == [16, 16] {
                check(&story(&town), &[2, 15, 17, 31, 32, 1_000, u32::MAX]);
            } else {
                check(&story(&town), &[0, 1, 2, 3, 4, u32::MAX]);
            }
        }
        let mut world = empty_world();
        assert!(world.loans.is_empty() && world.loans.room() == 0);
        world.loans.take(LoanId(3));
        assert!(world.loans.is_liquidatable(LoanId(3), TIME).is_err());
    }

    fn check(story: &Story, unknown: &[u32]) {
        let mut world = empty_world();
        for loan in unknown.iter().map(|loan| LoanId(*loan)) {
            let (loans, at) = (&story.world.loans, TIME + 12);
            let choice = (Way::default(), Size::Debt(1));
            assert!(loans.is_liquidatable(loan, at).is_err());
            assert!(loans.watch(loan, Times { from: at, until: at }).is_err());
            assert!(loans.sizes(loan, Way::default(), at).is_err());
            assert!(loans.deal(loan, choice, at).is_err());
            assert!(loans.call(loan, Size::Debt(1)).is_none());
            loans.ways(loan, |_, _| panic!("it has none"));
            assert_eq!(loans.version(loan).1, 0);
            world.loans.take(loan);
            let relief = Relief::Repay(Size::Debt(1));
            assert!(world.loans.relieve(loan, (0, relief), at, &mut drop).is_err());
        }
    }
}

mod feeds {
    use super::*;

    #[test]
    fn a_feeds_log_moves_it_and_makes_the_right_loan_liquidatable() {
        let mut story = story(&two());
        assert_eq!(story.both(), [Ok(false); 2]);
        story.block(&[answered(FEEDS[0], 1_938)]);
        assert_eq!(story.world.loans.moved(), [FEEDS[0]]);
        assert!(!story.world.loans.is_all_touched());
        assert_eq!(story.both(), [Ok(true), Ok(false)], "82.5 % of 1,938 is 1,598.85");
        story.world.clear_touched();
        story.block(&[answered(FEEDS[0], 1_935)]);
        assert_eq!(story.both(), [Ok(true), Ok(true)], "86 % of 1,935 is 1,664.1");
        story.world.clear_touched();
        story.block(&[answered(FEEDS[0], 1_935)]);
        assert_eq!(story.world.loans.moved(), [], "it says what it said");
    }

    #[test]
    fn a_rise_of_what_is_owed_hurts_as_a_fall_of_what_is_held() {
        let mut story = story(&two());
        story.block(&[answered(FEEDS[1], 2)]);
        assert_eq!(story.world.loans.moved(), [FEEDS[1]]);
        assert_eq!(story.both(), [Ok(true); 2]);
    }

    #[test]
    fn the_version_of_a_loan_tells_of_its_own_changes_and_of_every_feeds() {
        let mut story = story(&two());
        let [aave, morpho] = [AAVE_BOOK, MORPHO_BOOK].map(|book| story.loan(book, 1));
        let versions = |story: &Story| [aave, morpho].map(|loan| story.world.loans.version(loan));
        assert_eq!(versions(&story), [(0, 0); 2]);
        story.block(&[answered(FEEDS[0], 1_900)]);
        assert_eq!(versions(&story), [(0, 1); 2]);
        story.block(&[deposited(market(), 1, ETH)]);
        assert_eq!(versions(&story), [(0, 1), (1, 1)]);
    }

    #[test]
    fn a_reorg_takes_everything_back_and_says_that_any_loan_may_have_been_touched() {
        let mut story = story(&two());
        story.block(&[]);
        let before = image(&story.world.loans);
        let events = [
            answered(FEEDS[0], 1_900),
            borrowed(2, USDC),
            minted(1, WETH_RESERVE),
            reserve_data(USDC, 1_100_000_000_000_000_000_000_000_000),
            deposited(market(), 5, 3 * ETH),
            withdrawn(market(), 1, ETH / 2),
        ];
        story.head(102, 102, 101);
        story.list(102, &events);
        assert_ne!(image(&story.world.loans), before);
        story.world.clear_touched();
        story.head(102, 202, 101);
        assert_eq!(image(&story.world.loans), before);
        assert!(story.world.loans.is_all_touched());
        story.list(202, &[]);
        assert_eq!((image(&story.world.loans), story.both()), (before, [Ok(false); 2]));
    }

    #[test]
    fn a_log_of_the_subscription_that_the_list_does_not_have_is_taken_back() {
        let mut story = story(&two());
        let before = image(&story.world.loans);
        story.head(101, 101, 100);
        assert_eq!(story.log(101, 0, &answered(FEEDS[0], 1_900)), LogFate::Applied);
        assert_eq!(story.log(101, 0, &answered(FEEDS[0], 1_900)), LogFate::Duplicate);
        assert_eq!(story.both(), [Ok(true); 2]);
        story.list(101, &[]);
        assert_eq!(image(&story.world.loans), before);
        assert!(story.world.freshness().has(Stale::Lost));
    }

    #[test]
    fn what_a_stranger_writes_moves_nothing() {
        let mut story = story(&two());
        let before = image(&story.world.loans);
        let strange = |event: Written| Written { by: Address::repeat_byte(0x77), ..event };
        let events = [answered(FEEDS[0], 1), deposited(market(), 1, ETH), borrowed(1, WETH)];
        story.block(&events.map(strange));
        assert_eq!(image(&story.world.loans), before);
        // Who writes it is of the book, but not the one who writes such events.
        let moved = Written { by: AAVE.oracle, ..borrowed(1, WETH) };
        let deposit = Written { by: CURVE, ..deposited(market(), 1, ETH) };
        story.block(&[moved, deposit]);
        assert_eq!(image(&story.world.loans), before);
        assert!(story.world.freshness().is_fresh());
    }
}

mod reports {
    use super::*;

    fn report(story: &Story, calldata: &[u8]) -> Option<Pending> {
        story.read(user(0xf), AGGREGATORS[0], calldata)
    }

    /// The aggregator takes nothing that is older than what it has.
    #[test]
    fn a_report_that_is_older_than_one_that_was_seen_is_not_read_as_one() {
        let mut story = story(&two());
        let of_round = |round: u8| {
            let mut calldata = transmit(CONFIG, 1_900);
            // The last byte of the second word of its context.
            calldata[4 + 2 * 32 - 1] = round;
            calldata
        };
        let newest = report(&story, &of_round(9)).unwrap();
        assert!(report(&story, &of_round(8)).is_some());
        story.world.loans.count_pending(Some(&newest));
        assert_eq!(report(&story, &of_round(8)), None);
        assert!(report(&story, &of_round(9)).is_some(), "the same again, for a higher fee");
        assert!(report(&story, &of_round(10)).is_some());
    }

    #[test]
    fn a_pending_report_is_supposed_and_taken_back() {
        let mut story = story(&two());
        let before = image(&story.world.loans);
        let pending = report(&story, &transmit(CONFIG, 1_900)).unwrap();
        let Pending::Report(read) = pending else { panic!("a report") };
        assert_eq!((read.source, read.route, read.answer), (0, By::Primary, dollars(1_900)));
        let mark = story.suppose(pending).unwrap();
        assert_eq!(story.both(), [Ok(true); 2]);
        assert_eq!(story.world.loans.supposed(), [FEEDS[0]]);
        assert_eq!(story.world.loans.moved(), [], "the chain has moved nothing");
        let version = story.world.loans.version(LoanId(0));
        story.world.take_back(mark).unwrap();
        assert_eq!((image(&story.world.loans), story.both()), (before, [Ok(false); 2]));
        assert_eq!((version, story.world.loans.version(LoanId(0))), ((0, 0), (0, 0)));
        story.world.suppose_nothing();
        assert_eq!(story.world.loans.supposed(), []);
    }

    #[test]
    fn a_report_that_says_what_is_known_supposes_nothing() {
        let mut story = story(&two());
        let pending = report(&story, &transmit(CONFIG, 2_000)).unwrap();
        story.suppose(pending).unwrap();
        assert_eq!(story.world.loans.supposed(), []);
    }

    #[test]
    fn a_report_through_a_forwarder_is_read_if_it_lets_the_sender() {
        let story = story(&two());
        let data = forwarded(AGGREGATORS[0], &transmit(CONFIG, 1_900));
        assert!(story.read(user(0xf), FORWARDER, &data).is_some());
        assert!(story.read(user(0xe), FORWARDER, &data).is_none());
        assert!(story.read(user(0xf), Address::repeat_byte(0x77), &data).is_none());
        let elsewhere = forwarded(Address::repeat_byte(0x77), &transmit(CONFIG, 1_900));
        assert!(story.read(user(0xf), FORWARDER, &elsewhere).is_none());
    }

    #[test]
    fn a_report_that_no_aggregator_would_take_is_not_read_as_one() {
        let story = story(&two());
        let good = transmit(CONFIG, 1_900);
        assert!(report(&story, &good).is_some());
        assert!(story.read(user(0xe), AGGREGATORS[0], &good).is_none(), "may not transmit");
        let other = transmit(B256::repeat_byte(0xcd), 1_900);
        assert!(report(&story, &other).is_none(), "of another configuration");
        assert!(report(&story, &transmit(CONFIG, 0)).is_none(), "below its bounds");
        assert!(report(&story, &transmit(CONFIG, 1_000_001)).is_none(), "above them");
        assert!(report(&story, &transmit(CONFIG, 1_000_000)).is_some());
        for length in 0..good.len() {
            assert!(report(&story, &good[..length]).is_none(), "cut at {length}");
        }
        assert!(story.read(user(0xf), user(0xf), &good).is_none(), "no aggregator");
    }

    #[test]
    fn what_loans_depend_on_is_told_by_whom_it_is_sent_to() {
        let story = story(&two());
        let loans = &story.world.loans;
        for to in [AGGREGATORS[0], AGGREGATORS[1], FORWARDER, AAVE.pool, MORPHO] {
            assert!(loans.is_concerned(&to));
        }
        for to in [AAVE.oracle, CURVE, Address::repeat_byte(0x11), Address::ZERO] {
            assert!(!loans.is_concerned(&to));
        }
        assert!(!empty_world().loans.is_concerned(&AAVE.pool));
    }

    #[test]
    fn an_answer_of_a_rotated_aggregator_moves_its_feed_and_the_old_ones_nothing() {
        let mut story = story(&two());
        story.block(&[]);
        let next = Address::repeat_byte(0xf9);
        let feeds = vec![(FEEDS[0], next, dollars(1_990))];
        let read = Reread { block: Some(story.here()), feeds, ..Reread::default() };
        assert!(story.world.reread(&read));
        assert_eq!(story.world.loans.moved(), [FEEDS[0]]);
        story.block(&[answered(FEEDS[0], 1_000)]);
        assert_eq!(story.world.loans.prices.feed(FEEDS[0]).answer, dollars(1_990));
        story.block(&[Written { by: next, ..answered(FEEDS[0], 1_900) }]);
        assert_eq!(story.world.loans.prices.feed(FEEDS[0]).answer, dollars(1_900));
    }
}

mod trust {
    use super::*;

    /// Nothing is told of a book's loans.
    fn assert_silent(story: &Story, book: u8) {
        assert_eq!(story.is_liquidatable(book, 1), Err(Fault::Unknown));
        let (loan, at) = (story.loan(book, 1), story.world.loan_time());
        let times = Times { from: at, until: at };
        assert!(story.world.loans.watch(loan, times).is_err());
        story.world.loans.ways(loan, |_, _| panic!("it has none"));
    }

    #[test]
    fn a_malformed_log_of_a_known_contract_makes_its_book_unread_and_the_world_lost() {
        let bent = |event: Written| Written { data: event.data[1..].to_vec(), ..event };
        let [aave, morpho] = [bent(borrowed(1, USDC)), bent(deposited(market(), 1, ETH))];
        for (event, book) in [(aave, AAVE_BOOK), (morpho, MORPHO_BOOK)] {
            let mut story = story(&two());
            story.block(&[event, answered(FEEDS[0], 1_900)]);
            assert!(story.world.freshness().has(Stale::Lost));
            assert!(story.world.loans.is_unread() && story.world.loans.is_all_touched());
            assert_eq!(story.world.loans.counts().malformed, 1);
            assert_silent(&story, book);
            let other = [MORPHO_BOOK, AAVE_BOOK][usize::from(book)];
            assert_eq!(story.is_liquidatable(other, 1), Ok(true), "nobody doubts it");
            // Only all of them anew are believed.
            let loans = Town { since: TIME, ..two() }.build(&story.world);
            story.world.lend(loans);
            assert!(!story.world.loans.is_unread());
            assert_eq!(story.both(), [Ok(false); 2]);
        }
    }

    #[test]
    fn whatever_else_a_known_contract_writes_is_of_any_length() {
        let mut story = story(&two());
        let topics = vec![B256::repeat_byte(0x99)];
        let strange = |by, length| Written { by, topics: topics.clone(), data: vec![7; length] };
        story.block(&[strange(AAVE.configurator, 5_000), strange(AAVE.pool, 33)]);
        story.block(&[strange(MORPHO, 5_000), strange(tokens_of(0)[0], 1)]);
        assert!(story.world.freshness().is_fresh() && !story.world.loans.is_unread());
        assert_eq!(story.both(), [Ok(false); 2]);
    }

    #[test]
    fn a_replaced_contract_is_only_known_after_a_reload() {
        let mut story = story(&two());
        let topics = vec![crate::lending::aave::topics::UPGRADED, B256::ZERO];
        story.block(&[Written { by: AAVE.pool, topics, data: vec![] }]);
        assert!(story.world.freshness().has(Stale::Lost));
        assert_silent(&story, AAVE_BOOK);
    }

    #[test]
    fn another_price_source_is_only_known_after_a_reload() {
        let mut story = story(&two());
        let (weth, source) = (WETH.into_word(), B256::left_padding_from(&[3]));
        let topics = vec![crate::lending::aave::topics::ASSET_SOURCE, weth, source];
        story.block(&[Written { by: AAVE.oracle, topics, data: vec![] }]);
        assert!(story.world.freshness().has(Stale::Lost));
        assert!(story.world.loans.is_unread());
        assert_silent(&story, AAVE_BOOK);
        assert_eq!(story.is_liquidatable(MORPHO_BOOK, 1), Ok(false));
    }

    #[test]
    fn prices_that_nobody_has_held_against_the_chain_for_long_are_doubted_until_all_were_read() {
        let mut story = story(&two());
        let seal = |story: &mut Story, count: usize| (0..count).for_each(|_| story.block(&[]));
        seal(&mut story, 64);
        assert_eq!(story.both(), [Ok(false); 2]);
        seal(&mut story, 1);
        assert!(story.world.freshness().is_fresh(), "no pool is wrong by it");
        assert!(story.world.loans.doubts_prices() && !story.world.loans.is_unread());
        assert_silent(&story, AAVE_BOOK);
        assert_silent(&story, MORPHO_BOOK);
        let price = |amount: u64| Some(dollars(amount).into_raw());
        let prices = vec![(PRICES[0], price(1_900)), (PRICES[1], price(1))];
        let part = Reread { block: Some(story.here()), prices, ..Reread::default() };
        assert!(story.world.reread(&part));
        assert_silent(&story, AAVE_BOOK);
        story.world.clear_touched();
        assert!(story.world.reread(&Reread { is_whole: true, ..part }));
        assert!(story.world.loans.is_all_touched() && !story.world.loans.doubts_prices());
        assert_eq!(story.is_liquidatable(AAVE_BOOK, 1), Ok(true), "it is another price");
        assert_eq!(story.is_liquidatable(MORPHO_BOOK, 1), Ok(false));
    }

    #[test]
    fn loans_that_may_have_missed_events_are_not_told_of() {
        let mut story = story(&two());
        story.world.loans.distrust_all();
        assert_silent(&story, AAVE_BOOK);
        assert_silent(&story, MORPHO_BOOK);
        story.block(&[answered(FEEDS[0], 1_900)]);
        assert!(story.world.freshness().has(Stale::Lost));
    }
}

/// What comes in wrong, late or for once: each is as the contract would have it.
mod bad_data {
    use super::*;
    use crate::lending::aave::topics::{RESERVE_PAUSED, USER_EMODE_SET};

    const WAY: Way = Way { collateral: WETH_RESERVE, debt: USDC_RESERVE };

    /// What Aave would say of the whole of what can be liquidated.
    fn whole(story: &Story) -> Result<Deal, Fault> {
        let loan = story.loan(AAVE_BOOK, 1);
        let (loans, at) = (&story.world.loans, story.world.loan_time());
        let sizes = loans.sizes(loan, WAY, at)?;
        loans.deal(loan, (WAY, sizes.most), at)
    }

    fn of_configurator(topic: B256, asset: Address, word: u8) -> Written {
        let topics = vec![topic, asset.into_word()];
        Written { by: AAVE.configurator, topics, data: B256::with_last_byte(word).to_vec() }
    }

    #[test]
    fn while_a_feed_answers_nothing_nobody_who_needs_it_has_a_health() {
        for answer in [0, -1] {
            let mut story = story(&two());
            let zero = I256::try_from(answer).unwrap();
            let mut odd = answered(FEEDS[0], 1_900);
            odd.topics[1] = zero.into_raw().into();
            story.block(&[odd]);
            assert_eq!(story.world.loans.moved(), [FEEDS[0]]);
            // Morpho's oracle takes a zero, as the contract does: the collateral is worth nothing.
            let of_morpho = if answer == 0 { Ok(true) } else { Err(Fault::NoPrice) };
            assert_eq!(story.both(), [Err(Fault::NoPrice), of_morpho], "{answer}");
            assert_eq!(whole(&story), Err(Fault::NoPrice));
            assert_eq!(story.world.loans.prices.counts().not_positive, 1);
            story.block(&[answered(FEEDS[0], 1_900)]);
            assert_eq!(story.both(), [Ok(true); 2], "it has a price again");
            assert!(whole(&story).is_ok());
        }
    }

    /// Neither protocol asks how old an answer is.
    #[test]
    fn an_old_answer_counts_as_long_as_no_newer_one_came() {
        let mut story = story(&two());
        for _ in 0..60 {
            story.block(&[]);
        }
        assert_eq!(story.both(), [Ok(false); 2]);
        story.block(&[answered(FEEDS[0], 1_900)]);
        assert_eq!(story.both(), [Ok(true); 2]);
    }

    #[test]
    fn a_paused_reserve_is_liquidated_by_nobody_until_it_is_released() {
        let mut story = story(&two());
        for asset in [WETH, USDC] {
            let pause = |is_paused| of_configurator(RESERVE_PAUSED, asset, is_paused);
            story.block(&[answered(FEEDS[0], 1_900), pause(1)]);
            assert!(story.world.loans.is_all_touched());
            assert_eq!(story.is_liquidatable(AAVE_BOOK, 1), Ok(true), "its health is what it is");
            assert_eq!(whole(&story), Err(Fault::Forbidden));
            story.block(&[pause(0)]);
            assert!(whole(&story).is_ok());
        }
    }

    #[test]
    fn a_reserve_that_cannot_pay_out_gives_no_collateral() {
        let mut story = story(&two());
        story.block(&[answered(FEEDS[0], 1_900)]);
        let Deal { seized, .. } = whole(&story).unwrap();
        for (available, is_enough) in [(seized - 1, false), (seized, true)] {
            let reserves = vec![(AAVE_BOOK, WETH_RESERVE, available)];
            let block = Some(story.here());
            assert!(story.world.reread(&Reread { block, reserves, ..Reread::default() }));
            let expected = if is_enough { Ok(seized) } else { Err(Fault::NoLiquidity) };
            assert_eq!(whole(&story).map(|deal| deal.seized), expected);
        }
    }

    #[test]
    fn whoever_leaves_a_category_counts_with_the_reserves_own_threshold() {
        let mut story = story(&two());
        let chooses = |category: u8| {
            let topics = vec![USER_EMODE_SET, user(1).into_word()];
            Written { by: AAVE.pool, topics, data: B256::with_last_byte(category).to_vec() }
        };
        let counts_with = |story: &Story| {
            let Book::Aave(book) = &story.world.loans.books()[0] else { panic!("Aave's") };
            let account = book.market.account_of(&user(1)).unwrap();
            book.market.account(account).unwrap().category
        };
        story.block(&[chooses(1)]);
        assert_eq!((counts_with(&story), story.is_liquidatable(AAVE_BOOK, 1)), (1, Ok(false)));
        assert_eq!(story.world.loans.touched().collect::<Vec<_>>(), [LoanId(0)]);
        story.world.clear_touched();
        story.block(&[answered(FEEDS[0], 1_900), chooses(0)]);
        assert_eq!((counts_with(&story), story.is_liquidatable(AAVE_BOOK, 1)), (0, Ok(true)));
    }

    #[test]
    fn what_a_feed_writes_that_no_aggregator_would_changes_nothing_and_is_counted() {
        let mut story = story(&two());
        let mut odd = answered(FEEDS[0], 1_900);
        odd.topics[2] = B256::repeat_byte(0xff);
        story.block(&[odd]);
        assert_eq!(story.world.loans.counts().malformed, 1);
        assert!(story.world.freshness().is_fresh() && !story.world.loans.doubts_prices());
        assert_eq!(story.both(), [Ok(false); 2]);
    }

    #[test]
    fn a_loan_of_which_two_liquidations_reverted_is_left_until_the_chain_changes_it() {
        let mut story = story(&two());
        story.block(&[answered(FEEDS[0], 1_900)]);
        let loan = story.loan(MORPHO_BOOK, 1);
        story.world.loans.reverted(loan);
        assert_eq!(story.is_liquidatable(MORPHO_BOOK, 1), Ok(true));
        story.world.loans.reverted(loan);
        story.block(&[answered(FEEDS[0], 1_899)]);
        assert_eq!(story.is_liquidatable(MORPHO_BOOK, 1), Ok(false), "whatever feeds do");
        story.block(&[withdrawn(market(), 1, 1)]);
        assert_eq!(story.is_liquidatable(MORPHO_BOOK, 1), Ok(true));
    }
}

mod rereading {
    use super::*;

    fn account(who: u8, weth: u128, usdc: u128) -> (u8, Account) {
        let entries = entries(weth, usdc).to_vec();
        (AAVE_BOOK, Account { user: user(who), category: 0, entries })
    }

    fn wants(story: &Story) -> Vec<(u8, Want)> {
        let mut wants = Vec::new();
        story.world.loans.wants(|book, want| wants.push((book, want)));
        wants
    }

    #[test]
    fn an_account_that_an_event_touches_is_not_told_of_until_it_was_reread() {
        let mut story = story(&two());
        story.block(&[answered(FEEDS[0], 1_900), minted(1, WETH_RESERVE)]);
        assert_eq!(story.is_liquidatable(AAVE_BOOK, 1), Err(Fault::Unknown));
        assert_eq!(story.world.loans.touched().collect::<Vec<_>>(), [LoanId(0)]);
        assert_eq!(wants(&story), [(AAVE_BOOK, Want::Account(user(1)))]);
        story.world.clear_touched();
        let block = Some(story.here());
        let read =
            Reread { block, accounts: vec![account(1, 2 * ETH, 1_600 * USD)], ..Reread::default() };
        assert!(story.world.reread(&read));
        assert_eq!(story.is_liquidatable(AAVE_BOOK, 1), Ok(false));
        assert_eq!(story.world.loans.touched().collect::<Vec<_>>(), [LoanId(0)]);
        assert_eq!((wants(&story), story.world.loans.counts().reread), (vec![], 1));
    }

    #[test]
    fn a_reread_of_another_block_or_in_an_open_one_is_refused_and_counted() {
        let mut story = story(&two());
        story.block(&[minted(1, WETH_RESERVE)]);
        let accounts = vec![account(1, ETH, 1_600 * USD)];
        let read = Reread { block: Some(story.here()), accounts, ..Reread::default() };
        let before = image(&story.world.loans);
        let fork = BlockRef { hash: hash(777), ..story.here() };
        for block in [None, Some(fork)] {
            assert!(!story.world.reread(&Reread { block, ..read.clone() }));
        }
        story.head(102, 102, 101);
        assert!(!story.world.reread(&read), "a block is open");
        story.list(102, &[]);
        assert!(!story.world.reread(&read), "it is of the block before");
        assert_eq!(story.world.loans.counts().reread_late, 4);
        assert_eq!(image(&story.world.loans), before);
        assert!(story.world.reread(&Reread { block: Some(story.here()), ..read }));
    }

    #[test]
    fn what_was_reread_stays_through_a_reorg_above_it_and_goes_with_its_block() {
        let mut story = story(&two());
        story.block(&[]);
        let before = image(&story.world.loans);
        story.block(&[borrowed(3, USDC)]);
        let accounts = vec![account(3, 9 * ETH, 16_000 * USD)];
        let read = Reread { block: Some(story.here()), accounts, ..Reread::default() };
        assert!(story.world.reread(&read));
        let after = image(&story.world.loans);
        story.block(&[answered(FEEDS[0], 1_900)]);
        story.head(103, 203, 102);
        assert_eq!(image(&story.world.loans), after, "block 102 left it so");
        story.list(203, &[]);
        story.head(102, 302, 101);
        assert_eq!(image(&story.world.loans), before);
    }

    #[test]
    fn borrowers_of_a_market_that_was_reread_are_looked_at_again() {
        let mut story = story(&two());
        let healthy = image(&story.world.loans);
        // More is repaid than is owed: an event was missed.
        story.block(&[repaid(market(), 2, 5_000 * USD)]);
        assert_eq!(story.is_liquidatable(MORPHO_BOOK, 1), Err(Fault::Unknown));
        assert_eq!(wants(&story), [(MORPHO_BOOK, Want::Market(market()))]);
        let Book::Morpho(book) = &story.world.loans.books()[1] else { panic!("Morpho's") };
        let state = book.table.markets()[0].state;
        story.world.clear_touched();
        let markets = vec![(MORPHO_BOOK, market(), state)];
        assert!(story.world.reread(&Reread {
            block: Some(story.here()),
            markets,
            ..Reread::default()
        }));
        assert_eq!(story.is_liquidatable(MORPHO_BOOK, 1), Ok(false));
        assert!(story.world.loans.is_touched(story.loan(MORPHO_BOOK, 1)));
        assert_eq!(image(&story.world.loans), healthy);
    }

    #[test]
    fn a_position_and_a_reserve_are_reread() {
        let mut story = story(&two());
        story.block(&[reserve_data(USDC, 1_000_000_000_000_000_000_000_000_000)]);
        assert_eq!(wants(&story), [(AAVE_BOOK, Want::Reserve(USDC_RESERVE))]);
        let usdc = TokenId(1);
        assert_eq!(story.world.loans.lender(usdc, u128::MAX), None);
        let held = morpho::Position { collateral: ETH, borrow_shares: 1_800 * USD * SHARES };
        let read = Reread {
            block: Some(story.here()),
            reserves: vec![(AAVE_BOOK, USDC_RESERVE, 77)],
            positions: vec![(MORPHO_BOOK, market(), user(1), held)],
            ..Reread::default()
        };
        assert!(story.world.reread(&read));
        assert_eq!(story.is_liquidatable(MORPHO_BOOK, 1), Ok(true));
        assert_eq!((wants(&story), story.world.loans.counts().reread), (vec![], 2));
        let Book::Aave(book) = &story.world.loans.books()[0] else { panic!("Aave's") };
        assert_eq!(book.lends(usdc), Some((77, 5)));
    }

    #[test]
    fn a_price_that_differs_from_the_chains_is_believed_as_it_was_read() {
        let mut story = story(&two());
        story.block(&[]);
        let before = image(&story.world.loans);
        story.world.clear_touched();
        let prices = vec![(PRICES[0], Some(dollars(1_900).into_raw()))];
        let read = Reread { block: Some(story.here()), prices, ..Reread::default() };
        assert!(story.world.reread(&read));
        assert_eq!(story.both(), [Ok(true), Ok(false)], "Aave's price of WETH is its own now");
        assert!(story.world.loans.is_all_touched(), "it has another feed");
        story.world.clear_touched();
        let prices = vec![(PRICES[0], None)];
        story.block(&[]);
        let read = Reread { block: Some(story.here()), prices, ..Reread::default() };
        assert!(story.world.reread(&read));
        assert_eq!(story.is_liquidatable(AAVE_BOOK, 1), Err(Fault::NoPrice));
        assert_eq!(story.world.loans.moved().len(), 1, "its own feed");
        story.head(101, 901, 100);
        story.list(901, &[]);
        assert_eq!(image(&story.world.loans), before);
    }
}

mod relief {
    use super::*;

    /// Both can be liquidated.
    fn struck() -> Story {
        let mut story = story(&two());
        story.block(&[answered(FEEDS[0], 1_900)]);
        assert_eq!(story.both(), [Ok(true); 2]);
        story
    }

    /// Whether a pending call makes the borrower healthy as long as it is supposed.
    fn helps(story: &mut Story, book: u8, to: Address, calldata: &[u8]) -> bool {
        let before = image(&story.world.loans);
        let pending = story.read(user(8), to, calldata).unwrap();
        let loan = story.loan(book, 1);
        assert!(Route::of_loans(pending).relieves(loan));
        let mark = story.suppose(pending).unwrap();
        assert_eq!(story.world.loans.supposed(), [], "no feed has moved");
        let is_liquidatable = story.is_liquidatable(book, 1).unwrap();
        story.world.take_back(mark).unwrap();
        assert_eq!(image(&story.world.loans), before);
        assert_eq!(story.is_liquidatable(book, 1), Ok(true));
        !is_liquidatable
    }

    #[test]
    fn a_repayment_or_more_collateral_makes_the_borrower_healthy_while_it_is_supposed() {
        let mut story = struck();
        let (aave, morpho) = (AAVE.pool, MORPHO);
        let params = params([WETH, USDC]);
        assert!(helps(&mut story, AAVE_BOOK, aave, &aave_repay(USDC, 100 * USD, 1)));
        assert!(helps(&mut story, AAVE_BOOK, aave, &aave_repay(USDC, u128::MAX, 1)));
        assert!(!helps(&mut story, AAVE_BOOK, aave, &aave_repay(USDC, 30 * USD, 1)));
        assert!(!helps(&mut story, AAVE_BOOK, aave, &aave_repay(WETH, ETH, 1)), "not owed");
        assert!(helps(&mut story, AAVE_BOOK, aave, &aave_supply(WETH, ETH / 10, 1)));
        assert!(!helps(&mut story, AAVE_BOOK, aave, &aave_supply(WETH, 1, 1)));
        assert!(helps(&mut story, AAVE_BOOK, aave, &aave_supply(USDC, 900 * USD, 1)));
        let repay = |numbers| morpho_repay(&params, numbers, 1);
        assert!(helps(&mut story, MORPHO_BOOK, morpho, &repay([100 * USD, 0])));
        assert!(helps(&mut story, MORPHO_BOOK, morpho, &repay([0, 1_665 * USD * SHARES])));
        assert!(!helps(&mut story, MORPHO_BOOK, morpho, &repay([USD, 0])));
        let supply = |amount| morpho_supply(&params, amount, 1);
        assert!(helps(&mut story, MORPHO_BOOK, morpho, &supply(ETH / 10)));
        assert!(!helps(&mut story, MORPHO_BOOK, morpho, &supply(1)));
    }

    #[test]
    fn a_repayment_that_the_contract_would_refuse_helps_nobody() {
        let mut story = struck();
        let params = params([WETH, USDC]);
        for numbers in [[2_000 * USD, 0], [u128::MAX, 0], [0, 1_665 * USD * SHARES + 1]] {
            let calldata = morpho_repay(&params, numbers, 1);
            let pending = story.read(user(8), MORPHO, &calldata).unwrap();
            let before = image(&story.world.loans);
            assert_eq!(story.suppose(pending).err(), Some(Unfit::NoLiquidity));
            assert_eq!(image(&story.world.loans), before);
        }
    }

    #[test]
    fn what_is_supplied_beside_collateral_that_is_not_used_does_not_help() {
        let town = town().owes(AAVE_BOOK, 1, ETH, 1_600 * USD);
        let mut story = story(&town);
        story.block(&[used(1, WETH, false)]);
        assert_eq!(story.is_liquidatable(AAVE_BOOK, 1), Ok(true));
        assert!(!helps(&mut story, AAVE_BOOK, AAVE.pool, &aave_supply(WETH, 9 * ETH, 1)));
        story.block(&[used(1, WETH, true)]);
        assert_eq!(story.is_liquidatable(AAVE_BOOK, 1), Ok(false));
    }

    #[test]
    fn a_call_for_nobody_who_is_known_is_no_relief() {
        let story = struck();
        let params = params([WETH, USDC]);
        let unknown = morpho::Params { lltv: 1, ..params };
        let strange = Address::repeat_byte(0x77);
        for (to, calldata) in [
            (AAVE.pool, aave_repay(USDC, USD, 7)),
            (AAVE.pool, aave_repay(strange, USD, 1)),
            (AAVE.pool, aave_repay(USDC, USD, 1)[..100].to_vec()),
            (AAVE.pool, vec![1, 2, 3]),
            (AAVE.pool, morpho_supply(&params, ETH, 1)),
            (MORPHO, morpho_supply(&params, ETH, 7)),
            (MORPHO, morpho_supply(&unknown, ETH, 1)),
            (MORPHO, morpho_repay(&params, [USD, SHARES], 1)),
            (MORPHO, vec![]),
            (strange, aave_repay(USDC, USD, 1)),
        ] {
            assert_eq!(story.read(user(8), to, &calldata), None);
        }
    }
}

mod ours {
    use super::*;

    #[test]
    fn who_was_taken_is_not_liquidatable_until_the_chain_changes_him() {
        let mut story = story(&two());
        story.block(&[answered(FEEDS[0], 1_900)]);
        let loan = story.loan(MORPHO_BOOK, 1);
        story.world.loans.take(loan);
        assert_eq!(story.both(), [Ok(true), Ok(false)]);
        let all = (Way::default(), Size::Shares(1));
        let at = story.world.loan_time();
        assert_eq!(story.world.loans.deal(loan, all, at), Err(Fault::NotHeld));
        story.block(&[answered(FEEDS[0], 1_890)]);
        assert_eq!(story.both(), [Ok(true), Ok(false)], "another price does not give him back");
        story.block(&[deposited(market(), 1, 1)]);
        assert_eq!(story.both(), [Ok(true); 2]);
    }

    #[test]
    fn a_liquidation_is_one_opportunity_until_its_loan_or_a_feed_is_moved() {
        let mut story = story(&two());
        let plan = liquidation(16, 0);
        let of = |plan: &Plan, story: &Story| fingerprint(plan, &story.world);
        let behind = |name| {
            let follow = Follow { hash: hash(name), max_fee: Wei(1), priority_fee: Wei(1) };
            Plan { bid: Bid::Behind(follow), ..liquidation(16, 0) }
        };
        let first = of(&plan, &story);
        assert_eq!(of(&liquidation(16, 9), &story), first, "whichever way it is sold");
        assert_ne!(of(&liquidation(0, 0), &story), first);
        assert_ne!(of(&Plan { order: None, ..plan }, &story), first);
        assert_ne!(of(&behind(1), &story), first);
        assert_ne!(of(&behind(1), &story), of(&behind(2), &story));
        story.block(&[minted(1, WETH_RESERVE)]);
        assert_eq!(of(&plan, &story), first, "somebody else's account");
        story.block(&[answered(FEEDS[1], 2)]);
        let second = of(&plan, &story);
        assert_ne!(second, first);
        story.block(&[deposited(market(), 1, 1)]);
        assert!(![first, second].contains(&of(&plan, &story)));
    }

    #[test]
    fn more_loans_than_are_told_apart_are_all_of_them() {
        let count = u32::try_from(LOANS_TOUCHED_MAX).unwrap();
        let mut loans = {
            let world = empty_world();
            Town { rooms: [count + 2, 0], ..town() }.build(&world)
        };
        loans.clear_touched();
        for loan in (0..count).chain(0..count) {
            loans.touch(LoanId(loan));
        }
        assert!(!loans.is_all_touched(), "each is listed once");
        assert_eq!(loans.touched().count(), LOANS_TOUCHED_MAX);
        loans.touch(LoanId(count));
        assert!(loans.is_all_touched() && loans.is_touched(LoanId(count)));
        loans.clear_touched();
        assert!(loans.touched().next().is_none() && !loans.is_all_touched());
        loans.touch(LoanId(3));
        assert_eq!(loans.touched().collect::<Vec<_>>(), [LoanId(3)]);
    }

    #[test]
    fn whoever_lends_for_least_is_asked() {
        let mut story = story(&Town { idle: 100 * USD, ..two() });
        let (weth, usdc) = (TokenId(0), TokenId(1));
        let loans = &story.world.loans;
        assert_eq!(loans.lender(usdc, 100 * USD), Some(of_morpho()));
        assert_eq!(loans.lender(usdc, 100 * USD + 1), Some(of_aave()));
        assert_eq!(loans.lender(usdc, u128::MAX), None);
        assert_eq!(loans.lender(weth, ETH), Some(of_aave()));
        story.world.loans.distrust_all();
        assert_eq!(story.world.loans.lender(usdc, 1), None);
    }
}

const fn of_morpho() -> FlashLender {
    FlashLender::free(Funding::Morpho(MORPHO))
}

/// Five basis points.
const fn of_aave() -> FlashLender {
    FlashLender { funding: Funding::Aave(AAVE.pool), fee: 5 * BPS }
}

const BPS: u64 = 100_000_000_000_000;

/// Vaults of Balancer's, which lend beside Aave and Morpho.
mod vaults {
    use super::*;

    const VAULT: Address = Address::repeat_byte(0xba);
    const WETH_ID: TokenId = TokenId(0);
    const USDC_ID: TokenId = TokenId(1);

    const fn of_vault(fee: u64) -> FlashLender {
        FlashLender { funding: Funding::Balancer(VAULT), fee }
    }

    fn state(fee: u64, usdc: u128) -> VaultState {
        VaultState { fee, holds: vec![0, usdc] }
    }

    /// Beside Morpho, who has a hundred dollars, and Aave there is a vault that holds so much.
    fn with_vault(fee: u64, usdc: u128) -> Story {
        let town = Town { idle: 100 * USD, since: TIME, ..two() };
        let mut story = story(&town);
        let vault = Vault::new(VAULT, &[WETH_ID, USDC_ID], &state(fee, usdc));
        let loans = town.build(&story.world).with_vaults(vec![vault]);
        story.world.lend(loans);
        story
    }

    impl Story {
        fn lender(&self, amount: u128) -> Option<FlashLender> {
            self.world.loans.lender(USDC_ID, amount)
        }

        /// The vault is read again: with so much, for nothing.
        fn reread_vault(&mut self, usdc: u128) {
            let vaults = vec![(0, state(0, usdc))];
            let read = Reread { block: Some(self.here()), vaults, ..Reread::default() };
            assert!(self.world.reread(&read));
        }
    }

    #[test]
    fn the_cheapest_lender_that_has_enough_is_asked() {
        let story = with_vault(BPS, 1_000 * USD);
        assert_eq!(story.lender(100 * USD), Some(of_morpho()));
        assert_eq!(story.lender(100 * USD + 1), Some(of_vault(BPS)));
        assert_eq!(story.lender(500 * USD), Some(of_vault(BPS)));
        assert_eq!(story.lender(500 * USD + 1), Some(of_aave()), "half of a vault is believed");
        assert_eq!(story.lender(u128::MAX), None);
        assert_eq!(story.world.loans.lender(WETH_ID, ETH), Some(of_aave()), "it holds none");
        let dear = with_vault(6 * BPS, 1_000 * USD);
        assert_eq!(dear.lender(101 * USD), Some(of_aave()));
    }

    #[test]
    fn of_lenders_that_take_the_same_the_one_that_costs_least_gas_is_asked() {
        let free = with_vault(0, 1_000 * USD);
        assert_eq!(free.lender(100 * USD), Some(of_morpho()));
        assert_eq!(free.lender(101 * USD), Some(of_vault(0)));
        assert_eq!(with_vault(5 * BPS, 1_000 * USD).lender(101 * USD), Some(of_vault(5 * BPS)));
    }

    #[test]
    fn a_vault_that_nobody_has_read_for_long_lends_nothing_until_it_is() {
        let mut story = with_vault(0, 1_000 * USD);
        for _ in 0..8 {
            story.block(&[]);
        }
        assert_eq!(story.lender(101 * USD), Some(of_vault(0)));
        story.block(&[]);
        assert_eq!(story.lender(101 * USD), Some(of_aave()));
        story.reread_vault(2_000 * USD);
        assert_eq!(story.lender(1_000 * USD), Some(of_vault(0)));
        assert_eq!(story.world.loans.counts().reread, 1);
        // Prices were read, and the vault was not.
        for _ in 0..9 {
            let read = Reread { block: Some(story.here()), is_whole: true, ..Reread::default() };
            assert!(story.world.reread(&read));
            story.block(&[]);
        }
        assert_eq!(story.lender(1_000 * USD), Some(of_aave()));
    }

    #[test]
    fn what_a_vault_held_in_a_block_that_was_left_is_not_believed() {
        let mut story = with_vault(0, 1_000 * USD);
        story.block(&[]);
        story.reread_vault(3_000 * USD);
        story.block(&[]);
        assert_eq!(story.lender(1_500 * USD), Some(of_vault(0)));
        story.head(102, 202, 101);
        story.list(202, &[]);
        assert_eq!(story.lender(1_500 * USD), Some(of_vault(0)), "block 101 stays");
        story.head(101, 301, 100);
        story.list(301, &[]);
        assert_eq!(story.lender(101 * USD), Some(of_aave()));
        story.head(102, 302, 301);
        story.list(302, &[]);
        assert_eq!(story.lender(101 * USD), Some(of_aave()), "nor by a later one");
        story.reread_vault(1_000 * USD);
        assert_eq!(story.lender(500 * USD), Some(of_vault(0)));
    }

    #[test]
    fn of_a_vault_only_what_is_followed_and_was_said_is_lent() {
        let mut story = with_vault(0, 1_000 * USD);
        assert_eq!(story.world.loans.lender(TokenId(2), 1), None);
        let vaults = vec![(7, state(0, USD)), (0, VaultState { fee: 0, holds: vec![u128::MAX] })];
        let read = Reread { block: Some(story.here()), vaults, ..Reread::default() };
        assert!(story.world.reread(&read));
        assert_eq!(story.lender(101 * USD), Some(of_aave()), "nothing was said of it");
        let weth = story.world.loans.lender(WETH_ID, u128::MAX / 2);
        assert_eq!(weth, Some(of_vault(0)));
    }

    #[test]
    fn a_premium_is_rounded_up_and_is_none_where_no_number_is_large_enough() {
        let cases = [
            (0, u128::MAX, Some(0)),
            (3_000_000_000_000_000, 1, Some(1)),
            (3_000_000_000_000_000, ETH, Some(3_000_000_000_000_000)),
            (3_000_000_000_000_000, ETH + 1, Some(3_000_000_000_000_001)),
            (1_000_000_000_000_000_000, u128::MAX, Some(u128::MAX)),
            (1_000_000_000_000_000_001, u128::MAX, None),
            (u64::MAX, 0, Some(0)),
        ];
        for (fee, lent, premium) in cases {
            assert_eq!(of_vault(fee).premium(lent), premium, "{fee} of {lent}");
        }
    }
}

/// What may happen, in any order.
fn any_event() -> impl Strategy<Value = Written> {
    let parts = (0_u8..10, 0_u8..6, 1_u128..4, 1_700_u64..2_200);
    parts.prop_map(|(kind, who, size, price)| match kind {
        0 => answered(FEEDS[0], price),
        1 => answered(FEEDS[1], 1 + price % 2),
        2 => borrowed(who, USDC),
        3 => minted(who, WETH_RESERVE),
        4 => used(who, WETH, size == 1),
        5 => reserve_data(USDC, size * 1_000_000_000_000_000_000_000_000_000),
        6 => deposited(market(), who, size * ETH),
        7 => withdrawn(market(), who, size * ETH),
        8 => lent(market(), who, size * 100 * USD),
        _ => repaid(market(), who, size * 100 * USD),
    })
}

/// A block's events, with what was read at its end, and what is supposed then.
#[derive(Clone, Debug)]
struct Doing {
    events: Vec<Written>,
    reread: Option<(u8, u128)>,
    supposed: u64,
    relief: u128,
}

fn any_doing() -> impl Strategy<Value = Doing> {
    let events = prop::collection::vec(any_event(), 0..6);
    let reread = prop::option::of((0_u8..6, 0_u128..4));
    (events, reread, 1_700_u64..2_200, 1_u128..2_000)
        .prop_map(|(events, reread, supposed, relief)| Doing { events, reread, supposed, relief })
}

impl Story {
    fn do_it(&mut self, doing: &Doing) {
        self.block(&doing.events);
        if let Some((who, weth)) = doing.reread {
            let entries = entries(weth * ETH, 1_600 * USD).to_vec();
            let account = (AAVE_BOOK, Account { user: user(who), category: 0, entries });
            let price = (PRICES[0], Some(dollars(1_800 + u64::from(who)).into_raw()));
            let own = I256::try_from(doing.supposed).unwrap();
            let read = Reread {
                block: Some(self.here()),
                accounts: vec![account],
                prices: vec![price],
                reserves: vec![(AAVE_BOOK, USDC_RESERVE, weth)],
                feeds: vec![(FEEDS[1], Address::repeat_byte(who), own)],
                ..Reread::default()
            };
            assert!(self.world.reread(&read));
        }
        let sealed = image(&self.world.loans);
        let report = self.read(user(0xf), AGGREGATORS[0], &transmit(CONFIG, doing.supposed));
        let repay = self.read(user(8), AAVE.pool, &aave_repay(USDC, doing.relief * USD, 1));
        let supply = morpho_supply(&params([WETH, USDC]), doing.relief, 1);
        let supply = self.read(user(8), MORPHO, &supply);
        let mark = self.world.mark();
        for pending in [report, repay, supply].into_iter().flatten() {
            // Some help nobody any more.
            let _unfit = self.suppose(pending);
        }
        self.world.take_back(mark).unwrap();
        assert_eq!(image(&self.world.loans), sealed, "what is supposed leaves no trace");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whoever sends whatever to whom: it is read as something, or as nothing.
    #[test]
    fn hostile_calldata_is_read_as_something_or_as_nothing(
        selector in prop::sample::select(vec![
            pending::AAVE_REPAY,
            pending::AAVE_REPAY_WITH_A_TOKENS,
            pending::AAVE_SUPPLY,
            pending::MORPHO_REPAY,
            pending::MORPHO_SUPPLY,
            pending::COMET_SUPPLY,
            pending::COMET_SUPPLY_TO,
            crate::lending::transmission::TRANSMIT_OCR2,
            crate::lending::transmission::FORWARD,
        ]),
        words in prop::collection::vec(any::<[u8; 32]>(), 0..12),
        small in prop::collection::vec((0..12_usize, any::<u8>()), 0..6),
        to in prop::sample::select(vec![AAVE.pool, MORPHO, COMET, AGGREGATORS[0], FORWARDER]),
    ) {
        let mut story = story(&two().owes(COMET_BOOK, 1, ETH, 1_600 * USD));
        let mut words = words;
        // Small numbers are offsets, lengths and amounts.
        for (place, byte) in small {
            if let Some(word) = words.get_mut(place) {
                *word = B256::with_last_byte(byte).0;
            }
        }
        let calldata = [&selector[..], words.as_flattened()].concat();
        let before = image(&story.world.loans);
        if let Some(pending) = story.read(user(1), to, &calldata)
            && let Ok(mark) = story.suppose(pending)
        {
            story.world.take_back(mark).unwrap();
        }
        prop_assert_eq!(image(&story.world.loans), before);
    }

    #[test]
    fn whatever_happened_is_taken_back_by_a_reorg(
        doings in prop::collection::vec(any_doing(), 1..8),
        depth in any::<prop::sample::Index>(),
    ) {
        let mut story = story(&two());
        let mut images = vec![image(&story.world.loans)];
        for doing in &doings {
            story.do_it(doing);
            images.push(image(&story.world.loans));
        }
        // Another branch begins at one of them.
        let kept = depth.index(doings.len());
        let fork = ANCHOR + kept as u64;
        story.head(fork + 1, 5_000, fork);
        prop_assert_eq!(&image(&story.world.loans), &images[kept]);
        prop_assert!(story.world.loans.is_all_touched());
    }
}
