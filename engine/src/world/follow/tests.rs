//! Following the chain: every order of heads and logs ends in the chain's state.
//!
//! Temperature: cold.

use std::format;
use std::string::String;
use std::vec::Vec;

use alloy_primitives::{Address, B256, Bloom};

use super::state::FAILOVER_NS;
use super::*;
use crate::amm::ConstantProduct;
use crate::chain::ChainSpec;
use crate::decode::list::Rows;
use crate::decode::topics::SYNC;
use crate::ids::{Direction, FactoryId, TokenId};
use crate::input::Source;
use crate::plan::Leg;
use crate::world::Universe;
use crate::world::audit::{Drift, Sample};
use crate::world::pools::{PoolEntry, PoolTable};
use crate::world::tokens::TokenTable;

/// The node that tells a story unless another one is named.
pub(super) const A: NodeId = NodeId(0);
const POOL: Address = Address::repeat_byte(0x11);
const ANCHOR: u64 = 100;

pub(super) fn hash(name: u64) -> B256 {
    B256::from(alloy_primitives::U256::from(name))
}

/// A chain as a test tells it, and the world that follows it.
pub(super) struct Story {
    pub(super) world: World,
    pub(super) queries: Queries,
    pub(super) clock: u64,
    /// Who tells, and how.
    pub(super) word: Word,
}

pub(super) fn story() -> Story {
    let mut tokens = TokenTable::new(2);
    let bases: Vec<TokenId> =
        [1, 2].map(|byte| tokens.insert(Address::repeat_byte(byte), 18).unwrap()).into();
    let mut pools = PoolTable::new(1, 0);
    let state = ConstantProduct::new([1_000, 1_000], 3_000).unwrap().into();
    pools.insert(PoolEntry::new(POOL, FactoryId(0), [bases[0], bases[1]], state)).unwrap();
    pools.index_pairs();
    let anchor = Tip { number: BlockNumber(ANCHOR), hash: hash(ANCHOR), ..Tip::default() };
    let world = World::new(Universe {
        chain: ChainSpec::ethereum(1, Address::repeat_byte(1)),
        tokens,
        pools,
        routers: Vec::new(),
        factories: Vec::new(),
        native: bases[0],
        bases,
        anchor,
    });
    let mut story =
        Story { world, queries: Queries::default(), clock: 0, word: Word::Announced(A) };
    story.link(A, true);
    story.queries.clear();
    story
}

/// A block: its height, its name (a number that is its hash) and its parent's name.
#[derive(Clone, Copy)]
pub(super) struct Block(pub(super) u64, pub(super) u64, pub(super) u64);

impl Story {
    /// Both of a node's connections come up or go down.
    pub(super) fn link(&mut self, node: NodeId, is_up: bool) {
        for source in [Source::Chain, Source::Rpc] {
            self.world.on_link((node, source), is_up, &mut self.queries);
        }
    }

    fn head(&mut self, Block(number, name, parent): Block, is_quiet: bool) -> Progress {
        let bloom = if is_quiet { Bloom::ZERO } else { Bloom::repeat_byte(0xff) };
        let head =
            Head { number, hash: hash(name), parent_hash: hash(parent), bloom, ..Head::default() };
        self.world.on_head(&head, self.word, Nanos(self.clock), &mut self.queries).unwrap()
    }

    /// A head whose logs must be asked for.
    pub(super) fn busy(&mut self, block: Block) -> Progress {
        self.head(block, false)
    }

    /// A head whose bloom filter excludes our events.
    pub(super) fn quiet(&mut self, block: Block) -> Progress {
        self.head(block, true)
    }

    pub(super) fn log(&mut self, block: u64, index: u32, reserve: u128) -> LogFate {
        let json = log(block, index, reserve);
        self.world.on_log(&Log::parse(json.as_bytes()).unwrap()).unwrap()
    }

    /// The node's answer to the question for the open block's logs.
    pub(super) fn answer(
        &mut self,
        block: u64,
        logs: &[(u32, u128)],
    ) -> Result<Progress, DecodeError> {
        let opened = self.world.follower.opened;
        let json = list(block, logs);
        let (at, queries) = (Nanos(self.clock), &mut self.queries);
        self.world.on_block_logs((opened, json.as_bytes()), at, queries, None)
    }

