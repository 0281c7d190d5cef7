//! The nodes that feed the world: which are up, where each one stands, and which one is asked.
//!
//! Several nodes feed one world, and what arrives first counts. A node *stands* at the head that it
//! announced last. The world follows the highest of these heads; of two with the same height it
//! keeps the one that it has, as long as a node stands there.
//!
//! Temperature: warm.

use alloy_primitives::B256;

use crate::ids::NodeId;
use crate::input::Source;
use crate::limits::NODES_MAX;
use crate::units::{BlockNumber, Nanos};
use crate::world::BlockRef;

/// Heads whose first arrival is remembered, so that the lag of the other nodes is known.
const ARRIVALS_MAX: usize = 64;

/// A set of nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeSet(u8);

impl NodeSet {
    /// No node.
    pub const NONE: Self = Self(0);

    /// One node alone.
    #[must_use]
    pub const fn of(node: NodeId) -> Self {
        Self(1_u8.wrapping_shl(node.0 as u32))
    }

    /// Whether the node is in it.
    #[must_use]
    pub const fn has(self, node: NodeId) -> bool {
        self.0 & Self::of(node).0 != 0
    }

    /// Adds a node.
    pub const fn add(&mut self, node: NodeId) {
        self.0 |= Self::of(node).0;
    }

    /// Takes a node out.
    pub const fn remove(&mut self, node: NodeId) {
        self.0 &= !Self::of(node).0;
    }

    /// What both have.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether it has all of the other's.
    #[must_use]
    pub const fn covers(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Its nodes, in the order of their numbers.
    pub fn iter(self) -> impl Iterator<Item = NodeId> {
        (0_u8..).take(NODES_MAX).map(NodeId).filter(move |node| self.has(*node))
    }

    /// The first of them behind `node`, round and round; `node` itself comes last.
    #[must_use]
    pub fn after(self, node: NodeId) -> Option<NodeId> {
        self.iter().find(|next| *next > node).or_else(|| self.iter().next())
    }
}

/// How far behind the first one a node announces heads: a histogram with four steps an octave.
#[derive(Clone, Copy, Debug)]
pub struct Lags {
    counts: [u32; Self::STEPS],
}

impl Default for Lags {
    fn default() -> Self {
        Self { counts: [0; Self::STEPS] }
    }
}

impl Lags {
    const STEPS: usize = 128;

    fn add(&mut self, lag_ns: u64) {
        let micros = (lag_ns / 1_000).max(1);
        let octave = micros.ilog2();
        // The two bits behind the leading one.
        let quarter = if octave < 2 { 0 } else { (micros >> (octave - 2)) & 3 };
        let step = octave as usize * 4 + usize::try_from(quarter).unwrap_or(0);
        if let Some(count) = self.counts.get_mut(step.min(Self::STEPS - 1)) {
            *count = count.saturating_add(1);
        }
    }

    /// The lag in microseconds that `percent` of the heads kept, within a quarter; `None` if there
    /// was none.
    #[must_use]
    pub fn quantile_us(&self, percent: u64) -> Option<u64> {
        let total: u64 = self.counts.iter().copied().map(u64::from).sum();
        let rank = total.saturating_mul(percent).div_ceil(100);
        let mut seen = 0;
        let step = self.counts.iter().position(|count| {
            seen += u64::from(*count);
            total > 0 && seen >= rank
        })?;
        let (octave, quarter) = (step / 4, step % 4);
        let base = 1_u64.checked_shl(u32::try_from(octave).ok()?)?;
        // The step's upper end.
        Some(base + (base / 4).saturating_mul(quarter as u64 + 1))
    }
}

/// What is known of one node.
#[derive(Clone, Copy, Debug, Default)]
pub struct Node {
    has_chain: bool,
    has_rpc: bool,
    has_receipts: bool,
    stand: Option<BlockRef>,
    /// Heads that it announced.
    pub heads: u64,
    /// Heads that it announced before every other node.
    pub heads_first: u64,
    /// Heads at the height of the world's own that it announced instead of that.
    pub disagreements: u64,
    /// Times that a connection to it went down.
    pub links_lost: u64,
    /// Pending swaps that it announced before every other node.
    pub pending_first: u64,
    /// How late the other heads were.
    pub lags: Lags,
}

impl Node {
    /// The head that it announced last, since its connection came up.
    #[must_use]
    pub const fn stand(&self) -> Option<&BlockRef> {
        self.stand.as_ref()
    }
}

/// All nodes.
#[derive(Debug)]
pub struct Nodes {
    list: [Node; NODES_MAX],
    arrivals: [Arrival; ARRIVALS_MAX],
    arrived: usize,
}

/// When a head was announced first, and by whom it was announced since.
#[derive(Clone, Copy, Debug, Default)]
struct Arrival {
    hash: B256,
    at: Nanos,
    by: NodeSet,
}

impl Default for Nodes {
    fn default() -> Self {
        Self {
            list: [Node::default(); NODES_MAX],
            arrivals: [Arrival::default(); ARRIVALS_MAX],
            arrived: 0,
        }
    }
}

impl Nodes {
    /// One node.
    #[must_use]
    pub fn get(&self, node: NodeId) -> Option<&Node> {
        self.list.get(node.index())
    }

