//! Lending protocols: positions, prices, health, and the exact amounts of a liquidation.
//!
//! Temperature: hot.

pub mod aave;
pub mod comet;
pub mod math;
pub mod morpho;
mod places;
pub mod price;
pub mod screen;
pub mod sizing;
pub mod transmission;
pub mod trigger;
