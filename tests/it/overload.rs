//! More pending swaps than can be looked at: each is counted with its reason, and the chain is
//! followed meanwhile. `scripts/flood` is the same for longer, and looks at memory and time too.
//!
//! Temperature: cold.

use std::sync::Arc;
use std::thread::{sleep, spawn};
use std::time::Duration;

use gannet_scripted_node::model::Market;
use gannet_scripted_node::{Account, Node, Setup, is_equal};

use crate::bot::Bot;
use crate::nodes::{Folder, PATIENCE, wait_for};

/// Swaps a second, and how many: a busy day's, then more than can be looked at.
const FLOODS: [(u64, usize); 2] = [(1_000, 2_000), (20_000, 10_000)];
/// Time between two blocks.
const BLOCK: Duration = Duration::from_millis(250);

/// Announces a flood while blocks come.
fn flood(node: &Arc<Node>, (per_second, count): (u64, usize)) {
    let swaps = node.prepare_flood(count);
    let theirs = Arc::clone(node);
    let writer = spawn(move || theirs.announce_flood(swaps, per_second));
    while !writer.is_finished() {
        node.mine(&node.small_trades(2));
        sleep(BLOCK);
    }
    writer.join().expect("the flood comes to its end");
}

#[test]
fn a_flood_is_counted_to_the_last_swap_while_the_chain_is_followed() {
    let folder = Folder::new("overload");
    let market = Market::new(4, &["WETH", "USDC"].map(str::to_owned)).expect("four pools fit");
    let setup = Setup { seed: 7, ..Setup::default() };
    let node = Arc::new(Node::start(market, &setup).expect("loopback has a free port"));
    let config = folder.file("config.toml");
    std::fs::write(&config, node.config(None)).expect("a configuration can be written");
    let keys = node.chain().market.keys();
    let mut bot = Bot::live(&folder, "bot", &config, &keys);
    wait_for("the subscriptions", || node.is_subscribed().then_some(()));

    for part in FLOODS {
        flood(&node, part);
    }
    assert!(node.is_heard(PATIENCE), "everything is read");
    // The chain goes on for one block more.
    let last = node.mine(&node.small_trades(2));
    bot.wait_for_block(last.header.number);
    let flown = bot.end("TERM");

    flown.assert_ended();
    let account = Account::of(&flown.summary);
    let record = node.record();
    assert_eq!(account.gaps(record.announced), [""; 0], "{account:?}");
    let swaps: usize = FLOODS.iter().map(|(_, count)| count).sum();
    assert!(record.announced >= swaps as u64, "all of them, and our own");
    assert_eq!(record.unanswered(), 0, "every head was asked about");
    assert!(is_equal(&node, &flown.snapshot), "{:#}\n{:#}", flown.snapshot, node.to_json());
}
