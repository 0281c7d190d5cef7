//! What the log looks like, and what is in it.
//!
//! Temperature: cold.

use std::io::IsTerminal;

use anyhow::{Context, Result};
use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogFormat {
    Human,
    Json,
}

/// Starts the log on stderr; a bare level is that of our own lines.
pub(crate) fn start(format: LogFormat, filter: &str) -> Result<()> {
    // A bare level is ours; libraries then tell their warnings only.
    let is_level = filter.bytes().all(|byte| byte.is_ascii_alphabetic());
    let filter = if is_level { format!("warn,gannet={filter}") } else { filter.to_owned() };
    let filter = EnvFilter::try_new(filter).context("--log: not a filter")?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // Otherwise it says with `eprintln!` what cannot be written, and that panics there.
        .log_internal_errors(false);
    let started = match format {
        LogFormat::Json => log.json().try_init(),
        LogFormat::Human => {
            log.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init()
        }
    };
    started.map_err(|error| anyhow::anyhow!("starting the log: {error}"))
}
