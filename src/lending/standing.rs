//! How a borrower stands: what is told of each, whatever the protocol.
//!
//! Temperature: cold.

use alloy_primitives::{Address, B256, I256, U256};
use clap::ValueEnum;
use gannet_engine::lending::math::Fault;
use serde::{Serialize, Serializer};

/// A lending protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Protocol {
    /// Aave V3
    Aave,
    /// Compound III
    Comet,
    /// Morpho Blue
    Morpho,
}

/// The two times that accounts are looked at, in seconds of the chain's clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// That of the block that everything was read at.
    pub(crate) block: u64,
    /// That of the next block, in which a liquidation would land.
    pub(crate) next: u64,
}

/// An amount of a token, in its smallest unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Holding {
    pub(crate) token: Address,
    #[serde(serialize_with = "text")]
    pub(crate) amount: U256,
}

/// How far one token's price can move, all others staying, until the account can be liquidated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Move {
    pub(crate) token: Address,
    /// In parts per million of the price (told in per cent), below zero if it falls; for an account
    /// that can be liquidated already, the move that would save it. Nothing if no move of this
    /// price does it.
    #[serde(rename = "percent", serialize_with = "per_cent")]
    pub(crate) ppm: Option<i64>,
}

/// The liquidation that pays most after a fall, at the oracle's prices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Deal {
    /// How far the prices of the collateral fell, in per cent.
    pub(crate) fall_per_cent: u8,
    /// What is repaid, in the debt's token.
    pub(crate) debt: Address,
    #[serde(serialize_with = "text")]
    pub(crate) repaid: U256,
    /// What the liquidator gets: the protocol's own part of the bonus is taken off already.
    pub(crate) seized: Vec<Holding>,
    /// What borrowing the repayment for one transaction costs, in the debt's token.
    #[serde(serialize_with = "text")]
    pub(crate) flash_premium: U256,
    /// What is seized at the oracle's prices, less what is repaid and the premium; in the debt's
    /// token.
    #[serde(serialize_with = "text")]
    pub(crate) profit: I256,
    /// The same in the native token, at the prices of the pools; nothing if no pool has one.
    #[serde(serialize_with = "maybe_text")]
    pub(crate) profit_wei: Option<I256>,
    /// What is left in the debt's token when the pools buy what is seized. Only for what can be
    /// done now: at other prices the pools would be others.
    #[serde(serialize_with = "maybe_text")]
    pub(crate) profit_through_pools: Option<I256>,
}

/// A borrower.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Standing {
    pub(crate) protocol: Protocol,
    /// The name of its deployment.
    pub(crate) name: String,
    pub(crate) user: Address,
    /// The market, of protocols that have several.
    pub(crate) market: Option<B256>,
    /// What counts over what is owed at the next block's time, in 18 decimals; below one it can be
    /// liquidated. Nothing if there is none: see `fault`.
    #[serde(serialize_with = "maybe_text")]
    pub(crate) health: Option<U256>,
    /// The same at the time of the block that it was read at.
    #[serde(serialize_with = "maybe_text")]
    pub(crate) health_at_block: Option<U256>,
    /// Whether it can be liquidated in the next block.
    pub(crate) is_liquidatable: bool,
    /// Why there are no figures.
    pub(crate) fault: Option<&'static str>,
    /// What it owes at the block, interest included.
    pub(crate) debt: Vec<Holding>,
    /// What it has for collateral at the block.
    pub(crate) collateral: Vec<Holding>,
    pub(crate) moves: Vec<Move>,
    /// One for each fall that makes a liquidation possible.
    pub(crate) deals: Vec<Deal>,
}

impl Standing {
    /// A borrower of whom nothing is known yet.
    pub(super) fn new(protocol: Protocol, name: &str, user: Address) -> Self {
        Self {
            protocol,
            name: name.to_owned(),
            user,
            market: None,
            health: None,
            health_at_block: None,
            is_liquidatable: false,
            fault: None,
            debt: Vec::new(),
            collateral: Vec::new(),
            moves: Vec::new(),
            deals: Vec::new(),
        }
    }

    /// Says why there are no figures, if there are none.
    pub(super) fn with(mut self, filled: Result<(), Fault>) -> Self {
        self.fault = filled.err().map(words);
        self
    }

    /// The deal after a fall of so many per cent.
    pub(crate) fn deal(&self, fall_per_cent: u8) -> Option<&Deal> {
        self.deals.iter().find(|deal| deal.fall_per_cent == fall_per_cent)
    }
}

/// A fault in words.
const fn words(fault: Fault) -> &'static str {
    match fault {
        Fault::Overflow | Fault::Underflow => "a number that the contract would revert on",
        Fault::NoPrice => "its oracle has no price",
        Fault::Forbidden => "forbidden by the protocol",
        Fault::Healthy => "healthy",
        Fault::Dust => "too little would be left",
        Fault::NotHeld => "no such debt or collateral",
        Fault::NoLiquidity => "the reserve cannot pay out",
        Fault::Unknown => "something about it is not modelled",
        Fault::Unsure => "something about it has to be read again",
    }
}

fn per_cent<S: Serializer>(ppm: &Option<i64>, out: S) -> Result<S::Ok, S::Error> {
    maybe_text(&ppm.map(in_per_cent), out)
}

/// Parts per million in per cent, with all digits.
pub(crate) fn in_per_cent(ppm: i64) -> String {
    let sign = if ppm < 0 { "-" } else { "" };
    let size = ppm.unsigned_abs();
    format!("{sign}{}.{:04}", size / 10_000, size % 10_000)
}

fn text<S: Serializer>(number: &impl std::fmt::Display, out: S) -> Result<S::Ok, S::Error> {
    out.collect_str(number)
}

fn maybe_text<S: Serializer>(
    number: &Option<impl std::fmt::Display>,
    out: S,
) -> Result<S::Ok, S::Error> {
    match number {
        Some(number) => out.collect_str(number),
        None => out.serialize_none(),
    }
}
