//! The feed against real nodes, each with its own habits: whatever happens on the way, the bot's
//! reserves are the chain's in the end, to the wei.
//!
//! Temperature: cold.

use std::net::TcpListener;
use std::thread::sleep;
use std::time::Duration;

use crate::bot::{Bot, Flown, gannet, recoveries};
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
    assert_eq!(relay.open_count(), 3, "heads, pending transactions and answers come apart");
    let mut chain = node.chain();
    chain.swap_for_blocks(BLOCKS);
    for bot in bots {
        let flown = land(bot, &mut chain, &node);
        let said = &flown.stderr;
        assert!(!said.contains("WARN") && !said.contains("ERROR"), "{}: {said}", flown.name);
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
    let mut bot = Bot::start(&folder, client, node.url(), &[]);
    bot.wait_until_fresh();
    let mut chain = node.chain();
    chain.swap_for_blocks(BLOCKS);
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
    for cuts in 1..=CUTS {
        relay.cut();
        chain.swap_until("the bot to come back", |_| {
            bot.assert_alive();
            recoveries(&bot.journal(), "chain-link-down") >= cuts
        });
    }
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
    let gone = chain.reorganise(2);
    chain.swap_for_blocks(2);
    let flown = land(bot, &mut chain, &node);
    let had_it = flown.lines("sealed").any(|line| line["hash"] == gone.to_string());
    assert!(had_it, "the bot had sealed {gone}, which is no more");
    assert!(flown.figure("/reorgs") >= 1, "reorgs are counted: {}", flown.summary);
}

#[test]
fn a_node_that_is_gone_for_good_leaves_a_bot_that_waits_and_ends_in_order() {
    let folder = Folder::new("feed-gone");
    let node = Node::anvil(&folder, &["--no-market"]);
    let mut bot = Bot::start(&folder, "gone", node.url(), &[]);
    bot.wait_until_fresh();
    node.chain().swap_for_blocks(2);
    node.kill();
    wait_for("connections to be tried again, and again", || {
        bot.assert_alive();
        (bot.stderr().matches("trying again").count() >= 9).then_some(())
    });
    sleep(Duration::from_secs(1));
    let flown = bot.end("TERM");
    assert_eq!(flown.code, Some(0), "{}", flown.stderr);
    assert_eq!(flown.summary["is_fresh"], false, "{}", flown.summary);
    assert_eq!(recoveries(&flown.journal, "chain-link-down"), 0, "nothing came back");
}
