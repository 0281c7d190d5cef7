//! Aave V3: a pool's reserves and borrowers, read into the engine's table.
//!
//! Temperature: cold.

mod accounts;
mod figures;

use std::collections::{BTreeSet, HashMap};

use alloy_primitives::{Address, U256};
use anyhow::{Context, Result, ensure};
use gannet_engine::lending::aave::table::{Capacity, Contracts, Listing, Market};
use gannet_engine::lending::aave::{
    Category, RESERVES_MAX, REVISION_MAX, Reserve, Rules, price_source_key,
};

pub(super) use self::accounts::{Borrower, again};
use crate::bootstrap::Reader;
use crate::config::Deployment;
use crate::lending::abi::{AaveOracle, AavePool, AaveProvider, AaveSentinel, Token};
use crate::lending::calls::{long_views, needed, view, views};
use crate::lending::{Roll, Room, not_there};

/// Words of the longest list of reserves.
const LIST_WORDS: u16 = RESERVES_MAX + 2;

/// A deployment as it was read.
#[derive(Debug)]
pub(super) struct Aave {
    name: String,
    market: Market,
    /// What the oracle says of each reserve, and of each category with a source of its own.
    prices: HashMap<u16, U256>,
    /// What a flash loan of the pool costs, in basis points.
    flash_bps: U256,
    /// Whether the sequencer's sentinel, if there is one, lets liquidations through.
    is_sentinel_open: bool,
}

/// A reserve as it was read, with its number.
#[derive(Clone, Debug)]
pub(super) struct Read {
    pub(super) number: u16,
    pub(super) listing: Listing,
    pub(super) reserve: Reserve,
    /// The token of debt at a stable rate; zero where there is none.
    stable_token: Address,
}

/// What reading a pool's accounts takes.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    pub(super) name: String,
    pub(super) contracts: Contracts,
    pub(super) rules: Rules,
    pub(super) reserves: Vec<Read>,
}

/// A pool as it was read, before anybody asks for prices.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) scope: Scope,
    pub(super) market: Market,
    /// Accounts that there is room for.
    pub(super) room: u32,
    /// What is priced: the key of each reserve, and of each category with a source of its own; and
    /// what the oracle is asked for.
    pub(super) keys: Vec<(u16, Address)>,
    pub(super) flash_bps: u128,
    pub(super) is_sentinel_open: bool,
}

/// Reads a pool, everybody who owes it something, and the prices.
pub(super) fn read(
    reader: &mut Reader<'_>,
    roll: &mut Roll,
    deployment: &Deployment,
) -> Result<Aave> {
    let Pool { scope, market, keys, flash_bps, is_sentinel_open, .. } =
        pool(reader, roll, deployment, Room::Exact)?;
    let Scope { name, contracts, .. } = scope;
    let asked: Vec<_> = keys.iter().map(|(_, asset)| (contracts.oracle, *asset)).collect();
    let told = prices(reader, &name, &asked)?;
    let prices = keys.into_iter().zip(told).filter_map(|((key, _), price)| Some((key, price?)));
    let (prices, flash_bps) = (prices.collect(), U256::from(flash_bps));
    Ok(Aave { name, market, prices, flash_bps, is_sentinel_open })
}

/// What oracles say of assets; `None` where one reverts.
pub(super) fn prices(
    reader: &mut Reader<'_>,
    name: &str,
    asked: &[(Address, Address)],
) -> Result<Vec<Option<U256>>> {
    let asked = asked
        .iter()
        .map(|(oracle, asset)| (*oracle, AaveOracle::getAssetPriceCall { asset: *asset }));
    views(reader, &format!("{name}: prices"), &asked.collect::<Vec<_>>())
}

