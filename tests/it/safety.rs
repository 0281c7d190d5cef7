//! What keeps a live run safe from outside: the kill switch, one process a wallet, wallets that are
//! empty.
//!
//! Temperature: cold.

use std::fs;
use std::path::PathBuf;

use alloy_primitives::U256;
use serde_json::{Value, json};

use crate::bot::{Bot, Said, gannet};
use crate::nodes::{Chain, Folder, Node, text, wait_for};

/// The variables with the wallets' keys, and the accounts of the test chain that they are.
const WALLETS: [(&str, usize); 4] =
    [("GANNET_KEY_1", 8), ("GANNET_KEY_2", 9), ("GANNET_KEY_3", 10), ("GANNET_KEY_4", 11)];

/// A node with an executor on it, for live runs.
pub(crate) struct Field {
    pub(crate) node: Node,
    url: String,
    executor: String,
}

impl Field {
    pub(crate) fn new(folder: &Folder) -> Self {
        let node = Node::anvil(folder, &["--no-market"]);
        let url = format!("node.url={}", node.url());
        let owner = [("GANNET_OWNER_KEY", node.key(1))];
        let said = gannet(folder, &["deploy", "--set", &url, "--json"], &owner);
        let deployed: Value = serde_json::from_str(&said.stdout).expect("it is deployed");
        let executor = format!("executor.address={}", text(&deployed["executor"]));
        Self { node, url, executor }
    }

    pub(crate) fn keys(&self) -> Vec<(&'static str, &str)> {
        WALLETS.iter().map(|(name, account)| (*name, self.node.key(*account))).collect()
    }

    pub(crate) fn wallet(&self, index: usize) -> &str {
        text(&self.node.book["accounts"][WALLETS[index].1]["address"])
    }

    /// The executor's address.
    pub(crate) fn executor(&self) -> &str {
        self.executor.trim_start_matches("executor.address=")
    }

    /// What makes a command one for a live run here.
    pub(crate) fn arguments(&self) -> [&str; 6] {
        ["--set", &self.url, "--set", &self.executor, "--set", "mode=live"]
    }

    /// Starts a live run.
    pub(crate) fn fly<'a>(&self, folder: &'a Folder, name: &str, more: &[&str]) -> Bot<'a> {
        let mut settings = self.arguments().to_vec();
        settings.extend(more);
        Bot::start_with(folder, name, &settings, |command| {
            command.envs(self.keys());
        })
    }

    /// A command that ends by itself, as for a live run.
    pub(crate) fn say(&self, folder: &Folder, command: &str, more: &[&str]) -> Said {
        let settings = self.arguments();
        gannet(folder, &[&[command], &settings[..], more].concat(), &self.keys())
    }
}

pub(crate) fn count(journal: &[Value], kind: &str) -> usize {
    journal.iter().filter(|line| line["kind"] == kind).count()
}

fn halted(journal: &[Value]) -> usize {
    journal.iter().filter(|line| line["reason"] == "halted").count()
}

/// Trades on the chain until the bot has submitted something new.
pub(crate) fn trade_until_it_submits(chain: &mut Chain, bot: &mut Bot<'_>) {
    let before = count(&bot.journal(), "submitted");
    chain.swap_until("a submission", |_| {
        bot.assert_alive();
        count(&bot.journal(), "submitted") > before
    });
}

/// Waits until the switch has been told to stand, or to be released, this often.
fn wait_until_told(bot: &mut Bot<'_>, words: &str, times: usize) {
    wait_for(words, || {
        bot.assert_alive();
        (bot.stderr().matches(words).count() >= times).then_some(())
    });
}

const STANDS: &str = "the kill switch stands";
const RELEASED: &str = "the kill switch is released";

/// Demands that nothing is submitted while there are opportunities, for the switch's sake.
fn assert_halted(chain: &mut Chain, bot: &mut Bot<'_>) {
    let then = halted(&bot.journal());
    let mut wait_for_more = |than: usize| {
        chain.swap_until("plans that are turned down", |_| {
            bot.assert_alive();
            halted(&bot.journal()) > than
        });
        bot.journal()
    };
    // What was sent before the switch stood is in the journal before the first that is turned down.
    let before = wait_for_more(then);
    let after = wait_for_more(halted(&before) + 3);
    assert_eq!(count(&after, "submitted"), count(&before, "submitted"), "nothing is sent");
}

fn switch_file(folder: &Folder) -> PathBuf {
    folder.file("state/gannet/31337.kill")
}

