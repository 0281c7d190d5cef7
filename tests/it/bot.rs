//! The bot as a child process: started, watched through its journal, ended, and what it said.
//!
//! Temperature: cold.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::nodes::{Folder, Process, root, wait_for};

/// The binary under test.
pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_gannet"))
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

/// Runs a command that ends by itself.
pub(crate) fn gannet(folder: &Folder, arguments: &[&str], keys: &[(&str, &str)]) -> Said {
    let start = Instant::now();
    let mut process = Process::start(folder, "gannet", binary(), |command| {
        command.current_dir(root()).args(arguments).envs(keys.iter().copied());
    });
    let status = process.wait();
    Said {
        code: status.code(),
        stdout: folder.read("gannet.stdout"),
        stderr: folder.read("gannet.stderr"),
        took: start.elapsed(),
    }
}

/// A run that goes on until it is told to end.
#[derive(Debug)]
pub(crate) struct Bot<'a> {
    process: Process,
    folder: &'a Folder,
    name: String,
}

/// What a run left behind.
#[derive(Debug)]
pub(crate) struct Flown {
    pub(crate) name: String,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) summary: Value,
    pub(crate) journal: Vec<Value>,
    pub(crate) snapshot: Value,
}

impl<'a> Bot<'a> {
    /// Flies on the node at `url`, as a dry-run if `more` says nothing else.
    pub(crate) fn start(folder: &'a Folder, name: &str, url: &str, more: &[&str]) -> Self {
        Self::start_with(folder, name, more, |command| {
            let file = |kind: &str| folder.file(&format!("{name}.{kind}"));
            let mut summary = OsString::from("--json=");
            summary.push(file("summary"));
            command.args(["--set", &format!("node.url={url}")]).arg(summary);
            command.arg("--snapshot").arg(file("snapshot"));
        })
    }

    /// Flies live on the configuration that a node wrote.
    pub(crate) fn live(
        folder: &'a Folder,
        name: &str,
        config: &Path,
        keys: &[(String, String)],
    ) -> Self {
        let file = |kind: &str| folder.file(&format!("{name}.{kind}"));
        let process = Process::start(folder, name, binary(), |command| {
            command.arg("run").arg("--config").arg(config);
            command.arg("--journal").arg(file("journal")).arg("--snapshot").arg(file("snapshot"));
            command.arg(format!("--json={}", file("summary").display()));
            command.envs(keys.iter().map(|(name, key)| (name, key)));
        });
        Self { process, folder, name: name.to_owned() }
    }

    /// Flies with other arguments; only the journal is the same always.
    pub(crate) fn start_with(
        folder: &'a Folder,
        name: &str,
        more: &[&str],
        prepare: impl FnOnce(&mut Command),
    ) -> Self {
        let process = Process::start(folder, name, binary(), |command| {
            command.current_dir(root()).args(["run", "--config", "config.toml"]);
            // Tests share two cores, and blocks are late there.
            command.args(["--set", "runtime.pin=false", "--set", "runtime.drain_s=60"]);
            command.arg("--journal").arg(folder.file(&format!("{name}.journal"))).args(more);
            prepare(command);
        });
        Self { process, folder, name: name.to_owned() }
    }

    /// The journal's whole lines so far.
    pub(crate) fn journal(&self) -> Vec<Value> {
        let text = self.folder.read(&format!("{}.journal", self.name));
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(|line| serde_json::from_str(line).expect("the journal is JSON")).collect()
    }

    /// Waits until the journal is as `is_so` wants it, while the bot must stay alive.
    pub(crate) fn wait(&mut self, what: &str, is_so: impl Fn(&[Value]) -> bool) {
        let what = format!("{}: {what}", self.name);
        wait_for(&what, || {
            self.assert_alive();
            is_so(&self.journal()).then_some(())
        });
    }

    pub(crate) fn wait_until_fresh(&mut self) {
        self.wait("a world that is up to date", is_fresh);
    }

