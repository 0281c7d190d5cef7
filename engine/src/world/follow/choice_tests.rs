//! Several nodes tell of one chain, or of two.
//!
//! Temperature: cold.

use std::vec::Vec;

use super::state::FAILOVER_NS;
use super::tests::{A, Block, Story, hash, story};
use super::*;
use crate::input::Source;

const B: NodeId = NodeId(1);

impl Story {
    /// A quiet head, as one node announces it.
    fn told_by(&mut self, node: NodeId, block: Block) -> Progress {
        self.word = Word::Announced(node);
        self.quiet(block)
    }

    /// A head with logs of ours, as one node announces it.
    fn busy_by(&mut self, node: NodeId, block: Block) -> Progress {
        self.word = Word::Announced(node);
        self.busy(block)
    }

    fn has(&self, why: Stale) -> bool {
        self.world.freshness().has(why)
    }

    /// Whom the last input asked, and what.
    fn whom(&mut self) -> Vec<(NodeId, Query)> {
        let asked = self.queries.iter().map(|(node, query)| (node, *query)).collect();
        self.queries.clear();
        asked
    }
}

/// Two nodes that stand at block 101.
fn two() -> Story {
    let mut story = story();
    story.link(B, true);
    story.told_by(A, Block(101, 101, 100));
    story.told_by(B, Block(101, 101, 100));
    story.asked();
    assert!(story.world.freshness().is_fresh());
    story
}

#[test]
fn what_arrives_first_counts_and_the_other_only_confirms_it() {
    let mut story = two();
    story.clock = 1_000_000;
    assert_eq!(story.told_by(B, Block(102, 102, 101)), Progress::AtHead);
    story.clock = 3_000_000;
    assert_eq!(story.told_by(A, Block(102, 102, 101)), Progress::None);
    let nodes = story.world.nodes();
    let [a, b] = [A, B].map(|node| nodes.get(node).unwrap());
    assert_eq!((a.heads, a.heads_first), (2, 1));
    assert_eq!((b.heads, b.heads_first), (2, 1));
    assert_eq!(a.lags.quantile_us(100), Some(2_048), "two milliseconds, within a quarter");
}

#[test]
fn a_lagging_node_does_not_roll_the_world_back() {
    let mut story = two();
    for number in 102..110 {
        story.told_by(A, Block(number, number, number - 1));
    }
    for number in 102..106 {
        assert_eq!(story.told_by(B, Block(number, number, number - 1)), Progress::None);
        assert!(story.world.freshness().is_fresh());
    }
    assert_eq!((story.tip(), story.world.reorgs()), (109, (0, 0)));
}

#[test]
fn of_two_heads_with_one_height_the_first_is_kept_and_nothing_is_traded() {
    let mut story = two();
    story.told_by(A, Block(102, 102, 101));
    story.told_by(B, Block(102, 902, 101));
    assert_eq!(story.world.tip().hash, hash(102));
    assert!(story.has(Stale::Disagree));
    // The branch of the first grows.
    story.told_by(A, Block(103, 103, 102));
    assert_eq!((story.tip(), story.world.reorgs()), (103, (0, 0)));
    assert!(story.world.freshness().is_fresh(), "the other one is behind now");
    assert_eq!(story.world.nodes().get(B).unwrap().disagreements, 1);
}

#[test]
fn the_branch_that_grows_first_is_followed() {
    let mut story = two();
    story.told_by(A, Block(102, 102, 101));
    story.told_by(B, Block(102, 902, 101));
    story.told_by(B, Block(103, 903, 902));
    assert_eq!(story.world.tip().hash, hash(903));
    assert!(story.world.freshness().is_fresh());
    assert_eq!(story.world.reorgs(), (1, 1));
}

#[test]
fn a_reorg_that_every_node_tells_of_is_followed_at_the_same_height() {
    let mut story = two();
    story.told_by(A, Block(102, 102, 101));
    story.told_by(B, Block(102, 102, 101));
    story.told_by(A, Block(102, 902, 101));
    assert!(story.has(Stale::Disagree), "the other one is still there");
    story.told_by(B, Block(102, 902, 101));
    assert_eq!(story.world.tip().hash, hash(902));
    assert!(story.world.freshness().is_fresh());
}

#[test]
fn a_reorg_to_a_lower_block_is_followed_if_nobody_stands_at_ours() {
    let mut story = two();
    story.told_by(A, Block(102, 102, 101));
    story.told_by(A, Block(103, 103, 102));
    // The other node is two blocks behind, so it says nothing of the branch that is left.
    story.told_by(A, Block(102, 902, 101));
    assert_eq!((story.tip(), story.world.tip().hash), (102, hash(902)));
}

