//! A start of the bot from an archive, and what it cost.
//!
//! Temperature: cold.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use alloy_primitives::Address;
use serde_json::{Value, json};

use super::{Asked, Pool, Server, State};
use crate::subject::Subject;

/// A start that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(300);
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(5);

/// What one start was like.
#[derive(Clone, Debug)]
pub struct Start {
    /// Which one.
    pub name: &'static str,
    /// Until it could trade.
    pub took: Duration,
    /// Its own processor time until then.
    pub cpu: Duration,
    /// What it asked until then.
    pub asked: Asked,
    /// Resident memory at its most, in KiB.
    pub memory_kib: u64,
    /// Pools that it has.
    pub pools: usize,
    /// Those of them that are not as the chain has them.
    pub wrong: usize,
}

impl Start {
    /// Starts the bot, waits until it could trade, and ends it.
    ///
    /// # Errors
    /// When it does not start, with what it said.
    pub fn of(
        bot: &Path,
        folder: &Path,
        name: &'static str,
        node: &Server,
    ) -> Result<Self, String> {
        // The last table of the configuration is the run-time's own.
        let config = node.archive().config(node.url());
        let state = folder.join("state");
        let config = format!("{config}state_dir = \"{}\"\n", state.display());
        std::fs::write(folder.join("config.toml"), config).map_err(|error| error.to_string())?;
        let file = |suffix: &str| folder.join(format!("{name}.{suffix}"));
        let said = File::create(file("txt")).map_err(|error| error.to_string())?;
        let mut command = Command::new(bot);
        command.arg("run").arg("--config").arg(folder.join("config.toml"));
        command.arg("--journal").arg(file("journal")).arg("--snapshot").arg(file("snapshot"));
        command.arg("--json").stdout(Stdio::null()).stderr(said);
        // Whatever the run before asked at its end.
        node.archive().forget_asked();
        let begin = Instant::now();
        let mut running = Subject::start(&mut command)?;
        while !is_ready(&file("journal")) {
            if !running.is_alive() || begin.elapsed() > PATIENCE {
                let said = std::fs::read_to_string(file("txt")).unwrap_or_default();
                return Err(format!("the {name} start failed:\n{said}"));
            }
            sleep(LOOK);
        }
        let took = begin.elapsed();
        let cpu = running.cpu().unwrap_or(Duration::MAX);
        let asked = node.archive().asked();
        let memory_kib = running.memory_kib("VmHWM").unwrap_or(u64::MAX);
        running.end()?;
        let snapshot = std::fs::read_to_string(file("snapshot")).unwrap_or_default();
        let snapshot: Value = serde_json::from_str(&snapshot).unwrap_or_default();
        let held = snapshot["pools"].as_object().cloned().unwrap_or_default();
        let expected: HashMap<Address, Pool> =
            node.archive().pools().into_iter().map(|pool| (pool.address, pool)).collect();
        let is_right = |(address, state): &(&String, &Value)| {
            let pool = address.parse().ok().and_then(|address: Address| expected.get(&address));
            pool.is_some_and(|pool| **state == shown(&pool.state))
        };
        let right = held.iter().filter(is_right).count();
        let (pools, wrong) = (held.len(), held.len() - right);
        Ok(Self { name, took, cpu, asked, memory_kib, pools, wrong })
    }

    /// As a JSON object.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let Self { name, took, cpu, asked, memory_kib, pools, wrong } = self;
        let ms = |time: &Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        json!({
            "start": name, "ready_ms": ms(took), "cpu_ms": ms(cpu), "questions": asked.all,
            "questions_for_logs": asked.logs, "refused": asked.refused,
            "memory_kib": memory_kib, "pools": pools, "pools_wrong": wrong,
        })
    }

    /// As a row of a table.
    #[must_use]
    pub fn line(&self) -> String {
        let Self { name, took, cpu, asked, memory_kib, pools, wrong } = self;
        format!(
            "{name:<6}{:>10.2}{:>10.2}{:>12}{:>10}{:>10}{:>12}{pools:>9}{wrong:>8}",
            took.as_secs_f64(),
            cpu.as_secs_f64(),
            asked.all,
            asked.logs,
            asked.refused,
            memory_kib / 1_024,
        )
    }
}

/// Whether the journal says that the world is up to date.
fn is_ready(journal: &Path) -> bool {
    let text = std::fs::read_to_string(journal).unwrap_or_default();
    let mut lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let last = lines.rfind(|line| line["kind"] == "freshness");
    last.is_some_and(|line| line["stale"] == json!([]))
}

/// A pool as the bot's snapshot shows it.
fn shown(state: &State) -> Value {
    match state {
        State::Pair(reserves) | State::Solidly { reserves, .. } => {
            json!(reserves.map(|reserve| reserve.to_string()))
        }
        State::Concentrated(pool) => {
            let tick = |(index, gross, net): &(i32, u128, i128)| {
                let (net, gross) = (net.to_string(), gross.to_string());
                json!({ "index": index, "net": net, "gross": gross })
            };
            json!({
                "sqrt_price": pool.sqrt_price.to_string(), "tick": pool.tick,
                "liquidity": pool.liquidity.to_string(),
                "ticks": pool.ticks.iter().map(tick).collect::<Vec<_>>(),
            })
        }
    }
}
