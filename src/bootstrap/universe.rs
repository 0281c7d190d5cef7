//! Choosing the universe: pools reachable from the base tokens, the most liquid first.
//!
//! Temperature: cold.

use std::collections::{HashMap, HashSet};

use alloy_primitives::{Address, U256};
use anyhow::{Context, Result, ensure};
use gannet_engine::amm::ticks::TickArena;
use gannet_engine::amm::{
    Concentrated, ConcentratedState, ConstantProduct, Pool, Solidly, SolidlyState, Tick,
};
use gannet_engine::ids::FactoryId;
use gannet_engine::limits::TOKENS_MAX;
use gannet_engine::world::pools::{PoolEntry, PoolTable};
use gannet_engine::world::tokens::TokenTable;
use gannet_engine::world::{Factory, FactoryKind, Standing, Tip, Universe, World};

use super::Roster;
use super::pool::{Kind, Known, Read, Reading};
use crate::config::Config;

/// Rounds in which prices spread from the native token: one per hop of a longest route.
const PRICE_ROUNDS: usize = 4;

/// What is chosen, and what the choice went by.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) pools: Vec<Read>,
    pub(super) prices: Prices,
    /// The liquidity of the first pool there was no room for; 0 if there was room for all.
    pub(super) least: f64,
}

/// What tokens are worth in the native one, and the liquidity of the pool that says so. Orders
/// candidates, decides nothing.
#[derive(Clone, Debug)]
pub(super) struct Prices(HashMap<Address, (f64, f64)>);

impl Prices {
    fn new<S>(config: &Config<S>) -> Self {
        let mut prices: HashMap<Address, (f64, f64)> =
            config.base_tokens.iter().map(|base| (*base, (0.0, 0.0))).collect();
        // The native token's own price is certain.
        prices.insert(config.chain.wrapped_native, (1.0, f64::INFINITY));
        Self(prices)
    }

    fn has(&self, token: &Address) -> bool {
        self.0.contains_key(token)
    }

    /// What a pool's tokens are worth, in the native one, if one of them has a price: prices the
    /// other by the pool, if it is deeper than what priced it before.
    pub(super) fn spread(&mut self, pool: &Read) -> f64 {
        let (tokens, depth) = (pool.known.tokens, pool.depth());
        let reserves = pool.reading.virtual_reserves();
        let mut best = 0.0_f64;
        if !reserves.iter().all(|reserve| reserve.is_finite() && *reserve > 0.0) {
            return best;
        }
        for (known, other) in [(0, 1), (1, 0)] {
            let Some((price, _)) = self.0.get(&tokens[known]).copied() else { continue };
            let liquidity = 2.0 * price * depth[known];
            best = best.max(liquidity);
            let held = self.0.entry(tokens[other]).or_insert((0.0, 0.0));
            if liquidity > held.1 {
                *held = (price * reserves[known] / reserves[other], liquidity);
            }
        }
        best
    }
}

/// Keeps what is reachable, ranks it, and cuts it at `universe.pools_max`.
pub(super) fn choose<S>(mut pools: Vec<Read>, config: &Config<S>) -> Choice {
    let found = pools.len();
    let mut prices = Prices::new(config);
    // What it is worth in the native token; orders candidates, decides nothing.
    let mut liquidity = vec![0.0_f64; pools.len()];
    for _ in 0..PRICE_ROUNDS {
        for (pool, liquidity) in pools.iter().zip(&mut liquidity) {
            *liquidity = liquidity.max(prices.spread(pool));
        }
    }
    let mut ranked: Vec<(f64, usize)> = liquidity.into_iter().zip(0..).collect();
    ranked.retain(|(_, place)| {
        let Read { known, reading, .. } = &pools[*place];
        reading.is_alive() && known.tokens.iter().all(|token| prices.has(token))
    });
    ranked.sort_by(|left, right| {
        let address = |place: usize| pools[place].known.address;
        right.0.total_cmp(&left.0).then_with(|| address(left.1).cmp(&address(right.1)))
    });
    let mut seen: HashSet<Address> = needed(config).collect();
    let mut chosen = Vec::new();
    let mut least = 0.0;
    for (liquidity, place) in ranked {
        if chosen.len() == config.pools_max {
            least = liquidity;
            break;
        }
        let pool = &mut pools[place];
        let new = pool.known.tokens.iter().filter(|token| !seen.contains(*token)).count();
        if seen.len() + new > TOKENS_MAX {
            continue;
        }
        seen.extend(pool.known.tokens);
        chosen.push(Read { ticks: pool.ticks.take(), ..*pool });
    }
    if chosen.len() < found {
        let left_out = found - chosen.len();
        tracing::info!(
            left_out,
            "pools out of reach of the base tokens, past universe.pools_max, or of too many tokens"
        );
    }
    Choice { pools: chosen, prices, least }
}

