//! Compound III: a market and its accounts, read into the engine's table.
//!
//! Temperature: cold.

mod figures;

use std::collections::BTreeSet;

use alloy::sol_types::SolCall;
use alloy_primitives::{Address, U256};
use anyhow::{Context, Result};
use gannet_engine::lending::comet::events::{Event, SUPPLY_COLLATERAL, TRANSFER_COLLATERAL};
use gannet_engine::lending::comet::table::{CometTable, MarketId, Room};
use gannet_engine::lending::comet::{Account, Asset, Curve, Market, Terms, Totals};

use crate::bootstrap::Reader;
use crate::config::Deployment;
use crate::lending::abi::{CometMarket, Token};
use crate::lending::calls::{needed, view, views};
use crate::lending::{logs, not_there};

/// A deployment as it was read.
#[derive(Debug)]
pub(super) struct Comet {
    name: String,
    table: CometTable,
    market: MarketId,
    /// What the feeds say: the base token's first, then that of each collateral.
    prices: Vec<Option<U256>>,
}

/// Reads a market, and everybody who may have collateral in it: nobody else can owe anything.
pub(super) fn read(reader: &mut Reader<'_>, deployment: &Deployment) -> Result<Comet> {
    let Deployment { name, address: comet, .. } = deployment;
    let (name, comet) = (name.as_str(), *comet);
    let base_token = view(reader, name, comet, CometMarket::baseTokenCall {})
        .with_context(|| not_there("market of Compound III", comet, "comet"))?;
    let terms = terms(reader, name, comet, base_token)?;
    let market = Market { terms, totals: totals(reader, name, comet, base_token)? };
    let assets = assets(reader, name, comet)?;

    let owners = owners(reader, deployment)?;
    let asked: Vec<_> =
        owners.iter().map(|user| (comet, CometMarket::userBasicCall { user: *user })).collect();
    let basics = needed(reader, &format!("{name}: accounts"), &asked)?;
    let mut asked = Vec::with_capacity(owners.len().saturating_mul(assets.len()));
    for user in &owners {
        let of =
            |asset: &Asset| CometMarket::userCollateralCall { user: *user, asset: asset.token };
        asked.extend(assets.iter().map(|asset| (comet, of(asset))));
    }
    let found = needed(reader, &format!("{name}: collateral"), &asked)?;
    let balances: Vec<u128> = found.into_iter().map(|held| held.balance).collect();

    let accounts = u32::try_from(owners.len())?;
    let count = u8::try_from(assets.len())?;
    let mut table = CometTable::new(Room { markets: 1, assets: count, accounts });
    let wrong = |why| anyhow::anyhow!("{name}: its market does not fit the table: {why:?}");
    let id = table.insert_market(comet).map_err(wrong)?;
    table.set_market(id, &market, &assets, &mut drop).map_err(wrong)?;
    let rows = balances.chunks(assets.len().max(1)).chain(std::iter::repeat(&[][..]));
    for ((owner, basic), balances) in owners.iter().zip(basics).zip(rows) {
        let assets_in = u32::from(basic.assetsIn) | (u32::from(basic.more) << 16);
        let account = Account { principal: basic.principal.try_into()?, assets_in, balances };
        let added = table.add_account(id, *owner, &mut drop).map_err(wrong)?;
        let added = added.context("there is room for every account")?;
        table.set_account(added, &account, &mut drop).map_err(wrong)?;
    }
    let feeds = std::iter::once(terms.base_feed).chain(assets.iter().map(|asset| asset.feed));
    let asked: Vec<_> = feeds.map(|feed| (comet, CometMarket::getPriceCall { feed })).collect();
    let prices = views(reader, &format!("{name}: prices"), &asked)?;
    Ok(Comet { name: name.to_owned(), table, market: id, prices })
}

/// Who was ever given collateral.
fn owners(reader: &mut Reader<'_>, deployment: &Deployment) -> Result<Vec<Address>> {
    let mut owners = BTreeSet::new();
    let topics = [SUPPLY_COLLATERAL, TRANSFER_COLLATERAL];
    logs::each(reader, deployment, &topics, |log| {
        match Event::of_bytes(&log.topics, &log.data) {
            Ok(Some(Event::SupplyCollateral { to, .. } | Event::TransferCollateral { to, .. })) => {
                owners.insert(to)
            }
            _ => false,
        };
    })?;
    Ok(owners.into_iter().collect())
}

