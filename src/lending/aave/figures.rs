//! What is told of each borrower of a pool.
//!
//! Temperature: cold.
#![deny(clippy::arithmetic_side_effects)]

use std::collections::BTreeMap;

use alloy_primitives::{Address, I256, U256};
use gannet_engine::lending::aave::liquidate::Request;
use gannet_engine::lending::aave::{Entry, PERCENT, Position, index, price_source_key};
use gannet_engine::lending::math::{Fault, add, mul, mul_div_down, mul_div_up};

use super::Aave;
use crate::lending::risk::{FALLS_PER_CENT, Scales, fallen, profit};
use crate::lending::standing::{Deal, Holding, Move, Protocol, Standing, Times};

impl Aave {
    /// How everybody stands who owes something.
    pub(in crate::lending) fn standings(&self, times: Times) -> Vec<Standing> {
        let numbers = 0..self.market.account_count();
        numbers.filter_map(|number| self.standing(number, times)).collect()
    }

    fn standing(&self, number: u32, times: Times) -> Option<Standing> {
        let user = self.market.account(number)?.address;
        let mut standing = Standing::new(Protocol::Aave, &self.name, user);
        let filled = self.fill(&mut standing, number, times);
        Some(standing.with(filled))
    }

    fn fill(&self, standing: &mut Standing, number: u32, times: Times) -> Result<(), Fault> {
        let now = self.market.position(number, times.block)?;
        self.hold(standing, &now)?;
        let prices = |key: u16| self.price(key);
        standing.health_at_block = Some(now.health(&prices)?.health_factor);
        let next = self.market.position(number, times.next)?;
        let health = next.health(&prices)?;
        standing.health = Some(health.health_factor);
        standing.is_liquidatable = health.is_below_one();
        standing.moves = self.moves(&next)?;
        for per_cent in FALLS_PER_CENT {
            standing.deals.extend(self.deal(&next, per_cent)?);
        }
        Ok(())
    }

    fn price(&self, key: u16) -> Result<U256, Fault> {
        self.prices.get(&key).copied().ok_or(Fault::NoPrice)
    }

    fn asset(&self, reserve: u16) -> Result<Address, Fault> {
        self.market.listing(reserve).map(|listing| listing.asset).ok_or(Fault::Unknown)
    }

    /// What the account owes and has for collateral, in tokens.
    fn hold(&self, standing: &mut Standing, position: &Position<'_>) -> Result<(), Fault> {
        for entry in position.entries {
            let reserve = position.reserve(entry.reserve)?;
            let token = self.asset(entry.reserve)?;
            if entry.is_collateral {
                let income = index::income(reserve, position.at)?;
                let amount = index::collateral_balance(position.rules, entry.collateral, income)?;
                standing.collateral.push(Holding { token, amount });
            }
            if entry.debt != 0 {
                let grown = index::debt(position.rules, reserve, position.at)?;
                let amount = index::debt_balance(position.rules, entry.debt, grown)?;
                standing.debt.push(Holding { token, amount });
            }
        }
        Ok(())
    }

    /// How far each price is from a liquidation. Members of a category with a price of its own have
    /// that one in common.
    fn moves(&self, position: &Position<'_>) -> Result<Vec<Move>, Fault> {
        let prices = |key: u16| self.price(key);
        let health = position.health(&prices)?;
        let held = if position.rules.averages_threshold {
            // As the pool does it: the average is rounded down.
            let average = health.weighted.checked_div(health.collateral_base).unwrap_or_default();
            mul(health.collateral_base, average)?
        } else {
            health.weighted
        };
        let all = Scales { held, owed: mul(health.debt_base, PERCENT)? };
        let own = position.category_price(&prices)?.filter(|price| !price.is_zero());
        let mut parts: BTreeMap<u16, (Address, Scales)> = BTreeMap::new();
        for entry in position.entries {
            let value = position.value(entry, &prices)?;
            let reserve = position.reserve(entry.reserve)?;
            let is_member = position.category_of(entry.reserve, reserve).is_some();
            let key = if own.is_some() && is_member {
                price_source_key(position.category)
            } else {
                entry.reserve
            };
            let token = self.asset(entry.reserve)?;
            let (_, part) = parts.entry(key).or_insert((token, Scales::default()));
            let counted = mul(value.collateral_base, U256::from(value.threshold_bps))?;
            part.held = add(part.held, counted)?;
            part.owed = add(part.owed, mul(value.debt_base, PERCENT)?)?;
        }
        let told = parts.into_values();
        Ok(told.map(|(token, part)| Move { token, ppm: all.move_ppm(part) }).collect())
    }