/// Reads a pool, and everybody who owes it something.
pub(super) fn pool(
    reader: &mut Reader<'_>,
    roll: &mut Roll,
    deployment: &Deployment,
    room: Room,
) -> Result<Pool> {
    let Deployment { name, address: pool, .. } = deployment;
    let (name, pool) = (name.as_str(), *pool);
    let revision = view(reader, name, pool, AavePool::POOL_REVISIONCall {})
        .with_context(|| not_there("pool of an Aave V3 market", pool, "aave_v3"))?;
    let revision = u64::try_from(revision).unwrap_or(u64::MAX);
    let rules = Rules::of(revision).with_context(|| {
        format!("{name}: its pool is of revision {revision}; known are 1 to {REVISION_MAX}")
    })?;
    let (contracts, is_sentinel_open) = contracts(reader, name, pool)?;
    let flash = view(reader, name, pool, AavePool::FLASHLOAN_PREMIUM_TOTALCall {})?;
    let reserves = reserves(reader, name, pool, &rules)?;
    let scope = Scope { name: name.to_owned(), contracts, rules, reserves };
    let borrowers = accounts::read(reader, roll, deployment, &scope)?;

    let most = borrowers.iter().map(|borrower| borrower.entries.len()).max().unwrap_or_default();
    let accounts = u32::try_from(room.accounts(borrowers.len()))?;
    let capacity = Capacity { accounts, entries: u8::try_from(room.entries(most))? };
    let mut market = Market::new(contracts, revision, capacity);
    for Read { number, listing, reserve, .. } in &scope.reserves {
        market
            .set_reserve(*number, *listing, *reserve, &mut drop)
            .map_err(|why| anyhow::anyhow!("{name}: reserve {}: {why:?}", listing.asset))?;
    }
    let chosen: BTreeSet<u8> = match room {
        Room::Exact => borrowers.iter().map(|borrower| borrower.category).collect(),
        // Another one may be chosen any time.
        Room::Growing => (1..=u8::MAX).collect(),
    };
    let chosen: Vec<u8> = chosen.into_iter().filter(|number| *number != 0).collect();
    let sources = categories(reader, name, pool, &chosen, &mut market)?;
    for Borrower { user, category, entries } in &borrowers {
        market
            .set_account(*user, *category, entries, &mut drop)
            .map_err(|why| anyhow::anyhow!("{name}: account {user}: {why:?}"))?;
    }
    let assets = scope.reserves.iter().map(|read| (read.number, read.listing.asset));
    let keys = assets.chain(sources).collect();
    Ok(Pool { scope, market, room: accounts, keys, flash_bps: flash, is_sentinel_open })
}

/// The oracle that a pool asks.
pub(super) fn oracle(reader: &mut Reader<'_>, name: &str, provider: Address) -> Result<Address> {
    view(reader, name, provider, AaveProvider::getPriceOracleCall {})
}

/// The contracts around a pool, and whether its sentinel lets liquidations through.
fn contracts(reader: &mut Reader<'_>, name: &str, pool: Address) -> Result<(Contracts, bool)> {
    let provider = view(reader, name, pool, AavePool::ADDRESSES_PROVIDERCall {})?;
    let oracle = oracle(reader, name, provider)?;
    let configurator = view(reader, name, provider, AaveProvider::getPoolConfiguratorCall {})?;
    let sentinel = view(reader, name, provider, AaveProvider::getPriceOracleSentinelCall {})?;
    let is_open = sentinel.is_zero()
        || view(reader, name, sentinel, AaveSentinel::isLiquidationAllowedCall {})?;
    Ok((Contracts { pool, configurator, oracle, provider }, is_open))
}

/// The reserves that the pool lists.
fn reserves(
    reader: &mut Reader<'_>,
    name: &str,
    pool: Address,
    rules: &Rules,
) -> Result<Vec<Read>> {
    let asked = [(pool, AavePool::getReservesListCall {})];
    let listed = long_views(reader, name, &asked, LIST_WORDS)?.pop().flatten();
    let assets = listed.with_context(|| format!("{name}: {pool} does not list its reserves"))?;
    let asked: Vec<_> =
        assets.iter().map(|asset| (pool, AavePool::getReserveDataCall { asset: *asset })).collect();
    let data = needed(reader, name, &asked)?;
    let mut reserves = Vec::with_capacity(assets.len());
    for (asset, words) in assets.iter().zip(&data) {
        let read = reserve(*asset, words);
        reserves.push(read.with_context(|| format!("{name}: reserve {asset} is none of Aave's"))?);
    }
    let listings: Vec<Listing> = reserves.iter().map(|read| read.listing).collect();
    let available = available(reader, (name, pool), rules, &listings)?;
    for (read, available) in reserves.iter_mut().zip(available) {
        read.reserve.available = available;
    }
    if rules.has_grace {
        let asked = assets
            .iter()
            .map(|asset| (pool, AavePool::getLiquidationGracePeriodCall { asset: *asset }));
        let until = needed(reader, name, &asked.collect::<Vec<_>>())?;
        for (read, until) in reserves.iter_mut().zip(until) {
            read.reserve.grace_until = until.saturating_to();
        }
    }
    Ok(reserves)
}

