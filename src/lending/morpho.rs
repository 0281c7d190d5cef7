//! Morpho Blue: its markets and borrowers, read into the engine's table.
//!
//! Temperature: cold.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, U256};
use anyhow::{Context, Result};
use gannet_engine::lending::math::{Fault, WAD, mul_div_down};
use gannet_engine::lending::morpho::events::{
    BORROW, CREATE_MARKET, Deposit, Event, Flow, SUPPLY_COLLATERAL,
};
use gannet_engine::lending::morpho::{
    Irm, Market, MarketEntry, PRICE_SCALE, Params, Position, PositionEntry, Request, Table, Total,
    health, liquidate,
};
use serde::{Deserialize, Serialize};

use super::abi::{AdaptiveCurve, MorphoBlue, MorphoOracle};
use super::calls::views;
use super::risk::{FALLS_PER_CENT, Scales, fallen, profit};
use super::roll::{Log, Named, Roll};
use super::standing::{Deal, Holding, Move, Protocol, Standing, Times};
use super::{Room, calls};
use crate::bootstrap::Reader;
use crate::config::MorphoDeployment;

/// A deployment as it was read.
#[derive(Debug)]
pub(super) struct Morpho {
    name: String,
    pub(super) table: Table,
    /// What each market's oracle says, by the market's handle.
    prices: Vec<Option<U256>>,
}

/// What the events name.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Names {
    markets: BTreeMap<B256, Params>,
    /// Who has, or had, collateral or debt in a market.
    accounts: BTreeSet<(B256, Address)>,
}

/// What reading markets and positions takes.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    pub(super) name: String,
    pub(super) address: Address,
    pub(super) adaptive_curve: Address,
}

/// A deployment as it was read, before anybody asks for prices.
#[derive(Debug)]
pub(super) struct Unpriced {
    pub(super) scope: Scope,
    pub(super) table: Table,
    /// Markets and positions that there is room for.
    pub(super) room: (usize, usize),
}

/// Reads all markets with their prices, and everybody who has collateral or debt in one.
pub(super) fn read(
    reader: &mut Reader<'_>,
    roll: &mut Roll,
    morpho: &MorphoDeployment,
) -> Result<Morpho> {
    let Unpriced { scope, table, .. } = unpriced(reader, roll, (morpho, Room::Exact), |_| true)?;
    let oracles: Vec<Address> = table.markets().iter().map(|held| held.params.oracle).collect();
    let prices = prices(reader, &scope.name, &oracles)?;
    Ok(Morpho { name: scope.name, table, prices })
}

/// What oracles say; `None` where one reverts.
pub(super) fn prices(
    reader: &mut Reader<'_>,
    name: &str,
    oracles: &[Address],
) -> Result<Vec<Option<U256>>> {
    let asked = oracles.iter().map(|oracle| (*oracle, MorphoOracle::priceCall {}));
    views(reader, &format!("{name}: prices"), &asked.collect::<Vec<_>>())
}

/// Reads the markets that are wanted, and everybody who has collateral or debt in one.
pub(super) fn unpriced(
    reader: &mut Reader<'_>,
    roll: &mut Roll,
    (morpho, room): (&MorphoDeployment, Room),
    is_wanted: impl Fn(&Params) -> bool,
) -> Result<Unpriced> {
    let MorphoDeployment { deployment, adaptive_curve } = morpho;
    let (name, address) = (&deployment.name, deployment.address);
    // A view of no market answers zeros; an address without a contract answers nothing.
    let asked = MorphoBlue::marketCall { id: B256::ZERO };
    calls::view(reader, name, address, asked)
        .with_context(|| super::not_there("Morpho Blue", address, "morpho"))?;
    let Names { mut markets, accounts } = roll.named(reader, deployment)?;
    markets.retain(|_, params| is_wanted(params));
    let accounts: Vec<_> =
        accounts.into_iter().filter(|(id, _)| markets.contains_key(id)).collect();

    let scope = Scope { name: name.clone(), address, adaptive_curve: *adaptive_curve };
    let room = (room.markets(markets.len()), room.accounts(accounts.len()));
    let mut table = Table::new(room.0, room.1, *adaptive_curve);
    let ids: Vec<B256> = markets.keys().copied().collect();
    let states = self::markets(reader, &scope, &ids)?;
    for (params, state) in markets.values().zip(states) {
        table
            .load_market(*params, state)
            .map_err(|why| anyhow::anyhow!("{name}: market {}: {why:?}", params.id()))?;
    }
    let found = positions(reader, &scope, &accounts)?;
    for ((id, user), position) in accounts.into_iter().zip(found) {
        let market = table.market_id(&id).context("a market that was only just loaded")?;
        table
            .set_position(market, user, position, &mut drop)
            .map_err(|why| anyhow::anyhow!("{name}: {user}: {why:?}"))?;
    }
    Ok(Unpriced { scope, table, room })
}

/// The states of these markets.
pub(super) fn markets(
    reader: &mut Reader<'_>,
    Scope { name, address, adaptive_curve }: &Scope,
    ids: &[B256],
) -> Result<Vec<Market>> {
    let asked = ids.iter().map(|id| (*address, MorphoBlue::marketCall { id: *id }));
    let states = calls::needed(reader, name, &asked.collect::<Vec<_>>())?;
    let asked = ids.iter().map(|id| (*adaptive_curve, AdaptiveCurve::rateAtTargetCall { id: *id }));
    let rates = calls::needed(reader, name, &asked.collect::<Vec<_>>())?;
    let whole = ids.iter().zip(states).zip(rates).map(|((id, words), rate)| {
        market(&words, rate).with_context(|| format!("{name}: market {id} is none of Morpho's"))
    });
    whole.collect()
}

