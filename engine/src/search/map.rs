//! Tokens as the search walks them: a few hubs, many tails, and who neighbours whom.
//!
//! In a real universe nearly every token trades against one or two of a handful of hubs. So a
//! *hub* (a base token, or one with many neighbours) finds its neighbour hubs in a small matrix,
//! and a *tail* (any other) in a list that is short by definition. Pairs that lie on no cycle of
//! three or more tokens are left out: tokens with one neighbour are taken away until there are
//! none.
//!
//! Invariants: nodes below [`Map::hub_count`] are hubs; every base token that has a pool is one.
//!
//! Temperature: cold.

use alloc::vec;
use alloc::vec::Vec;

use super::cycles::{Edge, Graph, count};
use crate::ids::TokenId;
use crate::limits::HUBS_MAX;

/// A token in the index: hubs first, then tails.
pub(super) type Node = u32;

/// Rows of matrices over hubs are padded to a multiple of this, for the compiler's vectors.
const LANES: usize = 8;
const NO_BASE: u8 = u8::MAX;

/// A neighbour and the edge that leads to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Neighbour {
    pub(super) node: Node,
    pub(super) edge: Edge,
}

/// Who neighbours whom.
#[derive(Debug)]
pub(super) struct Map {
    /// The lower and the higher token's node of each pair.
    ends: Vec<[Node; 2]>,
    /// Whether a pair may be on a cycle of three or more tokens.
    is_through: Vec<bool>,
    stride: usize,
    /// By hub: its token, and its place among the bases.
    hubs: Vec<TokenId>,
    base_ranks: Vec<u8>,
    /// The edge from hub to hub, row by row; `none` where there is no pool.
    hub_edges: Vec<Edge>,
    none: Edge,
    /// Edges that leave a tail, tail by tail; and each tail's first.
    leaving: Vec<Neighbour>,
    starts: Vec<u32>,
}

impl Map {
    #[cold]
    pub(super) fn of(pairs: &[[TokenId; 2]], graph: &Graph) -> Self {
        let token_count = pairs.iter().flatten().map(|token| token.index() + 1).max().unwrap_or(0);
        let (is_through, degrees) = core_of(pairs, token_count, graph.hops_max);
        let hubs = hubs_of(graph, &degrees, pairs);
        let stride = hubs.len().next_multiple_of(LANES);

        let mut node_of = vec![Node::MAX; token_count];
        for (node, token) in (0..).zip(&hubs) {
            node_of[token.index()] = node;
        }
        let tails = node_of.iter_mut().filter(|node| **node == Node::MAX);
        for (next, node) in (count(hubs.len())..).zip(tails) {
            *node = next;
        }
        let ends: Vec<_> = pairs.iter().map(|pair| pair.map(|t| node_of[t.index()])).collect();
        let base_ranks = hubs.iter().map(|hub| {
            let rank = graph.bases.iter().position(|base| base == hub);
            rank.and_then(|rank| u8::try_from(rank).ok()).unwrap_or(NO_BASE)
        });
        let none = Edge::new(pairs.len(), false);
        let base_ranks = base_ranks.collect();
        let mut map = Self {
            is_through,
            stride,
            base_ranks,
            hub_edges: vec![none; hubs.len() * stride],
            none,
            leaving: Vec::new(),
            starts: vec![0; token_count - hubs.len() + 1],
            hubs,
            ends,
        };
        map.connect();
        map
    }

    /// Fills the matrix of the hubs and the lists of the tails.
    #[cold]
    fn connect(&mut self) {
        let hub_count = self.hubs.len();
        let tail = |node: Node| (node as usize).checked_sub(hub_count);
        let edges = || {
            let through = self.ends.iter().zip(&self.is_through).enumerate();
            let through = through.filter(|(_, (_, is_through))| **is_through);
            through.flat_map(|(pair, ([low, high], _))| {
                [(*low, *high, false), (*high, *low, true)]
                    .map(|(from, to, is_down)| (from, to, Edge::new(pair, is_down)))
            })
        };
        for (from, to, edge) in edges() {
            match (tail(from), tail(to)) {
                (None, None) => {
                    self.hub_edges[from as usize * self.stride + to as usize] = edge;
                }
                (Some(tail), _) => self.starts[tail + 1] += 1,
                (None, Some(_)) => {}
            }
        }
        for tail in 1..self.starts.len() {
            self.starts[tail] += self.starts[tail - 1];
        }
        let empty = Neighbour { node: 0, edge: self.none };
        let mut leaving = vec![empty; self.starts.last().map_or(0, |all| *all as usize)];
        let mut next = self.starts.clone();
        for (from, to, edge) in edges() {
            if let Some(tail) = tail(from) {
                leaving[next[tail] as usize] = Neighbour { node: to, edge };
                next[tail] += 1;
            }
        }
        self.leaving = leaving;
    }

    pub(super) const fn hub_count(&self) -> usize {
        self.hubs.len()
    }

    /// The tokens of the hubs.
    pub(super) fn hubs_in_order(&self) -> &[TokenId] {
        &self.hubs
    }

    /// The length of a matrix row over hubs.
    pub(super) const fn stride(&self) -> usize {
        self.stride
    }

    /// The edge whose price is always 1.
    pub(super) const fn none(&self) -> Edge {
        self.none
    }

    #[inline]
    pub(super) fn ends(&self, pair: usize) -> [Node; 2] {
        self.ends[pair]
    }

    /// The hubs from and to which an edge leads, if both are.
    #[inline]
    pub(super) fn hubs(&self, edge: Edge) -> Option<[usize; 2]> {
        let ends = self.ends[edge.pair()];
        let [from, to] = [ends[edge.side()], ends[1 - edge.side()]];
        let is_between = self.is_hub(from) && self.is_hub(to) && self.is_through[edge.pair()];
        is_between.then_some([from as usize, to as usize])
    }

