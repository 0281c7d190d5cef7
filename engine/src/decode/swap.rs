//! A pending transaction as swaps through known pools: where its addresses become handles.
//!
//! Only what is known from the first step to the last becomes a route. A router that pays into a
//! pool, or swaps a token that nobody knows, is left alone.
//!
//! Temperature: hot.

use alloy_primitives::{Address, U256};

use super::calldata::{
    self, Action, Actions, Amount, Call, PairSwap, Path, Recipient, RoutedSwap, RouterSwap,
};
use super::pending::PendingTx;
use crate::ids::{Direction, FactoryId, PoolId, TokenId};
use crate::limits::{TARGET_HOPS_MAX, TARGET_TOKENS_MAX};
use crate::target::{Part, Payer, Route, Share, Slot, Step, TargetHop, Way};
use crate::world::{Router, RouterKind, World};

/// Longest calldata that is decoded, in bytes: a Universal Router's plan with a permit and as many
/// swaps as are followed is shorter.
pub const CALLDATA_BYTES_MAX: usize = 8_192;

/// Where a transaction is addressed to, if that is a place where swaps begin.
enum Place<'w> {
    /// A V2 factory's own router.
    Pairs(FactoryId),
    /// A router that does several things.
    Routed(&'w Router),
    Pair(PoolId),
}

/// Reads a transaction as swaps; `None` if it is none, or goes through a pool that is not known.
#[must_use]
pub fn decode(
    tx: &PendingTx<'_>,
    world: &World,
    scratch: &mut [u8; CALLDATA_BYTES_MAX],
) -> Option<Route> {
    let place = place_of(&tx.to?, world)?;
    let input = tx.decode_input(scratch).ok()?;
    if let Place::Routed(router) = place {
        let actions = calldata::actions(input, router.kind).ok()?;
        return through_plan(&actions, router, world, tx.value);
    }
    match (calldata::parse(input, tx.value).ok()?, place) {
        (Call::Router(swap), Place::Pairs(factory)) => through_router(&swap, factory, world),
        (Call::Pair(swap), Place::Pair(pool)) => through_pair(&swap, pool),
        (Call::Router(_) | Call::Pair(_) | Call::Other, _) => None,
    }
}

fn place_of<'w>(to: &Address, world: &'w World) -> Option<Place<'w>> {
    if let Some(factory) = world.factory_of_router(to) {
        return Some(Place::Pairs(factory));
    }
    match world.routers.iter().find(|router| router.address == *to) {
        Some(router) => Some(Place::Routed(router)),
        None => world.pools.id_of(to).map(Place::Pair),
    }
}

/// The pools of a path, in its order.
struct Hops {
    list: [TargetHop; TARGET_HOPS_MAX],
    count: usize,
}

impl Hops {
    fn of(path: &Path<'_>, factory: FactoryId, world: &World) -> Option<Self> {
        let none = TargetHop { pool: PoolId(0), direction: Direction::OneForZero };
        let mut hops = Self { list: [none; TARGET_HOPS_MAX], count: 0 };
        let mut from = world.tokens.id_of(&path.get(0)?)?;
        for (index, address) in path.iter().skip(1).enumerate() {
            let to = world.tokens.id_of(&address)?;
            let (pool, direction) = match path.fee(index) {
                Some(fee) => world.pool_of(factory, [from, to], fee)?,
                None => world.pair_of(factory, from, to)?,
            };
            *hops.list.get_mut(hops.count)? = TargetHop { pool, direction };
            hops.count += 1;
            from = to;
        }
        Some(hops)
    }

    fn as_slice(&self) -> &[TargetHop] {
        &self.list[..self.count.min(TARGET_HOPS_MAX)]
    }

    fn has_twice(&self) -> bool {
        let hops = self.as_slice();
        (1..hops.len()).any(|place| hops[..place].iter().any(|hop| hop.pool == hops[place].pool))
    }
}

