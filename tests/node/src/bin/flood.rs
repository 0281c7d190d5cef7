//! `flood`: floods a live bot with pending swaps, and says what that did to its memory, its books
//! and its heads.
//!
//! Temperature: cold.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use gannet_scripted_node::model::Market;
use gannet_scripted_node::subject::{PATIENCE, Subject, Verdict, folder, wait};
use gannet_scripted_node::{Account, Flood, Node, Setup, is_equal};
use serde_json::{Value, json};

const USAGE: &str = "\
scripts/flood: what a flood of pending swaps does to a live bot's memory, books and heads

  --seconds N  length of the steady flood (60)
  --rate N     its swaps a second (1000); 10 s of them come before, uncounted
  --burst N    swaps a second of the burst that follows, for 5 s (20000)
  --block-ms N time between two blocks (1000)
  --bot PATH   the bot's binary (target/release/gannet)
  --core N     the core that the bot is kept on (any)
  --json       one JSON object, and nothing else on stdout
  --help       this

Exit code 1 if a criterion is missed. What bot and node said is in target/flood/.
";

/// Length of the flood that touches everything once before memory is looked at.
const WARM_UP: Duration = Duration::from_secs(10);
/// Length of the burst.
const BURST: Duration = Duration::from_secs(5);
/// What was announced is read by then.
const REST: Duration = Duration::from_secs(5);
/// Memory may differ by so much from what it was after the warm-up, in per cent.
const MEMORY_PERCENT: u64 = 5;
/// A head is asked about within this time.
const HEAD_US_MAX: u64 = 50_000;

#[derive(Debug)]
struct Options {
    seconds: u64,
    rate: u64,
    burst: u64,
    block: Duration,
    bot: PathBuf,
    core: Option<String>,
    is_json: bool,
}

impl Options {
    fn read(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let mut options = Self {
            seconds: 60,
            rate: 1_000,
            burst: 20_000,
            block: Duration::from_secs(1),
            bot: "target/release/gannet".into(),
            core: None,
            is_json: false,
        };
        while let Some(argument) = arguments.next() {
            if argument == "--json" {
                options.is_json = true;
                continue;
            }
            let value = arguments.next()?;
            let number = || value.parse::<u64>().ok().filter(|number| *number > 0);
            match &*argument {
                "--seconds" => options.seconds = number()?,
                "--rate" => options.rate = number()?,
                "--burst" => options.burst = number()?,
                "--block-ms" => options.block = Duration::from_millis(number()?),
                "--bot" => options.bot = value.into(),
                "--core" => options.core = Some(value),
                _ => return None,
            }
        }
        Some(options)
    }
}

/// Starts the bot.
fn start(options: &Options, folder: &Path, node: &Node) -> Result<Subject, String> {
    let file = |name: &str| folder.join(name);
    // The last table of the configuration is the run-time's own.
    let state = file("state");
    let config = format!("{}state_dir = \"{}\"\n", node.config(None), state.display());
    let written = std::fs::write(file("config.toml"), config);
    written.map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut command = match &options.core {
        Some(core) => {
            let mut command = Command::new("taskset");
            command.args(["-c", core]).arg(&options.bot);
            command
        }
        None => Command::new(&options.bot),
    };
    command.arg("run").arg("--config").arg(file("config.toml"));
    command.arg("--snapshot").arg(file("snapshot.json"));
    command.arg(format!("--json={}", file("summary.json").display()));
    let said = File::create(file("bot.txt")).map_err(|error| error.to_string())?;
    command.stdout(Stdio::null()).stderr(said).envs(node.chain().market.keys());
    Subject::start(&mut command)
}

/// What one part of the run was like.
#[derive(Debug, Default)]
struct Phase {
    name: &'static str,
    announced: usize,
    took: Duration,
    memory_kib: Vec<u64>,
    /// From writing each head to being asked for its logs, in microseconds.
    heads_us: Vec<u64>,
    /// Of that, what the node itself took to write them.
    writes_us: Vec<u64>,
    blocks: usize,
}

impl Phase {
    fn head_us_median(&self) -> u64 {
        let mut sorted = self.heads_us.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }

    fn head_us_max(&self) -> u64 {
        self.heads_us.iter().copied().max().unwrap_or_default()
    }

    fn rate(&self) -> u128 {
        self.announced as u128 * 1_000 / self.took.as_millis().max(1)
    }

    fn to_json(&self) -> Value {
        json!({
            "phase": self.name, "announced": self.announced, "per_second": self.rate(),
            "blocks": self.blocks, "head_us_median": self.head_us_median(),
            "head_us_max": self.head_us_max(), "heads_us": self.heads_us,
            "writes_us": self.writes_us, "memory_kib": self.memory_kib,
        })
    }

    fn line(&self) -> String {
        let memory = |value: Option<&u64>| value.map_or(0, |kib| kib / 1_024);
        let (least, most) = (self.memory_kib.iter().min(), self.memory_kib.iter().max());
        let ms = |us: u64| format!("{}.{:02}", us / 1_000, us % 1_000 / 10);
        format!(
            "{:<10}{:>10}{:>10}{:>8}{:>12}{:>12}{:>13}{:>8} - {} MiB",
            self.name,
            self.announced,
            self.rate(),
            self.blocks,
            ms(self.head_us_median()),
            ms(self.head_us_max()),
            ms(self.writes_us.iter().copied().max().unwrap_or_default()),
            memory(least),
            memory(most),
        )
    }
}