    pub(crate) fn wait_for_block(&mut self, height: u64) {
        self.wait("a block to be sealed", |journal| {
            let mut sealed = journal.iter().rev().filter(|line| line["kind"] == "sealed");
            sealed.any(|line| line["number"].as_u64() >= Some(height))
        });
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        self.process.ending().is_none()
    }

    pub(crate) fn assert_alive(&mut self) {
        let ending = self.process.ending();
        let name = &self.name;
        let said = || self.folder.read(&format!("{name}.stderr"));
        assert!(ending.is_none(), "{name} ended by itself: {ending:?}\n{}", said());
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn signal(&self, signal: &str) {
        self.process.signal(signal);
    }

    /// What it has logged so far.
    pub(crate) fn stderr(&self) -> String {
        self.folder.read(&format!("{}.stderr", self.name))
    }

    /// Sends a signal, and waits for what is left behind.
    pub(crate) fn end(mut self, signal: &str) -> Flown {
        self.assert_alive();
        self.signal(signal);
        self.finish()
    }

    /// Ends it without a word, as the kernel does.
    pub(crate) fn kill(mut self) -> ExitStatus {
        self.signal("KILL");
        self.process.wait()
    }

    /// Waits until it has ended, and for what is left behind.
    pub(crate) fn finish(mut self) -> Flown {
        let status = self.process.wait();
        let file = |kind: &str| self.folder.read(&format!("{}.{kind}", self.name));
        let json = |kind: &str| serde_json::from_str(&file(kind)).unwrap_or_default();
        Flown {
            code: status.code(),
            stdout: file("stdout"),
            stderr: file("stderr"),
            summary: json("summary"),
            journal: self.journal(),
            snapshot: json("snapshot"),
            name: self.name,
        }
    }
}

/// Whether the last word on it was that the world is up to date.
pub(crate) fn is_fresh(journal: &[Value]) -> bool {
    let last = journal.iter().rev().find(|line| line["kind"] == "freshness");
    last.is_some_and(|line| line["stale"] == json!([]))
}

/// How often the world went stale for a reason of this name, and was up to date again afterwards.
pub(crate) fn recoveries(journal: &[Value], reason: &str) -> usize {
    let changes = journal.iter().filter(|line| line["kind"] == "freshness");
    let (mut is_stale, mut was_fresh, mut count) = (false, false, 0);
    for change in changes {
        let reasons = change["stale"].as_array().expect("reasons are listed");
        is_stale |= was_fresh && reasons.iter().any(|found| found == reason);
        if reasons.is_empty() {
            count += usize::from(is_stale);
            (is_stale, was_fresh) = (false, true);
        }
    }
    count
}

impl Flown {
    /// Demands that it ended as it was told to.
    pub(crate) fn assert_ended(&self) {
        assert_eq!(self.code, Some(0), "{} ends in order:\n{}", self.name, self.stderr);
        let allocated = &self.summary["hot_allocations"];
        let is_none = self.summary.is_null() || allocated["count"] == 0;
        assert!(is_none, "{}: {allocated}", self.name);
    }

    /// Demands an orderly end: exit 0, up to date, nothing left in flight.
    pub(crate) fn assert_in_order(&self) {
        let Self { name, stderr, summary, .. } = self;
        self.assert_ended();
        assert_eq!(summary["is_fresh"], true, "{name} is up to date: {summary}\n{stderr}");
        assert_eq!(summary["in_flight"], 0, "{name} follows all to its end: {summary}");
    }

    /// A figure of the summary.
    pub(crate) fn figure(&self, path: &str) -> u64 {
        let found = self.summary.pointer(path).and_then(Value::as_u64);
        found.unwrap_or_else(|| {
            assert!(found.is_some(), "{}: no {path} in {}", self.name, self.summary);
            0
        })
    }

    /// The journal's lines of one kind.
    pub(crate) fn lines(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.journal.iter().filter(move |line| line["kind"] == kind)
    }
}