    /// A node announces the receipts of a block.
    pub(super) fn receipts(
        &mut self,
        block: u64,
        logs: &[(u32, u128)],
    ) -> Result<Progress, DecodeError> {
        let logs: Vec<String> =
            logs.iter().map(|(index, reserve)| log(block, *index, *reserve)).collect();
        let hash = hash(block);
        let each = |log: &String| format!(r#"{{"blockHash":"{hash}","logs":[{log}]}}"#);
        let mut receipts: Vec<String> = logs.iter().map(each).collect();
        receipts.push(format!(r#"{{"logs":[],"blockHash":"{hash}"}}"#));
        let json = format!("[{}]", receipts.join(","));
        let (at, queries) = (Nanos(self.clock), &mut self.queries);
        self.world.on_receipts((self.word.node(), json.as_bytes()), at, queries, None)
    }

    /// The open block's logs come read already, as a recording has them.
    fn rows(&mut self, block: u64, logs: &[(u32, u128)]) -> Result<Progress, DecodeError> {
        let texts: Vec<String> =
            logs.iter().map(|(index, reserve)| log(block, *index, *reserve)).collect();
        let logs: Vec<Log<'_>> =
            texts.iter().map(|text| Log::parse(text.as_bytes()).unwrap()).collect();
        let rows = Rows { logs: &logs, is_empty: false };
        let open = self.world.follower.open.head.hash;
        self.world.on_rows((&open, &rows), Nanos(self.clock), &mut self.queries, None)
    }

    pub(super) fn reserve(&self) -> u128 {
        self.world.pools.get(PoolId(0)).state.reserves().unwrap()[0]
    }

    pub(super) fn asked(&mut self) -> Vec<Query> {
        let asked = self.queries.as_slice().to_vec();
        self.queries.clear();
        asked
    }

    pub(super) fn tip(&self) -> u64 {
        self.world.tip().number.0
    }
}

fn log(block: u64, index: u32, reserve: u128) -> String {
    format!(
        r#"{{"address":"{POOL:#x}","topics":["{SYNC}"],"data":"0x{reserve:064x}{:064x}",
        "blockNumber":"0x1","blockHash":"{}","transactionHash":"{}","transactionIndex":"{:#x}",
        "logIndex":"{index:#x}","removed":false}}"#,
        1_000_000 / reserve.max(1),
        hash(block),
        hash(u64::from(index) + 1_000),
        index / 10,
    )
}

fn list(block: u64, logs: &[(u32, u128)]) -> String {
    let logs: Vec<String> =
        logs.iter().map(|(index, reserve)| log(block, *index, *reserve)).collect();
    format!("[{}]", logs.join(","))
}

/// The pool as it is read with these reserves.
fn loaded(reserves: [u128; 2]) -> Loaded {
    let state = ConstantProduct::new(reserves, 3_000).unwrap().into();
    Loaded { state, ticks: Vec::new() }
}

#[test]
fn a_block_without_our_events_is_sealed_by_its_head() {
    let mut story = story();
    assert_eq!(story.quiet(Block(101, 101, 100)), Progress::AtHead);
    assert_eq!((story.tip(), story.asked()), (101, Vec::new()));
}

#[test]
fn a_block_with_our_events_stays_open_until_its_list_comes() {
    let mut story = story();
    assert_eq!(story.busy(Block(101, 101, 100)), Progress::None);
    assert!(story.world.open_block().is_some());
    assert!(matches!(story.asked()[..], [Query::BlockLogs { open: 1, .. }]));
    assert_eq!(story.answer(101, &[(3, 2_000)]), Ok(Progress::AtHead));
    assert_eq!((story.tip(), story.reserve()), (101, 2_000));
    assert!(story.world.open_block().is_none());
}

#[test]
fn logs_that_are_read_already_seal_a_block_as_its_list_does() {
    let logs = [(3, 2_000), (8, 3_000)];
    let (mut read, mut told) = (story(), story());
    for story in [&mut read, &mut told] {
        story.busy(Block(101, 101, 100));
    }
    assert_eq!(read.rows(101, &logs), told.answer(101, &logs));
    assert_eq!((read.tip(), read.reserve()), (101, 3_000));
    assert_eq!(read.world.follower.included, told.world.follower.included);

    // One that the subscription has brought some of.
    read.busy(Block(102, 102, 101));
    assert_eq!(read.log(102, 3, 4_000), LogFate::Applied);
    assert_eq!(read.rows(102, &[(3, 4_000), (8, 5_000)]), Ok(Progress::AtHead));
    assert_eq!(read.reserve(), 5_000);
}

#[test]
fn logs_that_are_read_already_and_wrong_leave_no_trace() {
    let mut story = story();
    story.busy(Block(101, 101, 100));
    for (block, logs) in [
        // Of another block, in no order, an amount that no pair can hold.
        (102, &[(3, 2_000)][..]),
        (101, &[(8, 2_000), (3, 3_000)]),
        (101, &[(3, 2_000), (8, u128::MAX)]),
    ] {
        assert!(story.rows(block, logs).is_err(), "{logs:?}");
        assert_eq!((story.tip(), story.reserve()), (100, 1_000), "{logs:?}");
        assert!(story.world.follower.included.is_empty());
        assert!(story.world.open_block().is_some());
    }
    assert_eq!(story.rows(101, &[(3, 2_000)]), Ok(Progress::AtHead));
    assert_eq!(story.reserve(), 2_000);
}

#[test]
fn logs_from_the_subscription_are_applied_once() {
    let mut story = story();
    story.busy(Block(101, 101, 100));
    assert_eq!(story.log(101, 3, 2_000), LogFate::Applied);
    assert_eq!(story.log(101, 3, 2_000), LogFate::Duplicate);
    assert_eq!(story.log(101, 8, 3_000), LogFate::Applied);
    let version = story.world.pools.get(PoolId(0)).version;
    story.answer(101, &[(3, 2_000), (8, 3_000)]).unwrap();
    assert_eq!(story.reserve(), 3_000);
    assert_eq!(story.world.pools.get(PoolId(0)).version, version, "nothing was applied again");
}

#[test]
fn logs_that_come_before_their_head_are_brought_by_the_seal() {
    let mut story = story();
    assert_eq!(story.log(101, 3, 2_000), LogFate::OtherBlock);
    story.busy(Block(101, 101, 100));
    story.answer(101, &[(3, 2_000)]).unwrap();
    assert_eq!(story.reserve(), 2_000);
}

#[test]
fn logs_out_of_order_end_in_the_order_of_the_list() {
    let mut story = story();
    story.busy(Block(101, 101, 100));
    story.log(101, 8, 3_000);
    story.log(101, 3, 2_000);
    story.answer(101, &[(3, 2_000), (8, 3_000)]).unwrap();
    assert_eq!(story.reserve(), 3_000);
}

#[test]
fn a_log_that_the_list_does_not_have_is_taken_back_and_neither_is_trusted() {
    let mut story = story();
    story.busy(Block(101, 101, 100));
    story.log(101, 3, 2_000);
    story.log(101, 9, 9_999);
    story.answer(101, &[(3, 2_000)]).unwrap();
    assert_eq!(story.reserve(), 2_000);
    assert!(story.world.freshness().has(Stale::Lost));
}

#[test]
fn a_log_that_comes_after_a_list_without_it_shows_that_the_list_was_wrong() {
    let mut story = story();
    story.busy(Block(101, 101, 100));
    story.answer(101, &[(3, 2_000)]).unwrap();
    assert_eq!(story.log(101, 3, 2_000), LogFate::OtherBlock);
    assert!(!story.world.freshness().has(Stale::Lost), "this one was listed");
    story.log(101, 9, 9_999);
    assert!(story.world.freshness().has(Stale::Lost));
    // What is read at a block holds all of its logs, however late they come.
    let anchor = Tip { number: BlockNumber(101), hash: hash(101), ..Tip::default() };
    story.world.reload(&anchor, &[loaded([9_999, 100])], &mut story.queries);
    story.log(101, 9, 9_999);
    assert!(!story.world.freshness().has(Stale::Lost));
}

#[test]
fn an_empty_list_is_believed_the_second_time_if_the_bloom_filter_has_our_topic() {
    let mut story = story();
    let mut bloom = Bloom::ZERO;
    bloom.accrue(alloy_primitives::BloomInput::Raw(SYNC.as_slice()));
    let (hash, parent_hash) = (hash(101), hash(100));
    let head = Head { number: 101, hash, parent_hash, bloom, ..Head::default() };
    story.world.on_head(&head, Word::Announced(A), Nanos(0), &mut story.queries).unwrap();
    assert_eq!(story.answer(101, &[]), Err(DecodeError::Contradiction));
    assert!(story.world.open_block().is_some());
    assert_eq!(story.answer(101, &[]), Ok(Progress::AtHead));
}

#[test]
fn a_list_of_another_block_is_not_believed() {
    let mut story = story();
    story.busy(Block(101, 101, 100));
    assert_eq!(story.answer(55, &[(3, 2_000)]), Err(DecodeError::Contradiction));
    assert_eq!(story.answer(101, &[(8, 1), (3, 2)]), Err(DecodeError::Contradiction));
    assert!(story.world.open_block().is_some());
    assert_eq!(story.reserve(), 1_000);
}

#[test]
fn a_late_list_of_a_block_that_was_left_is_ignored() {
    let mut story = story();
    story.busy(Block(101, 101, 100));
    let stale = list(101, &[(3, 2_000)]);
    story.busy(Block(101, 111, 100));
    let queries = &mut story.queries;
    let late = story.world.on_block_logs((1, stale.as_bytes()), Nanos(0), queries, None);
    assert_eq!(late, Ok(Progress::None));
    assert_eq!(story.reserve(), 1_000);
}

#[test]
fn a_gap_is_filled_from_the_newest_head_backwards() {
    let mut story = story();
    assert_eq!(story.quiet(Block(103, 103, 102)), Progress::None);
    assert!(story.world.freshness().has(Stale::Gap));
    assert_eq!(story.asked(), [Query::Head(hash(102))]);
    story.busy(Block(102, 102, 101));
    assert_eq!(story.asked(), [Query::Head(hash(101))]);
    assert_eq!(story.quiet(Block(101, 101, 100)), Progress::CatchingUp);
    assert_eq!(story.answer(102, &[(3, 2_000)]), Ok(Progress::AtHead));
    assert_eq!((story.tip(), story.reserve()), (103, 2_000));
    assert!(!story.world.freshness().has(Stale::Gap));
}

#[test]
fn a_head_that_comes_again_changes_nothing() {
    let mut story = story();
    story.quiet(Block(101, 101, 100));
    assert_eq!(story.quiet(Block(101, 101, 100)), Progress::None);
    story.quiet(Block(102, 102, 101));
    assert_eq!(story.quiet(Block(101, 101, 100)), Progress::None);
    assert_eq!(story.tip(), 102);
}

#[test]
fn a_parent_is_asked_for_once_however_many_heads_wait_and_again_when_time_passes() {
    let mut story = story();
    for name in 200..230 {
        story.quiet(Block(120, name, name + 100));
        assert_eq!(story.asked(), [Query::Head(hash(name + 100))]);
    }
    // An answer asks for the next one down, and not for all the others anew.
    story.quiet(Block(119, 300, 400));
    assert_eq!(story.asked(), [Query::Head(hash(400))]);
    story.clock += 2 * RETRY_NS;
    story.world.on_tick(Nanos(story.clock), u64::MAX, &mut story.queries);
    let asked = story.asked();
    assert!(asked.contains(&Query::Head(hash(400))) && asked.contains(&Query::Head(hash(329))));
    assert_eq!(asked.len(), 31, "thirty parents, and the newest head");
}

#[test]
fn a_head_from_below_the_oldest_block_is_a_lagging_nodes_word() {
    let mut story = story();
    story.quiet(Block(101, 101, 100));
    for (number, name) in [(98, 98), (100, 900), (99, 99)] {
        assert_eq!(story.quiet(Block(number, name, name - 1)), Progress::None);
    }
    assert_eq!((story.tip(), story.world.freshness().has(Stale::Lost)), (101, false));
    // The parent of a head that waits is another matter: the fork lies below all that we know.
    story.quiet(Block(101, 901, 900));
    assert_eq!(story.asked(), [Query::Head(hash(900))]);
    story.quiet(Block(100, 900, 899));
    assert!(story.world.freshness().has(Stale::Lost));
}

#[test]
fn a_chain_that_begins_anew_far_below_is_followed() {
    let mut story = story();
    story.quiet(Block(101, 101, 100));
    story.quiet(Block(1, 1, 0));
    assert!(story.world.freshness().has(Stale::Lost));
}

#[test]
fn after_a_silence_even_an_old_head_says_where_the_chain_stands() {
    let mut story = story();
    story.quiet(Block(101, 101, 100));
    story.world.set_stale(Stale::Silent, true);
    story.quiet(Block(99, 999, 998));
    assert!(story.world.freshness().has(Stale::Lost));
}

#[test]
fn a_reorg_of_two_blocks_restores_reserves() {
    let mut story = story();
    story.busy(Block(101, 101, 100));
    story.answer(101, &[(3, 2_000)]).unwrap();
    story.busy(Block(102, 102, 101));
    story.answer(102, &[(3, 3_000)]).unwrap();
    // The other branch forks after the anchor.
    story.busy(Block(101, 201, 100));
    assert_eq!(story.reserve(), 1_000, "the world stands at the fork");
    story.answer(201, &[(5, 4_000)]).unwrap();
    assert_eq!((story.tip(), story.reserve()), (101, 4_000));
    assert_eq!(story.quiet(Block(102, 202, 201)), Progress::AtHead);
    assert_eq!(story.world.reorgs(), (1, 2));
}

#[test]
fn a_sibling_of_the_open_block_takes_its_place() {
    let mut story = story();
    story.busy(Block(101, 101, 100));
    story.log(101, 3, 2_000);
    story.busy(Block(101, 201, 100));
    assert_eq!(story.reserve(), 1_000);
    story.answer(201, &[]).unwrap();
    assert_eq!((story.tip(), story.reserve()), (101, 1_000));
}

#[test]
fn a_head_on_the_open_block_waits_for_its_seal() {
    let mut story = story();
    story.busy(Block(101, 101, 100));
    assert_eq!(story.quiet(Block(102, 102, 101)), Progress::None);
    assert_eq!(story.answer(101, &[(1, 2_000)]), Ok(Progress::AtHead));
    assert_eq!((story.tip(), story.reserve()), (102, 2_000));
}

#[test]
fn a_fork_below_the_undo_log_is_lost_and_a_reload_mends_it() {
    let mut story = story();
    for number in 101..=200 {
        story.quiet(Block(number, number, number - 1));
    }
    story.quiet(Block(110, 999, 109));
    assert!(story.world.freshness().has(Stale::Lost));
    let anchor = Tip { number: BlockNumber(300), hash: hash(300), ..Tip::default() };
    story.world.reload(&anchor, &[loaded([5_000, 7])], &mut story.queries);
    assert!(!story.world.freshness().has(Stale::Lost));
    assert_eq!((story.tip(), story.reserve()), (300, 5_000));
    assert_eq!(story.quiet(Block(301, 301, 300)), Progress::AtHead);
}

#[test]
fn an_overdue_list_is_asked_for_again_and_gates_trading() {
    let mut story = story();
    story.busy(Block(101, 101, 100));
    story.asked();
    story.world.on_tick(Nanos(RETRY_NS + 1), u64::MAX, &mut story.queries);
    assert!(story.world.freshness().has(Stale::SealLate));
    assert!(matches!(story.asked()[..], [Query::BlockLogs { .. }]));
    story.answer(101, &[]).unwrap();
    assert!(!story.world.freshness().has(Stale::SealLate));
}

#[test]
fn silence_gates_trading_until_the_next_head() {
    let mut story = story();
    story.quiet(Block(101, 101, 100));
    assert!(!story.world.freshness().has(Stale::Silent));
    story.world.on_tick(Nanos(5_000), 1_000, &mut story.queries);
    assert!(story.world.freshness().has(Stale::Silent));
    assert_eq!(story.asked(), [Query::LatestHead]);
    story.clock = 6_000;
    story.quiet(Block(102, 102, 101));
    assert!(!story.world.freshness().has(Stale::Silent));
}

#[test]
fn a_replay_visits_the_start_and_each_transaction() {
    let mut story = story();
    story.busy(Block(101, 101, 100));
    story.log(101, 3, 2_000);
    let json = list(101, &[(3, 2_000), (4, 2_500), (12, 3_000)]);
    let mut seen = Vec::new();
    let reserve = |world: &World| world.pools.get(PoolId(0)).state.reserves().unwrap()[0];
    let mut visit = |world: &mut World, after: Option<Included>| {
        seen.push((after.map(|landed| landed.index), reserve(world)));
    };
    let opened = (story.world.follower.opened, json.as_bytes());
    story.world.on_block_logs(opened, Nanos(0), &mut story.queries, Some(&mut visit)).unwrap();
    assert_eq!(seen, [(None, 1_000), (Some(0), 2_000), (Some(0), 2_500), (Some(1), 3_000)]);
}

#[test]
fn an_overlay_stays_until_somebody_else_takes_the_same_trade() {
    let ours =
        Leg { pool: PoolId(0), direction: Direction::ZeroForOne, amount_in: 100, amount_out: 90 };
    for (theirs, reserve) in [(1_010, 1_110), (1_080, 1_080), (900, 1_000)] {
        let mut story = story();
        story.world.overlay(&[ours]);
        assert_eq!(story.reserve(), 1_100);
        story.busy(Block(101, 101, 100));
        story.answer(101, &[(3, theirs)]).unwrap();
        assert_eq!(story.reserve(), reserve, "the chain says {theirs}");
    }
}

#[test]
fn an_open_block_that_is_left_has_left_no_trace() {
    let mut story = story();
    story.busy(Block(101, 101, 100));
    story.answer(101, &[(3, 2_000)]).unwrap();
    story.busy(Block(102, 102, 101));
    story.log(102, 1, 3_000);
    assert_eq!((story.tip(), story.reserve()), (101, 3_000));
    story.world.leave_open_block().unwrap();
    assert_eq!((story.tip(), story.reserve()), (101, 2_000));
    assert!(story.world.open_block().is_none());
    // Nothing is open any more.
    story.world.leave_open_block().unwrap();
    assert_eq!((story.tip(), story.reserve()), (101, 2_000));
}

#[test]
fn receipts_seal_a_block_without_a_question() {
    let mut story = story();
    story.busy(Block(101, 101, 100));
    assert_eq!(story.receipts(101, &[(0, 2_000)]), Ok(Progress::AtHead));
    assert_eq!((story.tip(), story.reserve()), (101, 2_000));
    story.asked();
    // From now on they are expected.
    story.busy(Block(102, 102, 101));
    assert_eq!(story.asked(), []);
    assert_eq!(story.receipts(102, &[(0, 3_000), (4, 4_000)]), Ok(Progress::AtHead));
    assert_eq!((story.tip(), story.reserve()), (102, 4_000));
}

#[test]
fn receipts_that_do_not_come_are_made_up_for_by_a_question() {
    let mut story = story();
    story.busy(Block(101, 101, 100));
    story.receipts(101, &[]).unwrap();
    story.asked();
    story.busy(Block(102, 102, 101));
    story.world.on_tick(Nanos(FAILOVER_NS + 1), u64::MAX, &mut story.queries);
    assert!(matches!(story.asked()[..], [Query::BlockLogs { .. }]));
    assert_eq!(story.answer(102, &[(0, 2_000)]), Ok(Progress::AtHead));
}

#[test]
fn receipts_that_came_before_their_head_are_asked_for_at_once() {
    let mut story = story();
    assert_eq!(story.receipts(101, &[(0, 2_000)]), Ok(Progress::None));
    story.busy(Block(101, 101, 100));
    assert!(matches!(story.asked()[..], [Query::BlockLogs { .. }]));
    assert_eq!(story.answer(101, &[(0, 2_000)]), Ok(Progress::AtHead));
}

#[test]
fn receipts_with_a_log_that_the_list_did_not_have_show_that_the_list_was_wrong() {
    let mut story = story();
    story.busy(Block(101, 101, 100));
    story.answer(101, &[(0, 2_000)]).unwrap();
    assert_eq!(story.receipts(101, &[(0, 2_000)]), Ok(Progress::None));
    assert!(story.world.freshness().is_fresh());
    story.receipts(101, &[(0, 2_000), (1, 3_000)]).unwrap();
    assert!(story.world.freshness().has(Stale::Lost));
}

/// The chain's word on the pool, where a sample of it says otherwise.
fn drift(sample: Sample, reserves: [u128; 2]) -> Drift {
    Drift { sample, chain: Some(loaded(reserves)) }
}

#[test]
fn a_pool_that_drifted_is_put_right_in_place_and_stays_so_through_a_reorg() {
    let mut story = story();
    story.quiet(Block(101, 101, 100));
    let sample = story.world.sample(PoolId(0), 0).unwrap();
    assert_eq!(sample.chain, loaded([1_000, 1_000]).state);
    story.world.on_drift(&drift(sample, [900, 7]));
    assert_eq!((story.reserve(), story.world.drifted()), (900, 1));
    assert!(story.world.pools.get(PoolId(0)).is_tradable());
    story.quiet(Block(102, 102, 101));
    story.quiet(Block(102, 999, 101));
    story.quiet(Block(103, 998, 999));
    assert_eq!((story.tip(), story.reserve()), (103, 900), "it is what block 101 left");
}

#[test]
fn a_pool_that_moved_since_it_was_compared_waits_in_quarantine_for_the_next_time() {
    let mut story = story();
    story.quiet(Block(101, 101, 100));
    let old = story.world.sample(PoolId(0), 0).unwrap();
    story.busy(Block(102, 102, 101));
    assert!(story.world.sample(PoolId(0), 0).is_none(), "an open block is no block's state");
    story.log(102, 3, 5_000);
    story.world.on_drift(&drift(old, [900, 7]));
    story.answer(102, &[(3, 5_000)]).unwrap();
    assert_eq!(story.reserve(), 5_000);
    assert!(!story.world.pools.get(PoolId(0)).is_tradable());
    let next = story.world.sample(PoolId(0), 0).unwrap();
    assert!(next.is_quarantined);
    story.world.on_drift(&drift(next, [5_000, 200]));
    assert!(story.world.pools.get(PoolId(0)).is_tradable());
    assert_eq!((story.reserve(), story.world.drifted()), (5_000, 1), "it is counted once");
}

#[test]
fn a_drift_of_a_block_that_was_left_changes_no_state() {
    let mut story = story();
    story.quiet(Block(101, 101, 100));
    let sample = story.world.sample(PoolId(0), 0).unwrap();
    story.quiet(Block(101, 999, 100));
    story.quiet(Block(102, 998, 999));
    story.world.on_drift(&drift(sample, [900, 7]));
    assert_eq!(story.reserve(), 1_000);
    assert!(!story.world.pools.get(PoolId(0)).is_tradable());
    assert!(story.world.freshness().is_fresh());
}

#[test]
fn of_a_block_below_the_one_at_which_a_pool_was_read_nothing_is_known_even_if_nothing_moved() {
    let mut story = story();
    story.quiet(Block(101, 101, 100));
    story.quiet(Block(102, 102, 101));
    let sample = story.world.sample(PoolId(0), 0).unwrap();
    story.world.on_drift(&drift(sample, [900, 7]));
    assert!(story.world.pools.get(PoolId(0)).is_tradable());
    story.quiet(Block(102, 999, 101));
    story.quiet(Block(103, 998, 999));
    assert_eq!(story.tip(), 103);
    assert!(!story.world.pools.get(PoolId(0)).is_tradable());
}

#[test]
fn a_pool_that_was_put_right_is_in_quarantine_again_below_the_block_at_which_it_was() {
    let mut story = story();
    story.quiet(Block(101, 101, 100));
    story.busy(Block(102, 102, 101));
    story.answer(102, &[(3, 5_000)]).unwrap();
    let sample = story.world.sample(PoolId(0), 0).unwrap();
    story.world.on_drift(&Drift { sample, chain: None });
    assert!(!story.world.pools.get(PoolId(0)).is_tradable(), "a part of it says nothing");
    let sample = story.world.sample(PoolId(0), 0).unwrap();
    story.world.on_drift(&drift(sample, [900, 7]));
    assert_eq!((story.reserve(), story.world.drifted()), (900, 1));
    assert!(story.world.pools.get(PoolId(0)).is_tradable());
    story.quiet(Block(102, 999, 101));
    story.quiet(Block(103, 998, 999));
    assert_eq!((story.tip(), story.reserve()), (103, 1_000), "what was held of it at block 101");
    assert!(!story.world.pools.get(PoolId(0)).is_tradable());
}