/// The tokens that are in every universe.
fn needed<S>(config: &Config<S>) -> impl Iterator<Item = Address> {
    config.base_tokens.iter().copied().chain([config.chain.wrapped_native])
}

/// The addresses of every token that the universe needs, each once.
pub(super) fn tokens<S>(pools: &[Read], config: &Config<S>) -> Vec<Address> {
    let mut seen = HashSet::new();
    let all = needed(config).chain(pools.iter().flat_map(|pool| pool.known.tokens));
    all.filter(|address| seen.insert(*address)).collect()
}

/// The world of these pools at `anchor`; `decimals` are those of [`tokens`], in their order.
pub(super) fn build<S>(
    config: &Config<S>,
    anchor: Tip,
    chosen: &mut Vec<Read>,
    decimals: &[(Address, Option<u8>)],
) -> Result<World> {
    // One of the tokens of each pool that is created later is known.
    let mut tokens = TokenTable::new(decimals.len() + config.new_pools.most);
    for (address, decimals) in decimals {
        let is_base = config.base_tokens.contains(address);
        ensure!(
            decimals.is_some() || !is_base,
            "{address} of universe.base_tokens does not answer decimals(): is it a token?"
        );
        tokens.insert(*address, decimals.unwrap_or(18)).map_err(refused)?;
    }
    let id_of = |address: &Address| {
        tokens.id_of(address).with_context(|| format!("{address} is not in the universe"))
    };
    let native = id_of(&config.chain.wrapped_native)?;
    let bases = config.base_tokens.iter().map(id_of).collect::<Result<Vec<_>>>()?;

    let factories: Vec<Factory> = config.factories.iter().map(|named| named.factory).collect();
    let before = chosen.len();
    let decimals_of = |known: &Known| {
        known.tokens.map(|token| {
            let id = tokens.id_of(&token);
            id.map_or(18, |id| tokens.get(id).decimals)
        })
    };
    let state = |pool: &Read| {
        let fee_pips = factories.get(usize::from(pool.known.factory))?.fee_pips;
        state(&pool.known, &pool.reading, decimals_of(&pool.known), fee_pips)
    };
    chosen.retain(|pool| state(pool).is_some());
    if chosen.len() < before {
        let left_out = before - chosen.len();
        tracing::warn!(left_out, "pools in a state that their kind cannot have");
    }
    let room: usize = chosen.iter().map(|pool| TickArena::room_for(ticks_of(pool).len())).sum();
    // What is minted while it flies needs room too: twice as much, and some for each pool.
    let room = room.saturating_mul(2).saturating_add(TICKS_SPARE);
    let room = if has_ticks(chosen, &factories) { room } else { 0 };
    let mut pools = PoolTable::new(chosen.len() + config.new_pools.most, room);
    for pool in chosen.iter() {
        let known = pool.known;
        let ids = [id_of(&known.tokens[0])?, id_of(&known.tokens[1])?];
        let Some(state) = state(pool) else { continue };
        let entry = PoolEntry::new(known.address, FactoryId(known.factory), ids, state);
        // Nobody has tried it yet.
        let entry = PoolEntry { standing: Standing::Untried, ..entry };
        pools.insert_with_ticks(entry, ticks_of(pool)).map_err(refused)?;
    }
    pools.index_pairs();
    tokens.set_bases(&bases);
    let chain = config.chain;
    let routers = config.routers.clone();
    Ok(World::new(Universe { chain, tokens, pools, factories, routers, bases, native, anchor }))
}

