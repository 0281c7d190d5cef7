//! The command line: what is wrong is said in one line each, and exit codes mean what they should.
//!
//! Temperature: cold.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bot::{Bot, Said, binary, gannet};
use crate::nodes::{Folder, Node, Process, root, text, wait_for};

/// An address at which there is no contract.
const NOWHERE: &str = "0xffffffffffffffffffffffffffffffffffffff00";

/// Demands an exit code, and these words on stderr.
fn assert_said(said: &Said, code: i32, words: &[&str]) {
    assert_eq!(said.code, Some(code), "{}\n{}", said.stdout, said.stderr);
    for word in words {
        assert!(said.stderr.contains(word), "no `{word}` in:\n{}", said.stderr);
    }
    assert!(!said.stderr.contains("panicked"), "{}", said.stderr);
}

#[test]
fn a_file_that_cannot_be_read_is_told_with_its_name_and_line() {
    let folder = Folder::new("commands-file");
    let said = gannet(&folder, &["run", "--config", "no-such.toml"], &[]);
    assert_said(&said, 2, &["no-such.toml", "--config"]);
    assert_eq!(said.stderr.lines().count(), 1, "{}", said.stderr);

    let file = folder.file("broken.toml");
    std::fs::write(&file, "mode = \"dry-run\"\n\n[chain\nid = 1\n").expect("it can be written");
    let file = file.to_str().expect("paths are text");
    assert_said(&gannet(&folder, &["check", "--config", file], &[]), 2, &["line 3"]);
}

#[test]
fn a_key_in_the_configuration_is_refused_and_not_repeated() {
    let folder = Folder::new("commands-key");
    let digits = "c0ffee".repeat(11)[..64].to_owned();
    let written = std::fs::read_to_string(root().join("config.toml")).expect("it is there");
    for key in [digits.clone(), format!("0x{digits}")] {
        let file = folder.file("key.toml");
        let text = written.replace("env:GANNET_KEY_2", &key);
        std::fs::write(&file, text).expect("it can be written");
        let file = file.to_str().expect("paths are text");
        for command in ["run", "check", "deploy"] {
            let said = gannet(&folder, &[command, "--config", file, "--log", "trace"], &[]);
            assert_said(&said, 2, &["wallet.1.key", "env:NAME"]);
            assert!(!(said.stdout + &said.stderr).contains("c0ffeec0ffee"), "the key is told");
        }
    }
    // By the back door, and in the wrong place.
    for change in ["wallet.0.key", "executor.owner_key", "executor.address", "node.url", "colour"] {
        let said = gannet(&folder, &["run", "--set", &format!("{change}={digits}")], &[]);
        assert_said(&said, 2, &[change]);
        assert!(!said.stderr.contains("c0ffeec0ffee"), "{change}: the key is told");
    }
}

#[test]
fn live_mode_without_keys_does_not_start() {
    let folder = Folder::new("commands-keyless");
    let executor = format!("executor.address={NOWHERE}");
    let node = "node.url=ws://127.0.0.1:1";
    let live = ["run", "--mode", "live", "--set", &executor, "--set", node];
    assert_said(&gannet(&folder, &live, &[]), 2, &["GANNET_KEY_1", "is not set"]);
    let said = gannet(&folder, &live, &[("GANNET_KEY_1", "coffee")]);
    assert_said(&said, 2, &["GANNET_KEY_1", "no private key"]);
    assert!(!said.stderr.contains("coffee"), "what it holds is not repeated: {}", said.stderr);
    let deploy = ["deploy", "--set", node];
    assert_said(&gannet(&folder, &deploy, &[]), 2, &["GANNET_OWNER_KEY", "is not set"]);
    let nodeless: [&[&str]; 5] = [
        &["run", "--mode", "live", "--set", &executor],
        &["deploy"],
        &["check"],
        &["positions"],
        &["record", "--out", "r"],
    ];
    for command in nodeless {
        assert_said(&gannet(&folder, command, &[]), 2, &["node.url", "missing"]);
    }
}

#[test]
fn arguments_are_explained() {
    let folder = Folder::new("commands-arguments");
    for (arguments, word) in [
        (vec!["--help"], "deploy"),
        (vec!["run", "--help"], "--journal"),
        (vec!["--version"], env!("CARGO_PKG_VERSION")),
    ] {
        let said = gannet(&folder, &arguments, &[]);
        assert_said(&said, 0, &[]);
        assert!(said.stdout.contains(word), "{arguments:?}: {}", said.stdout);
        assert_eq!(said.stderr, "");
    }
    for arguments in [vec!["--fast"], vec!["sandwich"], vec!["run", "--mode", "bold"]] {
        let said = gannet(&folder, &arguments, &[]);
        assert_said(&said, 2, &["error"]);
        assert_eq!(said.stdout, "");
    }
    assert_said(&gannet(&folder, &["check", "--log", "="], &[]), 2, &["--log"]);
    for flag in ["--config", "--journal=x"] {
        let said = gannet(&folder, &[flag, "x"], &[]);
        assert_said(&said, 2, &["unexpected argument", "gannet run --"]);
    }
    for arguments in [["backtest", "--journal", "x"], ["--config", "x", "kill"]] {
        let said = gannet(&folder, &arguments, &[]);
        assert!(said.code == Some(2) && !said.stderr.contains("gannet run"), "{}", said.stderr);
    }
}

