//! Which token cycles through a pair may pay, judged by best prices.
//!
//! A cycle through the edge from A to B is that edge and a path from B back to A. Where B or A is a
//! tail, its few neighbours are tried one by one until the ends of what is missing are two hubs;
//! between hubs the best of each group of paths says whether there is anything to look at:
//!
//! ```text
//! B ─────────────► A      one hop     matrix
//! B ──► tail ────► A      two hops    group of short paths
//! B ──► hub ─────► A                  row × column
//! B ─► tail ─► tail ─► A  three hops  group of long paths
//! B ─► tail ─► hub ──► A              row × column, then groups of short paths
//! B ─► hub ──► tail ─► A
//! B ─► hub ──► hub ──► A
//! ```
//!
//! Invariants: no cycle of two to four swaps through a base whose best prices multiply to more than
//! 1 is passed over but for the limits, and those are counted; each token cycle is looked at once
//! per search and direction, for an edge that was screened is walked no more. Nor is the pair that
//! is being screened, in either direction. That alone keeps tokens distinct too: a walk of at most
//! four hops that meets a token again goes through that pair.
//!
//! Temperature: hot.

use super::PRICE_LEAST;
use super::SearchLimits;
use super::cycles::{CycleIndex, Edge, TokenCycle};
use super::expand::Expansion;
use super::map::Node;
use super::marks::Marks;
use super::prices::{Prices, greatest_product};
use super::shortlist::{Open, Shortlist};
use crate::limits::HOPS_MAX;
use crate::world::pools::PoolTable;

/// Token cycles through one pair that are weighed in one search; what is open beyond is counted.
const OPEN_MAX: u32 = 4_096;
/// Of those, cycles for which pools are chosen: the short ones first, and of each batch those that
/// could be worth most.
const EXPANSIONS_MAX: u32 = 1_024;
/// What choosing pools for the cycles through one pair may cost, in combinations that are bounded.
const WORK_MAX: u32 = 1 << 16;

/// A cycle in the making.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walk {
    pub(super) edges: [Edge; HOPS_MAX],
    /// What each edge is taken to do to the price.
    pub(super) prices: [f64; HOPS_MAX],
    pub(super) hop_count: usize,
    /// What the edges that are known multiply to.
    pub(super) price: f64,
}

impl Walk {
    /// With one edge more.
    #[inline]
    const fn with(mut self, place: usize, edge: Edge, price: f64) -> Self {
        self.edges[place] = edge;
        self.prices[place] = price;
        self.price *= price;
        self
    }
}

/// The screening of one search.
#[derive(Debug)]
pub(super) struct Screen<'s> {
    pub(super) pools: &'s PoolTable,
    pub(super) index: &'s CycleIndex,
    pub(super) prices: &'s Prices,
    pub(super) marks: &'s Marks,
    pub(super) limits: &'s SearchLimits,
    /// Native per unit of each base.
    pub(super) native_prices: &'s [f64],
    pub(super) shortlist: &'s mut Shortlist,
    /// Cycles through the pair that may still be weighed, and expanded.
    weighings: u32,
    expansions: u32,
    /// What choosing pools may still cost, in combinations that are bounded.
    pub(super) work: u32,
}

