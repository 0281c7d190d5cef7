//! Who can be absorbed, how far everybody is from it, and what an absorption leaves behind.
//!
//! Everything is counted at the market's indices as they are given: for a block to come, hand over
//! a market that [`accrued`](super::accrued) to its timestamp, because an absorption does that
//! first. `isLiquidatable` of the contract does not, and is behind by the interest since the last
//! touch.
//!
//! Temperature: hot.

use alloy_primitives::U256;

use super::accrue::{present, supply_principal};
use super::{
    ASSETS_MAX, Account, Asset, Market, PRINCIPAL_MAX, Priced, TOTAL_MAX, pause, price, signed,
};
use crate::lending::math::{Fault, WAD, add, div, mul, mul_div_down};

/// How far below zero a signed word goes.
const SIGNED_LEAST: U256 = U256::from_limbs([0, 0, 0, 1 << 63]);

/// An account's debt and what stands against it, in 8 decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// The debt at the base token's price; 0 if there is none.
    pub debt_value: U256,
    /// What each collateral counts, at its price and with its liquidation threshold.
    pub weighted: [U256; ASSETS_MAX],
    /// The sum of them.
    pub collateral_value: U256,
    /// Whether the account can be absorbed.
    pub is_liquidatable: bool,
}

/// What an absorption does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Absorbed {
    /// The market after it, without what it seized: see [`Asset::after_seizing`].
    pub market: Market,
    /// The account's principal after it: 0, or above if its collateral was worth more than its
    /// debt. It has no collateral left.
    pub principal: i128,
    /// Base tokens that the reserves paid for the debt and the account's credit.
    pub base_paid_out: U256,
    /// The same in 8 decimals, at the base token's price.
    pub value_paid_out: U256,
}

/// Whether an account can be absorbed. Like the contract, it asks for no more prices once the
/// collateral covers the debt: a feed behind that point may fail.
///
/// # Errors
/// When a price that is asked for is not there, or a number outgrows the contract's.
pub fn is_liquidatable(
    market: &Market,
    assets: &[Asset],
    account: &Account<'_>,
    prices: &impl Fn(Priced) -> Result<U256, Fault>,
) -> Result<bool, Fault> {
    let debt = debt_value(market, account, prices)?;
    let mut covered = U256::ZERO;
    for (index, asset, balance) in account.collateral(assets) {
        if covered >= debt {
            return Ok(false);
        }
        covered =
            add(covered, weighted_value(asset, balance, price(Priced::Asset(index), prices)?)?)?;
    }
    Ok(covered < debt)
}

/// The same with every term of the sum, for all of the account's collateral. What the contract does
/// not ask for because the debt is covered counts nothing here if its feed fails.
///
/// # Errors
/// As [`is_liquidatable`].
pub fn health(
    market: &Market,
    assets: &[Asset],
    account: &Account<'_>,
    prices: &impl Fn(Priced) -> Result<U256, Fault>,
) -> Result<Health, Fault> {
    let debt_value = debt_value(market, account, prices)?;
    let mut weighted = [U256::ZERO; ASSETS_MAX];
    let mut collateral_value = U256::ZERO;
    for (index, asset, balance) in account.collateral(assets) {
        let value = price(Priced::Asset(index), prices)
            .and_then(|price| weighted_value(asset, balance, price))
            .and_then(|value| Ok((value, add(collateral_value, value)?)));
        match (value, weighted.get_mut(usize::from(index))) {
            (Ok((value, sum)), Some(term)) => (*term, collateral_value) = (value, sum),
            (Err(fault), _) if collateral_value < debt_value => return Err(fault),
            (Err(_), _) | (Ok(_), None) => {}
        }
    }
    let is_liquidatable = collateral_value < debt_value;
    Ok(Health { debt_value, weighted, collateral_value, is_liquidatable })
}

/// The value of an account's debt in 8 decimals; 0 without a price if it has none.
pub(super) fn debt_value(
    market: &Market,
    account: &Account<'_>,
    prices: &impl Fn(Priced) -> Result<U256, Fault>,
) -> Result<U256, Fault> {
    if account.principal >= 0 {
        return Ok(U256::ZERO);
    }
    let debt = debt(market, account)?;
    let product = mul(debt, price(Priced::Base, prices)?)?;
    // The contract multiplies with a sign; the most negative number still fits.
    if product > SIGNED_LEAST {
        return Err(Fault::Overflow);
    }
    div(product, U256::from(market.terms.base_scale))
}

/// An account's debt in base tokens.
fn debt(market: &Market, account: &Account<'_>) -> Result<U256, Fault> {
    let principal = account.principal.unsigned_abs();
    if principal > PRINCIPAL_MAX {
        return Err(Fault::Overflow);
    }
    present(principal, market.totals.borrow_index)
}

fn value(asset: &Asset, balance: u128, price: U256) -> Result<U256, Fault> {
    mul_div_down(U256::from(balance), price, U256::from(asset.scale))
}

fn weighted_value(asset: &Asset, balance: u128, price: U256) -> Result<U256, Fault> {
    let value = value(asset, balance, price)?;
    signed(mul_div_down(value, U256::from(asset.liquidate_factor), WAD)?)
}

/// What absorbing an account does at the market's indices, which must have
/// [`accrued`](super::accrued) to the block's timestamp. Two accounts in one call: hand the market
/// of the first to the second.
///
/// # Errors
/// When absorbing is paused, the account is healthy, a price is not there (now every collateral's
/// is needed), or a number outgrows the contract's.
pub fn absorb(
    market: &Market,
    assets: &[Asset],
    account: &Account<'_>,
    prices: &impl Fn(Priced) -> Result<U256, Fault>,
) -> Result<Absorbed, Fault> {
    let Market { terms, totals } = market;
    if totals.is_paused(pause::ABSORB) {
        return Err(Fault::Forbidden);
    }
    if !is_liquidatable(market, assets, account, prices)? {
        return Err(Fault::Healthy);
    }
    let base_price = price(Priced::Base, prices)?;
    let mut credit_value = U256::ZERO;
    for (index, asset, balance) in account.collateral(assets) {
        asset.after_seizing(balance)?;
        let value = value(asset, balance, price(Priced::Asset(index), prices)?)?;
        let credit = mul_div_down(value, U256::from(asset.liquidation_factor), WAD)?;
        credit_value = add(credit_value, credit)?;
    }
    let base_scale = U256::from(terms.base_scale);
    let credit = signed(mul_div_down(credit_value, base_scale, base_price)?)?;
    let debt = debt(market, account)?;
    // What the collateral does not cover, the reserves do.
    let balance = credit.saturating_sub(debt);
    let principal = supply_principal(balance, totals.supply_index)?;
    let base_paid_out = add(balance, debt)?;
    let value_paid_out = mul_div_down(base_paid_out, base_price, base_scale)?;

    let mut after = *market;
    let repaid = account.principal.unsigned_abs();
    after.totals.borrow = totals.borrow.checked_sub(repaid).ok_or(Fault::Underflow)?;
    after.totals.supply = totals.supply.checked_add(principal).ok_or(Fault::Overflow)?;
    if after.totals.supply > TOTAL_MAX {
        return Err(Fault::Overflow);
    }
    let principal = i128::try_from(principal).ok().ok_or(Fault::Overflow)?;
    Ok(Absorbed { market: after, principal, base_paid_out, value_paid_out })
}
