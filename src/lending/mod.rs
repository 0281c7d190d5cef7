//! The borrowers of lending protocols, read from a node at one block.
//!
//! ```text
//! events ─► who may owe ([`roll`]) ─► views, many in one call ─► the engine's tables ─► standings
//! ```
//!
//! The tables are the engine's own, and so is all arithmetic: here is only how they are filled, and
//! what is worth telling about an account. A run that liquidates keeps them, with what they are
//! priced by ([`live`]), and has read anew in flight what no event tells ([`keeper`]).
//!
//! Temperature: cold.

mod aave;
mod abi;
mod asks;
mod balancer;
mod calls;
mod comet;
mod counts;
mod keeper;
mod live;
mod morpho;
mod risk;
mod roll;
mod standing;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use alloy_primitives::Address;
use anyhow::Result;

pub(crate) use self::calls::{decimals, symbols};
pub use self::counts::LoanSummary;
pub(crate) use self::keeper::LoanKeeper;
pub(crate) use self::live::Lenders;
pub(crate) use self::risk::FALLS_PER_CENT;
pub(crate) use self::roll::{Roll, RollFile};
pub(crate) use self::standing::{Deal, Holding, Protocol, Standing, Times, in_per_cent};
use crate::bootstrap::Reader;
use crate::config::Lending;

/// How the borrowers of these protocols stand, of one alone if it is named; in no order. The roll
/// knows of some, and of all afterwards.
pub(crate) fn read(
    reader: &mut Reader<'_>,
    roll: &mut Roll,
    lending: &Lending,
    only: Option<Protocol>,
    times: Times,
) -> Result<Vec<Standing>> {
    roll.expire(reader.height());
    let wants = |protocol| only.is_none_or(|only| only == protocol);
    let mut standings = Vec::new();
    for deployment in lending.aave_v3.iter().filter(|_| wants(Protocol::Aave)) {
        standings.extend(aave::read(reader, roll, deployment)?.standings(times));
    }
    for deployment in lending.comet.iter().filter(|_| wants(Protocol::Comet)) {
        standings.extend(comet::read(reader, roll, deployment)?.standings(times));
    }
    for morpho in lending.morpho.iter().filter(|_| wants(Protocol::Morpho)) {
        standings.extend(morpho::read(reader, roll, morpho)?.standings(times));
    }
    Ok(standings)
}

/// Accounts and positions that a table has room for beside twice what is there.
const ACCOUNTS_MORE: usize = 1_024;
/// Markets that a table has room for beside what is there.
const MARKETS_MORE: usize = 64;
/// Reserves that one account may use: hardly anybody has more than half as many.
const ENTRIES_LEAST: usize = 16;

/// How much room tables have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    /// For what is there: it is looked at once.
    Exact,
    /// For what comes, too: it is followed.
    Growing,
}

impl Room {
    const fn accounts(self, count: usize) -> usize {
        match self {
            Self::Exact => count,
            Self::Growing => count.saturating_mul(2).saturating_add(ACCOUNTS_MORE),
        }
    }

    fn entries(self, most: usize) -> usize {
        match self {
            Self::Exact => most,
            Self::Growing => most.max(ENTRIES_LEAST),
        }
    }

    const fn markets(self, count: usize) -> usize {
        match self {
            Self::Exact => count,
            Self::Growing => count.saturating_add(MARKETS_MORE),
        }
    }
}

/// What is said where a view of a deployment's first contract is not answered.
fn not_there(what: &str, address: Address, table: &str) -> String {
    format!(
        "there is no {what} at {address}: is the address in [[lending.{table}]] right, and on this \
         chain?"
    )
}

/// Every token that is owed, held or priced in these.
pub(crate) fn tokens(standings: &[Standing]) -> Vec<Address> {
    let tokens = standings.iter().flat_map(|standing| {
        let holdings = standing.debt.iter().chain(&standing.collateral);
        holdings.map(|holding| holding.token).chain(standing.moves.iter().map(|one| one.token))
    });
    tokens.collect::<BTreeSet<_>>().into_iter().collect()
}
