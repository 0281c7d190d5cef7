//! Compound III: a market and its accounts, read into the engine's table.
//!
//! Temperature: cold.

mod figures;

use std::collections::BTreeSet;

use alloy::sol_types::SolCall;
use alloy_primitives::{Address, B256, U256};
use anyhow::{Context, Result, ensure};
use gannet_engine::lending::comet::events::{Event, SUPPLY_COLLATERAL, TRANSFER_COLLATERAL};
use gannet_engine::lending::comet::table::{self, CometTable, MarketId};
use gannet_engine::lending::comet::{ASSETS_MAX, Account, Asset, Curve, Market, Terms, Totals};
use gannet_engine::loans::reread::{CometAccount, CometTotals};
use serde::{Deserialize, Serialize};

use crate::bootstrap::Reader;
use crate::config::Deployment;
use crate::lending::abi::{CometMarket, Token};
use crate::lending::calls::{needed, view, views};
use crate::lending::roll::{Log, Named, Roll};
use crate::lending::{Room, not_there};

/// A deployment as it was read.
#[derive(Debug)]
pub(super) struct Comet {
    name: String,
    table: CometTable,
    market: MarketId,
    /// What the feeds say: the base token's first, then that of each collateral.
    prices: Vec<Option<U256>>,
}

/// What reading a market's accounts and totals takes.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    pub(super) name: String,
    pub(super) address: Address,
    pub(super) base_token: Address,
    /// The tokens of its collateral, in its order.
    pub(super) assets: Vec<Address>,
}

/// A market as it was read, before anybody asks for prices.
#[derive(Debug)]
pub(super) struct Unpriced {
    pub(super) scope: Scope,
    pub(super) table: CometTable,
    pub(super) market: MarketId,
    /// The base token's first, then that of each collateral.
    pub(super) feeds: Vec<Address>,
}

/// Reads a market and everybody who may have collateral in it, with the prices.
pub(super) fn read(
    reader: &mut Reader<'_>,
    roll: &mut Roll,
    deployment: &Deployment,
) -> Result<Comet> {
    let Unpriced { scope, table, market, feeds } = unpriced(reader, roll, deployment, Room::Exact)?;
    let Scope { name, address, .. } = scope;
    let asked: Vec<_> = feeds.into_iter().map(|feed| (address, feed)).collect();
    let prices = prices(reader, &name, &asked)?;
    Ok(Comet { name, table, market, prices })
}

/// What markets say of feeds; `None` where one reverts.
pub(super) fn prices(
    reader: &mut Reader<'_>,
    name: &str,
    asked: &[(Address, Address)],
) -> Result<Vec<Option<U256>>> {
    let asked =
        asked.iter().map(|(market, feed)| (*market, CometMarket::getPriceCall { feed: *feed }));
    views(reader, &format!("{name}: prices"), &asked.collect::<Vec<_>>())
}

/// Reads a market, and everybody who may have collateral in it: nobody else can owe anything.
pub(super) fn unpriced(
    reader: &mut Reader<'_>,
    roll: &mut Roll,
    deployment: &Deployment,
    room: Room,
) -> Result<Unpriced> {
    let Deployment { name, address: comet, .. } = deployment;
    let (name, comet) = (name.as_str(), *comet);
    let base_token = view(reader, name, comet, CometMarket::baseTokenCall {})
        .with_context(|| not_there("market of Compound III", comet, "comet"))?;
    let terms = terms(reader, name, comet, base_token)?;
    let mut assets = assets(reader, name, comet)?;
    let listed = assets.iter().map(|asset| asset.token).collect();
    let scope = Scope { name: name.to_owned(), address: comet, base_token, assets: listed };
    let CometTotals { totals, stocks } = totals(reader, &scope)?;
    for (asset, (held, total)) in assets.iter_mut().zip(stocks) {
        (asset.held, asset.total) = (held, total);
    }
    let Owners(owners) = roll.named(reader, deployment)?;
    let owners: Vec<Address> = owners.into_iter().collect();
    let found = accounts(reader, &scope, &owners)?;

    let accounts = u32::try_from(room.accounts(owners.len()))?;
    let count = u8::try_from(assets.len())?;
    ensure!(usize::from(count) <= ASSETS_MAX, "{name}: it has {count} kinds of collateral");
    let mut table = CometTable::new(table::Room { markets: 1, assets: count, accounts });
    let wrong = |why| anyhow::anyhow!("{name}: its market does not fit the table: {why:?}");
    let market = table.insert_market(comet).map_err(wrong)?;
    table.set_market(market, &Market { terms, totals }, &assets, &mut drop).map_err(wrong)?;
    for CometAccount { owner, principal, assets_in, balances } in found {
        let account = Account { principal, assets_in, balances: &balances };
        let added = table.add_account(market, owner, &mut drop).map_err(wrong)?;
        let added = added.context("there is room for every account")?;
        table.set_account(added, &account, &mut drop).map_err(wrong)?;
    }
    let feeds = std::iter::once(terms.base_feed).chain(assets.iter().map(|asset| asset.feed));
    Ok(Unpriced { scope, table, market, feeds: feeds.collect() })
}

