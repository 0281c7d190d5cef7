//! The command line.
//!
//! Temperature: cold.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use gannet_engine::strategy::StrategySet;
use serde::Serialize;
use serde_json::json;

use crate::backtest::{self, Delay, Job, Swept};
use crate::clock::utc_now;
use crate::commands::positions::{self, Which};
use crate::commands::{check, deploy, kill, replay};
use crate::config::{Config, Mode, Place, Problems};
use crate::import;
use crate::log::{self, LogFormat};
use crate::replay as recorded;
use crate::run::{self, CutShort};
use crate::usage;

/// Something that only the network or the machine could show.
const EXIT_FAILED: u8 = 1;
/// Wrong in a way that needs no network to see.
const EXIT_USAGE: u8 = 2;
/// Cut short by a signal.
pub(crate) const EXIT_CUT: u8 = 130;

/// A headless MEV bot: arbitrage and backruns, never sandwiches.
#[derive(Debug, Parser)]
#[command(name = "gannet", version, about, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// How log lines look on stderr
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Human)]
    log_format: LogFormat,
    /// What is logged: error, warn, info, debug, trace, or a filter such as gannet=debug
    #[arg(long, global = true, default_value = "info", value_name = "FILTER")]
    log: String,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Fly: watch the chain and the mempool, and trade (or, in dry-run, score) what pays
    Run(RunArgs),
    /// Fly in dry-run, and record every input for backtests
    Record(RecordArgs),
    /// Look at everything that a run needs, say what is unfit, and what to do about it
    Check(Common),
    /// Tell how the borrowers of the configured lending protocols stand, the riskiest first
    Positions {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        which: Which,
    },
    /// Deploy the executor, with the configured wallets as operators, and print its address
    Deploy(Common),
    /// Make a recording of a data set that others have written
    Import(ImportArgs),
    /// Fly the strategies over a recording, and say what became of their plans and what others made
    Backtest(BacktestArgs),
    /// Serve a recording as a node would: WebSocket and HTTP JSON-RPC, in real or scaled time
    ///
    /// It answers what the recording knows, and everything else with an error (-32001) that says
    /// what is missing. A transaction that is sent to it is run where it would have landed, if the
    /// state there is recorded, and its receipt says so; otherwise it stays pending.
    Replay(ReplayArgs),
    /// Engage the kill switch: no bot of the configured chain sends anything new
    Kill(Common),
    /// Release the kill switch: the bots of the configured chain trade again
    Resume(Common),
}

#[derive(Debug, Args)]
struct Common {
    /// The configuration file
    #[arg(long, default_value = "config.toml", value_name = "FILE")]
    config: PathBuf,
    /// Override a key of the configuration, for example --set node.url=ws://127.0.0.1:9000
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Print one JSON object on stdout, or write it to FILE
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    json: Option<Option<PathBuf>>,
}

