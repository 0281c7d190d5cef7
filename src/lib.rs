//! Gannet: a headless MEV bot. Arbitrage and backruns; never sandwiches.
//!
//! This crate is the shell: configuration, sockets, cold start, threads, reports. All decisions are
//! made in [`gannet_engine`], which has no I/O; read its documentation first. Strategies are in
//! [`gannet_strategies`], or in your own crate:
//!
//! ```no_run
//! use gannet::{Config, strategies::Standard};
//!
//! # fn main() -> anyhow::Result<()> {
//! let text = std::fs::read_to_string("config.toml")?;
//! let config: Config<Standard> = Config::parse(&text, &[])?;
//! let summary = gannet::run(config)?;
//! println!("{summary}");
//! # Ok(())
//! # }
//! ```
//!
//! Put your own strategies in a set of their own with [`gannet_engine::strategies!`], and
//! `gannet::run::<YourSet>(config)` flies them; `tests/outside/` is a whole example.
//!
//! Temperature: cold.

mod admission;
mod allocation;
mod audit;
mod backtest;
mod bootstrap;
pub mod cli;
mod clock;
mod commands;
mod config;
mod contracts;
mod cores;
mod evm;
mod feed;
#[cfg(test)]
mod fixture;
mod hardening;
mod import;
mod latency;
mod lending;
mod links;
mod locks;
mod log;
mod nodes;
mod presigner;
#[cfg(target_arch = "x86_64")]
mod processor;
mod progress;
mod recorder;
mod recording;
mod replay;
mod report;
mod run;
mod runtime;
mod scribe;
mod sealed;
mod signals;
mod snapshot;
mod state;
mod submit;
mod summary;
mod switch;
mod usage;
mod venue;

pub use gannet_engine as engine;
pub use gannet_strategies as strategies;

pub use self::allocation::{Counting, HotAllocations};
pub use self::audit::AuditCounts;
// For the fuzz target `start`.
#[doc(hidden)]
pub use self::bootstrap::load_from;
pub use self::clock::Monotonic;
pub use self::config::{
    AuditPlan, BalancerVault, Config, Deployment, Endpoint, KeySource, Lending, Mode,
    MorphoDeployment, NamedFactory, NewPools, Node, Patience, Problem, Problems, Replay, Runtime,
    Snapshots, Wallet,
};
pub use self::latency::{Quantiles, Stages};
pub use self::lending::LoanSummary;
pub use self::nodes::NodeCounts;
pub use self::presigner::PresignCounts;
#[doc(hidden)]
pub use self::recording::Maker;
pub use self::run::run;
pub use self::summary::{PendingCounts, Scored, Summary, Totals, Upkeep};