fn through_router(swap: &RouterSwap<'_>, factory: FactoryId, world: &World) -> Option<Route> {
    let hops = Hops::of(&swap.path, factory, world)?;
    // The router fixes every amount before the first swap, so a pool's second swap is not what
    // a quote then says; right behind the first, the pool is paid by itself and reverts.
    if hops.has_twice() {
        return None;
    }
    // The router refuses a path that does not begin or end with the native token it wraps.
    let is_native = |index| {
        swap.path.get(index).and_then(|token| world.tokens.id_of(&token)) == Some(world.native)
    };
    if (swap.function.native_in() && !is_native(0))
        || (swap.function.native_out() && !is_native(swap.path.len() - 1))
    {
        return None;
    }
    let way = if swap.function.is_exact_in() { Way::ExactIn } else { Way::ExactOut };
    let mut route = Route::path(hops.as_slice(), way, swap.amount, swap.limit)?;
    route.deadline = swap.deadline;
    Some(route)
}

/// A swap straight at a pair names only what comes out; what goes in is at least what the pair
/// asks.
fn through_pair(swap: &PairSwap, pool: PoolId) -> Option<Route> {
    let (direction, amount) = match (swap.amount0_out, swap.amount1_out) {
        (0, out) if out > 0 => (Direction::ZeroForOne, out),
        (out, 0) if out > 0 => (Direction::OneForZero, out),
        _ => return None,
    };
    Route::path(&[TargetHop { pool, direction }], Way::ExactOut, amount, u128::MAX)
}

fn through_plan(
    actions: &Actions<'_>,
    router: &Router,
    world: &World,
    value: U256,
) -> Option<Route> {
    let mut route = Route::new();
    route.value = u128::try_from(value).ok()?;
    route.wraps_itself = router.kind != RouterKind::Universal;
    route.deadline = actions.deadline;
    route.parent = actions.parent;
    let tokens = [world.native; TARGET_TOKENS_MAX];
    // Native and its wrapped form have their places.
    let mut planner = Planner { world, router, route, tokens, token_count: 2 };
    planner.all(actions.list())?;
    planner.route.parts().next()?;
    Some(planner.route)
}

/// Turns what a router does into steps.
struct Planner<'w> {
    world: &'w World,
    router: &'w Router,
    route: Route,
    /// The token of each slot; the first two are native and its wrapped form.
    tokens: [TokenId; TARGET_TOKENS_MAX],
    token_count: usize,
}

