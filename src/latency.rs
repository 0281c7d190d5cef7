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

/// Times of what was submitted, from stage to stage.
#[derive(Debug)]
pub(crate) struct Latency {
    tick_to_trade: Histogram<u64>,
    decode: Histogram<u64>,
    apply: Histogram<u64>,
    decide: Histogram<u64>,
    sign: Histogram<u64>,
    write: Histogram<u64>,
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

/// Quantiles of each stage, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stages {
    /// From the read that completed the message to the message decoded.
    pub decode: Quantiles,
    /// To the world changed.
    pub apply: Quantiles,
    /// To the plans proposed; plans after the first wait for those before them.
    pub decide: Quantiles,
    /// To the transaction admitted and signed.
    pub sign: Quantiles,
    /// To the last byte written.
    pub write: Quantiles,
}

impl Latency {
    #[expect(clippy::expect_used, reason = "the bounds are constants that a histogram takes")]
    pub(crate) fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST_NS, DIGITS);
        let empty = histogram.expect("constant bounds are valid");
        Self {
            tick_to_trade: empty.clone(),
            decode: empty.clone(),
            apply: empty.clone(),
            decide: empty.clone(),
            sign: empty.clone(),
            write: empty,
        }
    }

    /// Enters one submission: from the read that completed the message
    /// to the return of the write.
    pub(crate) fn record(&mut self, stamps: &Stamps, written: Nanos) {
        let Stamps { received, decoded, applied, decided, signed } = *stamps;
        self.tick_to_trade.saturating_record(written.since(received));
        self.decode.saturating_record(decoded.since(received));
        self.apply.saturating_record(applied.since(decoded));
        self.decide.saturating_record(decided.since(applied));
        self.sign.saturating_record(signed.since(decided));
        self.write.saturating_record(written.since(signed));
    }

    pub(crate) fn tick_to_trade(&self) -> Quantiles {
        quantiles(&self.tick_to_trade)
    }

    /// Times from tick to trade that were measured, in nanoseconds, and how often each was: what a
    /// backtest draws its delays from. Each stands for those that differ in the third digit.
    pub(crate) fn histogram(&self) -> Vec<(u64, u64)> {
        let times = self.tick_to_trade.iter_recorded();
        let mut told: Vec<(u64, u64)> = Vec::new();
        for time in times {
            let ns = rounded(time.value_iterated_to());
            let count = time.count_since_last_iteration();
            match told.last_mut() {
                Some((last, sum)) if *last == ns => *sum = sum.saturating_add(count),
                _ => told.push((ns, count)),
            }
        }
        told
    }

    pub(crate) fn stages(&self) -> Stages {
        Stages {
            decode: quantiles(&self.decode),
            apply: quantiles(&self.apply),
            decide: quantiles(&self.decide),
            sign: quantiles(&self.sign),
            write: quantiles(&self.write),
        }
    }
}

fn quantiles(histogram: &Histogram<u64>) -> Quantiles {
    Quantiles {
        p50: histogram.value_at_quantile(0.5),
        p99: histogram.value_at_quantile(0.99),
        max: histogram.max(),
    }
}

/// Rounded up to three digits, so that the list of all times is short.
const fn rounded(ns: u64) -> u64 {
    let mut unit = 1;
    while ns / unit >= 1_000 {
        unit *= 10;
    }
    ns.div_ceil(unit).saturating_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_histogram_tells_each_submission_once_and_none_as_faster_than_it_was() {
        let mut latency = Latency::new();
        let times = [7, 120, 129, 131, 9_999, 1_000_000];
        for time in times {
            latency.record(&Stamps::default(), Nanos(time));
        }
        let told = latency.histogram();
        assert_eq!(told, [(7, 1), (120, 1), (129, 1), (131, 1), (10_000, 1), (1_010_000, 1)]);
    }
}
