//! Choosing the universe: pools reachable from the base tokens, the most liquid first.
//!
//! Temperature: cold.

use std::collections::HashMap;

use alloy_primitives::Address;
use anyhow::{Context, Result, ensure};
use gannet_engine::amm::ConstantProduct;
use gannet_engine::ids::FactoryId;
use gannet_engine::limits::TOKENS_MAX;
use gannet_engine::world::pools::{PoolEntry, PoolTable};
use gannet_engine::world::tokens::TokenTable;
use gannet_engine::world::{Tip, Universe, World};

use super::batch::{Pair, Reader};
use crate::config::Config;

/// Rounds in which prices spread from the native token: one per hop of a longest route.
const PRICE_ROUNDS: usize = 4;

#[derive(Clone, Copy, Debug)]
struct Candidate {
    factory: FactoryId,
    fee_pips: u32,
    pair: Pair,
    /// Twice what its priced side is worth in the native token; orders candidates, decides nothing.
    liquidity: f64,
}

pub(super) fn load<S>(config: &Config<S>, reader: &mut Reader<'_>, anchor: Tip) -> Result<World> {
    let mut candidates = Vec::new();
    for (index, named) in config.factories.iter().enumerate() {
        let factory = FactoryId(u8::try_from(index).context("too many factories")?);
        let fee_pips = named.factory.fee_pips;
        let pairs = reader.pairs(named.factory.address, &named.name)?;
        let fit = pairs.into_iter().filter(|pair| pair.reserves.iter().all(|held| *held > 0));
        candidates.extend(fit.map(|pair| Candidate { factory, fee_pips, pair, liquidity: 0.0 }));
    }
    let found = candidates.len();
    let candidates = choose(candidates, config);
    if candidates.len() < found {
        let left_out = found - candidates.len();
        tracing::info!(
            left_out,
            "pools out of reach of the base tokens, or past universe.pools_max"
        );
    }
    build(config, reader, anchor, &candidates)
}

/// Keeps what is reachable, ranks it, and cuts it at `universe.pools_max`.
fn choose<S>(mut candidates: Vec<Candidate>, config: &Config<S>) -> Vec<Candidate> {
    let mut prices: HashMap<Address, (f64, f64)> = HashMap::new();
    for base in &config.base_tokens {
        prices.insert(*base, (0.0, 0.0));
    }
    // The native token's own price is certain.
    prices.insert(config.chain.wrapped_native, (1.0, f64::INFINITY));
    for _ in 0..PRICE_ROUNDS {
        for candidate in &mut candidates {
            spread_price(candidate, &mut prices);
        }
    }
    candidates
        .retain(|candidate| candidate.pair.tokens.iter().all(|token| prices.contains_key(token)));
    candidates.sort_by(|left, right| {
        right.liquidity.total_cmp(&left.liquidity).then(left.pair.address.cmp(&right.pair.address))
    });
    candidates.truncate(config.pools_max);
    candidates
}

/// Prices a pair's other token by the pair, if it is deeper than what priced it before.
fn spread_price(candidate: &mut Candidate, prices: &mut HashMap<Address, (f64, f64)>) {
    let Pair { tokens, reserves, .. } = candidate.pair;
    #[expect(clippy::cast_precision_loss, reason = "chooses candidates only")]
    let reserves = reserves.map(|reserve| reserve as f64);
    for (known, other) in [(0, 1), (1, 0)] {
        let Some((price, _)) = prices.get(&tokens[known]).copied() else { continue };
        let liquidity = 2.0 * price * reserves[known];
        candidate.liquidity = candidate.liquidity.max(liquidity);
        let held = prices.entry(tokens[other]).or_insert((0.0, 0.0));
        if liquidity > held.1 {
            *held = (price * reserves[known] / reserves[other], liquidity);
        }
    }
}

fn build<S>(
    config: &Config<S>,
    reader: &mut Reader<'_>,
    anchor: Tip,
    candidates: &[Candidate],
) -> Result<World> {
    let mut addresses = config.base_tokens.clone();
    addresses.push(config.chain.wrapped_native);
    addresses.extend(candidates.iter().flat_map(|candidate| candidate.pair.tokens));
    let mut seen = std::collections::HashSet::new();
    addresses.retain(|address| seen.insert(*address));
    ensure!(
        addresses.len() <= TOKENS_MAX,
        "more than {TOKENS_MAX} tokens: lower universe.pools_max"
    );

    let decimals = reader.decimals(&addresses)?;
    let mut tokens = TokenTable::new(addresses.len());
    for (address, decimals) in addresses.iter().zip(decimals) {
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

    let mut pools = PoolTable::new(candidates.len());
    for candidate in candidates {
        let Pair { address, tokens: [first, second], reserves } = candidate.pair;
        let state = ConstantProduct::new(reserves, candidate.fee_pips)
            .with_context(|| format!("pair {address} reports reserves of more than 112 bits"))?;
        let ids = [id_of(&first)?, id_of(&second)?];
        let entry = PoolEntry::new(address, candidate.factory, ids, state.into());
        pools.insert(entry).map_err(refused)?;
    }
    pools.index_pairs();
    tokens.set_bases(&bases);
    let factories = config.factories.iter().map(|named| named.factory).collect();
    let chain = config.chain;
    Ok(World::new(Universe { chain, tokens, pools, factories, bases, native, anchor }))
}

fn refused(reason: gannet_engine::world::pools::Refused) -> anyhow::Error {
    anyhow::anyhow!("the universe's tables refuse an entry: {reason:?}")
}
