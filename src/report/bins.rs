//! The distribution of amounts over orders of magnitude, losses to the left of gains.
//!
//! All bounds are exact: a bin begins at 1 or 3 times a power of ten of wei (at powers of ten only,
//! where amounts span many), so that bins are about equally wide on a logarithmic scale.
//!
//! Temperature: cold.

use super::amount;

/// More than so many bins get coarser ones.
const FINE_BINS_MAX: usize = 18;
/// The least bound; what is smaller is in the bin that begins there.
const LEAST_EXPONENT: u32 = 9;
/// What is larger is in the bin that begins there.
const LARGEST_EXPONENT: u32 = 24;

/// Amounts by their order of magnitude.
#[derive(Debug)]
pub(super) struct Bins {
    /// How many amounts are in each, from the greatest loss to the greatest gain.
    pub(super) counts: Vec<u64>,
    /// How many of the bins are of losses; they come first.
    pub(super) losses: usize,
    /// The lower bounds of magnitudes, then the upper bound of the last.
    bounds: Vec<u128>,
}

impl Bins {
    /// Sorts amounts into bins; none when there are no amounts.
    pub(super) fn of(amounts: &[i128]) -> Option<Self> {
        let fine = Self::between(amounts, &[1, 3])?;
        if fine.counts.len() <= FINE_BINS_MAX {
            return Some(fine);
        }
        Self::between(amounts, &[1])
    }

    /// With bounds at these digits times powers of ten; the least of them is a power of ten.
    fn between(amounts: &[i128], digits: &[u128]) -> Option<Self> {
        let bounds = bounds(digits);
        let bin = |wei: &i128| {
            bounds.partition_point(|bound| *bound <= wei.unsigned_abs()).saturating_sub(1)
        };
        let least = amounts.iter().map(bin).min()?;
        let least = least - least % digits.len();
        let width = |is_loss: bool| {
            let side = amounts.iter().filter(|wei| (**wei < 0) == is_loss);
            side.map(bin).max().map_or(0, |most| most - least + 1)
        };
        let (losses, gains) = (width(true), width(false));
        let mut counts = vec![0; losses + gains];
        for wei in amounts {
            let place = bin(wei) - least;
            counts[if *wei < 0 { losses - 1 - place } else { losses + place }] += 1;
        }
        let bounds = bounds.iter().skip(least).take(losses.max(gains) + 1).copied().collect();
        Some(Self { counts, losses, bounds })
    }

    /// What stands at a bin's left edge; after the last bin, at its right.
    pub(super) fn edge(&self, index: usize) -> String {
        let bound = self.bounds.get(index.abs_diff(self.losses));
        let bound = bound.and_then(|bound| i128::try_from(*bound).ok());
        let spelled = bound.map_or_else(|| "∞".to_owned(), amount::short);
        let has_both = self.losses > 0 && self.losses < self.counts.len();
        match index.cmp(&self.losses) {
            std::cmp::Ordering::Less => format!("−{spelled}"),
            std::cmp::Ordering::Equal if has_both => format!("±{spelled}"),
            std::cmp::Ordering::Equal if self.losses > 0 => format!("−{spelled}"),
            std::cmp::Ordering::Equal | std::cmp::Ordering::Greater => spelled,
        }
    }
}

fn bounds(digits: &[u128]) -> Vec<u128> {
    let powers = (LEAST_EXPONENT..=LARGEST_EXPONENT).map(|exponent| 10_u128.pow(exponent));
    powers.flat_map(|power| digits.iter().map(move |digit| digit * power)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLIETHER: i128 = 1_000_000_000_000_000;

    fn edges(bins: &Bins) -> Vec<String> {
        (0..=bins.counts.len()).map(|index| bins.edge(index)).collect()
    }

    #[test]
    fn gains_alone_begin_at_the_power_of_ten_below_the_least() {
        let bins = Bins::of(&[3 * MILLIETHER, 5 * MILLIETHER, 10 * MILLIETHER, 300 * MILLIETHER]);
        let bins = bins.expect("bins");
        assert_eq!((&*bins.counts, bins.losses), (&[0, 2, 1, 0, 0, 1][..], 0));
        assert_eq!(edges(&bins), ["0.001", "0.003", "0.01", "0.03", "0.1", "0.3", "1"]);
    }

    #[test]
    fn losses_are_mirrored_to_the_left() {
        let bins = Bins::of(&[-MILLIETHER, -5 * MILLIETHER, 4 * MILLIETHER]).expect("bins");
        assert_eq!((&*bins.counts, bins.losses), (&[1, 1, 0, 1][..], 2));
        assert_eq!(edges(&bins), ["−0.01", "−0.003", "±0.001", "0.003", "0.01"]);
        let bins = Bins::of(&[-MILLIETHER]).expect("bins");
        assert_eq!(edges(&bins), ["−0.003", "−0.001"]);
    }

    #[test]
    fn any_amount_has_a_bin() {
        assert!(Bins::of(&[]).is_none());
        let bins = Bins::of(&[0, 1, -1, i128::MAX, i128::MIN]).expect("bins");
        assert_eq!(bins.counts.iter().sum::<u64>(), 5);
        assert_eq!(bins.counts.len(), 32);
    }
}
