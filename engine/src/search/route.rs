//! The best way from one token to another: what a liquidator sells collateral through.
//!
//! More of a token never sells for less, so the best pool of each hop gives the best of all ways
//! through the same tokens. Looked at are the pair itself, and one or two base tokens between.
//! Pools that somebody else is to have can be left out.
//!
//! Temperature: warm.

use crate::amm::PoolView;
use crate::ids::{Direction, PoolId, TokenId};
use crate::limits::{BASE_TOKENS_MAX, HOPS_MAX};
use crate::plan::Leg;
use crate::world::World;

/// Most swaps of a way: one less than a program has, for a liquidation is more than a swap.
pub const ROUTE_HOPS_MAX: usize = HOPS_MAX - 1;

/// Where ways are looked for.
#[derive(Clone, Copy, Debug)]
pub struct Around<'w> {
    /// The pools.
    pub world: &'w World,
    /// Those that no way may lead through.
    pub avoid: &'w [PoolId],
}

impl<'w> From<&'w World> for Around<'w> {
    /// All pools of a world.
    fn from(world: &'w World) -> Self {
        Self { world, avoid: &[] }
    }
}

/// A way from one token to another, with exact amounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    legs: [Leg; ROUTE_HOPS_MAX],
    count: usize,
    /// What goes in, in the first token's smallest unit.
    pub amount_in: u128,
    /// What comes out, in the last token's smallest unit.
    pub amount_out: u128,
}

impl Route {
    /// The way from a token to itself.
    const fn nowhere(amount: u128) -> Self {
        Self { legs: [Leg::NONE; ROUTE_HOPS_MAX], count: 0, amount_in: amount, amount_out: amount }
    }

    /// The swaps, in order.
    #[must_use]
    pub fn legs(&self) -> &[Leg] {
        &self.legs[..self.count]
    }

    /// The best way to sell `amount` of `from` for `to`; `None` if there is none.
    #[must_use]
    pub fn sell(around: Around<'_>, [from, to]: [TokenId; 2], amount: u128) -> Option<Self> {
        let step = |way: &Self, at, next| way.then(around, at, next);
        Self::best(around.world, [from, to], amount, (step, better))
    }

    /// The best way to buy `amount` of `to` with `from`; `None` if there is none. It may give a
    /// little more.
    #[must_use]
    pub fn buy(around: Around<'_>, [from, to]: [TokenId; 2], amount: u128) -> Option<Self> {
        let step = |way: &Self, at, next| way.behind(around, next, at);
        let best = Self::best(around.world, [to, from], amount, (step, cheaper))?;
        // Forwards, as it is run.
        best.with_amount(around.world, best.amount_in)
    }

    /// The best of the ways from the token whose amount is known to the other: hop by hop, each as
    /// `step` finds it, of two of which `pick` takes one.
    fn best(
        world: &World,
        [near, far]: [TokenId; 2],
        amount: u128,
        (step, pick): (
            impl Fn(&Self, TokenId, TokenId) -> Option<Self>,
            impl Fn(Option<Self>, Option<Self>) -> Option<Self>,
        ),
    ) -> Option<Self> {
        let start = Self::nowhere(amount);
        if near == far {
            return Some(start);
        }
        let mut best = step(&start, near, far);
        let bases = world.bases.iter().take(BASE_TOKENS_MAX).copied();
        for first in bases.clone().filter(|base| *base != near && *base != far) {
            let Some(half) = step(&start, near, first) else { continue };
            best = pick(best, step(&half, first, far));
            for second in bases.clone().filter(|base| ![near, far, first].contains(base)) {
                let way = step(&half, first, second);
                best = pick(best, way.and_then(|way| step(&way, second, far)));
            }
        }
        best
    }

    /// What the same pools ask for, for another amount of what comes out; `None` if they cannot
    /// give it.
    #[must_use]
    pub fn cost_of(&self, world: &World, amount: u128) -> Option<u128> {
        self.legs().iter().rev().try_fold(amount, |needed, leg| {
            world.pools.view(leg.pool).quote_in(needed, leg.direction)
        })
    }

    /// What the same pools pay for another amount; `None` if they cannot.
    #[must_use]
    pub fn with_amount(&self, world: &World, amount: u128) -> Option<Self> {
        let mut way = Self::nowhere(amount);
        for leg in self.legs() {
            let amount_out = world.quote(leg.pool, leg.direction, way.amount_out)?;
            way = way.joined(leg.pool, leg.direction, amount_out)?;
        }
        Some(way)
    }

