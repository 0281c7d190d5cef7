//! Arbitrage: cycles of swaps that end with more of a base token than they start with.
//!
//! After each sealed block the cycles through the pools that moved are searched; what pays is
//! proposed for the top of the next block, where it bids a share of the profit as tip.
//!
//! `README.md` in this folder says what it earns, what it risks and what its parameters do.
//!
//! Temperature: hot.

mod config;
mod strategy;
#[cfg(test)]
mod tests;

pub use config::Config;
pub use strategy::Arbitrage;
