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

use self::accounts::Borrower;
use crate::bootstrap::Reader;
use crate::config::Deployment;
use crate::lending::abi::{AaveOracle, AavePool, AaveProvider, AaveSentinel, Token};
use crate::lending::calls::{long_views, needed, view, views};
use crate::lending::not_there;

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
struct Read {
    number: u16,
    listing: Listing,
    reserve: Reserve,
    /// The token of debt at a stable rate; zero where there is none.
    stable_token: Address,
}

/// Reads a pool, and everybody who owes it something.
pub(super) fn read(reader: &mut Reader<'_>, deployment: &Deployment) -> Result<Aave> {
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
    let borrowers = accounts::read(reader, deployment, &rules, &reserves)?;

    let most = borrowers.iter().map(|borrower| borrower.entries.len()).max().unwrap_or_default();
    let capacity =
        Capacity { accounts: u32::try_from(borrowers.len())?, entries: u8::try_from(most)? };
    let mut market = Market::new(contracts, revision, capacity);
    for Read { number, listing, reserve, .. } in &reserves {
        market
            .set_reserve(*number, *listing, *reserve, &mut drop)
            .map_err(|why| anyhow::anyhow!("{name}: reserve {}: {why:?}", listing.asset))?;
    }
    let sources = categories(reader, name, pool, &borrowers, &mut market)?;
    for Borrower { user, category, entries } in &borrowers {
        market
            .set_account(*user, *category, entries, &mut drop)
            .map_err(|why| anyhow::anyhow!("{name}: account {user}: {why:?}"))?;
    }
    let assets = reserves.iter().map(|read| (read.number, read.listing.asset));
    let keys: Vec<(u16, Address)> = assets.chain(sources).collect();
    let asked: Vec<_> = keys
        .iter()
        .map(|(_, asset)| (contracts.oracle, AaveOracle::getAssetPriceCall { asset: *asset }))
        .collect();
    let told = views(reader, &format!("{name}: prices"), &asked)?;
    let prices = keys.into_iter().zip(told).filter_map(|((key, _), price)| Some((key, price?)));
    Ok(Aave {
        name: name.to_owned(),
        market,
        prices: prices.collect(),
        flash_bps: U256::from(flash),
        is_sentinel_open,
    })
}

/// The contracts around a pool, and whether its sentinel lets liquidations through.
fn contracts(reader: &mut Reader<'_>, name: &str, pool: Address) -> Result<(Contracts, bool)> {
    let provider = view(reader, name, pool, AavePool::ADDRESSES_PROVIDERCall {})?;
    let oracle = view(reader, name, provider, AaveProvider::getPriceOracleCall {})?;
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
    let has_virtual = rules.has_grace;
    let available: Vec<u128> = if has_virtual {
        let asked = assets
            .iter()
            .map(|asset| (pool, AavePool::getVirtualUnderlyingBalanceCall { asset: *asset }));
        needed(reader, name, &asked.collect::<Vec<_>>())?
    } else {
        let asked = reserves
            .iter()
            .map(|read| (read.listing.asset, Token::balanceOfCall { user: read.listing.a_token }));
        let held = needed(reader, name, &asked.collect::<Vec<_>>())?;
        held.into_iter().map(|amount| amount.saturating_to()).collect()
    };
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

/// Reads the categories that borrowers chose; gives the keys and addresses of those sources that a
/// category has for itself.
fn categories(
    reader: &mut Reader<'_>,
    name: &str,
    pool: Address,
    borrowers: &[Borrower],
    market: &mut Market,
) -> Result<Vec<(u16, Address)>> {
    let chosen = borrowers.iter().map(|borrower| borrower.category).filter(|number| *number != 0);
    let chosen: Vec<u8> = chosen.collect::<BTreeSet<_>>().into_iter().collect();
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