#[test]
fn freed_memory_is_kept() {
    let folder = Folder::new("commands-memory");
    // The allocator says itself what it goes by.
    let said = gannet(&folder, &["--version"], &[("_RJEM_MALLOC_CONF", "stats_print:true")]);
    for option in ["opt.dirty_decay_ms: -1", "opt.muzzy_decay_ms: -1"] {
        assert!(said.stderr.contains(option), "{option}: {}", said.stderr);
    }
}

#[test]
fn a_node_that_is_down_is_told_in_time() {
    let folder = Folder::new("commands-down");
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let port = listener.local_addr().expect("a listener has an address").port();
    // Nobody listens there any more.
    drop(listener);
    let url = format!("node.url=ws://127.0.0.1:{port}");
    let said = gannet(&folder, &["run", "--set", &url, "--set", "node.connect_timeout_s=2"], &[]);
    assert_said(&said, 1, &["cannot reach the node within 2 s", "node.url"]);
    let took = said.took;
    assert!((2..30).contains(&took.as_secs()), "the limit is two seconds, it took {took:?}");
}

/// Demands that there is one JSON object and nothing else, and returns it.
fn only_object(stdout: &str) -> Value {
    let object: Value = serde_json::from_str(stdout).expect("stdout is one JSON value");
    assert!(object.is_object() && stdout.lines().count() == 1, "{stdout}");
    object
}

fn assert_lines_are_json(stderr: &str) {
    for line in stderr.lines() {
        let value: Result<Value, _> = serde_json::from_str(line);
        assert!(value.is_ok_and(|value| value.is_object()), "not a JSON object: {line}");
    }
}

/// The findings of `gannet check --json` that are not fit.
fn unfit(said: &Said) -> Vec<String> {
    let report = only_object(&said.stdout);
    let findings = report["findings"].as_array().expect("findings are listed");
    let unfit = findings.iter().filter(|finding| finding["is_fit"] != true);
    unfit.map(|finding| format!("{}: {}", finding["name"], finding["detail"])).collect()
}

#[test]
fn check_and_deploy_tell_what_is_fit() {
    let folder = Folder::new("commands-check");
    let node = Node::anvil(&folder, &["--no-market"]);
    let url = format!("node.url={}", node.url());
    let names = ["GANNET_KEY_1", "GANNET_KEY_2", "GANNET_KEY_3", "GANNET_KEY_4"];
    let wallets: Vec<_> = names.iter().zip(8..).map(|(name, at)| (*name, node.key(at))).collect();

    let said = gannet(&folder, &["check", "--set", &url], &[]);
    assert_said(&said, 0, &[]);
    assert!(said.stdout.contains("fit to run") && !said.stdout.contains("FAIL"), "{}", said.stdout);
    let said = gannet(&folder, &["check", "--set", &url, "--json"], &[]);
    assert_said(&said, 0, &[]);
    assert_eq!(unfit(&said), [""; 0]);

    // Nobody reads: that is an error, and no panic.
    let mut process = Process::start(&folder, "unread", binary(), |command| {
        let (reader, writer) = std::io::pipe().expect("a pipe can be made");
        drop(reader);
        command.current_dir(root()).args(["check", "--set", &url]).stdout(writer);
    });
    assert_eq!(process.wait().code(), Some(1));
    let said = folder.read("unread.stderr");
    assert!(said.contains("writing to stdout") && !said.contains("panicked"), "{said}");

    // Another chain.
    for command in ["check", "run", "deploy"] {
        let wrong = [command, "--set", &url, "--set", "chain.id=5"];
        let said = gannet(&folder, &wrong, &[("GANNET_OWNER_KEY", node.key(1))]);
        assert_eq!(said.code, Some(1), "{command}: {}", said.stderr);
        let told = said.stdout + &said.stderr;
        assert!(told.contains("the node is on chain 31337"), "{command}: {told}");
    }

    // Live before there is an executor, with it, and with a key in the wrong place.
    let nowhere = format!("executor.address={NOWHERE}");
    let live = ["--set", &url, "--set", "mode=live", "--set"];
    let said = gannet(&folder, &[&["run"], &live[..], &[&nowhere]].concat(), &wallets);
    assert_said(&said, 1, &["there is no contract", "gannet deploy"]);
    let said = gannet(&folder, &[&["check", "--json"], &live[..], &[&nowhere]].concat(), &wallets);
    assert_said(&said, 1, &[]);
    let [executor] = &unfit(&said)[..] else { unreachable!("only the executor: {said:?}") };
    assert!(executor.contains("executor") && executor.contains("gannet deploy"), "{executor}");

    let owner = [("GANNET_OWNER_KEY", node.key(1))];
    let said = gannet(&folder, &["deploy", "--set", &url, "--json"], &owner);
    assert_said(&said, 0, &[]);
    let deployed = only_object(&said.stdout);
    let executor = format!("executor.address={}", text(&deployed["executor"]));
    let said = gannet(&folder, &[&["check", "--json"], &live[..], &[&executor]].concat(), &wallets);
    assert_said(&said, 0, &[]);
    assert_eq!(unfit(&said), [""; 0]);
    let mut swapped = wallets.clone();
    (swapped[0].1, swapped[1].1) = (swapped[1].1, swapped[0].1);
    let said = gannet(&folder, &[&["check", "--json"], &live[..], &[&executor]].concat(), &swapped);
    assert_said(&said, 1, &[]);
    assert_eq!(unfit(&said).len(), 2, "two keys are of other wallets: {}", said.stdout);

    // An executor of another build: one byte of its code is not the same.
    let mut chain = node.chain();
    let address = text(&deployed["executor"]);
    let code = chain.ask("eth_getCode", &json!([address, "latest"]));
    let mut code = text(&code).to_owned();
    let last = code.pop().expect("there is code");
    code.push(if last == '0' { '1' } else { '0' });
    chain.ask("anvil_setCode", &json!([address, code]));
    let said = gannet(&folder, &[&["check", "--json"], &live[..], &[&executor]].concat(), &wallets);
    assert_said(&said, 1, &[]);
    let [old] = &unfit(&said)[..] else { unreachable!("only the executor: {said:?}") };
    assert!(old.contains("of another build") && old.contains("gannet deploy"), "{old}");
}

