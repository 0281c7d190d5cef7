//! `gannet positions`: how borrowers stand, and what their liquidations would bring.
//!
//! Temperature: cold.

use std::collections::HashMap;
use std::fmt;

use alloy_primitives::utils::parse_units;
use alloy_primitives::{Address, B256, I256, U256};
use anyhow::Result;
use clap::Args;
use gannet_engine::search::route::Route;
use gannet_engine::world::World;
use gannet_engine::world::standing::{Standing as PoolStanding, Tried};
use serde::Serialize;

use crate::bootstrap::{self, Reader};
use crate::config::{Config, in_ether};
use crate::feed::rpc::Rpc;
use crate::lending::{
    self, Deal, FALLS_PER_CENT, Holding, Protocol, RollFile, Standing, Times, in_per_cent,
};

/// What a profit is made of.
const COUNTED: &str = "profit: what is seized at the oracle's prices, less what is repaid, the \
                       protocol's fee and (Aave) the premium of a flash loan; gas is not counted. \
                       A fall is one of all collateral that is not owed as well. In ETH at what \
                       the pools pay now";
/// Lines that are shown; `--json` has all.
const SHOWN_MAX: usize = 20;
/// Digits of amounts behind the point.
const DIGITS: u32 = 4;

/// The borrowers, the riskiest first.
#[derive(Debug, Serialize)]
pub(crate) struct Positions {
    block: u64,
    hash: B256,
    timestamp: u64,
    /// The time of the next block, in which a liquidation would land: health is told for it.
    next_timestamp: u64,
    /// The block that the pools were read at; nothing if there are none.
    pools_block: Option<u64>,
    counted: &'static str,
    positions: Vec<Standing>,
    /// How tokens are called, and their decimals.
    #[serde(skip)]
    tokens: HashMap<Address, (String, u8)>,
}

/// Which borrowers are told.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Which {
    /// Only the borrowers of this protocol
    #[arg(long, value_enum)]
    protocol: Option<Protocol>,
    /// Only those whose health is below this, for example 1.05, or unknown
    #[arg(long, value_name = "HEALTH", value_parser = parse_health)]
    below: Option<U256>,
}

/// Reads all borrowers of the configured protocols, and keeps those that are asked for.
pub(crate) fn positions<S>(config: &Config<S>, which: &Which) -> Result<Positions> {
    config.need_lending()?;
    let mut rpc = bootstrap::connect(&config.nodes, config.chain.id)?;
    let anchor = bootstrap::latest(&mut rpc, &config.chain)?;
    let block_time_s = config.chain.block_time_ms.div_ceil(1_000);
    let next_timestamp = anchor.timestamp.saturating_add(block_time_s);
    let times = Times { block: anchor.timestamp, next: next_timestamp };
    let mut reader = Reader::new(&mut rpc, anchor)?;
    let file = RollFile::of(config.place());
    let mut roll = file.take_up();
    let mut positions =
        lending::read(&mut reader, &mut roll, &config.lending, which.protocol, times)?;
    file.keep(&roll);
    positions.retain(|one| match (one.health, which.below) {
        (Some(health), Some(below)) => health < below,
        (None, _) | (_, None) => true,
    });
    // Those without a health come last.
    positions.sort_by_key(|one| (one.health.unwrap_or(U256::MAX), one.user));
    let named = lending::tokens(&positions);
    let symbols = lending::symbols(&mut reader, &named)?;
    let decimals = lending::decimals(&mut reader, &named)?;
    reader.finish()?;
    let tokens = named.into_iter().zip(symbols.into_iter().zip(decimals)).collect();

    let has_deals = positions.iter().any(|one| !one.deals.is_empty());
    let pools = if has_deals { pools(config, &mut rpc) } else { None };
    if let Some(pools) = &pools {
        let deals = positions.iter_mut().flat_map(|one| &mut one.deals);
        deals.for_each(|deal| price(pools, deal));
    }
    Ok(Positions {
        block: anchor.number.0,
        hash: anchor.hash,
        timestamp: anchor.timestamp,
        next_timestamp,
        pools_block: pools.map(|world| world.tip().number.0),
        counted: COUNTED,
        positions,
        tokens,
    })
}

