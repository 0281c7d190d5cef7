//! Signals that ask the process to end.
//!
//! Temperature: cold.

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGINT, SIGTERM and SIGHUP.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    /// From now on they no longer end the process, and neither does a write past the limit of a
    /// file's size, which fails instead; called within the reactor.
    pub(crate) fn listen() -> Result<Self> {
        let too_long = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
        // The handler stays when nobody listens any more.
        drop(signal(too_long).context("listening to SIGXFSZ")?);
        let interrupt = signal(SignalKind::interrupt()).context("listening to SIGINT")?;
        let terminate = signal(SignalKind::terminate()).context("listening to SIGTERM")?;
        let hangup = signal(SignalKind::hangup()).context("listening to SIGHUP")?;
        Ok(Self { interrupt, terminate, hangup })
    }

    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            // The terminal was closed.
            _ = self.hangup.recv() => {}
        }
    }
}
