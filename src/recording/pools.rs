//! The pools before a segment's first block, as tables.
//!
//! Temperature: cold.

use std::collections::BTreeMap;

use alloy_primitives::{Address, U256};
use anyhow::{Context as _, Result, bail};
use gannet_engine::amm::{
    Concentrated, ConcentratedState, ConstantProduct, Pool, Solidly, SolidlyState, Tick, Ticks,
};
use gannet_engine::ids::{PoolId, TokenId};
use gannet_engine::world::pools::PoolTable;

use super::column::Height;
use super::read::{Recording, rows};
use super::rows::{PoolRow, Row, TickRow};
use crate::venue::Venue;

/// The kinds of pools by their names in the table; of solidly's two curves each has its own.
const VOLATILE: &str = "solidly_volatile";
const STABLE: &str = "solidly_stable";

/// Pools before a block.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot(pub(crate) Vec<Venue>);

impl Snapshot {
    /// The pools of a world as the chain has them; `token` gives a token's address.
    pub(crate) fn of(pools: &PoolTable, token: impl Fn(TokenId) -> Address) -> Self {
        let venue = |id: &PoolId| {
            let entry = pools.get(*id);
            Venue {
                address: entry.address,
                tokens: entry.tokens.map(&token),
                state: entry.chain,
                ticks: pools.tick_list(*id).collect(),
                known: pools.ticks(*id).known(),
            }
        };
        Self(pools.ids().iter().map(venue).collect())
    }

    /// As tables: what they are before block `number`.
    pub(super) fn into_rows(self, number: u64) -> (Vec<PoolRow>, Vec<TickRow>) {
        let block_number = Height(number);
        let (mut pools, mut ticks) = (Vec::new(), Vec::new());
        for venue in self.0 {
            let pool = venue.address;
            ticks.extend(venue.ticks.iter().map(|tick| TickRow {
                block_number,
                pool,
                tick: tick.index.into(),
                net: tick.net.to_string(),
                gross: U256::from(tick.gross),
            }));
            pools.push(row_of(&venue, block_number));
        }
        (pools, ticks)
    }

    /// Out of the tables.
    fn of_rows(pools: Vec<PoolRow>, ticks: Vec<TickRow>) -> Result<Self> {
        let mut by_pool: BTreeMap<Address, Vec<Tick>> = BTreeMap::new();
        for row in ticks {
            let told = || format!("tick {} of pool {}", row.tick, row.pool);
            let index = i32::try_from(row.tick).with_context(told)?;
            let net = row.net.parse().with_context(told)?;
            let gross = u128::try_from(row.gross).with_context(told)?;
            by_pool.entry(row.pool).or_default().push(Tick { index, net, gross });
        }
        let venue = |row: PoolRow| {
            let state = state_of(&row).with_context(|| {
                let PoolRow { address, kind, .. } = &row;
                format!("pool {address} of kind {kind:?} is in no state that pools can have")
            })?;
            let mut ticks = by_pool.remove(&row.address).unwrap_or_default();
            ticks.sort_by_key(|tick| tick.index);
            let (address, tokens) = (row.address, [row.token0, row.token1]);
            anyhow::Ok(Venue { address, tokens, state, ticks, known: Ticks::NONE.known() })
        };
        let venues = pools.into_iter().map(venue).collect::<Result<_>>()?;
        if let Some(stray) = by_pool.keys().next() {
            bail!("there are ticks of {stray}, but no pool");
        }
        Ok(Self(venues))
    }
}

fn row_of(venue: &Venue, block_number: Height) -> PoolRow {
    let row = PoolRow {
        block_number,
        address: venue.address,
        kind: ConstantProduct::NAME.to_owned(),
        token0: venue.tokens[0],
        token1: venue.tokens[1],
        fee_pips: 0,
        reserve0: None,
        reserve1: None,
        decimals0: None,
        decimals1: None,
        sqrt_price: None,
        tick: None,
        liquidity: None,
        tick_spacing: None,
    };
    let held = |[first, second]: [u128; 2]| (Some(U256::from(first)), Some(U256::from(second)));
    match &venue.state {
        Pool::ConstantProduct(pool) => {
            let (reserve0, reserve1) = held(pool.reserves());
            PoolRow { fee_pips: pool.fee_pips(), reserve0, reserve1, ..row }
        }
        Pool::Solidly(pool) => {
            let SolidlyState { reserves, decimals, fee_pips, is_stable } = pool.state();
            let (reserve0, reserve1) = held(reserves);
            let kind = if is_stable { STABLE } else { VOLATILE }.to_owned();
            let [decimals0, decimals1] = decimals.map(|decimals| Some(decimals.into()));
            PoolRow { kind, fee_pips, reserve0, reserve1, decimals0, decimals1, ..row }
        }
        Pool::Concentrated(pool) => {
            let state = pool.state();
            PoolRow {
                kind: Concentrated::NAME.to_owned(),
                fee_pips: state.fee_pips,
                sqrt_price: Some(state.sqrt_price),
                tick: Some(state.tick.into()),
                liquidity: Some(U256::from(state.liquidity)),
                tick_spacing: Some(state.tick_spacing.unsigned_abs()),
                ..row
            }
        }
    }
}

fn state_of(row: &PoolRow) -> Option<Pool> {
    let narrow = |word: Option<U256>| u128::try_from(word?).ok();
    let reserves = || Some([narrow(row.reserve0)?, narrow(row.reserve1)?]);
    match row.kind.as_str() {
        ConstantProduct::NAME => ConstantProduct::new(reserves()?, row.fee_pips).map(Pool::from),
        VOLATILE | STABLE => {
            let decimals = |count: Option<u32>| u8::try_from(count?).ok();
            let state = SolidlyState {
                reserves: reserves()?,
                decimals: [decimals(row.decimals0)?, decimals(row.decimals1)?],
                fee_pips: row.fee_pips,
                is_stable: row.kind == STABLE,
            };
            Solidly::new(&state).map(Pool::from)
        }
        Concentrated::NAME => {
            let state = ConcentratedState {
                sqrt_price: row.sqrt_price?,
                tick: i32::try_from(row.tick?).ok()?,
                liquidity: narrow(row.liquidity)?,
                fee_pips: row.fee_pips,
                tick_spacing: i32::try_from(row.tick_spacing?).ok()?,
            };
            Concentrated::new(&state).map(Pool::from)
        }
        _ => None,
    }
}

impl Recording {
    /// The pools before block `number`, which begins a segment.
    ///
    /// # Errors
    /// When they are not there, or cannot be read.
    pub(crate) fn pools_before(&self, number: u64) -> Result<Vec<Venue>> {
        let begins = format!("{number:010}-");
        let mut parts = self.manifest.parts.iter();
        let part = parts.find(|part| part.starts_with(&begins));
        let part = part.with_context(|| format!("no part begins with block {number}"))?;
        let path = |table: &str| self.folder().join(table).join(format!("{part}.parquet"));
        let pools = rows::<PoolRow>(&path(PoolRow::TABLE))?;
        let ticks = path(TickRow::TABLE);
        let ticks = if ticks.exists() { rows::<TickRow>(&ticks)? } else { Vec::new() };
        let told = || format!("reading the pools before block {number}");
        Ok(Snapshot::of_rows(pools, ticks).with_context(told)?.0)
    }
}
