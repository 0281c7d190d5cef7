//! Which of the heads that the nodes announced is followed.
//!
//! The highest one whose ancestors lead to a block that we have. Of two with the same height we
//! keep ours for as long as some node stands there: a node that is slower, or on another branch,
//! does not throw the world back and forth. If no node stands at ours any more, the chain was
//! reorganised, and the branch that was announced last is followed wherever it leads.
//!
//! Temperature: warm.

use alloy_primitives::B256;

use super::Stale;
use super::state::{Follower, Orphan};
use crate::decode::head::Head;
use crate::ids::NodeId;
use crate::input::Source;
use crate::query::{Queries, Query};
use crate::units::{BlockNumber, Nanos};
use crate::world::nodes::NodeSet;
use crate::world::{BlockRef, World};

/// Who told of a head, and in what way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// The node announced it: there its chain ends.
    Announced(NodeId),
    /// The node named it when it was asked where its chain ends.
    Newest(NodeId),
    /// The node was asked for this very block.
    Asked(NodeId),
}

impl Word {
    /// The node.
    #[must_use]
    pub const fn node(self) -> NodeId {
        match self {
            Self::Announced(node) | Self::Newest(node) | Self::Asked(node) => node,
        }
    }

    pub(super) const fn is_newest(self) -> bool {
        match self {
            Self::Announced(_) | Self::Newest(_) => true,
            Self::Asked(_) => false,
        }
    }
}

/// How a block lies to the chain that we are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// It is below the block that we are at.
    Past,
    /// It is that block, or waits on it while it is open.
    Here,
    /// It descends from the tip, no block being open, by way of the waiting head with this place.
    Ahead(usize),
    /// It descends from the sealed block so deep below the tip, by way of the waiting head with
    /// this place, and not from the block that we are at.
    Fork(usize, usize),
    /// Its ancestors do not lead to any block that we have.
    Unknown,
}

impl Way {
    pub(super) const fn is_fork(self) -> bool {
        matches!(self, Self::Fork(..))
    }
}

impl Follower {
    /// How the block with this hash lies to the chain that we are on.
    pub(super) fn way_to(&self, hash: &B256) -> Way {
        if self.is_open_block(hash) {
            return Way::Here;
        }
        if let Some(depth) = self.depth_of(hash) {
            return if depth == 0 && !self.is_open { Way::Here } else { Way::Past };
        }
        let mut hash = hash;
        // A child is higher than its parent, so each round takes another head.
        for _ in 0..=self.waiting.len() {
            let Some(place) = self.waiting.iter().position(|child| child.head.hash == *hash) else {
                return Way::Unknown;
            };
            hash = &self.waiting[place].head.parent_hash;
            if self.is_open_block(hash) {
                return Way::Here;
            }
            match self.depth_of(hash) {
                Some(0) if !self.is_open => return Way::Ahead(place),
                Some(depth) => return Way::Fork(place, depth),
                None => {}
            }
        }
        Way::Unknown
    }

    /// Whether `ancestor` is among the waiting ancestors of `hash`.
    fn descends(&self, hash: &B256, ancestor: &B256) -> bool {
        let mut hash = hash;
        for _ in 0..=self.waiting.len() {
            match self.waiting.iter().find(|child| child.head.hash == *hash) {
                Some(child) if child.head.parent_hash == *ancestor => return true,
                Some(child) => hash = &child.head.parent_hash,
                None => return false,
            }
        }
        false
    }

    /// Drops the heads that nobody but this node knows and that lead to no block of ours.
    pub(super) fn forget_words_of(&mut self, node: NodeId) {
        // In place, with what was found kept at the front.
        let mut place = 0;
        while let Some(Orphan { head, by, .. }) = self.waiting.get(place) {
            let mut others = *by;
            others.remove(node);
            if others.is_empty() && self.way_to(&head.hash) == Way::Unknown {
                self.waiting.remove(place);
            } else {
                place += 1;
            }
        }
    }
}

impl World {
    /// The block that we are at: the open one, or the tip.
    fn here(&self) -> BlockRef {
        let tip = BlockRef { number: self.tip.number, hash: self.tip.hash };
        self.follower.open().unwrap_or(tip)
    }

    /// The height of our own branch, with what waits on the open block.
    fn height(&self) -> BlockNumber {
        let waiting = self.follower.waiting.iter().map(|child| &child.head);
        let ours = waiting.filter(|head| self.follower.way_to(&head.hash) == Way::Here);
        ours.map(|head| BlockNumber(head.number)).fold(self.here().number, Ord::max)
    }

    /// Whether a node other than `but` stands at the block that we are at, or on top of it.
    pub(super) fn is_held(&self, but: Option<NodeId>) -> bool {
        self.nodes.stands().any(|(node, stand)| {
            Some(node) != but
                && matches!(self.follower.way_to(&stand.hash), Way::Here | Way::Ahead(_))
        })
    }