impl<'s> Screen<'s> {
    pub(super) const fn new(
        pools: &'s PoolTable,
        (index, prices, marks): (&'s CycleIndex, &'s Prices, &'s Marks),
        (limits, native_prices): (&'s SearchLimits, &'s [f64]),
        shortlist: &'s mut Shortlist,
    ) -> Self {
        let (weighings, expansions, work) = (0, 0, 0);
        Self {
            pools,
            index,
            prices,
            marks,
            limits,
            native_prices,
            shortlist,
            weighings,
            expansions,
            work,
        }
    }

    /// Looks at every token cycle through a pair in the directions that were touched. The pair is
    /// closed to walks, for none of its longer cycles meets it twice.
    pub(super) fn pair(&mut self, pair: usize) {
        (self.weighings, self.expansions, self.work) = (OPEN_MAX, EXPANSIONS_MAX, WORK_MAX);
        self.shortlist.counts.screened += 1;
        let index = self.index;
        let edges = [0, 1].map(|side| Edge::of(pair, side));
        let none = index.map.none();
        if index.slots_of(pair).len() >= 2 {
            let [there, back] = edges.map(|edge| self.prices.best(edge));
            let edges = [edges[0], edges[1], none, none];
            let (prices, price) = ([there, back, 1.0, 1.0], there * back);
            self.close(&Walk { edges, prices, hop_count: 2, price });
        }
        if index.map.is_through(pair) {
            self.around(pair, edges);
        }
        self.expand();
    }

    /// Looks at the cycles of three and more hops through a pair: the short ones first, for what
    /// those gain is the measure of the others.
    fn around(&mut self, pair: usize, edges: [Edge; 2]) {
        let index = self.index;
        for hop_count in 3..=index.hops_max().min(HOPS_MAX) {
            self.expand();
            for edge in edges.into_iter().filter(|edge| self.marks.has_touched(*edge)) {
                let (price, none) = (self.price_of(edge, hop_count), index.map.none());
                if price <= 0.0 {
                    continue;
                }
                let ends = index.map.ends(pair);
                let (from, to) = (ends[edge.side()], ends[1 - edge.side()]);
                let (edges, prices) = ([edge, none, none, none], [price, 1.0, 1.0, 1.0]);
                let walk = Walk { edges, prices, hop_count, price };
                if hop_count == 3 {
                    self.return_by_two(to, from, 1, walk);
                } else {
                    self.return_by_three(to, from, walk);
                }
            }
        }
    }

    /// Whether only touched pools count along an edge of a cycle: where no other pair was touched,
    /// and the cycle meets this one once.
    pub(super) fn is_bound(&self, edge: Edge, hop_count: usize) -> bool {
        self.marks.is_single() && hop_count > 2 && self.marks.has_touched(edge)
    }

    /// The pools that an edge of a cycle may lead through.
    #[inline]
    pub(super) fn slots_along(
        &self,
        edge: Edge,
        hop_count: usize,
    ) -> impl Iterator<Item = usize> + use<'s> {
        let (marks, is_bound) = (self.marks, self.is_bound(edge, hop_count));
        let slots = self.index.slots_of(edge.pair());
        slots.filter(move |slot| !is_bound || marks.is_touched(*slot, edge.side()))
    }

    /// The best price along an edge that a cycle can use.
    pub(super) fn price_of(&self, edge: Edge, hop_count: usize) -> f64 {
        if !self.is_bound(edge, hop_count) {
            return self.prices.best(edge);
        }
        let slots = self.slots_along(edge, hop_count);
        slots.map(|slot| self.prices.curve(slot, edge.side()).gain).fold(0.0, f64::max)
    }

    /// Closes a walk by three more hops.
    fn return_by_three(&mut self, from: Node, to: Node, walk: Walk) {
        let (index, prices) = (self.index, self.prices);
        let map = &index.map;
        if !map.is_hub(from) {
            for next in map.leaving(from) {
                if !self.marks.is_screened(next.edge) {
                    let walk = walk.with(1, next.edge, prices.best(next.edge));
                    self.return_by_two(next.node, to, 2, walk);
                }
            }
        } else if !map.is_hub(to) {
            for next in map.leaving(to) {
                let edge = next.edge.reversed();
                if !self.marks.is_screened(edge) {
                    self.return_by_two(from, next.node, 1, walk.with(3, edge, prices.best(edge)));
                }
            }
        } else {
            self.return_over_hubs(from as usize, to as usize, walk);
        }
    }

    /// Closes a walk from hub to hub by three more hops.
    fn return_over_hubs(&mut self, from: usize, to: usize, walk: Walk) {
        let (index, prices) = (self.index, self.prices);
        let map = &index.map;
        self.along_paths(index.paths.long(from, to), 1, walk);
        let least = PRICE_LEAST / walk.price;
        let (leaving, coming) = (prices.direct_from(from), prices.direct_to(to));
        let (around_from, around_to) =
            (prices.returns.around_from(from), prices.returns.around_to(to));
        if greatest_product(around_from, coming) > least {
            for hub in 0..map.hub_count() {
                if around_from[hub] * coming[hub] > least
                    && let Some(edge) = self.free_edge(hub, to)
                {
                    let walk = walk.with(3, edge, coming[hub]);
                    self.along_paths(index.paths.short(from, hub), 1, walk);
                }
            }
        }
        if greatest_product(leaving, around_to) > least {
            for hub in 0..map.hub_count() {
                if leaving[hub] * around_to[hub] > least
                    && let Some(edge) = self.free_edge(from, hub)
                {
                    let walk = walk.with(1, edge, leaving[hub]);
                    self.along_paths(index.paths.short(hub, to), 2, walk);
                }
            }
        }
        for (hub, price) in leaving.iter().enumerate().filter(|(_, price)| **price > 0.0) {
            if price * greatest_product(prices.direct_from(hub), coming) > least
                && let Some(edge) = self.free_edge(from, hub)
            {
                self.over_a_hub(hub, to, 2, walk.with(1, edge, *price));
            }
        }
    }

