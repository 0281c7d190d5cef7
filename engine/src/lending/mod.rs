//! Lending protocols: positions, prices, health, and the exact amounts of a liquidation.
//!
//! Temperature: hot.

pub mod aave;
pub mod comet;
pub mod math;
pub mod morpho;
pub mod sizing;
