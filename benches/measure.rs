//! What the benchmarks that measure single times share: options, times, the table that is printed
//! and the file that programs read.
//!
//! A run by `cargo bench` measures; any other run, as the gate's, goes the same way once over a few
//! events, so that a benchmark that no longer works is noticed.
//!
//! Temperature: cold.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

/// How much is to be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Whether it works, no more.
    Trial,
    /// Enough for a first look.
    Quick,
    /// Enough to be quoted.
    Full,
}

/// What was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) effort: Effort,
    json: Option<PathBuf>,
    case: Option<String>,
}

impl Options {
    /// From the command line; `None` for one that is not understood.
    pub(crate) fn read() -> Option<Self> {
        let mut options = Self { effort: Effort::Trial, json: None, case: None };
        let mut arguments = std::env::args().skip(1);
        let mut is_quick = false;
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--bench" => options.effort = Effort::Full,
                "--quick" => is_quick = true,
                "--case" => options.case = Some(arguments.next()?),
                "--json" => options.json = Some(arguments.next()?.into()),
                _ => return None,
            }
        }
        if is_quick && options.effort == Effort::Full {
            options.effort = Effort::Quick;
        }
        Some(options)
    }

    /// Whether this case was asked for, or none in particular.
    pub(crate) fn wants(&self, case: &str) -> bool {
        self.case.as_ref().is_none_or(|wanted| wanted == case)
    }

    /// One of three, by effort.
    pub(crate) const fn pick<T: Copy>(&self, trial: T, quick: T, full: T) -> T {
        match self.effort {
            Effort::Trial => trial,
            Effort::Quick => quick,
            Effort::Full => full,
        }
    }

    /// Puts a section into the file that was asked for, beside what is there.
    pub(crate) fn put(&self, name: &str, section: Value) -> Result<(), String> {
        let Some(path) = &self.json else { return Ok(()) };
        let mut all = read_object(path)?;
        all.insert(name.to_owned(), section);
        let text = serde_json::to_string_pretty(&all).map_err(|error| error.to_string())?;
        std::fs::write(path, text + "\n").map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Adds to a number in that file.
    pub(crate) fn add(&self, name: &str, count: u64) -> Result<(), String> {
        let Some(path) = &self.json else { return Ok(()) };
        let before = read_object(path)?.get(name).and_then(Value::as_u64).unwrap_or_default();
        self.put(name, json!(before + count))
    }
}

/// The object in a file; an empty one if there is no file.
fn read_object(path: &Path) -> Result<Map<String, Value>, String> {
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Map::new()),
        Err(error) => return Err(told(&error)),
    };
    serde_json::from_str(&text).map_err(|error| told(&error))
}

/// Times, and what they say.
#[derive(Clone, Debug)]
pub(crate) struct Times(Histogram<u64>);

impl Times {
    pub(crate) fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, 60_000_000_000, 3);
        let Ok(histogram) = histogram else { unreachable!("constant bounds are valid") };
        Self(histogram)
    }

    pub(crate) fn add(&mut self, time: Duration) {
        self.0.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// How many there are.
    pub(crate) fn len(&self) -> u64 {
        self.0.len()
    }

    /// Of all times this share is at most so long, in nanoseconds.
    pub(crate) fn at(&self, share: f64) -> u64 {
        self.0.value_at_quantile(share)
    }

    /// The wanted ones of p50, p99 and p99.9.
    pub(crate) fn to_json(&self, names: &[&str]) -> Value {
        let all = [("p50_ns", 0.5), ("p99_ns", 0.99), ("p999_ns", 0.999)];
        let wanted = all.iter().filter(|(name, _)| names.contains(name));
        wanted.map(|(name, share)| ((*name).to_owned(), json!(self.at(*share)))).collect()
    }

    /// A line of the table.
    pub(crate) fn line(&self, name: &str) -> String {
        let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|share| text_of(self.at(share)));
        format!("{name:<24}{p50:>12}{p99:>12}{p999:>12}{:>10}", self.len())
    }
}

/// The table's first line.
pub(crate) fn title(what: &str) -> String {
    format!("{what:<24}{:>12}{:>12}{:>12}{:>10}", "p50", "p99", "p99.9", "events")
}

/// Nanoseconds, for people.
pub(crate) fn text_of(ns: u64) -> String {
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{}.{:02} µs", ns / 1_000, ns % 1_000 / 10),
        _ => format!("{}.{:02} ms", ns / 1_000_000, ns % 1_000_000 / 10_000),
    }
}

/// Reads the options, measures, and says what went wrong.
pub(crate) fn main(measure: impl FnOnce(&Options) -> Result<(), String>) -> ExitCode {
    let done = match Options::read() {
        Some(options) => measure(&options),
        None => Err("wanted [--quick] [--json FILE] [--case NAME]".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