#[test]
fn the_kill_switch_stops_a_live_run_in_three_ways_and_outlives_it() {
    let folder = Folder::new("safety-switch");
    let field = Field::new(&folder);
    let mut chain = field.node.chain();
    let mut bot = field.fly(&folder, "bot", &[]);
    bot.wait_until_fresh();
    trade_until_it_submits(&mut chain, &mut bot);

    // By command, which works with a configuration that is broken elsewhere.
    let said = gannet(&folder, &["kill", "--set", "node.url=nowhere"], &[]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(said.stdout.contains(field.wallet(0)), "it says whom it stops: {}", said.stdout);
    assert!(said.stdout.contains(&bot.id().to_string()), "{}", said.stdout);
    wait_until_told(&mut bot, STANDS, 1);
    assert_halted(&mut chain, &mut bot);
    let again = gannet(&folder, &["kill", "--json"], &[]);
    let again: Value = serde_json::from_str(&again.stdout).expect("it is JSON");
    assert_eq!((&again["is_engaged"], &again["is_changed"]), (&json!(true), &json!(false)));
    assert_eq!(gannet(&folder, &["resume"], &[]).code, Some(0));
    wait_until_told(&mut bot, RELEASED, 1);
    trade_until_it_submits(&mut chain, &mut bot);

    // By file.
    fs::write(switch_file(&folder), "").expect("the state folder can be written");
    wait_until_told(&mut bot, STANDS, 2);
    assert_halted(&mut chain, &mut bot);
    fs::remove_file(switch_file(&folder)).expect("it is there");
    wait_until_told(&mut bot, RELEASED, 2);
    trade_until_it_submits(&mut chain, &mut bot);

    // By signal, and it stands after a restart.
    bot.signal("USR1");
    wait_until_told(&mut bot, STANDS, 3);
    assert_halted(&mut chain, &mut bot);
    assert!(switch_file(&folder).exists(), "a signal makes the file");
    bot.kill();
    let mut bot = field.fly(&folder, "again", &[]);
    bot.wait_until_fresh();
    assert_eq!(bot.stderr().matches(STANDS).count(), 1, "{}", bot.stderr());
    assert_halted(&mut chain, &mut bot);
    let said = field.say(&folder, "check", &[]);
    assert!(said.stdout.contains("gannet resume"), "check says so: {}", said.stdout);
    assert_eq!(gannet(&folder, &["resume"], &[]).code, Some(0));
    trade_until_it_submits(&mut chain, &mut bot);
    bot.end("TERM").assert_ended();
}

#[test]
fn a_wallet_is_used_by_one_process_only() {
    let folder = Folder::new("safety-lock");
    let field = Field::new(&folder);
    let mut first = field.fly(&folder, "first", &[]);
    first.wait_until_fresh();

    // Whatever it is called and wherever it flies: the wallet decides.
    let second = field.fly(&folder, "second", &["--set", "universe.pools_max=5"]).finish();
    assert_eq!(second.code, Some(1), "{}", second.stderr);
    let told: Vec<_> = second.stderr.lines().collect();
    let [line] = told[..] else { panic!("one line: {told:?}") };
    for word in [field.wallet(0), &first.id().to_string(), "is in use by process"] {
        assert!(line.contains(word), "no `{word}` in {line}");
    }
    let said = field.say(&folder, "check", &[]);
    assert_eq!(said.code, Some(1), "{}", said.stdout);
    assert!(said.stdout.contains("is in use by process"), "{}", said.stdout);
    first.assert_alive();

    // A dry-run sends nothing, so it needs no wallet for itself.
    let mut dry = field.fly(&folder, "dry", &["--set", "mode=dry-run"]);
    dry.wait_until_fresh();
    dry.end("TERM").assert_ended();

    // The kernel lets go of what a process held that was killed.
    first.kill();
    let mut third = field.fly(&folder, "third", &[]);
    third.wait_until_fresh();
    third.end("TERM").assert_ended();
}

#[test]
fn one_wallet_that_can_pay_gas_is_enough_to_fly() {
    let folder = Folder::new("safety-empty");
    let field = Field::new(&folder);
    let mut chain = field.node.chain();
    let mut fund = |index: usize, wei: u64| {
        chain.ask("anvil_setBalance", &json!([field.wallet(index), U256::from(wei)]));
    };
    for index in 0..WALLETS.len() {
        fund(index, 0);
    }
    let grounded = field.fly(&folder, "grounded", &[]).finish();
    assert_eq!(grounded.code, Some(1), "{}", grounded.stderr);
    let last = grounded.stderr.lines().last().unwrap_or_default();
    assert!(last.starts_with("error: every wallet is empty"), "{last}");
    assert!(last.contains(field.wallet(0)) && last.contains(field.wallet(3)), "{last}");
    let said = field.say(&folder, "check", &[]);
    assert_eq!(said.code, Some(1), "{}", said.stdout);

    fund(2, 1_000_000_000_000_000_000);
    let mut bot = field.fly(&folder, "one", &[]);
    bot.wait_until_fresh();
    assert_eq!(bot.stderr().matches("this wallet is empty").count(), 3, "{}", bot.stderr());
    trade_until_it_submits(&mut chain, &mut bot);
    let flown = bot.end("TERM");
    flown.assert_ended();
    assert!(flown.lines("submitted").all(|line| line["wallet"] == 2), "only the third can pay");
    let said = field.say(&folder, "check", &[]);
    assert_eq!(said.code, Some(0), "{}", said.stdout);
    assert_eq!(said.stdout.matches("is empty").count(), 3, "{}", said.stdout);
}

/// What `gannet check` finds of one thing: how fit it is, and in what words.
fn finding(said: &Said, name: &str) -> (String, String) {
    let report: Value = serde_json::from_str(&said.stdout).expect("a report is JSON");
    let findings = report["findings"].as_array().expect("findings are listed");
    let finding = findings.iter().find(|finding| finding["name"] == name).expect("it is there");
    assert_eq!(finding["is_fit"], finding["level"] != "fail", "{finding}");
    (text(&finding["level"]).to_owned(), text(&finding["detail"]).to_owned())
}

#[test]
fn check_says_of_whatever_is_unfit_what_to_do() {
    let folder = Folder::new("safety-check");
    let field = Field::new(&folder);
    let check = |change: &str| field.say(&folder, "check", &["--json", "--set", change]);
    let all = check("runtime.pin=false");
    assert_eq!(all.code, Some(0), "{}", all.stdout);
    for name in ["config", "key 3", "lock 3", "state", "kill switch", "core", "node", "chain id"] {
        assert_eq!(finding(&all, name).0, "ok", "{name}");
    }
    for name in ["sync", "chain", "rpc", "pending", "logs by hash", "call by hash", "clock"] {
        assert_eq!(finding(&all, name).0, "ok", "{name}");
    }
    for name in ["wallet 3", "executor", "universe"] {
        assert_eq!(finding(&all, name).0, "ok", "{name}");
    }
    // A machine with much to do is far from its own node.
    assert_ne!(finding(&all, "latency").0, "fail");

    let file = folder.file("file");
    fs::write(&file, "").expect("it can be written");
    let pair = text(&field.node.book["pairs"][0]["address"]);
    let stranger = text(&field.node.book["accounts"][15]["address"]);
    let nowhere = format!("0x{}", "ee".repeat(20));
    let cases = [
        ("runtime.core=4095".to_owned(), "core", "warn", "set runtime.core to 0"),
        (format!("runtime.state_dir={}/x", file.display()), "state", "fail", "runtime.state_dir"),
        ("wallet.0.key=env:GANNET_KEY_2".to_owned(), "key 0", "fail", "holds the key of"),
        ("wallet.0.key=env:GANNET_KEY_9".to_owned(), "key 0", "fail", "is not set"),
        (format!("executor.address={nowhere}"), "executor", "fail", "gannet deploy"),
        (format!("executor.address={pair}"), "executor", "fail", "no Gannet executor"),
        (format!("wallet.0.address={stranger}"), "executor", "fail", "must call setOperator"),
        (format!("wallet.0.address={nowhere}"), "wallet 0", "warn", "send it native tokens"),
        (format!("universe.base_tokens=[\"{nowhere}\"]"), "universe", "fail", "is it a token?"),
        ("node.url=ipc:nowhere".to_owned(), "node", "fail", "is node.url right?"),
        // There are no lending protocols on this chain.
        ("strategy.liquidation.valid_blocks=2".to_owned(), "loans", "fail", "lending.aave_v3"),
    ];
    for (change, name, level, words) in &cases {
        let said = check(change);
        let (found, detail) = finding(&said, name);
        assert!(found == *level && detail.contains(words), "{change}: {found}: {detail}");
        assert_eq!(said.code == Some(1), said.stdout.contains("\"fail\""), "{}", said.stdout);
    }

    let mut chain = field.node.chain();
    chain.ask("evm_increaseTime", &json!([3_600]));
    chain.next_blocks(2);
    let (level, detail) = finding(&check("runtime.pin=false"), "clock");
    assert!(level == "warn" && detail.contains("set this machine's clock"), "{level}: {detail}");
}
