//! The bot's process, as a trial of it sees it: its memory, its time, its end; and what is demanded
//! of it.
//!
//! Temperature: cold.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A bot that is not up or down by then has failed to start, or to end.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(10);

/// The process; ended if nobody else does.
#[derive(Debug)]
pub struct Subject(Child);

impl Drop for Subject {
    fn drop(&mut self) {
        // It has ended already if all went well.
        self.0.kill().and_then(|()| self.0.wait().map(drop)).unwrap_or_default();
    }
}

impl Subject {
    /// Starts it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Result<Self, String> {
        let name = Path::new(command.get_program()).display().to_string();
        command.spawn().map(Self).map_err(|error| format!("{name}: {error}"))
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }

    /// Resident memory now (`VmRSS`) or at its most (`VmHWM`), in KiB.
    #[must_use]
    pub fn memory_kib(&self, which: &str) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(which)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse().ok()
    }

    /// Processor time that it has used, in all its threads.
    #[must_use]
    pub fn cpu(&self) -> Option<Duration> {
        // Hundredths of a second; USER_HZ is 100 on Linux.
        const TICK_MS: u64 = 10;
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).ok()?;
        // The name stands in parentheses and may hold anything.
        let fields = stat.rsplit_once(')')?.1.split_whitespace();
        let ticks: Vec<u64> =
            fields.skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
        Some(Duration::from_millis(ticks.iter().sum::<u64>() * TICK_MS))
    }

    /// Tells it to end, and does not wait.
    ///
    /// # Errors
    /// When it cannot be told.
    pub fn tell_to_end(&self) -> Result<(), String> {
        let told = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        told.map(drop).map_err(|error| error.to_string())
    }

    /// Tells it to end.
    ///
    /// # Errors
    /// When it does not, or not in order.
    pub fn end(&mut self) -> Result<(), String> {
        self.tell_to_end()?;
        let mut ended = None;
        wait("the bot ends", || {
            ended = self.0.try_wait().ok().flatten();
            ended.is_some()
        })?;
        match ended {
            Some(status) if status.success() => Ok(()),
            status => Err(format!("the bot ended: {status:?}")),
        }
    }
}

/// Looks until it is so.
///
/// # Errors
/// When it takes too long.
pub fn wait(what: &str, mut is_so: impl FnMut() -> bool) -> Result<(), String> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if is_so() {
            return Ok(());
        }
        sleep(LOOK);
    }
    Err(format!("waited in vain: {what}"))
}

/// A criterion, whether it is met, and by what.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// What is demanded.
    pub name: String,
    /// Whether it is so.
    pub is_met: bool,
    /// By which figures.
    pub why: String,
}

impl Verdict {
    /// As a JSON object.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let Self { name, is_met, why } = self;
        json!({ "criterion": name, "is_met": is_met, "why": why })
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, is_met, why } = self;
        write!(out, "{}  {name}: {why}", if *is_met { "met   " } else { "MISSED" })
    }
}

/// An empty folder for what a trial leaves behind, in the `target/` in which this program stands.
///
/// # Errors
/// When it cannot be made.
pub fn folder(name: &str) -> Result<PathBuf, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    // `target/<profile>/program`, or one folder deeper for tests and benchmarks.
    let of_tests = |folder: &Path| folder.ends_with("deps");
    let profile = program.ancestors().skip(1).find(|folder| !of_tests(folder));
    let target = profile.and_then(Path::parent).ok_or("this program is in no target folder")?;
    let folder = target.join(name);
    let told = |error: std::io::Error| format!("{}: {error}", folder.display());
    // The state of a run before would be taken up.
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(told)?;
    }
    std::fs::create_dir_all(&folder).map_err(told)?;
    Ok(folder)
}
