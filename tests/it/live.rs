//! A live flight, for a few seconds: trades land, the books are the chain's, and no key is seen.
//!
//! Temperature: cold.

use std::path::Path;

use serde_json::Value;

use crate::bot::binary;
use crate::nodes::{Folder, Process, root, text};

/// Runs a program to its end; what it wrote on stdout.
fn run(folder: &Folder, name: &str, program: &Path, arguments: &[&str]) -> String {
    let mut process = Process::start(folder, name, program, |command| {
        command.current_dir(root()).args(arguments);
    });
    let status = process.wait();
    let said = folder.read(&format!("{name}.stdout"));
    assert!(status.success(), "{name}: {status}\n{said}\n{}", stderr(folder, name));
    said
}

fn stderr(folder: &Folder, name: &str) -> String {
    folder.read(&format!("{name}.stderr"))
}

/// The keys that a live flight has: the owner's and the wallets'.
fn keys(folder: &Folder) -> Vec<String> {
    let script = "import { botWallets, executorOwner } from './scripts/chain/lib/accounts.mjs';
        console.log([executorOwner, ...botWallets].map((held) => held.privateKey).join('\\n'));";
    let said = run(folder, "keys", Path::new("node"), &["--input-type=module", "-e", script]);
    let keys: Vec<_> = said.lines().map(|key| key.trim_start_matches("0x").to_owned()).collect();
    assert!(keys.len() == 5 && keys.iter().all(|key| key.len() == 64), "five keys");
    keys
}

#[test]
fn a_live_flight_earns_what_its_books_say_and_shows_no_key() {
    let folder = Folder::new("live");
    let out = folder.file("demo");
    let [out, bot] = [&out, binary()].map(|path| path.to_str().expect("paths are text"));
    let demo = root().join("scripts/demo");
    let arguments =
        ["--seconds", "15", "--mode", "live", "--rate", "5", "--json", "--bot", bot, "--out", out];
    let said = run(&folder, "demo", &demo, &arguments);

    let last = said.lines().last().expect("the demo reports");
    let report: Value = serde_json::from_str(last).expect("the report is JSON");
    let figure = |name: &str| report[name].as_u64().expect("a count");
    let wei = |name: &str| text(&report[name]).parse::<i128>().expect("an amount");
    assert!(figure("landed") > 0, "trades land: {report}");
    assert!(figure("reverted") * 3 <= figure("landed"), "few revert: {report}");
    assert!(figure("backruns_behind_target") >= 1, "one is right behind its target: {report}");
    assert_eq!(wei("profit_wei"), wei("chain_profit_wei"), "the books are the chain's: {report}");
    assert!(wei("profit_wei") > 0, "it pays: {report}");

    let logs = ["summary.json", "journal.jsonl", "bot.log", "deploy.log"];
    let mut outputs = logs.map(|name| (name, folder.read(&format!("demo/{name}")))).to_vec();
    outputs.push(("stdout", said));
    outputs.push(("stderr", stderr(&folder, "demo")));
    let keys = keys(&folder);
    for (name, output) in outputs {
        // Deployment says nothing while all is well.
        assert!(!output.is_empty() || name == "deploy.log", "{name} is there");
        let output = output.to_lowercase();
        assert!(keys.iter().all(|key| !output.contains(key)), "{name} shows no key");
    }
}
