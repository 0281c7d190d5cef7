//! The configuration as it is written: mirrors `config.toml` and validates nothing.
//!
//! Every section has defaults for all its keys, so that each key can be read alone and all wrong
//! ones are found at once; see [`super::problems`].
//!
//! Temperature: cold.

use alloy_primitives::Address;
use gannet_engine::units::Wei;
use serde::Deserialize;

/// `[chain]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Chain {
    pub(super) id: Option<u64>,
    pub(super) wrapped_native: Option<Address>,
    pub(super) block_time_ms: Option<u64>,
}

/// `[node]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Node {
    pub(super) url: Option<String>,
    pub(super) connect_timeout_s: Option<u64>,
    pub(super) silent_after_ms: Option<u64>,
}

/// `[executor]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Executor {
    pub(super) address: Option<Address>,
    pub(super) owner_key: Option<String>,
    pub(super) funding: Option<String>,
}

/// `[[wallet]]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Wallet {
    pub(super) address: Option<Address>,
    pub(super) key: Option<String>,
}

/// `[[factory]]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Factory {
    pub(super) name: Option<String>,
    pub(super) address: Option<Address>,
    pub(super) router: Option<Address>,
    pub(super) fee_pips: Option<u32>,
}

/// `[universe]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Universe {
    pub(super) base_tokens: Option<Vec<Address>>,
    pub(super) pools_max: Option<usize>,
}

/// `[risk]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Risk {
    pub(super) min_profit: Option<Wei>,
    pub(super) gas_price_max: Option<Wei>,
    pub(super) notional_max: Option<Wei>,
    pub(super) allow_public_mempool: Option<bool>,
}

/// `[runtime]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Runtime {
    pub(super) core: Option<usize>,
    pub(super) pin: Option<bool>,
    pub(super) spin: Option<bool>,
    pub(super) drain_s: Option<u64>,
    pub(super) journal: Option<String>,
    pub(super) snapshot: Option<String>,
}