#[derive(Debug, Args)]
struct RecordArgs {
    #[command(flatten)]
    common: Common,
    /// Where the recording is made; nothing may be there yet
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Debug, Args)]
struct BacktestArgs {
    /// The recording's folder
    recording: PathBuf,
    #[command(flatten)]
    common: Common,
    /// The first block
    #[arg(long, value_name = "BLOCK", default_value_t = 0)]
    from: u64,
    /// The last block
    #[arg(long, value_name = "BLOCK", default_value_t = u64::MAX, hide_default_value = true)]
    to: u64,
    /// Try each of these values; given several times, every combination
    #[arg(long, value_name = "KEY=A,B,C")]
    sweep: Vec<String>,
    /// Make plans so many milliseconds later than the recorded run did
    #[arg(long, value_name = "MS", default_value_t = 0)]
    latency_ms: u32,
    /// And later by what a run measured: the summary that `gannet run --json=FILE` wrote
    #[arg(long, value_name = "FILE")]
    latency_of: Option<PathBuf>,
    /// Let no strategy fly: follow the blocks only, and say how fast that is
    #[arg(long, conflicts_with = "sweep")]
    no_strategy: bool,
    /// Write the report to FILE, one HTML page that holds everything it shows
    #[arg(long, value_name = "FILE.html", conflicts_with = "sweep")]
    report: Option<PathBuf>,
    /// Write every plan to FILE, as Parquet or as CSV
    #[arg(long, value_name = "FILE.parquet|FILE.csv", conflicts_with = "sweep")]
    plans: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct ReplayArgs {
    /// The recording's folder
    recording: PathBuf,
    /// Where it listens; port 0 is any free one, which the log tells
    #[arg(long, default_value = "127.0.0.1:8545", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// How many times as fast as it was recorded; 0 is as fast as subscribers take it
    ///
    /// The time begins when somebody subscribes to newHeads. Until then the node stands at its
    /// first block.
    #[arg(long, default_value_t = 1.0, value_name = "X", value_parser = speed)]
    speed: f64,
    /// The first block
    #[arg(long, value_name = "BLOCK", default_value_t = 0)]
    from: u64,
    /// The last block
    #[arg(long, value_name = "BLOCK", default_value_t = u64::MAX, hide_default_value = true)]
    to: u64,
    /// Print one JSON object on stdout at the end, or write it to FILE
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    json: Option<Option<PathBuf>>,
}

/// A speed that a clock can have.
fn speed(text: &str) -> Result<f64, String> {
    let speed = text.parse::<f64>().ok().filter(|speed| (0.0..=10_000.0).contains(speed));
    speed.ok_or_else(|| "wanted a number from 0 to 10000".to_owned())
}

#[derive(Debug, Args)]
struct ImportArgs {
    /// What wrote it
    #[arg(value_enum)]
    kind: ImportKind,
    /// Its folder or a file of it; several of a mempool
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Where the recording is made; nothing may be there yet, or a recording that gets a mempool
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Read the pools before cryo's blocks from the node of this configuration, so that strategies
    /// can fly over them; it must keep the state of that block
    #[arg(long, value_name = "CONFIG")]
    pools_of: Option<PathBuf>,
    /// Override a key of that configuration
    #[arg(long, value_name = "KEY=VALUE", requires = "pools_of")]
    set: Vec<String>,
    /// Print one JSON object on stdout, or write it to FILE
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    json: Option<Option<PathBuf>>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ImportKind {
    /// Files N.json.gz of one block each, with or without the state that it touches
    Witness,
    /// Parquet files that cryo wrote: blocks, transactions, logs
    Cryo,
    /// Pending transactions, as Parquet or CSV
    MempoolDumpster,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ModeArg {
    DryRun,
    Live,
}

#[derive(Debug, Default, Args)]
struct RunArgs {
    #[command(flatten)]
    common: Common,
    /// Override the configured mode
    #[arg(long, value_enum)]
    mode: Option<ModeArg>,
    /// Write every plan and every outcome to FILE, one JSON object a line
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Write the pools' reserves to FILE at the end, as the bot knows them
    #[arg(long, value_name = "FILE")]
    snapshot: Option<PathBuf>,
}

impl Default for Common {
    fn default() -> Self {
        Self { config: PathBuf::from("config.toml"), set: Vec::new(), json: None }
    }
}

/// Runs the whole command line with the strategies of `S`, and gives the process's exit status.
#[must_use]
pub fn main<S: StrategySet + Send + 'static>() -> ExitCode {
    #[cfg(target_arch = "x86_64")]
    if let Some(complaint) = crate::processor::complaint() {
        writeln!(std::io::stderr(), "{complaint}").unwrap_or_default();
        return ExitCode::from(EXIT_FAILED);
    }
    fly::<S>()
}

/// Apart, so that nothing that the processor may not know stands before it was asked.
#[inline(never)]
fn fly<S: StrategySet + Send + 'static>() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return explain(&usage::with_tip(error, &Cli::command())),
    };
    let format = cli.log_format;
    if let Err(error) = log::start(format, &cli.log) {
        return complain(format, &Unreadable(format!("{error:#}")).into());
    }
    let done = match cli.command.unwrap_or_else(|| Command::Run(RunArgs::default())) {
        Command::Run(args) => run_command::<S>(&args),
        Command::Record(args) => record_command::<S>(args),
        Command::Check(common) => check_command::<S>(&common),
        Command::Positions { common, which } => {
            node_command::<S, _>(&common, |config| positions::positions(config, &which))
        }
        Command::Deploy(common) => node_command::<S, _>(&common, deploy::deploy),
        Command::Import(args) => import_command::<S>(&args),
        Command::Backtest(args) => backtest_command::<S>(&args),
        Command::Replay(args) => replay_command(&args),
        Command::Kill(common) => switch_command(&common, kill::kill),
        Command::Resume(common) => switch_command(&common, kill::resume),
    };
    done.unwrap_or_else(|error| complain(format, &error))
}

