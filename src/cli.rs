//! The command line.
//!
//! Temperature: cold.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand, ValueEnum};
use gannet_engine::strategy::StrategySet;
use serde::Serialize;
use tracing_subscriber::EnvFilter;

use crate::commands::{check, deploy};
use crate::config::{Config, Problems};
use crate::run::{self, CutShort};

/// Wrong in a way that needs no network to see.
const EXIT_USAGE: u8 = 2;
/// A second signal.
const EXIT_CUT: u8 = 130;

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

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Human,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Fly: watch the chain and the mempool, and trade (or, in dry-run, score) what pays
    Run(RunArgs),
    /// Check the configuration, the node, the chain id, the wallets and the executor
    Check(Common),
    /// Deploy the executor, with the configured wallets as operators, and print its address
    Deploy(Common),
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
pub fn main<S: StrategySet + Send>() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; they go to stdout.
            let is_error = error.use_stderr();
            if error.print().is_err() {
                return ExitCode::FAILURE;
            }
            return if is_error { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS };
        }
    };
    if let Err(error) = start_log(cli.log_format, &cli.log) {
        eprintln!("error: {error:#}");
        return ExitCode::from(EXIT_USAGE);
    }
    let done = match cli.command.unwrap_or_else(|| Command::Run(RunArgs::default())) {
        Command::Run(args) => run_command::<S>(&args),
        Command::Check(common) => check_command::<S>(&common),
        Command::Deploy(common) => deploy_command::<S>(&common),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            if error.is::<CutShort>() {
                eprintln!("{error}");
                return ExitCode::from(EXIT_CUT);
            }
            eprintln!("error: {error:#}");
            let is_offline = error.is::<Problems>() || error.is::<Unreadable>();
            if is_offline { ExitCode::from(EXIT_USAGE) } else { ExitCode::FAILURE }
        }
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

fn read_config<S: StrategySet>(common: &Common) -> Result<Config<S>> {
    let path = common.config.display();
    let text = std::fs::read_to_string(&common.config).map_err(|error| {
        Unreadable(format!(
            "cannot read the configuration {path}: {error} (name another with --config)"
        ))
    })?;
    Ok(Config::parse(&text, &common.set)?)
}

fn run_command<S: StrategySet>(args: &RunArgs) -> Result<ExitCode> {
    let mut common =
        Common { config: args.common.config.clone(), set: args.common.set.clone(), json: None };
    if let Some(mode) = args.mode {
        let mode = match mode {
            ModeArg::DryRun => "dry-run",
            ModeArg::Live => "live",
        };
        common.set.push(format!("mode={mode}"));
    }
    let mut config = read_config::<S>(&common)?;
    check_keys(&config)?;
    if args.journal.is_some() {
        config.runtime.journal.clone_from(&args.journal);
    }
    if args.snapshot.is_some() {
        config.runtime.snapshot.clone_from(&args.snapshot);
    }
    if let Some(Some(path)) = &args.common.json {
        // Seen now, and not when the run is over.
        std::fs::write(path, "").with_context(|| format!("writing {}", path.display()))?;
    }
    let summary = run::run(config)?;
    print(&summary, args.common.json.as_ref())?;
    Ok(ExitCode::SUCCESS)
}

/// Keys are read before the network is touched: what is missing there is seen at once.
fn check_keys<S>(config: &Config<S>) -> Result<()> {
    if config.mode == crate::config::Mode::Live {
        for wallet in &config.wallets {
            wallet.read_key().map_err(Unreadable)?;
        }
    }
    Ok(())
}

fn check_command<S: StrategySet>(common: &Common) -> Result<ExitCode> {
    let config = read_config::<S>(common)?;
    let report = check::check(&config);
    let is_fit = report.is_fit();
    print(&report, common.json.as_ref())?;
    Ok(if is_fit { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn deploy_command<S: StrategySet>(common: &Common) -> Result<ExitCode> {
    let config = read_config::<S>(common)?;
    let source = config.owner_key.as_ref().ok_or_else(|| {
        Unreadable("executor.owner_key is missing; wanted \"env:NAME\" to deploy".to_owned())
    })?;
    let key = source.bytes().map_err(Unreadable)?;
    let deployed = deploy::deploy(&config, &key)?;
    print(&deployed, common.json.as_ref())?;
    Ok(ExitCode::SUCCESS)
}

/// Human text on stdout; with `--json` one object there instead; with `--json=FILE` both.
fn print<T: Serialize + std::fmt::Display>(
    report: &T,
    json: Option<&Option<PathBuf>>,
) -> Result<()> {
    let mut text = report.to_string();
    match json {
        None => {}
        Some(None) => text = serde_json::to_string(report)?,
        Some(Some(path)) => std::fs::write(path, serde_json::to_string(report)?)
            .with_context(|| format!("writing {}", path.display()))?,
    }
    // Not `println!`: whoever reads may be gone.
    writeln!(std::io::stdout(), "{text}").context("writing to stdout")
}

fn start_log(format: LogFormat, filter: &str) -> Result<()> {
    // A bare level is ours; libraries then tell their warnings only.
    let is_level = filter.bytes().all(|byte| byte.is_ascii_alphabetic());
    let filter = if is_level { format!("warn,gannet={filter}") } else { filter.to_owned() };
    let filter = EnvFilter::try_new(filter).context("--log: not a filter")?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Json => log.json().try_init(),
        LogFormat::Human => {
            log.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init()
        }
    };
    started.map_err(|error| anyhow::anyhow!("starting the log: {error}"))
}
