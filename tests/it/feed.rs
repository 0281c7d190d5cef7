//! The feed against real nodes, each with its own habits: whatever happens on the way, the bot's
//! reserves are the chain's in the end, to the wei.
//!
//! Temperature: cold.

use std::net::TcpListener;

use crate::bot::{Bot, Flown, gannet, is_fresh, recoveries};
use crate::nodes::{Chain, Folder, Node, wait_for};
use crate::relay::{CERTIFICATE, Relay};

/// Blocks with swaps in them that a bot watches.
const BLOCKS: u64 = 4;
/// How often all connections are cut.
const CUTS: usize = 3;

/// Ends a bot that has seen all there was, and holds what it left behind against the chain.
fn land(mut bot: Bot<'_>, chain: &mut Chain, node: &Node) -> Flown {
    let height = chain.next_blocks(1);
    bot.wait_for_block(height);
    bot.wait_until_fresh();
    let flown = bot.end("TERM");
    flown.assert_in_order();
    let name = &flown.name;
    chain.assert_same_reserves(name, &node.book, &flown.snapshot);
    assert!(flown.figure("/heads") >= BLOCKS, "{name} saw heads: {}", flown.summary);
    assert!(flown.figure("/pending_swaps") > 0, "{name} saw pending swaps: {}", flown.summary);
    flown
}

#[test]
fn anvil_is_followed_over_websocket_tls_and_unix_socket() {
    let folder = Folder::new("feed-anvil");
    // Not in the test's folder: the path of a Unix socket has at most 107 bytes.
    let socket = std::env::temp_dir().join(format!("gannet-{}.ipc", std::process::id()));
    let socket = socket.to_str().expect("paths are text");
    let node = Node::anvil(&folder, &["--no-market", "--ipc", socket]);
    let relay = Relay::tls(node.host_and_port(), &folder);
    let mut bots = [
        Bot::start(&folder, "ws", node.url(), &[]),
        Bot::start(&folder, "ipc", &format!("ipc:{socket}"), &[]),
        Bot::start_with(&folder, "wss", &[], |command| {
            command.env("SSL_CERT_FILE", folder.file(CERTIFICATE));
            command.args(["--set", &format!("node.url={}", relay.url())]);
            command.arg(format!("--json={}", folder.file("wss.summary").display()));
            command.arg("--snapshot").arg(folder.file("wss.snapshot"));
        }),
    ];
    for bot in &mut bots {
        bot.wait_until_fresh();
    }
    // Heads, pending transactions and answers come apart; those of trials and audits close.
    wait_for("three connections", || (relay.open_count() == 3).then_some(()));
    let mut chain = node.chain();
    chain.swap_for_blocks(BLOCKS);
    for bot in bots {
        let flown = land(bot, &mut chain, &node);
        assert!(!flown.stderr.contains("connection lost"), "{}: {}", flown.name, flown.stderr);
        let reasons = ["undecodable", "other", "forged", "duplicate", "underpaying", "swaps"];
        let of = |count: &str| flown.figure(&format!("/pending/{count}"));
        let counted = reasons.map(of).iter().sum::<u64>();
        assert_eq!(of("messages"), counted, "each has its reason: {}", flown.summary);
    }
}

#[test]
fn a_node_with_a_certificate_of_unknown_origin_is_refused() {
    let folder = Folder::new("feed-distrust");
    // The certificate is looked at before anything is passed on: whoever listens will do.
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("a listener has an address");
    let relay = Relay::tls(&address.to_string(), &folder);
    let url = format!("node.url={}", relay.url());
    let set = ["check", "--set", &url, "--set", "node.connect_timeout_s=1"];
    let said = gannet(&folder, &set, &[]);
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    assert!(said.stdout.contains("UnknownIssuer"), "the reason is told: {}", said.stdout);
}

/// What both second clients come to: hashes are announced, bodies are fetched.
fn hashes_are_fetched(client: &str) -> Flown {
    let folder = Folder::new(&format!("feed-{client}"));
    let node = Node::second(&folder, client);
    // In an interpreter, on cores that others use, all trials take longer than ten seconds.
    let patient = ["--set", "node.connect_timeout_s=60"];
    let mut bot = Bot::start(&folder, client, node.url(), &patient);
    bot.wait_until_fresh();
    let mut chain = node.chain();
    // One swap a block: an interpreter that is given more than it can execute mines none.
    for _ in 0..BLOCKS {
        chain.swap();
        chain.next_blocks(1);
    }
    land(bot, &mut chain, &node)
}

#[test]
fn ganache_which_promises_bodies_and_sends_hashes_is_followed() {
    let flown = hashes_are_fetched("ganache");
    let is_refused = flown.stderr.contains("refuses full pending transactions");
    assert!(!is_refused, "Ganache takes the subscription: {}", flown.stderr);
}

#[test]
fn hardhat_which_refuses_bodies_is_followed() {
    let flown = hashes_are_fetched("hardhat");
    let is_refused = flown.stderr.contains("refuses full pending transactions");
    assert!(is_refused, "Hardhat refuses the subscription: {}", flown.stderr);
}

