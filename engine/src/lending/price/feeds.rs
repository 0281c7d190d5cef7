//! Leaf feeds: what each answers, which contract says so, and how its events change it.
//!
//! Consumers read a proxy; the events are written by the aggregator behind it, which can be
//! replaced. A dual aggregator (SVR) serves two proxies: one answers what was sent by the public
//! route, the other at once what was sent by the private one, and the public answers only after
//! a delay that depends on time. The second kind ([`Route::Secondary`]) cannot be followed by
//! events, for those do not say which route was taken: its price is to be read each block.
//!
//! Temperature: hot.

use alloc::vec::Vec;

use alloy_primitives::{Address, B256, I256, U256, b256};
use hashbrown::HashMap;

use super::{FeedId, FeedUndo, NO_FEED};
use crate::decode::DecodeError;
use crate::decode::fields::Field;
use crate::decode::log::Log;
use crate::lending::math::Fault;
use crate::lending::transmission::{ANSWER_BITS, Route, fits};
use crate::reserve;
use crate::world::hash::FixedState;

/// `AnswerUpdated(int256,uint256,uint256)`: the answer is the first indexed argument.
pub const ANSWER_UPDATED: B256 =
    b256!("0559884fd3a460db3073b7fc896cc77986f16e378210ded43186175bf646fc5f");
/// `NewTransmission(uint32,int192,address,uint32,int192[],bytes,int192,bytes32,uint40)` of OCR2.
pub const NEW_TRANSMISSION_OCR2: B256 =
    b256!("c797025feeeaf2cd924c99e9205acb8ec04d5cad21c41ce637a38fb6dee6016a");
/// `NewTransmission(uint32,int192,address,int192[],bytes,bytes32)` of OCR1.
pub const NEW_TRANSMISSION_OCR1: B256 =
    b256!("f6a97944f31ea060dfde0566e4167c1a1082551e64b60ecb14d599a9d023d451");

/// What is known of a feed at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedSpec {
    /// The contract that consumers read; zero for a value that is read each block.
    pub proxy: Address,
    /// The contract that writes its events; zero if there is none.
    pub aggregator: Address,
    /// Which of a dual aggregator's two answers the proxy has; others have only the first.
    pub route: Route,
    /// How much it moves, beside others: its share of a position's slack.
    pub weight: u8,
    /// What it answers now.
    pub answer: I256,
}

/// A feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feed {
    /// The contract that consumers read.
    pub proxy: Address,
    /// The contract that writes its events.
    pub aggregator: Address,
    /// Which answers it has.
    pub route: Route,
    /// How much it moves, beside others.
    pub weight: u8,
    /// What it answers; zero or less is no price.
    pub answer: I256,
    /// The next feed with the same aggregator.
    next: FeedId,
}

impl Feed {
    /// Its answer, if it can be a price.
    ///
    /// # Errors
    /// When it is below zero.
    #[inline]
    pub const fn price(&self) -> Result<U256, Fault> {
        if self.answer.is_negative() { Err(Fault::NoPrice) } else { Ok(self.answer.into_raw()) }
    }
}

/// An answer that an event tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Who wrote the event.
    pub aggregator: Address,
    /// The answer.
    pub answer: I256,
    /// The aggregator's own round.
    pub round: u32,
}

impl Answered {
    /// Reads one of the three events; `None` for any other.
    ///
    /// # Errors
    /// When it is one of them, and is cut short or holds a number that the contract could not have.
    pub fn parse(log: &Log<'_>) -> Result<Option<Self>, DecodeError> {
        let wrong = DecodeError::Invalid(Field::Topics);
        let (answer, round) = match (log.topics[0], log.topic_count) {
            (ANSWER_UPDATED, 3) => (log.topics[1].into(), log.topics[2]),
            (NEW_TRANSMISSION_OCR2 | NEW_TRANSMISSION_OCR1, 2) => (log.word(0)?, log.topics[1]),
            _ => return Ok(None),
        };
        let answer = I256::from_raw(answer);
        let round = u32::try_from(U256::from_be_bytes(round.0)).or(Err(wrong))?;
        if !fits(answer, ANSWER_BITS) {
            return Err(DecodeError::AmountTooLarge);
        }
        Ok(Some(Self { aggregator: log.address, answer, round }))
    }
}

