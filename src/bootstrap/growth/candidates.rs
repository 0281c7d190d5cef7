//! Pools that were announced and are not in the universe yet: most are empty at first.
//!
//! Temperature: cold.

use std::time::{Duration, Instant};

use crate::bootstrap::Known;

/// Candidates that are remembered; of more, those that were looked at most often are forgotten.
const CANDIDATES_MAX: usize = 4_096;
/// The longest time between two looks at one.
const PAUSE_MAX: Duration = Duration::from_hours(1);

#[derive(Clone, Copy, Debug)]
struct Candidate {
    known: Known,
    due: Instant,
    looks: u32,
}

/// Who waits, and when each is looked at next.
#[derive(Debug)]
pub(super) struct Candidates {
    list: Vec<Candidate>,
    /// After the first look; doubles with each.
    pause: Duration,
}

impl Candidates {
    pub(super) const fn new(pause: Duration) -> Self {
        Self { list: Vec::new(), pause }
    }

    /// One more; gives one that is forgotten for it, if there are too many.
    pub(super) fn add(&mut self, known: Known, now: Instant) -> Option<Known> {
        self.list.push(Candidate { known, due: now, looks: 0 });
        if self.list.len() <= CANDIDATES_MAX {
            return None;
        }
        let seen = self.list.iter().enumerate();
        let (place, _) =
            seen.max_by_key(|(place, candidate)| (candidate.looks, std::cmp::Reverse(*place)))?;
        Some(self.list.remove(place).known)
    }

    /// Up to `most` that are due, those that were never looked at first; each is due again later.
    pub(super) fn due(&mut self, most: usize, now: Instant) -> Vec<Known> {
        let mut due: Vec<&mut Candidate> =
            self.list.iter_mut().filter(|candidate| candidate.due <= now).collect();
        due.sort_by_key(|candidate| candidate.looks);
        due.truncate(most);
        for candidate in &mut due {
            let pause = self.pause.saturating_mul(1 << candidate.looks.min(20)).min(PAUSE_MAX);
            candidate.due = now + pause;
            candidate.looks = candidate.looks.saturating_add(1);
        }
        due.iter().map(|candidate| candidate.known).collect()
    }

    /// They wait no longer.
    pub(super) fn remove(&mut self, pools: &[Known]) {
        self.list
            .retain(|candidate| pools.iter().all(|pool| pool.address != candidate.known.address));
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::Address;

    use super::*;
    use crate::bootstrap::Kind;

    fn pool(number: u64) -> Known {
        let address = Address::left_padding_from(&number.to_be_bytes());
        Known { address, tokens: [Address::ZERO; 2], factory: 0, kind: Kind::Pair }
    }

    #[test]
    fn a_candidate_is_looked_at_again_after_pauses_that_double_up_to_an_hour() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut candidates = Candidates::new(Duration::from_secs(12));
        assert_eq!(candidates.add(pool(1), start), None);
        assert_eq!(candidates.due(9, start), [pool(1)]);
        assert_eq!(candidates.due(9, at(11)), []);
        candidates.add(pool(2), at(11));
        assert_eq!(candidates.due(1, at(12)), [pool(2)], "who was never looked at comes first");
        assert_eq!(candidates.due(9, at(12)), [pool(1)]);
        assert_eq!(candidates.due(9, at(35)), [pool(2)]);
        assert_eq!(candidates.due(9, at(36)), [pool(1)]);
        for _ in 0..40 {
            candidates.due(9, at(100_000));
        }
        candidates.remove(&[pool(2)]);
        assert_eq!(candidates.due(9, at(100_000 + 3_600)), [pool(1)]);
    }

    #[test]
    fn of_too_many_candidates_one_that_was_looked_at_often_is_forgotten() {
        let start = Instant::now();
        let mut candidates = Candidates::new(Duration::ZERO);
        candidates.add(pool(0), start);
        candidates.add(pool(1), start);
        assert_eq!(candidates.due(2, start).len(), 2);
        for number in 2..CANDIDATES_MAX as u64 {
            assert_eq!(candidates.add(pool(number), start), None);
        }
        assert_eq!(candidates.add(pool(9_999), start), Some(pool(0)), "the oldest of them");
        let due = candidates.due(1, start);
        assert_eq!(due, [pool(2)]);
    }
}
