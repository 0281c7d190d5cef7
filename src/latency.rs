//! How long the stages of the path took, in histograms of fixed size.
//!
//! Temperature: hot.

use gannet_engine::outbox::Stamps;
use gannet_engine::units::Nanos;
use hdrhistogram::Histogram;
use serde::Serialize;

/// Longest time that is told apart, in nanoseconds.
const LONGEST_NS: u64 = 10_000_000_000;
/// Significant digits.
const DIGITS: u8 = 3;

/// Times of what was submitted.
#[derive(Debug)]
pub(crate) struct Latency {
    tick_to_trade: Histogram<u64>,
}

/// Quantiles of a histogram, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Quantiles {
    /// Median.
    pub p50: u64,
    /// Ninety-nine per cent are at most this.
    pub p99: u64,
    /// Longest.
    pub max: u64,
}

impl Latency {
    #[expect(clippy::expect_used, reason = "the bounds are constants that a histogram takes")]
    pub(crate) fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST_NS, DIGITS);
        Self { tick_to_trade: histogram.expect("constant bounds are valid") }
    }

    /// Enters one submission: from the first byte read to the last byte written.
    pub(crate) fn record(&mut self, stamps: &Stamps, written: Nanos) {
        self.tick_to_trade.saturating_record(written.since(stamps.received));
    }

    pub(crate) fn tick_to_trade(&self) -> Quantiles {
        Quantiles {
            p50: self.tick_to_trade.value_at_quantile(0.5),
            p99: self.tick_to_trade.value_at_quantile(0.99),
            max: self.tick_to_trade.max(),
        }
    }
}