#[test]
fn an_interrupt_ends_with_a_summary_and_a_second_signal_ends_at_once() {
    let folder = Folder::new("commands-signals");
    // Blocks come only when they are asked for, so that what is in flight stays there.
    let node = Node::anvil(&folder, &["--no-market", "--block-time", "0"]);
    let mut chain = node.chain();
    let url = format!("node.url={}", node.url());
    let start = |name, more: &[&str]| {
        Bot::start_with(&folder, name, more, |command| {
            command.args(["--set", &url]);
        })
    };
    let mut told = start("told", &["--json", "--log-format", "json", "--log", "debug"]);
    let mut shown = start("shown", &["--set", "runtime.drain_s=0"]);
    let mut cut = start("cut", &[]);
    for bot in [&mut told, &mut shown, &mut cut] {
        bot.wait_until_fresh();
        // No block comes by itself, so what is not tried by then is not traded with.
        wait_for("all pools to be tried", || {
            bot.stderr().contains("every pool was tried").then_some(())
        });
    }
    chain.swap();
    chain.mine(1);
    for bot in [&mut told, &mut shown, &mut cut] {
        bot.wait("a plan in flight", |journal| {
            journal.iter().any(|line| line["kind"] == "submitted")
        });
    }

    // Nothing left to wait for: the summary, for people.
    let shown = shown.end("INT");
    assert_eq!(shown.code, Some(0), "{}", shown.stderr);
    assert!(shown.stdout.contains("summary (dry-run"), "{}", shown.stdout);
    assert!(shown.stdout.contains("still in flight"), "{}", shown.stdout);

    cut.signal("INT");
    let drains = |bot: &Bot<'_>| bot.stderr().contains("draining").then_some(());
    wait_for("the drain", || drains(&cut));
    std::thread::sleep(Duration::from_millis(300));
    let cut = cut.end("TERM");
    assert_eq!(cut.code, Some(130), "{}", cut.stderr);
    assert!(cut.stderr.contains("cut short") && cut.stdout.is_empty(), "{}", cut.stderr);

    // What is in flight is followed to its end: it needs blocks.
    told.signal("INT");
    wait_for("the drain", || drains(&told));
    chain.mine(4);
    let told = told.finish();
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    assert_eq!(only_object(&told.stdout)["in_flight"], 0);
    assert_lines_are_json(&told.stderr);
}

#[test]
fn a_signal_during_the_start_ends_it_and_the_kill_switch_already_listens() {
    let folder = Folder::new("commands-start");
    // Takes connections and never says a word.
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let port = listener.local_addr().expect("a listener has an address").port();
    let url = format!("node.url=ws://127.0.0.1:{port}");
    for (name, signal) in [("int", "INT"), ("term", "TERM")] {
        let settings = ["--set", &url, "--set", "node.connect_timeout_s=600", "--json"];
        let mut bot = Bot::start_with(&folder, name, &settings, |_| {});
        // It has connected, so it listens to signals.
        let _connection = listener.accept().expect("it comes");
        bot.signal("USR1");
        wait_for("the kill switch", || {
            bot.assert_alive();
            bot.stderr().contains("the kill switch stands").then_some(())
        });
        assert!(folder.file("state/gannet/31337.kill").exists());
        let start = Instant::now();
        let ended = bot.end(signal);
        assert!(start.elapsed() < Duration::from_secs(60), "it does not wait for the node");
        assert_eq!((ended.code, &*ended.stdout), (Some(130), ""), "{}", ended.stderr);
        let last = ended.stderr.lines().last().unwrap_or_default();
        assert_eq!(last, "error: cut short by a signal while starting: nothing was sent");
    }
}
