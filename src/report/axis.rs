//! Axes: where they begin and end, where their ticks are and what these say.
//!
//! Temperature: cold.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;

use super::{amount, utc};

/// One axis of a chart.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    pub(super) low: f64,
    pub(super) high: f64,
    ticks: Vec<(f64, String)>,
}

impl Axis {
    /// With these ticks, which need not be evenly spaced.
    pub(super) const fn new(low: f64, high: f64, ticks: Vec<(f64, String)>) -> Self {
        Self { low, high, ticks }
    }

    /// Of amounts; holds zero, and begins and ends at a tick.
    pub(super) fn amounts(amounts: impl Iterator<Item = f64>, ticks_max: u32) -> Self {
        let (low, high) =
            amounts.fold((0.0_f64, 0.0_f64), |(low, high), a| (low.min(a), high.max(a)));
        // Where all are zero, any scale does.
        let high = if high - low > 0.0 { high } else { 0.001 };
        let (step, decimals) = step(high - low, ticks_max);
        // A share of a step forgives what floating point adds to a bound that is a tick itself.
        let first = (low / step + 1e-9).floor();
        let last = (high / step - 1e-9).ceil();
        let mut ticks = Vec::new();
        let mut multiple = first;
        while multiple <= last {
            let value = multiple * step;
            let sign = if value < 0.0 { "−" } else { "" };
            ticks.push((value, format!("{sign}{:.decimals$}", value.abs())));
            multiple += 1.0;
        }
        Self { low: first * step, high: last * step, ticks }
    }

    /// Of counts from zero.
    pub(super) fn counts(most: u64, ticks_max: u64) -> Self {
        let most = most.max(1);
        let mut steps =
            (0..19).flat_map(|exponent| [1, 2, 5].map(|one| one * 10_u64.pow(exponent)));
        let step = steps.find(|step| most / step <= ticks_max).unwrap_or(most);
        let counts = (0..=most / step).map(|multiple| multiple * step);
        let ticks = counts.map(|count| (count as f64, amount::count(count))).collect();
        Self { low: 0.0, high: most as f64, ticks }
    }

    /// Of times in seconds since 1970.
    pub(super) fn times(first: u64, last: u64, ticks_max: u32) -> Self {
        const STEPS_S: [u64; 21] = [
            1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600,
            43_200, 86_400, 172_800, 604_800, 1_209_600,
        ];
        // A moment gets some room around it.
        let (first, last) = if first == last {
            (first.saturating_sub(30), last.saturating_add(30))
        } else {
            (first, last)
        };
        let most = u64::from(ticks_max.max(1));
        let fits = |step: &u64| (last - first) / step <= most;
        let step = STEPS_S.into_iter().find(fits);
        let step = step.unwrap_or_else(|| ((last - first) / most / utc::DAY_S + 1) * utc::DAY_S);
        let spelled = |time: u64| match step {
            _ if time.is_multiple_of(utc::DAY_S) => utc::day(time),
            ..60 => utc::second(time),
            _ => utc::minute(time),
        };
        let mut ticks = Vec::new();
        let mut tick = first.checked_next_multiple_of(step);
        while let Some(time) = tick.filter(|time| *time <= last) {
            ticks.push((time as f64, spelled(time)));
            tick = time.checked_add(step);
        }
        Self { low: first as f64, high: last as f64, ticks }
    }

    /// With only every second tick, or third, and so on, counted from one that stays: so few that
    /// no labels touch when the axis is so many pixels long.
    pub(super) fn thinned(mut self, length_px: f64, stays: usize) -> Self {
        let scale = length_px / (self.high - self.low);
        let is_clear = |ticks: &[(f64, String)]| {
            ticks.windows(2).all(|pair| match pair {
                [(left, before), (right, after)] => {
                    let room = (right - left) * scale;
                    room > (text_px(before) + text_px(after)) / 2.0 + 8.0
                }
                _ => true,
            })
        };
        let all = std::mem::take(&mut self.ticks);
        for stride in 1..=all.len().max(1) {
            let is_kept = |index: &usize| index.abs_diff(stays).is_multiple_of(stride);
            let kept = all.iter().enumerate().filter(|(index, _)| is_kept(index));
            self.ticks = kept.map(|(_, tick)| tick.clone()).collect();
            if is_clear(&self.ticks) {
                break;
            }
        }
        self
    }