#[test]
fn an_open_block_is_not_left_for_a_sibling_from_another_node() {
    let mut story = two();
    story.busy_by(A, Block(102, 102, 101));
    story.told_by(B, Block(102, 902, 101));
    assert!(story.world.open_block().is_some_and(|open| open.hash == hash(102)));
    story.answer(102, &[(0, 2_000)]).unwrap();
    assert_eq!(story.reserve(), 2_000);
    assert!(story.has(Stale::Disagree));
}

#[test]
fn a_node_that_goes_down_takes_nothing_with_it() {
    let mut story = two();
    story.told_by(A, Block(102, 102, 101));
    story.told_by(B, Block(102, 102, 101));
    story.link(A, false);
    assert!(story.world.freshness().is_fresh(), "the other one stands where we do");
    story.link(B, false);
    let down: Vec<_> = story.world.freshness().reasons().collect();
    assert_eq!(down, [Stale::ChainLink, Stale::RpcLink, Stale::Silent]);
}

#[test]
fn when_the_node_that_led_goes_down_the_world_waits_for_the_others() {
    let mut story = two();
    story.told_by(A, Block(102, 102, 101));
    story.link(A, false);
    assert!(story.has(Stale::Silent), "the other one is a block behind");
    story.told_by(B, Block(102, 102, 101));
    assert!(story.world.freshness().is_fresh());
}

#[test]
fn the_logs_are_asked_of_the_node_that_announced_the_block_and_then_of_the_others() {
    let mut story = two();
    story.busy_by(B, Block(102, 102, 101));
    assert!(matches!(story.whom()[..], [(B, Query::BlockLogs { .. })]));
    story.busy_by(A, Block(102, 102, 101));
    story.clock += FAILOVER_NS + 1;
    story.world.on_tick(Nanos(story.clock), u64::MAX, &mut story.queries);
    assert!(matches!(story.whom()[..], [(A, Query::BlockLogs { .. })]));
    let opened = story.world.follower.opened;
    story.world.on_block_logs_refused(opened, Nanos(story.clock));
    story.world.on_tick(Nanos(story.clock + 1), u64::MAX, &mut story.queries);
    assert!(matches!(story.whom()[..], [(B, Query::BlockLogs { .. })]));
}

#[test]
fn a_node_that_is_down_is_not_asked() {
    let mut story = two();
    story.world.on_link((B, Source::Rpc), false, &mut story.queries);
    story.busy_by(B, Block(102, 102, 101));
    assert!(matches!(story.whom()[..], [(A, Query::BlockLogs { .. })]));
}

#[test]
fn a_node_that_never_announced_a_child_cannot_deny_its_parent() {
    let mut story = two();
    story.told_by(B, Block(104, 904, 903));
    assert!(story.has(Stale::Gap));
    assert!(matches!(story.whom()[..], [(B, Query::Head(_))]));
    let parent = crate::query::short(&hash(903));
    for round in 1..9 {
        let at = Nanos(round * RETRY_NS);
        story.world.on_head_unknown((A, parent), at, &mut story.queries);
    }
    assert!(story.has(Stale::Gap), "the node that announced it may still bring it");
    for round in 10..13 {
        let at = Nanos(round * RETRY_NS);
        story.world.on_head_unknown((B, parent), at, &mut story.queries);
    }
    assert!(story.world.freshness().is_fresh());
}

#[test]
fn what_only_a_node_that_went_down_told_of_is_forgotten() {
    let mut story = two();
    story.told_by(B, Block(104, 904, 903));
    assert!(story.has(Stale::Gap));
    story.link(B, false);
    story.world.on_tick(Nanos(1), u64::MAX, &mut story.queries);
    story.told_by(A, Block(102, 102, 101));
    assert!(story.world.freshness().is_fresh());
}

#[test]
fn a_node_far_behind_does_not_make_the_world_be_loaded_anew() {
    let mut story = two();
    story.told_by(B, Block(5, 5, 4));
    assert!(story.world.freshness().is_fresh());
    assert!(!story.has(Stale::Lost));
}

#[test]
fn heads_out_of_order_do_not_move_a_node_back() {
    let mut story = story();
    story.told_by(A, Block(101, 101, 100));
    story.told_by(A, Block(103, 103, 102));
    story.told_by(A, Block(102, 102, 101));
    assert_eq!(story.tip(), 103);
    story.told_by(A, Block(102, 102, 101));
    assert!(story.world.freshness().is_fresh());
}

#[test]
fn a_log_that_only_the_second_node_brings_shows_that_the_list_was_wrong() {
    let mut story = two();
    story.busy_by(A, Block(102, 102, 101));
    story.answer(102, &[(0, 2_000)]).unwrap();
    assert_eq!(story.log(102, 1, 3_000), LogFate::OtherBlock);
    assert!(story.has(Stale::Lost));
}
