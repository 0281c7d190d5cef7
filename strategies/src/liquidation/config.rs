//! What `[strategy.liquidation]` may say.
//!
//! Temperature: cold.

use gannet_engine::units::Bps;
use serde::Deserialize;

use crate::keys;

/// The parameters of [`Liquidation`](super::Liquidation). Every key may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Share of the profit after gas that is bid as tip, in basis points, where nothing is
    /// followed.
    #[serde(deserialize_with = "keys::share")]
    pub tip_share_bps: Bps,
    /// Blocks after the present one in which a plan may land; later the executor reverts.
    #[serde(deserialize_with = "keys::blocks")]
    pub valid_blocks: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { tip_share_bps: Bps(5_000), valid_blocks: 2 }
    }
}
