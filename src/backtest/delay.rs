//! How much later than the recorded run a bot makes its plans: a constant, and what a run of the
//! bot itself has measured.
//!
//! Temperature: cold.

use std::fs;
use std::path::Path;

use alloy_primitives::keccak256;
use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::plans::Planned;

/// A millisecond.
const MS_NS: u64 = 1_000_000;

/// What is read of a run's summary.
#[derive(Deserialize)]
struct Measured {
    /// Nanoseconds, and how many submissions took so long.
    tick_to_trade_histogram_ns: Vec<(u64, u64)>,
}

/// How much later plans are made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Delay {
    constant_ns: u64,
    /// Nanoseconds in rising order, and how many submissions took at most so long.
    measured: Vec<(u64, u64)>,
}

impl Delay {
    /// So many milliseconds for every plan.
    pub(crate) fn constant(ms: u32) -> Self {
        Self { constant_ns: u64::from(ms).saturating_mul(MS_NS), measured: Vec::new() }
    }

    /// The same, and besides for each plan one of the times that a run's submissions took, from
    /// the summary that `gannet run --json=FILE` writes.
    ///
    /// # Errors
    /// When the file cannot be read, or tells of no submission.
    pub(crate) fn with_measured(self, summary: &Path) -> Result<Self> {
        let told = || format!("the summary of a run, {}", summary.display());
        let text = fs::read_to_string(summary).with_context(told)?;
        let Measured { mut tick_to_trade_histogram_ns } =
            serde_json::from_str(&text).with_context(told)?;
        tick_to_trade_histogram_ns.sort_unstable();
        let mut sum = 0_u64;
        let measured = tick_to_trade_histogram_ns.into_iter().map(|(ns, count)| {
            sum = sum.saturating_add(count);
            (ns, sum)
        });
        let measured: Vec<_> = measured.collect();
        ensure!(sum > 0, "{}: it measured no submission, so nothing can be drawn from it", told());
        Ok(Self { measured, ..self })
    }

    /// The same, and so many milliseconds more.
    pub(super) fn plus(&self, ms: u32) -> Self {
        let more = u64::from(ms).saturating_mul(MS_NS);
        Self { constant_ns: self.constant_ns.saturating_add(more), measured: self.measured.clone() }
    }

    /// How much later a plan is made, in nanoseconds: always the same for the same plan.
    pub(super) fn of(&self, plan: &Planned) -> u64 {
        let count = self.measured.last().map_or(0, |(_, count)| *count);
        if count == 0 {
            return self.constant_ns;
        }
        let Planned { planned_at, block, legs, follows, .. } = plan;
        let drawn = keccak256(format!("{planned_at} {block} {legs:?} {follows:?}"));
        let [first, ..] = drawn.0.as_chunks::<8>().0 else { return self.constant_ns };
        let rank = u64::from_be_bytes(*first) % count;
        let place = self.measured.partition_point(|(_, until)| *until <= rank);
        let drawn = self.measured.get(place).map_or(0, |(ns, _)| *ns);
        self.constant_ns.saturating_add(drawn)
    }

    /// What a report says of it.
    pub(super) fn assumption(&self) -> Option<String> {
        let (_, count) = self.measured.last()?;
        let rank = |part: u64| count.saturating_mul(part).div_ceil(100).max(1);
        let at = |part| {
            let place = self.measured.partition_point(|(_, until)| *until < rank(part));
            self.measured.get(place).map_or(0, |(ns, _)| ns / 1_000)
        };
        Some(format!(
            "Each plan is made later by one of the {count} times that a run measured from tick to \
             trade (median {} µs, 99 % within {} µs), drawn by the plan's own hash.",
            at(50),
            at(99)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backtest::plans::tests::planned;

    fn summary(name: &str, text: &str) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("gannet-{name}-{}.json", std::process::id()));
        fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn a_constant_is_the_same_for_every_plan() {
        let delay = Delay::constant(3).plus(2);
        assert_eq!([1, 2].map(|block| delay.of(&planned(block))), [5_000_000; 2]);
        assert_eq!(delay.assumption(), None);
    }

    #[test]
    fn plans_are_delayed_as_often_by_each_time_as_it_was_measured() {
        let path = summary("drawn", r#"{"tick_to_trade_histogram_ns":[[900,1],[100,3]],"x":1}"#);
        let delay = Delay::constant(1).with_measured(&path).unwrap();
        let drawn: Vec<u64> = (0..1_000).map(|block| delay.of(&planned(block))).collect();
        let short = drawn.iter().filter(|ns| **ns == 1_000_100).count();
        let long = drawn.iter().filter(|ns| **ns == 1_000_900).count();
        assert_eq!(short + long, drawn.len());
        assert!((700..800).contains(&short), "{short} of 1,000 and not about 750");
        assert_eq!(delay.of(&planned(7)), delay.of(&planned(7)));
        assert!(delay.assumption().unwrap().contains("one of the 4 times"));
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_file_that_tells_no_times_is_refused() {
        for (name, text) in [
            ("none", r#"{"tick_to_trade_histogram_ns":[]}"#),
            ("zero", r#"{"tick_to_trade_histogram_ns":[[5,0]]}"#),
            ("other", "{}"),
            ("text", "not JSON"),
        ] {
            let path = summary(name, text);
            let refused = Delay::default().with_measured(&path).unwrap_err();
            assert!(format!("{refused:#}").contains(&*path.to_string_lossy()), "{refused:#}");
            fs::remove_file(path).unwrap();
        }
        assert!(Delay::default().with_measured(Path::new("not-there.json")).is_err());
    }
}
