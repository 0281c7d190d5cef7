//! Which events of the chain are asked for: as few as what is followed needs.
//!
//! Temperature: hot.

use alloy_primitives::B256;

use crate::decode::topics::MOVES;
use crate::lending::price::{ANSWER_UPDATED, NEW_TRANSMISSION_OCR1, NEW_TRANSMISSION_OCR2};
use crate::lending::{aave, comet, morpho};

/// Topics of the events that tell of feeds.
const FEEDS: [B256; 3] = [ANSWER_UPDATED, NEW_TRANSMISSION_OCR1, NEW_TRANSMISSION_OCR2];

/// What is followed of a chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Followed {
    /// Pools alone.
    #[default]
    Pools,
    /// Pools, and loans of protocols whose events have topics of their own.
    Loans,
    /// Loans of Compound III, too. A move of base tokens is told by the `Transfer` that every token
    /// writes: blocks are full of it, so that nobody else asks for it.
    LoansAndTransfers,
}

impl Followed {
    /// The topics of every event that what is followed depends on, each once.
    pub fn topics(self) -> impl Iterator<Item = &'static B256> {
        let of_loans = FEEDS.iter().chain(topics(aave::topics::ALL));
        let of_loans = of_loans.chain(topics(morpho::topics::ALL));
        // What a proxy writes when its code is another is the same in two protocols.
        let of_comet = topics(comet::topics::ALL).filter(|topic| **topic != aave::topics::UPGRADED);
        let of_loans = of_loans.take(if self >= Self::Loans { usize::MAX } else { 0 });
        let of_comet = of_comet.take(if self >= Self::LoansAndTransfers { usize::MAX } else { 0 });
        MOVES.iter().chain(of_loans).chain(of_comet)
    }
}

fn topics(all: &'static [(&'static str, B256)]) -> impl Iterator<Item = &'static B256> {
    all.iter().map(|(_, topic)| topic)
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn each_topic_is_asked_for_once_and_transfers_for_compound_alone() {
        use Followed::{Loans, LoansAndTransfers, Pools};
        let mut counts = Vec::new();
        for followed in [Pools, Loans, LoansAndTransfers] {
            let mut topics: Vec<_> = followed.topics().collect();
            counts.push(topics.len());
            topics.sort_unstable();
            topics.dedup();
            assert_eq!(topics.len(), counts[counts.len() - 1], "{followed:?}");
            let has_transfers = topics.contains(&&comet::topics::TRANSFER);
            assert_eq!(has_transfers, followed == LoansAndTransfers);
        }
        assert!(counts.is_sorted_by(|few, many| few < many), "{counts:?}");
        let all: Vec<_> = LoansAndTransfers.topics().collect();
        for (name, topic) in comet::topics::ALL {
            assert!(all.contains(&topic), "{name}");
        }
    }
}