impl Planner<'_> {
    fn all(&mut self, mut actions: &[Action<'_>]) -> Option<()> {
        // Each round takes one action or more.
        while let Some((action, rest)) = actions.split_first() {
            actions = rest;
            let Action::Try { count } = action else {
                self.one(action)?;
                continue;
            };
            let (tried, rest) = rest.split_at_checked(usize::from(*count))?;
            actions = rest;
            let place = self.route.steps().len();
            self.route.push(Step::Try { count: 0 })?;
            for action in tried {
                self.one(action)?;
            }
            self.route.close_try(place);
        }
        Some(())
    }

    fn one(&mut self, action: &Action<'_>) -> Option<()> {
        match *action {
            Action::Swap(swap) => self.swap(&swap),
            Action::Wrap { amount, to } => {
                let to = self.keeps(to)?.then_some(Slot::WRAPPED);
                self.give(Slot::NATIVE, share(amount), to)
            }
            Action::Unwrap { least, to } => {
                let is_kept = self.keeps(to)?;
                // V3's periphery takes native from nobody but the token that unwraps it.
                if is_kept && self.route.wraps_itself {
                    return None;
                }
                self.give(Slot::WRAPPED, Share::All(least), is_kept.then_some(Slot::NATIVE))
            }
            Action::Pull { token, amount, to } => {
                match (self.keeps(to)?, self.world.tokens.id_of(&token)) {
                    (true, Some(token)) => {
                        let slot = self.slot(token)?;
                        self.route.push(Step::Get { slot, amount })
                    }
                    // Nothing that is swapped.
                    (true, None) | (false, _) => Some(()),
                }
            }
            Action::Pay { token, amount, to } => {
                // Of native, the number that stands for all is a number.
                if token.is_zero() && amount == Amount::Held {
                    return None;
                }
                self.pay(token, share(amount), to)
            }
            Action::PayPortion { token, bips, to } => self.pay(token, Share::Bips(bips), to),
            Action::Sweep { token, least, to } => self.pay(token, Share::All(least), to),
            // Attempts are taken apart in `all`.
            Action::Try { .. } => None,
        }
    }

    fn swap(&mut self, swap: &RoutedSwap<'_>) -> Option<()> {
        let has_fees = swap.path.has_fees();
        let factory = if has_fees { self.router.v3 } else { self.router.v2 };
        let hops = Hops::of(&swap.path, factory?, self.world)?;
        // A pair that is paid by itself, or a V3 pool that is called while it waits for its
        // payment, reverts.
        if hops.has_twice() && (!has_fees || swap.way != Way::ExactIn) {
            return None;
        }
        if self.route.wraps_itself && self.route.value > 0 && self.is_wrapped_within(&hops) {
            return None;
        }
        let has_price_limit = !swap.price_limit.is_zero();
        if has_price_limit {
            // One limit is kept, and one is all that anybody sets.
            if !self.route.price_limit.is_zero() {
                return None;
            }
            self.route.price_limit = swap.price_limit;
        }
        let paid = self.slot(self.world.tokens.id_of(&swap.path.get(0)?)?)?;
        let last = self.world.tokens.id_of(&swap.path.get(swap.path.len() - 1)?)?;
        let kept = if self.keeps(swap.to)? { Some(self.slot(last)?) } else { None };
        let (payer, amount) = match (swap.amount, swap.is_paid_by_router) {
            (Amount::Held, _) => (Payer::RouterAll, 0),
            (Amount::Exactly(amount), true) => (Payer::Router, amount),
            (Amount::Exactly(amount), false) => (Payer::Sender, amount),
        };
        let first_hop = u8::try_from(self.route.hops().len()).ok()?;
        for hop in hops.as_slice() {
            self.route.push_hop(*hop)?;
        }
        self.route.push(Step::Swap(Part {
            amount,
            limit: swap.limit,
            way: swap.way,
            payer,
            first_hop,
            hop_count: u8::try_from(hops.count).ok()?,
            paid,
            kept,
            has_price_limit,
        }))
    }

    /// Whether a path goes through the wrapped token: a router that wraps by itself would pay the
    /// second pool from the native one that it holds, and keep what the first gave.
    fn is_wrapped_within(&self, hops: &Hops) -> bool {
        hops.as_slice().iter().skip(1).any(|hop| {
            let tokens = self.world.pools.get(hop.pool).tokens;
            tokens[hop.direction.index_in()] == self.world.native
        })
    }

    fn pay(&mut self, token: Address, share: Share, to: Recipient) -> Option<()> {
        let is_kept = self.keeps(to)?;
        let slot = if token.is_zero() {
            Slot::NATIVE
        } else {
            match self.world.tokens.id_of(&token) {
                Some(token) => self.slot(token)?,
                // Nothing that is swapped: whatever of it is there may be paid, and nothing need.
                None if matches!(share, Share::All(0) | Share::Bips(_)) => return Some(()),
                None => return None,
            }
        };
        self.give(slot, share, is_kept.then_some(slot))
    }

    fn give(&mut self, from: Slot, share: Share, to: Option<Slot>) -> Option<()> {
        self.route.push(Step::Give { from, share, to })
    }

    /// Whether the router keeps what goes there. `None` if it goes into a pool: what a pair then
    /// swaps is not what anybody asked for.
    fn keeps(&self, to: Recipient) -> Option<bool> {
        match to {
            Recipient::Router => Some(true),
            Recipient::Other(to) if to == self.router.address => Some(true),
            Recipient::Other(to) if self.world.pools.id_of(&to).is_some() => None,
            Recipient::Other(_) | Recipient::Sender => Some(false),
        }
    }

    fn slot(&mut self, token: TokenId) -> Option<Slot> {
        // Slot 0 is native, of which no pool has any.
        let known = self.tokens.iter().take(self.token_count).skip(1);
        let place = known.take_while(|held| **held != token).count() + 1;
        if place == self.token_count {
            *self.tokens.get_mut(place)? = token;
            self.token_count += 1;
        }
        u8::try_from(place).ok().map(Slot)
    }
}

const fn share(amount: Amount) -> Share {
    match amount {
        Amount::Exactly(amount) => Share::Exactly(amount),
        Amount::Held => Share::All(0),
    }
}