/// What these owners have in a market.
pub(super) fn accounts(
    reader: &mut Reader<'_>,
    Scope { name, address, assets, .. }: &Scope,
    owners: &[Address],
) -> Result<Vec<CometAccount>> {
    let asked: Vec<_> =
        owners.iter().map(|user| (*address, CometMarket::userBasicCall { user: *user })).collect();
    let basics = needed(reader, &format!("{name}: accounts"), &asked)?;
    let mut asked = Vec::with_capacity(owners.len().saturating_mul(assets.len()));
    for user in owners {
        let of = |asset: &Address| CometMarket::userCollateralCall { user: *user, asset: *asset };
        asked.extend(assets.iter().map(|asset| (*address, of(asset))));
    }
    let found = needed(reader, &format!("{name}: collateral"), &asked)?;
    let balances: Vec<u128> = found.into_iter().map(|held| held.balance).collect();
    let rows = balances.chunks(assets.len().max(1)).chain(std::iter::repeat(&[][..]));
    let accounts = owners.iter().zip(basics).zip(rows).map(|((owner, basic), balances)| {
        let assets_in = u32::from(basic.assetsIn) | (u32::from(basic.more) << 16);
        let principal = basic.principal.try_into()?;
        Ok(CometAccount { owner: *owner, principal, assets_in, balances: balances.to_vec() })
    });
    accounts.collect()
}

/// Who was ever given collateral.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Owners(BTreeSet<Address>);

impl Named for Owners {
    const TOPICS: &'static [B256] = &[SUPPLY_COLLATERAL, TRANSFER_COLLATERAL];

    fn take(&mut self, log: &Log) {
        if let Ok(Some(Event::SupplyCollateral { to, .. } | Event::TransferCollateral { to, .. })) =
            Event::of_bytes(&log.topics, &log.data)
        {
            self.0.insert(to);
        }
    }
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

/// What moves: the market's two words of totals, the base tokens that it holds, and the stock of
/// each collateral.
pub(super) fn totals(
    reader: &mut Reader<'_>,
    Scope { name, address, base_token, assets }: &Scope,
) -> Result<CometTotals> {
    let (name, comet) = (name.as_str(), *address);
    let words = view(reader, name, comet, CometMarket::totalsBasicCall {})?;
    let of_assets: Vec<_> = assets
        .iter()
        .map(|asset| (comet, CometMarket::totalsCollateralCall { asset: *asset }))
        .collect();
    let sums = needed(reader, name, &of_assets)?;
    let tokens = std::iter::once(base_token).chain(assets);
    let asked: Vec<_> =
        tokens.map(|token| (*token, Token::balanceOfCall { user: comet })).collect();
    let mut held = needed(reader, name, &asked)?.into_iter();
    let of_base = held.next().context("as many answers as questions")?;
    let [supply_index, borrow_index, _, _, supply, borrow, last_accrual, pause] = words;
    let totals = Totals {
        supply_index: u64::try_from(supply_index)?,
        borrow_index: u64::try_from(borrow_index)?,
        supply: u128::try_from(supply)?,
        borrow: u128::try_from(borrow)?,
        last_accrual: u64::try_from(last_accrual)?,
        pause: u8::try_from(pause)?,
        held: u128::try_from(of_base)?,
    };
    let stocks = held
        .zip(sums)
        .map(|(held, [total, _])| Ok((u128::try_from(held)?, u128::try_from(total)?)));
    Ok(CometTotals { totals, stocks: stocks.collect::<Result<_>>()? })
}

/// The market's collateral, in its order, without its stock.
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
    Ok(assets)
}
