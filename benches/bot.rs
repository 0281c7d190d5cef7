//! The bot in a process of its own: this very program, which is told to be it.
//!
//! Temperature: cold.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gannet_scripted_node::subject::{Subject, folder};
use serde_json::Value;

use super::rig::{PAUSE, Rig};

/// What the program is to be, if it is not to measure.
pub(crate) const ROLE: &str = "GANNET_BENCH_ROLE";
/// A client that does not answer by then has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// The core of the node that measures, and that of whom it measures.
pub(crate) const NODE_CORE: usize = 0;
pub(crate) const CLIENT_CORE: usize = 1;

/// Does something on a thread that is kept on a core, if there is one of that number.
pub(crate) fn on_core<T: Send>(core: usize, work: impl FnOnce() -> T + Send) -> T {
    let pinned = || {
        if !core_affinity::set_for_current(core_affinity::CoreId { id: core }) {
            eprintln!("there is no core {core} for the node: it takes what it finds");
        }
        work()
    };
    std::thread::scope(|scope| match scope.spawn(pinned).join() {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// A bot that flies live on a rig.
pub(crate) struct Bot {
    pub(crate) subject: Subject,
    summary: PathBuf,
}

/// This program, in a role.
pub(crate) fn this_as(role: &str) -> Result<Command, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.env(ROLE, role).stdin(Stdio::null()).stdout(Stdio::null());
    Ok(command)
}

impl Bot {
    /// Starts one that is kept on a core, and spins or sleeps.
    pub(crate) fn start(rig: &Rig, name: &str, spin: bool) -> Result<Self, String> {
        let folder = folder(&format!("bench/{name}"))?;
        let chain = &rig.chain;
        let config = chain.market.config(&[&rig.url], chain.id);
        let state = folder.join("state");
        // The last table of the configuration is the run-time's own.
        let config = format!("{config}state_dir = \"{}\"\n", state.display());
        let told = |error: std::io::Error| format!("{}: {error}", folder.display());
        std::fs::write(folder.join("config.toml"), config).map_err(told)?;
        let summary = folder.join("summary.json");
        let mut command = this_as("gannet")?;
        command.arg("run").arg("--config").arg(folder.join("config.toml"));
        command.arg(format!("--json={}", summary.display()));
        let settings = [
            format!("runtime.core={CLIENT_CORE}"),
            format!("runtime.spin={spin}"),
            "runtime.pin=true".into(),
        ];
        // Nothing but what is measured makes it stale.
        let settings = settings.into_iter().chain(["node.silent_after_ms=60000".into()]);
        settings.for_each(|setting| {
            command.arg("--set").arg(setting);
        });
        command.stderr(File::create(folder.join("bot.txt")).map_err(told)?);
        command.envs(chain.market.keys());
        Ok(Self { subject: Subject::start(&mut command)?, summary })
    }

    /// Ends it, and reads what it says of its flight.
    pub(crate) fn end(mut self, rig: &mut Rig) -> Result<Value, String> {
        self.subject.tell_to_end()?;
        let start = Instant::now();
        while self.subject.is_alive() {
            if start.elapsed() > PATIENCE {
                return Err("the bot does not end".to_owned());
            }
            rig.serve_for(Duration::from_millis(1));
        }
        let text = std::fs::read_to_string(&self.summary);
        let text = text.map_err(|error| format!("{}: {error}", self.summary.display()))?;
        serde_json::from_str(&text).map_err(|error| error.to_string())
    }
}

/// Plays rounds until one is answered whole: the client is up, and knows all that it needs.
pub(crate) fn warm_up(rig: &mut Rig) -> Result<(), String> {
    let start = Instant::now();
    let mut is_forth = true;
    loop {
        if start.elapsed() > PATIENCE {
            return Err("the client does not answer".to_owned());
        }
        rig.serve_for(PAUSE);
        if !rig.is_heard() {
            continue;
        }
        let mut answered = 0;
        for trader in 0..rig.round() {
            let (tx, bytes) = rig.swap(trader, is_forth);
            let until = Instant::now() + Duration::from_millis(3);
            answered += usize::from(rig.ask(tx, &bytes, until));
        }
        is_forth = !is_forth;
        rig.settle();
        if answered == rig.round() {
            rig.start_counting();
            return Ok(());
        }
        // Pools are still being tried, or nonces asked for.
    }
}
