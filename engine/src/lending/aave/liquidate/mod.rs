//! What a liquidation takes and gives, step by step as the pool computes it, and which amounts the
//! pool accepts.
//!
//! Temperature: hot.
#![deny(clippy::arithmetic_side_effects, clippy::float_arithmetic)]

use alloy_primitives::U256;

use super::health::Health;
use super::{Entry, PERCENT, Position, Reserve, Rules, index, price_source_key, wide};
use crate::lending::math::{
    Fault, RAY, WAD, add, div, mul, mul_div_down, mul_div_half_up, mul_div_up, sub,
};

/// Up to this health, in wad, the whole of a debt can be repaid (0.95).
pub const WHOLE_HEALTH: U256 = U256::from_limbs([950_000_000_000_000_000, 0, 0, 0]);
/// From this value on, in base (8 decimals), a side is too large to be taken whole at once.
pub const WHOLE_BASE: U256 = U256::from_limbs([200_000_000_000, 0, 0, 0]);
/// The least that may be left on either side, in base (8 decimals).
pub const LEFT_BASE: U256 = U256::from_limbs([100_000_000_000, 0, 0, 0]);
/// The part of the debt that can be repaid at once otherwise, in basis points.
const HALF: U256 = U256::from_limbs([5_000, 0, 0, 0]);

/// What a liquidator asks the pool for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The reserve whose collateral is taken.
    pub collateral: u16,
    /// The reserve whose debt is repaid.
    pub debt: u16,
    /// Debt to repay, in the underlying; [`U256::MAX`] is as much as is allowed.
    pub amount: U256,
    /// Whether the collateral stays in the pool and the liquidator gets its token.
    pub receives_a_token: bool,
    /// Whether the sequencer's sentinel allows it; `true` where there is none.
    pub is_sentinel_open: bool,
}

impl Request {
    /// As much as is allowed, paid out in the underlying.
    #[must_use]
    pub const fn whole(collateral: u16, debt: u16) -> Self {
        let amount = U256::MAX;
        Self { collateral, debt, amount, receives_a_token: false, is_sentinel_open: true }
    }
}

/// What a liquidation does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Liquidation {
    /// What the liquidator pays, in the debt's underlying.
    pub debt_repaid: U256,
    /// What the liquidator gets, in the collateral's underlying.
    pub collateral_seized: U256,
    /// What the protocol gets beside that, as the pool reckons it before scaling.
    pub protocol_fee: U256,
    /// Scaled collateral that goes to the liquidator.
    pub seized_scaled: U256,
    /// Scaled collateral that goes to the protocol.
    pub fee_scaled: U256,
    /// Scaled debt that is gone, with what is written off in this reserve.
    pub debt_scaled: U256,
    /// Debt of this reserve that is written off (revisions 7 and later); the account's debt in
    /// other reserves goes with it.
    pub written_off: U256,
    /// Whether the account has no collateral left in any reserve (revisions 7 and later).
    pub is_collateral_gone: bool,
    /// Whether the account no longer uses this reserve as collateral.
    pub is_flag_cleared: bool,
}

/// The two sides of a liquidation before its amount is chosen.
#[derive(Clone, Copy, Debug)]
struct Sides {
    health: Health,
    collateral_price: U256,
    debt_price: U256,
    collateral_unit: U256,
    debt_unit: U256,
    /// All collateral of the account in its reserve.
    balance: U256,
    /// All debt of the account in its reserve.
    owed: U256,
    income: U256,
    debt_index: U256,
    collateral_scaled: u128,
    debt_scaled: u128,
    bonus: U256,
    fee: U256,
    /// The most debt that may be repaid.
    most: U256,
    available: u128,
}

/// Amounts that the pool accepts. Between the two ranges is a hole: what is left would be dust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choices {
    /// The most debt that may be repaid; more is the same as this.
    pub most: U256,
    /// Amounts from 1 to this leave enough behind; zero if none does.
    pub part_most: U256,
    /// Amounts from this on repay the whole debt or take the whole collateral; `None` if none may.
    pub whole_least: Option<U256>,
}

impl Choices {
    /// Whether the pool accepts an amount, as far as what is left decides it.
    #[must_use]
    pub fn allows(&self, amount: U256) -> bool {
        let amount = amount.min(self.most);
        !amount.is_zero()
            && (amount <= self.part_most || self.whole_least.is_some_and(|least| amount >= least))
    }
}

