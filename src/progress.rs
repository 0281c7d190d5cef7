//! A line that shows how far long work has come. On a terminal only.
//!
//! Temperature: cold.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Work shorter than this shows nothing.
const QUIET_FOR: Duration = Duration::from_secs(2);
/// Time between two updates.
const EVERY: Duration = Duration::from_millis(100);

/// A progress line on stderr; it erases itself.
#[derive(Debug)]
pub(crate) struct Progress<'a> {
    label: Option<&'a str>,
    total: usize,
    done: usize,
    started: Instant,
    shown: Option<Instant>,
}

impl<'a> Progress<'a> {
    pub(crate) fn new(label: Option<&'a str>, total: usize) -> Self {
        let label = label.filter(|_| std::io::stderr().is_terminal());
        Self { label, total, done: 0, started: Instant::now(), shown: None }
    }

    pub(crate) fn advance(&mut self, count: usize) {
        self.done += count;
        let Some(label) = self.label else { return };
        let is_due = self.shown.is_none_or(|shown| shown.elapsed() > EVERY);
        if self.started.elapsed() > QUIET_FOR && is_due {
            self.shown = Some(Instant::now());
            let (done, total) = (self.done, self.total);
            let per_cent = done * 100 / total.max(1);
            self.draw(&format!("{label} {done}/{total} ({per_cent} %)"));
        }
    }

    fn draw(&self, text: &str) {
        // A progress line that cannot be drawn is no reason to fail.
        let mut out = std::io::stderr();
        if write!(out, "\r\x1b[K{text}").and_then(|()| out.flush()).is_err() {
            tracing::trace!("the terminal takes no progress line");
        }
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if self.shown.is_some() {
            self.draw("");
        }
    }
}