    /// The waiting head that is to be opened next, and how deep below the tip its parent lies.
    /// While a block is open, only a fork that leaves it behind counts.
    pub(super) fn next_waiting(&self) -> Option<(usize, usize)> {
        let follower = &self.follower;
        if follower.waiting.is_empty() {
            return None;
        }
        let (height, is_held) = (self.height(), self.is_held(None));
        let stood_at = |hash: &B256| self.nodes.stands().any(|(_, stand)| stand.hash == *hash);
        let candidates = follower.waiting.iter().filter_map(|Orphan { head, .. }| {
            let number = BlockNumber(head.number);
            match follower.way_to(&head.hash) {
                Way::Ahead(place) => Some((place, 0, head)),
                Way::Fork(place, depth) if number > height || !is_held => {
                    Some((place, depth, head))
                }
                Way::Fork(..) | Way::Past | Way::Here | Way::Unknown => None,
            }
        });
        // Where no node stands at ours, height says nothing against where they do stand.
        let rank = |head: &Head| (is_held, stood_at(&head.hash), head.number);
        let best = candidates.max_by_key(|(.., head)| match rank(head) {
            (true, is_stood_at, number) => (number, is_stood_at, 0),
            (false, is_stood_at, number) => (u64::from(is_stood_at), false, number),
        });
        best.map(|(place, depth, _)| (place, depth))
    }

    /// The node stands here now. What comes late does not move it back.
    pub(super) fn seat(&mut self, node: NodeId, to: BlockRef) {
        let follower = &self.follower;
        let now = self.nodes.get(node).and_then(|node| node.stand());
        let is_late = now.is_some_and(|now| {
            let was = follower.way_to(&now.hash);
            let is_below = follower.way_to(&to.hash) == Way::Past
                && to.number < now.number
                && matches!(was, Way::Past | Way::Here | Way::Ahead(_));
            is_below || follower.descends(&now.hash, &to.hash)
        });
        if !is_late {
            self.nodes.seat(node, to);
        }
    }

    /// Whether this node stands with us, or no other one does: what it says of accounts and
    /// transactions is of the chain that we are on.
    #[must_use]
    pub fn is_current(&self, node: NodeId) -> bool {
        let stand = self.nodes.get(node).and_then(|node| node.stand());
        let way = stand.map(|stand| self.follower.way_to(&stand.hash));
        matches!(way, Some(Way::Here | Way::Ahead(_))) || !self.is_held(Some(node))
    }

    /// The nodes that can be asked and are [current](Self::is_current).
    #[must_use]
    pub fn jury(&self) -> NodeSet {
        let mut jury = self.nodes.askable();
        for node in jury.iter().filter(|node| !self.is_current(*node)) {
            jury.remove(node);
        }
        jury
    }

    /// What the nodes' words mean: whether one stands where we do, whether two disagree, and who is
    /// asked first.
    pub fn review(&mut self, queries: &mut Queries) {
        let (here, height) = (self.here(), self.height());
        let (mut has_word, mut differs) = (false, false);
        for (_, stand) in self.nodes.stands() {
            has_word |= stand.number >= here.number;
            differs |= stand.number >= height
                && matches!(self.follower.way_to(&stand.hash), Way::Fork(..));
        }
        self.freshness.set(Stale::Silent, self.follower.is_silent || !has_word);
        self.freshness.set(Stale::Disagree, differs);
        queries.lead = self.nodes.lead(queries.lead, &here.hash);
        queries.up = self.nodes.askable();
    }

    /// A connection to a node came up, its subscriptions made, or went down. What happened while it
    /// was down is found by the ancestry of the head that the node then names.
    pub fn on_link(&mut self, link: (NodeId, Source), is_up: bool, queries: &mut Queries) {
        let (node, source) = link;
        self.nodes.set_link(node, source, is_up);
        let heard = self.nodes.heard();
        self.freshness.set(Stale::ChainLink, heard.is_empty());
        self.freshness.set(Stale::RpcLink, self.nodes.askable().is_empty());
        if source == Source::Chain && !is_up && !heard.is_empty() {
            // Nobody would ever say what they wait for.
            self.follower.forget_words_of(node);
        }
        self.review(queries);
        if is_up && source != Source::Pending {
            queries.ask_of(node, Query::LatestHead);
        }
    }

    /// A message of this node that may have been a head or a log was lost. A head that was missed
    /// shows as a gap; a log that was missed comes with the seal.
    pub fn on_chain_lost(&mut self, node: NodeId, queries: &mut Queries) {
        self.nodes.unseat(node);
        self.review(queries);
        queries.ask_of(node, Query::LatestHead);
    }

    /// Asks again where the nodes stand, as long as none stands where we do.
    pub(super) fn ask_for_word(&mut self, at: Nanos, queries: &mut Queries) {
        let follower = &mut self.follower;
        if at.since(follower.word_asked_at) > super::RETRY_NS {
            follower.word_asked_at = at;
            queries.ask_all(Query::LatestHead);
        }
    }
}
