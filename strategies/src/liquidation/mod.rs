//! Liquidation: borrowers whose collateral no longer supports their debt.
//!
//! After each block, and behind each pending oracle update, the loans that a price could have hurt
//! are looked at, and those that can be liquidated are sized: so much of the debt as brings most
//! when the collateral is sold through the world's pools in the same transaction.
//!
//! `README.md` in this folder says what it earns, what it risks and what its parameters do.
//!
//! Temperature: hot.

mod config;
#[cfg(test)]
#[expect(dead_code, reason = "the engine's tests use all of it")]
#[path = "../../../engine/src/loans/fixture.rs"]
mod fixture;
mod size;
mod strategy;
#[cfg(test)]
mod tests;
mod watchlist;

pub use config::Config;
pub use strategy::Liquidation;
pub use watchlist::Watchlist;