/// What clap says: help and version are no errors and go to stdout.
fn explain(error: &clap::Error) -> ExitCode {
    // The arguments could not be read, so whether JSON is wanted is read off them as they are.
    let arguments: Vec<_> = std::env::args().collect();
    let wants_json = arguments.iter().any(|argument| argument == "--log-format=json")
        || arguments.windows(2).any(|pair| pair == ["--log-format", "json"]);
    if error.use_stderr() && wants_json {
        let text = error.to_string();
        let text = text.trim_start_matches("error: ").trim_end();
        return complain(LogFormat::Json, &Unreadable(text.to_owned()).into());
    }
    match error.print() {
        Err(_nobody_reads) => ExitCode::FAILURE,
        Ok(()) if error.use_stderr() => ExitCode::from(EXIT_USAGE),
        Ok(()) => ExitCode::SUCCESS,
    }
}

/// The last line of a command that failed, in the format of the log, and its exit status.
fn complain(format: LogFormat, error: &anyhow::Error) -> ExitCode {
    let is_offline = error.is::<Problems>() || error.is::<Unreadable>();
    let code = match (error.is::<CutShort>(), is_offline) {
        (true, _) => EXIT_CUT,
        (_, true) => EXIT_USAGE,
        _ => EXIT_FAILED,
    };
    let line = match format {
        LogFormat::Human => format!("error: {error:#}"),
        LogFormat::Json => {
            let mut fields = json!({ "message": format!("{error:#}"), "exit_code": code });
            if let Some(Problems(problems)) = error.downcast_ref() {
                fields["message"] = json!("the configuration has problems");
                fields["problems"] = json!(problems);
            }
            let time = utc_now();
            json!({ "timestamp": time, "level": "ERROR", "fields": fields, "target": "gannet" })
                .to_string()
        }
    };
    // Not `eprintln!`: whoever reads may be gone.
    match writeln!(std::io::stderr(), "{line}") {
        Ok(()) | Err(_) => ExitCode::from(code),
    }
}

/// The configuration file cannot be read, or a key that it names cannot.
#[derive(Debug)]
struct Unreadable(String);

impl std::fmt::Display for Unreadable {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Unreadable {}

fn read_text(common: &Common) -> Result<String> {
    read_file(&common.config)
}

fn read_file(config: &Path) -> Result<String> {
    let text = std::fs::read_to_string(config).map_err(|error| {
        let path = config.display();
        Unreadable(format!(
            "cannot read the configuration {path}: {error} (name another with --config)"
        ))
    })?;
    Ok(text)
}

fn read_config<S: StrategySet>(common: &Common) -> Result<Config<S>> {
    Ok(Config::parse(&read_text(common)?, &common.set)?)
}

fn run_command<S: StrategySet + Send + 'static>(args: &RunArgs) -> Result<ExitCode> {
    let mut set = args.common.set.clone();
    if let Some(mode) = args.mode {
        let mode = match mode {
            ModeArg::DryRun => "dry-run",
            ModeArg::Live => "live",
        };
        set.push(format!("mode={mode}"));
    }
    for (key, path) in [("journal", &args.journal), ("snapshot", &args.snapshot)] {
        let Some(path) = path else { continue };
        let path = path.to_str();
        let path = path.ok_or_else(|| Unreadable(format!("--{key}: a path that is no text")))?;
        set.push(format!("runtime.{key}={}", toml::Value::from(path)));
    }
    let text = read_text(&args.common)?;
    let config: Config<S> = Config::parse(&text, &set)?;
    config.need_new_recording()?;
    if config.record.is_some() || config.mode == Mode::Live {
        config.need_node()?;
    }
    if let (true, Some(replay)) = (config.nodes.is_empty(), &config.replay) {
        let flown = replay::fly::<S>(replay, &text, set)?;
        print(&flown, args.common.json.as_ref())?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(Some(path)) = &args.common.json {
        // Seen now, and not when the run is over.
        std::fs::write(path, "").with_context(|| format!("writing {}", path.display()))?;
    }
    let summary = run::run(config)?;
    print(&summary, args.common.json.as_ref())?;
    Ok(ExitCode::SUCCESS)
}

fn record_command<S: StrategySet + Send + 'static>(args: RecordArgs) -> Result<ExitCode> {
    let RecordArgs { mut common, out } = args;
    let out = out.to_str().ok_or_else(|| Unreadable("--out: a path that is no text".to_owned()))?;
    common.set.push(format!("record.out={}", toml::Value::from(out)));
    run_command::<S>(&RunArgs { common, mode: Some(ModeArg::DryRun), ..RunArgs::default() })
}

