//! Ticks: where the liquidity of concentrated pools begins and ends.
//!
//! A pool's initialised ticks are kept sorted, side by side, in one arena of fixed size; quotes
//! read them through [`Ticks`], a borrowed view. No bitmap is kept: the words at whose edges the
//! contract's loop stops follow from the tick spacing alone.
//!
//! A pool whose span is full moves to a larger one; the old span is used again by the next pool
//! that needs one of its size. Nothing is allocated after [`TickArena::new`].
//!
//! Invariants: indices of a span are sorted and distinct; `gross > 0` of every tick that is kept; a
//! change that cannot be made whole is not begun.
//!
//! Temperature: hot.

#![cfg_attr(
    not(test),
    expect(
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        reason = "places in an arena whose size fits 32 bits; liquidity is checked"
    )
)]

use alloc::vec;
use alloc::vec::Vec;

use crate::ids::PoolId;
use crate::prefetch::prefetch;

/// Lowest and highest tick that a pool can have.
pub const TICK_MAX: i32 = 887_272;

/// One initialised tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Tick {
    /// Which: the price there is 1.0001 to this power.
    pub index: i32,
    /// What is added to the liquidity in range when the price rises through it.
    pub net: i128,
    /// All liquidity that begins or ends here.
    pub gross: u128,
}

/// The ticks of one pool, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Ticks<'w> {
    index: &'w [i32],
    net: &'w [i128],
    known: [i32; 2],
}

impl<'w> Ticks<'w> {
    /// Those of a pool that has none.
    pub const NONE: Self = Self { index: &[], net: &[], known: [-TICK_MAX, TICK_MAX] };

    /// The initialised ticks, sorted.
    #[must_use]
    pub const fn indices(&self) -> &'w [i32] {
        self.index
    }

    /// The range of ticks within which every initialised one is known; a price that would leave it
    /// is refused.
    #[must_use]
    pub const fn known(&self) -> [i32; 2] {
        self.known
    }

    /// How many ticks are at or below `tick`: the place of the first above it.
    #[must_use]
    #[inline]
    pub fn above(&self, tick: i32) -> usize {
        self.index.partition_point(|index| *index <= tick)
    }

    /// The tick at this place, and its net liquidity.
    #[must_use]
    #[inline]
    pub fn at(&self, place: usize) -> Option<(i32, i128)> {
        Some((*self.index.get(place)?, *self.net.get(place)?))
    }
}

/// Why ticks could not be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum TickError {
    /// The arena has no room.
    Full,
    /// More liquidity is taken than was there, or the range is none: the state is wrong.
    Contradiction,
}

/// A change of liquidity between two ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// Where it begins, included.
    pub lower: i32,
    /// Where it ends, excluded.
    pub upper: i32,
    /// What is added; negative if it is taken.
    pub amount: i128,
}

impl Range {
    /// The change that takes this one back.
    #[must_use]
    pub const fn inverse(self) -> Self {
        Self { amount: self.amount.saturating_neg(), ..self }
    }
}

/// Sizes of spans: powers of two from [`SPAN_MIN`] on.
const CLASSES: usize = 20;
const SPAN_MIN: u32 = 8;
const NOWHERE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    len: u32,
    class: Option<u8>,
    known: [i32; 2],
}

impl Span {
    const EMPTY: Self = Self { start: 0, len: 0, class: None, known: [-TICK_MAX, TICK_MAX] };
}

/// The ticks of every pool.
#[derive(Debug)]
pub struct TickArena {
    index: Vec<i32>,
    net: Vec<i128>,
    gross: Vec<u128>,
    spans: Vec<Span>,
    /// First free span of each class; its first index says where the next one is.
    free: [u32; CLASSES],
    /// From here on nothing was ever used.
    unused: u32,
}

impl TickArena {
    /// An arena for `pools` pools and room for `capacity` ticks, of which some is lost to spans
    /// that are not full.
    ///
    /// # Panics
    /// When ticks could not be counted in 32 bits.
    #[must_use]
    #[cold]
    pub fn new(pools: usize, capacity: usize) -> Self {
        assert!(capacity < NOWHERE as usize, "a tick's place is a u32");
        Self {
            index: vec![0; capacity],
            net: vec![0; capacity],
            gross: vec![0; capacity],
            spans: Vec::with_capacity(pools),
            free: [NOWHERE; CLASSES],
            unused: 0,
        }
    }