    #[inline]
    pub(super) fn is_through(&self, pair: usize) -> bool {
        self.is_through[pair]
    }

    /// A node's place among the bases.
    #[inline]
    pub(super) fn base_rank(&self, node: Node) -> Option<u8> {
        self.base_ranks.get(node as usize).copied().filter(|rank| *rank != NO_BASE)
    }

    #[inline]
    pub(super) const fn is_hub(&self, node: Node) -> bool {
        (node as usize) < self.hubs.len()
    }

    /// The edges that leave a tail; none for a hub.
    #[inline]
    pub(super) fn leaving(&self, node: Node) -> &[Neighbour] {
        let Some(tail) = (node as usize).checked_sub(self.hubs.len()) else { return &[] };
        &self.leaving[self.starts[tail] as usize..self.starts[tail + 1] as usize]
    }

    /// The edge from hub to hub, if they have a pool.
    #[inline]
    pub(super) fn between_hubs(&self, from: usize, to: usize) -> Option<Edge> {
        let edge = self.hub_edges[from * self.stride + to];
        if edge == self.none { None } else { Some(edge) }
    }

    /// The edge from one node to another, if they have a pool.
    #[inline]
    pub(super) fn between(&self, from: Node, to: Node) -> Option<Edge> {
        if !self.is_hub(from) {
            let found = self.leaving(from).iter().find(|next| next.node == to);
            found.map(|next| next.edge)
        } else if !self.is_hub(to) {
            let found = self.leaving(to).iter().find(|next| next.node == from);
            found.map(|next| next.edge.reversed())
        } else {
            self.between_hubs(from as usize, to as usize)
        }
    }

    /// All tails.
    pub(super) fn tails(&self) -> impl Iterator<Item = Node> + use<> {
        count(self.hubs.len())..count(self.hubs.len() + self.starts.len() - 1)
    }

    /// Whether a cycle of three to `hops_max` tokens leads through a base.
    #[cold]
    pub(super) fn has_cycle(&self, hops_max: usize) -> bool {
        let node_count = self.hubs.len() + self.starts.len() - 1;
        let nodes = || 0..count(node_count);
        let neighbours = |node: Node| -> Vec<Node> {
            match self.is_hub(node) {
                false => self.leaving(node).iter().map(|next| next.node).collect(),
                true => nodes().filter(|other| self.between(node, *other).is_some()).collect(),
            }
        };
        let bases = nodes().take(self.hubs.len()).filter(|hub| self.base_rank(*hub).is_some());
        bases.into_iter().any(|base| {
            let first = neighbours(base);
            let mut reached = vec![false; node_count];
            first.iter().any(|via| {
                neighbours(*via).into_iter().filter(|node| *node != base).any(|node| {
                    let is_back = self.between(node, base).is_some();
                    let is_again = core::mem::replace(&mut reached[node as usize], true);
                    is_back || (is_again && hops_max >= 4)
                })
            })
        })
    }
}

/// Which pairs may be on a cycle of three or more tokens, and how many of those each token has.
#[cold]
fn core_of(pairs: &[[TokenId; 2]], token_count: usize, hops_max: usize) -> (Vec<bool>, Vec<u32>) {
    let mut degrees = vec![0_u32; token_count];
    if hops_max < 3 {
        return (vec![false; pairs.len()], degrees);
    }
    let mut starts = vec![0_u32; token_count + 1];
    for token in pairs.iter().flatten() {
        degrees[token.index()] += 1;
        starts[token.index() + 1] += 1;
    }
    for token in 0..token_count {
        starts[token + 1] += starts[token];
    }
    let mut pairs_of = vec![0_u32; pairs.len() * 2];
    let mut next = starts.clone();
    for (pair, tokens) in (0_u32..).zip(pairs) {
        for token in tokens {
            pairs_of[next[token.index()] as usize] = pair;
            next[token.index()] += 1;
        }
    }
    let mut is_through = vec![true; pairs.len()];
    let mut ends: Vec<usize> = (0..token_count).filter(|token| degrees[*token] == 1).collect();
    while let Some(token) = ends.pop() {
        for pair in &pairs_of[starts[token] as usize..starts[token + 1] as usize] {
            if !core::mem::replace(&mut is_through[*pair as usize], false) {
                continue;
            }
            for other in pairs[*pair as usize] {
                degrees[other.index()] -= 1;
                if degrees[other.index()] == 1 {
                    ends.push(other.index());
                }
            }
        }
    }
    (is_through, degrees)
}

/// The base tokens that have a pool, then the tokens of most neighbours.
#[cold]
fn hubs_of(graph: &Graph, degrees: &[u32], pairs: &[[TokenId; 2]]) -> Vec<TokenId> {
    let mut hubs: Vec<TokenId> = Vec::new();
    for base in &graph.bases {
        if !hubs.contains(base) && pairs.iter().flatten().any(|token| token == base) {
            hubs.push(*base);
        }
    }
    let is_crowded = |degree: u32| degree as usize > graph.tail_degree_max;
    let others = (0_u32..).zip(degrees).filter(|(_, degree)| is_crowded(**degree));
    let mut others: Vec<_> = others.map(|(token, degree)| (*degree, TokenId(token))).collect();
    others.retain(|(_, token)| !hubs.contains(token));
    others.sort_unstable_by_key(|(degree, token)| (core::cmp::Reverse(*degree), *token));
    hubs.extend(others.into_iter().map(|(_, token)| token).take(HUBS_MAX - hubs.len()));
    hubs
}