fn check_command<S: StrategySet>(common: &Common) -> Result<ExitCode> {
    let config = read_config::<S>(common)?;
    config.need_node()?;
    let report = check::check(&config);
    let is_fit = report.is_fit();
    print(&report, common.json.as_ref())?;
    Ok(if is_fit { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A command that asks a node and tells what came of it.
fn node_command<S: StrategySet, T: Serialize + std::fmt::Display>(
    common: &Common,
    ask: impl FnOnce(&Config<S>) -> Result<T>,
) -> Result<ExitCode> {
    let config = read_config::<S>(common)?;
    config.need_node()?;
    print(&ask(&config)?, common.json.as_ref())?;
    Ok(ExitCode::SUCCESS)
}

fn import_command<S: StrategySet>(args: &ImportArgs) -> Result<ExitCode> {
    let ImportArgs { paths, out, pools_of, set, .. } = args;
    let imported = match (args.kind, &paths[..]) {
        (ImportKind::Cryo, [path]) => match pools_of {
            None => import::cryo::import(path, out, None)?,
            Some(config) => {
                let config = Config::<S>::parse(&read_file(config)?, set)?;
                let mut source = import::pools::Source::connect(config)?;
                let mut pools = |number, chain_id| source.before(number, chain_id);
                import::cryo::import(path, out, Some(&mut pools))?
            }
        },
        _ if pools_of.is_some() => {
            let told = "--pools-of is for cryo's blocks: witnesses have state, a mempool no blocks";
            return Err(Unreadable(told.to_owned()).into());
        }
        (ImportKind::Witness, [path]) => import::witness::import(path, out)?,
        (ImportKind::MempoolDumpster, paths) => import::mempool::import(paths, out)?,
        (ImportKind::Witness | ImportKind::Cryo, paths) => {
            return Err(Unreadable(format!("found {} paths; wanted one", paths.len())).into());
        }
    };
    print(&imported, args.json.as_ref())?;
    Ok(ExitCode::SUCCESS)
}

fn backtest_command<S: StrategySet>(args: &BacktestArgs) -> Result<ExitCode> {
    let BacktestArgs { recording, common, sweep, report, plans, .. } = args;
    let config = read_text(common)?;
    // Wrong before the work begins, and not after it.
    Config::<S>::parse(&config, &common.set)?;
    let points = backtest::grid(sweep).map_err(|error| Unreadable(format!("{error:#}")))?;
    let mut delay = Delay::constant(args.latency_ms);
    if let Some(summary) = &args.latency_of {
        delay = delay.with_measured(summary)?;
    }
    let mut done = Vec::new();
    for point in points {
        let set = [&common.set[..], &point[..]].concat();
        let (from, to, delay) = (args.from, args.to, delay.clone());
        let is_bare = args.no_strategy;
        let job = Job { recording, from, to, config: &config, set, delay, is_bare };
        done.push((point, backtest::run::<S>(&job)?));
    }
    if sweep.is_empty() {
        for (_, backtest) in &done {
            if let Some(path) = report {
                backtest.write_report(path)?;
            }
            if let Some(path) = plans {
                backtest.write_plans(path)?;
            }
            print(backtest, common.json.as_ref())?;
        }
    } else {
        print(&Swept::of(done), common.json.as_ref())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn replay_command(args: &ReplayArgs) -> Result<ExitCode> {
    let ReplayArgs { recording, listen, speed, from, to, json } = args;
    let (listen, speed, range) = (*listen, *speed, (*from, *to));
    let served = recorded::serve(&recorded::Job { recording, listen, speed, range })?;
    print(&served, json.as_ref())?;
    Ok(ExitCode::SUCCESS)
}

fn switch_command(
    common: &Common,
    set: impl FnOnce(&Place) -> Result<kill::Standing>,
) -> Result<ExitCode> {
    let place = Place::parse(&read_text(common)?, &common.set)?;
    let standing = set(&place)?;
    print(&standing, common.json.as_ref())?;
    Ok(ExitCode::SUCCESS)
}

/// Human text on stdout; with `--json` one object there instead; with `--json=FILE` both.
fn print<T: Serialize + std::fmt::Display>(
    report: &T,
    json: Option<&Option<PathBuf>>,
) -> Result<()> {
    let text = match json {
        Some(None) => serde_json::to_string(report)?,
        None | Some(Some(_)) => report.to_string(),
    };
    // Not `println!`: whoever reads may be gone. Nor is one lost because the other is.
    let said = writeln!(std::io::stdout(), "{text}").context("writing to stdout");
    if let Some(Some(path)) = json {
        std::fs::write(path, serde_json::to_string(report)?)
            .with_context(|| format!("writing {}", path.display()))?;
    }
    said
}
