//! `gannet check`: everything that a run needs, one line each.
//!
//! Temperature: cold.

use std::fmt;
use std::time::Instant;

use alloy_primitives::Address;
use gannet_engine::input::Source;
use gannet_engine::strategy::StrategySet;
use serde::Serialize;
use serde_json::json;

use crate::bootstrap;
use crate::config::{Config, Mode, in_ether};
use crate::contracts::Executor;
use crate::feed::connect;
use crate::feed::rpc::Rpc;

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Finding {
    name: String,
    is_fit: bool,
    /// What was found, and if it is not fit, what to do.
    detail: String,
}

/// All findings.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Report {
    findings: Vec<Finding>,
}

impl Report {
    pub(crate) fn is_fit(&self) -> bool {
        self.findings.iter().all(|finding| finding.is_fit)
    }

    fn note(&mut self, name: impl Into<String>, found: Result<String, String>) {
        let is_fit = found.is_ok();
        let detail = found.unwrap_or_else(|detail| detail);
        self.findings.push(Finding { name: name.into(), is_fit, detail });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            let mark = if finding.is_fit { "ok  " } else { "FAIL" };
            writeln!(out, "{mark}  {:<12} {}", finding.name, finding.detail)?;
        }
        let bad = self.findings.iter().filter(|finding| !finding.is_fit).count();
        if bad == 0 {
            write!(out, "fit to run")
        } else {
            write!(out, "{bad} of these must be mended")
        }
    }
}

/// Looks at everything and leaves nothing out for an earlier failure that does not concern it.
pub(crate) fn check<S: StrategySet>(config: &Config<S>) -> Report {
    let mut report = Report::default();
    let mode = match config.mode {
        Mode::Live => "live",
        Mode::DryRun => "dry-run",
    };
    report.note("config", Ok(format!("readable; mode {mode}")));
    let strategies = config.strategies.enabled_count();
    report.note(
        "strategies",
        if strategies > 0 {
            Ok(format!("{strategies} on"))
        } else {
            Err("none is on: add a table such as [strategy.arbitrage]".to_owned())
        },
    );
    check_keys(config, &mut report);
    check_node(config, &mut report);
    report
}

fn check_keys<S>(config: &Config<S>, report: &mut Report) {
    for (index, wallet) in config.wallets.iter().enumerate() {
        let found = match config.mode {
            Mode::DryRun => Ok("not needed in dry-run".to_owned()),
            Mode::Live => wallet.read_key().map(|key| format!("is the key of {}", key.address())),
        };
        report.note(format!("key {index}"), found);
    }
}

fn check_node<S>(config: &Config<S>, report: &mut Report) {
    let started = Instant::now();
    let mut rpc = match bootstrap::connect(&config.node, config.chain.id) {
        Ok(rpc) => rpc,
        Err(error) => return report.note("node", Err(format!("{error:#}"))),
    };
    let took = started.elapsed().as_millis();
    let client = rpc.call("web3_clientVersion", &json!([]));
    let client: String = client.unwrap_or_else(|_unnamed| "a node without a name".to_owned());
    report.note("node", Ok(format!("{client}, connected in {took} ms")));
    report.note("chain", Ok(format!("id {}", config.chain.id)));
    report.note("latency", latency(&mut rpc));
    for source in Source::ALL {
        let opened = connect::open(&config.node, source, 1);
        let what = match source {
            Source::Chain => "heads and logs are announced",
            Source::Pending => "pending transactions are announced",
            Source::Rpc => "questions and transactions are taken",
        };
        let found = opened.map(|_| what.to_owned()).map_err(|error| format!("{error:#}"));
        report.note(source.name(), found);
    }
    for (index, wallet) in config.wallets.iter().enumerate() {
        report.note(format!("wallet {index}"), wallet_of(config, &mut rpc, wallet.address));
    }
    report.note("executor", executor_of(config, &mut rpc));
    report.note(
        "universe",
        bootstrap::load(config, &mut rpc)
            .map(|world| format!("{} pools, {} tokens", world.pools.len(), world.tokens.len()))
            .map_err(|error| format!("{error:#}")),
    );
}

fn latency(rpc: &mut Rpc) -> Result<String, String> {
    let mut times = Vec::new();
    for _ in 0..20 {
        let started = Instant::now();
        rpc.chain_id().map_err(|error| format!("{error:#}"))?;
        times.push(started.elapsed().as_micros());
    }
    times.sort_unstable();
    Ok(format!("a question takes {} µs (median of {})", times[times.len() / 2], times.len()))
}

fn wallet_of<S>(config: &Config<S>, rpc: &mut Rpc, address: Address) -> Result<String, String> {
    let nonce = rpc.nonce(address).map_err(|error| format!("{error:#}"))?;
    let balance = rpc.balance(address).map_err(|error| format!("{error:#}"))?;
    let funds = in_ether(i128::try_from(balance).unwrap_or(i128::MAX));
    if balance == 0 && config.mode == Mode::Live {
        return Err(format!("{address} is empty: send it native tokens to pay gas"));
    }
    Ok(format!("{address} has {funds} ETH, nonce {nonce}"))
}

pub(crate) fn executor_of<S>(config: &Config<S>, rpc: &mut Rpc) -> Result<String, String> {
    let address = config.executor;
    if address == Address::ZERO && config.mode == Mode::DryRun {
        return Ok("none; a dry-run needs none".to_owned());
    }
    let code = rpc.code(address).map_err(|error| format!("{error:#}"))?;
    if code.is_empty() {
        let detail = format!("there is no contract at {address}: run `gannet deploy`");
        return if config.mode == Mode::Live { Err(detail) } else { Ok(detail) };
    }
    let foreign = |_| format!("the contract at {address} is no Gannet executor");
    let weth = rpc.view(address, &Executor::WETHCall {}).map_err(foreign)?;
    if weth != config.chain.wrapped_native {
        return Err(format!("its wrapped native token is {weth}, not chain.wrapped_native"));
    }
    for wallet in &config.wallets {
        if !rpc
            .view(address, &Executor::operatorsCall { account: wallet.address })
            .map_err(foreign)?
        {
            let wallet = wallet.address;
            return Err(format!("{wallet} is no operator: the owner must call setOperator"));
        }
    }
    let owner = rpc.view(address, &Executor::ownerCall {}).map_err(foreign)?;
    Ok(format!("{address}, owner {owner}, all wallets are operators"))
}
