//! A pending transaction as swaps through known pools: where its addresses become handles.
//!
//! Temperature: hot.

use alloy_primitives::Address;

use super::calldata::{self, Call, PairSwap, RouterSwap};
use super::pending::PendingTx;
use crate::ids::{Direction, FactoryId, PoolId};
use crate::limits::TARGET_HOPS_MAX;
use crate::mempool::{TargetHop, Terms};
use crate::world::World;

/// Longest calldata of a swap that is decoded, in bytes: a router call with the longest path is
/// shorter.
pub const CALLDATA_BYTES_MAX: usize = 1_024;

/// What a pending transaction swaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swap {
    /// The swaps; the first `hop_count` count.
    pub hops: [TargetHop; TARGET_HOPS_MAX],
    /// How many of `hops` are used.
    pub hop_count: u8,
    /// What is fixed, and within what bound.
    pub terms: Terms,
    /// The last timestamp, in seconds, at which it is accepted.
    pub deadline: u64,
}

const NO_HOP: TargetHop = TargetHop { pool: PoolId(0), direction: Direction::OneForZero };

/// Where a transaction is addressed to, if that is a place where swaps begin.
enum Place {
    Router(FactoryId),
    Pair(PoolId),
}

/// Reads a transaction as swaps; `None` if it is none, or goes through a pool that is not known.
#[must_use]
pub fn decode(
    tx: &PendingTx<'_>,
    world: &World,
    scratch: &mut [u8; CALLDATA_BYTES_MAX],
) -> Option<Swap> {
    let place = place_of(&tx.to?, world)?;
    let input = tx.decode_input(scratch).ok()?;
    match (calldata::parse(input, tx.value).ok()?, place) {
        (Call::Router(swap), Place::Router(factory)) => through_router(&swap, factory, world),
        (Call::Pair(swap), Place::Pair(pool)) => through_pair(&swap, pool),
        (Call::Router(_), Place::Pair(_))
        | (Call::Pair(_), Place::Router(_))
        | (Call::Other, _) => None,
    }
}

fn place_of(to: &Address, world: &World) -> Option<Place> {
    match world.factory_of_router(to) {
        Some(factory) => Some(Place::Router(factory)),
        None => world.pools.id_of(to).map(Place::Pair),
    }
}

fn through_router(swap: &RouterSwap<'_>, factory: FactoryId, world: &World) -> Option<Swap> {
    let mut hops = [NO_HOP; TARGET_HOPS_MAX];
    let mut hop_count = 0_u8;
    let mut from = world.tokens.id_of(&swap.path.get(0)?)?;
    for address in swap.path.iter().skip(1) {
        let to = world.tokens.id_of(&address)?;
        let (pool, direction) = world.pair_of(factory, from, to)?;
        // The router fixes every amount before the first swap, so a pool's second swap is not what
        // a quote then says; right behind the first, the pool is paid by itself and reverts.
        if hops.iter().take(usize::from(hop_count)).any(|hop| hop.pool == pool) {
            return None;
        }
        *hops.get_mut(usize::from(hop_count))? = TargetHop { pool, direction };
        hop_count += 1;
        from = to;
    }
    // The router refuses a path that does not begin or end with the native token it wraps.
    let first = world.tokens.id_of(&swap.path.get(0)?)?;
    if (swap.function.native_in() && first != world.native)
        || (swap.function.native_out() && from != world.native)
    {
        return None;
    }
    let (amount, limit) = (swap.amount, swap.limit);
    let terms = if swap.function.is_exact_in() {
        Terms::ExactIn { amount, least_out: limit }
    } else {
        Terms::ExactOut { amount, most_in: limit }
    };
    Some(Swap { hops, hop_count, terms, deadline: swap.deadline })
}

/// A swap straight at a pair names only what comes out; what goes in is at least what the pair
/// asks.
const fn through_pair(swap: &PairSwap, pool: PoolId) -> Option<Swap> {
    let (direction, amount) = match (swap.amount0_out, swap.amount1_out) {
        (0, out) if out > 0 => (Direction::ZeroForOne, out),
        (out, 0) if out > 0 => (Direction::OneForZero, out),
        _ => return None,
    };
    let mut hops = [NO_HOP; TARGET_HOPS_MAX];
    hops[0] = TargetHop { pool, direction };
    let terms = Terms::ExactOut { amount, most_in: u128::MAX };
    Some(Swap { hops, hop_count: 1, terms, deadline: u64::MAX })
}
