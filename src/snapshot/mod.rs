//! A snapshot: the pools as the bot knows them, at a block.
//!
//! Temperature: cold.

pub(crate) mod series;

use std::collections::BTreeMap;
use std::path::Path;

use alloy_primitives::{Address, B256};
use anyhow::{Context, Result};
use gannet_engine::amm::Pool;
use gannet_engine::amm::concentrated::Concentrated;
use gannet_engine::amm::ticks::Tick;
use gannet_engine::world::World;
use serde::Serialize;

/// The world at its last sealed block.
#[derive(Debug, Serialize)]
struct Snapshot {
    block: u64,
    hash: B256,
    pools: BTreeMap<Address, State>,
}

/// A pool as the chain has it: without the trades of a dry-run. Amounts are decimal strings.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum State {
    /// Reserves of token 0 and token 1, in their smallest unit.
    Reserves([String; 2]),
    Concentrated {
        /// The square root of the price of token 0 in token 1, times 2⁹⁶.
        sqrt_price: String,
        tick: i32,
        liquidity: String,
        /// Every initialised one, in order.
        ticks: Vec<TickState>,
    },
}

/// A tick at which liquidity changes.
#[derive(Debug, Serialize)]
struct TickState {
    index: i32,
    /// Liquidity that comes in when the price rises through it.
    net: String,
    gross: String,
}

/// Writes the world's pools to `path`.
pub(crate) fn write(path: &Path, world: &World) -> Result<()> {
    let states = world.pools.ids().iter().map(|id| {
        let entry = world.pools.get(*id);
        (entry.address, state_of(&entry.chain, world.pools.tick_list(*id)))
    });
    let pools = states.collect();
    let tip = world.tip();
    let snapshot = Snapshot { block: tip.number.0, hash: tip.hash, pools };
    std::fs::write(path, serde_json::to_vec(&snapshot)?)
        .with_context(|| format!("writing the snapshot {}", path.display()))
}

fn state_of(pool: &Pool, ticks: impl Iterator<Item = Tick>) -> State {
    match pool {
        Pool::ConstantProduct(pool) => reserves(pool.reserves()),
        Pool::Solidly(pool) => reserves(pool.state().reserves),
        Pool::Concentrated(pool) => concentrated(pool, ticks),
    }
}

fn reserves(amounts: [u128; 2]) -> State {
    State::Reserves(amounts.map(|amount| amount.to_string()))
}

fn concentrated(pool: &Concentrated, ticks: impl Iterator<Item = Tick>) -> State {
    State::Concentrated {
        sqrt_price: pool.sqrt_price().to_string(),
        tick: pool.tick(),
        liquidity: pool.liquidity().to_string(),
        ticks: ticks
            .map(|Tick { index, net, gross }| TickState {
                index,
                net: net.to_string(),
                gross: gross.to_string(),
            })
            .collect(),
    }
}