impl Position<'_> {
    /// What a liquidation of the account does.
    ///
    /// `prices` gives the oracle's price of a reserve, in base, by its number. That the liquidator
    /// is not the borrower, and can pay, is the caller's business.
    ///
    /// # Errors
    /// Where the pool would revert, with the reason.
    pub fn liquidation<P>(&self, request: &Request, prices: &P) -> Result<Liquidation, Fault>
    where
        P: Fn(u16) -> Result<U256, Fault>,
    {
        let sides = self.sides(request, prices)?;
        let amount = request.amount.min(sides.most);
        let (seized, repaid) = sides.seize(self.rules, amount)?;
        let fee = sides.fee_of(self.rules, seized)?;
        self.leaves_no_dust(&sides, seized, repaid)?;
        self.settle(&sides, (seized, repaid, fee), request.receives_a_token)
    }

    /// The amounts that the pool accepts for this pair of reserves.
    ///
    /// # Errors
    /// Where the pool would revert whatever the amount, with the reason.
    pub fn choices<P>(&self, request: &Request, prices: &P) -> Result<Choices, Fault>
    where
        P: Fn(u16) -> Result<U256, Fault>,
    {
        let sides = self.sides(request, prices)?;
        let most = sides.most;
        if !self.rules.is_whole_position {
            return Ok(Choices { most, part_most: most, whole_least: None });
        }
        let part_most = self.part_most(&sides)?.min(most);
        let short = match sides.balance.checked_sub(U256::ONE) {
            Some(less) => sides.repays_at_most(self.rules, less)?,
            None => return Err(Fault::Forbidden),
        };
        let least = add(short, U256::ONE)?.min(sides.owed);
        let whole_least = (least <= most).then_some(least);
        Ok(Choices { most, part_most, whole_least })
    }

    fn sides<P>(&self, request: &Request, prices: &P) -> Result<Sides, Fault>
    where
        P: Fn(u16) -> Result<U256, Fault>,
    {
        let collateral = self.reserve(request.collateral)?;
        let debt = self.reserve(request.debt)?;
        self.are_open(collateral, debt)?;
        let health = self.health(prices)?;
        let may = !self.rules.has_sentinel
            || request.is_sentinel_open
            || health.health_factor < WHOLE_HEALTH;
        if !may {
            return Err(Fault::Forbidden);
        }
        if health.health_factor >= WAD {
            return Err(Fault::Healthy);
        }
        let has_threshold = collateral.threshold_bps != 0 || self.rules.counts_without_threshold;
        let taken = self.entry(request.collateral)?;
        let owing = self.entry(request.debt)?;
        if !taken.is_collateral || !has_threshold || owing.debt == 0 {
            return Err(Fault::NotHeld);
        }
        let income = within_128(self.income(request.collateral, collateral).exact?)?;
        let debt_index = within_128(self.debt_index(request.debt, debt).exact?)?;
        let category = self.category_of(request.collateral, collateral);
        let bonus = category.map_or(collateral.bonus_bps, |category| category.bonus_bps);
        let prices = self.pair_prices(request, category.is_some(), prices)?;
        let mut sides = Sides {
            health,
            collateral_price: prices.0,
            debt_price: prices.1,
            collateral_unit: collateral.unit()?,
            debt_unit: debt.unit()?,
            balance: index::collateral_balance(self.rules, taken.collateral, income)?,
            owed: index::debt_balance(self.rules, owing.debt, debt_index)?,
            income,
            debt_index,
            collateral_scaled: taken.collateral,
            debt_scaled: owing.debt,
            bonus: U256::from(bonus),
            fee: U256::from(collateral.fee_bps),
            most: U256::ZERO,
            available: collateral.available,
        };
        sides.most = self.most(&sides)?;
        Ok(sides)
    }

    fn are_open(&self, collateral: &Reserve, debt: &Reserve) -> Result<(), Fault> {
        for reserve in [collateral, debt] {
            let in_grace = self.rules.has_grace && reserve.grace_until >= self.at;
            if !reserve.is_active || reserve.is_paused || in_grace {
                return Err(Fault::Forbidden);
            }
        }
        Ok(())
    }

    fn entry(&self, reserve: u16) -> Result<&Entry, Fault> {
        self.entries.iter().find(|entry| entry.reserve == reserve).ok_or(Fault::NotHeld)
    }

    /// The prices that amounts are converted with: of the collateral and of the debt.
    fn pair_prices<P>(
        &self,
        request: &Request,
        is_member: bool,
        prices: &P,
    ) -> Result<(U256, U256), Fault>
    where
        P: Fn(u16) -> Result<U256, Fault>,
    {
        if self.category_price(prices)?.is_none() {
            return Ok((prices(request.collateral)?, prices(request.debt)?));
        }
        // The pool takes it for granted that debt is of the account's category.
        let own = price_source_key(self.category);
        let of_collateral = if is_member { own } else { request.collateral };
        Ok((prices(of_collateral)?, prices(own)?))
    }

    fn most(&self, sides: &Sides) -> Result<U256, Fault> {
        let is_nearly_healthy = sides.health.health_factor > WHOLE_HEALTH;
        if !self.rules.is_whole_position {
            let part = if is_nearly_healthy { HALF } else { PERCENT };
            return mul_div_half_up(sides.owed, part, PERCENT);
        }
        let held = mul_div_down(sides.balance, sides.collateral_price, sides.collateral_unit)?;
        let owed = self.debt_base(sides.owed, sides.debt_price, sides.debt_unit)?;
        if held < WHOLE_BASE || owed < WHOLE_BASE || !is_nearly_healthy {
            return Ok(sides.owed);
        }
        let cap = mul_div_half_up(sides.health.debt_base, HALF, PERCENT)?;
        if owed <= cap {
            return Ok(sides.owed);
        }
        mul_div_down(cap, sides.debt_unit, sides.debt_price)
    }

    /// Whether both sides are left with enough, where neither is taken whole.
    fn leaves_no_dust(&self, sides: &Sides, seized: U256, repaid: U256) -> Result<(), Fault> {
        if !self.rules.is_whole_position || repaid >= sides.owed || seized >= sides.balance {
            return Ok(());
        }
        let owed = sub(sides.owed, repaid)?;
        let debt_left = self.debt_base(owed, sides.debt_price, sides.debt_unit)?;
        let held = sub(sides.balance, seized)?;
        let held_left = mul_div_down(held, sides.collateral_price, sides.collateral_unit)?;
        if debt_left < LEFT_BASE || held_left < LEFT_BASE { Err(Fault::Dust) } else { Ok(()) }
    }

    /// The most debt that leaves enough on both sides; zero if none does.
    fn part_most(&self, sides: &Sides) -> Result<U256, Fault> {
        let debt_left = if self.rules.is_directed {
            // Rounded up, one base unit less than the limit and a bit more is the limit.
            let below = sub(LEFT_BASE, U256::ONE)?;
            add(mul_div_down(below, sides.debt_unit, sides.debt_price)?, U256::ONE)?
        } else {
            mul_div_up(LEFT_BASE, sides.debt_unit, sides.debt_price)?
        };
        let held_left = mul_div_up(LEFT_BASE, sides.collateral_unit, sides.collateral_price)?;
        let (Some(debt), Some(seized)) =
            (sides.owed.checked_sub(debt_left), sides.balance.checked_sub(held_left))
        else {
            return Ok(U256::ZERO);
        };
        Ok(debt.min(sides.repays_at_most(self.rules, seized)?))
    }

    fn settle(
        &self,
        sides: &Sides,
        (seized, repaid, fee): (U256, U256, U256),
        receives_a_token: bool,
    ) -> Result<Liquidation, Fault> {
        let rules = self.rules;
        let paid = sub(seized, fee)?;
        let held_scaled = wide(sides.collateral_scaled);
        let seized_scaled = index::collateral_scaled(rules, paid, sides.income)?;
        let left = sub(held_scaled, seized_scaled)?;
        let wanted = index::collateral_scaled(rules, fee, sides.income)?;
        let is_collateral_gone =
            rules.is_whole_position && self.takes_all(sides, seized, [seized_scaled, wanted])?;
        let burnt = if is_collateral_gone { sides.owed } else { repaid };
        let debt_scaled = index::repaid_scaled(rules, burnt, sides.debt_index)?;
        if debt_scaled.is_zero() || (seized_scaled.is_zero() && !receives_a_token) {
            return Err(Fault::Forbidden);
        }
        sub(wide(sides.debt_scaled), debt_scaled)?;
        if !receives_a_token && paid > wide(sides.available) {
            return Err(Fault::NoLiquidity);
        }
        let is_taken = if rules.counts_scaled {
            add(seized_scaled, wanted)? >= held_scaled || is_collateral_gone
        } else {
            seized == sides.balance
        };
        Ok(Liquidation {
            debt_repaid: repaid,
            collateral_seized: paid,
            protocol_fee: fee,
            seized_scaled,
            fee_scaled: wanted.min(left),
            debt_scaled,
            written_off: if is_collateral_gone { sub(sides.owed, repaid)? } else { U256::ZERO },
            is_collateral_gone,
            is_flag_cleared: is_taken,
        })
    }

    /// Whether this takes all collateral that the account has anywhere.
    fn takes_all(&self, sides: &Sides, seized: U256, scaled: [U256; 2]) -> Result<bool, Fault> {
        let taken = if self.rules.counts_scaled {
            let consumed = add(scaled[0], scaled[1])?.min(wide(sides.collateral_scaled));
            mul_div_down(consumed, sides.income, RAY)?
        } else {
            seized
        };
        let base = mul_div_down(taken, sides.collateral_price, sides.collateral_unit)?;
        Ok(base == sides.health.collateral_base)
    }
}

