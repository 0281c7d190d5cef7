//! The node: where it stands in the recording, and how it moves on.
//!
//! Temperature: cold.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use alloy_primitives::{B256, Bytes};
use serde_json::Value;
use tokio::time::{Instant, sleep, sleep_until};

use super::hub::{Hub, Topic};
use super::ledger::{Heard, Held, Ledger};
use super::pools::Pools;
use super::render;
use super::submit::Sent;

/// Between two looks at subscribers that have much on their way.
const LOOK: Duration = Duration::from_millis(1);
/// Looks after which they are no longer waited for.
const LOOKS_MAX: u32 = 1_000;

/// Later than anybody waits.
const NEVER: Duration = Duration::from_secs(1 << 32);

/// A node that has a recording instead of a chain.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) ledger: Ledger,
    pub(super) codes: BTreeMap<B256, Bytes>,
    pub(super) pools: Option<Pools>,
    pub(super) hub: Hub,
    /// The newest block, by its place.
    tip: AtomicUsize,
    /// Pending transactions that were announced: so many of the ledger's.
    seen: AtomicUsize,
    pub(super) sent: Mutex<Vec<Sent>>,
    pub(super) questions: AtomicU64,
    pub(super) connections: AtomicU64,
}

impl Node {
    pub(super) fn new(ledger: Ledger, codes: BTreeMap<B256, Bytes>) -> Self {
        let pools = Pools::of(&ledger);
        Self {
            ledger,
            codes,
            pools,
            hub: Hub::default(),
            tip: AtomicUsize::new(0),
            seen: AtomicUsize::new(0),
            sent: Mutex::default(),
            questions: AtomicU64::new(0),
            connections: AtomicU64::new(0),
        }
    }

    /// Where it stands.
    pub(super) fn tip(&self) -> usize {
        self.tip.load(Ordering::Acquire)
    }

    /// Comes to a block.
    pub(super) fn come_to(&self, place: usize) {
        self.tip.store(place, Ordering::Release);
    }

    /// The block where it stands.
    pub(super) fn newest(&self) -> &Held {
        &self.ledger.blocks[self.tip()]
    }

    /// Whether a pending transaction was announced by now.
    pub(super) fn is_seen(&self, sighting: usize) -> bool {
        sighting < self.seen.load(Ordering::Acquire)
    }

    pub(super) fn sent(&self) -> MutexGuard<'_, Vec<Sent>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Plays what was heard, `speed` times as fast as it was, or as fast as subscribers take it for
    /// 0; from when somebody subscribes to heads.
    pub(super) async fn play(&self, speed: f64) {
        self.hub.wanted.notified().await;
        let (began, first) =
            (Instant::now(), self.ledger.timeline.first().map_or(0, |(at, _)| *at));
        tracing::info!(block = self.newest().number(), speed, "somebody listens: the time begins");
        for (at, heard) in &self.ledger.timeline {
            let since = Duration::from_nanos(at.saturating_sub(first));
            if speed > 0.0 {
                let due = Duration::try_from_secs_f64(since.as_secs_f64() / speed);
                sleep_until(began + due.unwrap_or(NEVER).min(NEVER)).await;
            } else {
                for _look in 0..LOOKS_MAX {
                    if !self.hub.is_busy() {
                        break;
                    }
                    sleep(LOOK).await;
                }
            }
            self.hear(*heard);
            // Whoever reads and writes has its turn.
            tokio::task::yield_now().await;
        }
        let block = self.newest().number();
        tracing::info!(block, "the recording is over: the node stands at its last block");
    }

    fn hear(&self, heard: Heard) {
        match heard {
            // It stood there from the start.
            Heard::Head(0) => {}
            Heard::Head(place) => {
                self.come_to(place);
                self.announce(&self.ledger.blocks[place]);
            }
            Heard::Pending(place) => {
                self.seen.store(place + 1, Ordering::Release);
                let sighting = &self.ledger.pending[place];
                let hash = || Cow::Owned(Value::from(sighting.hash.to_string()).to_string());
                self.hub.publish(|topic| match topic {
                    Topic::Pending { is_full: false } => vec![hash()],
                    Topic::Pending { is_full: true } => {
                        let body = sighting.body.as_ref();
                        body.map(|body| Cow::Owned(body.to_string())).into_iter().collect()
                    }
                    Topic::Heads | Topic::Logs(_) | Topic::Receipts => Vec::new(),
                });
            }
        }
    }

    /// A block: its head first, then its logs and receipts.
    fn announce(&self, held: &Held) {
        let head = self.ledger.head(held).to_string();
        self.hub.publish(|topic| match topic {
            Topic::Heads => vec![Cow::Borrowed(head.as_str())],
            Topic::Logs(_) | Topic::Pending { .. } | Topic::Receipts => Vec::new(),
        });
        let logs: Vec<_> = held.block.logs.iter().map(|row| render::log(held, row)).collect();
        let receipts = render::receipts(held).ok().map(|list| Value::Array(list).to_string());
        self.hub.publish(|topic| match topic {
            Topic::Logs(filter) => {
                let logs = logs.iter().filter(|log| filter.matches(&log.inner));
                let text = |log| serde_json::to_string(log).unwrap_or_default();
                logs.map(|log| Cow::Owned(text(log))).collect()
            }
            Topic::Receipts => receipts.iter().map(|list| Cow::Borrowed(list.as_str())).collect(),
            Topic::Heads | Topic::Pending { .. } => Vec::new(),
        });
    }
}
