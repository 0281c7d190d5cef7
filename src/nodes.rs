//! What each node brought, for the summary: who is first, and by how much the others are behind.
//!
//! Temperature: cold.

use std::fmt;

use gannet_engine::ids::NodeId;
use gannet_engine::world::World;
use serde::Serialize;

/// What one node brought.
#[derive(Clone, Debug, Default, Serialize)]
pub struct NodeCounts {
    /// Its name.
    pub name: String,
    /// Heads that it announced.
    pub heads: u64,
    /// Heads that it announced before every other node.
    pub heads_first: u64,
    /// How long after the first node it announced the others, in microseconds, within a quarter:
    /// the median and what one in a hundred exceeds. Nothing if it was always first.
    pub lag_us_p50: Option<u64>,
    /// See `lag_us_p50`.
    pub lag_us_p99: Option<u64>,
    /// Pending swaps that it announced before every other node.
    pub pending_first: u64,
    /// Times that it announced another block where a node was believed already.
    pub disagreements: u64,
    /// Times that one of its connections was lost.
    pub links_lost: u64,
}

impl NodeCounts {
    /// One for each of the nodes with these names, in the order of their handles.
    pub(crate) fn of(world: &World, names: &[String]) -> Vec<Self> {
        let counts = |(index, name): (u8, &String)| {
            let node = world.nodes().get(NodeId(index)).copied().unwrap_or_default();
            Self {
                name: name.to_owned(),
                heads: node.heads,
                heads_first: node.heads_first,
                lag_us_p50: node.lags.quantile_us(50),
                lag_us_p99: node.lags.quantile_us(99),
                pending_first: node.pending_first,
                disagreements: node.disagreements,
                links_lost: node.links_lost,
            }
        };
        (0..).zip(names).map(counts).collect()
    }
}

impl fmt::Display for NodeCounts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, heads, heads_first, pending_first, disagreements, links_lost, .. } = self;
        write!(out, "{name}: first with {heads_first} of {heads} heads")?;
        if let (Some(p50), Some(p99)) = (self.lag_us_p50, self.lag_us_p99) {
            let ms = |us: u64| format!("{}.{} ms", us / 1_000, us % 1_000 / 100);
            write!(out, ", else behind by {} (p99 {})", ms(p50), ms(p99))?;
        }
        write!(out, "; first with {pending_first} pending swaps")?;
        if *disagreements > 0 {
            write!(out, "; disagreed {disagreements} times")?;
        }
        if *links_lost > 0 {
            write!(out, "; {links_lost} connections lost")?;
        }
        Ok(())
    }
}
