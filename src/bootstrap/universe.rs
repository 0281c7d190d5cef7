//! Choosing the universe: pools reachable from the base tokens, the most liquid first.
//!
//! Temperature: cold.

use std::collections::HashMap;

use alloy_primitives::Address;
use anyhow::{Context, Result, ensure};
use gannet_engine::amm::ConstantProduct;
use gannet_engine::amm::Pool;
use gannet_engine::ids::FactoryId;
use gannet_engine::limits::TOKENS_MAX;
use gannet_engine::world::pools::{PoolEntry, PoolTable};
use gannet_engine::world::tokens::TokenTable;
use gannet_engine::world::{Factory, Tip, Universe, World};

use super::Roster;
use super::pool::{Read, Reading};
use crate::config::Config;

/// Rounds in which prices spread from the native token: one per hop of a longest route.
const PRICE_ROUNDS: usize = 4;

/// Keeps what is reachable, ranks it, and cuts it at `universe.pools_max`.
pub(super) fn choose<S>(mut pools: Vec<Read>, config: &Config<S>) -> Vec<Read> {
    let found = pools.len();
    let mut prices: HashMap<Address, (f64, f64)> = HashMap::new();
    for base in &config.base_tokens {
        prices.insert(*base, (0.0, 0.0));
    }
    // The native token's own price is certain.
    prices.insert(config.chain.wrapped_native, (1.0, f64::INFINITY));
    // What it is worth in the native token; orders candidates, decides nothing.
    let mut liquidity = vec![0.0_f64; pools.len()];
    for _ in 0..PRICE_ROUNDS {
        for (pool, liquidity) in pools.iter().zip(&mut liquidity) {
            spread_price(pool, liquidity, &mut prices);
        }
    }
    let mut ranked: Vec<(f64, usize)> = liquidity.into_iter().zip(0..).collect();
    ranked.retain(|(_, place)| {
        let Read { known, reading, .. } = &pools[*place];
        reading.is_alive() && known.tokens.iter().all(|token| prices.contains_key(token))
    });
    ranked.sort_by(|left, right| {
        let address = |place: usize| pools[place].known.address;
        right.0.total_cmp(&left.0).then_with(|| address(left.1).cmp(&address(right.1)))
    });
    ranked.truncate(config.pools_max);
    let chosen: Vec<Read> = ranked
        .iter()
        .map(|(_, place)| {
            let pool = &mut pools[*place];
            Read { ticks: pool.ticks.take(), ..*pool }
        })
        .collect();
    if chosen.len() < found {
        let left_out = found - chosen.len();
        tracing::info!(
            left_out,
            "pools out of reach of the base tokens, or past universe.pools_max"
        );
    }
    chosen
}

/// Prices a pool's other token by the pool, if it is deeper than what priced it before.
fn spread_price(pool: &Read, best: &mut f64, prices: &mut HashMap<Address, (f64, f64)>) {
    let (tokens, depth) = (pool.known.tokens, pool.depth());
    let reserves = pool.reading.virtual_reserves();
    if !reserves.iter().all(|reserve| reserve.is_finite() && *reserve > 0.0) {
        return;
    }
    for (known, other) in [(0, 1), (1, 0)] {
        let Some((price, _)) = prices.get(&tokens[known]).copied() else { continue };
        let liquidity = 2.0 * price * depth[known];
        *best = best.max(liquidity);
        let held = prices.entry(tokens[other]).or_insert((0.0, 0.0));
        if liquidity > held.1 {
            *held = (price * reserves[known] / reserves[other], liquidity);
        }
    }
}

/// The addresses of every token that the universe needs, each once.
pub(super) fn tokens<S>(pools: &[Read], config: &Config<S>) -> Result<Vec<Address>> {
    let mut addresses = config.base_tokens.clone();
    addresses.push(config.chain.wrapped_native);
    addresses.extend(pools.iter().flat_map(|pool| pool.known.tokens));
    let mut seen = std::collections::HashSet::new();
    addresses.retain(|address| seen.insert(*address));
    ensure!(
        addresses.len() <= TOKENS_MAX,
        "more than {TOKENS_MAX} tokens: lower universe.pools_max"
    );
    Ok(addresses)
}

/// The world of these pools at `anchor`; `decimals` are those of [`tokens`], in their order.
pub(super) fn build<S>(
    config: &Config<S>,
    anchor: Tip,
    chosen: &mut Vec<Read>,
    decimals: &[(Address, Option<u8>)],
) -> Result<World> {
    let mut tokens = TokenTable::new(decimals.len());
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
    chosen.retain(|pool| state(pool, &factories, &tokens).is_some());
    if chosen.len() < before {
        let left_out = before - chosen.len();
        tracing::warn!(left_out, "pools in a state that their kind cannot have");
    }
    let mut pools = PoolTable::new(chosen.len());
    for pool in chosen.iter() {
        let known = pool.known;
        let ids = [id_of(&known.tokens[0])?, id_of(&known.tokens[1])?];
        let Some(state) = state(pool, &factories, &tokens) else { continue };
        let entry = PoolEntry::new(known.address, FactoryId(known.factory), ids, state);
        pools.insert(entry).map_err(refused)?;
    }
    pools.index_pairs();
    tokens.set_bases(&bases);
    let chain = config.chain;
    Ok(World::new(Universe { chain, tokens, pools, factories, bases, native, anchor }))
}

/// What the engine quotes on; `None` where the chain says what the kind cannot have.
pub(super) fn state(pool: &Read, factories: &[Factory], _tokens: &TokenTable) -> Option<Pool> {
    match pool.reading {
        Reading::Pair { reserves } => {
            let factory = factories.get(usize::from(pool.known.factory))?;
            ConstantProduct::new(reserves, factory.fee_pips).map(Into::into)
        }
        _ => None,
    }
}

/// The pools of a world as they are to be kept: as the chain has them, without the trades of a
/// dry-run.
pub(super) fn kept(_world: &World, _roster: &Roster) -> Vec<Read> {
    Vec::new()
}

fn refused(reason: gannet_engine::world::pools::Refused) -> anyhow::Error {
    anyhow::anyhow!("the universe's tables refuse an entry: {reason:?}")
}