#[test]
fn connections_that_break_in_the_middle_of_a_frame_are_replaced() {
    let folder = Folder::new("feed-cuts");
    let node = Node::anvil(&folder, &["--no-market"]);
    let relay = Relay::plain(node.host_and_port());
    let mut bot = Bot::start(&folder, "cut", relay.url(), &[]);
    bot.wait_until_fresh();
    let mut chain = node.chain();
    // One that is cut before it stands is tried again, not lost.
    let has_all =
        |bot: &Bot<'_>, cuts| bot.stderr().matches("INFO connected").count() > 3 * cuts + 2;
    wait_for("all connections", || has_all(&bot, 0).then_some(()));
    for cuts in 1..=CUTS {
        relay.cut();
        chain.swap_until("the bot to come back", |_| {
            bot.assert_alive();
            has_all(&bot, cuts) && recoveries(&bot.journal(), "chain-link-down") >= cuts
        });
    }
    assert!(relay.torn_count() >= CUTS, "the cuts were in the middle of a frame");
    let flown = land(bot, &mut chain, &node);
    let lost = flown.stderr.matches("connection lost").count();
    assert!(lost >= 3 * CUTS, "each of three connections is lost {CUTS} times: {}", flown.stderr);
}

#[test]
fn a_reorg_of_two_blocks_is_followed() {
    let folder = Folder::new("feed-reorg");
    let node = Node::anvil(&folder, &["--no-market"]);
    let mut bot = Bot::start(&folder, "reorg", node.url(), &[]);
    bot.wait_until_fresh();
    let mut chain = node.chain();
    chain.swap_for_blocks(BLOCKS);
    let height = chain.height();
    bot.wait_for_block(height);
    let gone = chain.reorganise(2);
    chain.swap_for_blocks(2);
    let flown = land(bot, &mut chain, &node);
    let had_it = flown.lines("sealed").any(|line| line["hash"] == gone.to_string());
    assert!(had_it, "the bot had sealed {gone}, which is no more");
    assert!(flown.figure("/reorgs") >= 1, "reorgs are counted: {}", flown.summary);
}

/// How often the world went stale for a reason, at least.
fn wait_for_recoveries(bot: &mut Bot<'_>, reason: &str, count: usize) {
    bot.wait("the world to go stale and to recover", |journal| {
        recoveries(journal, reason) >= count && is_fresh(journal)
    });
}

#[test]
fn what_happened_while_the_node_was_out_of_reach_is_caught_up_with() {
    let folder = Folder::new("feed-gaps");
    let node = Node::anvil(&folder, &["--no-market"]);
    let relay = Relay::plain(node.host_and_port());
    let mut bot = Bot::start(&folder, "gaps", relay.url(), &[]);
    bot.wait_until_fresh();
    let mut chain = node.chain();
    // A few blocks are asked for one by one; after many the pools are loaded anew.
    for (round, empty_blocks) in [0_u64, 300].into_iter().enumerate() {
        relay.close(true);
        relay.cut();
        chain.swap_for_blocks(3);
        chain.mine(empty_blocks);
        chain.swap_for_blocks(1);
        wait_for("the bot to be cut off", || (relay.open_count() == 0).then_some(()));
        relay.close(false);
        wait_for_recoveries(&mut bot, "chain-link-down", round + 1);
        let height = chain.height();
        bot.wait_for_block(height);
    }
    // Each connection comes back in its own time.
    wait_for("all connections", || (relay.open_count() == 3).then_some(()));
    chain.swap_for_blocks(1);
    let flown = land(bot, &mut chain, &node);
    let count = |reason: &str| recoveries(&flown.journal, reason);
    assert!(count("gap") >= 1, "a short gap is filled: {}", flown.stderr);
    assert!(count("lost") >= 1, "after a long one the world is loaded anew: {}", flown.stderr);
}

#[test]
fn a_reorg_deeper_than_the_undo_log_is_followed() {
    let folder = Folder::new("feed-deep");
    let node = Node::anvil(&folder, &["--no-market"]);
    let mut bot = Bot::start(&folder, "deep", node.url(), &[]);
    bot.wait_until_fresh();
    let mut chain = node.chain();
    chain.swap_for_blocks(BLOCKS);
    chain.mine(100);
    let height = chain.height();
    bot.wait_for_block(height);
    let gone = chain.reorganise(100 + BLOCKS);
    chain.swap_for_blocks(1);
    wait_for_recoveries(&mut bot, "lost", 1);
    let flown = land(bot, &mut chain, &node);
    assert!(flown.lines("sealed").any(|line| line["hash"] == gone.to_string()));
}

#[test]
fn a_node_that_hangs_makes_the_world_stale_until_it_goes_on() {
    let folder = Folder::new("feed-hang");
    let node = Node::anvil(&folder, &["--no-market"]);
    let silent = ["--set", "node.silent_after_ms=4000"];
    let mut bot = Bot::start(&folder, "hang", node.url(), &silent);
    bot.wait_until_fresh();
    let mut chain = node.chain();
    chain.swap_for_blocks(BLOCKS);
    node.signal("STOP");
    bot.wait("silence to be noticed", |journal| !is_fresh(journal));
    node.signal("CONT");
    chain.swap_for_blocks(1);
    wait_for_recoveries(&mut bot, "silent", 1);
    land(bot, &mut chain, &node);
}

#[test]
fn a_node_that_is_gone_for_good_leaves_a_bot_that_waits_and_ends_in_order() {
    let folder = Folder::new("feed-gone");
    let node = Node::anvil(&folder, &["--no-market"]);
    let mut bot = Bot::start(&folder, "gone", node.url(), &[]);
    bot.wait_until_fresh();
    node.chain().swap_for_blocks(2);
    node.signal("KILL");
    wait_for("connections to be tried again, and again", || {
        bot.assert_alive();
        (bot.stderr().matches("trying again").count() >= 9).then_some(())
    });
    let flown = bot.end("TERM");
    assert_eq!(flown.code, Some(0), "{}", flown.stderr);
    assert_eq!(flown.summary["is_fresh"], false, "{}", flown.summary);
    assert_eq!(recoveries(&flown.journal, "chain-link-down"), 0, "nothing came back");
}
