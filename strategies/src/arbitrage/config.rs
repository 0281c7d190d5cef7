//! What `[strategy.arbitrage]` may say.
//!
//! Temperature: cold.

use gannet_engine::units::{Bps, Wei};
use serde::Deserialize;

use crate::keys;

/// The parameters of [`Arbitrage`](super::Arbitrage). Every key may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Longest cycle, in swaps: 2 to 4. Each more finds more and makes the index much larger.
    #[serde(deserialize_with = "keys::hops")]
    pub hops_max: usize,
    /// The most that goes into one cycle, by its worth in the native token.
    pub max_input: Wei,
    /// Share of the profit after gas that is bid as tip, in basis points.
    #[serde(deserialize_with = "keys::share")]
    pub tip_share_bps: Bps,
    /// Blocks after the present one in which a plan may land; later the executor reverts.
    #[serde(deserialize_with = "keys::blocks")]
    pub valid_blocks: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hops_max: 3,
            max_input: Wei(100_000_000_000_000_000_000),
            tip_share_bps: Bps(5_000),
            valid_blocks: 2,
        }
    }
}