const TITLE: &str = "phase      announced  a second  blocks head p50 ms head max ms  \
     written in ms  resident memory";

/// Announces a flood while blocks come, and watches.
fn play(
    node: &Arc<Node>,
    bot: &Subject,
    options: &Options,
    flood: (&'static str, u64, Flood),
) -> Phase {
    let (name, per_second, flood) = flood;
    let rest = if flood.is_empty() { REST } else { Duration::ZERO };
    let mut phase = Phase { name, announced: flood.len(), ..Phase::default() };
    let before = node.record();
    let theirs = Arc::clone(node);
    let writer = spawn(move || theirs.announce_flood(flood, per_second));
    let start = Instant::now();
    let mut due = Duration::ZERO;
    while !writer.is_finished() || start.elapsed() < rest {
        if start.elapsed() >= due {
            node.mine(&node.small_trades(2));
            phase.memory_kib.extend(bot.memory_kib("VmRSS"));
            phase.blocks += 1;
            due += options.block;
        }
        sleep(Duration::from_millis(1));
    }
    phase.took = writer.join().unwrap_or_default();
    // The last head's question may be on its way.
    sleep(options.block);
    phase.memory_kib.extend(bot.memory_kib("VmRSS"));
    let mut after = node.record();
    phase.heads_us = after.reactions_us.split_off(before.reactions_us.len());
    phase.writes_us = after.writes_us.split_off(before.writes_us.len());
    phase
}

fn judge(node: &Node, phases: &[Phase], account: &Account, snapshot: &Value) -> Vec<Verdict> {
    let [warm_up, counted @ ..] = phases else { return Vec::new() };
    let before = warm_up.memory_kib.last().copied().unwrap_or_default();
    let samples = || counted.iter().flat_map(|phase| &phase.memory_kib).copied();
    let (least, most) = (samples().min().unwrap_or(0), samples().max().unwrap_or(u64::MAX));
    let is_near = |kib: u64| kib.abs_diff(before) * 100 <= before * MEMORY_PERCENT;
    let record = node.record();
    let gaps = account.gaps(record.announced);
    let late = counted.iter().map(Phase::head_us_max).max().unwrap_or(u64::MAX);
    let unanswered = record.unanswered();
    let is_same = is_equal(node, snapshot);
    vec![
        Verdict {
            name: "memory is flat".to_owned(),
            is_met: is_near(least) && is_near(most),
            why: format!("{before} KiB after the warm-up, then {least} to {most}"),
        },
        Verdict {
            name: "every announcement is counted once, every swap has one fate".to_owned(),
            is_met: gaps.is_empty(),
            why: if gaps.is_empty() { record.announced.to_string() } else { gaps.join("; ") },
        },
        Verdict {
            name: "no head is delayed by more than 50 ms".to_owned(),
            is_met: late <= HEAD_US_MAX && unanswered == 0,
            why: format!("at most {late} µs; never asked about: {unanswered}"),
        },
        Verdict {
            name: "the state at the end is the chain's".to_owned(),
            is_met: is_same,
            why: if is_same { "to the wei" } else { "it differs" }.to_owned(),
        },
    ]
}

fn fly(options: &Options) -> Result<bool, String> {
    let folder = folder("flood")?;
    let market = Market::new(4, &["WETH", "USDC"].map(str::to_owned))?;
    let node = Node::start(market, &Setup::default()).map_err(|error| error.to_string())?;
    let node = Arc::new(node);
    let mut bot = start(options, &folder, &node)?;
    wait("the bot subscribes", || node.is_subscribed())?;

    let warm_up_s = WARM_UP.as_secs();
    let floods = [
        ("warm-up", options.rate, warm_up_s),
        ("steady", options.rate, options.seconds),
        ("burst", options.burst, BURST.as_secs()),
        ("rest", 1, 0),
    ];
    let mut phases = Vec::new();
    for (name, per_second, seconds) in floods {
        let count = usize::try_from(per_second * seconds).unwrap_or_default();
        let flood = node.prepare_flood(count);
        phases.push(play(&node, &bot, options, (name, per_second, flood)));
    }
    if !node.is_heard(PATIENCE) {
        return Err("the bot does not read what was announced".to_owned());
    }
    bot.end()?;
    let read = |name: &str| {
        let text = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        serde_json::from_str::<Value>(&text).unwrap_or_default()
    };
    let account = Account::of(&read("summary.json"));
    let verdicts = judge(&node, &phases, &account, &read("snapshot.json"));
    tell(options, &phases, &account, &verdicts);
    Ok(verdicts.iter().all(|verdict| verdict.is_met))
}

fn tell(options: &Options, phases: &[Phase], account: &Account, verdicts: &[Verdict]) {
    if options.is_json {
        let verdicts = verdicts.iter().map(Verdict::to_json);
        let phases = phases.iter().map(Phase::to_json);
        let value = json!({
            "phases": phases.collect::<Vec<_>>(), "verdicts": verdicts.collect::<Vec<_>>(),
            "messages": account.arrivals, "swaps": account.fates,
        });
        return println!("{value}");
    }
    println!("{TITLE}");
    phases.iter().for_each(|phase| println!("{}", phase.line()));
    for (title, list) in [("messages", &account.arrivals), ("swaps", &account.fates)] {
        println!("\n{title}");
        list.iter().for_each(|(why, count)| println!("  {why:<14}{count:>10}"));
    }
    println!();
    verdicts.iter().for_each(|verdict| println!("{verdict}"));
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        print!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let Some(options) = Options::read(arguments.into_iter()) else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    match fly(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