    /// What room `count` ticks of one pool take, for the capacity of an arena.
    #[must_use]
    #[cold]
    pub fn room_for(count: usize) -> usize {
        if count == 0 { 0 } else { (count + 2).next_power_of_two().max(SPAN_MIN as usize) }
    }

    /// The ticks of a pool.
    #[must_use]
    #[inline]
    pub fn of(&self, pool: PoolId) -> Ticks<'_> {
        let Some(span) = self.spans.get(pool.index()) else { return Ticks::NONE };
        let (start, end) = (span.start as usize, (span.start + span.len) as usize);
        Ticks { index: &self.index[start..end], net: &self.net[start..end], known: span.known }
    }

    /// Asks memory for where a pool's ticks are; the number means nothing.
    pub(crate) fn warm(&self, pool: PoolId) -> u32 {
        self.spans.get(pool.index()).map_or(0, |span| span.start)
    }

    /// Asks memory for where a pool's ticks are, and waits for nothing.
    #[inline]
    pub(crate) fn prefetch(&self, pool: PoolId) {
        if let Some(span) = self.spans.get(pool.index()) {
            prefetch(span);
        }
    }

    /// A pool's ticks with all that is known of them, in order.
    pub fn list(&self, pool: PoolId) -> impl Iterator<Item = Tick> {
        let span = self.spans.get(pool.index()).copied().unwrap_or(Span::EMPTY);
        (span.start as usize..(span.start + span.len) as usize).map(|at| Tick {
            index: self.index[at],
            net: self.net[at],
            gross: self.gross[at],
        })
    }

    /// Says between which ticks every initialised one is known.
    pub fn set_known(&mut self, pool: PoolId, known: [i32; 2]) {
        if let Some(span) = self.spans.get_mut(pool.index()) {
            span.known = known;
        }
    }

    /// Replaces a pool's ticks; they must be sorted. A pool that is new is given its place.
    ///
    /// # Errors
    /// When there is no room, or they are not sorted; nothing is changed then.
    #[cold]
    pub fn load(&mut self, pool: PoolId, ticks: &[Tick]) -> Result<(), TickError> {
        if !ticks.is_sorted_by(|left, right| left.index < right.index) {
            return Err(TickError::Contradiction);
        }
        if self.spans.len() <= pool.index() {
            self.spans.resize(pool.index() + 1, Span::EMPTY);
        }
        let len = u32::try_from(ticks.len()).map_err(|_error| TickError::Full)?;
        let room = |class: u8| SPAN_MIN << class;
        let held = self.spans[pool.index()];
        if len > held.class.map_or(0, room) {
            let class = (0..)
                .find(|class| room(*class) >= len + 2)
                .filter(|class| usize::from(*class) < CLASSES)
                .ok_or(TickError::Full)?;
            let start = self.take(class).ok_or(TickError::Full)?;
            self.give_back(held);
            self.spans[pool.index()] = Span { start, class: Some(class), ..held };
        }
        let span = &mut self.spans[pool.index()];
        span.len = len;
        for (at, tick) in (span.start as usize..).zip(ticks) {
            (self.index[at], self.net[at], self.gross[at]) = (tick.index, tick.net, tick.gross);
        }
        Ok(())
    }

    /// Adds or takes liquidity between two ticks, as a pool's `Mint` and `Burn` do.
    ///
    /// # Errors
    /// When there is no room, or more is taken than was there; nothing is changed then.
    pub fn change(&mut self, pool: PoolId, range: Range) -> Result<(), TickError> {
        let Range { lower, upper, amount } = range;
        let negative = amount.checked_neg().ok_or(TickError::Contradiction)?;
        if lower >= upper || lower < -TICK_MAX || upper > TICK_MAX {
            return Err(TickError::Contradiction);
        }
        let low = self.changed(pool, lower, amount, amount)?;
        let high = self.changed(pool, upper, amount, negative)?;
        let new_count = u32::from(low.is_none_or(|(_, _, is_new)| is_new))
            + u32::from(high.is_none_or(|(_, _, is_new)| is_new));
        self.make_room(pool, new_count)?;
        for (index, change) in [(lower, low), (upper, high)] {
            if let Some((net, gross, _)) = change {
                self.write(pool, Tick { index, net, gross });
            }
        }
        Ok(())
    }

    /// What a tick becomes, and whether it is new; `None` where ticks are not known.
    fn changed(
        &self,
        pool: PoolId,
        index: i32,
        amount: i128,
        net_change: i128,
    ) -> Result<Option<(i128, u128, bool)>, TickError> {
        let span = self.spans.get(pool.index()).copied().unwrap_or(Span::EMPTY);
        if index < span.known[0] || index > span.known[1] {
            return Ok(None);
        }
        let place = self.place(span, index);
        let (net, gross) = place.map_or((0, 0), |at| (self.net[at], self.gross[at]));
        let gross = gross.checked_add_signed(amount).ok_or(TickError::Contradiction)?;
        let net = net.checked_add(net_change).ok_or(TickError::Contradiction)?;
        Ok(Some((net, gross, place.is_none())))
    }

    fn place(&self, span: Span, index: i32) -> Option<usize> {
        let indices = &self.index[span.start as usize..(span.start + span.len) as usize];
        indices.binary_search(&index).ok().map(|place| span.start as usize + place)
    }

    /// Moves a pool to a larger span if it cannot take so many more ticks.
    fn make_room(&mut self, pool: PoolId, more: u32) -> Result<(), TickError> {
        let Some(held) = self.spans.get(pool.index()).copied() else {
            return Err(TickError::Contradiction);
        };
        let wanted = held.len + more;
        if wanted <= held.class.map_or(0, |class| SPAN_MIN << class) {
            return Ok(());
        }
        let class = held.class.map_or(0, |class| class + 1);
        if usize::from(class) >= CLASSES {
            return Err(TickError::Full);
        }
        let start = self.take(class).ok_or(TickError::Full)?;
        let (from, end) = (held.start as usize, (held.start + held.len) as usize);
        self.index.copy_within(from..end, start as usize);
        self.net.copy_within(from..end, start as usize);
        self.gross.copy_within(from..end, start as usize);
        self.give_back(held);
        self.spans[pool.index()] = Span { start, class: Some(class), ..held };
        Ok(())
    }

    /// Writes a tick; one without liquidity is removed. There is room.
    fn write(&mut self, pool: PoolId, tick: Tick) {
        let span = self.spans[pool.index()];
        let (start, end) = (span.start as usize, (span.start + span.len) as usize);
        match (self.index[start..end].binary_search(&tick.index), tick.gross) {
            (Err(_), 0) => {}
            (Ok(place), 0) => {
                let at = start + place;
                self.index.copy_within(at + 1..end, at);
                self.net.copy_within(at + 1..end, at);
                self.gross.copy_within(at + 1..end, at);
                self.spans[pool.index()].len -= 1;
            }
            (Ok(place), gross) => {
                (self.net[start + place], self.gross[start + place]) = (tick.net, gross);
            }
            (Err(place), gross) => {
                let at = start + place;
                self.index.copy_within(at..end, at + 1);
                self.net.copy_within(at..end, at + 1);
                self.gross.copy_within(at..end, at + 1);
                (self.index[at], self.net[at], self.gross[at]) = (tick.index, tick.net, gross);
                self.spans[pool.index()].len += 1;
            }
        }
    }

    fn take(&mut self, class: u8) -> Option<u32> {
        let head = self.free[usize::from(class)];
        if head != NOWHERE {
            self.free[usize::from(class)] = self.index[head as usize].cast_unsigned();
            return Some(head);
        }
        let start = self.unused;
        let end = start.checked_add(SPAN_MIN << class)?;
        if end as usize > self.index.len() {
            return None;
        }
        self.unused = end;
        Some(start)
    }

    fn give_back(&mut self, span: Span) {
        if let Some(class) = span.class {
            let head = &mut self.free[usize::from(class)];
            self.index[span.start as usize] = head.cast_signed();
            *head = span.start;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const POOL: PoolId = PoolId(0);

    fn held(arena: &TickArena, pool: PoolId) -> Vec<Tick> {
        arena.list(pool).collect()
    }

    #[test]
    fn liquidity_begins_at_the_lower_tick_and_ends_at_the_upper() {
        let mut arena = TickArena::new(1, 8);
        arena.load(POOL, &[]).unwrap();
        arena.change(POOL, Range { lower: -60, upper: 60, amount: 5 }).unwrap();
        let ticks = [Tick { index: -60, net: 5, gross: 5 }, Tick { index: 60, net: -5, gross: 5 }];
        assert_eq!(held(&arena, POOL), ticks);
        assert_eq!(arena.of(POOL).above(-61), 0);
        assert_eq!(arena.of(POOL).above(-60), 1);
        assert_eq!(arena.of(POOL).at(1), Some((60, -5)));
    }

    #[test]
    fn more_than_is_there_is_not_taken_and_nothing_changes() {
        let mut arena = TickArena::new(1, 8);
        arena.load(POOL, &[]).unwrap();
        arena.change(POOL, Range { lower: -60, upper: 60, amount: 5 }).unwrap();
        let before = held(&arena, POOL);
        for (lower, upper, amount) in [(-60, 60, -6), (-60, 120, -5), (60, 60, 1), (60, -60, 1)] {
            let range = Range { lower, upper, amount };
            assert_eq!(arena.change(POOL, range), Err(TickError::Contradiction));
            assert_eq!(held(&arena, POOL), before);
        }
    }

    #[test]
    fn a_full_arena_refuses_and_keeps_what_it_has() {
        let mut arena = TickArena::new(2, 16);
        arena.load(POOL, &[]).unwrap();
        arena.load(PoolId(1), &[]).unwrap();
        for step in 0..4 {
            let range = Range { lower: step * 2, upper: step * 2 + 1, amount: 1 };
            arena.change(POOL, range).unwrap();
        }
        let before = held(&arena, POOL);
        let one_more = Range { lower: 100, upper: 101, amount: 1 };
        assert_eq!(arena.change(POOL, one_more), Err(TickError::Full));
        assert_eq!(held(&arena, POOL), before);
        assert_eq!(arena.change(PoolId(1), one_more), Ok(()));
    }

    #[test]
    fn a_span_that_was_left_is_used_again() {
        let mut arena = TickArena::new(2, 8 + 16);
        arena.load(POOL, &[]).unwrap();
        arena.load(PoolId(1), &[]).unwrap();
        for step in 0..5 {
            arena.change(POOL, Range { lower: step * 2, upper: step * 2 + 1, amount: 1 }).unwrap();
        }
        arena.change(PoolId(1), Range { lower: 0, upper: 1, amount: 1 }).unwrap();
        assert_eq!(held(&arena, POOL).len(), 10);
        assert_eq!(held(&arena, PoolId(1)).len(), 2);
    }

    proptest! {
        #[test]
        fn any_sequence_of_changes_is_as_a_map_keeps_it(
            changes in prop::collection::vec((0_u32..3, -9_i32..9, 1_i32..9, -4_i128..9), 1..200),
        ) {
            let mut arena = TickArena::new(3, 8 * 3 + 16 * 3 + 32 * 3);
            let mut model: [BTreeMap<i32, (i128, u128)>; 3] = Default::default();
            for pool in 0..3 {
                arena.load(PoolId(pool), &[]).unwrap();
            }
            for (pool, lower, width, amount) in changes {
                let range = Range { lower, upper: lower + width, amount };
                let map = &mut model[pool as usize];
                let gross = |tick| map.get(&tick).map_or(0, |(_, gross)| *gross);
                let is_there = [range.lower, range.upper]
                    .iter()
                    .all(|tick| gross(*tick).checked_add_signed(amount).is_some());
                prop_assert_eq!(arena.change(PoolId(pool), range).is_ok(), is_there);
                if !is_there {
                    continue;
                }
                for (tick, net) in [(range.lower, amount), (range.upper, -amount)] {
                    let held = map.entry(tick).or_default();
                    held.0 += net;
                    held.1 = held.1.checked_add_signed(amount).unwrap();
                    if held.1 == 0 {
                        map.remove(&tick);
                    }
                }
                for pool in 0..3 {
                    let listed: Vec<_> = arena.list(PoolId(pool)).collect();
                    let expected: Vec<_> = model[pool as usize]
                        .iter()
                        .map(|(&index, &(net, gross))| Tick { index, net, gross })
                        .collect();
                    prop_assert_eq!(listed, expected);
                }
            }
        }
    }
}