    /// Counts a pending swap that this node announced before every other.
    pub fn count_pending(&mut self, node: NodeId) {
        if let Some(node) = self.list.get_mut(node.index()) {
            node.pending_first += 1;
        }
    }

    /// A connection came up or went down. Where the node stands must be told anew.
    pub(super) fn set_link(&mut self, node: NodeId, source: Source, is_up: bool) {
        let Some(node) = self.list.get_mut(node.index()) else { return };
        node.links_lost += u64::from(!is_up);
        match source {
            Source::Chain => {
                node.has_chain = is_up;
                node.has_receipts = false;
                node.stand = None;
            }
            Source::Rpc => node.has_rpc = is_up,
            Source::Pending => {}
        }
    }

    /// The node announces the receipts of each block.
    pub(super) fn announces_receipts(&mut self, node: NodeId) {
        if let Some(node) = self.list.get_mut(node.index()) {
            node.has_receipts = true;
        }
    }

    /// Whether this node announces the receipts of each block.
    pub(super) fn has_receipts(&self, node: NodeId) -> bool {
        self.get(node).is_some_and(|node| node.has_receipts)
    }

    /// Where this node stands is not known any more.
    pub(super) fn unseat(&mut self, node: NodeId) {
        if let Some(node) = self.list.get_mut(node.index()) {
            node.stand = None;
        }
    }

    /// Nobody stands at this block any more.
    pub(super) fn unseat_from(&mut self, hash: &B256) {
        for node in &mut self.list {
            node.stand = node.stand.filter(|stand| stand.hash != *hash);
        }
    }

    /// Nobody stands anywhere any more.
    pub(super) fn unseat_all(&mut self) {
        self.list.iter_mut().for_each(|node| node.stand = None);
    }

    /// The node stands here now, if its heads are heard.
    pub(super) fn seat(&mut self, node: NodeId, at: BlockRef) {
        if let Some(node) = self.list.get_mut(node.index()).filter(|node| node.has_chain) {
            node.stand = Some(at);
        }
    }

    /// Notes that a node announced a head.
    pub(super) fn arrive(&mut self, id: NodeId, hash: &B256, at: Nanos) {
        let Some(node) = self.list.get_mut(id.index()) else { return };
        if let Some(known) = self.arrivals.iter_mut().find(|known| known.hash == *hash) {
            if !known.by.has(id) {
                known.by.add(id);
                node.heads += 1;
                node.lags.add(at.since(known.at));
            }
        } else {
            node.heads += 1;
            node.heads_first += 1;
            let by = NodeSet::of(id);
            self.arrivals[self.arrived % ARRIVALS_MAX] = Arrival { hash: *hash, at, by };
            self.arrived = self.arrived.wrapping_add(1);
        }
    }

    pub(super) fn disagree(&mut self, node: NodeId) {
        if let Some(node) = self.list.get_mut(node.index()) {
            node.disagreements += 1;
        }
    }