impl Sides {
    /// Collateral for an amount of debt with its bonus, fee included, and the debt that pays for
    /// it: less, if there is not that much collateral.
    fn seize(&self, rules: &Rules, amount: U256) -> Result<(U256, U256), Fault> {
        let worth = mul(mul(self.debt_price, amount)?, self.collateral_unit)?;
        let base = div(worth, mul(self.collateral_price, self.debt_unit)?)?;
        let seized = with_bonus(rules, base, self.bonus)?;
        if seized <= self.balance {
            return Ok((seized, amount));
        }
        let worth = mul(mul(self.collateral_price, self.balance)?, self.debt_unit)?;
        let base = div(worth, mul(self.debt_price, self.collateral_unit)?)?;
        let repaid = if rules.is_directed {
            mul_div_up(base, PERCENT, self.bonus)?
        } else {
            mul_div_half_up(base, PERCENT, self.bonus)?
        };
        Ok((self.balance, repaid))
    }

    /// The protocol's part of what is seized.
    fn fee_of(&self, rules: &Rules, seized: U256) -> Result<U256, Fault> {
        if self.fee.is_zero() {
            return Ok(U256::ZERO);
        }
        if rules.is_bonus_directed {
            let bonus = sub(seized, mul_div_down(seized, PERCENT, self.bonus)?)?;
            mul_div_up(bonus, self.fee, PERCENT)
        } else {
            let bonus = sub(seized, mul_div_half_up(seized, PERCENT, self.bonus)?)?;
            mul_div_half_up(bonus, self.fee, PERCENT)
        }
    }

    /// The most debt for which no more than `seized` is taken: [`Self::seize`] the other way
    /// round.
    fn repays_at_most(&self, rules: &Rules, seized: U256) -> Result<U256, Fault> {
        let above = mul(add(seized, U256::ONE)?, PERCENT)?;
        let half = if rules.is_bonus_directed { U256::ZERO } else { HALF };
        let base = div(sub(sub(above, half)?, U256::ONE)?, self.bonus)?;
        let worth = mul(add(base, U256::ONE)?, mul(self.collateral_price, self.debt_unit)?)?;
        div(sub(worth, U256::ONE)?, mul(self.debt_price, self.collateral_unit)?)
    }
}

fn with_bonus(rules: &Rules, base: U256, bonus: U256) -> Result<U256, Fault> {
    if rules.is_bonus_directed {
        mul_div_down(base, bonus, PERCENT)
    } else {
        mul_div_half_up(base, bonus, PERCENT)
    }
}

/// The pool keeps indices in 128 bits and reverts where they need more.
fn within_128(index: U256) -> Result<U256, Fault> {
    if index > wide(u128::MAX) { Err(Fault::Overflow) } else { Ok(index) }
}

#[cfg(test)]
mod tests;