/// Ticks that pools may gain while it flies, at least.
const TICKS_SPARE: usize = 16_384;

fn ticks_of(pool: &Read) -> &[Tick] {
    pool.ticks.as_deref().unwrap_or_default()
}

/// Whether a pool has ticks, or one that is created later may.
fn has_ticks(pools: &[Read], factories: &[Factory]) -> bool {
    pools.iter().any(|pool| matches!(pool.reading, Reading::Concentrated { .. }))
        || factories.iter().any(|factory| match factory.kind {
            FactoryKind::UniswapV3 | FactoryKind::PancakeV3 => true,
            FactoryKind::UniswapV2 | FactoryKind::Solidly => false,
        })
}

/// What the engine quotes on; `None` where the chain says what the kind cannot have.
pub(super) fn state(
    known: &Known,
    reading: &Reading,
    decimals: [u8; 2],
    fee_pips: u32,
) -> Option<Pool> {
    match (*reading, known.kind) {
        (Reading::Pair { reserves }, _) => ConstantProduct::new(reserves, fee_pips).map(Pool::from),
        (Reading::Concentrated { sqrt_price, tick, liquidity, fee_pips, tick_spacing }, _) => {
            let state = ConcentratedState { sqrt_price, tick, liquidity, fee_pips, tick_spacing };
            Concentrated::new(&state).map(Pool::from)
        }
        (Reading::Solidly { reserves, fee_pips }, Kind::Solidly { is_stable }) => {
            let state = SolidlyState { reserves, decimals, fee_pips, is_stable };
            Solidly::new(&state).map(Pool::from)
        }
        (Reading::Solidly { .. }, Kind::Pair | Kind::Concentrated { .. }) => None,
    }
}

/// A pool that cannot be traded with.
pub(super) fn empty(known: &Known, decimals: [u8; 2]) -> Pool {
    let reading = match known.kind {
        Kind::Pair => Reading::Pair { reserves: [0; 2] },
        Kind::Solidly { .. } => Reading::Solidly { reserves: [0; 2], fee_pips: 0 },
        Kind::Concentrated { tick_spacing } => Reading::Concentrated {
            sqrt_price: U256::ZERO,
            tick: 0,
            liquidity: 0,
            fee_pips: 0,
            tick_spacing: tick_spacing.clamp(1, 16_383),
        },
    };
    state(known, &reading, decimals, 0).unwrap_or_else(|| ConstantProduct::EMPTY.into())
}

/// The pools of a world as they are to be kept: as the chain has them, without the trades of a
/// dry-run.
pub(super) fn kept(world: &World, roster: &Roster) -> Vec<Read> {
    let pools = world.pools.ids().iter().zip(roster.pools.iter().zip(&roster.held));
    pools
        .map(|(id, (known, held))| {
            let chain = world.pools.get(*id).chain;
            let ticks = world.pools.tick_list(*id).collect();
            let is_ranged = matches!(chain, Pool::Concentrated(_));
            Read {
                known: *known,
                reading: reading_of(&chain),
                held: *held,
                ticks: is_ranged.then_some(ticks),
            }
        })
        .collect()
}

fn reading_of(pool: &Pool) -> Reading {
    match pool {
        Pool::ConstantProduct(pool) => Reading::Pair { reserves: pool.reserves() },
        Pool::Solidly(pool) => {
            let SolidlyState { reserves, fee_pips, .. } = pool.state();
            Reading::Solidly { reserves, fee_pips }
        }
        Pool::Concentrated(pool) => {
            let ConcentratedState { sqrt_price, tick, liquidity, fee_pips, tick_spacing } =
                pool.state();
            Reading::Concentrated { sqrt_price, tick, liquidity, fee_pips, tick_spacing }
        }
    }
}

fn refused(reason: gannet_engine::world::pools::Refused) -> anyhow::Error {
    anyhow::anyhow!("the universe's tables refuse an entry: {reason:?}")
}