    /// The room that the longest label takes.
    pub(super) fn label_px(&self) -> f64 {
        self.ticks.iter().map(|(_, label)| text_px(label)).fold(0.0, f64::max)
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        RangedCoordf64::from(self.range()).map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        // Asked for with a light weight, these are lines between ticks: there are none.
        let has_ticks = !hint.weight().allow_light_points();
        self.ticks.iter().filter(|_| has_ticks).map(|(value, _)| *value).collect()
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        let distance = |tick: &&(f64, String)| (tick.0 - value).abs();
        let nearest = self.ticks.iter().min_by(|a, b| distance(a).total_cmp(&distance(b)));
        nearest.map(|(_, label)| label.clone()).unwrap_or_default()
    }
}

/// About how wide a text is. No font is at hand; this is generous for the common ones.
pub(super) fn text_px(text: &str) -> f64 {
    text.chars().count() as f64 * 6.8
}

/// The least of 1, 2 and 5 times a power of ten that needs at most so many steps, and the decimals
/// that its multiples have.
fn step(length: f64, steps_max: u32) -> (f64, usize) {
    let steps = (-18..24).flat_map(|exponent| {
        [1.0, 2.0, 5.0].map(|digit| (digit * 10_f64.powi(exponent), exponent))
    });
    let mut steps = steps.skip_while(|(step, _)| length / step > f64::from(steps_max.max(1)));
    let (step, exponent) = steps.next().unwrap_or((length, 0));
    (step, usize::try_from(-exponent).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, label)| &**label).collect()
    }

    #[test]
    fn an_axis_of_amounts_holds_zero_and_ends_at_ticks() {
        let axis = Axis::amounts([0.021, -0.004].into_iter(), 6);
        assert_eq!(labels(&axis), ["−0.005", "0.000", "0.005", "0.010", "0.015", "0.020", "0.025"]);
        assert!(axis.low <= -0.005 && axis.high >= 0.025);
        assert_eq!(labels(&Axis::amounts(std::iter::empty(), 2)), ["0.0000", "0.0005", "0.0010"]);
        assert_eq!(labels(&Axis::amounts([-3.0].into_iter(), 3)), ["−3", "−2", "−1", "0"]);
    }

    #[test]
    fn counts_have_whole_ticks() {
        assert_eq!(labels(&Axis::counts(0, 4)), ["0", "1"]);
        assert_eq!(labels(&Axis::counts(2_100, 2)), ["0", "1,000", "2,000"]);
        assert!(labels(&Axis::counts(u64::MAX, 4)).len() > 1);
        assert_eq!(labels(&Axis::counts(7, 4)), ["0", "2", "4", "6"]);
    }

    #[test]
    fn times_have_ticks_at_round_times_and_days_at_midnight() {
        assert_eq!(labels(&Axis::times(50_405, 50_411, 3)), ["14:00:06", "14:00:08", "14:00:10"]);
        assert_eq!(labels(&Axis::times(82_000, 94_000, 4)), ["23:00", "2 Jan", "01:00", "02:00"]);
        assert_eq!(labels(&Axis::times(50_425, 50_425, 2)), ["14:00:00", "14:00:30"]);
        let years = Axis::times(0, 900_000_000, 4);
        assert!((3..=5).contains(&years.ticks.len()), "{:?}", labels(&years));
        assert!(Axis::times(u64::MAX, u64::MAX, 4).ticks.len() < 6);
    }

    #[test]
    fn labels_that_would_touch_are_left_out() {
        let axis = |length_px, stays| {
            let ticks = (0..=6).map(|at| (f64::from(at), format!("{at} ms"))).collect();
            Axis::new(0.0, 6.0, ticks).thinned(length_px, stays)
        };
        assert_eq!(labels(&axis(300.0, 0)).len(), 7);
        assert_eq!(labels(&axis(150.0, 0)), ["0 ms", "2 ms", "4 ms", "6 ms"]);
        assert_eq!(labels(&axis(150.0, 3)), ["1 ms", "3 ms", "5 ms"]);
        assert_eq!(labels(&axis(1.0, 6)), ["6 ms"]);
    }
}
