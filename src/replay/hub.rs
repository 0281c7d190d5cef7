//! Who listens to what: connections, their subscriptions, and what is on its way to them.
//!
//! Nobody is waited for: who takes less than comes is let go, and counted.
//!
//! Temperature: cold.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use alloy::rpc::types::Filter;
use tokio::sync::{Notify, mpsc};

/// Connections at once.
pub(super) const CONNECTIONS_MAX: usize = 128;
/// Subscriptions of one connection.
pub(super) const SUBSCRIPTIONS_MAX: usize = 64;
/// Messages on their way to one connection: every log of some blocks of mainnet.
pub(super) const OUTBOX_MAX: usize = 1 << 14;
/// The same in bytes: some blocks of mainnet with all that is in them. An answer may come on top.
pub(super) const OUTBOX_BYTES_MAX: usize = 16 << 20;

/// What a subscription is to.
#[derive(Clone, Debug)]
pub(super) enum Topic {
    Heads,
    Logs(Box<Filter>),
    Pending { is_full: bool },
    Receipts,
}

/// The way to one connection.
#[derive(Debug)]
pub(super) struct Line {
    outbox: mpsc::Sender<String>,
    /// Bytes on their way.
    queued: AtomicUsize,
    /// Told when some of them are written.
    written: Notify,
    subscriptions: Mutex<BTreeMap<u64, Topic>>,
    /// Told when the connection is to end.
    pub(super) ending: Notify,
}

/// Why nothing more is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overfull;

impl Line {
    /// A line, and its other end.
    pub(super) fn new() -> (Arc<Self>, mpsc::Receiver<String>) {
        let (outbox, messages) = mpsc::channel(OUTBOX_MAX);
        let line = Self {
            outbox,
            queued: AtomicUsize::new(0),
            written: Notify::new(),
            subscriptions: Mutex::default(),
            ending: Notify::new(),
        };
        (Arc::new(line), messages)
    }

    fn subscriptions(&self) -> MutexGuard<'_, BTreeMap<u64, Topic>> {
        self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends an answer; whoever asks for more than it reads waits here, and asks nothing meanwhile.
    pub(super) async fn answer(&self, text: String) {
        while self.queued.load(Ordering::Relaxed) > OUTBOX_BYTES_MAX / 2 {
            self.written.notified().await;
        }
        self.queued.fetch_add(text.len(), Ordering::Relaxed);
        // Its other end is gone: then so is whoever asked.
        self.outbox.send(text).await.unwrap_or_default();
    }

    /// Sends news.
    fn tell(&self, text: String) -> Result<(), Overfull> {
        let bytes = text.len();
        if self.queued.load(Ordering::Relaxed).saturating_add(bytes) > OUTBOX_BYTES_MAX {
            return Err(Overfull);
        }
        self.queued.fetch_add(bytes, Ordering::Relaxed);
        match self.outbox.try_send(text) {
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => Err(Overfull),
        }
    }

    /// A message has been written.
    pub(super) fn is_written(&self, bytes: usize) {
        self.queued.fetch_sub(bytes, Ordering::Relaxed);
        self.written.notify_one();
    }

    /// Whether half of what it may hold is on its way.
    fn is_busy(&self) -> bool {
        self.outbox.capacity() < OUTBOX_MAX / 2
            || self.queued.load(Ordering::Relaxed) > OUTBOX_BYTES_MAX / 2
    }
}

/// All connections.
#[derive(Debug, Default)]
pub(super) struct Hub {
    lines: Mutex<Vec<Arc<Line>>>,
    last_id: AtomicU64,
    /// Told at the first subscription to heads.
    pub(super) wanted: Notify,
    /// Connections that took less than came.
    pub(super) dropped: AtomicU64,
    /// Connections that there was no room for.
    pub(super) refused: AtomicU64,
}

impl Hub {
    fn lines(&self) -> MutexGuard<'_, Vec<Arc<Line>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a connection in, if there is room.
    pub(super) fn enter(&self, line: &Arc<Line>) -> bool {
        let mut lines = self.lines();
        let has_room = lines.len() < CONNECTIONS_MAX;
        if has_room {
            lines.push(Arc::clone(line));
        } else {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        has_room
    }

    /// A connection is over.
    pub(super) fn leave(&self, line: &Arc<Line>) {
        self.lines().retain(|known| !Arc::ptr_eq(known, line));
    }

    /// Subscribes; none if the connection has too many.
    pub(super) fn subscribe(&self, line: &Line, topic: Topic) -> Option<u64> {
        let mut subscriptions = line.subscriptions();
        if subscriptions.len() >= SUBSCRIPTIONS_MAX {
            return None;
        }
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        if matches!(topic, Topic::Heads) {
            self.wanted.notify_one();
        }
        subscriptions.insert(id, topic);
        Some(id)
    }

    /// Ends a subscription; whether there was one.
    pub(super) fn unsubscribe(&self, line: &Line, id: u64) -> bool {
        line.subscriptions().remove(&id).is_some()
    }

    /// Brings news to all who want them: `items` gives a topic's, in order, as JSON.
    pub(super) fn publish<'i>(&self, items: impl Fn(&Topic) -> Vec<std::borrow::Cow<'i, str>>) {
        let lines = self.lines().clone();
        for line in lines {
            let subscriptions = line.subscriptions().clone();
            for (id, topic) in &subscriptions {
                let told = items(topic).into_iter().try_for_each(|item| {
                    let params = format!(r#"{{"subscription":"{id:#x}","result":{item}}}"#);
                    let method = r#""method":"eth_subscription""#;
                    line.tell(format!(r#"{{"jsonrpc":"2.0",{method},"params":{params}}}"#))
                });
                if told.is_err() {
                    self.dropped.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!("a connection takes less than comes: it is let go");
                    self.leave(&line);
                    line.ending.notify_one();
                    break;
                }
            }
        }
    }

    /// Whether some connection has much on its way.
    pub(super) fn is_busy(&self) -> bool {
        self.lines().iter().any(|line| line.is_busy())
    }
}