/// What reserves can pay out.
pub(super) fn available(
    reader: &mut Reader<'_>,
    (name, pool): (&str, Address),
    rules: &Rules,
    listings: &[Listing],
) -> Result<Vec<u128>> {
    if rules.has_grace {
        let asked = listings
            .iter()
            .map(|of| (pool, AavePool::getVirtualUnderlyingBalanceCall { asset: of.asset }));
        return needed(reader, name, &asked.collect::<Vec<_>>());
    }
    let asked = listings.iter().map(|of| (of.asset, Token::balanceOfCall { user: of.a_token }));
    let held = needed(reader, name, &asked.collect::<Vec<_>>())?;
    Ok(held.into_iter().map(|amount| amount.saturating_to()).collect())
}

/// A reserve in the words of the view.
fn reserve(asset: Address, words: &[U256; 15]) -> Result<Read> {
    let [configuration, income, income_rate, debt, debt_rate, _, updated_at, number, ..] = *words;
    let [.., a_token, stable_token, debt_token, _, _, _, _] = *words;
    let token = |word: U256| Address::from_word(word.into());
    let reserve = Reserve {
        liquidity_index: u128::try_from(income)?,
        liquidity_rate: u128::try_from(income_rate)?,
        borrow_index: u128::try_from(debt)?,
        borrow_rate: u128::try_from(debt_rate)?,
        updated_at: u64::try_from(updated_at)?,
        ..Reserve::default().configured(configuration)
    };
    let number = u16::try_from(number)?;
    ensure!(number < RESERVES_MAX, "its number is {number}");
    let listing = Listing { asset, a_token: token(a_token), debt_token: token(debt_token) };
    Ok(Read { number, listing, reserve, stable_token: token(stable_token) })
}

/// Reads these categories; gives the keys and addresses of those sources that a category has for
/// itself.
fn categories(
    reader: &mut Reader<'_>,
    name: &str,
    pool: Address,
    chosen: &[u8],
    market: &mut Market,
) -> Result<Vec<(u16, Address)>> {
    let has_bitmaps = market.rules().is_some_and(|rules| rules.has_bitmaps);
    let mut sources = Vec::new();
    if has_bitmaps {
        let asked: Vec<_> = chosen
            .iter()
            .map(|id| (pool, AavePool::getEModeCategoryCollateralConfigCall { id: *id }))
            .collect();
        let configs = needed(reader, name, &asked)?;
        let asked: Vec<_> = chosen
            .iter()
            .map(|id| (pool, AavePool::getEModeCategoryCollateralBitmapCall { id: *id }))
            .collect();
        let bitmaps = needed(reader, name, &asked)?;
        for ((id, config), collateral_bitmap) in chosen.iter().zip(configs).zip(bitmaps) {
            let threshold_bps = u16::try_from(config.threshold)?;
            let bonus_bps = u16::try_from(config.bonus)?;
            let category =
                Category { collateral_bitmap, threshold_bps, bonus_bps, has_price_source: false };
            market.set_category(*id, category, &mut drop);
        }
        return Ok(sources);
    }
    let asked: Vec<_> =
        chosen.iter().map(|id| (pool, AavePool::getEModeCategoryDataCall { id: *id })).collect();
    for (id, read) in chosen.iter().zip(needed(reader, name, &asked)?) {
        let has_price_source = !read.priceSource.is_zero();
        let category = Category {
            collateral_bitmap: 0,
            threshold_bps: read.threshold,
            bonus_bps: read.bonus,
            has_price_source,
        };
        market.set_category(*id, category, &mut drop);
        sources.extend(has_price_source.then_some((price_source_key(*id), read.priceSource)));
    }
    Ok(sources)
}