/// All feeds.
#[derive(Debug)]
pub(super) struct Feeds {
    list: Vec<Feed>,
    capacity: usize,
    /// The first feed of each aggregator.
    heads: HashMap<Address, FeedId, FixedState>,
}

impl Feeds {
    pub(super) fn new(capacity: usize) -> Self {
        let address = |number: u64| Address::left_padding_from(&number.to_be_bytes());
        let heads = reserve::table(capacity, address);
        Self { list: reserve::list(capacity), capacity, heads }
    }

    pub(super) fn add(&mut self, spec: &FeedSpec) -> Option<FeedId> {
        let FeedSpec { proxy, aggregator, route, weight, answer } = *spec;
        let id = u16::try_from(self.list.len()).ok().filter(|id| *id < NO_FEED.0).map(FeedId)?;
        if self.list.len() >= self.capacity {
            return None;
        }
        let next = NO_FEED;
        self.list.push(Feed { proxy, aggregator, route, weight, answer, next });
        self.link(id);
        Some(id)
    }

    pub(super) const fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (FeedId, &Feed)> {
        (0..).map(FeedId).zip(&self.list)
    }

    #[inline]
    pub(super) fn get(&self, feed: FeedId) -> &Feed {
        &self.list[feed.index()]
    }

    /// The first feed behind which this aggregator stands.
    #[inline]
    pub(super) fn first_of(&self, aggregator: &Address) -> Option<FeedId> {
        self.heads.get(aggregator).copied()
    }

    /// The next one with the same aggregator.
    #[inline]
    pub(super) fn next(&self, feed: FeedId) -> Option<FeedId> {
        Some(self.get(feed).next).filter(|next| *next != NO_FEED)
    }

    /// Sets an answer; what it was if that is another.
    #[inline]
    pub(super) fn answer(&mut self, feed: FeedId, answer: I256) -> Option<FeedUndo> {
        let held = &mut self.list[feed.index()];
        let before = FeedUndo { feed, aggregator: held.aggregator, answer: held.answer };
        held.answer = answer;
        (before.answer != answer).then_some(before)
    }

    /// Puts another aggregator behind a feed.
    pub(super) fn rotate(
        &mut self,
        feed: FeedId,
        aggregator: Address,
        answer: I256,
    ) -> Option<FeedUndo> {
        let held = self.list[feed.index()];
        if held.aggregator == aggregator {
            return self.answer(feed, answer);
        }
        self.unlink(feed);
        self.list[feed.index()] = Feed { aggregator, answer, ..held };
        self.link(feed);
        Some(FeedUndo { feed, aggregator: held.aggregator, answer: held.answer })
    }

    /// Takes a feed back to what it was.
    pub(super) fn undo(&mut self, before: FeedUndo) {
        self.rotate(before.feed, before.aggregator, before.answer);
    }

    fn link(&mut self, feed: FeedId) {
        let aggregator = self.get(feed).aggregator;
        if aggregator != Address::ZERO {
            let next = self.heads.insert(aggregator, feed).unwrap_or(NO_FEED);
            self.list[feed.index()].next = next;
        }
    }

    fn unlink(&mut self, feed: FeedId) {
        let Feed { aggregator, next, .. } = *self.get(feed);
        let mut before = self.first_of(&aggregator).filter(|first| *first != feed);
        while let Some(other) = before {
            if self.get(other).next == feed {
                break;
            }
            before = self.next(other);
        }
        match (before, next) {
            (Some(before), next) => self.list[before.index()].next = next,
            (None, NO_FEED) => {
                self.heads.remove(&aggregator);
            }
            (None, next) => {
                self.heads.insert(aggregator, next);
            }
        }
        self.list[feed.index()].next = NO_FEED;
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::keccak256;

    use super::*;

    #[test]
    fn every_topic_is_the_hash_of_its_signature() {
        for (signature, topic) in [
            ("AnswerUpdated(int256,uint256,uint256)", ANSWER_UPDATED),
            (
                "NewTransmission(uint32,int192,address,uint32,int192[],bytes,int192,bytes32,\
                 uint40)",
                NEW_TRANSMISSION_OCR2,
            ),
            (
                "NewTransmission(uint32,int192,address,int192[],bytes,bytes32)",
                NEW_TRANSMISSION_OCR1,
            ),
        ] {
            assert_eq!(keccak256(signature), topic, "{signature}");
        }
    }
}
