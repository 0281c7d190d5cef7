//! Every fault that a feed can have, played to a live bot by the scripted node: its state ends
//! equal to the chain's, its books too, it sends nothing while it is stale, it lives on, and it
//! trades again.
//!
//! The scenarios are in `tests/node/scenarios`; the table of what came of each is left in
//! `target/test/faults.txt` and `faults.json`. `GANNET_SCENARIO=name` plays those alone whose name
//! begins so.
//!
//! Temperature: cold.

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use gannet_scripted_node::{Bot as Subject, Node, Player, Script, Setup, is_equal};
use serde_json::{Value, json};

use crate::bot::{Bot, Flown, is_fresh};
use crate::nodes::{Folder, root};

/// Scenarios that are played at the same time.
const AT_ONCE: usize = 4;
/// Fewer scenarios than these, and some have been lost.
const SCENARIOS_MIN: usize = 50;
/// What is in flight at a scenario's end has come to its own by then.
const REST: Duration = Duration::from_secs(30);

/// The bot, as the player sees it.
struct Flight<'a> {
    folder: &'a Folder,
    bot: Option<Bot<'a>>,
}

impl Subject for Flight<'_> {
    fn start(&mut self, node: &Node, second: Option<&Node>) {
        let config = self.folder.file("config.toml");
        std::fs::write(&config, node.config(second)).expect("a configuration can be written");
        let keys = node.chain().market.keys();
        self.bot = Some(Bot::live(self.folder, "bot", &config, &keys));
    }

    fn journal(&mut self) -> Option<Vec<Value>> {
        let bot = self.bot.as_ref()?;
        Some(bot.journal())
    }

    fn log(&mut self) -> String {
        self.bot.as_ref().map_or_else(String::new, Bot::stderr)
    }
}

/// The table's first line.
const TITLE: &str = "scenario                                       \
    state equal books equal  stale ms  sent sent while stale  alive";

/// What came of one scenario.
#[derive(Debug)]
struct Row {
    name: String,
    title: String,
    is_equal: bool,
    are_books_equal: bool,
    stale_us: u64,
    sent: usize,
    sent_while_stale: usize,
    is_alive: bool,
    /// What was expected and did not come, or what does not fit.
    why: Option<String>,
}

impl Row {
    const fn is_good(&self) -> bool {
        self.is_equal
            && self.are_books_equal
            && self.is_alive
            && self.sent_while_stale == 0
            && self.why.is_none()
    }

    fn to_json(&self) -> Value {
        json!({
            "scenario": self.name, "fault": self.title, "state_equal": self.is_equal,
            "books_equal": self.are_books_equal,
            "stale_us": self.stale_us, "sent": self.sent,
            "sent_while_stale": self.sent_while_stale, "alive": self.is_alive, "why": self.why,
        })
    }
}

impl fmt::Display for Row {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, stale_us, sent, sent_while_stale, .. } = self;
        let mark = |is_so: bool| if is_so { "yes" } else { "NO" };
        let (equal, books) = (mark(self.is_equal), mark(self.are_books_equal));
        let alive = mark(self.is_alive);
        let stale = format!("{}.{}", stale_us / 1_000, stale_us / 100 % 10);
        write!(
            out,
            "{name:<46} {equal:>11} {books:>11} {stale:>9} {sent:>5} {sent_while_stale:>16} \
             {alive:>6}"
        )
    }
}

/// Plays a scenario to a bot of its own.
fn play(path: &Path) -> Row {
    let script = Script::read(path).expect("a scenario can be read");
    let name = script.name().to_owned();
    let folder = Folder::new(&format!("faults-{name}"));
    let mut flight = Flight { folder: &folder, bot: None };
    let mut player = Player::new(&mut flight, Setup::default());
    let played = player.play(&script, |_| {});
    let is_settled = player.settle(REST);
    let node = player.node().expect("a scenario has a market");
    let mut bot = flight.bot.take().expect("a scenario starts the bot");
    let is_alive = bot.is_alive();
    if is_alive {
        bot.signal("TERM");
    }
    let flown = bot.finish();
    let why = played.err().map(|error| error.to_string());
    let why = why.or_else(|| (!is_settled).then(|| "it does not come to rest".to_owned()));
    let off = books_off(&node, &flown.journal);
    let why = why.or_else(|| (!off.is_empty()).then(|| off.join("; ")));
    let row = Row {
        title: script.title,
        is_equal: is_equal(&node, &flown.snapshot),
        are_books_equal: off.is_empty(),
        stale_us: stale_us(&flown.journal),
        sent: node.record().sent.len(),
        sent_while_stale: sent_while_stale(&node, &flown.journal),
        is_alive: is_alive && flown.code == Some(0),
        why,
        name,
    };
    if !row.is_good() {
        keep(&row, &flown, &node);
    }
    row
}

