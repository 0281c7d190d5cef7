//! What the node has seen of its clients.
//!
//! Temperature: cold.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use alloy_primitives::{Address, B256, Bytes};
use serde_json::{Value, json};

use crate::model::Tx;

/// A raw transaction that was received.
#[derive(Clone, Debug)]
pub struct Sent {
    /// When, in milliseconds since the node started.
    pub at_ms: u64,
    /// As it was sent.
    pub raw: Bytes,
    /// What it is, if it could be read.
    pub tx: Option<Tx>,
    /// Whether it runs a program of the executor.
    pub is_program: bool,
    /// Why it was refused, if it was.
    pub refused: Option<String>,
}

impl Sent {
    /// Its hash; zero if it could not be read.
    #[must_use]
    pub fn hash(&self) -> B256 {
        self.tx.as_ref().map_or(B256::ZERO, |tx| tx.hash)
    }

    /// Who sent it; zero if it could not be read.
    #[must_use]
    pub fn from(&self) -> Address {
        self.tx.as_ref().map_or(Address::ZERO, |tx| tx.from)
    }
}

/// A time in whole microseconds.
pub(crate) fn in_us(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// The record.
#[derive(Clone, Debug)]
pub struct Record {
    started: Instant,
    /// Raw transactions, in the order in which they came.
    pub sent: Vec<Sent>,
    /// Questions, by method.
    pub questions: BTreeMap<String, u64>,
    /// Microseconds from beginning to write a head to having read the question for its logs.
    pub reactions_us: Vec<u64>,
    /// Of these, what the node itself took to write: a machine with too little time for it shows.
    pub writes_us: Vec<u64>,
    /// Heads that were written and have not been asked about.
    pub(crate) written: HashMap<B256, Instant>,
    /// The block whose logs were asked for last.
    pub asked_last: Option<B256>,
    /// Pending transactions that were announced.
    pub announced: u64,
    /// Pings that were answered.
    pub pongs: u64,
    /// Connections that were let in.
    pub connections: u64,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            sent: Vec::new(),
            questions: BTreeMap::new(),
            reactions_us: Vec::new(),
            writes_us: Vec::new(),
            written: HashMap::new(),
            asked_last: None,
            announced: 0,
            pongs: 0,
            connections: 0,
        }
    }
}

impl Record {
    /// Milliseconds since the node started.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Heads that were announced and whose logs nobody has asked for.
    #[must_use]
    pub fn unanswered(&self) -> usize {
        self.written.len()
    }

    pub(crate) fn asks_for_logs_of(&mut self, block: &B256, heard_at: Instant) {
        self.asked_last = Some(*block);
        if let Some(written) = self.written.remove(block) {
            self.reactions_us.push(in_us(heard_at.saturating_duration_since(written)));
        }
    }

    /// As a JSON object.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let sent = self.sent.iter().map(|sent| {
            json!({
                "at_ms": sent.at_ms, "hash": sent.hash(), "from": sent.from(),
                "nonce": sent.tx.as_ref().map(|tx| tx.body.nonce),
                "is_program": sent.is_program, "refused": sent.refused,
                "is_cancellation": sent.tx.as_ref().is_some_and(Tx::is_cancellation),
            })
        });
        json!({
            "sent": sent.collect::<Vec<_>>(), "questions": self.questions,
            "reactions_us": self.reactions_us, "announced": self.announced,
            "connections": self.connections,
        })
    }
}
