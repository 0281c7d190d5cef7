//! What changes feeds and prices, and how each change is taken back.
//!
//! Every change is handed to the caller with all that it takes to undo it, so that a reorg and a
//! pending transmission that was only supposed are the same thing played backwards.
//!
//! Temperature: hot.

use alloy_primitives::{Address, I256, U256};

use super::feeds::Answered;
use super::node::{Node, NodeId};
use super::{Expression, FeedId, Mark, PriceError, PriceId, Prices, Undo};
use crate::decode::DecodeError;
use crate::decode::log::Log;
use crate::lending::transmission::{Route, Transmission};

impl Prices {
    /// Applies a log, if it is a feed's; `keep` is handed what it changed.
    ///
    /// # Errors
    /// When it is such a log, and does not decode; nothing is changed then.
    pub fn apply(&mut self, log: &Log<'_>, keep: &mut impl FnMut(Undo)) -> Result<(), DecodeError> {
        if let Some(answered) = Answered::parse(log)? {
            self.answered(&answered, keep);
        }
        Ok(())
    }

    /// Applies what an event of an aggregator tells.
    pub fn answered(&mut self, answered: &Answered, keep: &mut impl FnMut(Undo)) {
        let Answered { aggregator, answer, .. } = answered;
        self.answer(aggregator, (*answer, Route::Primary), keep);
    }

    /// Supposes that a pending transmission has landed: `keep` is handed all that takes it back.
    pub fn suppose(&mut self, pending: &Transmission, keep: &mut impl FnMut(Undo)) {
        self.answer(&pending.aggregator, (pending.answer, pending.route), keep);
    }

    /// Whoever asks an aggregator by this route is answered this; `keep` is handed all that takes
    /// it back.
    pub fn answer(
        &mut self,
        aggregator: &Address,
        (answer, route): (I256, Route),
        keep: &mut impl FnMut(Undo),
    ) {
        let mut next = self.feeds.first_of(aggregator);
        while let Some(feed) = next {
            next = self.feeds.next(feed);
            if self.feeds.get(feed).route == route {
                self.set_answer(feed, answer, keep);
            }
        }
    }

    /// A feed's answer was read.
    pub fn set_answer(&mut self, feed: FeedId, answer: I256, keep: &mut impl FnMut(Undo)) {
        if let Some(before) = self.feeds.answer(feed, answer) {
            self.changes += 1;
            self.counts.moved += 1;
            self.counts.not_positive += u64::from(answer <= I256::ZERO);
            keep(Undo::Feed(before));
        }
    }

    /// Another aggregator stands behind a feed's proxy, and answers this.
    pub fn rotate(
        &mut self,
        feed: FeedId,
        aggregator: Address,
        answer: I256,
        keep: &mut impl FnMut(Undo),
    ) {
        self.counts.rotated += u64::from(self.feeds.get(feed).aggregator != aggregator);
        if let Some(before) = self.feeds.rotate(feed, aggregator, answer) {
            self.changes += 1;
            self.counts.not_positive += u64::from(answer <= I256::ZERO);
            keep(Undo::Feed(before));
        }
    }

    /// A cap or a discount has other numbers now.
    ///
    /// # Errors
    /// When that would be made of other parts: such a price is to be added anew.
    pub fn replace(
        &mut self,
        id: NodeId,
        node: Node,
        keep: &mut impl FnMut(Undo),
    ) -> Result<(), PriceError> {
        let held = self.nodes.get_mut(usize::from(id.0)).ok_or(PriceError::Unknown)?;
        let is_same_kind = core::mem::discriminant(held) == core::mem::discriminant(&node);
        let is_other_feed = matches!(node, Node::Feed(_)) && *held != node;
        if !is_same_kind || is_other_feed || !held.operands().eq(node.operands()) {
            return Err(PriceError::OtherParts);
        }
        let before = core::mem::replace(held, node);
        if before != node {
            self.changes += 1;
            keep(Undo::Node(id, before));
        }
        Ok(())
    }

    /// Holds a price against what the chain says of it at that time (`None`: it reverts), and says
    /// whether they are the same. One that differs is read each block from now on; one that was and
    /// does not differ any more is modelled again.
    pub fn verify(
        &mut self,
        price: PriceId,
        chain: Option<U256>,
        at: u64,
        keep: &mut impl FnMut(Undo),
    ) -> bool {
        let Expression { root, mark, takes_zero, .. } = &self.expressions[price.index()];
        let (root, mark, takes_zero) = (*root, *mark, *takes_zero);
        let Some(root) = root else {
            self.read(price, chain, keep);
            return true;
        };
        let model = self.evaluate::<false>(root, at, &mut 0).ok();
        let usable = |value: Option<U256>| value.filter(|value| takes_zero || !value.is_zero());
        let is_same = usable(model) == usable(chain);
        self.counts.mismatched += u64::from(!is_same);
        let now = if is_same { Mark::Modelled } else { Mark::ReadEachBlock };
        if now != mark {
            self.changes += 1;
            self.expressions[price.index()].mark = now;
            keep(Undo::Mark(price, mark));
        }
        self.read(price, chain, keep);
        is_same
    }

    /// A price that is read each block was read; `None` if there is none. Others stay as they are.
    pub fn read(&mut self, price: PriceId, value: Option<U256>, keep: &mut impl FnMut(Undo)) {
        if let Some(own) = self.own_feed(price) {
            let answer = value.and_then(|value| I256::try_from(value).ok());
            self.set_answer(own, answer.unwrap_or(I256::MINUS_ONE), keep);
        }
    }

    /// Takes a change back.
    pub fn undo(&mut self, change: Undo) {
        self.changes += 1;
        match change {
            Undo::Feed(before) => self.feeds.undo(before),
            Undo::Mark(price, mark) => self.expressions[price.index()].mark = mark,
            Undo::Node(id, node) => self.nodes[usize::from(id.0)] = node,
        }
    }
}
