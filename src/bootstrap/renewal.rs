//! Renews what is kept for the next start while the bot flies: a run that is killed after days
//! leaves no more to make up for than one that ends well.
//!
//! A cold thread does it, with a connection of its own and from the file alone, so the hot thread
//! has no part in it.
//!
//! Temperature: cold.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, park_timeout};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use gannet_engine::chain::ChainSpec;

use super::Shelf;
use crate::config::Node;

/// Time between two renewals: fewer blocks go by, on any chain, than a warm start makes up for.
const EVERY: Duration = Duration::from_secs(600);

/// The thread that renews.
#[derive(Debug)]
pub(crate) struct Renewal {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Renewal {
    /// Starts the thread.
    pub(crate) fn start(shelf: Shelf, nodes: Vec<Node>, chain: ChainSpec) -> Result<Self> {
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&is_over);
        let thread = std::thread::Builder::new()
            .name("gannet-renewal".to_owned())
            .spawn(move || {
                while wait(EVERY, &ends) {
                    if let Err(error) = shelf.renew(&nodes, &chain) {
                        let error = format!("{error:#}");
                        tracing::info!(error, "what is kept for the next start is not renewed");
                    }
                }
            })
            .context("starting the renewal thread")?;
        Ok(Self { is_over, thread })
    }
}

impl Drop for Renewal {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // In the middle of a renewal it is left behind; the process is ending.
        self.thread.thread().unpark();
    }
}

/// Waits; false if it is over meanwhile.
fn wait(time: Duration, is_over: &AtomicBool) -> bool {
    let end = Instant::now() + time;
    while !is_over.load(Ordering::Relaxed) {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        park_timeout(left);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thread_ends_when_it_is_told_to() {
        let is_over = Arc::new(AtomicBool::new(true));
        assert!(!wait(EVERY, &is_over));
        is_over.store(false, Ordering::Relaxed);
        assert!(wait(Duration::ZERO, &is_over));
    }
}