/// The pools of the universe; positions are worth telling without them.
fn pools<S>(config: &Config<S>, rpc: &mut Rpc) -> Option<World> {
    let mut world = match bootstrap::load(config, rpc) {
        Ok(loaded) => loaded.world,
        Err(error) => {
            let error = format!("{error:#}");
            tracing::warn!(error, "no pools, so no profit in ETH");
            return None;
        }
    };
    // They are asked for prices, not traded with.
    let all = world.pools.ids().iter().map(|pool| (*pool, PoolStanding::Admitted));
    let tried = Tried { pools: all.collect(), ..Tried::default() };
    world.admit(&tried);
    Some(world)
}

/// Says what a deal brings through the pools.
fn price(world: &World, deal: &mut Deal) {
    deal.profit_wei = in_wei(world, deal.debt, deal.profit);
    if deal.fall_per_cent == 0 {
        deal.profit_through_pools = sold(world, deal);
    }
}

/// What the pools pay for an amount of a token, in the native one; a loss is what they pay for
/// that much, below zero.
fn in_wei(world: &World, token: Address, amount: I256) -> Option<I256> {
    let native = world.tokens.get(world.native).address;
    let size = sell(world, [token, native], amount.unsigned_abs())?;
    let size = I256::try_from(size).ok()?;
    if amount.is_negative() { size.checked_neg() } else { Some(size) }
}

/// What is left of what the pools pay for all that is seized, each token's sale alone.
fn sold(world: &World, deal: &Deal) -> Option<I256> {
    let mut paid = U256::ZERO;
    for Holding { token, amount } in &deal.seized {
        paid = paid.checked_add(sell(world, [*token, deal.debt], *amount)?)?;
    }
    let cost = deal.repaid.checked_add(deal.flash_premium)?;
    I256::try_from(paid).ok()?.checked_sub(I256::try_from(cost).ok()?)
}

fn sell(world: &World, tokens: [Address; 2], amount: U256) -> Option<U256> {
    let amount = u128::try_from(amount).ok()?;
    if amount == 0 {
        return Some(U256::ZERO);
    }
    let [from, to] = tokens.map(|token| world.tokens.id_of(&token));
    Route::sell(world.into(), [from?, to?], amount).map(|route| U256::from(route.amount_out))
}

/// A health as people write it: `1.05`.
fn parse_health(text: &str) -> Result<U256, String> {
    let wanted = || format!("found {text}; wanted a number such as 1.05");
    if !text.starts_with(|first: char| first.is_ascii_digit()) {
        return Err(wanted());
    }
    parse_units(text, 18).map(Into::into).map_err(|_number| wanted())
}

impl fmt::Display for Positions {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { block, next_timestamp, positions, .. } = self;
        let liquidatable = positions.iter().filter(|one| one.is_liquidatable).count();
        writeln!(
            out,
            "block {block}, health at time {next_timestamp} (the next block): {} borrowers, \
             {liquidatable} can be liquidated",
            positions.len()
        )?;
        for one in positions.iter().take(SHOWN_MAX) {
            self.line(out, one)?;
        }
        if let Some(more) = positions.len().checked_sub(SHOWN_MAX).filter(|more| *more > 0) {
            writeln!(out, "and {more} more: --json has all")?;
        }
        write!(out, "{COUNTED}.")
    }
}