    /// With one more hop, through the pool that gives most.
    fn then(&self, around: Around<'_>, from: TokenId, to: TokenId) -> Option<Self> {
        let quote = |pool: PoolView<'_>, way| pool.quote_out(self.amount_out, way);
        let (amount_out, pool, direction) =
            self.best_pool(around, [from, to], quote, |out, most| out > most)?;
        self.joined(pool, direction, amount_out)
    }

    /// With one more hop in front, through the pool that asks least.
    fn behind(&self, around: Around<'_>, from: TokenId, to: TokenId) -> Option<Self> {
        let needed = self.amount_in;
        let quote = |pool: PoolView<'_>, way| pool.quote_in(needed, way);
        let (amount_in, pool, direction) =
            self.best_pool(around, [from, to], quote, |asked, least| asked < least)?;
        let mut way = *self;
        let used = way.legs.get_mut(..=way.count)?;
        used.rotate_right(1);
        *used.first_mut()? = Leg { pool, direction, amount_in, amount_out: needed };
        way.count += 1;
        way.amount_in = amount_in;
        Some(way)
    }

    /// The pool of a pair with the best quote, of those that are free.
    fn best_pool(
        &self,
        around: Around<'_>,
        [from, to]: [TokenId; 2],
        quote: impl Fn(PoolView<'_>, Direction) -> Option<u128>,
        is_better: impl Fn(u128, u128) -> bool,
    ) -> Option<(u128, PoolId, Direction)> {
        let world = around.world;
        let mut best: Option<(u128, PoolId, Direction)> = None;
        for pool in world.pools.pools_of_pair(from, to) {
            let entry = world.pools.get(*pool);
            let is_used = self.legs().iter().any(|leg| leg.pool == *pool);
            if !entry.is_tradable() || is_used || around.avoid.contains(pool) {
                continue;
            }
            let direction =
                if entry.tokens[0] == from { Direction::ZeroForOne } else { Direction::OneForZero };
            if let Some(amount) = quote(world.pools.view(*pool), direction)
                && best.is_none_or(|(other, ..)| is_better(amount, other))
            {
                best = Some((amount, *pool, direction));
            }
        }
        best
    }

    fn joined(mut self, pool: PoolId, direction: Direction, amount_out: u128) -> Option<Self> {
        let place = self.legs.get_mut(self.count)?;
        *place = Leg { pool, direction, amount_in: self.amount_out, amount_out };
        self.count += 1;
        self.amount_out = amount_out;
        Some(self)
    }
}

const fn better(best: Option<Route>, other: Option<Route>) -> Option<Route> {
    match (best, other) {
        (Some(best), Some(other)) if other.amount_out > best.amount_out => Some(other),
        (None, other) => other,
        (best, _) => best,
    }
}

const fn cheaper(best: Option<Route>, other: Option<Route>) -> Option<Route> {
    match (best, other) {
        (Some(best), Some(other)) if other.amount_in < best.amount_in => Some(other),
        (None, other) => other,
        (best, _) => best,
    }
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use alloy_primitives::Address;
    use proptest::prelude::*;

    use super::*;
    use crate::amm::ConstantProduct;
    use crate::chain::ChainSpec;
    use crate::ids::FactoryId;
    use crate::world::pools::{PoolEntry, PoolTable};
    use crate::world::tokens::TokenTable;
    use crate::world::{Tip, Universe};

    /// Bases among them: the first three.
    const TOKENS: u32 = 5;

    /// A world of pools of two tokens with these reserves, at 0.3 %.
    fn world(sketches: &[([u32; 2], [u128; 2])]) -> World {
        let mut tokens = TokenTable::new(TOKENS as usize);
        let ids: Vec<TokenId> =
            (1..=5).map(|place| tokens.insert([place; 20].into(), 18).unwrap()).collect();
        let mut pools = PoolTable::new(sketches.len(), 0);
        for (place, (pair, reserves)) in (101_u8..).zip(sketches) {
            let state = ConstantProduct::new(*reserves, 3_000).unwrap().into();
            let address = Address::from([place; 20]);
            pools.insert(PoolEntry::new(address, FactoryId(0), pair.map(TokenId), state)).unwrap();
        }
        pools.index_pairs();
        World::new(Universe {
            chain: ChainSpec::ethereum(1, [1; 20].into()),
            tokens,
            pools,
            factories: Vec::new(),
            routers: Vec::new(),
            native: ids[0],
            bases: ids[..3].to_vec(),
            anchor: Tip::default(),
        })
    }

    #[test]
    fn a_way_leads_around_the_pools_that_are_to_be_avoided() {
        let deep = [([0, 3], [9_000, 9_000]), ([0, 3], [5_000, 5_000]), ([1, 3], [9_000; 2])];
        let world = world(&deep);
        let ends = [TokenId(3), TokenId(0)];
        let through = |avoid: &[PoolId]| {
            let around = Around { world: &world, avoid };
            let [sold, bought] = [Route::sell(around, ends, 100), Route::buy(around, ends, 100)]
                .map(|way| {
                    way.map(|way| way.legs().iter().map(|leg| leg.pool.0).collect::<Vec<_>>())
                });
            assert_eq!(sold, bought);
            sold
        };
        assert_eq!(through(&[]), Some(vec![0]));
        assert_eq!(through(&[PoolId(0)]), Some(vec![1]));
        assert_eq!(through(&[PoolId(0), PoolId(1)]), None);
    }

    /// Every way that leads over nothing but bases, and over none twice, one by one.
    fn brute(world: &World, to: TokenId, amount: u128, visited: &[TokenId]) -> u128 {
        let from = *visited.last().unwrap();
        let mut best = if from == to { amount } else { 0 };
        if visited.len() > ROUTE_HOPS_MAX || from == to {
            return best;
        }
        for pool in world.pools.ids() {
            let entry = world.pools.get(*pool);
            let Some(side) = entry.tokens.iter().position(|token| *token == from) else { continue };
            let next = entry.tokens[1 - side];
            if visited.contains(&next) || !(next == to || world.bases.contains(&next)) {
                continue;
            }
            let direction = [Direction::ZeroForOne, Direction::OneForZero][side];
            let Some(out) = world.quote(*pool, direction, amount) else { continue };
            best = best.max(brute(world, to, out, &[visited, &[next]].concat()));
        }
        best
    }

    fn sketch() -> impl Strategy<Value = ([u32; 2], [u128; 2])> {
        let reserve = 1_000_u128..1_000_000_000;
        ((0..TOKENS, 1..TOKENS), [reserve.clone(), reserve])
            .prop_map(|((first, step), reserves)| ([first, (first + step) % TOKENS], reserves))
    }

    proptest! {
        #[test]
        fn no_way_over_the_bases_gives_more(
            sketches in prop::collection::vec(sketch(), 1..12),
            (from, step) in (0..TOKENS, 0..TOKENS),
            amount in 1_u128..10_000_000,
        ) {
            let world = world(&sketches);
            let ends = [TokenId(from), TokenId((from + step) % TOKENS)];
            let found = Route::sell((&world).into(), ends, amount);
            let best = brute(&world, ends[1], amount, &[ends[0]]);
            prop_assert_eq!(found.map_or(0, |found| found.amount_out), best);
            if let Some(found) = found {
                prop_assert_eq!(found.with_amount(&world, amount), Some(found));
                let mut given = amount;
                for leg in found.legs() {
                    prop_assert_eq!(leg.amount_in, given);
                    given = leg.amount_out;
                }
                prop_assert_eq!(given, found.amount_out);
            }
        }
    }

    proptest! {
        /// Whatever is bought could have been had for no less by selling along any way.
        #[test]
        fn what_is_bought_is_had_and_a_little_less_buys_less(
            sketches in prop::collection::vec(sketch(), 1..12),
            (from, step) in (0..TOKENS, 1..TOKENS),
            amount in 1_u128..1_000_000,
        ) {
            let world = world(&sketches);
            let ends = [TokenId(from), TokenId((from + step) % TOKENS)];
            let Some(found) = Route::buy((&world).into(), ends, amount) else { return Ok(()) };
            prop_assert!(found.amount_out >= amount);
            prop_assert_eq!(found.cost_of(&world, amount), Some(found.amount_in));
            prop_assert_eq!(found.with_amount(&world, found.amount_in), Some(found));
            let less = found.amount_in - 1;
            prop_assert!(less == 0 || brute(&world, ends[1], less, &[ends[0]]) < amount);
        }
    }
}