    /// The liquidation that pays most after a fall of the collateral's prices; `None` if none is
    /// possible. What is owed keeps its price, and so does collateral that is owed too.
    fn deal(&self, position: &Position<'_>, per_cent: u8) -> Result<Option<Deal>, Fault> {
        let falls = |key: u16| {
            let of = |entry: &&Entry| entry.reserve == key;
            let entry = position.entries.iter().find(of);
            entry.is_some_and(|entry| entry.is_collateral && entry.debt == 0)
        };
        let prices = |key: u16| {
            let price = self.price(key)?;
            if falls(key) { fallen(price, per_cent) } else { Ok(price) }
        };
        if !position.health(&prices)?.is_below_one() {
            return Ok(None);
        }
        let mut best: Option<(I256, Deal)> = None;
        for debt in position.entries.iter().filter(|entry| entry.debt != 0) {
            for collateral in position.entries.iter().filter(|entry| entry.is_collateral) {
                let request = Request {
                    is_sentinel_open: self.is_sentinel_open,
                    ..Request::whole(collateral.reserve, debt.reserve)
                };
                for (base, deal) in self.offers(position, request, &prices) {
                    if best.as_ref().is_none_or(|(most, _)| base > *most) {
                        best = Some((base, Deal { fall_per_cent: per_cent, ..deal }));
                    }
                }
            }
        }
        Ok(best.map(|(_, deal)| deal))
    }

    /// What the pool accepts for a pair of reserves: the most that it allows, and the most that
    /// leaves no dust. Each with its profit in the oracle's currency.
    fn offers<P>(&self, position: &Position<'_>, request: Request, prices: &P) -> Vec<(I256, Deal)>
    where
        P: Fn(u16) -> Result<U256, Fault>,
    {
        let Ok(choices) = position.choices(&request, prices) else { return Vec::new() };
        let amounts = [choices.most, choices.part_most];
        let allowed = amounts.into_iter().filter(|amount| choices.allows(*amount));
        // What the pool would revert on is no offer.
        allowed
            .filter_map(|amount| self.offer(position, Request { amount, ..request }, prices).ok())
            .collect()
    }

    fn offer<P>(
        &self,
        position: &Position<'_>,
        request: Request,
        prices: &P,
    ) -> Result<(I256, Deal), Fault>
    where
        P: Fn(u16) -> Result<U256, Fault>,
    {
        let done = position.liquidation(&request, prices)?;
        let flash_premium = mul_div_up(done.debt_repaid, self.flash_bps, PERCENT)?;
        let cost = add(done.debt_repaid, flash_premium)?;
        let collateral_unit = position.reserve(request.collateral)?.unit()?;
        let debt_unit = position.reserve(request.debt)?.unit()?;
        let (collateral_price, debt_price) = (prices(request.collateral)?, prices(request.debt)?);
        let gain = mul_div_down(done.collateral_seized, collateral_price, collateral_unit)?;
        let base = profit(gain, mul_div_up(cost, debt_price, debt_unit)?)?;
        let worth = mul_div_down(
            mul(done.collateral_seized, collateral_price)?,
            debt_unit,
            mul(collateral_unit, debt_price)?,
        )?;
        let token = self.asset(request.collateral)?;
        let deal = Deal {
            fall_per_cent: 0,
            debt: self.asset(request.debt)?,
            repaid: done.debt_repaid,
            seized: vec![Holding { token, amount: done.collateral_seized }],
            flash_premium,
            profit: profit(worth, cost)?,
            profit_wei: None,
            profit_through_pools: None,
        };
        Ok((base, deal))
    }
}