    /// Closes a walk by two more hops, from place `at` on.
    fn return_by_two(&mut self, from: Node, to: Node, at: usize, walk: Walk) {
        let (index, prices) = (self.index, self.prices);
        let map = &index.map;
        let is_from_hub = map.is_hub(from);
        if is_from_hub && map.is_hub(to) {
            self.along_paths(index.paths.short(from as usize, to as usize), at, walk);
            self.over_a_hub(from as usize, to as usize, at, walk);
            return;
        }
        let tail = if is_from_hub { to } else { from };
        for next in map.leaving(tail) {
            let (first, second) = if is_from_hub {
                (map.between(from, next.node), Some(next.edge.reversed()))
            } else {
                (Some(next.edge), map.between(next.node, to))
            };
            if let (Some(first), Some(second)) = (first, second) {
                let walk = walk.with(at, first, prices.best(first));
                let walk = walk.with(at + 1, second, prices.best(second));
                self.close_free(&walk, [first, second]);
            }
        }
    }

    /// Closes a walk from hub to hub through a third hub, from place `at` on.
    fn over_a_hub(&mut self, from: usize, to: usize, at: usize, walk: Walk) {
        let (leaving, coming) = (self.prices.direct_from(from), self.prices.direct_to(to));
        let least = PRICE_LEAST / walk.price;
        if greatest_product(leaving, coming) <= least {
            return;
        }
        for hub in 0..self.index.map.hub_count() {
            if leaving[hub] * coming[hub] > least
                && let Some(first) = self.free_edge(from, hub)
                && let Some(second) = self.free_edge(hub, to)
            {
                let walk = walk.with(at, first, leaving[hub]);
                self.close(&walk.with(at + 1, second, coming[hub]));
            }
        }
    }

    /// Closes a walk by each path of a group that is good enough, from place `at` on.
    fn along_paths(&mut self, group: usize, at: usize, walk: Walk) {
        let (index, prices) = (self.index, self.prices);
        let Some(least) = self.least(group, at, &walk) else { return };
        prices.returns.above(index, group, least, |place| {
            let path = index.paths.path(place);
            let mut closed = walk;
            // The walk has room for the path's two or three hops.
            for (at, edge) in (at..walk.hop_count).zip(path) {
                if *edge != index.map.none() {
                    closed = closed.with(at, *edge, prices.best(*edge));
                }
            }
            self.close_free(&closed, *path);
        });
    }

    /// The edge between two hubs that can still be walked.
    fn free_edge(&self, from: usize, to: usize) -> Option<Edge> {
        let edge = self.index.map.between_hubs(from, to)?;
        if self.marks.is_screened(edge) { None } else { Some(edge) }
    }

    /// Closes a walk unless one of these edges was screened before.
    fn close_free<const N: usize>(&mut self, walk: &Walk, edges: [Edge; N]) {
        if walk.price > PRICE_LEAST {
            let none = self.index.map.none();
            let is_taken = |edge: &Edge| *edge != none && self.marks.is_screened(*edge);
            if !edges.iter().any(is_taken) {
                self.close(walk);
            }
        }
    }

    /// Weighs a cycle that is complete, and puts it aside if it could be worth enough.
    fn close(&mut self, walk: &Walk) {
        if walk.price <= PRICE_LEAST {
            return;
        }
        let Some((base_rank, start)) = self.base_of(walk) else { return };
        if self.weighings == 0 {
            self.shortlist.counts.skipped += 1;
            return;
        }
        self.weighings -= 1;
        let is_promising = self.is_promising(walk, base_rank, start);
        let worth_most = if is_promising { self.worth_most(walk, base_rank, start) } else { 0.0 };
        if !is_promising || worth_most < self.shortlist.worth_least(walk.hop_count) {
            self.shortlist.counts.outvalued += 1;
            return;
        }
        let hop_count = walk.hop_count.min(HOPS_MAX);
        let mut edges = walk.edges;
        edges[..hop_count].rotate_left(start);
        // At most HOPS_MAX.
        let hop_count = u8::try_from(hop_count).unwrap_or(0);
        let cycle = TokenCycle { edges, hop_count, base_rank };
        if !self.shortlist.put_aside(Open { cycle, worth_most }) {
            self.expand();
            self.shortlist.put_aside(Open { cycle, worth_most });
        }
    }

    /// Chooses pools along the cycles that were put aside, those that could be worth most first.
    fn expand(&mut self) {
        self.shortlist.sort_open();
        let mut next = 0;
        while let Some(Open { cycle, worth_most }) = self.shortlist.open(next) {
            next += 1;
            if worth_most < self.shortlist.worth_least(cycle.hop_count.into()) {
                self.shortlist.counts.outvalued += 1;
            } else if self.expansions == 0 || self.work == 0 {
                self.shortlist.counts.skipped += 1;
            } else {
                self.expansions -= 1;
                let native_price = self.native_prices[usize::from(cycle.base_rank)];
                Expansion::run(self, &cycle, native_price);
            }
        }
        self.shortlist.clear_open();
    }
}