impl Positions {
    /// A borrower in two or three lines.
    fn line(&self, out: &mut fmt::Formatter<'_>, one: &Standing) -> fmt::Result {
        let health = one.health.map_or_else(|| "?".to_owned(), |health| shown(health, 18));
        let mark = if one.is_liquidatable { "!" } else { " " };
        let (debt, collateral) = (self.holdings(&one.debt), self.holdings(&one.collateral));
        writeln!(
            out,
            "{mark} {health:<8} {}  {}: {debt} against {collateral}",
            one.user, one.name
        )?;
        if let Some(fault) = one.fault {
            writeln!(out, "           no figures: {fault}")?;
        }
        let moves = one.moves.iter().filter_map(|one| {
            let per_cent = in_per_cent(one.ppm?);
            let sign = if per_cent.starts_with('-') { "" } else { "+" };
            Some(format!("{} {sign}{per_cent} %", self.symbol(&one.token)))
        });
        let moves = moves.collect::<Vec<_>>().join(", ");
        if !moves.is_empty() {
            let what = if one.is_liquidatable { "saved by" } else { "liquidatable at" };
            writeln!(out, "           {what} {moves}")?;
        }
        let profits = FALLS_PER_CENT.iter().filter_map(|fall| {
            let when = if *fall == 0 { "now".to_owned() } else { format!("after -{fall} %") };
            Some(format!("{when} {}", self.profit(one.deal(*fall)?)))
        });
        let profits = profits.collect::<Vec<_>>().join(", ");
        if !profits.is_empty() {
            writeln!(out, "           profit {profits}")?;
        }
        Ok(())
    }

    fn profit(&self, deal: &Deal) -> String {
        let wei = deal.profit_wei.and_then(|wei| i128::try_from(wei).ok());
        let told = match wei {
            Some(wei) => format!("{} ETH", in_ether(wei)),
            None => self.signed(&deal.debt, deal.profit),
        };
        match deal.profit_through_pools {
            Some(left) => format!("{told} ({} through the pools)", self.signed(&deal.debt, left)),
            None => told,
        }
    }

    fn holdings(&self, holdings: &[Holding]) -> String {
        let told = holdings.iter().map(|Holding { token, amount }| self.told(token, *amount));
        let told = told.collect::<Vec<_>>().join(" + ");
        if told.is_empty() { "nothing".to_owned() } else { told }
    }

    fn signed(&self, token: &Address, amount: I256) -> String {
        let sign = if amount.is_negative() { "-" } else { "" };
        format!("{sign}{}", self.told(token, amount.unsigned_abs()))
    }

    fn told(&self, token: &Address, amount: U256) -> String {
        let decimals = self.tokens.get(token).map_or(0, |(_, decimals)| *decimals);
        format!("{} {}", shown(amount, decimals), self.symbol(token))
    }

    fn symbol(&self, token: &Address) -> &str {
        self.tokens.get(token).map_or("?", |(symbol, _)| symbol)
    }
}

/// An amount with four digits behind the point, rounded down.
fn shown(amount: U256, decimals: u8) -> String {
    let ten = U256::from(10);
    let Some(unit) = ten.checked_pow(U256::from(decimals)) else { return amount.to_string() };
    let (whole, rest) = amount.div_rem(unit);
    let scaled = rest.saturating_mul(U256::from(10_u64.pow(DIGITS)));
    let digits: u64 = scaled.checked_div(unit).unwrap_or_default().saturating_to();
    format!("{whole}.{digits:04}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_health_is_read_as_it_is_written() {
        assert_eq!(parse_health("1.05"), Ok(U256::from(1_050_000_000_000_000_000_u64)));
        assert_eq!(parse_health("2"), Ok(U256::from(2_000_000_000_000_000_000_u64)));
        for wrong in ["", "one", "-1", "1.0.5"] {
            assert!(parse_health(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn amounts_are_shown_with_four_digits() {
        assert_eq!(shown(U256::from(1_999_999), 6), "1.9999");
        assert_eq!(shown(U256::from(5), 0), "5.0000");
        assert_eq!(shown(U256::ZERO, 18), "0.0000");
        assert_eq!(shown(U256::from(7), 255), "7");
        assert_eq!(in_per_cent(-7_253), "-0.7253");
        assert_eq!(in_per_cent(250_000), "25.0000");
    }
}