/// What is fixed in the market's code.
fn terms(
    reader: &mut Reader<'_>,
    name: &str,
    comet: Address,
    base_token: Address,
) -> Result<Terms> {
    let base_feed = view(reader, name, comet, CometMarket::baseTokenPriceFeedCall {})?;
    let supply = Curve {
        kink: small(reader, name, comet, CometMarket::supplyKinkCall {})?,
        slope_low: small(
            reader,
            name,
            comet,
            CometMarket::supplyPerSecondInterestRateSlopeLowCall {},
        )?,
        slope_high: small(
            reader,
            name,
            comet,
            CometMarket::supplyPerSecondInterestRateSlopeHighCall {},
        )?,
        base: small(reader, name, comet, CometMarket::supplyPerSecondInterestRateBaseCall {})?,
    };
    let borrow = Curve {
        kink: small(reader, name, comet, CometMarket::borrowKinkCall {})?,
        slope_low: small(
            reader,
            name,
            comet,
            CometMarket::borrowPerSecondInterestRateSlopeLowCall {},
        )?,
        slope_high: small(
            reader,
            name,
            comet,
            CometMarket::borrowPerSecondInterestRateSlopeHighCall {},
        )?,
        base: small(reader, name, comet, CometMarket::borrowPerSecondInterestRateBaseCall {})?,
    };
    let factor = small(reader, name, comet, CometMarket::storeFrontPriceFactorCall {})?;
    let target = view(reader, name, comet, CometMarket::targetReservesCall {})?;
    Ok(Terms {
        base_token,
        base_feed,
        base_scale: small(reader, name, comet, CometMarket::baseScaleCall {})?,
        supply,
        borrow,
        store_front_price_factor: factor,
        target_reserves: u128::try_from(target)?,
    })
}

/// A number of 64 bits that a view answers.
fn small<C: SolCall<Return = U256>>(
    reader: &mut Reader<'_>,
    name: &str,
    comet: Address,
    call: C,
) -> Result<u64> {
    let word = view(reader, name, comet, call)?;
    u64::try_from(word).with_context(|| format!("{name}: {} answers {word}", C::SIGNATURE))
}

/// What moves: the market's two words of totals, and the base tokens that it holds.
fn totals(
    reader: &mut Reader<'_>,
    name: &str,
    comet: Address,
    base_token: Address,
) -> Result<Totals> {
    let words = view(reader, name, comet, CometMarket::totalsBasicCall {})?;
    let held = view(reader, name, base_token, Token::balanceOfCall { user: comet })?;
    let [supply_index, borrow_index, _, _, supply, borrow, last_accrual, pause] = words;
    Ok(Totals {
        supply_index: u64::try_from(supply_index)?,
        borrow_index: u64::try_from(borrow_index)?,
        supply: u128::try_from(supply)?,
        borrow: u128::try_from(borrow)?,
        last_accrual: u64::try_from(last_accrual)?,
        pause: u8::try_from(pause)?,
        held: u128::try_from(held)?,
    })
}

/// The market's collateral, in its order.
fn assets(reader: &mut Reader<'_>, name: &str, comet: Address) -> Result<Vec<Asset>> {
    let count = view(reader, name, comet, CometMarket::numAssetsCall {})?;
    let asked: Vec<_> =
        (0..count).map(|place| (comet, CometMarket::getAssetInfoCall { place })).collect();
    let mut assets = Vec::with_capacity(asked.len());
    for words in needed(reader, name, &asked)? {
        let [_, token, feed, scale, _, liquidate_factor, liquidation_factor, _] = words;
        let address = |word: U256| Address::from_word(word.into());
        assets.push(Asset {
            token: address(token),
            feed: address(feed),
            scale: u64::try_from(scale)?,
            liquidate_factor: u64::try_from(liquidate_factor)?,
            liquidation_factor: u64::try_from(liquidation_factor)?,
            total: 0,
            held: 0,
        });
    }
    let asked: Vec<_> = assets
        .iter()
        .map(|asset| (comet, CometMarket::totalsCollateralCall { asset: asset.token }))
        .collect();
    let totals = needed(reader, name, &asked)?;
    let asked: Vec<_> =
        assets.iter().map(|asset| (asset.token, Token::balanceOfCall { user: comet })).collect();
    let held = needed(reader, name, &asked)?;
    for ((asset, [total, _]), held) in assets.iter_mut().zip(totals).zip(held) {
        (asset.total, asset.held) = (u128::try_from(total)?, u128::try_from(held)?);
    }
    Ok(assets)
}
