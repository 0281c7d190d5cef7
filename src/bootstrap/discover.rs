//! Which pools there are: what the factories announced.
//!
//! Temperature: cold.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use alloy_primitives::{Address, B256, Bytes, U256, b256};
use anyhow::Result;
use gannet_engine::decode::topics::PAIR_CREATED;
use gannet_engine::world::FactoryKind;
use serde::Deserialize;
use serde_json::{Value, json};

use super::pool::{Kind, Known};
use super::ranges::Sought;
use super::read::Reader;
use crate::config::NamedFactory;

/// `PoolCreated(address,address,uint24,int24,address)`: a new pool of a Uniswap V3 factory.
const POOL_CREATED: B256 =
    b256!("783cca1c0412dd0d695e784568c96da2e9c22ff989357a2e8b1d9b2b4e6b7118");
/// `PoolCreated(address,address,bool,address,uint256)`: a new pool of a Solidly factory.
const SOLIDLY_POOL_CREATED: B256 =
    b256!("2128d88d14c80cb081c1252a5acff7a264671bf199ce226b53788fb26065005e");

/// What factories announce pools with.
pub(crate) const CREATIONS: [B256; 3] = [PAIR_CREATED, POOL_CREATED, SOLIDLY_POOL_CREATED];

/// A log, as far as it is read.
#[derive(Clone, Debug, Deserialize)]
struct Log {
    address: Address,
    topics: Vec<B256>,
    data: Bytes,
}

/// The pools that the factories announced in these blocks, each once, in the order of their
/// addresses.
pub(super) fn announced(
    reader: &mut Reader<'_>,
    factories: &[NamedFactory],
    blocks: RangeInclusive<u64>,
) -> Result<Vec<Known>> {
    let mut pools = Vec::new();
    let filter = |to: u64| -> Value {
        // One that is not there yet has no logs, and some nodes look for them all the same.
        let deployed = factories.iter().filter(|named| named.deployed_block <= to);
        let addresses: Vec<Address> = deployed.map(|named| named.factory.address).collect();
        json!({ "address": addresses, "topics": [CREATIONS] })
    };
    let earliest = factories.iter().map(|named| named.deployed_block).min().unwrap_or_default();
    let blocks = earliest.max(*blocks.start())..=*blocks.end();
    reader.logs(&Sought::POOLS, blocks, filter, |log: Log| pools.extend(pool(&log, factories)))?;
    pools.sort_unstable_by_key(|pool: &Known| pool.address);
    pools.dedup_by_key(|pool| pool.address);
    Ok(pools)
}

/// The pool that a factory announces in a log.
fn pool(log: &Log, factories: &[NamedFactory]) -> Option<Known> {
    let place = factories.iter().position(|named| named.factory.address == log.address)?;
    let [topic, first, second, rest @ ..] = log.topics.as_slice() else { return None };
    let word = |place: usize| log.data.get(place * 32..place * 32 + 32).map(U256::from_be_slice);
    let address = |place: usize| word(place).map(|word| Address::from_word(word.into()));
    let (kind, contract) = match factories[place].factory.kind {
        FactoryKind::UniswapV2 if *topic == PAIR_CREATED => (Kind::Pair, address(0)?),
        FactoryKind::UniswapV3 | FactoryKind::PancakeV3 if *topic == POOL_CREATED => {
            let tick_spacing = i32::try_from(word(0)?).ok()?;
            (Kind::Concentrated { tick_spacing }, address(1)?)
        }
        FactoryKind::Solidly if *topic == SOLIDLY_POOL_CREATED => {
            let is_stable = !rest.first()?.is_zero();
            (Kind::Solidly { is_stable }, address(0)?)
        }
        FactoryKind::UniswapV2
        | FactoryKind::UniswapV3
        | FactoryKind::PancakeV3
        | FactoryKind::Solidly => return None,
    };
    Some(Known {
        address: contract,
        tokens: [first, second].map(|token| Address::from_word(*token)),
        factory: u8::try_from(place).ok()?,
        kind,
    })
}

/// Reads the list of each V2 factory that has more pairs than it announced: its events are not all
/// on this node, or from before its `deployed_block`. The first `before[place]` pairs of a list are
/// known. Gives how many each factory lists, 0 where it is of another kind.
pub(super) fn complete(
    reader: &mut Reader<'_>,
    factories: &[NamedFactory],
    before: &[u32],
    pools: &mut Vec<Known>,
) -> Result<Vec<u32>> {
    let mut counts = vec![0; factories.len()];
    for (place, named) in (0_u8..).zip(factories) {
        if named.factory.kind != FactoryKind::UniswapV2 {
            continue;
        }
        let address = named.factory.address;
        let listed = reader.pair_count(address, &named.name)?;
        counts[usize::from(place)] = listed;
        let known = before.get(usize::from(place)).copied().unwrap_or_default();
        let announced = pools.iter().filter(|pool| pool.factory == place).count();
        if listed.saturating_sub(known) as usize <= announced {
            continue;
        }
        tracing::info!(
            factory = named.name,
            announced,
            listed,
            "this node has not the events of all its pairs: reading the factory's own list"
        );
        pools.retain(|pool| pool.factory != place);
        let found = reader.listed(address, known..listed, &named.name)?;
        let known = |(address, tokens)| Known { address, tokens, factory: place, kind: Kind::Pair };
        pools.extend(found.into_iter().map(known));
    }
    pools.sort_unstable_by_key(|pool| pool.address);
    pools.dedup_by_key(|pool| pool.address);
    Ok(counts)
}

/// A log's address and nothing else of it.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Touch {
    address: Address,
}

/// Every contract with a log in these blocks that changes a pool's state.
pub(super) fn touched(
    reader: &mut Reader<'_>,
    topics: &[B256],
    blocks: RangeInclusive<u64>,
) -> Result<HashSet<Address>> {
    let mut touched = HashSet::new();
    let filter = |_| json!({ "topics": [topics] });
    reader.logs(&Sought::POOLS, blocks, filter, |touch: Touch| {
        touched.insert(touch.address);
    })?;
    Ok(touched)
}

#[cfg(test)]
mod tests {
    use alloy_primitives::keccak256;

    use super::*;

    #[test]
    fn every_topic_is_the_hash_of_its_signature() {
        for (signature, topic) in [
            ("PoolCreated(address,address,uint24,int24,address)", POOL_CREATED),
            ("PoolCreated(address,address,bool,address,uint256)", SOLIDLY_POOL_CREATED),
        ] {
            assert_eq!(keccak256(signature), topic, "{signature}");
        }
    }
}
