//! The process's clock: nanoseconds since it started, for stamps and for the feed.
//!
//! Temperature: hot.

use std::time::Instant;

use gannet_engine::outbox::Clock;
use gannet_engine::units::Nanos;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

/// A monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct Monotonic {
    start: Instant,
}

impl Monotonic {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for Monotonic {
    fn now(&self) -> Nanos {
        // 2^64 ns are 584 years.
        Nanos(u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}

/// The time of day for people, as the log writes it (RFC 3339, UTC).
#[cold]
pub(crate) fn utc_now() -> String {
    let mut text = String::new();
    match SystemTime.format_time(&mut Writer::new(&mut text)) {
        Ok(()) => text,
        Err(_no_time) => "an unknown time".to_owned(),
    }
}
