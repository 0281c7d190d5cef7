//! What is told of each borrower of a market.
//!
//! Temperature: cold.
#![deny(clippy::arithmetic_side_effects)]

use alloy_primitives::U256;
use gannet_engine::lending::comet::accrue::present;
use gannet_engine::lending::comet::table::AccountId;
use gannet_engine::lending::comet::{
    Account, Asset, Market, Priced, absorb, accrued, health, is_for_sale, most_base, pause,
};
use gannet_engine::lending::math::{Fault, WAD, add, mul, mul_div_down};

use super::Comet;
use crate::lending::risk::{FALLS_PER_CENT, Scales, fallen, profit};
use crate::lending::standing::{Deal, Holding, Move, Protocol, Standing, Times};

impl Comet {
    /// How everybody stands who owes something.
    pub(in crate::lending) fn standings(&self, times: Times) -> Vec<Standing> {
        let ids = (0..self.table.account_end().0).map(AccountId);
        ids.filter_map(|id| self.standing(id, times)).collect()
    }

    fn standing(&self, id: AccountId, times: Times) -> Option<Standing> {
        let (_, owner) = self.table.owner(id).ok()?;
        let account = self.table.account(id).ok()?;
        if account.principal >= 0 {
            return None;
        }
        let mut standing = Standing::new(Protocol::Comet, &self.name, owner);
        let filled = self.fill(&mut standing, &account, times);
        Some(standing.with(filled))
    }

    fn fill(
        &self,
        standing: &mut Standing,
        account: &Account<'_>,
        times: Times,
    ) -> Result<(), Fault> {
        let (market, assets) = self.table.market(self.market)?;
        let base_token = market.terms.base_token;
        for (_, asset, balance) in account.collateral(assets) {
            let holding = Holding { token: asset.token, amount: U256::from(balance) };
            standing.collateral.push(holding);
        }
        let now = accrued(market, times.block)?;
        let amount = present(account.principal.unsigned_abs(), now.totals.borrow_index)?;
        standing.debt.push(Holding { token: base_token, amount });
        let prices = |priced: Priced| self.price(priced);
        let then = health(&now, assets, account, &prices)?;
        standing.health_at_block = factor(then.collateral_value, then.debt_value)?;
        let next = accrued(market, times.next)?;
        let health = health(&next, assets, account, &prices)?;
        standing.health = factor(health.collateral_value, health.debt_value)?;
        standing.is_liquidatable = health.is_liquidatable;
        let all = Scales { held: health.collateral_value, owed: health.debt_value };
        let weighted = account.collateral(assets).filter_map(|(index, asset, _)| {
            Some((asset.token, *health.weighted.get(usize::from(index))?))
        });
        for (token, held) in weighted {
            let part = Scales { held, owed: U256::ZERO };
            standing.moves.push(Move { token, ppm: all.move_ppm(part) });
        }
        let part = Scales { held: U256::ZERO, owed: health.debt_value };
        standing.moves.push(Move { token: base_token, ppm: all.move_ppm(part) });
        for per_cent in FALLS_PER_CENT {
            match self.deal(&next, assets, account, per_cent) {
                Ok(deal) => standing.deals.extend(deal),
                // Absorbing may be paused.
                Err(Fault::Healthy | Fault::Forbidden) => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }

    fn price(&self, priced: Priced) -> Result<U256, Fault> {
        let place = match priced {
            Priced::Base => 0,
            Priced::Asset(index) => usize::from(index).saturating_add(1),
        };
        self.prices.get(place).copied().flatten().ok_or(Fault::NoPrice)
    }

    /// Absorbing the account and buying all of its collateral from the protocol, after a fall of
    /// the collateral's prices.
    fn deal(
        &self,
        market: &Market,
        assets: &[Asset],
        account: &Account<'_>,
        fall_per_cent: u8,
    ) -> Result<Option<Deal>, Fault> {
        let prices = |priced: Priced| match priced {
            Priced::Base => self.price(priced),
            Priced::Asset(_) => fallen(self.price(priced)?, fall_per_cent),
        };
        let after = absorb(market, assets, account, &prices)?.market;
        if after.totals.is_paused(pause::BUY) || !is_for_sale(&after)? {
            return Ok(None);
        }
        let [mut repaid, mut worth] = [U256::ZERO; 2];
        let mut seized = Vec::new();
        for (index, asset, balance) in account.collateral(assets) {
            // Only what the account had: what was for sale before needs nobody to fall.
            let own = Asset { total: 0, held: balance, ..*asset };
            repaid = add(repaid, most_base(&after, (index, &own), &prices)?)?;
            let value = mul_div_down(
                U256::from(balance),
                prices(Priced::Asset(index))?,
                U256::from(asset.scale),
            )?;
            let scale = U256::from(market.terms.base_scale);
            worth = add(worth, mul_div_down(value, scale, prices(Priced::Base)?)?)?;
            seized.push(Holding { token: asset.token, amount: U256::from(balance) });
        }
        Ok(Some(Deal {
            fall_per_cent,
            debt: market.terms.base_token,
            repaid,
            seized,
            // The base tokens are taken to be at hand.
            flash_premium: U256::ZERO,
            profit: profit(worth, repaid)?,
            profit_wei: None,
            profit_through_pools: None,
        }))
    }
}

/// What counts over what is owed, in 18 decimals; `None` if what is owed is worth nothing.
fn factor(held: U256, owed: U256) -> Result<Option<U256>, Fault> {
    if owed.is_zero() {
        return Ok(None);
    }
    Ok(mul(held, WAD)?.checked_div(owed))
}
