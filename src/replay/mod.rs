//! `gannet replay`: a node that has a recording instead of a chain.
//!
//! ```text
//! recording ─► Ledger (blocks, transactions, what was heard when) ─► answer ─► WebSocket, HTTP
//!                 └─► timeline, real or scaled ─► Hub ─► subscriptions
//! ```
//!
//! It answers what the recording knows. Everything else is an error that says what is missing.
//!
//! Temperature: cold.

mod answer;
mod call;
mod hub;
mod ledger;
mod lens;
mod node;
mod pools;
mod render;
mod server;
mod submit;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Context as _, Result};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::runtime::Builder;

use self::node::Node;
use crate::signals::Signals;

/// What is served, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job<'a> {
    /// The recording's folder.
    pub(crate) recording: &'a Path,
    pub(crate) listen: SocketAddr,
    /// How many times as fast as it was recorded; 0 is as fast as it goes.
    pub(crate) speed: f64,
    /// Heights of the first and the last block.
    pub(crate) range: (u64, u64),
}

/// What became of it.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Served {
    /// The block that it stood at in the end.
    block: u64,
    /// Blocks that it had.
    blocks: usize,
    connections: u64,
    questions: u64,
    /// Connections that took less than came, and were let go.
    dropped: u64,
    /// Connections that there was no room for.
    refused: u64,
    /// Transactions that were sent to it.
    sent: usize,
}

impl fmt::Display for Served {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { block, blocks, connections, questions, dropped, refused, sent } = self;
        writeln!(out, "stood at block {block}, of {blocks} blocks")?;
        writeln!(out, "{questions} questions by {connections} connections")?;
        writeln!(out, "{sent} transactions were sent to it")?;
        write!(out, "{dropped} connections were let go as too slow, {refused} as too many")
    }
}

/// Serves a recording until a signal comes.
///
/// # Errors
/// When the recording cannot be read, or nobody can be listened to there.
pub(crate) fn serve(job: &Job<'_>) -> Result<Served> {
    let (recording, ledger) = ledger::open(job.recording, job.range)?;
    let node = Arc::new(Node::new(ledger, recording.codes));
    let runtime = Builder::new_current_thread().enable_all().build().context("starting")?;
    runtime.block_on(async {
        let mut signals = Signals::listen()?;
        let listener = TcpListener::bind(job.listen).await;
        let listener = listener.with_context(|| format!("listening at {}", job.listen))?;
        let url = format!("ws://{}", listener.local_addr()?);
        let (first, last) = (node.ledger.first(), node.ledger.last());
        tracing::info!(url, first, last, "a node of recorded blocks listens");
        tokio::select! {
            () = signals.next() => {}
            () = server::listen(Arc::clone(&node), listener) => {}
            () = async { node.play(job.speed).await; std::future::pending().await } => {}
        }
        anyhow::Ok(())
    })?;
    let hub = &node.hub;
    Ok(Served {
        block: node.newest().number(),
        blocks: node.ledger.blocks.len(),
        connections: node.connections.load(Ordering::Relaxed),
        questions: node.questions.load(Ordering::Relaxed),
        dropped: hub.dropped.load(Ordering::Relaxed),
        refused: hub.refused.load(Ordering::Relaxed),
        sent: node.sent().len(),
    })
}
