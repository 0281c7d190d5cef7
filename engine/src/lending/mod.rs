//! Lending protocols: positions, prices, health, and the exact amounts of a liquidation.
//!
//! Temperature: hot.

pub mod math;
pub mod sizing;
