//! Whose pending oracle updates are believed, and what of them.
//!
//! A transmission is worth following if the aggregator will take it: it comes from somebody who may
//! transmit, directly or through a contract that lets him, for the newest configuration, and within
//! the bounds of what the aggregator answers. The oracles' signatures are not recovered: whoever
//! may transmit pays for what reverts, and gains nothing by it.
//!
//! Temperature: hot.

use alloc::vec::Vec;

use alloy_primitives::{Address, B256, I256};

use crate::lending::transmission::{Route, Transmission};

/// One who may transmit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Sender {
    /// The contract that calls the aggregator; the sender himself, where there is none.
    pub contract: Address,
    /// Who sends the transaction.
    pub account: Address,
}

/// An aggregator.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Source {
    /// Its contract.
    pub aggregator: Address,
    /// The configuration that it takes reports for.
    pub config: B256,
    /// The least and the most that it answers.
    pub bounds: [I256; 2],
    /// Who may transmit.
    pub senders: Vec<Sender>,
    /// The newest report that was seen, pending ones among them: [`Report::age`]. Older ones are
    /// not taken any more.
    pub newest: u64,
}

/// An oracle update that an aggregator would take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The number of its source.
    pub source: u16,
    /// Which proxy answers it at once.
    pub route: Route,
    /// What it will answer.
    pub answer: I256,
    /// The protocol's epoch and round, as one number: newer reports have higher ones.
    pub age: u64,
}

impl Source {
    /// Whether this aggregator would take a transmission of this sender.
    #[must_use]
    pub fn takes(&self, pending: &Transmission, from: Address) -> bool {
        let contract = pending.forwarder.unwrap_or(from);
        let sender = Sender { contract, account: from };
        let [least, most] = self.bounds;
        self.aggregator == pending.aggregator
            && self.config == pending.config
            && age_of(pending) >= self.newest
            && (least..=most).contains(&pending.answer)
            && self.senders.contains(&sender)
    }
}

/// The protocol's epoch and round of a transmission, as one number.
pub(super) fn age_of(pending: &Transmission) -> u64 {
    (u64::from(pending.epoch) << 8) | u64::from(pending.round)
}
