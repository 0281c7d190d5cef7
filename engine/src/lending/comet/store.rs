//! The protocol's shop: collateral that it took, for base tokens, below the market's price.
//!
//! Anyone may buy, in the transaction of an absorption or later, as long as the reserves are below
//! their target: one purchase may take them above it.
//!
//! Temperature: hot.

use alloy_primitives::{I256, U256};

use super::accrue::reserves;
use super::{Asset, Market, Priced, narrow, pause, price};
use crate::lending::math::{Fault, WAD, add, div, mul, mul_div_down, sub};

/// What a purchase does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bought {
    /// What the buyer gets, in the collateral's smallest unit.
    pub collateral_out: u128,
    /// The market after it.
    pub market: Market,
    /// The collateral after it.
    pub asset: Asset,
}

/// Whether the protocol sells collateral: its reserves are below their target. The market is one
/// that [`accrued`](super::accrued) to the block's timestamp.
///
/// # Errors
/// Never with numbers of the contract's sizes; when a product overflows.
pub fn is_for_sale(market: &Market) -> Result<bool, Fault> {
    let target = I256::try_from(market.terms.target_reserves).ok().ok_or(Fault::Overflow)?;
    Ok(reserves(market)? < target)
}

/// How much of a collateral is the protocol's own.
///
/// # Errors
/// When the market holds less than accounts have put in.
pub fn collateral_reserves(asset: &Asset) -> Result<u128, Fault> {
    asset.held.checked_sub(asset.total).ok_or(Fault::Underflow)
}

/// What base tokens buy of the collateral of number `index`, whether it is there or not
/// (`quoteCollateral`).
///
/// # Errors
/// When a price is not there, or a number outgrows the contract's.
pub fn quote_collateral(
    market: &Market,
    (index, asset): (u8, &Asset),
    base_amount: U256,
    prices: &impl Fn(Priced) -> Result<U256, Fault>,
) -> Result<U256, Fault> {
    let (discounted, base_price) = shop_prices(market, (index, asset), prices)?;
    let product = mul(mul(base_price, base_amount)?, U256::from(asset.scale))?;
    div(div(product, discounted)?, U256::from(market.terms.base_scale))
}

/// The price that a collateral is sold at, and the base token's.
fn shop_prices(
    market: &Market,
    (index, asset): (u8, &Asset),
    prices: &impl Fn(Priced) -> Result<U256, Fault>,
) -> Result<(U256, U256), Fault> {
    let full = price(Priced::Asset(index), prices)?;
    let penalty = sub(WAD, U256::from(asset.liquidation_factor))?;
    let factor = U256::from(market.terms.store_front_price_factor);
    let discount = mul_div_down(factor, penalty, WAD)?;
    let discounted = mul_div_down(full, sub(WAD, discount)?, WAD)?;
    Ok((discounted, price(Priced::Base, prices)?))
}

/// What buying the collateral of number `index` does. The market must have
/// [`accrued`](super::accrued) to the block's timestamp; right after an absorption it is the one of
/// [`Absorbed`](super::Absorbed), and the collateral that of [`Asset::after_seizing`]. The base
/// token is taken to arrive whole.
///
/// # Errors
/// When buying is paused or nothing is for sale ([`is_for_sale`]), the reserves have less of the
/// collateral, a price is not there, or a number outgrows the contract's.
pub fn buy(
    market: &Market,
    (index, asset): (u8, &Asset),
    base_amount: u128,
    prices: &impl Fn(Priced) -> Result<U256, Fault>,
) -> Result<Bought, Fault> {
    if market.totals.is_paused(pause::BUY) || !is_for_sale(market)? {
        return Err(Fault::Forbidden);
    }
    let out = quote_collateral(market, (index, asset), U256::from(base_amount), prices)?;
    if out > U256::from(collateral_reserves(asset)?) {
        return Err(Fault::NoLiquidity);
    }
    let collateral_out = narrow(out)?;
    let (mut market, mut asset) = (*market, *asset);
    market.totals.held = market.totals.held.checked_add(base_amount).ok_or(Fault::Overflow)?;
    asset.held = asset.held.checked_sub(collateral_out).ok_or(Fault::Underflow)?;
    Ok(Bought { collateral_out, market, asset })
}

/// The most base tokens that buy no more than the reserves have of a collateral.
///
/// # Errors
/// When a price is not there, the market holds less than accounts have put in, or a number outgrows
/// the contract's.
pub fn most_base(
    market: &Market,
    (index, asset): (u8, &Asset),
    prices: &impl Fn(Priced) -> Result<U256, Fault>,
) -> Result<U256, Fault> {
    let (discounted, base_price) = shop_prices(market, (index, asset), prices)?;
    // The first amount that buys one unit too many: both of a quote's divisions round down, so it
    // is where the product reaches this.
    let one_more = add(U256::from(collateral_reserves(asset)?), U256::ONE)?;
    let product = mul(mul(one_more, U256::from(market.terms.base_scale))?, discounted)?;
    let below = sub(product, U256::ONE)?;
    div(below, mul(base_price, U256::from(asset.scale))?)
}
