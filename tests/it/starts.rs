//! Starts from a node with a long history: everything that is there is found, with few questions;
//! and what an earlier run kept is taken up only where it holds.
//!
//! `scripts/cold-start` does the same at full size, and measures.
//!
//! Temperature: cold.

use std::path::PathBuf;

use gannet_scripted_node::archive::{Archive, Plan, Server, Start};

use crate::bot::binary;
use crate::nodes::Folder;

/// Ranges grow from 2,000 blocks to 65,536, and a crowded stretch takes a few more.
const PLAN: Plan = Plan {
    seed: 7,
    chain_id: 31_337,
    blocks: 600_000,
    pairs: 2_000,
    concentrated: 200,
    ticks: 12,
    solidly: 100,
};
/// So few V3 pools that the ticks of all of them are compared.
const SMALL: Plan = Plan { concentrated: 40, ..PLAN };
const SMALL_POOLS: usize = SMALL.pairs + SMALL.concentrated + SMALL.solidly;
/// Far fewer than pools: they are read and tried many at a time.
const QUESTIONS_MAX: u64 = 400;
const POOLS: usize = PLAN.pairs + PLAN.concentrated + PLAN.solidly;

/// A node, and a bot that was started from it once.
struct Place {
    folder: Folder,
    node: Server,
    cold: Start,
}

impl Place {
    fn new(name: &str) -> Self {
        Self::of(name, PLAN)
    }

    fn of(name: &str, plan: Plan) -> Self {
        let folder = Folder::new(&format!("starts-{name}"));
        let node = Server::start(Archive::new(plan)).expect("loopback has a free port");
        let cold = Start::of(binary(), &folder.file(""), "cold", &node).expect("a cold start");
        assert_eq!(
            (cold.pools, cold.wrong),
            (plan.pairs + plan.concentrated + plan.solidly, 0),
            "everything is there, as the chain has it"
        );
        Self { folder, node, cold }
    }

    /// Starts again; what it said is behind `name`.
    fn again(&self, name: &'static str) -> Start {
        Start::of(binary(), &self.folder.file(""), name, &self.node).expect("another start")
    }

    fn said(&self, name: &str) -> String {
        self.folder.read(&format!("{name}.txt"))
    }

    /// Demands that a start was a cold one, for this reason.
    fn assert_cold(&self, start: &Start, pools: usize, why: &str) {
        assert_eq!((start.pools, start.wrong), (pools, 0));
        let said = self.said(start.name);
        assert!(said.contains("cold start") && said.contains(why), "{why}: {said}");
        assert!(said.contains("is_warm=false"), "{said}");
    }

    fn kept(&self) -> PathBuf {
        let state = std::fs::read_dir(self.folder.file("state")).expect("there is state");
        let mut files = state.filter_map(|entry| Some(entry.ok()?.path()));
        files.find(|path| path.extension().is_some_and(|end| end == "pools")).expect("it is kept")
    }
}

#[test]
fn a_start_finds_every_pool_with_few_questions_and_the_next_one_with_fewer() {
    let place = Place::new("whole");
    assert!(place.cold.asked.logs <= 60, "{:?}", place.cold.asked);
    // All of them, with those by which pools are tried meanwhile, as time allows.
    assert!(place.cold.asked.all <= QUESTIONS_MAX, "{:?}", place.cold.asked);
    place.node.archive().go_on(50, 60);
    let announced = place.node.archive().make_pair(true);
    let warm = place.again("warm");
    assert_eq!((warm.pools, warm.wrong), (POOLS, 0), "one pool more than there is room for");
    assert!(warm.asked.logs <= 4, "{:?}", warm.asked);
    assert!(warm.asked.all <= QUESTIONS_MAX, "{:?}", warm.asked);
    let said = place.said("warm");
    assert!(said.contains("is_warm=true") && said.contains("read_again=60"), "{said}");
    assert!(said.contains("new=1"), "{announced}: {said}");
}

#[test]
fn a_pair_that_its_factory_lists_and_no_log_tells_of_is_found_by_the_next_start() {
    let place = Place::new("listed");
    place.node.archive().go_on(50, 10);
    place.node.archive().make_pair(false);
    place.again("warm");
    let said = place.said("warm");
    assert!(said.contains("is_warm=true") && said.contains("new=1"), "{said}");
}

#[test]
fn what_was_kept_is_left_where_it_does_not_hold() {
    let place = Place::new("damaged");
    let kept = place.kept();
    let whole = std::fs::read(&kept).expect("it can be read");
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let mut older = whole.clone();
    older[b"gannet pools v".len()] = b'1';
    for (name, bytes, why) in [
        ("cut", &whole[..whole.len() - 9], "checksum"),
        ("flipped", &flipped[..], "checksum"),
        ("older", &older[..], "another version"),
        ("empty", &[][..], "another version"),
        ("short", &whole[..20], "cut short"),
    ] {
        std::fs::write(&kept, bytes).expect("it can be written");
        let start = place.again(name);
        place.assert_cold(&start, POOLS, why);
    }
}

#[test]
fn what_was_kept_is_left_where_its_block_is_no_more_or_too_old() {
    let place = Place::new("left");
    place.node.archive().reorganise();
    let start = place.again("reorganised");
    place.assert_cold(&start, POOLS, "is not on the node's chain");
    place.node.archive().go_on(5_000, 10);
    let start = place.again("old");
    place.assert_cold(&start, POOLS, "blocks old");
}

#[test]
fn a_node_that_has_pruned_the_logs_since_is_found_out() {
    let place = Place::of("pruned", SMALL);
    place.node.archive().prune();
    // Nothing but ticks far from the price; those of a few pools are compared, not of all.
    place.node.archive().mint_far();
    let start = place.again("pruned");
    place.assert_cold(&start, SMALL_POOLS, "has not the logs of block 600001 any more");
}

#[test]
fn ticks_that_a_log_tells_of_are_read_again() {
    let place = Place::of("minted", SMALL);
    place.node.archive().mint_far();
    let warm = place.again("warm");
    assert_eq!((warm.pools, warm.wrong), (SMALL_POOLS, 0));
    let said = place.said("warm");
    assert!(said.contains("is_warm=true") && said.contains("read_again=40"), "{said}");
}

#[test]
fn a_change_that_no_log_tells_of_is_found_out() {
    let place = Place::of("tampered", SMALL);
    place.node.archive().tamper(false);
    let start = place.again("tampered");
    place.assert_cold(&start, SMALL_POOLS, "is not what it was, and no log says why");
    place.node.archive().tamper(true);
    let start = place.again("ticks");
    place.assert_cold(&start, SMALL_POOLS, "has other ticks, and no log says why");
}
