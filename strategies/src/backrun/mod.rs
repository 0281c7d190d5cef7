//! Backrun: cycles that somebody else's pending swap is about to open.
//!
//! The pipeline applies a pending swap to the world, asks here, and takes it back. What pays on
//! that state *because of* the swap is proposed for the place right behind it. Never before it:
//! this strategy cannot make anybody's price worse.
//!
//! `README.md` in this folder says what it earns, what it risks and what its parameters do.
//!
//! Temperature: hot.

mod config;
mod strategy;
#[cfg(test)]
mod tests;

pub use config::Config;
pub use strategy::Backrun;