    /// The nodes that are heard, and where they stand.
    pub(super) fn stands(&self) -> impl Iterator<Item = (NodeId, &BlockRef)> {
        (0..).map(NodeId).zip(&self.list).filter_map(|(id, node)| Some((id, node.stand.as_ref()?)))
    }

    /// Nodes whose heads and logs are heard.
    #[must_use]
    pub fn heard(&self) -> NodeSet {
        self.those(|node| node.has_chain)
    }

    /// Nodes that can be asked.
    #[must_use]
    pub fn askable(&self) -> NodeSet {
        self.those(|node| node.has_rpc)
    }

    /// The node that knows most of the chain, of those that can be asked: one that stands at
    /// `ours` (`now` if it does), otherwise the one that stands highest.
    pub(super) fn lead(&self, now: NodeId, ours: &B256) -> NodeId {
        let rank = |id: NodeId| {
            let node = self.list.get(id.index())?;
            let height = node.stand.map_or(BlockNumber(0), |stand| stand.number);
            let is_ours = node.stand.is_some_and(|stand| stand.hash == *ours);
            node.has_rpc.then_some((is_ours, height, id == now, core::cmp::Reverse(id)))
        };
        let best = (0..).take(NODES_MAX).map(NodeId).max_by_key(|id| rank(*id));
        best.filter(|id| rank(*id).is_some()).unwrap_or(now)
    }

    fn those(&self, is_meant: impl Fn(&Node) -> bool) -> NodeSet {
        let mut set = NodeSet::default();
        for (id, _) in (0..).map(NodeId).zip(&self.list).filter(|(_, node)| is_meant(node)) {
            set.add(id);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_take_turns() {
        let mut set = NodeSet::default();
        assert_eq!(set.after(NodeId(0)), None);
        set.add(NodeId(1));
        assert_eq!(set.after(NodeId(1)), Some(NodeId(1)));
        set.add(NodeId(7));
        assert_eq!(set.after(NodeId(1)), Some(NodeId(7)));
        assert_eq!(set.after(NodeId(7)), Some(NodeId(1)));
        set.remove(NodeId(1));
        assert!(set.iter().eq([NodeId(7)]) && !set.is_empty());
    }

    #[test]
    fn a_lag_is_told_within_a_quarter() {
        let mut lags = Lags::default();
        assert_eq!(lags.quantile_us(50), None);
        for lag_us in [4_u64, 7, 1_000, 250_000, 3_600_000_000, u64::MAX / 1_000] {
            let mut lags = Lags::default();
            lags.add(lag_us * 1_000);
            let told = lags.quantile_us(50).expect("there is one");
            let top = lag_us.min(1 << 32);
            assert!(
                told >= top - top / 4 && told <= top + top / 4 + 1,
                "{lag_us} is told as {told}"
            );
        }
        (0..99).for_each(|_| lags.add(1_000_000));
        lags.add(1_000_000_000);
        assert!(lags.quantile_us(99).is_some_and(|lag| lag < 1_500));
        assert!(lags.quantile_us(100).is_some_and(|lag| lag >= 1_000_000));
    }

    #[test]
    fn the_node_that_stands_with_us_leads() {
        let mut nodes = Nodes::default();
        let (ours, theirs) = (B256::repeat_byte(1), B256::repeat_byte(2));
        for id in [NodeId(0), NodeId(1)] {
            nodes.set_link(id, Source::Rpc, true);
            nodes.set_link(id, Source::Chain, true);
        }
        assert_eq!(nodes.lead(NodeId(1), &ours), NodeId(1));
        nodes.seat(NodeId(0), BlockRef { number: BlockNumber(5), hash: ours });
        assert_eq!(nodes.lead(NodeId(1), &ours), NodeId(0));
        nodes.seat(NodeId(1), BlockRef { number: BlockNumber(6), hash: theirs });
        assert_eq!(nodes.lead(NodeId(1), &ours), NodeId(0));
        nodes.set_link(NodeId(0), Source::Rpc, false);
        assert_eq!(nodes.lead(NodeId(0), &ours), NodeId(1));
        nodes.set_link(NodeId(1), Source::Rpc, false);
        assert_eq!(nodes.lead(NodeId(1), &ours), NodeId(1));
    }
}
