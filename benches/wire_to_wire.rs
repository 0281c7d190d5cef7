//! From a notification written to the raw transaction read that answers it, on loopback: the bot
//! beside echoes, which only show what the kernel takes, and beside bots made of stock parts.
//!
//! The node writes on a schedule and waits for nobody: a client that is late once is late for what
//! follows, too, and all of that counts, from the write of each announcement to the read of its own
//! answer. A node that is late itself moves the schedule, and says by how much. It is kept on a
//! core, and so is the client, on another, but for `alloy_multi_thread`, which takes what it finds;
//! the bot's threads that are in no hurry run where the node does. Clients take turns.
//!
//! Temperature: cold.

mod bot;
mod clients;
#[expect(dead_code, reason = "not all of it is wanted here")]
mod measure;
#[expect(dead_code, reason = "not all of it is wanted here")]
mod rig;
#[expect(dead_code, reason = "only numbers are drawn")]
mod universe;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use gannet::strategies::Standard;
use gannet_scripted_node::subject::Subject;
use serde_json::json;

use self::bot::{Bot, CLIENT_CORE, NODE_CORE, ROLE, on_core, this_as, warm_up};
use self::measure::{Options, Times, text_of, title};
use self::rig::Rig;
use self::universe::Chance;

#[global_allocator]
static ALLOCATOR: gannet::Counting<tikv_jemallocator::Jemalloc> =
    gannet::Counting::new(tikv_jemallocator::Jemalloc);

/// Tokens of the node's market; each has two pools.
const TOKENS: usize = 256;
/// Where the node is.
const URL: &str = "GANNET_BENCH_URL";
/// Time between two announcements: so much, and at most once more.
const GAP: Duration = Duration::from_millis(1);
const CLIENTS: [&str; 6] = [
    "echo_sleep",
    "echo_spin",
    "gannet_sleep",
    "gannet_spin",
    "alloy_current_thread",
    "alloy_multi_thread",
];

/// Whether a client is kept on a core: all but the one whose run-time spreads its work.
fn has_core(name: &str) -> bool {
    name != "alloy_multi_thread"
}

/// A client that runs.
enum Client {
    Bot(Bot),
    Other { _ended_when_dropped: Subject },
}

impl Client {
    fn start(name: &str, rig: &Rig) -> Result<Self, String> {
        match name {
            "gannet_sleep" | "gannet_spin" => {
                Bot::start(rig, name, name == "gannet_spin").map(Self::Bot)
            }
            other => {
                let mut command = this_as(other)?;
                let subject = Subject::start(command.env(URL, &rig.url))?;
                Ok(Self::Other { _ended_when_dropped: subject })
            }
        }
    }
}

/// What one client did.
#[derive(Debug)]
struct Score {
    times: Times,
    /// By how much the node was late with what it said.
    node: Times,
    /// So many were not answered when the next was due.
    late: u64,
    /// And so many not at all.
    unanswered: u64,
    allocations: u64,
}

impl Score {
    fn empty() -> Self {
        let [times, node] = [Times::new(), Times::new()];
        Self { times, node, late: 0, unanswered: 0, allocations: 0 }
    }
}

/// Announces `rounds` rounds of swaps to a client.
fn play(name: &str, turn: u64, rounds: usize, score: &mut Score) -> Result<(), String> {
    let mut rig = Rig::start(TOKENS)?;
    let has_others = std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1);
    rig.shares_core = !has_core(name) || !has_others;
    // Started here, for it would inherit the core that the node is kept on.
    let client = Client::start(name, &rig)?;
    on_core(NODE_CORE, || play_on(&mut rig, client, (turn, rounds), score))
        .map_err(|error| format!("{name}: {error}"))
}

fn play_on(
    rig: &mut Rig,
    client: Client,
    (turn, rounds): (u64, usize),
    score: &mut Score,
) -> Result<(), String> {
    warm_up(rig)?;
    let mut chance = Chance(5 + turn);
    for round in 0..rounds {
        let mut due = Instant::now() + GAP;
        for trader in 0..rig.round() {
            let (tx, bytes) = rig.swap(trader, round % 2 == 0);
            rig.serve_until(due);
            let start = Instant::now();
            score.node.add(start.saturating_duration_since(due));
            due = due.max(start) + GAP + GAP.mul_f64(chance.share());
            score.late += u64::from(!rig.ask(tx, &bytes, due));
        }
        rig.settle();
    }
    rig.answers.iter().for_each(|time| score.times.add(*time));
    score.unanswered += rig.unanswered as u64;
    if let Client::Bot(bot) = client {
        let summary = bot.end(rig)?;
        score.allocations += summary["hot_allocations"]["count"].as_u64().unwrap_or_default();
    }
    Ok(())
}

fn measure(options: &Options) -> Result<(), String> {
    let (turns, rounds) = options.pick((1, 2), (4, 15), (12, 34));
    let mut scores: BTreeMap<&str, Score> = BTreeMap::new();
    for turn in 0..turns {
        for name in CLIENTS {
            play(name, turn, rounds, scores.entry(name).or_insert_with(Score::empty))?;
        }
    }
    println!("{}", title("wire to wire"));
    let mut section = BTreeMap::new();
    for name in CLIENTS {
        let Score { times, node, late, unanswered, allocations } = &scores[name];
        let [p99, max] = [0.99, 1.0].map(|share| text_of(node.at(share)));
        println!(
            "{} {late} late, {unanswered} never; node late by {p99} (p99), {max} (max)",
            times.line(name)
        );
        if *unanswered == times.len() {
            return Err(format!("{name} answered nothing"));
        }
        if *allocations > 0 {
            println!("{name} allocated {allocations} times while it worked on messages");
        }
        options.add("allocations", *allocations)?;
        let mut figures = times.to_json(&["p50_ns", "p99_ns", "p999_ns"]);
        figures["late"] = json!(late);
        section.insert(name, figures);
    }
    let at = |name: &str, share| scores[name].times.at(share);
    let [spin, echo, stock] =
        ["gannet_spin", "echo_spin", "alloy_current_thread"].map(|name| at(name, 0.5));
    println!(
        "gannet_spin: {} ns behind echo_spin, {:.1} times as fast as alloy_current_thread (p50)",
        spin.saturating_sub(echo),
        Duration::from_nanos(stock).as_secs_f64() / Duration::from_nanos(spin).as_secs_f64(),
    );
    options.put("wire_to_wire", json!(section))
}

/// What this program is told to be.
fn play_role(role: &str) -> Result<(), String> {
    let url = std::env::var(URL).map_err(|error| error.to_string())?;
    if has_core(role) && !core_affinity::set_for_current(core_affinity::CoreId { id: CLIENT_CORE })
    {
        eprintln!("there is no core {CLIENT_CORE}: {role} shares one with the node");
    }
    let done = match role {
        "echo_sleep" | "echo_spin" => clients::echo(&url, role == "echo_spin"),
        _ => {
            let mut runtime = if has_core(role) {
                tokio::runtime::Builder::new_current_thread()
            } else {
                tokio::runtime::Builder::new_multi_thread()
            };
            let runtime = runtime.enable_all().build().map_err(|error| error.to_string())?;
            runtime.block_on(clients::stock(&url, TOKENS))
        }
    };
    done.map_err(|error| format!("{role}: {error}"))
}

fn main() -> ExitCode {
    match std::env::var(ROLE).as_deref() {
        Ok("gannet") => gannet::cli::main::<Standard>(),
        Ok(role) => measure::main(|_| play_role(role)),
        Err(_unset) => measure::main(measure),
    }
}
