//! A dry-run on a market that trades: plans are made and scored, and nothing is sent.
//!
//! Temperature: cold.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::bot::{Bot, Flown};
use crate::nodes::{Folder, Node, Process, root, text, wait_for};

/// Plans to wait for.
const PLANS: usize = 12;

/// A proxy that counts what is asked by method.
struct Counting<'a> {
    process: Process,
    folder: &'a Folder,
}

impl<'a> Counting<'a> {
    fn start(folder: &'a Folder, upstream: &str) -> Self {
        let process = Process::start(folder, "proxy", Path::new("node"), |command| {
            command.arg(root().join("scripts/chain/proxy.mjs")).arg(upstream);
        });
        Self { process, folder }
    }

    fn url(&self) -> String {
        wait_for("the proxy", || {
            let text = self.folder.read("proxy.stdout");
            text.split_once('\n').map(|(url, _)| url.to_owned())
        })
    }

    /// Ends it; how often each method was asked for.
    fn counts(mut self) -> Value {
        self.process.signal("TERM");
        self.process.wait();
        let said = self.folder.read("proxy.stdout");
        let last = said.lines().last().expect("the counts come last");
        serde_json::from_str(last).expect("the counts are JSON")
    }
}

/// What makes two plans the same opportunity: between the same two blocks, behind the same target,
/// the same pools in the same directions, wherever the cycle is entered.
fn opportunities(flown: &Flown) -> Vec<(u64, String, BTreeSet<String>)> {
    let mut block = 0;
    let mut found = Vec::new();
    for line in &flown.journal {
        match line["kind"].as_str() {
            Some("sealed") => block = line["number"].as_u64().expect("blocks have a number"),
            Some("submitted") => {
                let legs = line["plan"]["legs"].as_array().expect("a plan has legs");
                let way = |leg: &Value| format!("{} {}", leg["pool"], leg["zero_for_one"]);
                let legs = legs.iter().map(way).collect();
                found.push((block, line["plan"]["target"].to_string(), legs));
            }
            Some(_) | None => {}
        }
    }
    found
}

#[test]
fn a_dry_run_sends_nothing_and_scores_each_opportunity_once() {
    let folder = Folder::new("dry-run");
    let node = Node::anvil(&folder, &["--rate", "6"]);
    let proxy = Counting::start(&folder, node.url());
    let mut bot = Bot::start(&folder, "dry", &proxy.url(), &[]);
    bot.wait("plans", |journal| {
        let ended = |line: &&Value| line["kind"] == "outcome";
        journal.iter().filter(ended).count() >= PLANS
    });
    // The market goes on: the end may come at any time.
    let flown = bot.end("TERM");
    flown.assert_in_order();
    node.chain().assert_same_reserves("dry", &node.book, &flown.snapshot);

    let counts = proxy.counts();
    let methods = counts.as_object().expect("counts are by method");
    assert!(methods.contains_key("eth_subscribe"), "the proxy is in between: {counts}");
    let sent = methods.keys().find(|method| method.contains("send"));
    assert_eq!(sent, None, "nothing is sent: {counts}");

    let submitted = opportunities(&flown);
    let distinct: BTreeSet<_> = submitted.iter().collect();
    assert_eq!(distinct.len(), submitted.len(), "an opportunity is taken once");
    let [won, contested, vanished] =
        ["won", "contested", "vanished"].map(|score| flown.figure(&format!("/scored/{score}")));
    assert!(won > 0, "some plans would have paid: {}", flown.summary);
    assert_eq!(won + contested + vanished, submitted.len() as u64, "each plan is scored once");
    assert!(flown.figure("/opportunities") > 0, "{}", flown.summary);
    let turned_down = flown.lines("rejected").filter(|line| line["is_new"] == true).count();
    assert!(
        flown.figure("/opportunities") <= (submitted.len() + turned_down) as u64,
        "an opportunity is counted once: {}",
        flown.summary
    );
}

#[test]
fn a_dry_run_reads_no_key() {
    let folder = Folder::new("dry-run-keyless");
    let node = Node::anvil(&folder, &["--no-market"]);
    let nonsense = ["GANNET_OWNER_KEY", "GANNET_KEY_1", "GANNET_KEY_2"];
    let mut bot = Bot::start_with(&folder, "keyless", &[], |command| {
        command.args(["--set", &format!("node.url={}", node.url())]);
        command.arg(format!("--json={}", folder.file("keyless.summary").display()));
        command.envs(nonsense.map(|name| (name, "no key at all")));
    });
    bot.wait_until_fresh();
    let flown = bot.end("TERM");
    flown.assert_in_order();
    assert_eq!(text(&flown.summary["mode"]), "dry-run");
}