/// Leaves what was said behind, where a failure can be read up.
fn keep(row: &Row, flown: &Flown, node: &Node) {
    let journal: Vec<_> = flown.journal.iter().map(Value::to_string).collect();
    let text = format!(
        "{}\n\n{}\n\n{}\n\n{:#}\n\n{:#}\n",
        row.to_json(),
        flown.stderr,
        journal.join("\n"),
        flown.snapshot,
        node.to_json(),
    );
    let path = out().join(format!("fault-{}.txt", row.name));
    std::fs::write(path, text).expect("the build's own folder can be written");
}

/// How long the world was stale after it was fresh for the first time, until it was fresh for the
/// last time.
fn stale_us(journal: &[Value]) -> u64 {
    let (mut since, mut was_fresh, mut total_ns) = (None, false, 0);
    for line in journal.iter().filter(|line| line["kind"] == "freshness") {
        let at = line["at_ns"].as_u64().unwrap_or_default();
        if line["stale"] == json!([]) {
            total_ns += since.take().map_or(0, |since: u64| at.saturating_sub(since));
            was_fresh = true;
        } else if was_fresh {
            since = since.or(Some(at));
        }
    }
    total_ns / 1_000
}

/// Programs that the node received and that the journal does not have as submitted in a fresh
/// world, and submissions that it has in a stale one.
fn sent_while_stale(node: &Node, journal: &[Value]) -> usize {
    let mut fresh = HashSet::new();
    let mut count = 0;
    for (place, line) in journal.iter().enumerate() {
        if line["kind"] != "submitted" {
            continue;
        }
        if is_fresh(&journal[..place]) {
            fresh.insert(line["hash"].as_str().unwrap_or_default().to_owned());
        } else {
            count += 1;
        }
    }
    let sent = node.record().sent;
    let programs = sent.iter().filter(|sent| sent.is_program);
    count + programs.filter(|sent| !fresh.contains(&sent.hash().to_string())).count()
}

/// Where what the journal says was gained differs from what the executor holds.
fn books_off(node: &Node, journal: &[Value]) -> Vec<String> {
    let chain = node.chain();
    let state = &chain.tip().state;
    let gain = |line: &Value| {
        let gained = line["gained"].as_str()?.parse::<i128>().ok()?;
        match line["kind"].as_str()? {
            "outcome" => Some(gained),
            "reversed" => Some(-gained),
            _ => None,
        }
    };
    let base = chain.market.tokens.iter().take(2);
    base.filter_map(|token| {
        let ours = journal.iter().filter(|line| line["profit_token"] == json!(token.address));
        let gained = ours.filter_map(gain).sum::<i128>();
        let held = state.held(&token.address).to::<i128>();
        (gained != held).then(|| format!("{}: gained {gained}, held {held}", token.name))
    })
    .collect()
}

fn out() -> PathBuf {
    let out = root().join("target/test");
    std::fs::create_dir_all(&out).expect("the build's own folder can be written");
    out
}

/// The scenario files, in order; of one name if the environment says so.
fn scenarios() -> Vec<PathBuf> {
    let only = std::env::var("GANNET_SCENARIO").unwrap_or_default();
    let folder = root().join("tests/node/scenarios");
    let files = std::fs::read_dir(folder).expect("scenarios are there");
    let mut paths: Vec<_> = files.filter_map(|entry| Some(entry.ok()?.path())).collect();
    assert!(paths.len() >= SCENARIOS_MIN, "{} scenarios", paths.len());
    let is_meant = |path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(&only))
    };
    paths.retain(is_meant);
    paths.sort_unstable_by(|left, right| right.cmp(left));
    paths
}

#[test]
fn every_fault_ends_in_the_chains_own_state_and_nothing_is_sent_meanwhile() {
    let left = Mutex::new(scenarios());
    let rows = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = left.lock().expect("no thread panics with it").pop();
                    let Some(path) = next else { break };
                    let row = play(&path);
                    rows.lock().expect("no thread panics with it").push(row);
                }
            });
        }
    });
    let mut rows = rows.into_inner().expect("no thread panics with it");
    rows.sort_by(|left, right| left.name.cmp(&right.name));
    let lines: Vec<_> = rows.iter().map(ToString::to_string).collect();
    let table = format!("{TITLE}\n{}\n", lines.join("\n"));
    let list: Vec<_> = rows.iter().map(Row::to_json).collect();
    std::fs::write(out().join("faults.txt"), &table).expect("the table can be written");
    std::fs::write(out().join("faults.json"), json!(list).to_string()).expect("so can this");
    println!("{table}");
    let bad: Vec<_> = rows.iter().filter(|row| !row.is_good()).map(Row::to_json).collect();
    assert!(bad.is_empty(), "\n{table}\n{:#}", json!(bad));
}
