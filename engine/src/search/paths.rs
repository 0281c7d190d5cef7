//! The paths from hub to hub through tails, by pair of hubs.
//!
//! A cycle that meets two hubs comes back from one to the other; there are thousands of ways where
//! both trade against most tokens. They are listed here once, two hops (one tail between) and three
//! hops (two tails between), grouped by where they start and end, so that the best of a group can
//! be kept up to date as prices move and a search needs only look at groups whose best pays.
//!
//! Invariants: tails on a path are distinct; a group fills whole blocks; at most [`PATHS_MAX`]
//! paths, and what did not fit is counted.
//!
//! Temperature: cold.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use super::cycles::{Edge, count};
use super::map::Map;
use crate::limits::PATHS_MAX;

/// Paths whose best is kept together.
pub(super) const BLOCK: usize = 16;

/// A path: two or three edges; the third of a shorter one has price 1.
pub(super) type Path = [Edge; 3];

/// All paths, and where each edge occurs.
#[derive(Debug)]
pub(super) struct Paths {
    /// Group by group, each padded to whole blocks.
    edges: Vec<Path>,
    count: usize,
    dropped: u64,
    /// First block of each group, and one more.
    group_blocks: Vec<u32>,
    group_of_block: Vec<u32>,
    hub_count: usize,
    /// The paths on which an edge is, edge by edge; and each edge's first.
    uses: Vec<u32>,
    use_starts: Vec<u32>,
}

impl Paths {
    #[cold]
    pub(super) fn of(map: &Map, hops_max: usize) -> Self {
        let mut found = Found { paths: Vec::new(), dropped: 0 };
        let hub_count = map.hub_count();
        for tail in map.tails() {
            found.through(map, tail, hops_max);
        }
        let Found { mut paths, dropped } = found;
        paths.sort_by_key(|(group, _)| *group);

        let none = map.none();
        let group_count = 2 * hub_count * hub_count;
        let mut edges: Vec<Path> = Vec::new();
        let mut group_blocks = vec![0_u32; group_count + 1];
        let mut group_of_block = Vec::new();
        for same in paths.chunk_by(|left, right| left.0 == right.0) {
            edges.extend(same.iter().map(|(_, path)| *path));
            edges.resize(edges.len().next_multiple_of(BLOCK), [none; 3]);
            group_of_block.resize(edges.len() / BLOCK, same[0].0);
        }
        for group in &group_of_block {
            group_blocks[*group as usize + 1] += 1;
        }
        for group in 0..group_count {
            group_blocks[group + 1] += group_blocks[group];
        }
        let (uses, use_starts) = uses_of(&edges, none);
        let count = paths.len();
        Self { edges, count, dropped, group_blocks, group_of_block, hub_count, uses, use_starts }
    }

    pub(super) const fn count(&self) -> usize {
        self.count
    }

    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Places for paths, padding included.
    pub(super) const fn place_count(&self) -> usize {
        self.edges.len()
    }

    /// The group of the paths with one tail between these hubs.
    #[inline]
    pub(super) const fn short(&self, from: usize, to: usize) -> usize {
        from * self.hub_count + to
    }

    /// The group of the paths with two tails between these hubs.
    #[inline]
    pub(super) const fn long(&self, from: usize, to: usize) -> usize {
        (self.hub_count + from) * self.hub_count + to
    }

    pub(super) const fn group_count(&self) -> usize {
        self.group_blocks.len() - 1
    }

    /// The hubs of a group of paths with one tail.
    #[inline]
    pub(super) const fn hubs_of_short(&self, group: usize) -> Option<[usize; 2]> {
        if group < self.hub_count * self.hub_count {
            Some([group / self.hub_count, group % self.hub_count])
        } else {
            None
        }
    }

    /// The hub at which a path ends.
    #[inline]
    pub(super) fn end_of(&self, place: usize) -> usize {
        self.end_of_group(self.group_of_block(place / BLOCK))
    }

    /// The hub at which the paths of a group end.
    #[inline]
    pub(super) const fn end_of_group(&self, group: usize) -> usize {
        group % self.hub_count
    }

    /// How many hops the paths of a group have.
    #[inline]
    pub(super) const fn hops_of_group(&self, group: usize) -> usize {
        if self.hubs_of_short(group).is_some() { 2 } else { 3 }
    }

    #[inline]
    pub(super) fn path(&self, place: usize) -> &Path {
        &self.edges[place]
    }

    /// The places of the paths on which an edge is.
    #[inline]
    pub(super) fn uses(&self, edge: Edge) -> &[u32] {
        let edge = edge.index();
        &self.uses[self.use_starts[edge] as usize..self.use_starts[edge + 1] as usize]
    }

    #[inline]
    pub(super) fn blocks(&self, group: usize) -> Range<usize> {
        self.group_blocks[group] as usize..self.group_blocks[group + 1] as usize
    }

    #[inline]
    pub(super) fn group_of_block(&self, block: usize) -> usize {
        self.group_of_block[block] as usize
    }
}

/// The paths in the making, with their groups.
struct Found {
    paths: Vec<(u32, Path)>,
    dropped: u64,
}

impl Found {
    /// The paths on which `tail` is the first or only tail.
    #[cold]
    fn through(&mut self, map: &Map, tail: u32, hops_max: usize) {
        let (none, hub_count) = (map.none(), count(map.hub_count()));
        let hubs = |node| map.leaving(node).iter().filter(|next| map.is_hub(next.node));
        for from in hubs(tail) {
            let enter = from.edge.reversed();
            for to in hubs(tail).filter(|to| to.node != from.node && hops_max >= 3) {
                let group = from.node * hub_count + to.node;
                self.push(group, [enter, to.edge, none]);
            }
            let tails = map.leaving(tail).iter().filter(|next| !map.is_hub(next.node));
            for middle in tails.filter(|_| hops_max >= 4) {
                for to in hubs(middle.node).filter(|to| to.node != from.node) {
                    let group = (hub_count + from.node) * hub_count + to.node;
                    self.push(group, [enter, middle.edge, to.edge]);
                }
            }
        }
    }

    fn push(&mut self, group: u32, path: Path) {
        if self.paths.len() == PATHS_MAX {
            self.dropped += 1;
        } else {
            self.paths.push((group, path));
        }
    }
}

/// The places of each edge, and each edge's first.
#[cold]
fn uses_of(edges: &[Path], none: Edge) -> (Vec<u32>, Vec<u32>) {
    let used = || {
        let places = (0_u32..).zip(edges);
        let places = places.flat_map(|(place, path)| path.map(|edge| (place, edge)));
        places.filter(|(_, edge)| *edge != none)
    };
    let mut starts = vec![0_u32; none.index() + 1];
    for (_, edge) in used() {
        starts[edge.index() + 1] += 1;
    }
    for edge in 1..starts.len() {
        starts[edge] += starts[edge - 1];
    }
    let mut uses = vec![0; starts.last().map_or(0, |all| *all as usize)];
    let mut next = starts.clone();
    for (place, edge) in used() {
        uses[next[edge.index()] as usize] = place;
        next[edge.index()] += 1;
    }
    (uses, starts)
}
