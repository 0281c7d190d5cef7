//! Recordings: what is heard is kept whatever happens, and gives the same plans again.
//!
//! Temperature: cold.

use std::path::Path;

use serde_json::Value;

use crate::bot::{Bot, Said, gannet};
use crate::nodes::{Folder, Node, root, text};

/// Of the plans over the bundled recording, and of their ends. It changes when strategies, the
/// default configuration or the recording do, and with nothing else.
const DIGEST: &str = "0xf1927bb86b5adb62c6345a5848c89785c46779614deb09d942e35e45be1a2c31";
/// Recorders that are killed; as many as `GANNET_KILLS` says.
const KILLS: usize = 4;
/// Plans to wait for.
const PLANS: usize = 6;

fn json(said: &Said) -> Value {
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    serde_json::from_str(&said.stdout).expect("one JSON object")
}

fn sample() -> String {
    root().join("recordings/sample").display().to_string()
}

fn backtest(folder: &Folder, recording: &Path) -> Value {
    backtest_with(folder, recording, &[])
}

fn backtest_with(folder: &Folder, recording: &Path, settings: &[&str]) -> Value {
    let recording = recording.to_str().expect("paths are text");
    json(&gannet(folder, &[&["backtest", recording, "--json"], settings].concat(), &[]))
}

/// Legs, amounts and profit of each plan that was submitted, and whom it liquidates, in order.
fn submitted(journal: &[Value]) -> Vec<Value> {
    let sent = journal.iter().filter(|line| line["kind"] == "submitted");
    sent.map(|line| plan(&line["plan"], &line["net_wei"])).collect()
}

fn planned(backtest: &Value) -> Vec<Value> {
    let planned = backtest["planned"].as_array().expect("plans");
    planned.iter().map(|one| plan(one, &one["net_wei"])).collect()
}

fn plan(one: &Value, net_wei: &Value) -> Value {
    let mut whom = one["liquidation"].clone();
    if let Some(whom) = whom.as_object_mut() {
        // A journal has the borrower's number alone.
        whom.retain(|key, _| key != "market" && key != "borrower");
    }
    serde_json::json!([one["strategy"], one["legs"], one["profit"], net_wei, whom])
}

fn liquidations(plans: &[Value]) -> usize {
    plans.iter().filter(|plan| !plan[4].is_null()).count()
}

#[test]
fn without_a_node_the_bundled_recording_is_flown_over_and_reported() {
    let folder = Folder::new("recordings-default");
    let recording = format!("replay.recording={}", sample());
    let arguments = ["run", "--json", "--set", &recording, "--set", "replay.speed=0"];
    let flown = json(&gannet(&folder, &arguments, &[]));
    assert_eq!(text(&flown["digest"]), DIGEST);
    let ends = ["won", "contested", "vanished"].map(|end| flown["plans"][end].as_u64());
    assert!(ends.iter().all(|count| *count > Some(0)), "{}", flown["plans"]);
    let report = std::fs::read_to_string(root().join("gannet-report.html")).expect("a report");
    assert!(report.contains(&DIGEST[2..]), "the report tells its digest");
}

#[test]
fn the_same_recording_gives_the_same_digest() {
    let folder = Folder::new("recordings-digest");
    let [first, second] = [(); 2].map(|()| backtest(&folder, Path::new(&sample())));
    assert_eq!(text(&first["digest"]), DIGEST);
    assert_eq!(first, second);
}

#[test]
fn a_backtest_of_what_was_heard_makes_the_same_plans() {
    let folder = Folder::new("recordings-live");
    let node = Node::anvil(&folder, &["--rate", "6"]);
    let out = folder.file("recording");
    let record = format!("record.out={}", out.display());
    let mut bot = Bot::start(&folder, "recorded", node.url(), &["--set", &record]);
    bot.wait("plans", |journal| submitted(journal).len() >= PLANS);
    let flown = bot.end("INT");
    let again = backtest(&folder, &out);
    assert_eq!(planned(&again), submitted(&flown.journal));
    assert!(again["inputs"].as_u64() > Some(0));
}