/// What accounts have in markets.
pub(super) fn positions(
    reader: &mut Reader<'_>,
    Scope { name, address, .. }: &Scope,
    whose: &[(B256, Address)],
) -> Result<Vec<Position>> {
    let asked = whose
        .iter()
        .map(|(id, user)| (*address, MorphoBlue::positionCall { id: *id, user: *user }));
    let label = format!("{name}: positions");
    let found = calls::needed(reader, &label, &asked.collect::<Vec<_>>())?;
    let position = |[_, shares, collateral]: [U256; 3]| {
        Ok(Position { borrow_shares: narrow(shares)?, collateral: narrow(collateral)? })
    };
    found.into_iter().map(position).collect()
}

impl Named for Names {
    const TOPICS: &'static [B256] = &[CREATE_MARKET, BORROW, SUPPLY_COLLATERAL];

    fn take(&mut self, log: &Log) {
        match Event::decode(&log.topics, &log.data) {
            Ok(Some(Event::CreateMarket(params))) => {
                self.markets.insert(params.id(), params);
            }
            Ok(Some(
                Event::Borrow(Flow { id, account, .. })
                | Event::SupplyCollateral(Deposit { id, account, .. }),
            )) => {
                self.accounts.insert((id, account));
            }
            // No log of Morpho's with one of these topics is anything else.
            Ok(_) | Err(_) => {}
        }
    }
}

/// A market's state in the words of the view.
fn market(words: &[U256; 6], rate: U256) -> Result<Market> {
    let [supply_assets, supply_shares, borrow_assets, borrow_shares, last_update, fee] = *words;
    let total = |assets, shares| -> Result<Total> {
        Ok(Total { assets: narrow(assets)?, shares: narrow(shares)? })
    };
    Ok(Market {
        supply: total(supply_assets, supply_shares)?,
        borrow: total(borrow_assets, borrow_shares)?,
        last_update: u64::try_from(last_update)?,
        fee: u64::try_from(fee)?,
        rate_at_target: u64::try_from(rate)?,
        lltv: 0,
        irm: Irm::None,
    })
}

fn narrow(word: U256) -> Result<u128> {
    Ok(u128::try_from(word)?)
}

impl Morpho {
    /// How everybody stands who owes something.
    pub(super) fn standings(&self, times: Times) -> Vec<Standing> {
        let owing = self.table.positions().filter(|(_, entry)| entry.state.borrow_shares > 0);
        owing.filter_map(|(_, entry)| self.standing(entry, times)).collect()
    }

    fn standing(&self, entry: &PositionEntry, times: Times) -> Option<Standing> {
        let market = self.table.market(entry.market)?;
        let price = self.prices.get(entry.market.index()).copied().flatten();
        let mut standing = Standing::new(Protocol::Morpho, &self.name, entry.account);
        standing.market = Some(market.name);
        let filled = fill(&mut standing, market, &entry.state, price, times);
        Some(standing.with(filled))
    }
}

/// Everything about one position.
fn fill(
    standing: &mut Standing,
    market: &MarketEntry,
    position: &Position,
    price: Option<U256>,
    times: Times,
) -> Result<(), Fault> {
    let Params { loan_token, collateral_token, .. } = market.params;
    let collateral = U256::from(position.collateral);
    standing.collateral.push(Holding { token: collateral_token, amount: collateral });
    let now = market.state.accrued(times.block)?;
    let amount = now.borrow.to_assets_up(U256::from(position.borrow_shares))?;
    standing.debt.push(Holding { token: loan_token, amount });
    let price = price.ok_or(Fault::NoPrice)?;
    let factor = |market: &Market| {
        let health = health(market, position, price)?;
        Ok((health, mul_div_down(health.max_borrow, WAD, health.borrowed)?))
    };
    standing.health_at_block = Some(factor(&now)?.1);
    let next = market.state.accrued(times.next)?;
    let (health, health_factor) = factor(&next)?;
    standing.health = Some(health_factor);
    standing.is_liquidatable = !health.is_healthy();
    let all = Scales { held: health.max_borrow, owed: health.borrowed };
    let part = Scales { held: health.max_borrow, owed: U256::ZERO };
    standing.moves.push(Move { token: collateral_token, ppm: all.move_ppm(part) });
    // The oracle's price has the loan's in it: one falls as the other rises.
    let part = Scales { held: U256::ZERO, owed: health.borrowed };
    standing.moves.push(Move { token: loan_token, ppm: all.move_ppm(part) });
    for fall_per_cent in FALLS_PER_CENT {
        let price = fallen(price, fall_per_cent)?;
        let request = Request::most(&next, position, price)?;
        let done = match liquidate(&next, position, price, request) {
            Ok(done) => done,
            Err(Fault::Healthy) => continue,
            Err(fault) => return Err(fault),
        };
        let (repaid, seized) = (U256::from(done.repaid_assets), U256::from(done.seized));
        let worth = mul_div_down(seized, price, PRICE_SCALE)?;
        standing.deals.push(Deal {
            fall_per_cent,
            debt: loan_token,
            repaid,
            seized: vec![Holding { token: collateral_token, amount: seized }],
            // Its callback comes before it is paid.
            flash_premium: U256::ZERO,
            profit: profit(worth, repaid)?,
            profit_wei: None,
            profit_through_pools: None,
        });
    }
    Ok(())
}