#[test]
fn a_backtest_liquidates_whom_the_run_did() {
    let folder = Folder::new("recordings-loans");
    let node = Node::anvil(&folder, &["--lending"]);
    let out = folder.file("recording");
    let record = format!("record.out={}", out.display());
    let settings = ["--set", "strategy.liquidation.valid_blocks=2"];
    let started = [&["--set", &record], &settings[..]].concat();
    let mut bot = Bot::start(&folder, "liquidator", node.url(), &started);
    bot.wait("liquidations", |journal| liquidations(&submitted(journal)) >= PLANS);
    let flown = bot.end("INT");
    let again = backtest_with(&folder, &out, &settings);
    assert_eq!(planned(&again), submitted(&flown.journal));
    let plans = again["planned"].as_array().expect("plans");
    let named = plans.iter().filter(|plan| plan["liquidation"]["borrower"].is_string()).count();
    assert_eq!(named, liquidations(&planned(&again)));

    let nobody = "The recording holds no loans: nobody is liquidated.";
    let told = |backtest: &Value| backtest["assumptions"].to_string().contains(nobody);
    assert!(!told(&again));
    std::fs::remove_file(out.join("loans.bin")).expect("they are there");
    let without = backtest_with(&folder, &out, &settings);
    assert!(told(&without) && liquidations(&planned(&without)) == 0, "{without}");
    assert!(!told(&backtest(&folder, &out)), "nobody wants any");
    std::fs::write(out.join("loans.bin"), "gannet loans v1\n").expect("it can be written");
    let recording = out.to_str().expect("paths are text");
    let arguments = [&["backtest", recording], &settings[..]].concat();
    let said = gannet(&folder, &arguments, &[]);
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    assert!(said.stderr.contains("loans.bin"), "{}", said.stderr);
}

#[test]
fn a_recorder_that_is_killed_leaves_all_but_the_block_that_was_open() {
    let kills = std::env::var("GANNET_KILLS").ok().and_then(|kills| kills.parse().ok());
    let folder = Folder::new("recordings-killed");
    let node = Node::anvil(&folder, &["--rate", "6"]);
    for round in 0..kills.unwrap_or(KILLS) {
        let out = folder.file(&format!("recording-{round}"));
        let record = format!("record.out={}", out.display());
        let name = format!("killed-{round}");
        let mut bot = Bot::start(&folder, &name, node.url(), &["--set", &record]);
        bot.wait("blocks", |journal| {
            journal.iter().filter(|line| line["kind"] == "sealed").count() > 1 + round % 3
        });
        let journal = bot.journal();
        bot.kill();
        let place = journal.iter().rposition(|line| line["kind"] == "sealed");
        let place = place.expect("a block was sealed");
        let sealed = journal[place]["number"].as_u64().expect("blocks have a number");
        let read = backtest(&folder, &out);
        let last = read["last_block"].as_u64().expect("blocks are recorded");
        // What sealed the last one may not have been written yet: then that one was still open.
        assert!(last + 1 >= sealed, "round {round}: {sealed} was sealed, {last} is recorded");
        let (heard, made) = (submitted(&journal[..place]), planned(&read));
        assert!(made.starts_with(&heard), "round {round}: {heard:?} were made, {made:?} again");
    }
}

#[test]
fn what_is_no_recording_is_told() {
    let folder = Folder::new("recordings-none");
    for (arguments, words) in [
        (vec!["backtest", "no/such/folder"], ["manifest.json", "gannet import"]),
        (vec!["import", "witness", "no/such/folder", "--out", "x"], ["no/such/folder", "reading"]),
    ] {
        let said = gannet(&folder, &arguments, &[]);
        assert_eq!(said.code, Some(1), "{}", said.stderr);
        words.iter().for_each(|word| assert!(said.stderr.contains(word), "{}", said.stderr));
    }
    let there = folder.file("there");
    std::fs::create_dir_all(&there).expect("a folder");
    let there = there.to_str().expect("paths are text");
    let said =
        gannet(&folder, &["record", "--out", there, "--set", "node.url=ws://127.0.0.1:1"], &[]);
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    assert!(said.stderr.contains("record.out"), "{}", said.stderr);
}
